#![doc = include_str!("add_volatile_default.md")]

use super::{Finding, HazardSetting, Subject};
use crate::effects::Cause;

/// The hazard's id.
pub const ID: &str = "add-volatile-default";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Plan;

/// Finds a new column whose default must be computed for each row.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let work = subject.work(&[Cause::VolatileDefault])?;
    let part = subject.part(work)?;
    let target = subject.target()?;
    let why = format!(
        "Every row of {target} and every index is written again under an {}, so that all reads and writes \
         wait until it is done.",
        work.under
    );
    let finding = Finding::warning(ID, "a default that differs from row to row rewrites the table", why)
        .about(target)
        .at(part.span.clone());
    Some(subject.filled_column(ID, part).of(finding))
}
