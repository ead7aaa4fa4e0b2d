//! Waiting for a table on which a concurrent build of another session of ours works: outside the server's queues.
//!
//! Outside a transaction it waits inside the server, in short sleeps, so that a cancel request finds it whichever way it comes;
//! none of them holds a snapshot for long. In a transaction a sleep's snapshot would last until its end, and the build may be
//! waiting for that very transaction: so it waits here, and not for long.

use std::time::Duration;

use crate::base::{Notice, SqlState};
use crate::effects::facts::Oid;
use crate::event::ClientLeft;
use crate::event::clock::{self, Moment};
use crate::live::queue::{InFront, On, Permit, Want, Who, Work};
use crate::pace::blocker;
use crate::upstream::link::{Batch, Reading};
use crate::upstream::{Link, Lost};
use crate::wire::server::Status;

use super::attempt::patience;
use super::nap::does_not_idle;
use super::outcome::Outcome;
use super::replay::{self, Meanwhile};
use super::tell::tell;
use super::{Run, cancelled, fail, hold};

/// So often it is looked whether the table is free. Each time costs one round trip.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// While a statement waits, its client is told so at least so far apart.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// The longest time that an open transaction waits, which the build in front may be waiting for.
const IN_TRANSACTION_MAX: Duration = Duration::from_secs(5);

/// How waiting ended.
#[derive(Debug)]
pub enum Turn {
    /// The tables are free, and are kept so until the permit is dropped.
    Come(Permit),
    /// The statement is not to be run; the client's answer.
    Ended(Outcome),
}

/// Goes to the end of the queues.
pub fn line_up(run: &Run<'_>, on: On, work: Work) -> Permit {
    run.surroundings.live.queues().line_up(want(run, on, work))
}

/// Waits until no build of another session works there.
pub async fn turn(run: &mut Run<'_>, on: On, work: Work) -> Result<Turn, Lost> {
    let permit = line_up(run, on, work);
    turn_of(run, permit, work).await
}

/// The same for who has lined up already.
pub async fn turn_of(run: &mut Run<'_>, permit: Permit, work: Work) -> Result<Turn, Lost> {
    let mut waiting = Waiting::new(run, work);
    if waiting.ground == Ground::Proxy && permit.in_front().is_some() {
        does_not_idle(run.link).await;
    }
    while let Some(front) = permit.in_front() {
        if let Some(why) = waiting.interrupted(run, &front) {
            fail::transaction(run.link).await?;
            return Ok(Turn::Ended(Outcome::own_error(&why)));
        }
        let words = waiting.words(&front);
        run.record.is_at(Some(format!("waiting for the build of process {}", front.who.pid)));
        if let Some(failed) = waiting.nap(run.link, words).await? {
            return Ok(Turn::Ended(failed));
        }
    }
    run.record.is_at(None);
    Ok(Turn::Come(permit))
}

/// The same for a statement of an open transaction that holds strong locks, before it is judged for good: where others wait for those
/// meanwhile, it is rolled back, and sent once more when the tables are free.
pub async fn beside(run: &mut Run<'_>, permit: &Permit) -> Result<Result<Meanwhile, Outcome>, Lost> {
    let tracker = &run.link.tracker;
    let apart =
        tracker.holds_strong_lock() && tracker.is_idle_in_transaction() && run.link.batch == Batch::None;
    let Some(front) = permit.in_front().filter(|_| apart) else { return Ok(Ok(Meanwhile::Stayed)) };
    let mut waiting = Waiting::new(run, Work::Brief);
    if let Some(words) = waiting.words(&front) {
        tell(run.link, &[words]).await;
    }
    run.record.is_at(Some(format!("waiting for the build of process {}", front.who.pid)));
    let limit = patience(run.session, run.policy).min(IN_TRANSACTION_MAX);
    let free = async {
        while permit.in_front().is_some() && waiting.began.elapsed() < limit {
            clock::pause(LOOK_EVERY).await;
        }
    };
    let meanwhile = Box::pin(replay::beside(run, free, "It waited for another session's build.")).await?;
    run.record.is_at(None);
    match permit.in_front() {
        Some(front) if meanwhile.is_ok() => {
            fail::transaction(run.link).await?;
            Ok(Err(Outcome::own_error(&waiting.over(&front))))
        }
        Some(_) | None => Ok(meanwhile),
    }
}

