//! What does not work, though nobody may have noticed yet.

use std::error::Error;

use super::clean::{Clean, Whole};
use crate::plan::WayOut;

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

/// The server does not say how far its standbys are and how much it has to do.
#[derive(Debug)]
pub struct PressureUnseen<'a> {
    /// The database asked about.
    pub database: &'a str,
    /// Why.
    pub why: &'a str,
}

impl PressureUnseen<'_> {
    /// Tells it.
    pub fn emit(self) {
        tracing::warn!(
            database = %Clean(self.database),
            why = %Clean(self.why),
            "the server does not say how far standbys are and how much it has to do; bulk statements are paced without"
        );
    }
}

/// There is no control connection at the start, though one is configured.
#[derive(Debug)]
pub struct ControlAbsent<'a> {
    /// What went wrong.
    pub why: &'a str,
}

impl ControlAbsent<'_> {
    /// Tells it.
    pub fn emit(self) {
        tracing::warn!(
            why = %Clean(self.why),
            "control connection cannot be had: until it can, statements are kept from queueing for long by lock_timeout alone; who \
             is in the way, how far a build is, and who waits behind a statement that has its lock is not seen"
        );
    }
}

/// The role of the control connection does not see what others do.
#[derive(Debug)]
pub struct ControlBlind<'a> {
    /// The role.
    pub role: &'a str,
}

impl ControlBlind<'_> {
    /// Tells it.
    pub fn emit(self) {
        tracing::warn!(
            role = %Clean(self.role),
            "the control role lacks pg_monitor: who waits behind a statement is seen, and it gives way; how old the transactions \
             of others are and what they run is not, so that it queues for moments where it would wait outside: GRANT pg_monitor \
             to it"
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

/// Something in a database looks unfinished.
#[derive(Debug)]
pub struct LeftBehind<'a> {
    /// The database.
    pub database: &'a str,
    /// What it is, and what harm it does.
    pub what: &'a str,
    /// Its name.
    pub name: &'a str,
    /// The statement that finishes or removes it.
    pub statement: &'a str,
}

impl LeftBehind<'_> {
    /// Tells it.
    pub fn emit(self) {
        tracing::warn!(
            database = %Clean(self.database),
            what = %Clean(self.what),
            name = %Clean(self.name),
            run_by_hand = %Whole(self.statement),
            "this looks unfinished; run the statement, straight or through the proxy, unless it is meant to be so"
        );
    }
}

/// A plan has lost its session between its first step and its last.
#[derive(Debug)]
pub struct PlanCutOff<'a> {
    /// The session's database.
    pub database: &'a str,
    /// The session's backend.
    pub pid: u32,
    /// Which plan.
    pub hazard: &'a str,
    /// The step that it was at, counted from 1, and of how many.
    pub step: (usize, usize),
    /// What is to be done about it; names of objects are all that its statements hold.
    pub way_out: &'a WayOut,
}

impl PlanCutOff<'_> {
    /// Tells it.
    pub fn emit(self) {
        let (step, steps) = self.step;
        match self.way_out {
            WayOut::TakeBack(statements) => tracing::warn!(
                database = %Clean(self.database),
                pid = self.pid,
                hazard = self.hazard,
                step,
                steps,
                take_back = %Whole(&statements.join("; ")),
                "a plan was cut off with its session: run it again, or take back what it has done; what looks unfinished is told too"
            ),
            WayOut::TidyUp(statements) => tracing::warn!(
                database = %Clean(self.database),
                pid = self.pid,
                hazard = self.hazard,
                step,
                steps,
                tidy_up = %Whole(&statements.join("; ")),
                "a plan was cut off with its session when what it is for was done: run the statements that take away what it left"
            ),
        }
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
