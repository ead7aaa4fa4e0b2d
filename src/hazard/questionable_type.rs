#![doc = include_str!("questionable_type.md")]

use super::{Finding, HazardSetting, Subject};
use crate::sql::form::Action;
use crate::sql::form::Form;
use crate::sql::form::{Column, ConstraintKind};

/// The hazard's id.
pub const ID: &str = "questionable-type";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Warn;

/// Finds a new column whose type will be regretted.
pub fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let columns: Vec<&Column> = match &subject.statement.form {
        Form::CreateTable(table) if !table.temporary => table.columns.iter().collect(),
        Form::AlterTable(_) => subject.parts().iter().filter_map(|part| match &part.action {
            Action::AddColumn { column, .. } => Some(&**column),
            _ => None,
        }).collect(),
        _ => Vec::new(),
    };
    let regretted = columns.into_iter().filter_map(|column| Some((column, regret(column)?)));
    regretted
        .map(|(column, why)| {
            let what = format!("column {} has a type that is often regretted: {}", column.name, column.ty);
            Finding::warning(ID, what, why)
        })
        .collect()
}

/// Why people come to regret a type.
fn regret(column: &Column) -> Option<&'static str> {
    let ty = &column.ty;
    let key = column.constraints.iter().any(|constraint| constraint.kind == ConstraintKind::PrimaryKey);
    if ty.is_built_in("json") {
        Some("json has no equality, so that DISTINCT, GROUP BY and UNION fail on it; jsonb has.")
    } else if ty.is_built_in("bpchar") {
        Some("char(n) pads with blanks, which count in some comparisons and not in others; text does not.")
    } else if ty.is_built_in("timestamp") {
        Some("A timestamp without time zone means another moment in each session's time zone; timestamptz does not.")
    } else if ty.is_serial() && !ty.name.starts_with("big") && ty.name != "serial8" {
        Some("Its sequence runs out at two billion, or sooner; changing it to bigint rewrites the table. GENERATED AS IDENTITY on a bigint lasts.")
    } else if key && (ty.is_built_in("int4") || ty.is_built_in("int2")) {
        Some("A key of that size runs out at two billion, or sooner; changing it to bigint rewrites the table and all that refer to it.")
    } else if ty.is_built_in("varchar") && !ty.modifiers.is_empty() {
        Some("A limit that proves too small later is changed under a strong lock; text with a CHECK is changed without one.")
    } else {
        None
    }
}
