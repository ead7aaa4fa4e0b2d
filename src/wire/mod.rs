//! Bytes on the wire: frames, the few messages that are read, and the few that are written.
//!
//! Invariant: traffic is never decoded and encoded again; what passes through is looked at in place.
//! Invariant: lengths are checked before they are used, so no frame can be mistaken for another.

pub mod client;
pub mod fields;
pub mod frame;
pub mod kind;
pub mod login;
pub mod notice;
pub mod scan;
pub mod server;
pub mod startup;

pub use frame::{Frame, Header, Malformed};
