//! What happens when triage has stopped a message: the client's stream is held, the server is let come to rest, the
//! statement is judged, and the decision is carried out in its place.

use std::future::poll_fn;
use std::task::Poll;

use crate::base::{Notice, SqlState};
use crate::effects::{self, facts::Facts};
use crate::event::Judged;
use crate::execute::attempt::Work;
use crate::execute::catalogue::{self, Looked, SessionSettings};
use crate::execute::outcome::Outcome;
use crate::execute::script::{self, controls_transactions};
use crate::execute::tell::tell;
use crate::execute::{Run, Surroundings, fail, guard, plan};
use crate::judge::{self, Decision, Judgement, Policy};
use crate::judge::{Moment, Standing};
use crate::sql::statement::{OurSetting, Place, Setting as Change};
use crate::sql::{self, Kind, Script};
use crate::upstream::call::{Call, Item, pass_news};
use crate::upstream::link::{Arrival, Batch, Link, Lost, Reading};
use crate::wire::kind::{client, server as from_server};
use crate::wire::server::{self, Status};
use crate::wire::{Frame, Header};

use super::eye::dialect;
use super::relay::{Scratch, poll_server};

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
}

/// Which protocol the statement came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Simple,
    Extended,
}

/// Looks after the message at the front of `link.held`, which is whole; afterwards it is gone and the relay may go on.
pub async fn engage(desk: &mut Desk<'_>) -> Result<(), Lost> {
    come_to_rest(desk.link, desk.scratch).await?;
    let Some(frame) = Frame::peek(&desk.link.held).map_err(Lost::ClientMalformed)? else { return Ok(()) };
    let (kind, body) = (frame.kind, frame.body.to_vec());
    let total = crate::wire::frame::HEADER_BYTES + body.len();
    let tracker = &desk.link.tracker;
    if tracker.expected.is_skipping()
        || tracker.expected.is_copying_in()
        || tracker.status() == Status::Failed
    {
        // The server ignores it, or refuses it in words of its own.
        desk.link.forward_held(total).await;
        return Ok(());
    }
    desk.surroundings.cancelled.store(false, std::sync::atomic::Ordering::Relaxed);
    match kind {
        client::PARSE => prepare(desk, &body, total).await,
        client::EXECUTE => {
            let text = crate::wire::frame::take_string(&body)
                .and_then(|(portal, _)| desk.link.tracker.prepared.portal(portal));
            statement(desk, &text.unwrap_or_default(), Way::Extended, total).await
        }
        _ => {
            let text = crate::wire::client::query_text(&body).unwrap_or_default();
            statement(desk, text, Way::Simple, total).await
        }
    }
}

