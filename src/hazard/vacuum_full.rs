#![doc = include_str!("vacuum_full.md")]

use super::{Finding, HazardSetting, Subject};
use crate::effects::Cause;
use crate::plan::HandStep;

/// The hazard's id.
pub const ID: &str = "vacuum-full";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Refuse;

/// Finds a VACUUM that writes the table again.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let work = subject.work(&[Cause::VacuumFull])?;
    let why = format!(
        "Every row of {} and every index is written again under an {}, so that all reads and writes wait \
         until it is done.",
        work.relation, work.under
    );
    let steps = vec![HandStep::words(
        "pg_repack writes it again while others work; from 19 on, REPACK (CONCURRENTLY)",
    )];
    Some(Finding::refusal(ID, "VACUUM FULL rewrites the table", why).about(&work.relation).by_hand(steps))
}
