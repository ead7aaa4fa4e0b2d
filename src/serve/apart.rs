//! A Query message of several statements, one of which must not run as sent: each is looked after by itself.
//!
//! Within a transaction block it makes no difference whether statements come in one message or each in its own, except that after
//! an error the rest of a message is not run. Where none is open, all of them are one implicit transaction: that becomes a block of
//! ours, which nobody sees, and nothing of it is committed before the last has succeeded. What the client itself says of transactions
//! behind it is said of that implicit one (`CommitTransactionCommand` and its like in `src/backend/access/transam/xact.c`).

use crate::execute::fail;
use crate::execute::outcome::Outcome;
use crate::execute::script as text_of;
use crate::judge::{self, Policy};
use crate::sql;
use crate::sql::statement::{Kind, Script, Statement, Transaction};
use crate::upstream::call::{Call, Item, Voice};
use crate::upstream::link::Lost;
use crate::wire::server::Status;

use super::engage::{Desk, Sent, take_held};
use super::statement::{Answer, Ended, run_held};
use super::{lease, queued};

/// Runs the statements of the message at the front of `link.held` one by one until one fails. `policy`: with what the message's
/// comments say, which hold for all of it.
pub(super) async fn run(
    desk: &mut Desk<'_>,
    policy: &Policy,
    script: &Script,
    sent: Sent<'_>,
) -> Result<Outcome, Lost> {
    take_held(desk.link, sent.total);
    if !judge::can_be_told_apart(script) {
        fail::transaction(desk.link).await?;
        return Ok(Outcome::own_error(&judge::inseparable()));
    }
    let mut desk = Desk {
        link: &mut *desk.link,
        policy,
        surroundings: desk.surroundings,
        scratch: desk.scratch,
        replication: desk.replication,
        lockers: desk.lockers,
        lease: &mut *desk.lease,
        shaped: desk.shaped,
    };
    let mut from = 0;
    let mut rest = script.statements.as_slice();
    while let Some(statement) = rest.first() {
        let in_block = desk.link.tracker.status() == Status::InTransaction;
        let several = if in_block || is_control(statement) { 1 } else { until_control(rest) };
        let (these, others) = rest.split_at_checked(several).unwrap_or((rest, &[]));
        let to =
            if others.is_empty() { sent.text.len() } else { these.last().map_or(from, |it| it.span.end) };
        let next = Next::of(others.first());
        let outcome = match these {
            [_] if in_block || is_control(statement) || next == Next::Nothing => {
                one(&mut desk, sent.text, from, to).await?
            }
            several => implicit(&mut desk, sent.text, (from, to), several, next).await?,
        };
        if matches!(outcome, Outcome::Failed(_)) || desk.link.tracker.status() == Status::Failed {
            return Ok(outcome);
        }
        tell_tag(&mut desk, outcome).await;
        (from, rest) = (to, others);
        if let (Next::Begin, [begin, others @ ..]) = (next, rest) {
            if desk.link.tracker.status() != Status::InTransaction {
                continue;
            }
            let to = if others.is_empty() { sent.text.len() } else { begin.span.end };
            let outcome = taken_over(&mut desk, &text_of::part(sent.text, from, to)).await?;
            if matches!(outcome, Outcome::Failed(_)) {
                return Ok(outcome);
            }
            tell_tag(&mut desk, outcome).await;
            (from, rest) = (to, others);
        }
    }
    Ok(Outcome::Answered)
}

/// What comes behind statements that are one implicit transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Nothing, or what ends it well: it is committed, and a COMMIT behind it finds nothing to do.
    Nothing,
    /// `BEGIN`, which makes a block of it that is the client's.
    Begin,
    /// What the server refuses in it, or what takes it back: nothing of it stays.
    Nought,
}

impl Next {
    fn of(statement: Option<&Statement>) -> Self {
        match statement.map(|statement| &statement.kind) {
            Some(Kind::Transaction(Transaction::Begin { .. })) => Self::Begin,
            None | Some(Kind::Transaction(Transaction::Commit | Transaction::Prepare)) => Self::Nothing,
            Some(_) => Self::Nought,
        }
    }
}

