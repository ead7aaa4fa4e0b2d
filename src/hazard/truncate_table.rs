#![doc = include_str!("truncate_table.md")]

use super::{Finding, HazardSetting, Subject};
use crate::base::RelationName;
use crate::effects::Loss;
use crate::plan::HandStep;
use crate::plan::by_hand::spelled;

/// The hazard's id.
pub const ID: &str = "truncate-table";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Refuse;

/// Finds a table that is emptied.
pub fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let tables = subject.effects.losses.iter().filter_map(|loss| match loss {
        Loss::Rows(table) => Some(table),
        _ => None,
    });
    tables.map(lost).collect()
}

fn lost(table: &RelationName) -> Finding {
    let why = format!(
        "All rows of {} are gone at once, under an AccessExclusiveLock; transactions with an older \
         snapshot see an empty table.",
        spelled(table)
    );
    let steps =
        vec![HandStep::words("take a backup; delete the rows in batches by key, or allow it with a reason")];
    Finding::refusal(ID, format!("truncating {} destroys data", table.name), why).about(table).by_hand(steps)
}
