#![doc = include_str!("wide_index.md")]

use super::{Finding, HazardSetting, Subject};
use crate::sql::form::Form;

/// The hazard's id.
pub const ID: &str = "wide-index";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Warn;

/// Finds an index on many columns.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let Form::CreateIndex(index) = &subject.statement.form else { return None };
    if subject.builds_nothing()
        || index.unique
        || index.columns.len() <= 3
        || !subject.is_exposed(&index.table)
    {
        return None;
    }
    let why = "An index on more than three columns is large, slows every write, and rarely serves more queries \
         than one on the first columns.";
    Some(Finding::warning(ID, "the index has more than three columns", why).about(&index.table))
}
