//! Holding a statement back until peak hours or a freeze are over: inside the server, outside every lock queue.

use std::time::Duration;

use jiff::Timestamp;

use crate::base::{Notice, Period, SqlState};
use crate::event::ClientLeft;
use crate::event::clock::{self, Moment};
use crate::judge::{self, Hold, Mode};
use crate::live::Stop;
use crate::live::gate::Ticket;
use crate::upstream::call::{Call, Failed, Item, Progress};
use crate::upstream::link::{Batch, Reading};
use crate::upstream::{Link, Lost};
use crate::wire::server::Status;

use super::attempt::client_timeout;
use super::catalogue::SessionSettings;
use super::outcome::Outcome;
use super::tell::tell;
use super::{Surroundings, cancelled, fail};

/// So often it is looked whether the statement may go on. Each time costs one round trip.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The same when only those who came before are waited for.
const TURN_EVERY: Duration = Duration::from_millis(20);

/// So long a nap has gone on before the client is told, so that a cancel request finds the server at it.
const TELL_AFTER: Duration = Duration::from_millis(15);

/// The longest time between two words to a client that waits; it doubles up to that.
const TELL_EVERY_MAX: Duration = Duration::from_mins(5);

/// What holding a statement needs.
#[derive(Debug)]
pub struct Holding<'a> {
    /// The session's two sockets.
    pub link: &'a mut Link,
    /// The session's settings as they were found.
    pub session: &'a SessionSettings,
    /// What stays the same for all statements of a session.
    pub surroundings: &'a Surroundings<'a>,
    /// How far the configuration goes with the session.
    pub mode: Mode,
    /// Since when the statement is held.
    pub since: Moment,
}

/// How holding ended.
#[derive(Debug)]
pub enum Held {
    /// The statement may go on, and is to be judged anew.
    Over,
    /// It is not to be run; the client's answer.
    Ended(Outcome),
}

/// Waits until nothing holds the statement any more and it is its turn.
pub async fn hold(holding: &mut Holding<'_>, hold: &Hold, ticket: &Ticket<'_>) -> Result<Held, Lost> {
    if !may_wait(holding.link).await? {
        return end(holding, &hold.elsewhere).await;
    }
    let mut words = Words::new(holding.surroundings.progress_every);
    loop {
        if let Some(why) = interrupted(holding) {
            return end(holding, &why).await;
        }
        let now = clock::wall();
        let nap = match length(holding, ticket, now) {
            Length::None => {
                ticket.go();
                return Ok(Held::Over);
            }
            Length::Nap(nap) => nap,
            Length::TimeOut => {
                let why =
                    Notice::error(SqlState::QUERY_CANCELED, "canceling statement due to statement timeout");
                return end(holding, &why.detail(story(holding))).await;
            }
            Length::TooLong => {
                let detail = hold.over.detail.clone().unwrap_or_default();
                return end(holding, &hold.over.clone().detail(format!("{detail} {}", story(holding)))).await;
            }
        };
        let said = words.due(hold, holding.since.elapsed(), ticket);
        if let Some(failed) = sleep(holding.link, nap, said).await? {
            return Ok(Held::Ended(Outcome::server_error(&failed, Some(&story(holding)), None)));
        }
    }
}

/// How long to sleep next.
enum Length {
    Nap(Duration),
    /// It may go on.
    None,
    /// The client's own time-out is over.
    TimeOut,
    /// It was held for as long as it may be.
    TooLong,
}

fn length(holding: &Holding<'_>, ticket: &Ticket<'_>, now: Timestamp) -> Length {
    let waited = holding.since.elapsed();
    let timeout = client_timeout(&holding.session.statement_timeout);
    if timeout.is_some_and(|limit| waited >= limit) {
        return Length::TimeOut;
    }
    let left = timeout.map_or(LOOK_EVERY, |limit| limit.saturating_sub(waited));
    let Some(curb) = ticket.held_by(now) else {
        return if ticket.is_next(now) { Length::None } else { Length::Nap(TURN_EVERY.min(left)) };
    };
    if curb.hold_for.is_some_and(|limit| waited >= limit) {
        return Length::TooLong;
    }
    let allowed = curb.hold_for.map_or(LOOK_EVERY, |limit| limit.saturating_sub(waited));
    let end = curb.until.and_then(|until| Duration::try_from(until.duration_since(now)).ok());
    let nap = end.unwrap_or(LOOK_EVERY).min(allowed).min(left).min(LOOK_EVERY);
    Length::Nap(nap.max(Duration::from_millis(1)))
}

