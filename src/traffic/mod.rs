//! An application at work: clients that ask and note how long each answer took, and the proxy as a child process.
//!
//! For demonstrations and benches. Everything that is started here ends when it is dropped.

#![expect(clippy::disallowed_methods, reason = "this measures time and lets it pass")]

pub mod clients;
pub mod connection;
pub mod figures;
pub mod proxy;

pub use clients::{Script, Traffic};
