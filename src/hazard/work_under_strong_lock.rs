#![doc = include_str!("work_under_strong_lock.md")]

use super::{Finding, HazardSetting, Subject};
use crate::effects::Cause;
use crate::plan::HandStep;

/// The hazard's id.
pub const ID: &str = "work-under-strong-lock";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Warn;

/// Finds long work in a transaction that holds a strong lock already.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let (locked, mode) = subject.past.strongest()?;
    let mode = mode.with_article();
    let writes = subject.statement.writes.iter().any(|write| subject.are_many_rows(write));
    let works = subject.effects.work.iter().any(|work| {
        // A validation has a hazard of its own.
        work.exposed && work.bytes != Some(0) && work.cause != Cause::Validation
    });
    if !writes && !works {
        return None;
    }
    let why = format!(
        "The transaction holds {mode} on {locked} to its end: who needs that table waits for this work too."
    );
    let steps = vec![HandStep::words("COMMIT first, and do this in a transaction of its own")];
    Some(
        Finding::warning(ID, "long work follows in a transaction that holds a strong lock", why)
            .by_hand(steps),
    )
}
