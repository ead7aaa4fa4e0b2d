#![doc = include_str!("lock_queue.md")]

use super::{Finding, HazardSetting, Remedy, Subject};
use crate::base::LockMode;
use crate::sql::statement::Kind;

/// The hazard's id.
pub const ID: &str = "lock-queue";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Pass;

/// Finds a statement that would queue for a strong lock; index work has hazards of its own.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let queues = match subject.statement.kind {
        Kind::Locking | Kind::Lock { nowait: false } => subject.effects.is_strong(),
        _ => false,
    };
    if !queues {
        return None;
    }
    let why = match subject.effects.strongest() {
        Some(touched) => format!(
            "It takes {} on {}; while it queues for it behind a running transaction, every later {} queues behind it.",
            touched.mode.with_article(),
            touched.name,
            if touched.mode.conflicts_with(LockMode::AccessShare) {
                "query that needs the table"
            } else {
                "write to the table"
            }
        ),
        None => {
            "It takes strong locks on tables that it does not name; while it queues for one behind a running \
                 transaction, every later query that needs that table queues behind it."
                .to_owned()
        }
    };
    Some(Finding::new(ID, why, Remedy::Ladder { warning: None }))
}
