//! Which functions of each database may lock, as the last look has found them, and which databases are to be looked at.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::due::Due;
use super::left_overs::DATABASES_MAX;
use crate::event::clock::Moment;
use crate::sql::lockers::Ddl;
use crate::sql::{Calls, Lockers};

/// What others make is looked for so often, where there are sessions.
pub const AGAIN: Duration = Duration::from_mins(1);

/// What a session has made is not seen by a look before it is committed: so long it is kept in mind whatever looks find.
const KEPT_FOR: Duration = Duration::from_mins(10);

/// More of those are not kept in mind.
const MADE_MAX: usize = 1_000;

/// What sessions of one database ask, message by message.
#[derive(Debug, Default)]
pub struct Known {
    /// There are some: most databases have none, and no message of theirs asks for more.
    any: AtomicBool,
    lockers: ArcSwap<Lockers>,
}

impl Known {
    /// What a text calls of them.
    #[inline]
    pub fn called_in(&self, text: &[u8]) -> Calls {
        if self.any.load(Ordering::Relaxed) { self.lockers.load().called_in(text) } else { Calls::Nothing }
    }

    fn publish(&self, lockers: Lockers) {
        let any = !lockers.is_empty();
        self.lockers.store(Arc::new(lockers));
        self.any.store(any, Ordering::Relaxed);
    }
}

/// Those of all databases.
#[derive(Debug, Default)]
pub struct LockersOfAll {
    places: Mutex<BTreeMap<String, Place>>,
    due: Due,
}

#[derive(Debug, Default)]
struct Place {
    known: Arc<Known>,
    found: Vec<(String, Ddl)>,
    made: Vec<(Moment, String, Ddl)>,
    /// When it was last asked for.
    asked: Option<Moment>,
}

impl Place {
    fn publish(&self) {
        let made = self.made.iter().map(|(_, name, ddl)| (name.clone(), *ddl));
        self.known.publish(Lockers::new(self.found.iter().cloned().chain(made)));
    }
}

impl LockersOfAll {
    /// Those of a database, for as long as they are kept; where nobody has looked of late, that is asked for.
    pub fn of(&self, database: &str) -> Arc<Known> {
        let mut places = self.places();
        if places.len() >= DATABASES_MAX && !places.contains_key(database) {
            return Arc::default();
        }
        let place = places.entry(database.to_owned()).or_default();
        if place.asked.is_none_or(|at| at.elapsed() >= AGAIN) {
            place.asked = Some(Moment::now());
            self.due.ask(database);
        }
        Arc::clone(&place.known)
    }

    /// Asks for another look: functions were made, changed or dropped.
    pub fn ask_again(&self, database: &str) {
        if self.places().contains_key(database) {
            self.due.ask(database);
        }
    }

    /// A session makes one.
    pub fn made(&self, database: &str, name: &str, ddl: Ddl) {
        let mut places = self.places();
        let Some(place) = places.get_mut(database) else { return };
        place.made.retain(|(_, known, _)| known != name);
        if place.made.len() < MADE_MAX {
            place.made.push((Moment::now(), name.to_owned(), ddl));
            place.publish();
        }
    }

    /// Waits until there are databases to be looked at.
    pub async fn due(&self) -> Vec<String> {
        self.due.next().await
    }

    /// The databases that somebody is in.
    pub fn in_use(&self) -> Vec<String> {
        let places = self.places();
        let used = places.iter().filter(|(_, place)| Arc::strong_count(&place.known) > 1);
        used.map(|(database, _)| database.clone()).collect()
    }

    /// Notes what a look has found.
    pub fn note(&self, database: &str, found: Vec<(String, Ddl)>) {
        let mut places = self.places();
        let Some(place) = places.get_mut(database) else { return };
        place.made.retain(|(at, ..)| at.elapsed() < KEPT_FOR);
        place.found = found;
        place.publish();
    }

    fn places(&self) -> MutexGuard<'_, BTreeMap<String, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sessions_see_what_a_look_finds_and_what_others_make() {
        let all = LockersOfAll::default();
        let known = all.of("a");
        assert_eq!(all.due().await, ["a"]);
        assert_eq!(known.called_in(b"SELECT f()"), Calls::Nothing);
        all.note("a", vec![("f".to_owned(), Ddl::Written)]);
        all.made("a", "g", Ddl::Written);
        let calls = |text: &str| known.called_in(text.as_bytes()) != Calls::Nothing;
        assert!(calls("SELECT f()") && calls("SELECT g()"));
        all.note("a", Vec::new());
        assert!(!calls("SELECT f()") && calls("SELECT g()"), "what is not committed yet is kept in mind");
        drop(all.of("b"));
        all.ask_again("a");
        assert_eq!(all.due().await, ["a", "b"]);
        assert_eq!(all.in_use(), ["a"], "nobody is in the other one");
    }
}
