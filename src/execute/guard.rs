//! A statement as sent, under the ladder of patience: it never stands in a lock queue for longer than can be felt.

use std::time::Duration;

use crate::base::{Notice, SqlState};
use crate::control::victims::Blocking;
use crate::event::ClientLeft;
use crate::event::clock::Moment;
use crate::judge::{Guard, Retry, Waits};
use crate::pace::blocker::{self, Blocker, Worker};
use crate::pace::ladder::{Ladder, Next, Sample};
use crate::plan::Target;
use crate::upstream::call::Failed;
use crate::upstream::link::Reading;
use crate::upstream::{Link, Lost};

use super::attempt::{self, Attempt, Terms, client_timeout};
use super::nap::{Nap, nap};
use super::outcome::Outcome;
use super::stall::{ONCE, StallWatch};
use super::tell::tell;
use super::{Run, cancelled, fail, message, replay};

/// While a statement waits, its client is told who is in the way at least so far apart.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// An attempt that holds its locks for too long is made so often: it may have met a crowded moment.
const HEAVY_MAX: u32 = 5;

/// What is run.
#[derive(Debug, Clone, Copy)]
pub enum Work<'a> {
    /// One statement's text.
    Statement(&'a [u8]),
    /// Several, outside a transaction, that stand or fall together.
    Together(&'a [&'a [u8]]),
    /// One, outside a transaction, unless a question brings a row once all is locked: then nothing is done.
    Unless(&'a [u8], &'a str),
    /// A whole `Query` frame that must stay one message.
    Message(&'a [u8]),
    /// A whole `Execute` frame whose portal returns rows in formats that only the client knows.
    Portal(&'a [u8]),
}

/// Runs one statement under the ladder until it is done, has failed for a reason of its own, or time is over.
pub async fn run(run: &mut Run<'_>, work: Work<'_>, guard: &Guard) -> Result<Outcome, Lost> {
    match guard.retry {
        Retry::Replay => Box::pin(replay::run(run, work, guard)).await,
        Retry::Transaction | Retry::Whole | Retry::Savepoint | Retry::Never => climb(run, work, guard).await,
    }
}

async fn climb(run: &mut Run<'_>, work: Work<'_>, guard: &Guard) -> Result<Outcome, Lost> {
    let mut wait = Wait::new(run, guard);
    let mut seen: Option<Vec<Blocker>> = None;
    let mut first = guard.first.as_slice();
    loop {
        if run.take_cancel() {
            return wait.cancelled(run.link).await;
        }
        if let Some(why) = run.stopped() {
            fail::transaction(run.link).await?;
            return Ok(Outcome::own_error(&why));
        }
        let blockers = match seen.take() {
            Some(seen) => seen,
            None if guard.retry == Retry::Never => Vec::new(),
            None => wait.look(run).await,
        };
        if let Some(words) = wait.vacuum_gives_way(&blockers) {
            tell(run.link, &[words]).await;
        }
        match wait.next(&blockers) {
            Next::Try { patience } => {
                let watch = StallWatch::new(run, guard.retry).behind(blocking(guard));
                let patience = patience_of(run, guard, patience);
                let attempt =
                    once(run, work, Terms { first, patience, watch: &watch, retry: guard.retry }).await;
                wait.learn(&watch);
                match attempt? {
                    Attempt::Complete(tag) => return Ok(Outcome::complete(tag)),
                    Attempt::LockTimeout(failed) => wait.missed(Some(failed)),
                    Attempt::Unready => first = first.get(1..).unwrap_or_default(),
                    Attempt::Overtaken => return Ok(Outcome::Overtaken),
                    Attempt::Stalled => {
                        wait.missed(None);
                        if wait.is_too_heavy(&watch) && !run.take_cancel() {
                            fail::transaction(run.link).await?;
                            return Ok(Outcome::own_error(&wait.too_heavy(&watch)));
                        }
                    }
                    Attempt::Failed(failed) => return Ok(Outcome::server_error(&failed, None, None)),
                }
            }
            Next::WaitOutside { sleep } => {
                let words = wait.words(&blockers);
                run.record.is_at(blocker::processes(&blockers));
                match nap(run, &wait, sleep, words).await? {
                    Nap::Over(blockers) => seen = blockers,
                    Nap::Ended(failed) => {
                        return Ok(Outcome::server_error(&failed, Some(&wait.story()), None));
                    }
                }
            }
            Next::GiveUp => return give_up(run, &wait, &blockers).await,
        }
        if has_left(run) {
            return wait.cancelled(run.link).await;
        }
    }
}

/// Whether nobody waits for the statement any more.
pub(super) fn has_left(run: &Run<'_>) -> bool {
    let left = run.link.client_reading == Reading::Closed;
    if left {
        ClientLeft { statement: "waited for a lock and was not run", pid: run.surroundings.place.pid }.emit();
    }
    left
}

/// No longer than the client itself would wait for a lock.
pub(super) fn patience_of(run: &Run<'_>, guard: &Guard, rung: Duration) -> Option<Duration> {
    let own = client_timeout(&run.session.lock_timeout);
    (guard.waits == Waits::Briefly).then(|| own.map_or(rung, |own| own.min(rung)))
}

pub(super) const fn blocking(guard: &Guard) -> Blocking {
    match guard.waits {
        Waits::Briefly => Blocking::Whatever,
        Waits::AsSent => Blocking::StrongOnRelations,
    }
}

/// Runs the work once.
pub(super) async fn once(run: &mut Run<'_>, work: Work<'_>, terms: Terms<'_>) -> Result<Attempt, Lost> {
    run.record.is_at(None);
    let watch = terms.watch;
    let attempt = match work {
        Work::Statement(sql) => watch.over(attempt::statement(run, sql, terms)).await,
        Work::Together(all) => watch.over(attempt::together(run, all, terms)).await,
        Work::Unless(sql, question) => watch.over(attempt::unless(run, (sql, question), terms)).await,
        Work::Message(frame) => watch.over(message::attempt(run.link, frame, run.session, terms)).await,
        Work::Portal(frame) => watch.over(attempt::portal(run, frame, terms)).await,
    };
    run.record.stalled(watch.longest());
    attempt
}

/// The waiting for one statement's locks.
pub(super) struct Wait<'a> {
    guard: &'a Guard,
    ladder: Ladder,
    began: Moment,
    told: Option<Moment>,
    attempts: u32,
    /// Those of them that were cancelled while they held their locks.
    heavy: u32,
    last: Option<Failed>,
    /// It was said that autovacuum gives way.
    vacuum_told: bool,
    /// What it was seen to queue for, where that was not known before.
    learned: Vec<Target>,
}

