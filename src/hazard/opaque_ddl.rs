#![doc = include_str!("opaque_ddl.md")]

use super::{Finding, HazardSetting, Remedy, Subject};
use crate::sql::statement::{Kind, Opaque};

/// The hazard's id.
pub const ID: &str = "opaque-ddl";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Pass;

/// Finds a statement that may lock anything and that cannot be seen through.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let Kind::Opaque(opaque) = subject.statement.kind else { return None };
    let (why, remedy) = match opaque {
        Opaque::Block { .. } => ("The DO block holds statements that may lock tables.", ladder()),
        Opaque::Extension => ("The extension's script may lock tables.", ladder()),
        Opaque::Unread => {
            ("The statement could not be read, and begins like one that may lock tables.", ladder())
        }
        // A lock_timeout would also bound the procedure's ordinary work.
        Opaque::Call => ("The procedure may hold statements that lock tables.", Remedy::Record),
    };
    Some(Finding::new(ID, why, remedy))
}

const fn ladder() -> Remedy {
    Remedy::Ladder { warning: None }
}
