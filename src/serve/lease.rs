//! What becomes of a transaction whose strong locks others have waited for too long, while none of its guarded statements ran.
//!
//! Where its client is silent it is rolled back upstream, and sent once more before the client's next message; to the client it
//! stays open. A statement that runs is cancelled.

use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::base::SqlState;
use crate::event::LeaseOver;
use crate::event::clock::{self, Moment};
use crate::execute::attempt::patience;
use crate::execute::lease::{self, Lapsed, Lease, Overdue};
use crate::execute::outcome::Outcome;
use crate::execute::replay::Meanwhile;
use crate::execute::tell::tell;
use crate::execute::{Place, Rows, Run, Surroundings, cancelled, cut, fail, raised, repeat, replay};
use crate::judge::Mode;
use crate::live::ledger::State;
use crate::session::Tracker;
use crate::sql::triage;
use crate::upstream::call::pass;
use crate::upstream::link::{AHEAD_MAX, Arrival, Batch, Link, Lost};
use crate::wire::Frame;
use crate::wire::client;
use crate::wire::client::query_text;
use crate::wire::fields::sqlstate;
use crate::wire::kind::{client as from_client, server};
use crate::wire::notice;

use super::consider::Case;
use super::engage::{Desk, Way, drop_held, finish};
use super::worker_state::WorkerState;

/// What a transaction was at while its next statement was judged.
const JUDGED: &str = "It was found out what its next statement does.";

/// Notes on which terms a transaction holds strong locks, after a guarded statement in it.
pub(super) fn begin(desk: &mut Desk<'_>, case: &Case) {
    if case.policy.mode != Mode::Enforce || !desk.link.tracker.holds_strong_lock() {
        *desk.lease = None;
        return;
    }
    match desk.lease.as_mut() {
        Some(lease) => lease.again(&case.session, &case.policy),
        None => *desk.lease = Some(Box::new(Lease::new(&case.session, &case.policy))),
    }
}

/// Lets go of the locks before the client's next message, if others have waited for them for too long; the transaction is brought back
/// for it. A session that never rests is looked at nowhere else.
pub(super) async fn gives_way(desk: &mut Desk<'_>) -> Result<bool, Lost> {
    let Surroundings { live, place, control, .. } = *desk.surroundings;
    let Some(lease) = looked_after(desk) else { return Ok(false) };
    let Some(overdue) = lease.overdue((control, live), place).await else { return Ok(false) };
    over(desk, overdue).await?;
    Ok(has_lapsed(desk))
}

/// The lease, where somebody can look who waits, and where nothing is under way. Whoever ends the transaction lets go of its locks anyway.
fn looked_after<'d>(desk: &'d Desk<'_>) -> Option<&'d Lease> {
    let held = desk.link.tracker.holds_strong_lock()
        && desk.link.tracker.is_idle_in_transaction()
        && desk.link.batch == Batch::None
        && ends(desk.link).is_none();
    desk.lease.as_deref().filter(|_| held && desk.surroundings.control.is_configured())
}

/// Asks the server what a statement needs, and lets others wait no longer for the transaction's locks meanwhile: then it is rolled back,
/// brought back, and asked again, each time after a longer pause. The statement's outcome where that cannot be.
pub(super) async fn asked<T>(
    desk: &mut Desk<'_>,
    mut ask: impl AsyncFnMut(&mut Link) -> Result<T, Lost>,
) -> Result<Result<T, Outcome>, Lost> {
    let (surroundings, began, mut pause) = (desk.surroundings, Moment::now(), Duration::ZERO);
    loop {
        let Some(lease) = looked_after(desk) else { return Ok(Ok(ask(desk.link).await?)) };
        let (seen, max_stall) = (Rc::clone(&lease.seen), lease.policy.max_stall);
        let patience = patience(&lease.session, &lease.policy);
        let Surroundings { control, live, place, .. } = *surroundings;
        let watch = lease::until_overdue(seen, (control, live), place, max_stall / 2);
        let (answer, overdue) = {
            let mut asking = pin!(ask(desk.link));
            tokio::select! {
                biased;
                answer = &mut asking => return Ok(Ok(answer?)),
                overdue = watch => (cut(surroundings, asking).await?, overdue),
            }
        };
        if surroundings.cancelled.load(Ordering::Relaxed) {
            // By its client, who hears of it in the answer, or from whoever comes next.
            return Ok(Ok(answer));
        }
        let again = (began.elapsed() < patience).then_some(pause);
        let outcome = Box::pin(makes_way(desk, overdue, again)).await?;
        if let Some(outcome) = outcome {
            *desk.lease = None;
            return Ok(Err(outcome));
        }
        pause = (pause + max_stall).min(PAUSE_MAX);
    }
}

