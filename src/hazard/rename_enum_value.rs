#![doc = include_str!("rename_enum_value.md")]

use super::{Finding, HazardSetting, Subject};
use crate::plan::HandStep;
use crate::sql::form::Form;

/// The hazard's id.
pub const ID: &str = "rename-enum-value";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Refuse;

/// Finds an enum value that gets another name.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let Form::AlterEnum(change) = &subject.statement.form else { return None };
    if !change.rename {
        return None;
    }
    let why = "Applications that write or compare the old value fail from the COMMIT on (22P02).";
    let steps = vec![HandStep::words(
        "add the new value, let applications read both and write the new one, change the rows in batches",
    )];
    Some(Finding::refusal(ID, "renaming an enum value breaks whoever still uses it", why).by_hand(steps))
}
