//! What happens when triage has stopped a message: the client's stream is held, the server is let come to rest, the
//! statement is judged, and the decision is carried out in its place.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use crate::base::{Notice, SqlState};
use crate::execute::lease::Lease;
use crate::execute::outcome::Outcome;
use crate::execute::{Surroundings, fail, message};
use crate::judge::{Mode, Policy, Standing, bulk};
use crate::live::lockers::Known;
use crate::session::prepared::Why;
use crate::session::repeat::Unfit;
use crate::sql::advisory::may_want;
use crate::sql::{self, Calls};
use crate::upstream::call::until_ready;
use crate::upstream::link::{Arrival, Batch, Link, Lost, Reading};
use crate::wire::client::Parse;
use crate::wire::frame::take_string;
use crate::wire::kind::{client, server as from_server};
use crate::wire::server::{self, Status};
use crate::wire::startup::Replication;
use crate::wire::{Frame, Header};

use super::eye::Shaped;
use super::lockers::note_made;
use super::relay::{Scratch, poll_server};
use super::{advisory, failed, lease, portal, queued, statement, walsender};

/// What an engagement may use.
#[derive(Debug)]
pub struct Desk<'a> {
    /// The session's sockets and bookkeeping.
    pub link: &'a mut Link,
    /// What the configuration says for this session.
    pub policy: &'a Policy,
    /// What stays the same for all statements.
    pub surroundings: &'a Surroundings<'a>,
    /// The read buffer of this core.
    pub scratch: &'a Scratch,
    /// Whether statements of ours can be run.
    pub replication: Replication,
    /// Functions that may lock.
    pub lockers: &'a Known,
    /// What is known of the open transaction, where it holds strong locks.
    pub lease: &'a mut Option<Box<Lease>>,
    /// What is known of statements that may write many rows.
    pub shaped: Shaped<'a>,
}

impl Desk<'_> {
    /// Fails the client's open transaction block, if there is one.
    pub(super) async fn fail_transaction(&mut self) -> Result<(), Lost> {
        match self.replication {
            Replication::No => fail::transaction(self.link).await,
            Replication::Physical | Replication::Logical => fail::transaction_by_query(self.link).await,
        }
    }
}

/// Which protocol the statement came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Simple,
    Extended,
    /// By the extended protocol, and it returns rows.
    ExtendedRows,
}

/// A statement at the front of `link.held`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent<'a> {
    pub(super) text: &'a [u8],
    pub(super) way: Way,
    /// Bytes of its message.
    pub(super) total: usize,
    /// The name of its portal; empty for a simple Query.
    pub(super) portal: &'a [u8],
}

impl<'a> Sent<'a> {
    /// A simple Query.
    pub(super) const fn query(text: &'a [u8], total: usize) -> Self {
        Self { text, way: Way::Simple, total, portal: b"" }
    }
}

