//! The client's open transaction, rolled back so that nobody waits for its locks, and sent once more.
//!
//! Invariant: to its client the transaction is open all the time; what cannot be brought back is a failed one.

use std::time::Duration;

use crate::base::SqlState;
use crate::plan::task::MEANT;
use crate::session::deferred::Queue;
use crate::session::expected::Expected;
use crate::session::repeat::{Patience, Repeat, Unfit};
use crate::session::tracker::Transaction;
use crate::upstream::call::{Call, Failed, Item, Row, is_fatal, pass_news, until_ready};
use crate::upstream::link::Arrival;
use crate::upstream::{Link, Lost};
use crate::wire::Frame;
use crate::wire::client;
use crate::wire::fields::{message, sqlstate};
use crate::wire::frame::{HEADER_BYTES, put};
use crate::wire::kind::{client as client_kind, server};
use crate::wire::server::Status;

use super::attempt::{is_lock_timeout, restore};
use super::stall::StallWatch;
use super::{fail, outbox, warm};

/// How it went when a transaction was sent once more.
#[derive(Debug)]
pub enum Again {
    /// Everything was answered as before.
    Same,
    /// A lock did not come in time, or others waited.
    Missed(Option<Failed>),
    /// Something was answered differently; what, in a sentence.
    Differs(String),
}

/// Rolls the open transaction back upstream, whether it has failed or not.
pub async fn set_aside(link: &mut Link) -> Result<Transaction, Lost> {
    let transaction = link.tracker.take_transaction();
    restore(link, &["ROLLBACK"]).await?;
    Ok(transaction)
}

/// Functions that people have written, or extensions, and that may do anything: of those only that belong to Postgres itself, and
/// of others only those that change nothing, is it known that a rollback takes all back.
const VOLATILE: &str = "SELECT p.proname FROM pg_catalog.pg_proc p \
     WHERE pg_catalog.lower(p.proname::pg_catalog.text) OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.text[]) \
     AND p.provolatile OPERATOR(pg_catalog.=) 'v' AND p.pronamespace NOT IN ( \
        'pg_catalog'::pg_catalog.regnamespace, 'information_schema'::pg_catalog.regnamespace) LIMIT 1";

/// The texts of prepared statements.
const PREPARED: &str = "SELECT p.statement FROM pg_catalog.pg_prepared_statements p \
     WHERE p.name OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.text[])";

/// Whether a transaction may do what its messages do not tell. It must not have failed.
pub async fn calls_anything(link: &mut Link, repeat: &mut Repeat) -> Result<Option<Unfit>, Lost> {
    if !repeat.borrows.is_empty() {
        let quoted = |name: &String| format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""));
        let names: Vec<String> = repeat.borrows.iter().map(quoted).collect();
        let names = format!("{{{}}}", names.join(","));
        let answer = Call::run(link, &[Item::ours(PREPARED).with(vec![&names])]).await?;
        let texts: Vec<&str> =
            answer.rows_of(0).filter_map(|row| row.first().and_then(Option::as_deref)).collect();
        if let Err(unfit) = repeat.read_borrowed(&texts) {
            return Ok(Some(unfit));
        }
    }
    if let Some(odd) = repeat.calls.iter().find(|name| !name.is_ascii()) {
        return Ok(Some(Unfit::Calls(odd.clone())));
    }
    if repeat.calls.is_empty() {
        return Ok(None);
    }
    let calls: Vec<&str> = repeat.calls.iter().map(String::as_str).collect();
    let names = format!("{{{}}}", calls.join(","));
    let answer = Call::run(link, &[Item::ours(VOLATILE).with(vec![&names])]).await?;
    if answer.failed.is_some() {
        return Ok(Some(Unfit::Unread));
    }
    let name = answer.row(0).and_then(|row| row.first().cloned().flatten());
    Ok(name.map(Unfit::Calls))
}

/// Rolls back what was sent in vain.
pub async fn roll_back(link: &mut Link) -> Result<(), Lost> {
    if link.tracker.status() != Status::Idle {
        restore(link, &["ROLLBACK"]).await?;
    }
    Ok(())
}

/// Takes a transaction that is not open upstream out, so that the session is what it is to the server.
pub fn leave(link: &mut Link) -> Transaction {
    let transaction = link.tracker.take_transaction();
    link.tracker.received(server::READY, &[Status::Idle.byte()]);
    transaction
}

/// Opens an empty transaction in the place of one that was set aside.
pub async fn open_empty(link: &mut Link) -> Result<(), Lost> {
    leave(link);
    restore(link, &["BEGIN"]).await
}

/// The same, and fails it: its client must end it.
pub async fn open_failed(link: &mut Link) -> Result<(), Lost> {
    roll_back(link).await?;
    restore(link, &["BEGIN"]).await?;
    fail::transaction(link).await
}

