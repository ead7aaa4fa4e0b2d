#![doc = include_str!("misplaced_enum_value.md")]

use super::{Finding, HazardSetting, Subject};
use crate::sql::form::Form;

/// The hazard's id.
pub const ID: &str = "misplaced-enum-value";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Warn;

/// Finds an enum value without a place.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let Form::AlterEnum(change) = &subject.statement.form else { return None };
    if change.rename || change.placed {
        return None;
    }
    let why = "It sorts behind all others. And a value that is added in a transaction cannot be used in the \
         same transaction (55P04).";
    Some(Finding::warning(ID, "the new value goes to the end of the enum", why))
}