/// Looks after the message at the front of `link.held`, which is whole; afterwards it is gone and the relay may go on.
pub async fn engage(desk: &mut Desk<'_>) -> Result<(), Lost> {
    let Surroundings { live, place, .. } = desk.surroundings;
    live.left_overs().ask_once(&place.database);
    if lease::has_lapsed(desk) {
        return lease::resume(desk).await;
    }
    if desk.policy.mode == Mode::Off && desk.link.owed.is_none() && desk.link.tracker.deferred().is_none() {
        let total = Header::peek(&desk.link.held).map_err(Lost::ClientMalformed)?.map_or(0, Header::total);
        desk.link.forward_held(total).await;
        return Ok(());
    }
    let Some(frame) = Frame::peek(&desk.link.held).map_err(Lost::ClientMalformed)? else { return Ok(()) };
    let (kind, body) = (frame.kind, frame.body.to_vec());
    // As known now: the end of an earlier transaction, which may be on its way, forgets portals.
    let prepared = &desk.link.tracker.prepared;
    let portal_text = take_string(&body).and_then(|(portal, _)| prepared.portal(portal));
    come_to_rest_under_lease(desk).await?;
    message::settle(desk.link).await?;
    if lease::gives_way(desk).await? {
        return lease::resume(desk).await;
    }
    let total = crate::wire::frame::HEADER_BYTES + body.len();
    let expected = &desk.link.tracker.expected;
    if expected.is_skipping() || expected.is_copying_in() {
        // The server ignores it, or ends the session over it.
        desk.link.forward_held(total).await;
        return Ok(());
    }
    desk.surroundings.cancelled.store(false, std::sync::atomic::Ordering::Relaxed);
    let failed = desk.link.tracker.status() == Status::Failed;
    match (kind, take_string(&body)) {
        (client::QUERY, Some((text, b""))) if desk.replication != Replication::No => {
            walsender::look_after(desk, text, total).await
        }
        (client::QUERY, Some((text, b""))) if failed => failed::look_after(desk, text, total).await,
        (client::EXECUTE, Some((name, rest)))
            if failed && desk.link.tracker.deferred().is_some() && rest.len() == size_of::<u32>() =>
        {
            execute(desk, name, portal_text, total).await
        }
        // In a failed transaction too the server prepares what ends it, perhaps under a name that is watched.
        (client::PARSE, _) => prepare(desk, &body, total).await,
        // The server refuses it in words of its own.
        _ if failed => {
            desk.link.forward_held(total).await;
            Ok(())
        }
        (client::BIND, _) if !portal::has_room(desk.link) => {
            drop_held(desk.link, total);
            finish(desk.link, Way::Extended, Outcome::own_error(&portal::too_many())).await
        }
        (client::BIND, _) => advisory::bind(desk, &body, total).await,
        (client::EXECUTE, Some((name, rest))) if rest.len() == size_of::<u32>() => {
            execute(desk, name, portal_text, total).await
        }
        (client::QUERY, Some((text, b""))) if may_want(text) => advisory::query(desk, text, total).await,
        (client::QUERY, Some((text, b""))) => statement::look_after(desk, Sent::query(text, total)).await,
        // What does not have the form of its kind is for the server to refuse, as a whole.
        _ => {
            desk.link.forward_held(total).await;
            Ok(())
        }
    }
}

/// Looks after an Execute, if there is a portal to be run.
async fn execute(desk: &mut Desk<'_>, name: &[u8], text: Option<Rc<[u8]>>, total: usize) -> Result<(), Lost> {
    match (portal::look(desk.link, name).await?, text) {
        (portal::State::Fresh, Some(text)) => {
            statement::look_after(desk, Sent { text: &text, way: Way::Extended, total, portal: name })
                .await?;
            desk.link.tracker.prepared.run(name, &text);
            Ok(())
        }
        (portal::State::Rows, Some(text)) => {
            statement::look_after(desk, Sent { text: &text, way: Way::ExtendedRows, total, portal: name })
                .await
        }
        // It was made before anything was queued, and what brings rows is no COMMIT.
        (portal::State::Rows, None) => {
            desk.link.forward_held(total).await;
            Ok(())
        }
        (portal::State::Fresh, None) => {
            fail::transaction(desk.link).await?;
            drop_held(desk.link, total);
            finish(desk.link, Way::Extended, Outcome::own_error(&portal::unknown(name))).await
        }
        (portal::State::Run, _) => {
            let outcome = portal::second_run(desk.link, name).await?;
            drop_held(desk.link, total);
            finish(desk.link, Way::Extended, outcome).await
        }
        (portal::State::Missing, _) => {
            drop_held(desk.link, total);
            Ok(())
        }
    }
}

