#![doc = include_str!("rename_schema.md")]

use super::{Finding, HazardSetting, Subject};
use crate::plan::HandStep;
use crate::sql::form::Form;
use crate::sql::form::Renamed;

/// The hazard's id.
pub const ID: &str = "rename-schema";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Refuse;

/// Finds a schema that gets another name.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let Form::Rename(rename) = &subject.statement.form else { return None };
    if rename.what != Renamed::Schema {
        return None;
    }
    let why = format!("Statements and search paths that name {} fail from the COMMIT on.", rename.from);
    let steps =
        vec![HandStep::words("make the new schema beside the old one, with views; move table by table")];
    Some(
        Finding::refusal(
            ID,
            format!("renaming schema {} breaks whoever still uses the name", rename.from),
            why,
        )
        .by_hand(steps),
    )
}
