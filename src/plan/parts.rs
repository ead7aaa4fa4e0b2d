//! The steps of parts of a statement that are carried out one after the other.

use super::by_hand::HandStep;
use super::constraint::{brief, long};
use super::{Step, Target};

/// Parts that take a moment.
pub fn brief_parts(step: &HandStep, locks: Vec<Target>, back: Option<&HandStep>) -> Step {
    brief(step, locks, back)
}

/// A part that reads the table while others work.
pub fn long_part(step: &HandStep, on: Option<&Target>) -> Step {
    long(step, on)
}
