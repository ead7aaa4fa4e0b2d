//! What the proxy does and has done: every guarded statement, its steps, and how it ended. In memory, and bounded.
//!
//! It holds what statements are called and whom they concern, never their text: a text may hold what is nobody's business.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::Cancel;
use crate::base::LockMode;
use crate::event::clock::Moment;
use crate::pace::bulk::Order;
use crate::plan::WayOut;

/// So many that have ended are remembered.
pub const RECENT_MAX: usize = 100;

/// A longer word from outside tells nothing more.
const TEXT_CHARS_MAX: usize = 200;

/// All entries.
#[derive(Debug, Default)]
pub struct Ledger {
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    next: u64,
    open: BTreeMap<u64, (Entry, Reach)>,
    /// What people have ordered of statements that are carried out in batches.
    orders: BTreeMap<u64, Vec<Order>>,
    ended: VecDeque<Entry>,
}

/// Whose statement it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Whose {
    /// The session's user.
    pub user: String,
    /// Its database.
    pub database: String,
    /// What its client calls itself.
    pub application_name: String,
    /// Its server process.
    pub pid: u32,
}

/// How somebody else can cancel it.
#[derive(Clone, Default)]
pub struct Reach {
    /// The session's flag.
    pub cancel: Option<Arc<Cancel>>,
    /// The upstream host.
    pub host: usize,
    /// The whole `CancelRequest`; empty when the server gave no key.
    pub packet: Vec<u8>,
}

impl std::fmt::Debug for Reach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The packet is a secret.
        f.debug_struct("Reach").field("host", &self.host).finish_non_exhaustive()
    }
}

/// What a statement is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is being carried out.
    Running,
    /// It runs as sent, and is cancelled if others wait behind it.
    Watched,
    /// Peak hours or a freeze hold it.
    Held,
    /// It was sent on as it is; how it ends is between client and server.
    Passed,
    /// It has done what it should.
    Done,
    /// The client has got an error.
    Failed,
    /// Its session ended before it.
    Lost,
}

impl State {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Watched => "watched",
            Self::Held => "held",
            Self::Passed => "passed",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Lost => "lost",
        }
    }
}

/// One step of a statement that is carried out in another way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepEntry {
    /// `CREATE INDEX`
    pub what: String,
    /// The strongest lock that it takes.
    pub lock: LockMode,
    /// Running, done, failed or lost.
    pub state: State,
    /// It was done, and then undone.
    pub taken_back: bool,
    /// How long it took, waiting included; `None` while it runs.
    pub took: Option<Duration>,
    /// The longest that anybody can have waited for it, as far as is known.
    pub stall: Duration,
    began: Moment,
}

impl StepEntry {
    fn new(what: &str, lock: LockMode) -> Self {
        Self {
            what: what.to_owned(),
            lock,
            state: State::Running,
            taken_back: false,
            took: None,
            stall: Duration::ZERO,
            began: Moment::now(),
        }
    }

    fn end(&mut self, state: State) {
        if self.took.is_none() {
            (self.state, self.took) = (state, Some(self.began.elapsed()));
        }
    }
}

/// One statement.
#[expect(clippy::struct_excessive_bools, reason = "what is said of it, independent of each other")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Counted from 1.
    pub id: u64,
    /// `ALTER TABLE`
    pub what: String,
    /// Whose it is.
    pub whose: Whose,
    /// Hazards found in it.
    pub hazards: Vec<&'static str>,
    /// What it is at.
    pub state: State,
    /// When it came.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// The step that is being done, counted from 1, and of how many.
    pub step: Option<(usize, usize)>,
    /// The steps that were begun, in that order.
    pub steps: Vec<StepEntry>,
    /// What is to be done if its plan is cut off; `None` while it has done nothing.
    pub way_out: Option<WayOut>,
    /// What it waits for, or how far its step is.
    pub at: Option<String>,
    /// The longest that anybody can have waited for it, as far as is known.
    pub stall: Duration,
    /// Why it passed peak hours or a freeze.
    pub overridden: Option<String>,
    /// A freeze has cancelled it, or somebody else.
    pub stopped: bool,
    /// It is carried out in batches, so that it takes orders.
    pub paced: bool,
}

/// One open entry; dropping it without an end means that its session ended first.
#[derive(Debug)]
pub struct Record<'a> {
    ledger: &'a Ledger,
    id: u64,
}

