//! The watch over an attempt: whoever waits behind it for too long is let go before it, by a cancel request.
//!
//! Invariant: an attempt does not end while a cancel request of ours is on its way, so that none strikes what comes next.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use crate::base::{Notice, Period, SqlState};
use crate::control::victims::{Behind, Blocking};
use crate::event::StallCut;
use crate::event::clock::{self, Moment};
use crate::judge::Retry;
use crate::pace::stall::{Next, Sample, Stall};
use crate::plan::Target;
use crate::upstream::call::Failed;
use crate::wire::fields::sqlstate;
use crate::wire::server::Status;

use super::{Run, Surroundings};

/// Why an attempt is the only one.
pub const ONCE: &str = "It was not tried again, since what came before it cannot be done again.";

/// Between a cancel request and the next look.
const LOOK_AFTER_CANCEL: Duration = Duration::from_millis(25);

/// After so long it is looked first where somebody may have been waiting all along; most attempts are over by then.
const LOOK_SOON: Duration = Duration::from_millis(2);

/// The watch over one attempt.
#[derive(Debug)]
pub struct StallWatch<'a> {
    surroundings: &'a Surroundings<'a>,
    stall: Stall,
    max_stall: Duration,
    began: Moment,
    since: Since,
    blocking: Blocking,
    /// When it was last seen to queue: what it locks strongly it may have since then only.
    queued_at: Cell<Option<Moment>>,
    /// What it was last seen to queue for.
    queued_for: RefCell<Option<Target>>,
    /// Those who wait, each with the last moment at which it was not seen to.
    waiting: RefCell<HashMap<i32, Moment>>,
    last: Cell<Look>,
    /// The longest that anybody can have waited up to the last look.
    longest: Cell<Duration>,
    /// The longest that anybody was seen to wait.
    seen: Cell<Duration>,
    strike: Cell<Option<Strike>>,
    cancelling: Cell<bool>,
}

/// How long ago locks of ours may have begun to stand in somebody's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Since {
    /// When the attempt began.
    Began,
    /// Before it: the transaction held some.
    Before,
}

/// One look.
#[derive(Debug, Clone, Copy)]
struct Look {
    at: Moment,
    /// The longest that anybody had been waiting then.
    longest: Duration,
}

/// A sentence: so many sessions were waiting so, the longest for this time, where that is allowed.
pub(super) fn waited(victims: usize, how: &str, (longest, max_stall): (Duration, Duration)) -> String {
    let who = match victims {
        1 => "One session was".to_owned(),
        more => format!("{more} sessions were"),
    };
    let millis = |time: Duration| Period::millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    format!("{who} waiting {how}, the longest for {}; max_stall is {}.", millis(longest), millis(max_stall))
}

/// Why the attempt was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strike {
    /// How many waited.
    pub victims: usize,
    /// The longest of their waits.
    pub longest: Duration,
    /// It had its locks and was at work; otherwise it stood in a queue itself.
    pub at_work: bool,
}

impl Strike {
    fn story(self, max_stall: Duration) -> String {
        waited(self.victims, "behind it", (self.longest, max_stall))
    }
}

impl<'a> StallWatch<'a> {
    /// Begins now.
    pub fn new(run: &Run<'a>, retry: Retry) -> Self {
        let now = Moment::now();
        let tracker = &run.link.tracker;
        let was_begun = tracker.status() == Status::InTransaction || tracker.ran_in_batch();
        Self {
            surroundings: run.surroundings,
            stall: Stall::new(run.policy.max_stall),
            max_stall: run.policy.max_stall,
            began: now,
            since: if matches!(retry, Retry::Never | Retry::Replay) && was_begun {
                Since::Before
            } else {
                Since::Began
            },
            blocking: Blocking::Whatever,
            queued_at: Cell::default(),
            queued_for: RefCell::default(),
            waiting: RefCell::default(),
            last: Cell::new(Look { at: now, longest: Duration::ZERO }),
            longest: Cell::default(),
            seen: Cell::default(),
            strike: Cell::default(),
            cancelling: Cell::new(false),
        }
    }

    /// The same for those only who wait behind such locks.
    #[must_use]
    pub fn behind(self, blocking: Blocking) -> Self {
        Self { blocking, ..self }
    }

    /// What the attempt was last seen to queue for, if that is a relation.
    pub fn queued_for(&self) -> Option<Target> {
        self.queued_for.borrow().clone()
    }

