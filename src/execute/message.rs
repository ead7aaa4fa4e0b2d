//! A Query message of several statements, or one that must stay a simple Query: sent as it is, whole, under the ladder.
//!
//! Postgres runs such a message as one implicit transaction, so a failed attempt leaves nothing and the whole message
//! can be sent again, as long as nothing of its answer has reached the client.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use crate::base::relation::quote_literal;
use crate::judge::Retry;
use crate::upstream::call::{Call, Failed, Item};
use crate::upstream::link::Reading;
use crate::upstream::{Link, Lost};
use crate::wire::frame::{put, put_string};
use crate::wire::kind::{client, server};
use crate::wire::server::Status;
use crate::wire::{Frame, Header};

use super::Run;
use super::attempt::{Attempt, client_timeout, is_lock_timeout, restore};

/// An answer longer than this is passed on as it comes, and then the message cannot be sent again.
const ANSWER_MAX: usize = 1 << 20;

/// Sends the whole `Query` frame once. `Attempt::Complete` carries nothing: the answer has been passed to the client,
/// but for its `ReadyForQuery`.
pub async fn attempt(
    run: &mut Run<'_>,
    frame: &[u8],
    retry: Retry,
    patience: Duration,
) -> Result<Attempt, Lost> {
    let (link, own) = (&mut *run.link, &run.session.lock_timeout);
    let mark = format!("{}ms", patience.as_millis().max(1));
    let in_block = link.tracker.status() == Status::InTransaction;
    let scope = if in_block { "LOCAL" } else { "SESSION" };
    let set = format!("SET {scope} lock_timeout = {}", quote_literal(&mark));
    let mut before = vec![Item::ours(&set)];
    if retry == Retry::Savepoint {
        before.insert(0, Item::ours("SAVEPOINT lockkeeper"));
    }
    if let Some(failed) = Call::run(link, &before).await?.failed {
        return Ok(Attempt::Failed(failed));
    }
    link.tracker.sent(client::QUERY);
    link.send(frame).await;
    let answer = collect(link).await?;
    let timed_out = match &answer {
        Answer::Kept(bytes) => lock_timeout_in(bytes),
        Answer::Passed => None,
    };
    let undone = timed_out.is_some() && retry == Retry::Savepoint;
    if undone {
        let undo = ["ROLLBACK TO SAVEPOINT lockkeeper", "RELEASE SAVEPOINT lockkeeper"].map(Item::ours);
        Call::run(link, &undo).await?;
    }
    match link.tracker.status() {
        // Where the transaction ends, what was set in it ends too.
        Status::Failed => {}
        Status::Idle if in_block => {}
        Status::InTransaction if undone => {}
        Status::InTransaction => {
            put_back(link, &mark, &format!("SET LOCAL lock_timeout = {}", quote_literal(own))).await?;
            if retry == Retry::Savepoint {
                Call::run(link, &[Item::ours("RELEASE SAVEPOINT lockkeeper")]).await?;
            }
        }
        Status::Idle => {
            put_back(link, &mark, &format!("SET SESSION lock_timeout = {}", quote_literal(own))).await?;
        }
    }
    Ok(match (answer, timed_out) {
        (_, Some(failed)) => Attempt::LockTimeout(failed),
        (Answer::Kept(bytes), None) => {
            link.tell(without_ready(&bytes)).await;
            Attempt::Complete(Vec::new())
        }
        (Answer::Passed, None) => Attempt::Complete(Vec::new()),
    })
}

enum Answer {
    /// The whole answer; the client has heard nothing yet.
    Kept(Vec<u8>),
    /// Too long to keep: the client has everything but `ReadyForQuery`.
    Passed,
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
    let failed = match collect(link).await? {
        Answer::Kept(bytes) => {
            link.tell(without_ready(&bytes)).await;
            error_in(&bytes).is_some()
        }
        Answer::Passed => link.tracker.status() == Status::Failed,
    };
    Ok(if failed { Passed::Failed } else { Passed::Done })
}

