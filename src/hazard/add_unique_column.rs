#![doc = include_str!("add_unique_column.md")]

use super::{Finding, HazardSetting, Subject};
use crate::effects::Cause;

/// The hazard's id.
pub const ID: &str = "add-unique-column";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Plan;

/// Finds a new column that is unique.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let work = subject.work(&[Cause::ColumnUnique])?;
    let part = subject.part(work).filter(|part| !subject.is_impossible_key(part))?;
    let target = subject.target()?;
    let (steps, plan) = subject.new_column(ID, part);
    let why = format!(
        "Its index is built under an {} on {target}, so that all reads and writes wait until it is done.",
        work.under
    );
    Some(
        Finding::warning(ID, "the new column's unique index is built under the table's lock", why)
            .about(target)
            .at(part.span.clone())
            .by_hand(steps)
            .online(plan, "steps that add the column and prove it while others work"),
    )
}
