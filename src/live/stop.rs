//! Whether the process is told to stop.

use crate::event::clock::Moment;

/// What sessions are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Go on.
    Running,
    /// End with 57P01 when idle, at the deadline in any case; new sessions are refused with 57P03.
    Draining {
        /// When busy sessions end too.
        deadline: Moment,
    },
    /// End at once with 57P01.
    Now,
}
