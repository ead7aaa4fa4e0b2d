//! The way to Postgres: connecting, TLS, the session's own connection, and both sockets of a session as one thing.
//!
//! Invariant: TLS that the configuration demands is never replaced by plain text.
//! Invariant: what a server sends before its TLS handshake is never taken for its word.

pub mod ask;
mod batch;
pub mod brake;
pub mod call;
pub mod cancel;
pub mod certificate;
pub mod debt;
mod directives;
pub mod dial;
pub mod kept;
pub mod link;
pub mod own;
pub mod problem;
pub mod role;
pub mod scram;
pub mod servers;
pub mod settings;
pub mod socket;
pub mod stream;
pub mod tls;

pub use debt::{IfLost, Of};
pub use directives::Directives;
pub use link::{Link, Lost};
pub use own::Own;
pub use problem::Problem;
pub use servers::Upstream;
pub use settings::UpstreamSettings;
pub use stream::Stream;
