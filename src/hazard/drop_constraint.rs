#![doc = include_str!("drop_constraint.md")]

use super::{Finding, HazardSetting, Subject};
use crate::base::RelationName;
use crate::sql::form::Action;
use crate::sql::form::ConstraintKind;

/// The hazard's id.
pub const ID: &str = "drop-constraint";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Warn;

/// Finds the end of a key that others may rely on.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let target = subject.target().filter(|target| subject.is_exposed(target))?;
    if subject.facts.offline {
        return unknown(subject, target);
    }
    let table = subject.facts.table(target)?;
    let (part, constraint) = subject.parts().iter().find_map(|part| match &part.action {
        Action::DropConstraint { name, .. } => Some((part, table.constraint(name)?)),
        _ => None,
    })?;
    if !matches!(constraint.kind, ConstraintKind::Unique | ConstraintKind::PrimaryKey) {
        return None;
    }
    let why = "Its index goes with it: INSERT .. ON CONFLICT on its columns fails, and queries that used it \
         read the whole table.";
    Some(
        Finding::warning(ID, format!("dropping key {} takes its index away", constraint.name), why)
            .about(target)
            .at(part.span.clone()),
    )
}

/// A constraint of which only the name is known.
fn unknown(subject: &Subject<'_>, target: &RelationName) -> Option<Finding> {
    let (part, name) = subject.parts().iter().find_map(|part| match &part.action {
        Action::DropConstraint { name, .. } => Some((part, name)),
        _ => None,
    })?;
    if matches!(subject.past.made_constraint(name), Some(ConstraintKind::Check | ConstraintKind::NotNull)) {
        return None;
    }
    let why = "If it is a key, its index goes with it: INSERT .. ON CONFLICT on its columns fails. If it is a foreign key, the \
               other table is locked with an AccessExclusiveLock as well.";
    let what = format!("dropping {name} may take an index away, or lock another table");
    Some(Finding::warning(ID, what, why).about(target).at(part.span.clone()))
}
