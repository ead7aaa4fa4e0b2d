//! What happens to tasks that transactions have queued.

use super::clean::Clean;

/// A task that was left over is taken up.
#[derive(Debug)]
pub struct TaskBegun<'a> {
    /// Where.
    pub database: &'a str,
    /// Its number.
    pub id: i64,
    /// What it is.
    pub title: &'a str,
    /// Whose.
    pub queued_by: &'a str,
}

impl TaskBegun<'_> {
    /// Tells it.
    pub fn emit(self) {
        tracing::info!(
            database = %Clean(self.database),
            id = self.id,
            title = %Clean(self.title),
            queued_by = %Clean(self.queued_by),
            "a task was left over and is taken up"
        );
    }
}

/// It has ended.
#[derive(Debug)]
pub struct TaskEnded<'a> {
    /// Where.
    pub database: &'a str,
    /// Its number.
    pub id: i64,
    /// Why it has failed, if it has.
    pub failure: Option<&'a str>,
}

impl TaskEnded<'_> {
    /// Tells it.
    pub fn emit(self) {
        let database = Clean(self.database);
        match self.failure {
            None => tracing::info!(%database, id = self.id, "a task is done"),
            Some(failure) => tracing::warn!(
                %database,
                id = self.id,
                failure = %Clean(failure),
                "a task has failed; run it again by lockkeeper resume, or give it up by lockkeeper tasks drop"
            ),
        }
    }
}

/// The proxy cannot run a task that was left over.
#[derive(Debug)]
pub struct TaskWaits<'a> {
    /// Where.
    pub database: &'a str,
    /// Its number.
    pub id: i64,
    /// What it is.
    pub title: &'a str,
    /// Whose.
    pub queued_by: &'a str,
    /// Why.
    pub why: &'a str,
}

impl TaskWaits<'_> {
    /// Tells it.
    pub fn emit(self) {
        tracing::warn!(
            database = %Clean(self.database),
            id = self.id,
            title = %Clean(self.title),
            queued_by = %Clean(self.queued_by),
            why = %Clean(self.why),
            "a task was left over, and the proxy cannot run it: run lockkeeper resume as the role that has queued it; where the proxy cannot log in \
             as that role, its password file may hold a password for it"
        );
    }
}

/// The control role does not see what others have queued.
#[derive(Debug)]
pub struct TasksUnseen<'a> {
    /// Where.
    pub database: &'a str,
    /// The role.
    pub role: &'a str,
}

impl TasksUnseen<'_> {
    /// Tells it.
    pub fn emit(self) {
        tracing::warn!(
            database = %Clean(self.database),
            role = %Clean(self.role),
            "the control role does not see the tasks of other roles, so that what is left over of them is not taken up: GRANT SELECT ON \
             lockkeeper.task to it"
        );
    }
}
