#![doc = include_str!("several_foreign_keys.md")]

use super::{Finding, HazardSetting, Subject};
use crate::plan::HandStep;
use crate::sql::form::Action;
use crate::sql::form::ConstraintKind;

/// The hazard's id.
pub const ID: &str = "several-foreign-keys";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Warn;

/// Finds more than one foreign key in a statement or transaction.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let target = subject.target().filter(|target| subject.is_exposed(target))?;
    let keys = || {
        subject.all_parts().iter().filter(|part| {
        matches!(&part.action, Action::AddConstraint(constraint) if constraint.kind == ConstraintKind::Foreign)
    })
    };
    let part = keys().next_back()?;
    if keys().count() + subject.past.foreign_keys() < 2 {
        return None;
    }
    let why = "Each locks two tables and keeps them locked until all are done; writers that take the tables in \
         another order deadlock with it.";
    Some(
        Finding::warning(ID, "several foreign keys are added in one transaction", why)
            .about(target)
            .at(part.span.clone())
            .by_hand(vec![HandStep::words("add each foreign key in a transaction of its own")]),
    )
}