/// The longest pause before a transaction is brought back, in which others have its tables.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Rolls the transaction back, whether it has failed or not, and brings it back after that pause; the client's error where that cannot be,
/// or is not wanted any more.
async fn makes_way(
    desk: &mut Desk<'_>,
    overdue: Overdue,
    pause: Option<Duration>,
) -> Result<Option<Outcome>, Lost> {
    let surroundings = desk.surroundings;
    let Overdue { victims, longest } = overdue;
    LeaseOver { victims, longest, pid: surroundings.place.pid }.emit();
    let Some(lease) = desk.lease.as_mut() else { return Ok(None) };
    lease.lapsed = Some(lease::lapse(desk.link, overdue).await?);
    let error = lease.cut(overdue);
    let Some(lapsed) = taken_up(desk) else { return Ok(None) };
    if pause.is_some_and(|pause| pause.is_zero()) && lapsed.repeat.is_ok() {
        tell(desk.link, &[replay::set_aside()]).await;
    }
    let why = match pause {
        None => Some(error),
        Some(pause) => tokio::select! {
            biased;
            () = raised(surroundings) => surroundings.take_cancel().then(cancelled),
            () = clock::pause(pause) => None,
        },
    };
    if let Some(why) = why {
        repeat::leave(desk.link);
        repeat::open_failed(desk.link).await?;
        return Ok(Some(Outcome::own_error(&why)));
    }
    let outcome = bring_back(desk, lapsed, JUDGED).await?;
    if outcome.is_none() && surroundings.take_cancel() {
        fail::transaction(desk.link).await?;
        return Ok(Some(Outcome::own_error(&cancelled())));
    }
    Ok(outcome)
}

/// Waits for what the server owes its client; where others have waited for the transaction's locks for too long meanwhile, that is
/// cancelled, and nothing is owed any more (`None`).
pub(super) async fn owed<T>(
    desk: &mut Desk<'_>,
    wait: impl AsyncFnOnce(&mut Link) -> Result<T, Lost>,
) -> Result<Option<T>, Lost> {
    let Surroundings { control, live, place, .. } = *desk.surroundings;
    let held = desk.link.tracker.holds_strong_lock() && control.is_configured();
    let Some(lease) = desk.lease.as_deref().filter(|lease| held && lease.lapsed.is_none()) else {
        return wait(desk.link).await.map(Some);
    };
    let watch = lease::until_overdue(Rc::clone(&lease.seen), (control, live), place, lease.policy.max_stall);
    let overdue = {
        let mut waiting = pin!(wait(desk.link));
        tokio::select! {
            biased;
            done = &mut waiting => return done.map(Some),
            overdue = watch => overdue,
        }
    };
    over(desk, overdue).await?;
    Ok(None)
}

/// The watch over a session's strong locks while its messages are relayed.
pub(super) type Watch<'a> = Pin<Box<dyn Future<Output = Overdue> + 'a>>;

