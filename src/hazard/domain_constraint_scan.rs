#![doc = include_str!("domain_constraint_scan.md")]

use super::{Finding, HazardSetting, Subject};
use crate::effects::Cause;
use crate::plan::HandStep;

/// The hazard's id.
pub const ID: &str = "domain-constraint-scan";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Refuse;

/// Finds a constraint of a domain that reads every table with such a column.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let work = subject.work(&[Cause::Domain])?;
    let count = subject.effects.work.iter().filter(|work| work.cause == Cause::Domain).count();
    let why = format!("{count} tables that use the domain are read under a {}, so that all writes to them wait until it is done.", work.under);
    let steps = vec![HandStep::words("put the condition as a CHECK that is NOT VALID on each table, and validate it there; or ADD CONSTRAINT .. NOT VALID, and leave it so")];
    Some(Finding::refusal(ID, "the domain's constraint reads every table that uses it", why).about(&work.relation).by_hand(steps))
}
