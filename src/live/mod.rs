//! What runs now: who is connected, whom a cancel request means, and whether the process is told to stop.
//!
//! One `Live` is shared by all workers; sessions enter it through permits, which take themselves out again.
//!
//! Invariant: nothing here is touched per message, only when sessions begin, end, or are cancelled, and for guarded statements.

pub mod advisory;
mod cancel;
mod due;
mod forward;
pub mod gate;
pub mod left_overs;
pub mod lockers;
pub mod ledger;
pub mod nudge;
pub mod queue;
pub mod rules;
mod seats;
mod stop;
pub mod tasks;

pub use cancel::{Cancel, CancelEntry, CancelTarget};
pub use forward::{Aim, FORWARDS_MAX, Forward, WAITING_MAX};
pub use rules::Rules;
pub use seats::{Limits, Refused, Seat};
pub use stop::Stop;

use std::sync::Arc;

use tokio::sync::watch;

use advisory::Takers;
use cancel::Cancels;
use forward::Forwards;
use gate::Gate;
use ledger::Ledger;
use left_overs::LeftOvers;
use lockers::LockersOfAll;
use queue::Queues;
use seats::Seats;
use tasks::Tasks;

/// What runs now.
#[derive(Debug)]
pub struct Live {
    seats: Arc<Seats>,
    cancels: Arc<Cancels>,
    forwards: Forwards,
    stop: watch::Sender<Stop>,
    gate: Gate,
    ledger: Ledger,
    queues: Arc<Queues>,
    takers: Takers,
    left_overs: LeftOvers,
    lockers: LockersOfAll,
    tasks: Tasks,
}

impl Live {
    /// Nothing runs yet.
    pub fn new() -> Self {
        Self {
            seats: Arc::default(),
            cancels: Arc::default(),
            forwards: Forwards::default(),
            stop: watch::Sender::new(Stop::Running),
            gate: Gate::default(),
            ledger: Ledger::default(),
            queues: Arc::default(),
            takers: Takers::default(),
            left_overs: LeftOvers::default(),
            lockers: LockersOfAll::default(),
            tasks: Tasks::default(),
        }
    }

    /// Lets a session in, if there is room. It counts until the seat is dropped.
    pub fn admit(&self, user: &str, limits: &Limits) -> Result<Seat, Refused> {
        if *self.stop.borrow() != Stop::Running {
            return Err(Refused::Stopping);
        }
        Seats::take(&self.seats, user, limits)
    }

    /// Sessions that have been let in and have not ended.
    pub fn sessions(&self) -> u32 {
        self.seats.total()
    }

    /// Remembers which session a cancel request with this process id and key means, until the entry is dropped.
    pub fn register(&self, pid: u32, key: &[u8], host: usize) -> CancelEntry {
        Cancels::insert(&self.cancels, pid, key, host)
    }

    /// The local session that a cancel request means.
    pub fn cancel_target(&self, pid: u32, key: &[u8]) -> Option<CancelTarget> {
        self.cancels.find(pid, key)
    }

    /// Asks the session of a server process, if it is one of ours, to let go of a snapshot that it does not
    /// need; false when it is not.
    pub fn nudge(&self, pid: u32, host: usize) -> bool {
        let session = self.cancels.of_process(pid, host);
        session.inspect(|session| session.nudge.ask()).is_some()
    }

    /// Waits until one more cancel request may be passed on; `None` if too many wait for that already.
    pub async fn forward(&self, aim: Aim) -> Option<Forward<'_>> {
        self.forwards.turn(aim).await
    }

    /// Whether to go on; sessions keep the receiver and look when it changes.
    pub fn stop(&self) -> watch::Receiver<Stop> {
        self.stop.subscribe()
    }

    /// Peak hours, the freeze, and who waits for their end.
    pub const fn gate(&self) -> &Gate {
        &self.gate
    }

    /// What is being done, and what was.
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The queue of each table.
    pub const fn queues(&self) -> &Arc<Queues> {
        &self.queues
    }

    /// Who has taken advisory locks.
    pub const fn takers(&self) -> &Takers {
        &self.takers
    }

    /// What looks unfinished in the databases.
    pub const fn left_overs(&self) -> &LeftOvers {
        &self.left_overs
    }

    /// Which functions may lock.
    pub const fn lockers(&self) -> &LockersOfAll {
        &self.lockers
    }

    /// Where tasks may be left over.
    pub const fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Tells every session.
    pub fn tell(&self, stop: Stop) {
        self.stop.send_replace(stop);
    }
}

impl Default for Live {
    fn default() -> Self {
        Self::new()
    }
}
