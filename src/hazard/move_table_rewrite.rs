#![doc = include_str!("move_table_rewrite.md")]

use super::{Finding, HazardSetting, Subject};
use crate::effects::Cause;
use crate::plan::HandStep;

/// The hazard's id.
pub const ID: &str = "move-table-rewrite";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Refuse;

/// Finds a table that is moved or stored in another way.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let work = subject.work(&[Cause::Storage])?;
    let why = format!(
        "Every row of {} and every index is written again under an {}, so that all reads and writes wait \
         until it is done.",
        work.relation, work.under
    );
    let steps = vec![HandStep::words(
        "make a new table there, keep it equal by triggers, copy in batches, swap; or use pg_repack",
    )];
    Some(
        Finding::refusal(ID, "the change of storage rewrites the table", why)
            .about(&work.relation)
            .at(subject.part(work).and_then(|part| part.span.clone()))
            .by_hand(steps),
    )
}
