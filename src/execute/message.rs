//! A Query message of several statements, or one that must stay a simple Query: sent as it is, whole, under the ladder.
//!
//! Postgres runs such a message as one implicit transaction, so a failed attempt leaves nothing and the whole message
//! can be sent again, as long as nothing of its answer has reached the client.

use std::future::poll_fn;
use std::task::Poll;

use crate::base::relation::quote_literal;
use crate::judge::Retry;
use crate::session::{self, Eye, Glance};
use crate::upstream::call::{Call, Failed, Item};
use crate::upstream::debt::Owed;
use crate::upstream::link::{Batch, Reading};
use crate::upstream::{Link, Lost};
use crate::wire::frame::HEADER_BYTES;
use crate::wire::kind::{client, server};
use crate::wire::server::Status;
use crate::wire::{Frame, Header};

use super::attempt::{Attempt, Terms, client_timeout, is_lock_timeout, restore};
use super::catalogue::SessionSettings;

/// An answer longer than this is passed on as it comes, and then the message cannot be sent again.
const ANSWER_MAX: usize = 1 << 20;

/// Where the message runs, which decides how long a setting of ours lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ground {
    Session,
    Block,
    /// In a block, and the message can be sent again: behind a savepoint.
    Savepoint,
}

impl Ground {
    fn of(link: &Link, retry: Retry) -> Self {
        match (link.tracker.status(), retry) {
            (Status::InTransaction, Retry::Savepoint) => Self::Savepoint,
            (Status::InTransaction, _) => Self::Block,
            (Status::Idle | Status::Failed, _) => Self::Session,
        }
    }
}

/// Sends the whole `Query` frame once. `Attempt::Complete` carries nothing: the answer has been passed to the client,
/// but for its `ReadyForQuery`.
pub async fn attempt(
    link: &mut Link,
    frame: &[u8],
    session: &SessionSettings,
    terms: Terms<'_>,
) -> Result<Attempt, Lost> {
    let Terms { retry, patience, watch, .. } = terms;
    let own = &session.lock_timeout;
    let owed = patience.map(|patience| Owed {
        mark: format!("{}ms", patience.as_millis().max(1)),
        value: own.clone(),
        back: session.back("lock_timeout", own),
    });
    let ground = Ground::of(link, retry);
    if let Some(owed) = &owed
        && let Some(failed) = begin(link, &owed.mark, ground).await?
    {
        return Ok(Attempt::Failed(failed));
    }
    link.tracker.sent(client::QUERY);
    link.send(frame).await;
    // A Query ends the batch that stood open before it.
    link.batch = Batch::None;
    // What a function says on its way is for now: it may be at work for long.
    let notices = if owed.is_none() { Notices::AtOnce } else { Notices::InPlace };
    let answer = collect(link, notices).await?;
    let failed = match &answer {
        Answer::Kept(bytes) => error_in(bytes),
        Answer::Passed => None,
    };
    let missed = match failed {
        Some(failed) if watch.has_struck(&failed) => Some(Attempt::Stalled),
        // Under the client's own settings it is the client's to hear.
        Some(failed) if owed.is_some() && is_lock_timeout(&failed) => Some(Attempt::LockTimeout(failed)),
        Some(_) | None => None,
    };
    // Before anything of ours, whose answers may bring more news: those have an order.
    if let Answer::Kept(bytes) = answer {
        let kept = if missed.is_some() { select(&bytes, is_news) } else { without_ready(&bytes) };
        link.tell(&kept).await;
    }
    let Some(owed) = owed else { return Ok(missed.unwrap_or_else(|| Attempt::Complete(Vec::new()))) };
    match ground {
        Ground::Session => put_back(link, owed).await?,
        Ground::Block => put_back_in_block(link, &owed).await?,
        Ground::Savepoint => leave_savepoint(link, &owed, missed.is_some()).await?,
    }
    Ok(missed.unwrap_or_else(|| Attempt::Complete(Vec::new())))
}

/// Limits the patience of what follows.
async fn begin(link: &mut Link, mark: &str, ground: Ground) -> Result<Option<Failed>, Lost> {
    let scope = if ground == Ground::Session { "SESSION" } else { "LOCAL" };
    let set = format!("SET {scope} lock_timeout = {}", quote_literal(mark));
    let mut items = vec![Item::ours(&set)];
    if ground == Ground::Savepoint {
        items.insert(0, Item::ours("SAVEPOINT lockkeeper"));
    }
    Ok(Call::run(link, &items).await?.failed)
}