/// Why it is not waited any longer, though the server has not said a word.
fn interrupted(holding: &Holding<'_>) -> Option<Notice> {
    let surroundings = holding.surroundings;
    if holding.link.client_reading == Reading::Closed {
        ClientLeft { statement: "was held and is not run", pid: surroundings.place.pid }.emit();
        return Some(cancelled());
    }
    if surroundings.take_cancel() {
        return Some(cancelled().detail(story(holding)));
    }
    (*surroundings.live.stop().borrow() != Stop::Running).then(|| {
        Notice::error(SqlState::ADMIN_SHUTDOWN, "the statement was held and is not run")
            .detail(format!("The lockkeeper proxy is shutting down. {}", story(holding)))
            .hint("Connect again and send it again; another instance may be serving already.")
    })
}

fn story(holding: &Holding<'_>) -> String {
    let waited = u64::try_from(holding.since.elapsed().as_millis()).unwrap_or(u64::MAX);
    let waited = Period::millis(if waited < 1000 { waited } else { waited / 1000 * 1000 });
    format!("It was held for {waited} and not run.")
}

async fn end(holding: &mut Holding<'_>, why: &Notice) -> Result<Held, Lost> {
    fail::transaction(holding.link).await?;
    Ok(Held::Ended(Outcome::own_error(why)))
}

/// Whether nobody would feel it if the open transaction waited for hours: it has changed nothing, locks nothing strongly,
/// and keeps no snapshot.
const HARMLESS: &str = "SELECT pg_catalog.pg_current_xact_id_if_assigned() IS NULL \
     AND pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) 'read committed' \
     AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_locks l \
        WHERE l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid() AND l.granted \
        AND l.locktype OPERATOR(pg_catalog.=) 'relation' \
        AND l.mode OPERATOR(pg_catalog.=) ANY ('{ShareUpdateExclusiveLock,ShareLock,ShareRowExclusiveLock,ExclusiveLock,AccessExclusiveLock}'::pg_catalog.text[]))";

async fn may_wait(link: &mut Link) -> Result<bool, Lost> {
    if link.tracker.status() == Status::Idle && link.batch == Batch::None {
        return Ok(true);
    }
    let answer = Call::run(link, &[Item::ours(HARMLESS)]).await?;
    let harmless = answer.row(0).and_then(|row| row.first().cloned().flatten());
    Ok(harmless.as_deref() == Some("t"))
}

/// When the client is told.
struct Words {
    every: Duration,
    told: Option<Moment>,
}

impl Words {
    const fn new(every: Duration) -> Self {
        Self { every, told: None }
    }

    fn due(&mut self, hold: &Hold, waited: Duration, ticket: &Ticket<'_>) -> Option<Notice> {
        let said = match self.told {
            None if waited < LOOK_EVERY => hold.told.clone(),
            Some(told) if told.elapsed() < self.every => return None,
            None | Some(_) => {
                self.every = (self.every * 2).min(TELL_EVERY_MAX.max(self.every));
                judge::still_held(hold, waited, ticket.before())
            }
        };
        self.told = Some(Moment::now());
        Some(said)
    }
}

/// Sleeps inside the server; its words where something ended that, a cancel request most likely.
pub(super) async fn sleep(
    link: &mut Link,
    nap: Duration,
    words: Option<Notice>,
) -> Result<Option<Failed>, Lost> {
    let seconds = nap.as_secs_f64().to_string();
    let item = Item::ours("SELECT pg_catalog.pg_sleep($1::pg_catalog.float8)").with(vec![&seconds]);
    let mut call = Call::start(link, &[item]).await;
    let mut words = words;
    loop {
        let step = if words.is_some() {
            clock::within(TELL_AFTER, call.step(link)).await
        } else {
            Some(call.step(link).await)
        };
        let over = step.transpose()? == Some(Progress::Done);
        if let Some(words) = words.take() {
            tell(link, &[words]).await;
        }
        if over {
            return Ok(call.into_answer().failed);
        }
    }
}
