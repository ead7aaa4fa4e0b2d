#![doc = include_str!("opaque_ddl.md")]

use super::{Finding, HazardSetting, Remedy, Subject};
use crate::plan::HandStep;
use crate::sql::form::{Body, DroppedObject, Form, Runs, Unseen};
use crate::sql::statement::{Kind, Opaque};

/// The hazard's id.
pub const ID: &str = "opaque-ddl";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Warn;

/// Finds a statement that may lock anything and that cannot be seen through.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    if let Form::Body(Body { unseen: Some(unseen), runs, .. }) = &subject.statement.form {
        return Some(unseen_code(subject, *unseen, *runs));
    }
    if takes_what_needs_it(subject) {
        let what = "what CASCADE drops is known to the server only";
        let why = "Columns, defaults, triggers and views that need it go with it, each under an AccessExclusiveLock on its table.";
        let steps = vec![HandStep::words(
            "leave out CASCADE: Postgres then names what needs it (2BP01), to be changed one by one",
        )];
        return Some(Finding::warning(ID, what, why).by_hand(steps));
    }
    let Kind::Opaque(opaque) = subject.statement.kind else { return None };
    let (why, remedy) = match opaque {
        Opaque::Block { .. } => {
            ("The DO block holds statements that may lock tables.", Remedy::Ladder { warning: None })
        }
        Opaque::Extension => {
            return Some(Finding::warning(
                ID,
                "the script of the extension has not been looked at",
                EXTENSION,
            ));
        }
        Opaque::Unread => (
            "The statement could not be read, and begins like one that may lock tables.",
            Remedy::Ladder { warning: None },
        ),
        // A lock_timeout would also bound the procedure's ordinary work.
        Opaque::Call => ("The procedure may hold statements that lock tables.", Remedy::Record),
    };
    Some(Finding::new(ID, why, remedy))
}

/// Whether CASCADE takes things along of which nothing more is known.
fn takes_what_needs_it(subject: &Subject<'_>) -> bool {
    let Form::Drop(dropped) = &subject.statement.form else { return false };
    let may = matches!(dropped.object, DroppedObject::Other | DroppedObject::Type);
    dropped.cascade && may && subject.effects.losses.is_empty()
}

const EXTENSION: &str = "It may lock tables, and nobody knows which before it runs.";

fn unseen_code(subject: &Subject<'_>, unseen: Unseen, runs: Runs) -> Finding {
    let (which, when) = match runs {
        Runs::Now => ("the block", "runs"),
        Runs::WhenCalled => ("the function", "is called"),
    };
    let why = match unseen {
        Unseen::Dynamic => {
            format!("Its EXECUTE puts statements together when it {when}; what they lock is known only then.")
        }
        Unseen::Language => {
            format!("Only SQL and PL/pgSQL are looked into; what it locks is known only when it {when}.")
        }
        Unseen::Unreadable => {
            format!("A statement in it cannot be read; what it locks is known only when it {when}.")
        }
    };
    // A block that holds no word of DDL needs no ladder.
    if runs == Runs::Now && subject.statement.is_ordinary() {
        return Finding::new(ID, why, Remedy::Record);
    }
    Finding::warning(ID, format!("a part of {which} has not been looked at"), why)
}