    /// Waits for `work`, and watches meanwhile.
    pub async fn over<T>(&self, work: impl Future<Output = T>) -> T {
        let (mut work, mut watching) = (pin!(work), pin!(self.watch()));
        let mut done = None;
        poll_fn(|cx| {
            if done.is_none()
                && let Poll::Ready(outcome) = work.as_mut().poll(cx)
            {
                done = Some(outcome);
            }
            if done.is_none() || self.cancelling.get() {
                // It has no end of its own.
                let _ = watching.as_mut().poll(cx);
            }
            match done.take() {
                Some(outcome) if !self.cancelling.get() => Poll::Ready(outcome),
                kept => {
                    done = kept;
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Why the attempt was cancelled, if it was.
    pub const fn strike(&self) -> Option<Strike> {
        self.strike.get()
    }

    /// Whether that is how a statement failed.
    pub fn has_struck(&self, failed: &Failed) -> bool {
        self.strike.get().is_some() && sqlstate(&failed.body) == SqlState::QUERY_CANCELED
    }

    /// What happened, if the attempt was cancelled.
    pub fn story(&self) -> Option<String> {
        self.strike.get().map(|strike| strike.story(self.max_stall))
    }

    /// What the client of a statement hears that kept others waiting; `tried` says how often that was.
    pub fn others_waited(&self, tried: &str) -> Notice {
        let story = self.story().unwrap_or_default();
        Notice::error(SqlState::LOCK_NOT_AVAILABLE, "canceling statement because others waited behind it")
            .detail(format!("{story} {tried}"))
            .hint(
                "Run it when nobody uses the table, or in a transaction of its own. SET lockkeeper.max_stall = '1s' lets \
                 others wait longer.",
            )
    }

    /// The longest that anybody was seen to wait.
    pub const fn seen(&self) -> Duration {
        self.seen.get()
    }

    /// The longest that anybody can have waited for the attempt up to now.
    pub fn longest(&self) -> Duration {
        let last = self.last.get();
        let longest = self.longest.get().max(last.longest + last.at.elapsed());
        match self.since {
            Since::Began => longest.min(self.began.elapsed()),
            Since::Before => longest,
        }
    }

    async fn watch(&self) {
        let Surroundings { control, place, canceller, .. } = self.surroundings;
        let mut next = match self.since {
            Since::Began => self.stall.next(&Sample { longest: Duration::ZERO }),
            Since::Before => Next::Look { after: LOOK_SOON },
        };
        loop {
            match next {
                Next::Look { after } => clock::pause(after).await,
                Next::Cancel => {
                    self.cancelling.set(true);
                    canceller.cancel().await;
                    self.cancelling.set(false);
                    clock::pause(LOOK_AFTER_CANCEL).await;
                }
            }
            let at = Moment::now();
            // While nobody answers, nobody knows; the time until somebody does counts as waited.
            next = match control.behind(&place.database, place.pid, self.blocking).await {
                Some(behind) => self.judge(&behind, at),
                None => self.stall.next(&Sample { longest: Duration::ZERO }),
            };
        }
    }

    /// How long it can have stood in somebody's way: ordinary work that has got its lock at last did not make the queue.
    fn charged_for(&self, behind: &Behind) -> Duration {
        match self.queued_at.get() {
            Some(queued) if self.blocking == Blocking::StrongOnRelations && !behind.queues => {
                queued.elapsed()
            }
            _ => self.began.elapsed(),
        }
    }

    fn judge(&self, behind: &Behind, at: Moment) -> Next {
        if behind.queues_for.is_some() {
            self.queued_for.borrow_mut().clone_from(&behind.queues_for);
        }
        let last = self.last.get();
        let ours = self.surroundings.live.ledger().processes();
        let mut waiting = HashMap::new();
        let mut longest = Duration::ZERO;
        for victim in &behind.victims {
            if u32::try_from(victim.pid).is_ok_and(|pid| ours.contains(&pid)) {
                continue;
            }
            let unseen = self.waiting.borrow().get(&victim.pid).copied().unwrap_or(last.at);
            let waited = victim.waited.unwrap_or_else(|| unseen.elapsed());
            longest = longest.max(match self.since {
                Since::Began => waited.min(self.charged_for(behind)),
                Since::Before => waited,
            });
            waiting.insert(victim.pid, unseen);
        }
        if behind.queues {
            self.queued_at.set(Some(at));
        }
        self.longest.set(self.longest.get().max(last.longest + last.at.elapsed()));
        self.last.set(Look { at, longest });
        self.seen.set(self.seen.get().max(longest));
        let next = self.stall.next(&Sample { longest });
        if next == Next::Cancel {
            let strike = Strike { victims: waiting.len(), longest, at_work: !behind.queues };
            StallCut { victims: strike.victims, longest, pid: self.surroundings.place.pid }.emit();
            self.strike.set(Some(strike));
        }
        *self.waiting.borrow_mut() = waiting;
        next
    }
}
