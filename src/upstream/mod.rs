//! The session's own connection to Postgres, and both sockets of a session as one thing.

pub mod call;
pub mod link;
pub mod stream;

pub use link::{Link, Lost};
pub use stream::Stream;
