#![doc = include_str!("domain_constraint_scan.md")]

use super::{Finding, HazardSetting, Subject};
use crate::effects::Cause;
use crate::plan::HandStep;
use crate::sql::form::{Change, Form};

/// The hazard's id.
pub const ID: &str = "domain-constraint-scan";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Refuse;

const WHAT: &str = "the domain's constraint reads every table that uses it";

const WAY: &str = "put the condition as a CHECK that is NOT VALID on each table, and validate it there; or ADD \
     CONSTRAINT .. NOT VALID, and leave it so";

/// Finds a constraint of a domain that reads every table with such a column.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    if let Form::AlterDomain(alter) = &subject.statement.form
        && alter.change == Change::Checks
        && subject.facts.offline
    {
        let why = "Every table with a column of the domain is read under a ShareLock, so that all writes to them wait until it is done; which \
                   tables those are is not known here.";
        return Some(Finding::refusal(ID, WHAT, why).by_hand(vec![HandStep::words(WAY)]));
    }
    // The biggest decides whether all of them are small.
    let users = subject.effects.work.iter().filter(|work| work.cause == Cause::Domain);
    let work = users.max_by_key(|work| work.bytes)?;
    let count = subject.effects.work.iter().filter(|work| work.cause == Cause::Domain).count();
    let why = format!(
        "{count} of the tables that use the domain are read under a {}, so that all writes to them wait \
         until it is done.",
        work.under
    );
    let steps = vec![HandStep::words(WAY)];
    Some(Finding::refusal(ID, WHAT, why).about(&work.relation).by_hand(steps))
}
