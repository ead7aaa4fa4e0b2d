//! What happens to the process as a whole: start, stop, reload, and trouble with accepting.

use std::time::Duration;

use jiff::Timestamp;

use super::clean::Clean;

/// The proxy serves.
#[derive(Debug)]
pub struct Started<'a> {
    /// The configuration file, if one was read.
    pub file: Option<&'a std::path::Path>,
    /// Threads that serve sessions.
    pub workers: usize,
}

impl Started<'_> {
    /// Tells it.
    pub fn emit(self) {
        let file = self.file.map_or_else(|| "none".to_owned(), |path| path.display().to_string());
        tracing::info!(version = env!("CARGO_PKG_VERSION"), configuration = %Clean(&file), workers = self.workers, "started");
    }
}

/// An address is served.
#[derive(Debug)]
pub struct Accepting<'a> {
    /// With its real port.
    pub address: &'a str,
}

impl Accepting<'_> {
    /// Tells it.
    pub fn emit(self) {
        tracing::info!(address = %Clean(self.address), "accepting connections");
    }
}

/// The control socket is served.
#[derive(Debug)]
pub struct ControlSocket<'a> {
    /// Where it is.
    pub path: &'a std::path::Path,
}

impl ControlSocket<'_> {
    /// Tells it.
    pub fn emit(self) {
        tracing::info!(path = %Clean(&self.path.display().to_string()), "control socket is served");
    }
}

/// Somebody has frozen the proxy.
#[derive(Debug)]
pub struct Frozen<'a> {
    /// Why.
    pub reason: &'a str,
    /// Who.
    pub by: &'a str,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
    /// How many statements were cancelled.
    pub cancelled: usize,
}

impl Frozen<'_> {
    /// Tells it.
    pub fn emit(self) {
        let until = self.until.map_or_else(|| "thawed".to_owned(), |until| until.to_string());
        tracing::warn!(reason = %Clean(self.reason), by = %Clean(self.by), until, cancelled = self.cancelled, "frozen");
    }
}

/// Somebody has ended a freeze.
#[derive(Debug)]
pub struct Thawed<'a> {
    /// Why it was frozen.
    pub reason: &'a str,
    /// Who has thawed it.
    pub by: &'a str,
}

impl Thawed<'_> {
    /// Tells it.
    pub fn emit(self) {
        tracing::warn!(reason = %Clean(self.reason), by = %Clean(self.by), "thawed");
    }
}

/// Somebody has ordered something of a statement that runs.
#[derive(Debug)]
pub struct Ordered<'a> {
    /// Its number.
    pub id: u64,
    /// What it is called.
    pub statement: &'a str,
    /// `pause`, `cancel`, ..
    pub order: &'a str,
    /// Who.
    pub by: &'a str,
}

impl Ordered<'_> {
    /// Tells it.
    pub fn emit(self) {
        let Self { id, order, .. } = self;
        tracing::warn!(id, statement = %Clean(self.statement), order, by = %Clean(self.by), "ordered");
    }
}

/// The process was told to stop.
#[derive(Debug)]
pub struct Stopping {
    /// Sockets that are still open.
    pub sessions: usize,
    /// How long busy ones may go on.
    pub deadline: Duration,
}

impl Stopping {
    /// Tells it.
    pub fn emit(self) {
        tracing::info!(
            sessions = self.sessions,
            deadline_ms = millis(self.deadline),
            "stopping: no new sessions, idle ones end now, busy ones at the deadline; a second signal stops at once"
        );
    }
}

/// The process ends.
#[derive(Debug)]
pub struct Stopped {
    /// Sessions that did not end in time.
    pub left: usize,
}

impl Stopped {
    /// Tells it.
    pub fn emit(self) {
        tracing::info!(sessions_left = self.left, "stopped");
    }
}

/// A new configuration holds.
#[derive(Debug)]
pub struct ConfigurationReloaded {
    /// How many keys have a new value.
    pub changed: usize,
}

impl ConfigurationReloaded {
    /// Tells it.
    pub fn emit(self) {
        tracing::info!(changed = self.changed, "configuration reloaded");
    }
}

/// A new configuration is bad; the old one stays.
#[derive(Debug)]
pub struct ConfigurationRefused<'a> {
    /// One problem.
    pub problem: &'a str,
}

impl ConfigurationRefused<'_> {
    /// Tells it.
    pub fn emit(self) {
        tracing::error!(problem = %Clean(self.problem), "configuration refused, the old one stays");
    }
}

/// A changed key is only read at the start.
#[derive(Debug)]
pub struct NeedsRestart<'a> {
    /// Its path.
    pub key: &'a str,
}

impl NeedsRestart<'_> {
    /// Tells it.
    pub fn emit(self) {
        tracing::warn!(key = self.key, "this key has changed, but only a restart takes it up");
    }
}

/// Settings that are right by themselves will keep some logins from passing.
#[derive(Debug)]
pub struct LoginAdvice<'a> {
    /// What and what to do, without a secret.
    pub advice: &'a str,
}

impl LoginAdvice<'_> {
    /// Tells it.
    pub fn emit(self) {
        tracing::warn!("{}", Clean(self.advice));
    }
}

/// An environment variable looks like a key's, but is none.
#[derive(Debug)]
pub struct VariableUnknown<'a> {
    /// As it is set.
    pub name: &'a str,
    /// What may have been meant.
    pub nearest: &'a str,
}

impl VariableUnknown<'_> {
    /// Tells it.
    pub fn emit(self) {
        tracing::warn!(variable = %Clean(self.name), nearest = self.nearest, "this environment variable is not known");
    }
}

/// A connection could not be accepted.
#[derive(Debug)]
pub struct Unaccepted<'a> {
    /// What the operating system said.
    pub error: &'a std::io::Error,
    /// How many could not be accepted since this was last told.
    pub count: u64,
}

impl Unaccepted<'_> {
    /// Tells it.
    pub fn emit(self) {
        tracing::error!(error = %self.error, count = self.count, "cannot accept connections");
    }
}

/// The process may open fewer files than `limits.connections` needs.
#[derive(Debug)]
pub struct FileLimitLow {
    /// What the operating system allows.
    pub allowed: u64,
    /// What is needed.
    pub needed: u64,
}

impl FileLimitLow {
    /// Tells it.
    pub fn emit(self) {
        tracing::warn!(
            allowed = self.allowed,
            needed = self.needed,
            "the limit of open files is too low for limits.connections: raise it (ulimit -n, LimitNOFILE=)"
        );
    }
}

/// A session ended by a defect of ours; the others go on.
#[derive(Debug)]
pub struct SessionPanicked;

impl SessionPanicked {
    /// Tells it.
    pub fn emit(self) {
        tracing::error!("a session ended by a defect of lockkeeper; the others go on");
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
