//! A session whose transaction has queued work: its savepoints and its end, and what may run in between.

use crate::base::{Notice, SqlState};
use crate::execute::outcome::Outcome;
use crate::execute::{fail, message};
use crate::judge;
use crate::session::deferred::Queue;
use crate::sql::form::Form;
use crate::sql::statement::{Kind, Script, Statement, Transaction};
use crate::upstream::call::{Call, Item};
use crate::upstream::link::{Link, Lost};
use crate::wire::server::Status;

use super::commit;
use super::engage::{Desk, Sent, Way};

/// Looks after what begins, marks or ends a transaction with a queue; `None` where that is not what is asked for.
pub(super) async fn look_after(
    desk: &mut Desk<'_>,
    script: &Script,
    sent: Sent<'_>,
) -> Result<Option<Outcome>, Lost> {
    let [statement] = script.statements.as_slice() else { return Ok(None) };
    let Kind::Transaction(control) = statement.kind else { return Ok(None) };
    if desk.link.tracker.deferred().is_none() {
        return Ok(None);
    }
    let failed = desk.link.tracker.status() == Status::Failed;
    Ok(Some(match control {
        Transaction::Commit | Transaction::CommitAndChain if !failed => commit::run(desk, control).await?,
        Transaction::Prepare if !failed => {
            fail::transaction(desk.link).await?;
            Call::run(desk.link, &[Item::ours("ROLLBACK")]).await?;
            Outcome::own_error(&not_prepared())
        }
        _ => pass(desk.link, statement, sent).await?,
    }))
}

/// Commits a transaction of ours, with what it has queued.
pub(super) async fn commit(desk: &mut Desk<'_>) -> Result<Outcome, Lost> {
    commit::run(desk, Transaction::Commit).await
}

/// What the queue means for ordinary statements.
pub(super) enum Bearing {
    /// Nothing.
    None,
    /// They are to be judged like any that are not ordinary.
    Judged,
    /// The client gets this error.
    Refused(Outcome),
}

/// What the queue means for a message of ordinary statements.
pub(super) async fn bearing(link: &mut Link, script: &Script) -> Result<Bearing, Lost> {
    let Some(pending) = link.tracker.deferred().map(Queue::pending) else { return Ok(Bearing::None) };
    let control = |statement: &Statement| matches!(statement.kind, Kind::Transaction(_));
    if script.statements.len() > 1 && script.statements.iter().any(control) {
        return Ok(Bearing::Judged);
    }
    Ok(match judge::before(&pending, script) {
        None => Bearing::None,
        Some(None) => Bearing::Judged,
        Some(Some(why)) => {
            fail::transaction(link).await?;
            Bearing::Refused(Outcome::own_error(&why))
        }
    })
}

/// Lets the server do it, and follows.
async fn pass(link: &mut Link, statement: &Statement, sent: Sent<'_>) -> Result<Outcome, Lost> {
    let outcome = if sent.way == Way::Simple {
        let frame: Vec<u8> = link.held.get(..sent.total).unwrap_or_default().to_vec();
        match message::pass(link, &frame).await? {
            message::Passed::Done => Outcome::Answered,
            message::Passed::Failed => return Ok(Outcome::Answered),
        }
    } else {
        let mut answer = Call::run(link, &[Item::client(sent.text)]).await?;
        if let Some(failed) = answer.failed {
            return Ok(Outcome::server_error(&failed, None, None));
        }
        Outcome::Complete(answer.tags.pop().unwrap_or_default())
    };
    follow(link, statement);
    Ok(outcome)
}

/// What has become of the queue.
pub(super) fn follow(link: &mut Link, statement: &Statement) {
    let Some(queue) = link.tracker.deferred_mut() else { return };
    match (&statement.kind, &statement.form) {
        (Kind::Transaction(Transaction::Savepoint), Form::Savepoint(name)) => queue.savepoint(name),
        (Kind::Transaction(Transaction::Release), Form::Savepoint(name)) => queue.release(name),
        (Kind::Transaction(Transaction::RollbackTo), Form::Savepoint(name)) => queue.rollback_to(name),
        // A COMMIT that comes here is one of a failed transaction, which the server rolls back.
        (Kind::Transaction(Transaction::RollbackAndChain | Transaction::CommitAndChain), _) => {
            *queue = Queue::default();
        }
        _ => {}
    }
    if queue.is_empty() {
        link.tracker.take_deferred();
    }
}

fn not_prepared() -> Notice {
    Notice::error(SqlState::FEATURE_NOT_SUPPORTED, "a transaction with deferred work cannot be prepared")
        .detail("Who commits it later may not be the one who queued the work, and would not run it.")
        .hint("COMMIT it, or SET lockkeeper.in_transaction = 'warn' before it to run everything as sent.")
}
