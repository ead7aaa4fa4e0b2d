#![doc = include_str!("add_required_column.md")]

use super::{Finding, HazardSetting, Subject};
use crate::base::name::written;
use crate::plan::HandStep;
use crate::plan::by_hand::{alter, set_not_null};
use crate::sql::form::Action;
use crate::sql::form::ConstraintKind;

/// The hazard's id.
pub const ID: &str = "add-required-column";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Refuse;

/// Finds a NOT NULL column without a value for the rows that are there.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let target = subject.target().filter(|target| subject.is_exposed(target))?;
    let (part, column) = subject.parts().iter().find_map(|part| match &part.action {
        Action::AddColumn { column, .. } => Some((part, column)),
        _ => None,
    })?;
    let required = column.constraints.iter().any(|constraint| constraint.kind == ConstraintKind::NotNull);
    let filled = column.default.is_some()
        || column.identity.is_some()
        || column.generated.is_some()
        || column.ty.is_serial();
    let empty = subject.facts.relation(target).is_some_and(|relation| relation.bytes == Some(0));
    if !required || filled || empty {
        return None;
    }
    let mut steps =
        vec![alter(target, &format!("ADD COLUMN {} {}", written(&column.name), subject.column_type(column)))];
    steps.push(HandStep::words("let the application write it, and fill the old rows in batches"));
    steps.extend(set_not_null(
        target,
        &column.name,
        &subject.naming().constraints_taken(target),
        subject.facts.server_version,
    ));
    let why = format!(
        "The rows of {target} would hold a null there: Postgres answers 23502 as soon as there is one row, after having \
                       waited for an AccessExclusiveLock."
    );
    Some(
        Finding::refusal(ID, format!("column {} would be NOT NULL without a value", column.name), why)
            .about(target)
            .at(part.span.clone())
            .by_hand(steps),
    )
}