/// Passes on what the server still owes, until nothing of ours could be mistaken for it.
pub(super) async fn come_to_rest(link: &mut Link, scratch: &Scratch) -> Result<(), Lost> {
    if link.tracker.expected.needs_flush() {
        let mut out = Vec::new();
        crate::wire::client::flush(&mut out);
        link.send(&out).await;
    }
    poll_fn(|cx| {
        let served = poll_server(link, cx, scratch);
        let expected = &link.tracker.expected;
        let rests = expected.is_quiet() || expected.is_copying_in();
        if rests && link.tracker.at_boundary() && link.poll_drain_client(cx)?.is_ready() {
            return Poll::Ready(Ok(()));
        }
        link.poll_ahead(cx);
        match served {
            Poll::Ready(Ok(())) => Poll::Ready(Err(Lost::Upstream(None))),
            Poll::Ready(Err(lost)) => Poll::Ready(Err(lost)),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// The same where others may wait for the transaction's locks meanwhile.
async fn come_to_rest_under_lease(desk: &mut Desk<'_>) -> Result<(), Lost> {
    let scratch = desk.scratch;
    let rest = lease::owed(desk, async |link| come_to_rest(link, scratch).await);
    match Box::pin(rest).await? {
        Some(()) => Ok(()),
        None => come_to_rest(desk.link, scratch).await,
    }
}

/// A Parse goes upstream as it is; its text is remembered for the Execute once the server has taken it.
async fn prepare(desk: &mut Desk<'_>, body: &[u8], total: usize) -> Result<(), Lost> {
    let link = &mut *desk.link;
    let Some(parse) = Parse::read(body) else {
        link.forward_held(total).await;
        return Ok(());
    };
    let script = sql::parse(parse.sql, link.tracker.reading().dialect());
    let Surroundings { live, place, .. } = desk.surroundings;
    note_made(live, &place.database, &script);
    let matters = !script.is_ordinary();
    let calls = !matters && desk.lockers.called_in(parse.sql) != Calls::Nothing;
    let queued = !matters && !calls && link.tracker.deferred().is_some();
    if queued
        && link.tracker.status() == Status::InTransaction
        && let queued::Bearing::Refused(outcome) = queued::bearing(link, &script).await?
    {
        // The server would say that something is not there.
        drop_held(link, total);
        return finish(link, Way::Extended, outcome).await;
    }
    let waits = !matters && !calls && may_want(parse.sql);
    let writes = !matters && !calls && !waits && bulk::may_write_many(&script);
    let room = (matters || calls || waits || queued || writes) && portal::has_room_for(link, parse).await?;
    let why = match (matters, calls) {
        (true, _) => Why::Matters,
        (false, true) => Why::Calls,
        (false, false) if waits => Why::Waits,
        (false, false) if writes => Why::Writes,
        (false, false) => Why::Queued,
    };
    if matters && !room {
        let error = Notice::error(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            "too many prepared statements that change the schema",
        )
        .hint("Close or DEALLOCATE those that are done with.");
        drop_held(link, total);
        return finish(link, Way::Extended, Outcome::own_error(&error)).await;
    }
    link.forward_held(total).await;
    let mut flush = Vec::new();
    crate::wire::client::flush(&mut flush);
    link.send(&flush).await;
    loop {
        let Some(arrival) = Box::pin(lease::owed(desk, async |link| link.next().await)).await? else {
            return Ok(());
        };
        let Arrival::Frame(kind, answer) = arrival else { continue };
        let link = &mut *desk.link;
        link.tracker.received(kind, &answer);
        crate::upstream::call::pass(link, kind, &answer).await;
        match kind {
            from_server::PARSE_COMPLETE if room => link.tracker.prepared.watch(parse.name, parse.sql, why),
            from_server::PARSE_COMPLETE => link.tracker.prepared.forget(parse.name),
            from_server::ERROR => {}
            _ => continue,
        }
        return Ok(());
    }
}

/// Where the statement stands: in a transaction block, in an implicit transaction with others, or alone.
pub(super) async fn standing(link: &mut Link, way: Way, total: usize) -> Standing {
    if link.tracker.status() == Status::InTransaction {
        return Standing::Explicit { holds_strong: link.tracker.holds_strong_lock() };
    }
    let alone = match way {
        Way::ExtendedRows => false,
        Way::Simple | Way::Extended if link.tracker.ran_in_batch() => false,
        // Several statements in one message are one transaction, but nothing was done in it before.
        Way::Simple => true,
        // Without its Sync, more may follow in the same transaction.
        Way::Extended => ends_its_batch(link, total).await,
    };
    if alone { Standing::Outside } else { Standing::Implicit }
}

/// More messages than these are not looked over for a Sync.
const LOOKED_OVER_MAX: usize = 16;

/// Whether nothing that runs stands between the statement at the front of `link.held` and its Sync: closing and describing
/// statements and closing portals make no difference on either side of it. Behind a Flush, which asks for the answers so far, nothing is
/// waited for.
async fn ends_its_batch(link: &mut Link, total: usize) -> bool {
    let mut at = total;
    let mut flushed = false;
    for _ in 0..LOOKED_OVER_MAX {
        let next = loop {
            match link.held.get(at..).map(Frame::peek) {
                Some(Ok(Some(frame))) => break frame,
                // What cannot be whole soon is not waited for.
                Some(Err(_)) => return false,
                _ if flushed
                    || link.held.len() > at + NAMED_MAX
                    || link.client_reading == Reading::Closed =>
                {
                    return false;
                }
                _ => {}
            }
            link.more_from_client().await;
        };
        match (next.kind, next.body.first()) {
            (client::SYNC, _) => return true,
            (client::CLOSE | client::FLUSH, _) | (client::DESCRIBE, Some(b'S')) => {
                flushed |= next.kind == client::FLUSH;
                at += crate::wire::frame::HEADER_BYTES + next.body.len();
            }
            _ => return false,
        }
    }
    false
}

/// Bytes of a message that holds a name and little else.
const NAMED_MAX: usize = 1 << 10;

/// Ends the client's batch upstream, which has run nothing that is to stay; its own Sync will be answered when it comes.
pub(super) async fn end_batch(link: &mut Link) -> Result<(), Lost> {
    let mut out = Vec::new();
    link.tracker.sent(client::SYNC);
    crate::wire::client::sync(&mut out);
    link.send(&out).await;
    link.batch = Batch::None;
    until_ready(link).await
}

/// Gives the client its answer and leaves both sides as they would be after a statement of its own.
pub(super) async fn finish(link: &mut Link, way: Way, outcome: Outcome) -> Result<(), Lost> {
    let mut out = Vec::new();
    let failed = matches!(outcome, Outcome::Failed(_));
    match outcome {
        Outcome::Complete(tag) => {
            crate::wire::frame::put(&mut out, from_server::COMMAND_COMPLETE, |out| {
                out.extend_from_slice(&tag);
            });
        }
        Outcome::Failed(error) => out = error,
        Outcome::Answered | Outcome::Overtaken => {}
    }
    if way == Way::Simple && link.batch == Batch::Clients {
        // A Query ends the batch before it, also when it was never sent.
        if failed && !link.tracker.expected.is_skipping() {
            fail::batch(link).await?;
        }
        end_batch(link).await?;
    }
    if way == Way::Simple {
        server::ready(&mut out, link.tracker.status());
    }
    link.tell(&out).await;
    if way != Way::Simple && failed && !link.tracker.expected.is_skipping() {
        link.batch = Batch::None;
        fail::batch(link).await?;
    }
    if way != Way::Simple && link.batch == Batch::Clients {
        link.tracker.run_in_batch();
    }
    link.batch = Batch::None;
    Ok(())
}

/// Drops the message at the front of `link.held`, which is answered here; its transaction cannot be sent once more.
pub(super) fn drop_held(link: &mut Link, total: usize) {
    take_held(link, total);
    link.tracker.lose_journal(Unfit::Answered);
}

/// Takes the message at the front of `link.held` out, to be run in its place.
pub(super) fn take_held(link: &mut Link, total: usize) -> Vec<u8> {
    link.held.drain(..total.min(link.held.len())).collect()
}
