#![doc = include_str!("move_to_schema.md")]

use super::{Finding, HazardSetting, Subject};
use crate::plan::HandStep;
use crate::sql::form::Form;
use crate::sql::form::Renamed;

/// The hazard's id.
pub const ID: &str = "move-to-schema";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Refuse;

/// Finds a table that moves to another schema.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let Form::Rename(rename) = &subject.statement.form else { return None };
    if !matches!(rename.what, Renamed::TableSchema) || !subject.is_exposed(&rename.target) {
        return None;
    }
    let why = format!("Statements that find {} in its schema fail from the COMMIT on.", rename.from);
    let steps = vec![HandStep::words(
        "in one transaction: SET SCHEMA, and a view of the same name in the old schema; drop the view \
         when no application uses it",
    )];
    Some(
        Finding::refusal(
            ID,
            format!("moving {} to another schema breaks whoever still looks for it there", rename.from),
            why,
        )
        .about(&rename.target)
        .by_hand(steps),
    )
}
