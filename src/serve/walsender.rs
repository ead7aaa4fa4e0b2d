//! Statements on the connection of a walsender in a database: it takes SQL beside its own commands, but by simple Query
//! only, so that no statement of ours can stand beside the client's and nothing can be guarded.

use crate::base::{Notice, SqlState};
use crate::event::Judged;
use crate::execute::outcome::Outcome;
use crate::execute::tell::tell;
use crate::judge::{Decision, Mode};
use crate::sql;
use crate::sql::statement::{Kind, Statement};
use crate::upstream::link::Lost;

use super::engage::{Desk, Way, drop_held, finish};

/// Passes a Query that can hurt nobody, and refuses others. Session settings do not count, since they cannot be asked for.
pub(super) async fn look_after(desk: &mut Desk<'_>, text: &[u8], total: usize) -> Result<(), Lost> {
    let script = sql::parse(text, desk.link.tracker.reading().dialect());
    let Some(statement) = script.statements.iter().find(|statement| matters(statement)) else {
        desk.link.forward_held(total).await;
        return Ok(());
    };
    let error = refusal(statement);
    let refused = desk.policy.mode == Mode::Enforce;
    let decision = if refused { Decision::Refuse(error.clone()) } else { Decision::Forward };
    let place = &desk.surroundings.place;
    Judged { hazards: &[], decision: &decision, database: &place.database, pid: place.pid }.emit();
    if !refused {
        let notice = Notice::info(format!("{} would be refused on a replication connection", statement.tag));
        tell(desk.link, &[notice.hint("lockkeeper only observes here and sends it as it is.")]).await;
        desk.link.forward_held(total).await;
        return Ok(());
    }
    drop_held(desk.link, total);
    desk.fail_transaction().await?;
    finish(desk.link, Way::Simple, Outcome::own_error(&error)).await
}

fn matters(statement: &Statement) -> bool {
    !matches!(statement.kind, Kind::Setting(_)) && !statement.is_ordinary()
}

fn refusal(statement: &Statement) -> Notice {
    let message = format!("{} cannot be guarded on a replication connection", statement.tag);
    Notice::error(SqlState::FEATURE_NOT_SUPPORTED, message)
        .detail("It may lock tables, and a walsender takes no statements beside it that would keep the wait short.")
        .hint("Send it by an ordinary connection, or set mode = \"off\" in a [[rule]] for this user.")
}
