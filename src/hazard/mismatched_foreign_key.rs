#![doc = include_str!("mismatched_foreign_key.md")]

use super::{Finding, HazardSetting, Subject};
use crate::effects::facts::TableFacts;
use crate::sql::form::{Action, Constraint, ConstraintKind};

/// The hazard's id.
pub const ID: &str = "mismatched-foreign-key";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Warn;

/// Finds a foreign key between columns of different types.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let target = subject.target()?;
    let (part, own, other) = subject.parts().iter().find_map(|part| {
        let (own, other) = match &part.action {
            Action::AddConstraint(key) => {
                let column = key.columns.first()?;
                (subject.facts.table(target)?.column(column)?.base.0.clone(), referred(subject, key)?)
            }
            Action::AddColumn { column, .. } => {
                let key = column.constraints.iter().find(|it| it.kind == ConstraintKind::Foreign)?;
                (column.ty.name.clone(), referred(subject, key)?)
            }
            _ => return None,
        };
        (own != other).then_some((part, own, other))
    })?;
    let why = format!(
        "The column is {own}, the one that it refers to {other}: values of one may not fit into the other, and comparing them may not use an \
         index."
    );
    Some(Finding::warning(ID, "the foreign key joins two types", why).about(target).at(part.span.clone()))
}

/// The type of the first column that a foreign key refers to.
fn referred(subject: &Subject<'_>, key: &Constraint) -> Option<String> {
    let references = key.references.as_ref()?;
    let table = subject.facts.table(&references.table)?;
    let column = references.columns.first().or_else(|| primary_key(table)?.first())?;
    Some(table.column(column)?.base.0.clone())
}

fn primary_key(table: &TableFacts) -> Option<&[String]> {
    let key = table.constraints.iter().find(|it| it.kind == ConstraintKind::PrimaryKey)?;
    Some(&key.columns)
}
