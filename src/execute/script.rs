//! A Query message that begins and ends transactions itself, as migration files do: `BEGIN; ALTER ..; COMMIT`.
//!
//! Within a transaction block it makes no difference whether statements come in one message or each in its own, except
//! that after an error the rest of a message is not run. So each is sent alone, which lets what takes strong locks be
//! tried behind a savepoint, and no setting of ours outlive a transaction that the message leaves open or failed.

use crate::effects::Need;
use crate::judge::{self, Guard, Retry};
use crate::sql::statement::{Kind, Readable, Script, Statement};
use crate::upstream::link::Batch;
use crate::upstream::{Link, Lost};
use crate::wire::frame::{put, put_string};
use crate::wire::kind::client;
use crate::wire::server::Status;

use super::catalogue::{self, Looked};
use super::guard::Work;
use super::outcome::Outcome;
use super::{Run, guard, message};

/// Whether a message is to be run one statement after the other.
pub fn is_file(link: &Link, script: &Script, work: Work<'_>) -> bool {
    let control = |kind: &Kind| matches!(kind, Kind::Transaction(_));
    let mut kinds = script.statements.iter().map(|statement| &statement.kind);
    matches!(work, Work::Message(_))
        && link.batch == Batch::None
        && script.readable == Readable::Whole
        && script.statements.len() > 1
        && match link.tracker.status() {
            Status::Idle => kinds.next().is_some_and(control),
            Status::InTransaction => kinds.any(control),
            Status::Failed => false,
        }
}

/// Runs the statements one by one until one fails.
pub async fn run(run: &mut Run<'_>, script: &Script, guard: &Guard) -> Result<Outcome, Lost> {
    let text = script.text.as_bytes();
    let mut from = 0;
    for (at, statement) in script.statements.iter().enumerate() {
        let in_block = run.link.tracker.status() == Status::InTransaction;
        // Outside a block the rest is one implicit transaction, and must stay one message.
        let alone = in_block || matches!(statement.kind, Kind::Transaction(_));
        let rest = script.statements.get(at..).unwrap_or_default();
        let part = if alone { rest.get(..1).unwrap_or_default() } else { rest };
        let to = if alone { statement.span.end } else { text.len() };
        let frame = query(text, from, to);
        if part.iter().all(Statement::is_ordinary) {
            if message::pass(run.link, &frame).await? == message::Passed::Failed {
                return Ok(Outcome::Answered);
            }
        } else {
            let repeatable = in_block && part.iter().all(judge::is_repeatable);
            let outcome = guarded(run, &frame, guard, repeatable).await?;
            if outcome != Outcome::Answered || run.link.tracker.status() == Status::Failed {
                return Ok(outcome);
            }
            let mut past = run.link.tracker.past();
            past.hold_beyond();
            run.link.tracker.remember(past);
        }
        if !alone {
            break;
        }
        from = to;
    }
    Ok(Outcome::Answered)
}

async fn guarded(run: &mut Run<'_>, frame: &[u8], guard: &Guard, repeatable: bool) -> Result<Outcome, Lost> {
    // A statement before this one may have changed the client's time-outs.
    let session = match catalogue::look_up(run.link, &Need::default()).await? {
        Looked::Known(session, _) => session,
        Looked::Stopped(failed) => return Ok(Outcome::server_error(&failed, None, None)),
    };
    let retry =
        if repeatable && !run.link.tracker.holds_strong_lock() { Retry::Savepoint } else { Retry::Never };
    let mut part = Run {
        link: run.link,
        session: &session,
        policy: run.policy,
        surroundings: run.surroundings,
        record: run.record,
        rows: run.rows,
    };
    guard::run(&mut part, Work::Message(frame), &Guard { retry, ..guard.clone() }).await
}

/// A Query of a part of a text.
pub fn query(text: &[u8], from: usize, to: usize) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, client::QUERY, |out| put_string(out, &part(text, from, to)));
    out
}

/// A part of a text. What stands before it becomes blanks, so that positions in errors stay true.
pub fn part(text: &[u8], from: usize, to: usize) -> Vec<u8> {
    let before = text.get(..from).unwrap_or_default();
    let characters = std::str::from_utf8(before).map_or(before.len(), |before| before.chars().count());
    let part = text.get(from..to).unwrap_or_default();
    let part = part.strip_prefix(b";").map_or_else(|| part.to_vec(), |rest| [b" ", rest].concat());
    [vec![b' '; characters], part].concat()
}
