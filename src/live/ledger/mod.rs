//! What the proxy does and has done: every guarded statement, its steps, and how it ended. In memory, and bounded.
//!
//! It holds what statements are called and whom they concern, never their text: a text may hold what is nobody's business.

mod entry;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::base::LockMode;
use crate::pace::bulk::{Account, Order};
use crate::plan::WayOut;

pub use entry::{Entry, Reach, State, StepEntry, Whose};

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
    /// What people have ordered of statements that are carried out in batches, and who it was.
    orders: BTreeMap<u64, Vec<(String, Order)>>,
    ended: VecDeque<Entry>,
}

fn short(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).collect()
}

/// Why an order changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unheard {
    /// No statement has this number, as far as is remembered.
    Unknown,
    /// It has ended.
    Ended {
        /// What it is called.
        what: String,
        /// How it ended.
        state: State,
    },
    /// It is not carried out in batches, or not yet.
    NotPaced {
        /// What it is called.
        what: String,
        /// What it is at.
        state: State,
    },
    /// It was paused before, by that one.
    PausedBy(String),
    /// It cannot be resumed, since nobody has paused it.
    NotPaused,
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
        whose: (Whose, Reach),
        now: Timestamp,
    ) -> Record<'_> {
        Record { ledger: self, id: self.enter(what, hazards, whose, (State::Running, now)) }
    }

    /// Notes a COPY that is held back where that must be; its number, under which it is to be closed.
    pub fn begin_copy(&self, whose: (Whose, Reach), now: Timestamp) -> u64 {
        self.enter("COPY", &[], whose, (State::Copying, now))
    }

    /// How far a COPY is, and what holds it back.
    pub fn copies(&self, id: u64, words: String) {
        if let Some((entry, _)) = self.book().open.get_mut(&id) {
            entry.at = Some(words);
        }
    }

    /// A COPY is over: how it ended is between client and server.
    pub fn copied(&self, id: u64, now: Timestamp) {
        self.close(id, State::Passed, Some(now));
    }

    fn enter(
        &self,
        what: &str,
        hazards: &[&'static str],
        (whose, reach): (Whose, Reach),
        (state, now): (State, Timestamp),
    ) -> u64 {
        let mut book = self.book();
        book.next += 1;
        let id = book.next;
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
            state,
            began: now,
            ended: None,
            step: None,
            steps: Vec::new(),
            way_out: None,
            at: None,
            stall: Duration::ZERO,
            overridden: None,
            stopped: false,
            cancelled_by: None,
            paced: false,
            paused_by: None,
            account: None,
        };
        book.open.insert(id, (entry, reach));
        id
    }

    fn close(&self, id: u64, state: State, now: Option<Timestamp>) {
        let mut book = self.book();
        let Some((mut entry, _)) = book.open.remove(&id) else { return };
        book.orders.remove(&id);
        entry.steps.iter_mut().for_each(|step| step.end(state));
        if book.ended.len() == RECENT_MAX {
            book.ended.pop_front();
        }
        let account = entry.account.map(Account::ended);
        book.ended.push_back(Entry { state, ended: now, at: None, account, paused_by: None, ..entry });
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

    /// Orders something of a statement that is carried out in batches; what it is called.
    pub fn order(&self, id: u64, by: &str, order: Order) -> Result<String, Unheard> {
        let mut book = self.book();
        let Some((entry, _)) = book.open.get_mut(&id) else { return Err(book.gone(id)) };
        if entry.state != State::Running || !entry.paced {
            return Err(Unheard::NotPaced { what: entry.what.clone(), state: entry.state });
        }
        match order {
            Order::Pause => {
                if let Some(by) = &entry.paused_by {
                    return Err(Unheard::PausedBy(by.clone()));
                }
                entry.paused_by = Some(by.to_owned());
            }
            Order::Resume if entry.paused_by.take().is_none() => return Err(Unheard::NotPaused),
            Order::Resume | Order::Faster(_) | Order::Slower(_) | Order::RowsPerSecond(_) => {}
        }
        let what = entry.what.clone();
        book.orders.entry(id).or_default().push((by.to_owned(), order));
        Ok(what)
    }

    /// Cancels one statement: whoever asks sends the cancel request that is returned. What it is called, and its reach.
    pub fn cancel(&self, id: u64, by: &str) -> Result<(String, Reach), Unheard> {
        let mut book = self.book();
        let Some((entry, reach)) = book.open.get_mut(&id) else { return Err(book.gone(id)) };
        entry.stopped = true;
        entry.cancelled_by = Some(by.to_owned());
        if let Some(cancel) = &reach.cancel {
            cancel.raise();
        }
        Ok((entry.what.clone(), reach.clone()))
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    /// Why a statement that is not open cannot be reached.
    fn gone(&self, id: u64) -> Unheard {
        let ended = self.ended.iter().find(|entry| entry.id == id);
        ended
            .map_or(Unheard::Unknown, |entry| Unheard::Ended { what: entry.what.clone(), state: entry.state })
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

    /// It is carried out in batches from now on, and called so.
    pub fn paced(&self, what: &str) {
        self.change(|entry| (entry.what, entry.paced) = (short(what), true));
    }

    /// The number by which people call it.
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// What people have ordered since the last time somebody asked, each with who it was.
    pub fn orders(&self) -> Vec<(String, Order)> {
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

    /// How far it is, where it is carried out in batches, and the words for it.
    pub fn goes(&self, account: Account, words: String) {
        self.change(|entry| (entry.at, entry.account) = (Some(words), Some(account)));
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

    /// Who has cancelled it from outside.
    pub fn cancelled_by(&self) -> Option<String> {
        self.ledger.book().open.get(&self.id).and_then(|(entry, _)| entry.cancelled_by.clone())
    }

    /// It has ended.
    pub fn end(self, state: State, now: Timestamp) {
        self.ledger.close(self.id, state, Some(now));
    }

    /// There is nothing in it worth an entry.
    pub fn strike(self) {
        self.ledger.book().open.remove(&self.id);
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        self.ledger.close(self.id, State::Lost, None);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::live::Cancel;

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

    #[test]
    fn only_what_goes_in_batches_takes_orders() {
        let ledger = Ledger::default();
        let record = ledger.begin("UPDATE", &[], Default::default(), Timestamp::UNIX_EPOCH);
        let order = |order| ledger.order(record.id(), "ann", order);
        let not_yet = Unheard::NotPaced { what: "UPDATE".into(), state: State::Running };
        let what = "UPDATE t".to_owned();
        assert_eq!(order(Order::Pause), Err(not_yet));
        record.paced("UPDATE t");
        assert_eq!(order(Order::Resume), Err(Unheard::NotPaused));
        assert_eq!(order(Order::Pause), Ok(what.clone()));
        assert_eq!(order(Order::Pause), Err(Unheard::PausedBy("ann".into())));
        assert_eq!(order(Order::Resume), Ok(what.clone()));
        let all = [Order::Pause, Order::Resume].map(|order| ("ann".to_owned(), order));
        assert_eq!((record.orders(), record.orders()), (all.to_vec(), vec![]), "each is handed out once");
        let id = record.id();
        assert!(ledger.cancel(id, "bob").is_ok());
        assert_eq!((record.is_stopped(), record.cancelled_by()), (true, Some("bob".into())));
        record.end(State::Failed, Timestamp::UNIX_EPOCH);
        assert_eq!(
            ledger.order(id, "ann", Order::Resume),
            Err(Unheard::Ended { what, state: State::Failed })
        );
        assert_eq!(ledger.cancel(99, "ann").map(drop), Err(Unheard::Unknown));
    }
}
