#![doc = include_str!("add_constrained_domain.md")]

use super::{Finding, HazardSetting, Subject};
use crate::effects::Cause;
use crate::plan::HandStep;
use crate::sql::form::Action;

/// The hazard's id.
pub const ID: &str = "add-constrained-domain";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Refuse;

/// Finds a new column whose domain has constraints.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let work = subject.work(&[Cause::ConstrainedDomain])?;
    let part = subject.part(work)?;
    let target = subject.target()?;
    let Action::AddColumn { .. } = &part.action else { return None };
    let why = format!(
        "Every row of {target} and every index is written again under an {}, so that all reads and writes \
         wait until it is done.",
        work.under
    );
    let way = HandStep::words(
        "add the column with the type under the domain, and the domain's constraint as a CHECK that is NOT VALID, \
               then validate it",
    );
    Some(
        Finding::refusal(ID, "a column of a domain with constraints rewrites the table", why)
            .about(target)
            .at(part.span.clone())
            .by_hand(vec![way]),
    )
}
