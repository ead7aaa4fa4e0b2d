//! The judge's answer, as data.

use std::time::Duration;

use jiff::Timestamp;

use crate::base::Notice;
use crate::effects::Past;
use crate::effects::facts::Oid;
use crate::peak::Loads;
use crate::plan::{Deferral, Plan, Target};

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
    /// What peak hours or a freeze have made of it.
    pub curbed: Option<Curbed>,
    /// Tables whose concurrent builds it has to be kept apart from, where it runs as sent.
    pub apart: Vec<Oid>,
}

/// What peak hours or a freeze have made of a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Curbed {
    /// Held back.
    Held,
    /// Refused.
    Refused,
    /// Nothing: the session may pass, and gave this reason.
    Overridden(String),
}

impl Judgement {
    /// A decision about which nothing is said.
    pub const fn of(decision: Decision, past: Past) -> Self {
        Self { decision, notices: Vec::new(), hazards: Vec::new(), past, curbed: None, apart: Vec::new() }
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
    /// Done in part, or not at all, before its transaction is committed; the rest is queued.
    Defer(Box<Deferral>),
    /// Its statements are judged and run one after the other, in one transaction.
    Apart,
    /// Not sent before peak hours or a freeze are over, and judged again then.
    Hold(Box<Hold>),
    /// Answered with an error, never sent.
    Refuse(Notice),
}

/// How a statement is held back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// What it lays on the database.
    pub loads: Loads,
    /// It waits for whatever is in force, since a hazard of it is set so.
    pub waits: bool,
    /// What it locks strongly, as far as known.
    pub on: Vec<Oid>,
    /// When what holds it ends by itself.
    pub until: Option<Timestamp>,
    /// How long it may be held.
    pub hold_for: Option<Duration>,
    /// What is said when it begins to wait.
    pub told: Notice,
    /// The error when it may wait no longer.
    pub over: Notice,
    /// The error where it must not wait, since its transaction holds what others need.
    pub elsewhere: Notice,
}

/// How to run a statement as sent without making anyone queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// What it locks, as far as known; empty for opaque statements.
    pub targets: Vec<Target>,
    /// How a failed attempt may be repeated.
    pub retry: Retry,
    /// How it waits for its locks.
    pub waits: Waits,
    /// Statements that lock all of it in one order before it, where an attempt is a transaction of its own or behind a
    /// savepoint; what one of them may not do is left to the statement itself.
    pub first: Vec<String>,
}

/// How a guarded statement waits for its locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// For moments, by the ladder of patience.
    Briefly,
    /// As the client itself would, since most of what it does is ordinary; it is cancelled when others wait behind its strong
    /// locks on relations, or behind its waiting for them.
    AsSent,
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
    /// In the client's transaction, which holds strong locks already: by the whole transaction, as far as that can be sent once more.
    Replay,
    /// What cannot be done again, or stands in an implicit transaction: one attempt, at the top of the ladder.
    Never,
}
