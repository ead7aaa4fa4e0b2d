//! What happens to sessions and their statements.

use std::time::Duration;

use crate::base::LockMode;
use crate::judge::Decision;

use super::clean::Clean;

/// A hazard was found in a statement, and something was decided about it.
#[derive(Debug)]
pub struct Judged<'a> {
    /// The hazards' ids.
    pub hazards: &'a [&'static str],
    /// What was decided.
    pub decision: &'a Decision,
    /// The session's database.
    pub database: &'a str,
    /// The session's backend.
    pub pid: u32,
}

impl Judged<'_> {
    /// Tells it.
    pub fn emit(self) {
        let decision = match self.decision {
            Decision::Forward => "forward",
            Decision::Guard(_) => "guard",
            Decision::Run(_) => "run",
            Decision::Defer(_) => "defer",
            Decision::Apart => "apart",
            Decision::Hold(_) => "hold",
            Decision::Refuse(_) => "refuse",
        };
        tracing::info!(
            hazards = self.hazards.join(","),
            decision,
            database = %Clean(self.database),
            pid = self.pid,
            "statement judged"
        );
    }
}

/// A statement passes peak hours or a freeze, since its session may.
#[derive(Debug)]
pub struct Overridden<'a> {
    /// The reason given.
    pub why: &'a str,
    /// The user.
    pub user: &'a str,
    /// The session's database.
    pub database: &'a str,
    /// The session's backend.
    pub pid: u32,
}

impl Overridden<'_> {
    /// Tells it.
    pub fn emit(self) {
        tracing::warn!(
            why = %Clean(self.why),
            user = %Clean(self.user),
            database = %Clean(self.database),
            pid = self.pid,
            "statement passes peak hours or a freeze by override"
        );
    }
}

/// The client went away while its statement was being looked after.
#[derive(Debug)]
pub struct ClientLeft<'a> {
    /// What becomes of the statement.
    pub statement: &'a str,
    /// The session's backend.
    pub pid: u32,
}

impl ClientLeft<'_> {
    /// Tells it.
    pub fn emit(self) {
        tracing::info!(statement = self.statement, pid = self.pid, "client went away");
    }
}

/// A statement was cancelled, since others waited behind it.
#[derive(Debug)]
pub struct StallCut {
    /// How many waited.
    pub victims: usize,
    /// The longest of their waits.
    pub longest: Duration,
    /// The session's backend.
    pub pid: u32,
}

impl StallCut {
    /// Tells it.
    pub fn emit(self) {
        let longest_ms = u64::try_from(self.longest.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(
            victims = self.victims,
            longest_ms,
            pid = self.pid,
            "statement cancelled, since others waited behind it"
        );
    }
}

/// Others have waited for too long for strong locks of an open transaction, none of whose guarded statements ran.
#[derive(Debug)]
pub struct LeaseOver {
    /// How many waited.
    pub victims: usize,
    /// The longest of their waits.
    pub longest: Duration,
    /// The session's backend.
    pub pid: u32,
}

impl LeaseOver {
    /// Tells it.
    pub fn emit(self) {
        let longest_ms = u64::try_from(self.longest.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(
            victims = self.victims,
            longest_ms,
            pid = self.pid,
            "open transaction gives its locks up, since others waited for them"
        );
    }
}

/// The rows of a COPY are not read for a while.
#[derive(Debug)]
pub struct CopyHeld<'a> {
    /// What holds them back.
    pub why: &'a str,
    /// The session's backend.
    pub pid: u32,
}

impl CopyHeld<'_> {
    /// Tells it.
    pub fn emit(self) {
        tracing::info!(why = self.why, pid = self.pid, "COPY is held back");
    }
}

/// The span of one step of a plan: its command, which of how many it is, and what it locks. No literal is in it.
pub fn step(name: &str, (at, of): (usize, usize), lock: LockMode, relation: Option<u32>) -> tracing::Span {
    tracing::info_span!("step", name, step = at, of, lock = lock.name(), relation)
}

/// The finished portal of an idle session was closed, since a build waited for its snapshot.
#[derive(Debug)]
pub struct PortalFreed {
    /// The session's backend.
    pub pid: u32,
}

impl PortalFreed {
    /// Tells it.
    pub fn emit(self) {
        tracing::info!(
            pid = self.pid,
            "finished portal of an idle session closed, since a build waits for its snapshot"
        );
    }
}

/// A session ended otherwise than by its client.
#[derive(Debug)]
pub struct SessionBroken<'a> {
    /// Why.
    pub why: &'a str,
    /// The user, as the client wrote it.
    pub user: &'a str,
    /// The database, as the client wrote it.
    pub database: &'a str,
}

impl SessionBroken<'_> {
    /// Tells it.
    pub fn emit(self) {
        tracing::info!(why = %Clean(self.why), user = %Clean(self.user), database = %Clean(self.database), "session broke");
    }
}
