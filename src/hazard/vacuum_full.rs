#![doc = include_str!("vacuum_full.md")]

use super::{Finding, HazardSetting, Subject};
use crate::effects::Cause;
use crate::plan::HandStep;
use crate::sql::form::Form;

/// The hazard's id.
pub const ID: &str = "vacuum-full";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Refuse;

/// Finds a VACUUM that writes the table again.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let whole = matches!(&subject.statement.form, Form::VacuumFull(tables) if tables.is_empty());
    let work = subject.work(&[Cause::VacuumFull]);
    let why = match work {
        _ if whole => "Every table that the role may touch is written again with its indexes, one after the other, each under an \
                       AccessExclusiveLock, so that all its reads and writes wait until it is done."
            .to_owned(),
        work => {
            let work = work?;
            format!(
                "Every row of {} and every index is written again under an {}, so that all reads and writes wait \
                 until it is done.",
                work.relation, work.under
            )
        }
    };
    let steps = vec![HandStep::words(
        "pg_repack writes it again while others work; from 19 on, REPACK (CONCURRENTLY)",
    )];
    let what = if whole { "VACUUM FULL rewrites every table" } else { "VACUUM FULL rewrites the table" };
    let found = Finding::refusal(ID, what, why).by_hand(steps);
    Some(work.into_iter().fold(found, |found, work| found.about(&work.relation)))
}
