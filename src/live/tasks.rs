//! Databases in which somebody may have queued a task that nobody runs.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use super::due::Due;
use super::left_overs::DATABASES_MAX;

/// Those that are to be looked at.
#[derive(Debug, Default)]
pub struct Tasks {
    known: Mutex<BTreeSet<String>>,
    due: Due,
}

impl Tasks {
    /// Asks for a look at a database that nobody has asked for yet; it is looked at again by itself.
    pub fn ask_once(&self, database: &str) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < DATABASES_MAX && !known.contains(database) {
            known.insert(database.to_owned());
            self.due.ask(database);
        }
    }

    /// Asks for a look: something was queued there that its session does not run.
    pub fn ask(&self, database: &str) {
        self.due.ask(database);
    }

    /// Waits until there are databases to be looked at.
    pub async fn due(&self) -> Vec<String> {
        self.due.next().await
    }
}
