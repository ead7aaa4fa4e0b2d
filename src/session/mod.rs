//! What one session knows of itself: pure bookkeeping over the frames that pass, no sockets.
//!
//! `Tracker` sees both directions. Ordinary traffic costs it a few nanoseconds a message; what triage stops it hands
//! back to its driver, which then holds the client's stream and takes the conversation over.
//!
//! Invariant: a frame is forwarded whole or not at all, unless it is longer than what is inspected. Of such a frame the
//! last byte is not forwarded before everything in it was looked at.

pub mod deferred;
mod digest;
pub mod expected;
pub mod eye;
pub mod journal;
pub mod prepared;
pub mod repeat;
pub mod tracker;
mod unnamed;

pub use eye::{Eye, Glance, Reading, Seen, Stop};
pub use tracker::Tracker;
