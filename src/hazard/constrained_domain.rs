#![doc = include_str!("constrained_domain.md")]

use super::{Finding, HazardSetting, Subject};
use crate::plan::HandStep;
use crate::sql::form::{Change, Form};

/// The hazard's id.
pub const ID: &str = "constrained-domain";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Warn;

/// Finds a constraint that is put on a domain rather than on tables.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let known = match &subject.statement.form {
        Form::CreateDomain { constrained: true, .. } => true,
        // Those that are used, or may be, are told by what they read.
        Form::AlterDomain(alter) if alter.change == Change::Checks => {
            subject.facts.ty(&alter.domain).map_or(!subject.facts.offline, |ty| ty.users.is_empty())
        }
        _ => false,
    };
    if !known {
        return None;
    }
    let why = "Each change of it reads every table with such a column, and stops writes to all of them meanwhile; a new column of the domain \
               rewrites its table.";
    let steps = vec![HandStep::words("use the plain type, and put the condition as a CHECK on each table")];
    Some(Finding::warning(ID, "a constraint on a domain is hard to change later", why).by_hand(steps))
}
