//! What is going on when a message comes.

/// The circumstances of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// How it stands to transactions.
    pub transaction: Standing,
}

/// How a message stands to transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// No transaction is open, and nothing came before it since the last Sync.
    Outside,
    /// After other statements of a pipeline that is not synchronised yet: they commit together.
    Implicit,
    /// In a transaction block.
    Explicit {
        /// The transaction holds a strong lock already, so that going back costs its other work.
        holds_strong: bool,
    },
}
