//! Controllers: when to try, how long to be patient, who is in the way, how much at once.
//!
//! Each is a function from what was seen to what is to be done next: no clock, no log, no socket.

pub mod blocker;
pub mod bulk;
pub mod ladder;
pub mod range;
pub mod stall;

pub use blocker::Blocker;
pub use ladder::{Ladder, LadderSettings, Next, Sample};
pub use range::Walk;
