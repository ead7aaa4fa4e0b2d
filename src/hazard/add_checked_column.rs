#![doc = include_str!("add_checked_column.md")]

use super::{Finding, HazardSetting, Subject};
use crate::effects::Cause;

/// The hazard's id.
pub const ID: &str = "add-checked-column";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Plan;

/// Finds a new column with a CHECK of its own.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let work = subject.work(&[Cause::ColumnCheck])?;
    let part = subject.part(work).filter(|part| !subject.is_impossible_key(part))?;
    let target = subject.target()?;
    let (steps, plan) = subject.new_column(ID, part);
    let why = format!(
        "Every row of {target} is read under an {}, so that all reads and writes wait until it is done.",
        work.under
    );
    Some(
        Finding::warning(ID, "the new column's CHECK reads the whole table under its lock", why)
            .about(target)
            .at(part.span.clone())
            .by_hand(steps)
            .online(plan, "steps that add the column and prove it while others work"),
    )
}
