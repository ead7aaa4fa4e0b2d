//! One session from its first byte to its last.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::Poll;
use std::time::Duration;

use crate::base::{Notice, SqlState};
use crate::event::clock::{self, Moment};
use crate::event::{LoginFailed, SessionBroken};
use crate::execute::lease::{Lease, Overdue};
use crate::execute::{Canceller, Place, Surroundings};
use crate::judge::{Mode, Policy};
use crate::live::lockers::Known;
use crate::live::{Aim, CancelEntry, Live, Seat, Stop};
use crate::session::Tracker;
use crate::upstream::link::Reading;
use crate::upstream::{Link, Lost};
use crate::wire::notice;
use crate::wire::startup::Replication;

use super::console;
use super::copies;
use super::engage::{self, Desk};
use super::eye::{Own, Shaped, Watcher};
use super::farewell::{idle_too_long, shutdown, without_a_word};
use super::greet::{Greeting, greet};
use super::lease;
use super::listener::Accepted;
use super::login::{self, Ended, Session, Way};
use super::oversize;
use super::portal;
use super::refuse::refuse;
use super::relay::{Halt, Relay};
use super::settings::{Oversize, Ready};
use super::worker_state::WorkerState;

/// A client that does not read is not waited for when its session is over.
const FAREWELL_WITHIN: Duration = Duration::from_secs(2);

/// Serves one connection.
pub async fn session(accepted: Accepted, state: Rc<WorkerState>) {
    // Boxed and gone before the relay: what start-up needs must not weigh on idle sessions.
    if let Some(begun) = Box::pin(begin(accepted, &state)).await {
        converse(begun, &state).await;
    }
}

/// A session that has logged in; boxed, since a task keeps room for every place that a value passes through.
struct Begun {
    link: Link,
    about: About,
    /// What is known of the open transaction, where it holds strong locks.
    lease: Option<Box<Lease>>,
}

/// What is known of a session beside its sockets; needed only when something happens.
struct About {
    place: Place,
    replication: Replication,
    host: u16,
    cancel_packet: Box<[u8]>,
    cancel: Option<CancelEntry>,
    lockers: Arc<Known>,
    own: Cell<Own>,
    _seat: Seat,
}

async fn begin(accepted: Accepted, state: &WorkerState) -> Option<Box<Begun>> {
    let ready = state.serving.now();
    let limit = ready.settings.startup_timeout;
    let client = accepted.socket.stream().ok()?;
    let greeted = match greet(client, &ready.client_tls, limit).await {
        Greeting::Session(greeted) => console::unless_meant(greeted, &state.serving, &ready).await?,
        Greeting::Cancel { client, packet } => {
            pass_cancel(&state.serving.live, &ready, &packet).await;
            drop(client);
            return None;
        }
        Greeting::Gone(farewell) => {
            if !farewell.is_noise() {
                tracing::debug!(%farewell, "client did not get as far as its login");
            }
            return None;
        }
    };
    let text = |name| greeted.startup().and_then(|startup| startup.text(name)).unwrap_or_default();
    let user = text("user");
    let seat = match state.serving.live.admit(&user, &ready.settings.limits) {
        Ok(seat) => seat,
        Err(refused) => {
            refuse(greeted.client, &refused.notice(&user)).await;
            return None;
        }
    };
    let own = Own::of(&[text("options"), text("search_path")].concat());
    let way = Way { upstream: &ready.upstream, verifiers: &ready.verifiers };
    match login::login(greeted, accepted.peer, way).await {
        Ok(session) => begun(session, (seat, own), state, &ready),
        Err(ended) => {
            if matches!(ended, Ended::Refused(_) | Ended::ClientGone(_)) {
                tracing::debug!(%ended, "login did not succeed");
            } else {
                LoginFailed { why: &ended, user: &user }.emit();
            }
            None
        }
    }
}

