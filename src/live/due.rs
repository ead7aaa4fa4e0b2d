//! Databases that somebody is to look at.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

/// Those that were asked for and not yet taken; one task takes them.
#[derive(Debug, Default)]
pub(super) struct Due {
    databases: Mutex<BTreeSet<String>>,
    asked: Notify,
}

impl Due {
    /// Asks for a look at a database.
    pub(super) fn ask(&self, database: &str) {
        self.databases.lock().unwrap_or_else(PoisonError::into_inner).insert(database.to_owned());
        self.asked.notify_one();
    }

    /// Waits until there are some, and takes them.
    pub(super) async fn next(&self) -> Vec<String> {
        loop {
            let due = std::mem::take(&mut *self.databases.lock().unwrap_or_else(PoisonError::into_inner));
            if !due.is_empty() {
                return due.into_iter().collect();
            }
            self.asked.notified().await;
        }
    }
}
