//! The queue of each table: whoever would wait behind a concurrent build of ours inside the server waits here instead.
//!
//! A build ends by waiting for older snapshots, and who waits in a lock queue has one: the two would wait for each other until
//! the server ends one of them. What other processes build is not known here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::effects::facts::Oid;
use crate::event::clock::Moment;

/// Everybody who works on tables in a way that builds have to be kept apart from.
#[derive(Debug, Default)]
pub struct Queues {
    line: Mutex<Line>,
}

#[derive(Debug, Default)]
struct Line {
    next: u64,
    places: BTreeMap<u64, (Want, Moment)>,
}

/// Who wants to work on what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// The database.
    pub database: String,
    /// On what.
    pub on: On,
    /// Of what kind the work is.
    pub work: Work,
    /// Whose it is.
    pub who: Who,
}

/// What work is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum On {
    /// These tables; whoever names none stands in nobody's way.
    Tables(Vec<Oid>),
    /// One table of the database after the other.
    Database,
}

/// Whose work it is, for those who wait for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// The server process.
    pub pid: u32,
    /// The user.
    pub user: String,
    /// What its client calls itself.
    pub application: String,
    /// `CREATE INDEX`
    pub what: String,
}

/// Of what kind work on a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// It takes long, stops neither reads nor writes, and may wait for everybody's snapshot.
    Build,
    /// It locks the table against builds.
    Brief,
}

/// A place in the queues of its tables, until it is dropped.
#[derive(Debug)]
pub struct Permit {
    queues: Arc<Queues>,
    number: u64,
}

/// Who is in front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InFront {
    /// Whose work it is.
    pub who: Who,
    /// Since when it has stood there.
    pub since: Moment,
}

impl Queues {
    /// Goes to the end of the queues of all its tables.
    pub fn line_up(self: &Arc<Self>, want: Want) -> Permit {
        let mut line = self.line();
        line.next += 1;
        let number = line.next;
        line.places.insert(number, (want, Moment::now()));
        drop(line);
        Permit { queues: Arc::clone(self), number }
    }

    /// The server processes of those who build in this database, or wait for their turn.
    pub fn builders(&self, database: &str) -> Vec<u32> {
        let line = self.line();
        let places =
            line.places.values().filter(|(want, _)| want.work == Work::Build && want.database == database);
        places.map(|(want, _)| want.who.pid).collect()
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        // A panic elsewhere leaves whole places behind.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Want {
    /// Whether the two have to be kept apart: short work keeps itself apart from other short work, by locks. A build of a whole
    /// database is at one table only at a time, for which short work need not wait: it is not in a lock queue for long.
    fn meets(&self, other: &Self) -> bool {
        let builds = [self.work, other.work].map(|work| work == Work::Build);
        let on_same = match (&self.on, &other.on) {
            (On::Tables(own), On::Tables(others)) => {
                builds.contains(&true) && own.iter().any(|table| others.contains(table))
            }
            (On::Database, On::Tables(tables)) | (On::Tables(tables), On::Database) => {
                builds == [true; 2] && !tables.is_empty()
            }
            (On::Database, On::Database) => true,
        };
        on_same && self.who.pid != other.who.pid && self.database == other.database
    }
}

impl Permit {
    /// Who is to be waited for: the first of those who came before and want one of the same tables.
    pub fn in_front(&self) -> Option<InFront> {
        let line = self.queues.line();
        let (own, _) = line.places.get(&self.number)?;
        let mut before = line.places.range(..self.number).map(|(_, place)| place);
        let (want, since) = before.find(|(want, _)| want.meets(own))?;
        Some(InFront { who: want.who.clone(), since: *since })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.queues.line().places.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn want(pid: u32, tables: &[Oid], work: Work) -> Want {
        let who = Who { pid, user: "ann".into(), application: "psql".into(), what: "CREATE INDEX".into() };
        Want { database: "shop".into(), on: On::Tables(tables.to_vec()), work, who }
    }

    #[test]
    fn builds_are_kept_apart_in_the_order_of_arrival() {
        let queues = Arc::new(Queues::default());
        let before = |permit: &Permit| permit.in_front().map(|front| front.who.pid);
        let first = queues.line_up(want(1, &[10], Work::Build));
        let second = queues.line_up(want(2, &[11, 10], Work::Brief));
        let third = queues.line_up(want(3, &[11], Work::Build));
        let fourth = queues.line_up(want(4, &[11, 10], Work::Brief));
        let other = queues.line_up(Want { database: "mail".into(), ..want(5, &[10], Work::Build) });
        let elsewhere = queues.line_up(want(6, &[12], Work::Build));
        assert_eq!([&first, &second, &third, &fourth].map(before), [None, Some(1), Some(2), Some(1)]);
        assert_eq!([&other, &elsewhere].map(before), [None, None]);
        drop(first);
        // Short work does not wait for short work.
        assert_eq!([&second, &third, &fourth].map(before), [None, Some(2), Some(3)]);
        drop(third);
        assert_eq!(before(&fourth), None);
        drop((second, fourth));
        assert_eq!(queues.line().places.len(), 2);
    }

    #[test]
    fn the_whole_database_is_built_apart_from_other_builds() {
        let queues = Arc::new(Queues::default());
        let whole = |pid| Want { on: On::Database, ..want(pid, &[], Work::Build) };
        let before = |want: Want| queues.line_up(want).in_front().map(|front| front.who.pid);
        let _first = queues.line_up(whole(1));
        assert_eq!(before(whole(2)), Some(1));
        assert_eq!(before(whole(1)), None);
        assert_eq!(before(want(3, &[10], Work::Build)), Some(1));
        assert_eq!(before(want(4, &[10], Work::Brief)), None);
        assert_eq!(before(want(5, &[], Work::Build)), None);
        let _table = queues.line_up(Want { database: "mail".into(), ..want(6, &[10], Work::Build) });
        assert_eq!(before(Want { database: "mail".into(), ..whole(7) }), Some(6));
    }

    #[test]
    fn nobody_waits_for_himself_or_for_nothing() {
        let queues = Arc::new(Queues::default());
        let _build = queues.line_up(want(1, &[10], Work::Build));
        assert_eq!(queues.line_up(want(1, &[10], Work::Brief)).in_front(), None);
        assert_eq!(queues.line_up(want(2, &[], Work::Build)).in_front(), None);
    }
}
