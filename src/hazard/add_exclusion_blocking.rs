#![doc = include_str!("add_exclusion_blocking.md")]

use super::{Finding, HazardSetting, Subject};
use crate::effects::Cause;
use crate::plan::HandStep;

/// The hazard's id.
pub const ID: &str = "add-exclusion-blocking";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Refuse;

/// Finds an EXCLUDE constraint on a table in use.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let work = subject.work(&[Cause::Exclusion])?;
    let part = subject.part(work)?;
    let target = subject.target()?;
    let why = format!(
        "There is no online way: the index is built under an {} on {target}, so that all reads and writes \
         wait until it is done.",
        work.under
    );
    let way = HandStep::words(
        "build it while nobody needs the table, or make a new table with the constraint and copy in batches",
    );
    Some(
        Finding::refusal(ID, "adding the EXCLUDE constraint builds its index under the table's lock", why)
            .about(target)
            .at(part.span.clone())
            .by_hand(vec![way]),
    )
}
