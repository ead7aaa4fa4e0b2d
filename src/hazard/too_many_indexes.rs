#![doc = include_str!("too_many_indexes.md")]

use super::{Finding, HazardSetting, Subject};
use crate::sql::form::Form;

/// As many indexes are much for one table.
const MANY: usize = 10;

/// The hazard's id.
pub const ID: &str = "too-many-indexes";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Warn;

/// Finds one more index on a table that has many.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let Form::CreateIndex(index) = &subject.statement.form else { return None };
    let table = subject.facts.table(&index.table).filter(|_| subject.is_exposed(&index.table))?;
    let count = table.indexes.len();
    if count < MANY || subject.builds_nothing() {
        return None;
    }
    let why = "Every INSERT writes into each of them, and so does every UPDATE that cannot stay in its page; pg_stat_user_indexes tells which \
               are not read.";
    Some(Finding::warning(ID, format!("the table has {count} indexes already"), why).about(&index.table))
}