fn begun(
    session: Session,
    (seat, own): (Seat, Own),
    state: &WorkerState,
    ready: &Ready,
) -> Option<Box<Begun>> {
    let Session { client, upstream, identity, key, host, client_encoding, from_client, from_server, .. } =
        session;
    let tracker = Tracker::new(ready.settings.inspect_bytes_max, &client_encoding);
    let cancel = key.as_ref().map(|key| state.serving.live.register(key.pid, &key.secret, host));
    state.serving.live.tasks().ask_once(&identity.database);
    let about = About {
        lockers: state.serving.live.lockers().of(&identity.database),
        own: Cell::new(own),
        place: Place {
            user: identity.user,
            database: identity.database,
            application_name: identity.application_name,
            pid: key.as_ref().map_or(0, |key| key.pid),
        },
        replication: identity.replication,
        host: u16::try_from(host).unwrap_or(u16::MAX),
        cancel_packet: key.as_ref().map(crate::wire::login::CancelKey::request).unwrap_or_default().into(),
        cancel,
        _seat: seat,
    };
    let mut link = Link::new(client, upstream, tracker, from_client);
    link.pass_on(&from_server).ok()?;
    Some(Box::new(Begun { link, about, lease: None }))
}

/// Passes a cancel request on when its turn has come; a session of ours that waits outside the server notes it too.
async fn pass_cancel(live: &Live, ready: &Ready, packet: &[u8]) {
    let target = crate::wire::login::CancelKey::of_request(packet)
        .and_then(|key| live.cancel_target(key.pid, &key.secret));
    if let Some(target) = &target {
        target.cancel.raise();
    }
    let aim = if target.is_some() { Aim::Session } else { Aim::Unknown };
    // Later it might hit what the session does next.
    let turn = clock::within(ready.settings.upstream.connect_timeout, live.forward(aim)).await;
    let Some(_turn) = turn.flatten() else {
        tracing::debug!("cancel request dropped: too many are on their way");
        return;
    };
    if let Err(error) = ready.upstream.cancel(target.map(|target| target.host), packet).await {
        tracing::debug!(%error, "cancel request did not reach the server");
    }
}

/// Relays and looks after statements until one side ends.
async fn converse(mut begun: Box<Begun>, state: &WorkerState) {
    let words = loop {
        let care = match relay_until_halt(&mut begun, state).await {
            Ok(Turn::Care(care)) => care,
            Ok(Turn::ServerEnded) => break last_words(&begun, &Lost::Upstream(None)),
            Ok(Turn::End(notice)) => break Some(notice),
            Err(lost) => break last_words(&begun, &lost),
        };
        match Box::pin(look_after(&mut begun, state, care)).await {
            Ok(None) => {}
            Ok(Some(notice)) => break Some(broken(&begun, notice)),
            Err(lost) => break last_words(&begun, &lost),
        }
    };
    Box::pin(part(begun, words)).await;
}

/// Which care a stopped message needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Care {
    Judge,
    TooLong,
    /// None but that what came before is answered.
    Rest,
    /// It is too long, and its beginning has gone upstream.
    TooLate,
    /// There is no message: others have waited for too long for strong locks of the open transaction.
    Lease(Overdue),
    /// There is no message: a COPY has begun.
    Copying,
    /// There is no message: the session keeps what it does not need, a portal for whose end somebody waits, or questions of ours.
    Free,
}

/// Why relaying stopped.
enum Turn {
    Care(Care),
    ServerEnded,
    /// The proxy ends the session, with these words.
    End(Notice),
}

/// What woke the relay's driver.
enum Wake {
    Halt(Result<Halt, Lost>),
    StopNews,
    IdleLimit,
    Overdue(Overdue),
    Idle,
    InVain,
    Nudged,
}

