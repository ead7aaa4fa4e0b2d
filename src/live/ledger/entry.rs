//! What is kept of one statement.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::base::LockMode;
use crate::event::clock::Moment;
use crate::live::Cancel;
use crate::pace::bulk::Account;
use crate::plan::WayOut;

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
    /// It is a COPY, whose rows are handed on as fast as they may.
    Copying,
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
            Self::Copying => "copying",
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
    pub(super) fn new(what: &str, lock: LockMode) -> Self {
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

    pub(super) fn end(&mut self, state: State) {
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
    /// Who has cancelled it from outside; `None` also where a freeze or the end of the process has.
    pub cancelled_by: Option<String>,
    /// It is carried out in batches, so that it takes orders.
    pub paced: bool,
    /// Who has paused it.
    pub paused_by: Option<String>,
    /// How far it is, where it is carried out in batches; when it has ended, how far it came.
    pub account: Option<Account>,
}
