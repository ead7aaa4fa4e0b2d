#![doc = include_str!("drop_database.md")]

use super::{Finding, HazardSetting, Subject};
use crate::effects::Loss;
use crate::plan::HandStep;

/// The hazard's id.
pub const ID: &str = "drop-database";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Refuse;

/// Finds the removal of a database.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let database = subject.effects.losses.iter().find_map(|loss| match loss {
        Loss::Database(database) => Some(database),
        _ => None,
    })?;
    let steps = vec![HandStep::words("take a backup; make sure that nothing connects to it any more")];
    Some(
        Finding::refusal(ID, format!("dropping database {database} destroys data"), "All of it is gone.")
            .by_hand(steps),
    )
}