/// Begins to watch, where the session has any; forgets what is known of a transaction that is over.
pub(super) fn watch<'a>(
    lease: &mut Option<Box<Lease>>,
    tracker: &Tracker,
    (place, state): (&'a Place, &'a WorkerState),
) -> Option<Watch<'a>> {
    if !tracker.holds_strong_lock() {
        *lease = None;
    }
    let lease = lease.as_ref().filter(|lease| lease.lapsed.is_none())?;
    let (max_stall, seen) = (lease.policy.max_stall, Rc::clone(&lease.seen));
    let control = Some(state.control_now()).filter(|control| control.is_configured())?;
    Some(Box::pin(lease::until_overdue(seen, (control, state.live()), place, max_stall)))
}

/// Whether others have waited for too long.
#[inline]
pub(super) fn poll(
    watch: &mut Option<Watch<'_>>,
    tracker: &Tracker,
    cx: &mut Context<'_>,
) -> Option<Overdue> {
    let looking = watch.as_mut()?;
    if !tracker.holds_strong_lock() {
        *watch = None;
        return None;
    }
    match looking.as_mut().poll(cx) {
        Poll::Ready(overdue) => Some(overdue),
        Poll::Pending => None,
    }
}

/// Whether the open transaction is not open upstream.
pub(super) fn has_lapsed(desk: &Desk<'_>) -> bool {
    desk.lease.as_ref().is_some_and(|lease| lease.lapsed.is_some())
}

/// Lets go of the locks.
pub(super) async fn over(desk: &mut Desk<'_>, overdue: Overdue) -> Result<(), Lost> {
    let Some(lease) = desk.lease.as_mut() else { return Ok(()) };
    if !desk.link.tracker.holds_strong_lock() {
        return Ok(());
    }
    let Overdue { victims, longest } = overdue;
    LeaseOver { victims, longest, pid: desk.surroundings.place.pid }.emit();
    if desk.link.tracker.is_idle_in_transaction() {
        lease.lapsed = Some(lease::lapse(desk.link, overdue).await?);
        return Ok(());
    }
    desk.surroundings.canceller.cancel().await;
    let mut words = Vec::new();
    notice::encode(&lease.cut(overdue), &mut words);
    tell_in_place(desk.link, &words).await
}

/// Passes on what the server still owes, with other words for the cancel.
async fn tell_in_place(link: &mut Link, words: &[u8]) -> Result<(), Lost> {
    if !link.tracker.at_boundary() {
        // In the middle of a message the server's own must do.
        return Ok(());
    }
    if link.tracker.expected.needs_flush() {
        let mut out = Vec::new();
        client::flush(&mut out);
        link.send(&out).await;
    }
    while !link.tracker.expected.is_quiet() {
        let Arrival::Frame(kind, body) = link.next().await? else { continue };
        link.tracker.received(kind, &body);
        if kind == server::ERROR && sqlstate(&body) == SqlState::QUERY_CANCELED {
            link.tell(words).await;
        } else {
            pass(link, kind, &body).await;
        }
    }
    Ok(())
}

/// The same within a message, where what comes next stands at the front of `link.held`; what its client is to hear where the transaction
/// cannot be brought back.
pub(super) async fn between(desk: &mut Desk<'_>) -> Result<Result<Meanwhile, Outcome>, Lost> {
    if !gives_way(desk).await? {
        return Ok(Ok(Meanwhile::Stayed));
    }
    let Some(lapsed) = taken_up(desk) else { return Ok(Ok(Meanwhile::Stayed)) };
    let outcome = bring_back(desk, lapsed, JUDGED).await?;
    let Some(outcome) = outcome else { return Ok(Ok(Meanwhile::CameBack)) };
    *desk.lease = None;
    Ok(Err(outcome))
}

/// What has lapsed, which is to be brought back now.
fn taken_up(desk: &mut Desk<'_>) -> Option<Lapsed> {
    let lapsed = desk.lease.as_mut().and_then(|lease| lease.lapsed.take())?;
    if desk.link.owed.is_some() {
        desk.link.tracker.stop_at_next();
    } else {
        desk.link.tracker.stop_at_watched();
    }
    Some(lapsed)
}