async fn relay_until_halt(begun: &mut Begun, state: &WorkerState) -> Result<Turn, Lost> {
    let (mut eye, idle_timeout) = watcher(&begun.about, state, begun.link.tracker.renamed());
    let mut leased = lease::watch(&mut begun.lease, &begun.link.tracker, (&begun.about.place, state));
    let mut stop = state.serving.live.stop();
    let mut relay = Relay::new(&mut begun.link, &mut eye, &state.scratch);
    let mut last_active = Moment::now();
    let mut idle_limit = idle_timeout.map(|limit| Box::pin(clock::pause(limit)));
    let nudge = begun.about.cancel.as_ref().map(|entry| Arc::clone(entry.nudge()));
    let mut listening = None;
    loop {
        let stopping = *stop.borrow_and_update() != Stop::Running;
        if matches!(*stop.borrow(), Stop::Now) {
            return Ok(Turn::End(shutdown()));
        }
        let mut news = pin!(stop.changed());
        let wake = poll_fn(|cx| {
            if idle_limit.as_mut().is_some_and(|limit| limit.as_mut().poll(cx).is_ready()) {
                return Poll::Ready(Wake::IdleLimit);
            }
            if let Poll::Ready(halt) = relay.poll(cx) {
                return Poll::Ready(Wake::Halt(halt));
            }
            if idle_limit.is_some() {
                last_active = Moment::now();
            }
            if nudge.as_ref().is_some_and(|nudge| nudge.is_asked(&mut listening, cx.waker())) {
                return Poll::Ready(Wake::Nudged);
            }
            if relay.link().keeps_in_vain() {
                return Poll::Ready(Wake::InVain);
            }
            if let Some(overdue) = lease::poll(&mut leased, &relay.link().tracker, cx) {
                return Poll::Ready(Wake::Overdue(overdue));
            }
            if stopping && relay.link().tracker.is_idle() {
                return Poll::Ready(Wake::Idle);
            }
            news.as_mut().poll(cx).map(|_| Wake::StopNews)
        })
        .await;
        match wake {
            Wake::Halt(halt) => return halt.map(turn),
            Wake::Idle => return Ok(Turn::End(shutdown())),
            Wake::Overdue(overdue) => return Ok(Turn::Care(Care::Lease(overdue))),
            Wake::InVain => return Ok(Turn::Care(Care::Free)),
            Wake::Nudged if relay.link().tracker.keeps_finished_portal() => {
                return Ok(Turn::Care(Care::Free));
            }
            Wake::Nudged | Wake::StopNews => {}
            Wake::IdleLimit => {
                let left = idle_timeout.unwrap_or_default().saturating_sub(last_active.elapsed());
                if left.is_zero() && relay.link().tracker.is_idle() {
                    return Ok(Turn::End(idle_too_long()));
                }
                idle_limit = idle_timeout
                    .map(|limit| Box::pin(clock::pause(if left.is_zero() { limit } else { left })));
            }
        }
    }
}

fn watcher<'a>(
    about: &'a About,
    state: &'a WorkerState,
    renamed: Option<&str>,
) -> (Watcher<'a>, Option<Duration>) {
    let ready = state.serving.now();
    // A wire looks at nothing that may pass.
    let shaped = (about.policy(&ready, renamed).mode != Mode::Off).then(|| about.shaped(state));
    let watcher = Watcher::of(about.replication, &state.memory, &about.lockers, shaped);
    (watcher, ready.settings.idle_timeout)
}

const fn turn(halt: Halt) -> Turn {
    match halt {
        Halt::Engage => Turn::Care(Care::Judge),
        Halt::Oversize => Turn::Care(Care::TooLong),
        Halt::Unsettled => Turn::Care(Care::Rest),
        Halt::Hidden => Turn::Care(Care::TooLate),
        Halt::Copying => Turn::Care(Care::Copying),
        Halt::ServerEnded => Turn::ServerEnded,
    }
}