impl Ledger {
    /// Notes that a statement is looked after.
    pub fn begin(
        &self,
        what: &str,
        hazards: &[&'static str],
        (whose, reach): (Whose, Reach),
        now: Timestamp,
    ) -> Record<'_> {
        let mut book = self.book();
        book.next += 1;
        let id = book.next;
        let short = |text: &str| text.chars().take(TEXT_CHARS_MAX).collect::<String>();
        let whose = Whose {
            user: short(&whose.user),
            database: short(&whose.database),
            application_name: short(&whose.application_name),
            ..whose
        };
        let entry = Entry {
            id,
            what: short(what),
            whose,
            hazards: hazards.to_vec(),
            state: State::Running,
            began: now,
            ended: None,
            step: None,
            steps: Vec::new(),
            way_out: None,
            at: None,
            stall: Duration::ZERO,
            overridden: None,
            stopped: false,
            paced: false,
        };
        book.open.insert(id, (entry, reach));
        Record { ledger: self, id }
    }

    /// Statements that have not ended, the oldest first.
    pub fn open(&self) -> Vec<Entry> {
        self.book().open.values().map(|(entry, _)| entry.clone()).collect()
    }

    /// The server processes of statements that are being carried out.
    pub fn processes(&self) -> Vec<u32> {
        let book = self.book();
        let running = book.open.values().filter(|(entry, _)| entry.state == State::Running);
        running.map(|(entry, _)| entry.whose.pid).collect()
    }

    /// Statements that have ended, the last first.
    pub fn recent(&self) -> Vec<Entry> {
        self.book().ended.iter().rev().cloned().collect()
    }

    /// Marks all that is being carried out as stopped, and raises the flags of its sessions; whoever asks sends the cancel requests
    /// that are returned, each with its host. What passes by override goes on.
    pub fn stop_running(&self) -> Vec<(usize, Vec<u8>)> {
        let mut book = self.book();
        let running = book.open.values_mut().filter(|(entry, _)| {
            entry.state == State::Running && entry.overridden.is_none() && !entry.stopped
        });
        let stop = |(entry, reach): &mut (Entry, Reach)| {
            entry.stopped = true;
            if let Some(cancel) = &reach.cancel {
                cancel.raise();
            }
            (reach.host, reach.packet.clone())
        };
        running.map(stop).collect()
    }

    /// Orders something of a statement that is carried out in batches; false where there is none of that number.
    pub fn order(&self, id: u64, order: Order) -> bool {
        let mut book = self.book();
        let there = book.open.get(&id).is_some_and(|(entry, _)| entry.state == State::Running && entry.paced);
        if there {
            book.orders.entry(id).or_default().push(order);
        }
        there
    }

