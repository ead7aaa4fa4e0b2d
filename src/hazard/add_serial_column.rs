#![doc = include_str!("add_serial_column.md")]

use super::{Finding, HazardSetting, Subject};
use crate::effects::Cause;

/// The hazard's id.
pub const ID: &str = "add-serial-column";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Plan;

/// Finds a new column that is numbered by a sequence.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let work = subject.work(&[Cause::Serial])?;
    let part = subject.part(work)?;
    let target = subject.target()?;
    let why = format!(
        "Every row of {target} and every index is written again under an {}, so that all reads and writes \
         wait until it is done.",
        work.under
    );
    let finding =
        Finding::warning(ID, "a serial column rewrites the table", why).about(target).at(part.span.clone());
    Some(subject.filled_column(ID, part).of(finding))
}
