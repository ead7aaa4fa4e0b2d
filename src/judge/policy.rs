//! What the configuration, the session and the statement's own directives ask for.

use std::time::Duration;

use crate::base::RelationName;
use crate::hazard::HazardSetting;

/// How much the proxy may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Change what is unsafe.
    #[default]
    Enforce,
    /// Change nothing; say what would have been done.
    Observe,
    /// Be a wire.
    Off,
}

/// What becomes of work that cannot be done in an open transaction, since it would take too long under its locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InTransaction {
    /// It is queued with the transaction and done behind its COMMIT.
    #[default]
    Defer,
    /// It is refused.
    Refuse,
    /// It runs as sent, under the ladder, with a WARNING.
    Warn,
}

/// When the client hears that a transaction with deferred work is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Deferred {
    /// When that work is done.
    #[default]
    Wait,
    /// At once: somebody else does it.
    Background,
}

/// The policy for one statement, all sources merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// enforce, observe or off.
    pub mode: Mode,
    /// The longest that an application session may wait behind one of ours.
    pub max_stall: Duration,
    /// How long a step is retried before the client gets the error.
    pub retry_for: Duration,
    /// What becomes of long work in an open transaction.
    pub in_transaction: InTransaction,
    /// When the client hears of the COMMIT before it.
    pub deferred: Deferred,
    /// Hazards that this session or statement allows, with the reason given.
    pub allow: Vec<Allowance>,
    /// What the configuration says of single hazards; later entries win.
    pub hazards: Vec<(String, HazardSetting)>,
    /// Relations below that size, in bytes, are excused from everything but the ladder.
    pub small_table: u64,
    /// A statement that writes more rows than these is carried out in batches.
    pub bulk_rows: u64,
    /// No more rows than these are written in a second by one that is.
    pub rows_per_second: Option<u64>,
    /// Relations that are never small enough, by name or `schema.name`.
    pub hot_tables: Vec<String>,
    /// Whether the session's user may pass peak hours and freezes.
    pub overriding: Overriding,
    /// Why it does: `ticket: why`.
    pub override_for: Option<String>,
}

/// Whether somebody may pass peak hours and freezes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overriding {
    /// With a reason.
    Allowed,
    /// Not at all.
    #[default]
    Denied,
}

impl Policy {
    /// What the configuration says of a hazard; `None` leaves it to its default.
    pub fn setting_of(&self, hazard: &str) -> Option<HazardSetting> {
        self.hazards.iter().rev().find(|(id, _)| id == hazard).map(|(_, setting)| *setting)
    }

    /// Whether a relation of that size needs no care; an unknown size does.
    pub fn is_small(&self, name: &RelationName, bytes: Option<u64>) -> bool {
        let full = name.schema.as_ref().map(|schema| format!("{schema}.{}", name.name));
        let hot = |it: &String| *it == name.name || Some(it) == full.as_ref();
        bytes.is_some_and(|bytes| bytes < self.small_table) && !self.hot_tables.iter().any(hot)
    }

    /// Why a hazard is let pass, if it is.
    pub fn allowance(&self, hazard: &str) -> Option<&Allowance> {
        self.allow.iter().find(|allowance| allowance.hazard == hazard)
    }
}

/// One hazard that is let pass, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    /// The hazard's id.
    pub hazard: String,
    /// The reason, in the user's words.
    pub reason: String,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            mode: Mode::Enforce,
            max_stall: Duration::from_millis(100),
            retry_for: Duration::from_mins(10),
            in_transaction: InTransaction::Defer,
            deferred: Deferred::Wait,
            allow: Vec::new(),
            hazards: Vec::new(),
            small_table: 8 << 20,
            bulk_rows: 10_000,
            rows_per_second: None,
            hot_tables: Vec::new(),
            overriding: Overriding::Denied,
            override_for: None,
        }
    }
}