    /// Cancels one statement: whoever asks sends the cancel request that is returned, with its host.
    pub fn cancel(&self, id: u64) -> Option<(usize, Vec<u8>)> {
        let mut book = self.book();
        let (entry, reach) = book.open.get_mut(&id)?;
        entry.stopped = true;
        if let Some(cancel) = &reach.cancel {
            cancel.raise();
        }
        Some((reach.host, reach.packet.clone()))
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record<'_> {
    fn change(&self, change: impl FnOnce(&mut Entry)) {
        if let Some((entry, _)) = self.ledger.book().open.get_mut(&self.id) {
            change(entry);
        }
    }

    /// What the statement is called.
    pub fn what(&self) -> String {
        self.ledger.book().open.get(&self.id).map(|(entry, _)| entry.what.clone()).unwrap_or_default()
    }

    /// Whether it is held back or carried out.
    pub fn is(&self, state: State) {
        self.change(|entry| entry.state = state);
    }

    /// It passes peak hours or a freeze.
    pub fn overridden(&self, why: &str) {
        self.change(|entry| entry.overridden = Some(why.to_owned()));
    }

    /// It is carried out in batches from now on.
    pub fn paced(&self) {
        self.change(|entry| entry.paced = true);
    }

    /// What people have ordered since the last time somebody asked.
    pub fn orders(&self) -> Vec<Order> {
        self.ledger.book().orders.remove(&self.id).unwrap_or_default()
    }

    /// A step begins, counted from 1 and of so many; what it is called, and its lock.
    pub fn step(&self, place: (usize, usize), what: &str, lock: LockMode) {
        self.change(|entry| {
            entry.step = Some(place);
            entry.steps.push(StepEntry::new(what, lock));
        });
    }

    /// The step that was begun last has ended.
    pub fn step_ended(&self, state: State) {
        self.change(|entry| entry.steps.last_mut().into_iter().for_each(|step| step.end(state)));
    }

    /// A step is done: from now on this is to be done if the plan is cut off.
    pub fn way_out(&self, way_out: WayOut) {
        self.change(|entry| entry.way_out = Some(way_out));
    }

    /// The step that was begun last makes way for others that come before it.
    pub fn step_overtaken(&self) {
        self.change(|entry| drop(entry.steps.pop()));
    }

    /// Whether a part of it is done.
    pub fn has_begun(&self) -> bool {
        let done = |step: &StepEntry| step.state == State::Done && !step.taken_back;
        self.ledger.book().open.get(&self.id).is_some_and(|(entry, _)| entry.steps.iter().any(done))
    }

    /// The step at this place, counted from 0, was undone.
    pub fn taken_back(&self, at: usize) {
        self.change(|entry| entry.steps.get_mut(at).into_iter().for_each(|step| step.taken_back = true));
    }

    /// What it waits for, or how far its step is; nothing that anybody has sent.
    pub fn is_at(&self, what: Option<String>) {
        self.change(|entry| entry.at = what);
    }

    /// Somebody may have waited so long for it, and for the step that was begun last.
    pub fn stalled(&self, time: Duration) {
        self.change(|entry| {
            entry.stall = entry.stall.max(time);
            entry.steps.last_mut().into_iter().for_each(|step| step.stall = step.stall.max(time));
        });
    }

    /// The longest that anybody may have waited for it.
    pub fn stall(&self) -> Duration {
        self.ledger.book().open.get(&self.id).map(|(entry, _)| entry.stall).unwrap_or_default()
    }

    /// Whether a freeze has cancelled it.
    pub fn is_stopped(&self) -> bool {
        self.ledger.book().open.get(&self.id).is_some_and(|(entry, _)| entry.stopped)
    }

    /// It has ended.
    pub fn end(self, state: State, now: Timestamp) {
        self.close(state, Some(now));
    }

    /// There is nothing in it worth an entry.
    pub fn strike(self) {
        self.ledger.book().open.remove(&self.id);
    }

    fn close(&self, state: State, now: Option<Timestamp>) {
        let mut book = self.ledger.book();
        let Some((mut entry, _)) = book.open.remove(&self.id) else { return };
        book.orders.remove(&self.id);
        entry.steps.iter_mut().for_each(|step| step.end(state));
        if book.ended.len() == RECENT_MAX {
            book.ended.pop_front();
        }
        book.ended.push_back(Entry { state, ended: now, at: None, ..entry });
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        self.close(State::Lost, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_kept_and_bounded() {
        let ledger = Ledger::default();
        let now = Timestamp::UNIX_EPOCH;
        let begin = || ledger.begin("ALTER TABLE", &["lock-queue"], Default::default(), now);
        let first = begin();
        first.step((1, 3), "ALTER TABLE", LockMode::AccessExclusive);
        first.stalled(Duration::from_millis(5));
        first.step_ended(State::Done);
        first.step((2, 3), "VALIDATE CONSTRAINT", LockMode::ShareUpdateExclusive);
        first.stalled(Duration::from_millis(3));
        let open = ledger.open();
        assert_eq!((open[0].id, open[0].step, open[0].stall.as_millis()), (1, Some((2, 3)), 5));
        let told = |entry: &Entry| {
            let told = |it: &StepEntry| (it.state, it.took.is_some(), it.stall.as_millis(), it.taken_back);
            entry.steps.iter().map(told).collect::<Vec<_>>()
        };
        assert_eq!(told(&open[0]), [(State::Done, true, 5, false), (State::Running, false, 3, false)]);
        first.taken_back(0);
        drop(first);
        let recent = &ledger.recent()[0];
        assert_eq!(recent.state, State::Lost);
        assert_eq!(told(recent), [(State::Done, true, 5, true), (State::Lost, true, 3, false)]);
        for _ in 0..RECENT_MAX + 5 {
            begin().end(State::Done, now);
        }
        let recent = ledger.recent();
        assert_eq!((recent.len(), recent[0].id, ledger.open().len()), (RECENT_MAX, 106, 0));
    }

    #[test]
    fn only_what_runs_is_stopped() {
        let ledger = Ledger::default();
        let begin = |packet: u8| {
            let cancel = Arc::new(Cancel::default());
            let reach = Reach { cancel: Some(Arc::clone(&cancel)), host: 0, packet: vec![packet] };
            (ledger.begin("DROP TABLE", &[], (Whose::default(), reach), Timestamp::UNIX_EPOCH), cancel)
        };
        let ((running, flag), (held, _), (passes, _)) = (begin(1), begin(2), begin(3));
        held.is(State::Held);
        passes.overridden("OPS-1: why");
        assert_eq!(ledger.stop_running(), [(0, vec![1])]);
        assert!(running.is_stopped() && flag.take() && !held.is_stopped() && !passes.is_stopped());
        assert_eq!(ledger.stop_running(), []);
    }
}