impl<'a> Wait<'a> {
    pub(super) fn new(run: &Run<'_>, guard: &'a Guard) -> Self {
        Self::within(run, guard, retry_for(run, guard.retry))
    }

    /// A waiting that ends after so long a time.
    pub(super) fn within(run: &Run<'_>, guard: &'a Guard, retry_for: Duration) -> Self {
        let mut settings = run.surroundings.ladder.clone();
        settings.max_stall = run.policy.max_stall;
        settings.retry_for = retry_for;
        Self {
            guard,
            ladder: Ladder::new(settings),
            began: Moment::now(),
            told: None,
            attempts: 0,
            heavy: 0,
            last: None,
            vacuum_told: false,
            learned: Vec::new(),
        }
    }

    /// It cannot be tried again after all.
    pub(super) const fn is_under(&mut self, guard: &'a Guard) {
        self.guard = guard;
    }

    /// Who is in the way now.
    pub(super) async fn look(&self, run: &Run<'_>) -> Vec<Blocker> {
        let oids: Vec<u32> = self.targets().filter_map(|target| target.oid).collect();
        let place = &run.surroundings.place;
        let all = run.surroundings.control.blockers(&place.database, place.pid, &oids).await;
        let mut in_the_way: Vec<Blocker> = Vec::new();
        for target in self.targets() {
            let here: Vec<Blocker> = all
                .iter()
                .filter(|(relation, holder)| {
                    Some(*relation) == target.oid && !in_the_way.iter().any(|known| known.pid == holder.pid)
                })
                .map(|(_, holder)| holder.clone())
                .collect();
            in_the_way.extend(blocker::in_the_way(target.mode, &here));
        }
        for vacuum in in_the_way.iter_mut().filter(|it| it.worker == Worker::Autovacuum) {
            if !run.surroundings.control.send_vacuum_away(&place.database, vacuum.pid).await {
                vacuum.worker = Worker::StayingVacuum;
            }
        }
        in_the_way
    }

    /// What it locks strongly, as far as known.
    fn targets(&self) -> impl Iterator<Item = &Target> {
        self.guard.targets.iter().chain(&self.learned)
    }

    /// Notes what an attempt was seen to queue for, so that the next one looks before it queues.
    pub(super) fn learn(&mut self, watch: &StallWatch<'_>) {
        let new = watch.queued_for().filter(|new| new.mode.is_strong());
        let new = new.filter(|new| self.targets().all(|known| known.oid != new.oid));
        self.learned.extend(new);
    }

    /// Says once that autovacuum was cancelled.
    pub(super) fn vacuum_gives_way(&mut self, blockers: &[Blocker]) -> Option<Notice> {
        let vacuum = blockers.iter().find(|it| it.worker == Worker::Autovacuum)?;
        let told = std::mem::replace(&mut self.vacuum_told, true);
        (!told).then(|| {
            Notice::info(format!("autovacuum (process {}) was in the way and is cancelled", vacuum.pid))
                .detail("Postgres starts it again by itself.")
        })
    }

