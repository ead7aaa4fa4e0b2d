//! Which sessions of this process have taken an advisory lock for as long as they live: they may build while they have it.
//!
//! Only a hint where to look: whether one still has it, the server says.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::sql::advisory::Key;

/// More are not kept in mind: then it begins anew.
const NOTED_MAX: usize = 1_000;

/// The sessions that have taken locks.
#[derive(Debug, Default)]
pub struct Takers {
    noted: Mutex<HashMap<(String, Key), u32>>,
}

impl Takers {
    /// A session has taken a lock.
    pub fn note(&self, database: &str, key: Key, pid: u32) {
        let mut noted = self.noted();
        if noted.len() >= NOTED_MAX {
            noted.clear();
        }
        noted.insert((database.to_owned(), key), pid);
    }

    /// The session that has taken a lock last.
    pub fn last(&self, database: &str, key: Key) -> Option<u32> {
        self.noted().get(&(database.to_owned(), key)).copied()
    }

    /// It has it no more.
    pub fn forget(&self, database: &str, key: Key) {
        self.noted().remove(&(database.to_owned(), key));
    }

    fn noted(&self) -> MutexGuard<'_, HashMap<(String, Key), u32>> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_taker_is_known() {
        let takers = Takers::default();
        let key = |object| Key { class: 0, object, form: 1 };
        takers.note("shop", key(7), 1);
        takers.note("shop", key(7), 2);
        assert_eq!(takers.last("shop", key(7)), Some(2));
        assert_eq!((takers.last("mail", key(7)), takers.last("shop", key(8))), (None, None));
        takers.forget("shop", key(7));
        assert_eq!(takers.last("shop", key(7)), None);
        for object in 0..=1_000 {
            takers.note("shop", key(object), 3);
        }
        assert_eq!(takers.noted().len(), 1);
    }
}