/// A message that failed behind our savepoint is undone only if it is sent again; its own error is the transaction's.
async fn leave_savepoint(link: &mut Link, owed: &Owed, missed: bool) -> Result<(), Lost> {
    match link.tracker.status() {
        Status::Failed if missed => {
            super::attempt::restore(link, &super::attempt::UNDO).await?;
        }
        Status::InTransaction => {
            Call::run(link, &[Item::ours("RELEASE SAVEPOINT lockkeeper")]).await?;
            put_back_in_block(link, owed).await?;
        }
        Status::Failed | Status::Idle => {}
    }
    Ok(())
}

/// What a block has changed for itself ends with it.
async fn put_back_in_block(link: &mut Link, owed: &Owed) -> Result<(), Lost> {
    if link.tracker.status() == Status::InTransaction && is_in_force(link, &owed.mark).await? {
        let back = format!("SET LOCAL lock_timeout = {}", quote_literal(&owed.value));
        Call::run(link, &[Item::ours(&back)]).await?;
    }
    Ok(())
}

/// Puts the session's setting back, unless the message itself has changed it; later, if a transaction that the message
/// has opened would undo that.
async fn put_back(link: &mut Link, owed: Owed) -> Result<(), Lost> {
    put_back_in_block(link, &owed).await?;
    link.owed = Some(Box::new(owed));
    link.tracker.stop_at_next();
    settle(link).await
}

/// Puts back what is owed, if nothing is in the way any more.
pub async fn settle(link: &mut Link) -> Result<(), Lost> {
    if link.tracker.status() != Status::Idle || link.tracker.ran_in_batch() {
        return Ok(());
    }
    let Some(owed) = link.owed.take() else { return Ok(()) };
    link.tracker.stop_at_watched();
    if is_in_force(link, &owed.mark).await? {
        restore(link, &[&owed.back]).await?;
    }
    Ok(())
}

/// Whether the setting is still ours. A cancel request that came late may hide it; then it counts as ours.
async fn is_in_force(link: &mut Link, mark: &str) -> Result<bool, Lost> {
    let answer = Call::run(link, &[Item::ours("SHOW lock_timeout")]).await?;
    let now = answer.row(0).and_then(|row| row.first().cloned().flatten());
    Ok(answer.failed.is_some() || now.is_none_or(|now| client_timeout(&now) == client_timeout(mark)))
}

/// How a message ended that was sent on without a guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passed {
    /// Without an error.
    Done,
    /// The client has heard the error.
    Failed,
}

/// Sends a `Query` frame and passes its answer on, but for its `ReadyForQuery`.
pub async fn pass(link: &mut Link, frame: &[u8]) -> Result<Passed, Lost> {
    link.tracker.sent(client::QUERY);
    link.send(frame).await;
    link.batch = Batch::None;
    let failed = match collect(link, Notices::InPlace).await? {
        Answer::Kept(bytes) => {
            link.tell(&without_ready(&bytes)).await;
            error_in(&bytes).is_some()
        }
        Answer::Passed => link.tracker.status() == Status::Failed,
    };
    Ok(if failed { Passed::Failed } else { Passed::Done })
}

/// When notices go to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Notices {
    /// With all that the server has said before them.
    InPlace,
    AtOnce,
}

enum Answer {
    /// The whole answer; the client has heard nothing yet.
    Kept(Vec<u8>),
    /// Too long to keep, or the client had to speak in between: it has everything but `ReadyForQuery`.
    Passed,
}

/// Bytes of `ReadyForQuery`, which ends the answer and is the last thing to be said.
const READY_BYTES: usize = 6;

async fn collect(link: &mut Link, notices: Notices) -> Result<Answer, Lost> {
    let mut kept = Vec::new();
    let mut passed = false;
    while !(link.tracker.expected.is_quiet() && link.tracker.at_boundary()) {
        if let Heard::Server(chunk) = link.hear().await? {
            link.tracker.server(&chunk).map_err(Lost::UpstreamMalformed)?;
            kept.extend_from_slice(&chunk);
            // What is passed on in part is not told apart any more.
            if notices == Notices::AtOnce && !passed {
                let (told, rest) = without_notices(&kept);
                link.tell(&told).await;
                kept = rest;
            }
        }
        if link.tracker.expected.is_copying_in() {
            passed = true;
            link.tell(&std::mem::take(&mut kept)).await;
            feed(link).await?;
        } else if kept.len() > ANSWER_MAX || passed {
            passed = true;
            let go = kept.len().saturating_sub(READY_BYTES);
            link.tell(kept.get(..go).unwrap_or_default()).await;
            kept.drain(..go);
        }
    }
    Ok(if passed { Answer::Passed } else { Answer::Kept(kept) })
}

