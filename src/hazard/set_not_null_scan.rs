#![doc = include_str!("set_not_null_scan.md")]

use super::{Finding, HazardSetting, Subject};
use crate::base::LockMode;
use crate::effects::Cause;
use crate::plan::by_hand;
use crate::plan::constraint;
use crate::sql::form::Action;

/// The hazard's id.
pub const ID: &str = "set-not-null-scan";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Plan;

/// Finds a `SET NOT NULL` that nothing proves yet.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let work = subject.work(&[Cause::NotNull])?;
    let part = subject.part(work)?;
    let Action::SetNotNull(column) = &part.action else { return None };
    let why = format!(
        "Every row of {} is read under an {}, so that all reads and writes wait until it is done.",
        work.relation, work.under
    );
    let (table, version) = (&work.relation, subject.facts.server_version);
    let steps = by_hand::set_not_null(table, column, &subject.constraints_taken(table), version);
    let locked = subject.replaceable(LockMode::AccessExclusive);
    let plan = locked.map(|locked| constraint::not_null(ID, &locked, column, &steps));
    Some(
        Finding::warning(ID, format!("setting {column} NOT NULL reads the whole table under its lock"), why)
            .about(&work.relation)
            .at(part.span.clone())
            .by_hand(steps)
            .online(plan, "steps that read the table while others work"),
    )
}
