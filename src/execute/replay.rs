//! A guarded statement in a transaction that holds strong locks. While it waited for its own, others would wait for those: so
//! where it cannot have it at once the whole transaction is rolled back, waits outside, and is sent once more.

use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use crate::base::relation::quote_literal;
use crate::base::{Notice, SqlState};
use crate::event::LeaseOver;
use crate::judge::{Guard, Retry, Waits};
use crate::pace::blocker::{self, Blocker};
use crate::pace::ladder::Next;
use crate::session::repeat::{Patience, Repeat, Unfit};
use crate::session::tracker::Transaction;
use crate::upstream::link::{Link, Lost};
use crate::wire::server::Status;

use super::attempt::{Attempt, Terms, restore};
use super::guard::{self, Wait, Work};
use super::lease::{self, Seen};
use super::nap::{Nap, does_not_idle, nap};
use super::outcome::Outcome;
use super::repeat::{self, Again};
use super::stall::StallWatch;
use super::tell::tell;
use super::{Run, Surroundings, cancelled, fail, raised};

/// Runs one statement until it is done, has failed for a reason of its own, or time is over.
pub(super) async fn run(run: &mut Run<'_>, work: Work<'_>, guard: &Guard) -> Result<Outcome, Lost> {
    let never = Guard { retry: Retry::Never, ..guard.clone() };
    if matches!(work, Work::Portal(_)) {
        // Its client has heard what came of it.
        return Box::pin(guard::run(run, work, &never)).await;
    }
    let mut replay = Replay { guard, never: &never, wait: Wait::new(run, guard), repeat: None, aside: None };
    replay.until_done(run, Some(work)).await
}

/// Brings a transaction back that was rolled back, as soon as it can be: then nothing was answered.
pub async fn bring_back(
    run: &mut Run<'_>,
    repeat: Repeat,
    transaction: Transaction,
) -> Result<Option<Outcome>, Lost> {
    let guard = nothing();
    let mut replay = Replay {
        guard: &guard,
        never: &guard,
        wait: Wait::new(run, &guard),
        repeat: Some(repeat),
        aside: Some(transaction),
    };
    replay.until_back(run).await
}

/// What has become of a transaction while its session waited for something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meanwhile {
    /// It has stayed open.
    Stayed,
    /// It was rolled back and sent once more: what it has made has other numbers now.
    CameBack,
}

/// Waits for work elsewhere, in which nobody is to wait for the strong locks of the open transaction: where somebody does, that is rolled
/// back, and sent once more when the work is done. The statement's outcome where that cannot be; `why` it waited is a sentence.
pub(super) async fn beside(
    run: &mut Run<'_>,
    work: impl Future<Output = ()>,
    why: &str,
) -> Result<Result<Meanwhile, Outcome>, Lost> {
    let mut work = pin!(work);
    let Surroundings { control, live, place, .. } = *run.surroundings;
    let max_stall = run.policy.max_stall;
    does_not_idle(run.link).await;
    let seen = Rc::new(RefCell::new(Seen::new()));
    // Until the transaction has gone on with what comes next, as much time may pass again.
    let watch = lease::until_overdue(seen, (control, live), place, max_stall / 2);
    let overdue = tokio::select! {
        biased;
        () = &mut work => return Ok(Ok(Meanwhile::Stayed)),
        () = raised(run.surroundings) => {
            run.take_cancel();
            fail::transaction(run.link).await?;
            return Ok(Err(Outcome::own_error(&cancelled())));
        }
        overdue = watch => overdue,
    };
    LeaseOver { victims: overdue.victims, longest: overdue.longest, pid: place.pid }.emit();
    let guard = nothing();
    let mut replay =
        Replay { guard: &guard, never: &guard, wait: Wait::new(run, &guard), repeat: None, aside: None };
    if let Err(unfit) = replay.set_aside(run.link).await? {
        // All of it, whatever savepoints there are.
        repeat::set_aside(run.link).await?;
        repeat::open_failed(run.link).await?;
        // Whoever tries again shall find it done.
        work.await;
        return Ok(Err(Outcome::own_error(&lease::lost(why, (overdue, max_stall), &unfit))));
    }
    tokio::select! {
        biased;
        () = &mut work => {}
        // What becomes of it is seen to below.
        () = raised(run.surroundings) => {}
    }
    // Its patience begins now.
    replay.wait = Wait::new(run, &guard);
    Ok(replay.until_back(run).await?.map_or(Ok(Meanwhile::CameBack), Err))
}

/// A guard for no statement: only the transaction is to be brought back.
const fn nothing() -> Guard {
    Guard { targets: Vec::new(), retry: Retry::Replay, waits: Waits::Briefly, first: Vec::new() }
}

