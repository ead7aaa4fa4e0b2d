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

/// What is told behind the last words of a server that is lost: at most one thing, since every idle session has room for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastWords(Option<Box<(Of, IfLost)>>);

/// What they are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// What a plan would leave behind.
    Plan,
    /// A transaction that is committed while its deferred work, which may be a plan, is not done.
    Commit,
}

impl LastWords {
    /// What is to be told from now on, or nothing; of a plan within the work of a COMMIT nothing more is told.
    pub fn put(&mut self, of: Of, words: Option<IfLost>) {
        let about_commit = self.0.as_ref().is_some_and(|it| it.0 == Of::Commit);
        if of == Of::Commit || !about_commit {
            self.0 = words.map(|words| Box::new((of, words)));
        }
    }

    /// Takes them out.
    pub fn take(&mut self) -> Option<IfLost> {
        self.0.take().map(|it| it.1)
    }

    /// Looks at them.
    pub fn get(&self) -> Option<&IfLost> {
        self.0.as_ref().map(|it| &it.1)
    }
}
