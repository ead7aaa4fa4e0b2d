#![doc = include_str!("rename_column.md")]

use super::{Finding, HazardSetting, Subject};
use crate::plan::HandStep;
use crate::sql::form::Form;
use crate::sql::form::Renamed;

/// The hazard's id.
pub const ID: &str = "rename-column";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Refuse;

/// Finds a column that gets another name.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let Form::Rename(rename) = &subject.statement.form else { return None };
    if !matches!(rename.what, Renamed::Column | Renamed::Attribute) || !subject.is_exposed(&rename.target) {
        return None;
    }
    let why = format!("Statements that name {} fail from the COMMIT on.", rename.from);
    let (thing, way) = match rename.what {
        Renamed::Attribute => (
            "attribute",
            "add an attribute with the new name, and drop the old one when no application uses it",
        ),
        _ => (
            "column",
            "in one transaction: rename the table, and make a view under its old name that shows the column under both names; \
             when no application uses the old one, drop the view and rename the table back",
        ),
    };
    let steps = vec![HandStep::words(way)];
    Some(
        Finding::refusal(
            ID,
            format!("renaming {thing} {} breaks whoever still uses the name", rename.from),
            why,
        )
        .about(&rename.target)
        .by_hand(steps),
    )
}