/// A transaction on its way.
struct Replay<'a> {
    guard: &'a Guard,
    /// The same where the transaction cannot be sent once more.
    never: &'a Guard,
    wait: Wait<'a>,
    /// The transaction as it is sent once more, once that was asked.
    repeat: Option<Repeat>,
    /// It was rolled back, and is kept here meanwhile.
    aside: Option<Transaction>,
}

impl Replay<'_> {
    /// Waits until the transaction, which is rolled back, is open again; the outcome where it cannot be.
    async fn until_back(&mut self, run: &mut Run<'_>) -> Result<Option<Outcome>, Lost> {
        let outcome = self.until_done(run, None).await?;
        if outcome != Outcome::Answered {
            return Ok(Some(outcome));
        }
        if self.repeat.as_ref().is_some_and(|repeat| repeat.patience == Patience::Ours) {
            let back = format!("SET LOCAL lock_timeout = {}", quote_literal(&run.session.lock_timeout));
            restore(run.link, &[&back]).await?;
        }
        Ok(None)
    }

    /// Waits and tries until the work is done, or the transaction is open where there is none.
    async fn until_done(&mut self, run: &mut Run<'_>, work: Option<Work<'_>>) -> Result<Outcome, Lost> {
        let mut seen: Option<Vec<Blocker>> = None;
        loop {
            if let Some(outcome) = self.ended(run).await? {
                return Ok(outcome);
            }
            let blockers = match seen.take() {
                Some(seen) => seen,
                None => self.wait.look(run).await,
            };
            if let Some(words) = self.wait.vacuum_gives_way(&blockers) {
                tell(run.link, &[words]).await;
            }
            let outcome = match self.wait.next(&blockers) {
                Next::Try { patience } => self.attempt(run, work, (patience, &blockers)).await?,
                Next::WaitOutside { sleep } => {
                    self.wait_outside(run, work, (sleep, &blockers), &mut seen).await?
                }
                Next::GiveUp => {
                    self.reopen(run.link).await?;
                    Some(guard::give_up(run, &self.wait, &blockers).await?)
                }
            };
            if let Some(outcome) = outcome {
                return Ok(outcome);
            }
        }
    }

    /// What comes of it if nobody wants it any more.
    async fn ended(&mut self, run: &mut Run<'_>) -> Result<Option<Outcome>, Lost> {
        if run.take_cancel() || (self.aside.is_some() && guard::has_left(run)) {
            self.reopen(run.link).await?;
            return Ok(Some(self.wait.cancelled(run.link).await?));
        }
        let Some(why) = run.stopped() else { return Ok(None) };
        self.reopen(run.link).await?;
        fail::transaction(run.link).await?;
        Ok(Some(Outcome::own_error(&why)))
    }

    /// Tries once; nothing if it is to be tried again.
    async fn attempt(
        &mut self,
        run: &mut Run<'_>,
        work: Option<Work<'_>>,
        (patience, blockers): (Duration, &[Blocker]),
    ) -> Result<Option<Outcome>, Lost> {
        match self.bring_back(run, patience).await? {
            Back::Here => {}
            Back::NotYet => return Ok(None),
            Back::Never(outcome) => return Ok(Some(outcome)),
        }
        let Some(work) = work else { return Ok(Some(Outcome::Answered)) };
        let watch = StallWatch::new(run, self.guard.retry).behind(guard::blocking(self.guard));
        let patience = guard::patience_of(run, self.guard, patience);
        let terms = Terms { first: &[], patience, watch: &watch, retry: self.guard.retry };
        let attempt = guard::once(run, work, terms).await;
        self.wait.learn(&watch);
        match attempt? {
            Attempt::Complete(tag) => return Ok(Some(Outcome::complete(tag))),
            Attempt::Failed(failed) => return Ok(Some(Outcome::server_error(&failed, None, None))),
            Attempt::LockTimeout(failed) => self.wait.missed(Some(failed)),
            Attempt::Stalled => self.wait.missed(None),
            Attempt::Unready | Attempt::Overtaken => {}
        }
        if watch.strike().is_some() && self.wait.is_too_heavy(&watch) {
            fail::transaction(run.link).await?;
            return Ok(Some(Outcome::own_error(&self.wait.too_heavy(&watch))));
        }
        let Err(unfit) = self.set_aside(run.link).await? else { return Ok(None) };
        self.wait.is_under(self.never);
        let outcome = match watch.strike() {
            Some(_) => Outcome::own_error(&self.wait.too_heavy(&watch)),
            None => guard::give_up(run, &self.wait, blockers).await?,
        };
        Ok(Some(with_reason(outcome, &unfit)))
    }

    /// Waits where nobody waits behind it.
    async fn wait_outside(
        &mut self,
        run: &mut Run<'_>,
        work: Option<Work<'_>>,
        (sleep, blockers): (Duration, &[Blocker]),
        seen: &mut Option<Vec<Blocker>>,
    ) -> Result<Option<Outcome>, Lost> {
        if self.aside.is_none()
            && let (Err(unfit), Some(work)) = (self.set_aside(run.link).await?, work)
        {
            self.wait.is_under(self.never);
            let outcome = match run.link.tracker.status() {
                Status::InTransaction => Box::pin(guard::run(run, work, self.never)).await?,
                Status::Idle | Status::Failed => guard::give_up(run, &self.wait, blockers).await?,
            };
            return Ok(Some(with_reason(outcome, &unfit)));
        }
        let words = self.wait.words(blockers);
        run.record.is_at(blocker::processes(blockers));
        match nap(run, &self.wait, sleep, words).await? {
            Nap::Over(blockers) => *seen = blockers,
            Nap::Ended(failed) => {
                self.reopen(run.link).await?;
                return Ok(Some(Outcome::server_error(&failed, Some(&self.wait.story()), None)));
            }
        }
        Ok(None)
    }

    /// Rolls the transaction back, if it can be sent once more.
    async fn set_aside(&mut self, link: &mut Link) -> Result<Result<(), Unfit>, Lost> {
        let first = self.repeat.is_none();
        if first {
            match link.tracker.repeat() {
                Ok(repeat) => self.repeat = Some(repeat),
                Err(unfit) => return Ok(Err(unfit)),
            }
        }
        // A transaction that has failed cannot be asked any more.
        let asked = first && link.tracker.status() == Status::InTransaction;
        if asked && let Some(unfit) = self.calls_anything(link).await? {
            return Ok(Err(unfit));
        }
        self.aside = Some(repeat::set_aside(link).await?);
        if first
            && !asked
            && let Some(unfit) = self.calls_anything(link).await?
        {
            self.reopen(link).await?;
            return Ok(Err(unfit));
        }
        if first {
            tell(link, &[set_aside()]).await;
        }
        Ok(Ok(()))
    }

    async fn calls_anything(&mut self, link: &mut Link) -> Result<Option<Unfit>, Lost> {
        match &mut self.repeat {
            Some(repeat) => repeat::calls_anything(link, repeat).await,
            None => Ok(None),
        }
    }

    /// Opens the transaction upstream again, where it was rolled back.
    async fn bring_back(&mut self, run: &mut Run<'_>, patience: Duration) -> Result<Back, Lost> {
        let (Some(_), Some(repeat)) = (&self.aside, &self.repeat) else { return Ok(Back::Here) };
        let patience = guard::patience_of(run, self.guard, patience).unwrap_or(patience);
        let watch = StallWatch::new(run, Retry::Transaction);
        let again = watch.over(repeat::send(run.link, repeat, patience, &watch)).await;
        run.record.stalled(watch.longest());
        self.wait.learn(&watch);
        match again? {
            Again::Same => {
                if let Some(transaction) = self.aside.take() {
                    run.link.tracker.put_transaction(transaction);
                    repeat::renumber(run.link).await?;
                }
                Ok(Back::Here)
            }
            Again::Missed(failed) => {
                repeat::roll_back(run.link).await?;
                self.wait.missed(failed);
                if watch.strike().is_none() || !self.wait.is_too_heavy(&watch) {
                    return Ok(Back::NotYet);
                }
                self.reopen(run.link).await?;
                Ok(Back::Never(Outcome::own_error(&self.wait.too_heavy(&watch))))
            }
            Again::Differs(what) => {
                self.reopen(run.link).await?;
                Ok(Back::Never(Outcome::own_error(&differs(&what))))
            }
        }
    }

    /// Opens a failed transaction in the place of one that was rolled back, for the error that is to come.
    async fn reopen(&mut self, link: &mut Link) -> Result<(), Lost> {
        if self.aside.take().is_some() {
            repeat::open_failed(link).await?;
        }
        Ok(())
    }
}

/// Whether the transaction is open upstream.
enum Back {
    Here,
    NotYet,
    /// It cannot be brought back.
    Never(Outcome),
}

/// What is said when a transaction is rolled back for a while.
pub fn set_aside() -> Notice {
    Notice::info("the transaction is rolled back for now, so that nobody waits for its locks").detail(
        "It is sent once more when it can go on, and goes on only if all of it is answered as before.",
    )
}

/// What the client hears of a transaction that was sent once more in vain.
fn differs(what: &str) -> Notice {
    Notice::error(SqlState::SERIALIZATION_FAILURE, "transaction could not be repeated")
        .detail(format!("So that nobody waited for its locks, it was rolled back and sent once more. {what}"))
        .hint("Nothing of it has stayed. Run the whole transaction again.")
}

/// An error with what kept the transaction from being sent once more.
fn with_reason(outcome: Outcome, unfit: &Unfit) -> Outcome {
    outcome.amended(Some(&format!("The transaction cannot be repeated, since {unfit}.")), None)
}
