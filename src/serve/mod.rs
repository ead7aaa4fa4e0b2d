//! Serving sessions: listening, workers, the relay, and stopping.

pub mod accept;
pub mod console;
pub mod drain;
pub mod engage;
pub mod eye;
mod failed;
mod farewell;
mod held;
pub mod greet;
pub mod left_overs;
pub mod lockers;
pub mod limits;
pub mod listener;
pub mod login;
pub mod oversize;
pub mod operate;
mod portal;
pub mod refuse;
pub mod relay;
pub mod settings;
pub mod status;
mod statement;
pub mod task;
pub mod tls;
pub mod unix_socket;
mod walsender;
pub mod worker;
