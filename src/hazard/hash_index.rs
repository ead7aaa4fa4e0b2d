#![doc = include_str!("hash_index.md")]

use super::{Finding, HazardSetting, Subject};
use crate::sql::form::Form;

/// The hazard's id.
pub const ID: &str = "hash-index";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Warn;

/// Finds a hash index.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let Form::CreateIndex(index) = &subject.statement.form else { return None };
    if index.method != "hash" || !subject.is_exposed(&index.table) {
        return None;
    }
    let why = "It serves equality only, cannot be unique, and cannot give an order; a btree does all of it and \
         is rarely slower.";
    Some(Finding::warning(ID, "a hash index serves equality only", why).about(&index.table))
}
