#![doc = include_str!("create_partition_blocking.md")]

use super::{Finding, HazardSetting, Subject};
use crate::plan::HandStep;
use crate::plan::by_hand::spelled;
use crate::sql::form::Form;

/// The hazard's id.
pub const ID: &str = "create-partition-blocking";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Warn;

/// Finds a new partition that locks its parent.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let Form::CreateTable(table) = &subject.statement.form else { return None };
    let parent = table.partition_of.as_ref().filter(|parent| subject.is_exposed(parent))?;
    let why = format!(
        "The parent {parent} is locked with an AccessExclusiveLock, and a default partition is read for rows that belong to the \
         new one."
    );
    let (own, parent_name) = (spelled(&table.name), spelled(parent));
    let steps = vec![
        HandStep::anywhere(format!("CREATE TABLE {own} (LIKE {parent_name} INCLUDING ALL)")),
        HandStep::words(&format!(
            "ALTER TABLE {parent_name} ATTACH PARTITION {own} FOR VALUES .., which locks the parent only \
             against other DDL"
        )),
    ];
    Some(
        Finding::warning(
            ID,
            "a partition that is made in one step stops all reads and writes of its parent",
            why,
        )
        .about(parent)
        .by_hand(steps),
    )
}
