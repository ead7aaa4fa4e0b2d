#![doc = include_str!("rename_table.md")]

use super::{Finding, HazardSetting, Subject};
use crate::plan::HandStep;
use crate::sql::form::Form;
use crate::sql::form::Renamed;

/// The hazard's id.
pub const ID: &str = "rename-table";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Refuse;

/// Finds a table or view that gets another name.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let Form::Rename(rename) = &subject.statement.form else { return None };
    if !matches!(rename.what, Renamed::Table) || !subject.is_exposed(&rename.target) {
        return None;
    }
    let why = format!("Statements that name {} fail from the COMMIT on.", rename.from);
    let steps = vec![HandStep::words(&format!(
        "in one transaction: ALTER TABLE {0} RENAME TO {1}; CREATE VIEW {0} AS SELECT * FROM {1}; drop \
         the view when no application uses the old name",
        rename.from, rename.to
    ))];
    Some(
        Finding::refusal(ID, format!("renaming {} breaks whoever still uses the name", rename.from), why)
            .about(&rename.target)
            .by_hand(steps),
    )
}
