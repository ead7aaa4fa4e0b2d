//! What a session owes while something of ours is under way: put back later, or told to the client where it ends before.

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

/// What is told behind the last words of a server that is lost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastWords {
    /// What a plan would leave behind.
    pub plan: Option<Box<IfLost>>,
    /// That a transaction is committed while its deferred work is not done; it comes first.
    pub committed: Option<Box<IfLost>>,
}

impl LastWords {
    /// Takes them out.
    pub fn take(&mut self) -> Option<Box<IfLost>> {
        self.committed.take().or_else(|| self.plan.take())
    }

    /// Looks at them.
    pub fn get(&self) -> Option<&IfLost> {
        self.committed.as_deref().or(self.plan.as_deref())
    }
}
