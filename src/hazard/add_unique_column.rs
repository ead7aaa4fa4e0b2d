#![doc = include_str!("add_unique_column.md")]

use super::{Finding, HazardSetting, Subject};
use crate::base::name::written;
use crate::effects::Cause;
use crate::plan::by_hand::{alter, unique_using_index};
use crate::sql::form::{Action, ConstraintKind};

/// The hazard's id.
pub const ID: &str = "add-unique-column";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Warn;

/// Finds a new column that is unique.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let work = subject.work(&[Cause::ColumnUnique])?;
    let part = subject.part(work)?;
    let target = subject.target()?;
    let Action::AddColumn { column, .. } = &part.action else { return None };
    let key = column
        .constraints
        .iter()
        .find(|it| matches!(it.kind, ConstraintKind::Unique | ConstraintKind::PrimaryKey))?;
    let name = key.name.clone().unwrap_or_else(|| subject.key_name(target, key));
    let mut steps =
        vec![alter(target, &format!("ADD COLUMN {} {}", written(&column.name), subject.column_type(column)))];
    steps.extend(unique_using_index(target, &name, key));
    let why = format!(
        "Its index is built under an {} on {target}, so that all reads and writes wait until it is done.",
        work.under
    );
    Some(
        Finding::warning(ID, "the new column's unique index is built under the table's lock", why)
            .about(target)
            .at(part.span.clone())
            .by_hand(steps),
    )
}
