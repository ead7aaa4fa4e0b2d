//! What is going on when a message comes.

use crate::effects::Past;
use crate::peak::InForce;
use crate::plan::Pending;

/// The circumstances of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// How it stands to transactions.
    pub transaction: Standing,
    /// What came before it in its transaction.
    pub past: Past,
    /// What its transaction has queued for the time behind its COMMIT.
    pub queued: Vec<Pending>,
    /// Peak hours and freezes that it comes into.
    pub in_force: InForce,
}

impl Moment {
    /// A message of which nothing more is known than how it stands to transactions.
    pub fn new(transaction: Standing) -> Self {
        Self::after(transaction, &Past::nothing())
    }

    /// A message behind others of its transaction.
    pub fn after(transaction: Standing, past: &Past) -> Self {
        let past = match transaction {
            Standing::Outside => Past::nothing(),
            Standing::Implicit | Standing::Explicit { .. } => past.within_transaction(),
        };
        Self { transaction, past, queued: Vec::new(), in_force: InForce::default() }
    }

    /// The same behind what its transaction has queued.
    #[must_use]
    pub fn behind(self, queued: Vec<Pending>) -> Self {
        Self { queued, ..self }
    }

    /// The same while something is in force.
    #[must_use]
    pub fn under(self, in_force: InForce) -> Self {
        Self { in_force, ..self }
    }
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
