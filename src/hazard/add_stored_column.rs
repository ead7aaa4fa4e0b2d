#![doc = include_str!("add_stored_column.md")]

use super::{Finding, HazardSetting, Subject};
use crate::effects::Cause;
use crate::plan::HandStep;
use crate::sql::form::Action;

/// The hazard's id.
pub const ID: &str = "add-stored-column";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Refuse;

/// Finds a new column that is computed and stored.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let work = subject.work(&[Cause::Stored])?;
    let part = subject.part(work)?;
    let target = subject.target()?;
    let Action::AddColumn { column, .. } = &part.action else { return None };
    let _ = column;
    let why = format!(
        "Every row of {target} and every index is written again under an {}, so that all reads and writes \
         wait until it is done.",
        work.under
    );
    let way = HandStep::words(
        "on 18 and later make it VIRTUAL; otherwise add a plain column, fill it by a trigger, and backfill it in \
               batches",
    );
    Some(
        Finding::refusal(ID, "a stored generated column rewrites the table", why)
            .about(target)
            .at(part.span.clone())
            .by_hand(vec![way]),
    )
}
