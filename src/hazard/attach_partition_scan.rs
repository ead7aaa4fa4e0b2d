#![doc = include_str!("attach_partition_scan.md")]

use super::{Finding, HazardSetting, Subject};
use crate::effects::Cause;
use crate::plan::HandStep;

/// The hazard's id.
pub const ID: &str = "attach-partition-scan";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Warn;

/// Finds a partition whose rows are checked while it is attached.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let work = subject.work(&[Cause::Attach])?;
    let why = format!(
        "Every row of {} is read under an {}, so that all reads and writes wait until it is done.",
        work.relation, work.under
    );
    let steps = vec![HandStep::words(
        "add a CHECK that says the partition's bounds and NOT NULL of its key, NOT VALID, to the table; \
         VALIDATE it; if there is a default partition, the opposite CHECK there; then ATTACH reads nothing; then drop the CHECKs",
    )];
    Some(
        Finding::warning(ID, "attaching the partition reads it under its lock", why)
            .about(&work.relation)
            .at(subject.part(work).and_then(|part| part.span.clone()))
            .by_hand(steps),
    )
}