/// Looks after the message that the relay has stopped at; the last words if the session ends with it.
async fn look_after(begun: &mut Begun, state: &WorkerState, care: Care) -> Result<Option<Notice>, Lost> {
    let ready = state.serving.now();
    let (settings, about) = (&ready.settings, &begun.about);
    let (control, policy) = (state.control(&ready), about.policy(&ready, begun.link.tracker.renamed()));
    let ladder = settings.waiting.ladder(&policy);
    let canceller = Canceller {
        upstream: Arc::clone(&ready.upstream),
        host: usize::from(about.host),
        packet: about.cancel_packet.to_vec(),
    };
    let never = AtomicBool::new(false);
    let surroundings = Surroundings {
        control: &control,
        live: &state.serving.live,
        cancel: about.cancel.as_ref().map(CancelEntry::cancel),
        cancelled: about.cancel.as_ref().map_or(&never, |entry| entry.cancel().flag()),
        canceller: &canceller,
        place: &about.place,
        ladder: &ladder,
        progress_every: settings.waiting.progress_interval,
        bulk: &settings.bulk,
    };
    let mut desk = Desk {
        link: &mut begun.link,
        policy: &policy,
        surroundings: &surroundings,
        scratch: &state.scratch,
        replication: about.replication,
        lockers: &about.lockers,
        lease: &mut begun.lease,
        shaped: begun.about.shaped(state),
    };
    let mut words = None;
    match (care, settings.oversize) {
        (Care::Judge, _) => engage::engage(&mut desk).await?,
        (Care::Lease(overdue), _) => lease::over(&mut desk, overdue).await?,
        (Care::Copying, _) => copies::begin(&mut desk, &control, &state.serving),
        (Care::Free, _) => portal::free(desk.link, about.place.pid).await?,
        (Care::Rest, _) => engage::come_to_rest(desk.link, desk.scratch).await?,
        (Care::TooLong, Oversize::Refuse) => oversize::refuse(&mut desk).await?,
        (Care::TooLong, Oversize::Pass) => oversize::pass(desk.link).await?,
        (Care::TooLate, Oversize::Refuse) => words = oversize::cut_off(&mut desk).await?,
        (Care::TooLate, Oversize::Pass) => desk.link.tracker.look_away(),
    }
    begun.link.settle().await?;
    Ok(words)
}

impl About {
    fn shaped<'a>(&'a self, state: &'a WorkerState) -> Shaped<'a> {
        let place = state.place_of(&self.place.database, &self.place.user);
        Shaped::new(&state.shapes, (place, state.since), &self.own)
    }

    fn policy(&self, ready: &Ready, renamed: Option<&str>) -> Policy {
        let application_name = renamed.unwrap_or(&self.place.application_name);
        ready.settings.rules.policy_for(&self.place.database, &self.place.user, application_name)
    }
}

/// What the client is to hear when its session cannot go on; nothing if it knows already or is gone.
fn last_words(begun: &Begun, lost: &Lost) -> Option<Notice> {
    let notice = match lost {
        Lost::Client(_) => return None,
        // A client that has closed its half has asked for the end.
        Lost::Upstream(_) if begun.link.client_reading == Reading::Closed => return None,
        Lost::Upstream(_) if begun.link.tracker.said_goodbye() || begun.link.tracker.ended_with_error() => {
            return None;
        }
        Lost::Upstream(_) => without_a_word(begun.link.last_words.get()),
        Lost::ClientMalformed(malformed) => {
            Notice::fatal(SqlState::PROTOCOL_VIOLATION, malformed.to_string())
        }
        Lost::UpstreamMalformed(malformed) => {
            Notice::fatal(SqlState::PROTOCOL_VIOLATION, format!("the server sent {malformed}"))
        }
    };
    Some(broken(begun, notice))
}

fn broken(begun: &Begun, notice: Notice) -> Notice {
    let Place { user, database, .. } = &begun.about.place;
    SessionBroken { why: &notice.message, user, database }.emit();
    notice
}

/// Says the last words, where the stream still has room for a message, and closes both sides.
async fn part(mut begun: Box<Begun>, words: Option<Notice>) {
    let mut out = Vec::new();
    if let Some(notice) = words.filter(|_| begun.link.tracker.at_boundary()) {
        notice::encode(&notice, &mut out);
    }
    let _ = clock::within(FAREWELL_WITHIN, begun.link.farewell(&out)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<A, B, F: Future>(_: fn(A, B) -> F) -> usize {
        size_of::<F>()
    }

    /// Memory per idle session is a promise: what a task holds counts once for each of thousands.
    #[test]
    fn an_idle_session_is_small() {
        assert!(size_of_future(session) <= 512, "{}", size_of_future(session));
        assert!(size_of::<Begun>() <= 768, "{}", size_of::<Begun>());
    }
}
