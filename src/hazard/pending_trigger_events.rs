#![doc = include_str!("pending_trigger_events.md")]

use super::{Finding, HazardSetting, Subject};
use crate::plan::HandStep;
use crate::sql::form::{Action, ConstraintKind};

/// The hazard's id.
pub const ID: &str = "pending-trigger-events";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Warn;

/// Finds DDL on a table that the transaction has written to.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let target = subject.target()?;
    let written = subject.past.has_written(target);
    // Deferred constraints are nearly always foreign keys.
    let deferrable = subject.facts.table(target).is_none_or(|table| {
        !table.referenced_by.is_empty()
            || table.constraints.iter().any(|it| it.kind == ConstraintKind::Foreign)
    });
    if !deferrable
        || !written
        || subject.parts().iter().all(|part| matches!(part.action, Action::Brief | Action::BriefBelow(_)))
    {
        return None;
    }
    let why = "Where a deferred constraint or trigger of the table still has to fire, Postgres answers 55006 \"cannot ALTER TABLE because it has \
               pending trigger events\".";
    let steps = vec![HandStep::anywhere("SET CONSTRAINTS ALL IMMEDIATE")];
    Some(
        Finding::warning(ID, "the table has been written to in the same transaction", why)
            .about(target)
            .by_hand(steps),
    )
}
