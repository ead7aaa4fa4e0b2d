#![doc = include_str!("add_unique_blocking.md")]

use super::{Finding, HazardSetting, Subject};
use crate::base::LockMode;
use crate::effects::Cause;
use crate::plan::constraint;
use crate::sql::form::Action;

/// The hazard's id.
pub const ID: &str = "add-unique-blocking";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Plan;

/// Finds a unique constraint whose index is built under the lock.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let work = subject.work(&[Cause::Unique])?;
    let part = subject.part(work)?;
    let Action::AddConstraint(constraint) = &part.action else { return None };
    let target = subject.target()?;
    let name = subject.name_for(target, constraint);
    let steps = subject.built_apart(target, &name, constraint);
    let why = format!(
        "Its index is built under an {} on {target}, so that all reads and writes wait until it is done.",
        work.under
    );
    let locked = subject
        .replaceable(LockMode::AccessExclusive)
        .filter(|_| !subject.is_refused_anyway(target, constraint))
        .filter(|_| subject.can_be_built_apart(constraint));
    let plan = locked
        .and_then(|locked| {
            Some(constraint::of_index(
                ID,
                (&locked, locked.oid?),
                &[],
                &subject.beside(target, &name),
                &steps,
            ))
        })
        .or_else(|| subject.key_plan(ID, target, &name, constraint));
    Some(
        Finding::warning(ID, "adding the unique constraint builds its index under the table's lock", why)
            .about(target)
            .at(part.span.clone())
            .by_hand(steps)
            .online(plan, "CREATE UNIQUE INDEX CONCURRENTLY, then ADD CONSTRAINT .. USING INDEX"),
    )
}
