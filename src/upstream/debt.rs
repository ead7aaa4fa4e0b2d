//! What a session owes while something of ours is under way: put back later, or told to the client where it ends before.

use super::Link;

/// A `lock_timeout` of ours that has outlived its statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owed {
    /// Ours, by which it is known again.
    pub mark: String,
    /// The client's.
    pub value: String,
    /// What gives it back to the session.
    pub back: String,
}

/// What is left behind where the session ends in the midst of something of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IfLost {
    /// What it is.
    pub detail: String,
    /// What people do about it.
    pub hint: String,
}

impl Link {
    /// What is told behind the server's last words.
    pub fn last_words(&mut self) -> Option<Box<IfLost>> {
        self.committed.take().or_else(|| self.if_lost.take())
    }
}
