#![doc = include_str!("add_checked_column.md")]

use super::{Finding, HazardSetting, Subject};
use crate::base::name::written;
use crate::effects::Cause;
use crate::plan::by_hand::alter;
use crate::sql::form::Action;
use crate::sql::form::ConstraintKind;

/// The hazard's id.
pub const ID: &str = "add-checked-column";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Warn;

/// Finds a new column with a CHECK of its own.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let work = subject.work(&[Cause::ColumnCheck])?;
    let part = subject.part(work)?;
    let target = subject.target()?;
    let Action::AddColumn { column, .. } = &part.action else { return None };
    let check = column.constraints.iter().find(|constraint| constraint.kind == ConstraintKind::Check)?;
    let name = check
        .name
        .clone()
        .unwrap_or_else(|| subject.constraint_name(target, &[&target.name, &column.name, "check"]));
    let expression =
        check.expression.as_ref().map(|expression| subject.text(&expression.span)).unwrap_or_default();
    let (own, quoted) = (written(&column.name), written(&name));
    let steps = vec![
        alter(
            target,
            &format!(
                "ADD COLUMN {own} {}, ADD CONSTRAINT {quoted} CHECK ({expression}) NOT VALID",
                subject.column_type(column)
            ),
        ),
        alter(target, &format!("VALIDATE CONSTRAINT {quoted}")),
    ];
    let why = format!(
        "Every row of {target} is read under an {}, so that all reads and writes wait until it is done.",
        work.under
    );
    Some(
        Finding::warning(ID, "the new column's CHECK reads the whole table under its lock", why)
            .about(target)
            .at(part.span.clone())
            .by_hand(steps),
    )
}