    /// What to do, with these in the way.
    pub(super) fn next(&mut self, blockers: &[Blocker]) -> Next {
        self.ladder.next(&Sample {
            elapsed: self.began.elapsed(),
            attempts: self.attempts,
            random: getrandom::u64().unwrap_or_default(),
            oldest_holder: blocker::oldest(blockers),
        })
    }

    /// Notes that a try has ended without the lock.
    pub(super) fn missed(&mut self, failed: Option<Failed>) {
        self.attempts += 1;
        self.last = failed;
    }

    /// Whether an attempt that was cancelled for those who waited behind it was the last one: it cannot be repeated, or it
    /// always holds its locks for too long.
    pub(super) fn is_too_heavy(&mut self, watch: &StallWatch<'_>) -> bool {
        self.heavy += u32::from(watch.strike().is_some_and(|strike| strike.at_work));
        self.guard.retry == Retry::Never || self.heavy >= HEAVY_MAX
    }

    /// What the client hears then.
    pub(super) fn too_heavy(&self, watch: &StallWatch<'_>) -> Notice {
        match (self.guard.retry, self.heavy) {
            (Retry::Never, _) => watch.others_waited(ONCE),
            (_, heavy) => {
                watch.others_waited(&format!("It held its locks each time; attempts so cancelled: {heavy}."))
            }
        }
    }

    /// Who is in the way, when it is time to say it.
    pub(super) fn words(&mut self, blockers: &[Blocker]) -> Option<Notice> {
        if blockers.is_empty() || self.told.is_some_and(|told| told.elapsed() < TELL_EVERY) {
            return None;
        }
        self.told = Some(Moment::now());
        let targets: Vec<&Target> = self.targets().collect();
        let what = match targets.as_slice() {
            [] => String::new(),
            [target] => format!(" for {} on {}", target.mode, target.name),
            [one, other] => format!(" for its locks on {} and {}", one.name, other.name),
            [one, more @ ..] => format!(" for its locks on {} and {} more", one.name, more.len()),
        };
        let notice = Notice::info(format!("waiting outside the lock queue{what}"))
            .detail(blocker::describe(blockers))
            .hint("Nothing queues behind this statement meanwhile. Cancel it, or end the sessions named, if it cannot wait.");
        Some(notice)
    }

    pub(super) async fn cancelled(&self, link: &mut Link) -> Result<Outcome, Lost> {
        fail::transaction(link).await?;
        Ok(Outcome::own_error(&cancelled().detail(self.story())))
    }

    pub(super) fn story(&self) -> String {
        let elapsed = blocker::age(self.began.elapsed());
        match (self.guard.retry, self.attempts) {
            (Retry::Never, _) => format!("One attempt was made, which ended after {elapsed}."),
            (_, attempts) => format!(
                "Waited for {elapsed}; attempts made: {attempts}. Between them nothing was locked and nobody queued."
            ),
        }
    }
}

pub(super) async fn give_up(
    run: &mut Run<'_>,
    wait: &Wait<'_>,
    blockers: &[Blocker],
) -> Result<Outcome, Lost> {
    let mut detail = wait.story();
    if !blockers.is_empty() {
        detail = format!("{detail} {}", blocker::describe(blockers));
    }
    let hint = match wait.guard.retry {
        Retry::Never => {
            "Only one short attempt is made where others may queue meanwhile (the transaction holds strong locks \
             already) or where what was done before cannot be done again. Run this statement in a transaction of its own."
        }
        Retry::Transaction | Retry::Whole | Retry::Savepoint | Retry::Replay => {
            "Try again when the sessions in the way have ended, or SET lockkeeper.retry_for to wait longer."
        }
    };
    fail::transaction(run.link).await?;
    if wait.guard.retry != Retry::Never && statement_timeout_is_over(run, wait) {
        let error = Notice::error(SqlState::QUERY_CANCELED, "canceling statement due to statement timeout");
        return Ok(Outcome::own_error(&error.detail(detail).hint(hint)));
    }
    Ok(if let Some(failed) = &wait.last {
        Outcome::server_error(failed, Some(&detail), Some(hint))
    } else {
        let error = Notice::error(SqlState::LOCK_NOT_AVAILABLE, "canceling statement due to lock timeout");
        Outcome::own_error(&error.detail(detail).hint(hint))
    })
}

/// Whether it is the client's `statement_timeout` that ends the waiting.
fn statement_timeout_is_over(run: &Run<'_>, wait: &Wait<'_>) -> bool {
    client_timeout(&run.session.statement_timeout).is_some_and(|limit| wait.began.elapsed() >= limit)
}

fn retry_for(run: &Run<'_>, retry: Retry) -> Duration {
    if retry == Retry::Never { Duration::ZERO } else { attempt::patience(run.session, run.policy) }
}
