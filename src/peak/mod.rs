//! Peak hours and what is in force: windows of the calendar, and how hard they come down on which work.
//!
//! Invariant: nothing here reads a clock. Every question carries the moment that it is asked about.

mod curb;
mod days;
mod window;

use jiff::Timestamp;

pub use self::curb::{Cause, Curb, Force, InForce, Load, Loads, Treatment, Treatments, when};
pub use self::days::Days;
pub use self::window::{Clock, Window};

/// All windows of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Schedule {
    /// In the order in which they are written.
    pub windows: Vec<Window>,
}

impl Schedule {
    /// The windows that are open, each with the moment at which it closes.
    pub fn open(&self, now: Timestamp) -> impl Iterator<Item = (&Window, Timestamp)> {
        self.windows.iter().filter_map(move |window| Some((window, window.open_until(now)?)))
    }

    /// The window that opens next, and when.
    pub fn next(&self, now: Timestamp) -> Option<(&Window, Timestamp)> {
        let openings = self.windows.iter().filter_map(|window| Some((window, window.next_opening(now)?)));
        openings.min_by_key(|(_, at)| *at)
    }
}
