//! What does not work, though nobody may have noticed yet.

use std::error::Error;

use super::clean::Clean;

/// A login failed for a reason that is not the client's: the operator's, or the server's.
#[derive(Debug)]
pub struct LoginFailed<'a> {
    /// Why, with its causes. The client has been told.
    pub why: &'a dyn Error,
    /// The user, as the client wrote it.
    pub user: &'a str,
}

impl LoginFailed<'_> {
    /// Tells it.
    pub fn emit(self) {
        tracing::warn!(why = %Clean(&chain(self.why)), user = %Clean(self.user), "login failed");
    }
}

/// The control connection gave no answer; sessions are guarded without it.
#[derive(Debug)]
pub struct ControlSilent<'a> {
    /// The database asked about.
    pub database: &'a str,
    /// Why.
    pub why: &'a str,
}

impl ControlSilent<'_> {
    /// Tells it.
    pub fn emit(self) {
        tracing::warn!(
            database = %Clean(self.database),
            why = %Clean(self.why),
            "control connection gave no answer; blockers, progress and who waits behind a statement are not seen until it does"
        );
    }
}

/// No control connection is configured.
#[derive(Debug)]
pub struct Uncontrolled;

impl Uncontrolled {
    /// Tells it.
    pub fn emit(self) {
        tracing::warn!(
            "no control connection: statements are kept from queueing for long by lock_timeout alone; who is in the way, how \
             far a build is, and who waits behind a statement that has its lock is not seen: set control.url"
        );
    }
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}
