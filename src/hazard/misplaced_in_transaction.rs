#![doc = include_str!("misplaced_in_transaction.md")]

use super::{Finding, HazardSetting, Remedy, Subject};
use crate::base::{Notice, SqlState};
use crate::plan::HandStep;
use crate::sql::form::{Action, Form};
use crate::sql::statement::{Kind, Place};

/// The hazard's id.
pub const ID: &str = "misplaced-in-transaction";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Refuse;

/// Finds a statement in a transaction block that Postgres runs outside of one only.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    if subject.statement.place != Place::OutsideOnly || !subject.past.in_transaction {
        return None;
    }
    let what = format!("{} cannot run inside a transaction block", name(subject));
    let why = "It works in several transactions of its own. A message of several statements is a transaction block too, and so is a DO \
               block or a function.";
    let steps = vec![HandStep {
        outside: true,
        ..HandStep::words(
            "move this statement out of the transaction, into a message of its own: in Alembic \"with op.get_context().autocommit_block():\", in Django \
         \"atomic = False\" in the migration, in Rails \"disable_ddl_transaction!\", in psql without BEGIN and without -1",
        )
    }];
    let refusal = Notice::error(SqlState::ACTIVE_TRANSACTION, what).detail(why);
    Some(Finding::new(ID, why, Remedy::Refuse(refusal)).by_hand(steps))
}

/// The statement as Postgres names it in the same error.
fn name(subject: &Subject<'_>) -> String {
    let concurrently = match (&subject.statement.kind, &subject.statement.form) {
        (Kind::CreateIndex(it), _) => it.concurrently,
        (Kind::DropIndex(it), _) => it.concurrently,
        (Kind::Reindex(it), _) => it.concurrently == Some(true),
        (_, Form::AlterTable(_)) => {
            let detaches = |part: &crate::sql::form::Part| {
                matches!(part.action, Action::Detach { concurrently: true, .. })
            };
            if subject.parts().iter().any(detaches) {
                return "ALTER TABLE .. DETACH CONCURRENTLY".to_owned();
            }
            false
        }
        _ => false,
    };
    let tag = subject.statement.tag;
    if concurrently { format!("{tag} CONCURRENTLY") } else { tag.to_owned() }
}
