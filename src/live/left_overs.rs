//! What looks unfinished in each database, as the last look has found it, and which databases are to be looked at.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::due::Due;

/// More databases than these are not looked at.
pub const DATABASES_MAX: usize = 100;

/// Something that a statement has left behind when it was cut off, by all appearances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOver {
    /// Its number in the catalogue: a new one of the same name is another one.
    pub oid: u32,
    /// What it is, and what harm it does.
    pub what: String,
    /// Its name, with its schema.
    pub name: String,
    /// The statement that finishes or removes it.
    pub statement: String,
}

/// All of them.
#[derive(Debug, Default)]
pub struct LeftOvers {
    /// What was found in each database that was asked for.
    places: Mutex<BTreeMap<String, Vec<LeftOver>>>,
    due: Due,
}

impl LeftOvers {
    /// Asks for a look at a database that nobody has looked at yet.
    pub fn ask_once(&self, database: &str) {
        let mut places = self.places();
        if places.len() < DATABASES_MAX && !places.contains_key(database) {
            places.insert(database.to_owned(), Vec::new());
            self.due.ask(database);
        }
    }

    /// Asks for another look: something was cut off there.
    pub fn ask_again(&self, database: &str) {
        self.ask_once(database);
        if self.places().contains_key(database) {
            self.due.ask(database);
        }
    }

    /// Waits until there are databases to be looked at.
    pub async fn due(&self) -> Vec<String> {
        self.due.next().await
    }

    /// Notes what a look has found; gives what is new of it.
    pub fn note(&self, database: &str, found: Vec<LeftOver>) -> Vec<LeftOver> {
        let mut places = self.places();
        let Some(known) = places.get_mut(database) else { return Vec::new() };
        let new = found.iter().filter(|one| !known.contains(one)).cloned().collect();
        *known = found;
        new
    }

    /// Everything that was found, with its database.
    pub fn all(&self) -> Vec<(String, LeftOver)> {
        let places = self.places();
        let of = |(database, found): (&String, &Vec<LeftOver>)| {
            found.iter().map(|one| (database.clone(), one.clone())).collect::<Vec<_>>()
        };
        places.iter().flat_map(of).collect()
    }

    fn places(&self) -> MutexGuard<'_, BTreeMap<String, Vec<LeftOver>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str) -> LeftOver {
        let oid = 7;
        LeftOver {
            oid,
            what: "an index".to_owned(),
            name: name.to_owned(),
            statement: format!("DROP INDEX {name}"),
        }
    }

    #[tokio::test]
    async fn a_database_is_looked_at_once_and_again_where_something_was_cut_off() {
        let all = LeftOvers::default();
        all.ask_once("a");
        all.ask_once("b");
        assert_eq!(all.due().await, ["a", "b"]);
        all.ask_once("a");
        all.ask_again("b");
        assert_eq!(all.due().await, ["b"]);
    }

    #[test]
    fn only_what_is_new_is_told() {
        let all = LeftOvers::default();
        assert_eq!(all.note("never asked for", vec![one("x")]), []);
        all.ask_once("a");
        assert_eq!(all.note("a", vec![one("x")]), [one("x")]);
        assert_eq!(all.note("a", vec![one("x"), one("y")]), [one("y")]);
        assert_eq!(all.all(), [("a".to_owned(), one("x")), ("a".to_owned(), one("y"))]);
        let again = LeftOver { oid: 8, ..one("y") };
        assert_eq!(all.note("a", vec![again.clone()]), [again]);
        assert_eq!(all.note("a", Vec::new()), []);
        assert_eq!(all.all(), []);
    }
}