/// Whether a build of another session works on these tables at this moment.
pub fn is_busy(run: &Run<'_>, tables: Vec<Oid>) -> bool {
    let queues = run.surroundings.live.queues();
    !tables.is_empty() && queues.line_up(want(run, On::Tables(tables), Work::Brief)).in_front().is_some()
}

fn want(run: &Run<'_>, on: On, work: Work) -> Want {
    let place = &run.surroundings.place;
    let who = Who {
        pid: place.pid,
        user: place.user.clone(),
        application: place.application_name.clone(),
        what: run.record.what(),
    };
    Want { database: place.database.clone(), on, work, who }
}

/// Where it waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ground {
    Server,
    Proxy,
}

impl Ground {
    fn of(link: &Link) -> Self {
        let alone = link.tracker.status() == Status::Idle && link.batch == Batch::None;
        if alone { Self::Server } else { Self::Proxy }
    }
}

struct Waiting {
    began: Moment,
    told: Option<Moment>,
    ground: Ground,
    work: Work,
}

impl Waiting {
    fn new(run: &Run<'_>, work: Work) -> Self {
        Self { began: Moment::now(), told: None, ground: Ground::of(run.link), work }
    }

    /// Why it is not waited any longer, though the server has not said a word.
    fn interrupted(&self, run: &Run<'_>, front: &InFront) -> Option<Notice> {
        if run.link.client_reading == Reading::Closed {
            let pid = run.surroundings.place.pid;
            ClientLeft { statement: "waited for a table and was not run", pid }.emit();
        } else if !run.take_cancel() {
            return run.stopped().or_else(|| self.is_over(run).then(|| self.over(front)));
        }
        Some(cancelled().detail(self.story(front)))
    }

    fn is_over(&self, run: &Run<'_>) -> bool {
        let limit = match (self.ground, self.work) {
            // It has waited already, or cannot be sent once more: others may wait for it.
            (Ground::Proxy, _) if run.link.tracker.holds_strong_lock() => Some(run.policy.max_stall / 2),
            (Ground::Proxy, _) => Some(patience(run.session, run.policy).min(IN_TRANSACTION_MAX)),
            (Ground::Server, Work::Brief) => Some(patience(run.session, run.policy)),
            // As a build waits for those that hold it up.
            (Ground::Server, Work::Build) => None,
        };
        limit.is_some_and(|limit| self.began.elapsed() >= limit)
    }

    fn over(&self, front: &InFront) -> Notice {
        let hint = match self.ground {
            Ground::Server => "Try again when it is done, or SET lockkeeper.retry_for to wait longer.",
            Ground::Proxy => {
                "A build waits for the transactions that are open, so an open transaction does not wait for it. Try again when \
                 it is done, or run this statement outside a transaction."
            }
        };
        let why = "another session's concurrent build works on the table";
        Notice::error(SqlState::LOCK_NOT_AVAILABLE, why).detail(self.story(front)).hint(hint)
    }

    fn story(&self, front: &InFront) -> String {
        let elapsed = blocker::age(self.began.elapsed());
        format!("Waited for {elapsed}, outside every lock queue. {}", line(front))
    }

    /// What the client is told, when it is time.
    fn words(&mut self, front: &InFront) -> Option<Notice> {
        if self.told.is_some_and(|told| told.elapsed() < TELL_EVERY) {
            return None;
        }
        self.told = Some(Moment::now());
        let message = format!("waiting until process {} is done with the table", front.who.pid);
        let hint =
            "In the server's queue it might end in a deadlock with that. Nothing queues behind it meanwhile.";
        Some(Notice::info(message).detail(line(front)).hint(hint))
    }

    /// Waits a while; the client's answer where something ended that.
    async fn nap(&self, link: &mut Link, words: Option<Notice>) -> Result<Option<Outcome>, Lost> {
        if self.ground == Ground::Server {
            let failed = hold::sleep(link, LOOK_EVERY, words).await?;
            return Ok(failed.map(|failed| Outcome::server_error(&failed, None, None)));
        }
        if let Some(words) = words {
            tell(link, &[words]).await;
        }
        let _gone = clock::within(LOOK_EVERY, link.client_gone()).await;
        Ok(None)
    }
}

fn line(front: &InFront) -> String {
    let Who { pid, user, application, what } = &front.who;
    let application = match application.as_str() {
        "" => String::new(),
        application => format!(" (application \"{application}\")"),
    };
    let age = blocker::age(front.since.elapsed());
    format!("Process {pid} of user \"{user}\"{application} has been at its {what} for {age}.")
}
