//! Serving sessions: listening, workers, the relay, and stopping.

pub mod drain;
pub mod limits;
pub mod listener;
pub mod relay;
pub mod settings;
pub mod unix_socket;
pub mod worker;
