#![doc = include_str!("add_check_scan.md")]

use super::{Finding, HazardSetting, Subject};
use crate::base::LockMode;
use crate::effects::Cause;
use crate::plan::by_hand;
use crate::plan::constraint;
use crate::sql::form::Action;

/// The hazard's id.
pub const ID: &str = "add-check-scan";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Plan;

/// Finds a CHECK that is tested against every row at once.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let work = subject.work(&[Cause::Check])?;
    let part = subject.part(work)?;
    let Action::AddConstraint(constraint) = &part.action else { return None };
    let target = subject.target()?;
    let name = subject.name_for(target, constraint);
    let steps = by_hand::add_then_validate(target, &name, &subject.constraint(constraint, &name)?);
    let why = format!(
        "Every row of {target} is read under an {}, so that all reads and writes wait until it is done.",
        work.under
    );
    let mode = LockMode::AccessExclusive;
    let locks = subject.replaceable(mode).map(|locked| vec![locked]);
    let locks = locks
        .or_else(|| subject.replaceable_tree(mode, &name).map(|(locks, _)| locks))
        .filter(|_| !subject.is_refused_anyway(target, constraint) && !subject.has_kin(target));
    let plan = locks.map(|locks| constraint::validated(ID, target, &name, &steps, &locks));
    Some(
        Finding::warning(ID, "adding the CHECK reads the whole table under its lock", why)
            .about(target)
            .at(part.span.clone())
            .by_hand(steps)
            .online(plan, "ADD CONSTRAINT .. NOT VALID, then VALIDATE CONSTRAINT"),
    )
}
