#![doc = include_str!("change_type_reindex.md")]

use super::{Finding, HazardSetting, Subject};
use crate::effects::Cause;
use crate::plan::HandStep;
use crate::sql::form::Action;

/// The hazard's id.
pub const ID: &str = "change-type-reindex";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Refuse;

/// Finds a harmless change of type that builds an index again.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let work = subject.work(&[Cause::TypeIndex])?;
    let part = subject.part(work)?;
    let target = subject.target()?;
    let views = match &part.action {
        Action::SetType { column, .. } => subject.type_of_views(target, column),
        _ => String::new(),
    };
    let why = format!(
        "An index on the column is built again under an {}, so that all reads and writes wait until it is \
         done.{views}",
        work.under
    );
    let steps = vec![HandStep::words(
        "drop the index CONCURRENTLY, change the type, build the index CONCURRENTLY again",
    )];
    Some(
        Finding::refusal(
            ID,
            "the new type has the same bytes, but an index on the column is built again",
            why,
        )
        .about(target)
        .at(part.span.clone())
        .by_hand(steps),
    )
}