/// Passes on what the client has sent of its COPY data.
async fn feed(link: &mut Link) -> Result<(), Lost> {
    let held = std::mem::take(&mut link.held);
    let seen = link.tracker.client(&held, &mut EndOfData).map_err(Lost::ClientMalformed)?;
    let (data, rest) = held.split_at_checked(seen.forward).unwrap_or((&held, &[]));
    link.send(data).await;
    link.held = rest.to_vec();
    let out_of_place = Header::peek(rest).map_err(Lost::ClientMalformed)?;
    if let Some(header) = out_of_place.filter(|_| link.tracker.expected.is_copying_in()) {
        // A statement in the middle of the data: the server ends the session over it.
        link.tracker.pass_unseen(header, rest.len());
        link.held.clear();
        link.send(rest).await;
    }
    match link.client_reading {
        Reading::Closed if link.tracker.expected.is_copying_in() => Err(Lost::Client(None)),
        Reading::Open | Reading::Closed => Ok(()),
    }
}

/// Nothing but data belongs into a COPY.
struct EndOfData;

impl Eye for EndOfData {
    fn glance(&mut self, _: &[u8], _: &session::Reading) -> Glance {
        Glance::Matters
    }

    fn writes_few(&mut self, _: &[u8], _: &session::Reading) -> bool {
        false
    }

    fn must_stop_head(&mut self, _: &[u8]) -> bool {
        true
    }

    fn looks_on(&self) -> bool {
        false
    }
}

fn error_in(bytes: &[u8]) -> Option<Failed> {
    let mut rest = bytes;
    while let Ok(Some(frame)) = Frame::peek(rest) {
        if frame.kind == server::ERROR {
            return Some(Failed { item: 0, body: frame.body.to_vec() });
        }
        rest = rest.get(HEADER_BYTES + frame.body.len()..)?;
    }
    None
}

/// The answer without its `ReadyForQuery`, behind which a notification may stand.
fn without_ready(bytes: &[u8]) -> Vec<u8> {
    select(bytes, |kind| kind != server::READY)
}

/// What is said to the client whatever it was doing, so that it must hear it although the answer is thrown away.
const fn is_news(kind: u8) -> bool {
    matches!(kind, server::NOTIFICATION | server::PARAMETER_STATUS)
}

/// The notices among whole messages, and everything else.
fn without_notices(bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (mut notices, mut others, mut rest) = (Vec::new(), Vec::with_capacity(bytes.len()), bytes);
    while let Ok(Some(frame)) = Frame::peek(rest) {
        let (whole, after) = rest.split_at_checked(HEADER_BYTES + frame.body.len()).unwrap_or((rest, &[]));
        let side = if frame.kind == server::NOTICE { &mut notices } else { &mut others };
        side.extend_from_slice(whole);
        rest = after;
    }
    others.extend_from_slice(rest);
    (notices, others)
}

/// Those messages whose type is `wanted`.
fn select(bytes: &[u8], wanted: impl Fn(u8) -> bool) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::with_capacity(bytes.len()), bytes);
    while let Ok(Some(frame)) = Frame::peek(rest) {
        let (whole, after) = rest.split_at_checked(HEADER_BYTES + frame.body.len()).unwrap_or((rest, &[]));
        if wanted(frame.kind) {
            out.extend_from_slice(whole);
        }
        rest = after;
    }
    out
}

/// Who spoke.
enum Heard {
    Server(Vec<u8>),
    /// The client has sent more COPY data, or has ended.
    Client,
}

impl Link {
    /// The next bytes from the server, whatever they are; in a COPY the client is listened to as well.
    async fn hear(&mut self) -> Result<Heard, Lost> {
        // What came together with an answer to a question of ours, a notification most likely, comes first.
        let before = self.take_unasked();
        if !before.is_empty() {
            return Ok(Heard::Server(before));
        }
        let mut buffer = vec![0; 16 << 10];
        let copying = self.tracker.expected.is_copying_in();
        let read = poll_fn(|cx| {
            if let Poll::Ready(outcome) = self.poll_read_upstream(cx, &mut buffer) {
                return Poll::Ready(outcome.map(Some));
            }
            let before = self.held.len();
            self.poll_ahead(cx);
            let spoke = self.held.len() > before || self.client_reading == Reading::Closed;
            if copying && spoke { Poll::Ready(Ok(None)) } else { Poll::Pending }
        })
        .await?;
        match read {
            None => Ok(Heard::Client),
            Some(0) => Err(Lost::Upstream(None)),
            Some(read) => {
                buffer.truncate(read);
                Ok(Heard::Server(buffer))
            }
        }
    }
}