/// Brings the transaction back before the client's next message, which stands at the front of `link.held`.
pub(super) async fn resume(desk: &mut Desk<'_>) -> Result<(), Lost> {
    let Some(kind) = desk.link.held.first().copied() else { return Ok(()) };
    let Some(lapsed) = taken_up(desk) else { return Ok(()) };
    // What came before was about another message.
    desk.surroundings.take_cancel();
    if kind == from_client::TERMINATE {
        return Ok(());
    }
    if ends(desk.link) == Some(End::Rollback) {
        // There is nothing to be brought back for.
        return repeat::open_empty(desk.link).await;
    }
    let Some(outcome) = bring_back(desk, lapsed, "It was idle.").await? else { return Ok(()) };
    *desk.lease = None;
    answer(desk.link, kind, outcome).await
}

/// Brings the transaction back; what the client is to hear if that cannot be.
async fn bring_back(desk: &mut Desk<'_>, lapsed: Lapsed, meanwhile: &str) -> Result<Option<Outcome>, Lost> {
    let Some(lease) = desk.lease.as_deref() else { return Ok(None) };
    let repeat = match lapsed.repeat {
        Ok(repeat) => repeat,
        Err(unfit) => {
            repeat::leave(desk.link);
            repeat::open_failed(desk.link).await?;
            return Ok(Some(Outcome::own_error(&lease.lost(meanwhile, lapsed.overdue, &unfit))));
        }
    };
    let (whose, live) = (desk.surroundings.whose(), desk.surroundings.live);
    let record = live.ledger().begin("the open transaction", &[], whose, clock::wall());
    let transaction = repeat::leave(desk.link);
    let mut run = Run {
        link: desk.link,
        session: &lease.session,
        policy: &lease.policy,
        surroundings: desk.surroundings,
        record: &record,
        rows: Rows::Described,
    };
    let outcome = Box::pin(replay::bring_back(&mut run, repeat, transaction)).await?;
    record.end(if outcome.is_none() { State::Done } else { State::Failed }, clock::wall());
    Ok(outcome)
}

/// How a message ends the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Commit,
    Rollback,
}

/// Whether the message at the front of `link.held` is whole and does nothing but end the transaction.
fn ends(link: &Link) -> Option<End> {
    let frame = Frame::peek(&link.held).ok()?.filter(|frame| frame.kind == from_client::QUERY)?;
    let text = query_text(frame.body)?;
    let word = triage::first_word(text)?;
    let bare = text.trim_ascii().strip_suffix(b";").unwrap_or(text.trim_ascii()).len() == word.len();
    match word.to_ascii_lowercase().as_slice() {
        b"rollback" | b"abort" if bare => Some(End::Rollback),
        b"commit" | b"end" => Some(End::Commit),
        _ => None,
    }
}

/// Gives the client the error in the place of what its message would have brought.
async fn answer(link: &mut Link, kind: u8, outcome: Outcome) -> Result<(), Lost> {
    if !matches!(kind, from_client::QUERY | from_client::FUNCTION_CALL) {
        // The server ignores it, and what comes behind it up to the Sync.
        return finish(link, Way::Extended, outcome).await;
    }
    while Frame::peek(&link.held).map_err(Lost::ClientMalformed)?.is_none() {
        if link.held.len() >= AHEAD_MAX || !link.more_from_client().await {
            // It passes, and the server refuses it in a failed transaction.
            return Ok(());
        }
    }
    let total = Frame::peek(&link.held).map_err(Lost::ClientMalformed)?;
    let total = total.map_or(0, |frame| crate::wire::frame::HEADER_BYTES + frame.body.len());
    if ends(link) == Some(End::Commit) {
        // A transaction that cannot be committed is over.
        repeat::roll_back(link).await?;
    }
    drop_held(link, total);
    finish(link, Way::Simple, outcome).await
}
