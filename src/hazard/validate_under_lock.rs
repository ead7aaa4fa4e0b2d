#![doc = include_str!("validate_under_lock.md")]

use super::{Finding, HazardSetting, Subject};
use crate::effects::Cause;
use crate::plan::HandStep;

/// The hazard's id.
pub const ID: &str = "validate-under-lock";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Warn;

/// Finds a validation in a transaction that holds a strong lock.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let work = subject.work(&[Cause::Validation])?;
    let part = subject.part(work)?;
    let target = subject.target()?;
    let (locked, mode) = subject.past.strongest().cloned().or_else(|| {
        let own = subject.effects.strongest()?;
        Some((own.name.clone(), own.mode))
    })?;
    let mode = mode.with_article();
    let why = format!(
        "The table is read while the transaction holds {mode} on {locked}, which was meant for a moment only."
    );
    let steps = vec![HandStep::words(
        "COMMIT after ADD CONSTRAINT .. NOT VALID; validate in a transaction of its own",
    )];
    Some(
        Finding::warning(ID, "the constraint is validated while a strong lock is held", why)
            .about(target)
            .at(part.span.clone())
            .by_hand(steps),
    )
}
