//! Serving sessions: listening, workers, the relay, and stopping.

pub mod drain;
pub mod greet;
pub mod limits;
pub mod listener;
pub mod login;
pub mod refuse;
pub mod relay;
pub mod settings;
pub mod tls;
pub mod unix_socket;
pub mod worker;
