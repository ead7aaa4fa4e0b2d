#![doc = include_str!("drop_schema.md")]

use super::{Finding, HazardSetting, Subject};
use crate::effects::Loss;
use crate::plan::HandStep;

/// The hazard's id.
pub const ID: &str = "drop-schema";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Refuse;

/// Finds the removal of a schema.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let schema = subject.effects.losses.iter().find_map(|loss| match loss {
        Loss::Schema(schema) => Some(schema),
        _ => None,
    })?;
    let why = "With CASCADE every table in it is gone, each under an AccessExclusiveLock that is held until the \
         end.";
    let steps = vec![HandStep::words("take a backup; drop what is in it one by one")];
    Some(
        Finding::refusal(ID, format!("dropping schema {} may destroy data", schema.name), why).by_hand(steps),
    )
}