/// Passes on what the server still owes, until nothing of ours could be mistaken for it.
async fn come_to_rest(link: &mut Link, scratch: &Scratch) -> Result<(), Lost> {
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

/// A Parse goes upstream as it is; its text is remembered for the Execute once the server has taken it.
async fn prepare(desk: &mut Desk<'_>, body: &[u8], total: usize) -> Result<(), Lost> {
    let link = &mut *desk.link;
    let Some(parse) = crate::wire::client::Parse::read(body) else {
        link.forward_held(total).await;
        return Ok(());
    };
    let watch = !sql::parse(parse.sql, dialect(link.tracker.reading())).is_ordinary();
    if watch && !link.tracker.prepared.has_room(parse.name, parse.sql) {
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
        let Arrival::Frame(kind, answer) = link.next().await? else { continue };
        link.tracker.received(kind, &answer);
        crate::upstream::call::pass(link, kind, &answer).await;
        match kind {
            from_server::PARSE_COMPLETE if watch => link.tracker.prepared.watch(parse.name, parse.sql),
            from_server::PARSE_COMPLETE => link.tracker.prepared.forget(parse.name),
            from_server::ERROR => {}
            _ => continue,
        }
        return Ok(());
    }
}

/// Judges a statement and carries the decision out.
async fn statement(desk: &mut Desk<'_>, text: &[u8], way: Way, total: usize) -> Result<(), Lost> {
    let script = sql::parse(text, dialect(desk.link.tracker.reading()));
    let standing = standing(desk.link, way, total).await;
    if way == Way::Extended && desk.link.tracker.status() == Status::Idle {
        desk.link.batch = Batch::Clients;
    }
    let considered = consider(desk, &script, standing).await?;
    let (session, facts, policy, judgement) = match considered {
        Considered::Judged(whole) => *whole,
        Considered::Over(outcome) => {
            drop_held(desk.link, total);
            return finish(desk.link, way, outcome).await;
        }
        Considered::Forward => {
            desk.link.batch = Batch::None;
            desk.link.forward_held(total).await;
            return Ok(());
        }
    };
    if !judgement.hazards.is_empty() {
        let place = &desk.surroundings.place;
        Judged {
            hazards: &judgement.hazards,
            decision: &judgement.decision,
            database: &place.database,
            pid: place.pid,
        }
        .emit();
    }
    tell(desk.link, &judgement.notices).await;
    let alone_only = script.statements.iter().any(|statement| statement.place == Place::OutsideOnly);
    let own_batch = way == Way::Extended && standing == Standing::Outside;
    if judgement.decision == Decision::Forward && !(own_batch && alone_only) {
        desk.link.batch = Batch::None;
        desk.link.forward_held(total).await;
        return Ok(());
    }
    if own_batch {
        end_batch(desk.link).await?;
    }
    let frame: Vec<u8> = desk.link.held.get(..total).unwrap_or_default().to_vec();
    drop_held(desk.link, total);
    let mut run =
        Run { link: desk.link, session: &session, policy: &policy, surroundings: desk.surroundings };
    let outcome = carry_out(&mut run, &judgement.decision, &script, &frame).await?;
    if !matches!(outcome, Outcome::Failed(_)) && judge::holds_strong_after(&script, &facts) {
        desk.link.tracker.hold_strong_lock();
    }
    finish(desk.link, way, outcome).await
}

/// Carries a decision out; `frame` is the message that asked for it.
async fn carry_out(
    run: &mut Run<'_>,
    decision: &Decision,
    script: &Script,
    frame: &[u8],
) -> Result<Outcome, Lost> {
    let text = script.text.as_bytes();
    let work = if script.statements.len() > 1 { Work::Message(frame) } else { Work::Statement(text) };
    match decision {
        Decision::Forward => as_sent(run.link, text).await,
        Decision::Guard(guard) if controls_transactions(script, run.link.tracker.status()) => {
            script::run(run, script, guard).await
        }
        Decision::Guard(guard) => guard::run(run, work, guard).await,
        Decision::Run(plan) => plan::run(run, plan).await,
        Decision::Refuse(error) => {
            fail::transaction(run.link).await?;
            Ok(Outcome::own_error(error))
        }
    }
}

/// A statement that the server takes only as the first of its batch, which our own questions have begun.
async fn as_sent(link: &mut Link, text: &[u8]) -> Result<Outcome, Lost> {
    let mut answer = Call::run(link, &[Item::client(text)]).await?;
    Ok(match answer.failed {
        Some(failed) => Outcome::server_error(&failed, None, None),
        None => Outcome::Complete(answer.tags.pop().unwrap_or_default()),
    })
}

enum Considered {
    Judged(Box<(SessionSettings, Facts, Policy, Judgement)>),
    /// The server or the directive reader has spoken already.
    Over(Outcome),
    /// As sent, and nothing to say.
    Forward,
}

async fn consider(desk: &mut Desk<'_>, script: &Script, standing: Standing) -> Result<Considered, Lost> {
    if let Some(error) = misnamed_setting(script) {
        fail::transaction(desk.link).await?;
        return Ok(Considered::Over(Outcome::own_error(&error)));
    }
    if script
        .statements
        .iter()
        .all(|statement| matches!(statement.kind, Kind::Setting(_)) || statement.is_ordinary())
    {
        return Ok(Considered::Forward);
    }
    let names = effects::need(script);
    let (session, facts) = match catalogue::look_up(desk.link, &names).await? {
        Looked::Known(session, facts) => (session, facts),
        Looked::Stopped(failed) => return Ok(Considered::Over(Outcome::server_error(&failed, None, None))),
    };
    // A setting that came by start-up options or ALTER ROLE is checked nowhere else.
    let checked: Result<Vec<judge::Setting>, Notice> =
        session.directives.iter().map(|(name, value)| judge::setting::check(name, value)).collect();
    let policy = match checked {
        Ok(settings) => desk.policy.with(&settings),
        Err(error) => {
            fail::transaction(desk.link).await?;
            return Ok(Considered::Over(Outcome::own_error(&error)));
        }
    };
    let judgement = judge::decide(script, &facts, &Moment { transaction: standing }, &policy);
    let policy = judge::policy_for(script, &policy);
    Ok(Considered::Judged(Box::new((session, facts, policy, judgement))))
}

/// What is wrong with a `SET lockkeeper.<name>`: Postgres itself takes any name and any value.
fn misnamed_setting(script: &Script) -> Option<Notice> {
    script.statements.iter().find_map(|statement| match &statement.kind {
        Kind::Setting(Change::Ours(OurSetting { name, value: Some(value), .. })) => {
            judge::setting::check(name, value).err()
        }
        _ => None,
    })
}

/// Where the statement stands: in a transaction block, in an implicit transaction with others, or alone.
async fn standing(link: &mut Link, way: Way, total: usize) -> Standing {
    if link.tracker.status() == Status::InTransaction {
        return Standing::Explicit { holds_strong: link.tracker.holds_strong_lock() };
    }
    match way {
        // Several statements in one message are one transaction, but nothing was done in it before.
        Way::Simple => Standing::Outside,
        Way::Extended if link.tracker.ran_in_batch() => Standing::Implicit,
        Way::Extended => {
            // Alone in its batch only if its Sync comes next; without one, more may follow in the same transaction.
            while link.held.len() <= total && link.client_reading == Reading::Open {
                link.more_from_client().await;
            }
            match link.held.get(total) {
                Some(&client::SYNC) => Standing::Outside,
                _ => Standing::Implicit,
            }
        }
    }
}

/// Ends the client's batch upstream, which has run nothing yet; its own Sync will be answered when it comes.
async fn end_batch(link: &mut Link) -> Result<(), Lost> {
    let mut out = Vec::new();
    crate::wire::client::sync(&mut out);
    link.send(&out).await;
    link.batch = Batch::None;
    loop {
        match link.next().await? {
            Arrival::Frame(from_server::READY, body) => {
                link.tracker.received(from_server::READY, &body);
                return Ok(());
            }
            Arrival::Frame(kind, body) => pass_news(link, kind, &body).await,
            Arrival::ClientGone => {}
        }
    }
}

/// Gives the client its answer and leaves both sides as they would be after a statement of its own.
async fn finish(link: &mut Link, way: Way, outcome: Outcome) -> Result<(), Lost> {
    let mut out = Vec::new();
    let failed = matches!(outcome, Outcome::Failed(_));
    match outcome {
        Outcome::Complete(tag) => {
            crate::wire::frame::put(&mut out, from_server::COMMAND_COMPLETE, |out| {
                out.extend_from_slice(&tag);
            });
        }
        Outcome::Failed(error) => out = error,
        Outcome::Answered => {}
    }
    if way == Way::Simple {
        server::ready(&mut out, link.tracker.status());
    }
    link.tell(&out).await;
    if way == Way::Extended && failed && !link.tracker.expected.is_skipping() {
        link.batch = Batch::None;
        fail::batch(link).await?;
    }
    link.batch = Batch::None;
    Ok(())
}

fn drop_held(link: &mut Link, total: usize) {
    link.held.drain(..total.min(link.held.len()));
}

/// Deals with a message that must be looked at and is too long for it: refused, its bytes thrown away as they come.
pub async fn refuse_oversize(desk: &mut Desk<'_>) -> Result<(), Lost> {
    come_to_rest(desk.link, desk.scratch).await?;
    let Some(header) = Header::peek(&desk.link.held).map_err(Lost::ClientMalformed)? else { return Ok(()) };
    let mut left = header.total();
    loop {
        let here = left.min(desk.link.held.len());
        drop_held(desk.link, here);
        left -= here;
        if left == 0 {
            break;
        }
        if !desk.link.more_from_client().await {
            return Err(Lost::Client(None));
        }
    }
    fail::transaction(desk.link).await?;
    let error = Notice::error(SqlState::PROGRAM_LIMIT_EXCEEDED, "statement is too long to be judged")
        .detail(format!("Its message is {} bytes long and does not begin as an ordinary statement.", header.total()))
        .hint("Send it in smaller parts, or raise limits.statement_inspect_max, or set limits.oversize = \"pass\".");
    let way = if header.kind == client::QUERY { Way::Simple } else { Way::Extended };
    finish(desk.link, way, Outcome::own_error(&error)).await
}

/// Sends a message that is too long to be looked at on as it is.
pub async fn pass_oversize(link: &mut Link) -> Result<(), Lost> {
    let Some(header) = Header::peek(&link.held).map_err(Lost::ClientMalformed)? else { return Ok(()) };
    let held = std::mem::take(&mut link.held);
    link.tracker.pass_unseen(header, held.len());
    link.send(&held).await;
    Ok(())
}
