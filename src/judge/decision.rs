//! The judge's answer, as data.

use crate::base::Notice;
use crate::effects::Past;
use crate::plan::{Plan, Target};

/// A decision and what the client is told about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// What to do.
    pub decision: Decision,
    /// What to say before doing it (what was found, what is done differently, what observe mode would have done).
    pub notices: Vec<Notice>,
    /// Hazard ids found, for the log.
    pub hazards: Vec<&'static str>,
    /// What came before the next message of the transaction, once this one has succeeded in it.
    pub past: Past,
}

impl Judgement {
    /// A decision about which nothing is said.
    pub const fn of(decision: Decision, past: Past) -> Self {
        Self { decision, notices: Vec::new(), hazards: Vec::new(), past }
    }
}

/// What is to become of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Sent on as it is.
    Forward,
    /// Sent as it is, under the ladder of patience.
    Guard(Guard),
    /// Replaced by an online plan.
    Run(Plan),
    /// Answered with an error, never sent.
    Refuse(Notice),
}

/// How to run a statement as sent without making anyone queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// What it locks, as far as known; empty for opaque statements.
    pub targets: Vec<Target>,
    /// How a failed attempt may be repeated.
    pub retry: Retry,
}

/// How a failed attempt may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// One statement outside a transaction that may run in a transaction block: each attempt is a short transaction of ours.
    Transaction,
    /// Outside a transaction, but not allowed in a block (VACUUM FULL), or several statements in one message: send again as it is.
    Whole,
    /// In the client's transaction, which holds no strong lock: back to a savepoint.
    Savepoint,
    /// In a transaction that already holds strong locks, or an implicit one: one attempt, at the top of the ladder.
    Never,
}
