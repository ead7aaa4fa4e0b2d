#![doc = include_str!("drop_owned.md")]

use super::{Finding, HazardSetting, Subject};
use crate::effects::Loss;
use crate::plan::HandStep;

/// The hazard's id.
pub const ID: &str = "drop-owned";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Refuse;

/// Finds the removal of everything that a role owns.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let roles = subject.effects.losses.iter().find_map(|loss| match loss {
        Loss::Owned(roles) => Some(roles),
        _ => None,
    })?;
    let why = "Every table of theirs in this database is gone with its rows, each under an AccessExclusiveLock that is held \
               until the end, and so are the rights that they were granted.";
    let steps = vec![
        HandStep::words("REASSIGN OWNED BY .. TO another role, then REVOKE what they were granted"),
        HandStep::words("what is not needed any more: take a backup; drop it one by one"),
    ];
    Some(
        Finding::refusal(ID, format!("dropping everything owned by {roles} may destroy data"), why)
            .by_hand(steps),
    )
}
