#![doc = include_str!("drop_not_null.md")]

use super::{Finding, HazardSetting, Subject};
use crate::base::RelationName;
use crate::sql::form::Action;

/// The hazard's id.
pub const ID: &str = "drop-not-null";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Warn;

/// Finds a column that may be null from now on.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let target = subject.target().filter(|target| subject.is_exposed(target))?;
    let (part, column) = subject.parts().iter().find_map(|part| match &part.action {
        Action::DropNotNull(column) if !is_nullable(subject, target, column) => Some((part, column)),
        _ => None,
    })?;
    let why = "Applications that read it may not expect a null; and it takes a scan, or a validated CHECK, to \
         go back.";
    Some(
        Finding::warning(ID, format!("column {column} may be null from now on"), why)
            .about(target)
            .at(part.span.clone()),
    )
}

fn is_nullable(subject: &Subject<'_>, table: &RelationName, column: &str) -> bool {
    subject.facts.table(table).and_then(|table| table.column(column)).is_some_and(|it| !it.not_null)
}
