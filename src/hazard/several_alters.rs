#![doc = include_str!("several_alters.md")]

use super::{Finding, HazardSetting, Subject};
use crate::plan::HandStep;

/// The hazard's id.
pub const ID: &str = "several-alters";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Warn;

/// Finds a second `ALTER TABLE` of a transaction that reads or rewrites the same table.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let target = subject.target().filter(|target| subject.is_exposed(target))?;
    let works = subject.effects.work.iter().any(|work| work.exposed);
    let before = subject.past.worked_on(target);
    if !works || !before {
        return None;
    }
    let why = "Each reads or rewrites the whole table while the transaction holds its lock, so that the time adds up. In one ALTER TABLE they \
               share a pass; but VALIDATE with its ADD, or DROP CONSTRAINT with the SET NOT NULL that it proves, is worse in one.";
    let steps = vec![HandStep::words("write them as one ALTER TABLE, or each in a transaction of its own")];
    Some(
        Finding::warning(ID, "the table is gone through several times in one transaction", why)
            .about(target)
            .by_hand(steps),
    )
}
