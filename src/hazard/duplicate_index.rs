#![doc = include_str!("duplicate_index.md")]

use super::{Finding, HazardSetting, Subject};
use crate::sql::form::Form;

/// The hazard's id.
pub const ID: &str = "duplicate-index";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Warn;

/// Finds an index that is there already under another name.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let Form::CreateIndex(index) = &subject.statement.form else { return None };
    let table = subject.facts.table(&index.table).filter(|_| subject.is_exposed(&index.table))?;
    if subject.builds_nothing() {
        return None;
    }
    let columns: Option<Vec<String>> =
        index.columns.iter().map(|column| column.name.clone().filter(|_| column.plain)).collect();
    let columns = columns.filter(|_| !index.partial)?;
    let same = table.indexes.iter().find(|known| {
        known.columns == columns
            && !known.expressions
            && known.method == index.method
            && (known.unique || !index.unique)
    })?;
    if Some(&same.name.name) == index.name.as_ref() {
        return None;
    }
    let why = format!("{} has the same columns in the same order; every write pays for both.", same.name);
    Some(Finding::warning(ID, "there is such an index already", why).about(&index.table))
}