/// Whether a statement speaks of the transaction that it stands in.
const fn is_control(statement: &Statement) -> bool {
    match statement.kind {
        Kind::Transaction(control) => !matches!(control, Transaction::FinishPrepared),
        _ => false,
    }
}

/// The client's BEGIN in a block of ours, which is its own from now on; of what it says of the block the server takes what it still can.
async fn taken_over(desk: &mut Desk<'_>, begin: &[u8]) -> Result<Outcome, Lost> {
    let quiet = Item { voice: Voice::Ours, ..Item::client(begin) };
    let mut answer = Call::run(desk.link, &[quiet]).await?;
    Ok(match answer.failed {
        Some(failed) => {
            Call::run(desk.link, &[Item::ours("ROLLBACK")]).await?;
            Outcome::server_error(&failed, None, None)
        }
        None => Outcome::Complete(answer.tags.pop().unwrap_or_default()),
    })
}

/// How many statements come before the next that begins or ends a transaction.
fn until_control(statements: &[Statement]) -> usize {
    statements.iter().position(is_control).unwrap_or(statements.len())
}

/// One statement of the text.
async fn one(desk: &mut Desk<'_>, text: &[u8], from: usize, to: usize) -> Result<Outcome, Lost> {
    let part = text_of::part(text, from, to);
    let frame = text_of::query(text, from, to);
    let total = frame.len();
    desk.link.held.splice(..0, frame);
    if from > 0 {
        desk.link.tracker.next_of_message();
        if let Err(outcome) = lease::between(desk).await? {
            take_held(desk.link, total);
            return Ok(outcome);
        }
    }
    let script = sql::parse(&part, desk.link.tracker.reading().dialect());
    let sent = Sent::query(&part, total);
    match Box::pin(run_held(desk, &script, sent, Answer::Awaited)).await? {
        Ended::With(outcome) => Ok(outcome),
        Ended::Sent => Ok(Outcome::Answered),
    }
}

/// Statements that are one transaction although nobody has begun it.
async fn implicit(
    desk: &mut Desk<'_>,
    text: &[u8],
    (mut from, to): (usize, usize),
    statements: &[Statement],
    next: Next,
) -> Result<Outcome, Lost> {
    let begun = Call::run(desk.link, &[Item::ours("BEGIN")]).await?;
    if let Some(failed) = begun.failed {
        return Ok(Outcome::server_error(&failed, None, None));
    }
    desk.link.tracker.began();
    let last = statements.len().saturating_sub(1);
    for (at, statement) in statements.iter().enumerate() {
        let end = if at == last { to } else { statement.span.end };
        let outcome = one(desk, text, from, end).await?;
        let status = desk.link.tracker.status();
        if matches!(outcome, Outcome::Failed(_)) || status != Status::InTransaction {
            if status != Status::Idle {
                Call::run(desk.link, &[Item::ours("ROLLBACK")]).await?;
            }
            // What the client has heard already is its error.
            return Ok(match outcome {
                Outcome::Complete(_) => Outcome::Answered,
                other => other,
            });
        }
        tell_tag(desk, outcome).await;
        from = end;
    }
    match next {
        Next::Nothing => {}
        Next::Begin => return Ok(Outcome::Answered),
        Next::Nought => {
            desk.link.tracker.take_deferred();
            Call::run(desk.link, &[Item::ours("ROLLBACK")]).await?;
            return Ok(Outcome::Answered);
        }
    }
    Ok(match queued::commit(desk).await? {
        Outcome::Complete(_) => Outcome::Answered,
        other => other,
    })
}

async fn tell_tag(desk: &mut Desk<'_>, outcome: Outcome) {
    if let Outcome::Complete(tag) = outcome {
        let mut out = Vec::new();
        crate::wire::frame::put(&mut out, crate::wire::kind::server::COMMAND_COMPLETE, |out| {
            out.extend_from_slice(&tag);
        });
        desk.link.tell(&out).await;
    }
}
