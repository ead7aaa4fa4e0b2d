#![doc = include_str!("drop_type.md")]

use super::{Finding, HazardSetting, Subject};
use crate::effects::Loss;
use crate::plan::HandStep;
use crate::plan::by_hand::spelled;
use crate::sql::form::{Altered, Form};

/// The hazard's id.
pub const ID: &str = "drop-type";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Refuse;

/// Finds types that take columns with them, and attributes that go.
pub fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let of_type = match &subject.statement.form {
        Form::Drop(_) => false,
        Form::AlterTable(alter) if alter.object == Altered::Type => true,
        _ => return Vec::new(),
    };
    subject.effects.losses.iter().filter_map(|loss| lost(loss, of_type)).collect()
}

fn lost(loss: &Loss, attribute: bool) -> Option<Finding> {
    Some(match loss {
        Loss::Column { table, column } if attribute => {
            let why = "It is gone from every value of the type that is stored, and every statement that names it fails from then on.";
            let steps = vec![HandStep::words(
                "release an application that does not name it, take a backup of the columns of the type, then allow it with a reason",
            )];
            // The type itself takes no room; where its values are is not looked up.
            Finding::refusal(ID, format!("dropping attribute {column} of {} destroys data", table.name), why)
                .by_hand(steps)
        }
        Loss::Column { table, column } => {
            let why = format!(
                "The values of {column} are gone, {} is locked with an AccessExclusiveLock, and every statement that names the \
                 column fails from then on.",
                spelled(table)
            );
            let what = format!("CASCADE drops column {column} of {}", table.name);
            Finding::refusal(ID, what, why).about(table).by_hand(way())
        }
        Loss::Needing(name) => {
            let why = "Columns that need it are gone with their values, and so are tables, functions and views; which ones is \
                       known to the server only.";
            let what = format!("CASCADE drops whatever needs {}", name.name);
            Finding::refusal(ID, what, why).by_hand(way())
        }
        _ => return None,
    })
}

fn way() -> Vec<HandStep> {
    vec![HandStep::words(
        "leave out CASCADE: Postgres then names what needs it (2BP01), to be changed or dropped one by one",
    )]
}
