#![doc = include_str!("nullable_primary_key.md")]

use super::{Finding, HazardSetting, Subject};
use crate::effects::Cause;
use crate::plan::HandStep;

/// The hazard's id.
pub const ID: &str = "nullable-primary-key";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Warn;

/// Finds a primary key by an index on columns that may be null.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let work = subject.work(&[Cause::NullableKey])?;
    let part = subject.part(work)?;
    let target = subject.target()?;
    let why = format!(
        "Every row of {target} is read under an {}, so that all reads and writes wait until it is done.",
        work.under
    );
    let way = HandStep::words(
        "make each of its columns NOT NULL first, by a CHECK that is validated; then the key reads nothing",
    );
    Some(
        Finding::warning(ID, "the primary key reads the table to see that its columns hold no nulls", why)
            .about(target)
            .at(part.span.clone())
            .by_hand(vec![way]),
    )
}
