#![doc = include_str!("enforce_constraint_scan.md")]

use super::{Finding, HazardSetting, Subject};
use crate::effects::Cause;
use crate::plan::HandStep;

/// The hazard's id.
pub const ID: &str = "enforce-constraint-scan";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Refuse;

/// Finds a constraint that is enforced at once (18).
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let work = subject.work(&[Cause::Enforcement])?;
    let part = subject.part(work)?;
    let target = subject.target()?;
    let why = format!(
        "Every row of {target} is read under an {}, so that all reads and writes wait until it is done.",
        work.under
    );
    Some(
        Finding::refusal(ID, "enforcing the constraint reads both tables under their locks", why)
            .about(target)
            .at(part.span.clone())
            .by_hand(vec![HandStep::words("drop the constraint, add it again NOT VALID, then VALIDATE it")]),
    )
}
