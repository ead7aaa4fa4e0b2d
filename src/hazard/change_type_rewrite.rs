#![doc = include_str!("change_type_rewrite.md")]

use super::{Finding, HazardSetting, Subject};
use crate::effects::Cause;
use crate::plan::HandStep;
use crate::sql::form::Action;

/// The hazard's id.
pub const ID: &str = "change-type-rewrite";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Refuse;

/// Finds a change of type that writes every row again.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let work = subject.work(&[Cause::TypeChange])?;
    let part = subject.part(work)?;
    let target = subject.target()?;
    let Action::SetType { column, to, .. } = &part.action else { return None };
    let why = format!(
        "Every row of {target} and every index is written again under an {}, so that all reads and writes \
         wait until it is done.{}",
        work.under,
        subject.type_of_views(target, column)
    );
    let steps = vec![
        HandStep::words(&format!(
            "add a column of type {to} beside {column}, and a trigger that keeps it equal"
        )),
        HandStep::words(
            "fill it in batches by key; build its indexes CONCURRENTLY; validate its constraints",
        ),
        HandStep::words("in one short transaction: drop the trigger and swap the names"),
    ];
    Some(
        Finding::refusal(ID, format!("changing {column} to {to} rewrites the table"), why)
            .about(target)
            .at(part.span.clone())
            .by_hand(steps),
    )
}