async fn collect(link: &mut Link) -> Result<Answer, Lost> {
    let mut kept = Vec::new();
    let mut passed = false;
    while !(link.tracker.expected.is_quiet() && link.tracker.at_boundary()) {
        if link.tracker.expected.is_copying_in() {
            passed = true;
            link.tell(&kept).await;
            kept.clear();
        }
        let chunk = match link.next_piece().await? {
            Piece::Server(chunk) => chunk,
            Piece::Copy(total) => {
                link.forward_held(total).await;
                continue;
            }
            Piece::CopyAbandoned => {
                let mut out = Vec::new();
                put(&mut out, client::COPY_FAIL, |out| put_string(out, b"the client went away"));
                link.tracker.sent(client::COPY_FAIL);
                link.send(&out).await;
                continue;
            }
        };
        link.tracker.server(&chunk).map_err(Lost::UpstreamMalformed)?;
        kept.extend_from_slice(&chunk);
        if kept.len() > ANSWER_MAX || passed {
            passed = true;
            // `ReadyForQuery`, 6 bytes, ends the answer; so many are always kept back.
            let go = kept.len().saturating_sub(6);
            link.tell(kept.get(..go).unwrap_or_default()).await;
            kept.drain(..go);
        }
    }
    Ok(if passed { Answer::Passed } else { Answer::Kept(kept) })
}

/// Puts the setting back, unless the message itself has changed it.
async fn put_back(link: &mut Link, mark: &str, back: &str) -> Result<(), Lost> {
    let answer = Call::run(link, &[Item::ours("SHOW lock_timeout")]).await?;
    let now = answer.row(0).and_then(|row| row.first().cloned().flatten());
    if answer.failed.is_none()
        && now.as_deref().is_some_and(|now| client_timeout(now) != client_timeout(mark))
    {
        return Ok(());
    }
    restore(link, &[back]).await
}

fn lock_timeout_in(bytes: &[u8]) -> Option<Failed> {
    error_in(bytes).filter(is_lock_timeout)
}

fn error_in(bytes: &[u8]) -> Option<Failed> {
    let mut rest = bytes;
    while let Ok(Some(frame)) = Frame::peek(rest) {
        if frame.kind == server::ERROR {
            return Some(Failed { item: 0, body: frame.body.to_vec() });
        }
        rest = rest.get(crate::wire::frame::HEADER_BYTES + frame.body.len()..)?;
    }
    None
}

fn without_ready(bytes: &[u8]) -> &[u8] {
    bytes.get(..bytes.len().saturating_sub(6)).unwrap_or_default()
}

/// What moves a message on.
enum Piece {
    /// Bytes from the server, whatever they are.
    Server(Vec<u8>),
    /// The server reads COPY data, and so many held bytes are a whole message of it.
    Copy(usize),
    /// The server reads COPY data, and the client will send no more.
    CopyAbandoned,
}

impl Link {
    async fn next_piece(&mut self) -> Result<Piece, Lost> {
        let mut buffer = vec![0; 16 << 10];
        poll_fn(|cx| {
            match self.poll_read_upstream(cx, &mut buffer)? {
                Poll::Ready(0) => return Poll::Ready(Err(Lost::Upstream(None))),
                Poll::Ready(read) => {
                    return Poll::Ready(Ok(Piece::Server(buffer.get(..read).unwrap_or_default().to_vec())));
                }
                Poll::Pending => {}
            }
            if self.tracker.expected.is_copying_in()
                && let Some(header) = Header::peek(&self.held).map_err(Lost::ClientMalformed)?
            {
                // A message is passed on whole, so there must be room for it.
                self.held.reserve(header.total().saturating_sub(self.held.len()));
            }
            self.poll_ahead(cx);
            if self.tracker.expected.is_copying_in() {
                match Frame::peek(&self.held).map_err(Lost::ClientMalformed)? {
                    Some(frame) => {
                        let total = crate::wire::frame::HEADER_BYTES + frame.body.len();
                        return Poll::Ready(Ok(Piece::Copy(total)));
                    }
                    None if self.client_reading == Reading::Closed => {
                        return Poll::Ready(Ok(Piece::CopyAbandoned));
                    }
                    None => {}
                }
            }
            Poll::Pending
        })
        .await
    }
}