/// Sends the transaction once more, in one burst; each of its locks is waited for so long.
///
/// Afterwards its end is the server's state only where everything was answered as before.
pub async fn send(
    link: &mut Link,
    repeat: &Repeat,
    patience: Duration,
    watch: &StallWatch<'_>,
) -> Result<Again, Lost> {
    roll_back(link).await?;
    close_statements(link, &repeat.makes).await?;
    if let Some(failed) = warm::before_repeat(link).await? {
        return Ok(Again::Missed(Some(failed)));
    }
    let limit = format!("SET LOCAL lock_timeout = {}", patience.as_millis().max(1));
    let mut before = vec![Item::ours("BEGIN")];
    if repeat.patience == Patience::Ours {
        before.push(Item::ours(&limit));
    }
    if let Some(failed) = Call::run(link, &before).await?.failed {
        return Ok(Again::Missed(Some(failed)));
    }
    let (difference, error) = burst(link, repeat).await?;
    let Some(what) = difference else { return Ok(Again::Same) };
    Ok(match error {
        Some(failed) if watch.has_struck(&failed) => Again::Missed(None),
        Some(failed) if is_lock_timeout(&failed) => Again::Missed(Some(failed)),
        // By the client, most likely: whoever asks for cancels hears of it.
        Some(failed) if sqlstate(&failed.body) == SqlState::QUERY_CANCELED => Again::Missed(Some(failed)),
        Some(failed) => Again::Differs(format!("Then {what} failed: {}.", message(&failed.body))),
        None => Again::Differs(format!("Then {what} was answered differently.")),
    })
}

/// Tells the queue of a transaction that was sent once more the numbers of what it has made.
pub async fn renumber(link: &mut Link) -> Result<(), Lost> {
    let tasks = link.tracker.deferred().map(Queue::tasks).unwrap_or_default();
    let about: Vec<String> = tasks.iter().map(|task| outbox::about_text(&task.about)).collect();
    if about.is_empty() {
        return Ok(());
    }
    let items: Vec<Item<'_>> = about.iter().map(|about| Item::ours(MEANT).with(vec![about])).collect();
    let answer = Call::run(link, &items).await?;
    let rows = (0..items.len()).flat_map(|at| answer.rows_of(at));
    let made_again = |row: &Row| match row.as_slice() {
        [_, Some(then), Some(now), Some(there)] if there == "false" => {
            Some((then.parse().ok()?, now.parse().ok()?))
        }
        _ => None,
    };
    let now = rows.filter_map(made_again).collect();
    if let Some(queue) = link.tracker.deferred_mut() {
        queue.renumber(&now);
    }
    Ok(())
}

/// Statements that the transaction has prepared are still there, and would be in the way of themselves.
async fn close_statements(link: &mut Link, names: &[Vec<u8>]) -> Result<(), Lost> {
    if names.is_empty() {
        return Ok(());
    }
    let mut out = Vec::new();
    for name in names {
        client::close(&mut out, b'S', name);
    }
    client::sync(&mut out);
    link.send(&out).await;
    until_ready(link).await
}

/// Sends the client's messages and compares the answers: the first that differs, and the error in it.
async fn burst(link: &mut Link, repeat: &Repeat) -> Result<(Option<String>, Option<Failed>), Lost> {
    let mut expected = expected(&repeat.bytes);
    let mut out = repeat.bytes.clone();
    if expected.needs_flush() {
        client::flush(&mut out);
    }
    link.offer(&out).await;
    let mut check = repeat.check();
    let (mut difference, mut error) = (None, None);
    while !expected.is_quiet() {
        let Arrival::Frame(kind, body) = link.next().await? else { continue };
        expected.received(kind);
        let mut frame = Vec::with_capacity(HEADER_BYTES + body.len());
        put(&mut frame, kind, |out| out.extend_from_slice(&body));
        check.heard(&frame);
        match kind {
            server::READY => link.tracker.received(kind, &body),
            server::ERROR if is_fatal(&body) => pass_news(link, kind, &body).await,
            server::ERROR if difference.is_none() => error = Some(Failed { item: 0, body }),
            server::NOTIFICATION | server::PARAMETER_STATUS => pass_news(link, kind, &body).await,
            _ => {}
        }
        if difference.is_none() && kind == server::READY {
            difference = check.difference();
            if difference.is_none() {
                error = None;
            }
        }
    }
    let difference = difference.or_else(|| check.last_difference());
    if expected.is_skipping() {
        let mut out = Vec::new();
        client::sync(&mut out);
        link.send(&out).await;
        until_ready(link).await?;
    }
    Ok((difference, error))
}

/// What the server owes for these messages.
fn expected(messages: &[u8]) -> Expected {
    let (mut expected, mut rest) = (Expected::default(), messages);
    while let Ok(Some(frame)) = Frame::peek(rest) {
        if frame.kind != client_kind::FLUSH {
            expected.sent(frame.kind);
        }
        rest = rest.get(HEADER_BYTES + frame.body.len()..).unwrap_or_default();
    }
    expected
}
