//! A session whose transaction has queued work: its savepoints and its end, and what may run in between.

use std::collections::BTreeSet;

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
        Transaction::Begin { read_only: true } if !failed => match bearing(desk.link, script).await? {
            Bearing::Refused(outcome) => outcome,
            Bearing::None | Bearing::Judged => pass(desk.link, statement, sent).await?,
        },
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
    Ok(match judge::before(&pending, script) {
        None => match written_by_people(link, &judge::calls_behind(&pending, script)).await? {
            Some(function) => refused(link, &judge::calls_blindly(script, &function)).await?,
            None => Bearing::None,
        },
        Some(None) => Bearing::Judged,
        Some(Some(why)) => refused(link, &why).await?,
    })
}

async fn refused(link: &mut Link, why: &Notice) -> Result<Bearing, Lost> {
    fail::transaction(link).await?;
    Ok(Bearing::Refused(Outcome::own_error(why)))
}

/// One of these functions whose code people have written and that may read tables: an immutable one says that it does not.
async fn written_by_people(link: &mut Link, names: &BTreeSet<String>) -> Result<Option<String>, Lost> {
    const READS: &str = "SELECT p.proname FROM pg_catalog.pg_proc p \
         JOIN pg_catalog.pg_language l ON l.oid OPERATOR(pg_catalog.=) p.prolang \
         WHERE pg_catalog.lower(p.proname::pg_catalog.text) OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.text[]) \
         AND p.provolatile OPERATOR(pg_catalog.<>) 'i' AND l.lanname NOT IN ('internal', 'c') \
         AND p.pronamespace NOT IN ( \
            'pg_catalog'::pg_catalog.regnamespace, 'information_schema'::pg_catalog.regnamespace) LIMIT 1";
    // What is not ASCII is not told in lower case by every server; it is no word of an array either.
    let names: Vec<&str> = names.iter().map(String::as_str).filter(|name| name.is_ascii()).collect();
    if names.is_empty() {
        return Ok(None);
    }
    let names = format!("{{{}}}", names.join(","));
    let answer = Call::run(link, &[Item::ours(READS).with(vec![&names])]).await?;
    Ok(answer.row(0).and_then(|row| row.first().cloned().flatten()))
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
