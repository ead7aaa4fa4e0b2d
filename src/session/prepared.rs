//! Prepared statements and portals that hold something to look at; all others are not remembered.

use std::collections::HashMap;
use std::rc::Rc;

use crate::wire::client::Values;

/// At most so many texts are remembered, and so many bytes of them; a client that prepares more DDL is refused.
const STATEMENTS_MAX: usize = 1_000;
const BYTES_MAX: usize = 4 << 20;

/// The same for the portals of one transaction, which may hold texts that their statements are rid of.
const PORTALS_MAX: usize = 1_000;

/// The watched statements and portals of one session.
#[derive(Debug, Default)]
pub struct Prepared {
    statements: HashMap<Vec<u8>, Statement>,
    portals: HashMap<Vec<u8>, Portal>,
    bytes: usize,
    portal_bytes: usize,
}

/// A watched statement.
#[derive(Debug)]
struct Statement {
    sql: Rc<[u8]>,
    why: Why,
}

/// Why a statement is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It must be looked at before it runs.
    Matters,
    /// It calls what may lock: it may run without being looked at where no more can be watched.
    Calls,
    /// It may hang on what the open transaction has queued.
    Queued,
    /// It waits for an advisory lock: its Bind is looked at, since with a portal comes a snapshot.
    Waits,
    /// It may write many rows: how many depends on the values of its Bind, which are kept.
    Writes,
}

/// A portal of a watched statement.
#[derive(Debug)]
struct Portal {
    sql: Rc<[u8]>,
    state: State,
    /// For a statement that may write many rows: its name, and its values as far as they were kept.
    bound: Option<Rc<Bound>>,
}

/// What a portal was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// The name of its statement.
    pub statement: Vec<u8>,
    /// Its values; `None` where they are too long to be kept.
    pub values: Option<Values>,
}

/// The portals of one transaction.
#[derive(Debug, Default)]
pub struct Portals {
    all: HashMap<Vec<u8>, Portal>,
    bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Fresh,
    Run,
}

impl Prepared {
    /// Whether nothing is watched, so that extended traffic needs no second look.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.statements.is_empty() && self.portals.is_empty()
    }

    /// Whether a statement of this text could be watched too.
    pub fn has_room(&self, name: &[u8], sql: &[u8]) -> bool {
        self.statements.len() < STATEMENTS_MAX && self.bytes + name.len() + sql.len() <= BYTES_MAX
    }

    /// The server has made a statement that is to be looked at when it is run.
    pub fn watch(&mut self, name: &[u8], sql: &[u8], why: Why) {
        self.forget(name);
        self.bytes += name.len() + sql.len();
        self.statements.insert(name.to_vec(), Statement { sql: sql.into(), why });
    }

    /// The same for one that was there before the open transaction has queued anything, where there is room.
    pub fn watch_while_queued(&mut self, name: &[u8], sql: &[u8]) {
        if !self.is_watched(name) && self.has_room(name, sql) {
            self.watch(name, sql, Why::Queued);
        }
    }

    /// Nothing is queued any more.
    pub fn forget_queued(&mut self) {
        let bytes = &mut self.bytes;
        self.statements.retain(|name, one| {
            let keep = one.why != Why::Queued;
            if !keep {
                *bytes -= name.len() + one.sql.len();
            }
            keep
        });
    }

    /// The server has made an ordinary statement of this name, or none.
    pub fn forget(&mut self, name: &[u8]) {
        if let Some(Statement { sql, .. }) = self.statements.remove(name) {
            self.bytes -= name.len() + sql.len();
        }
    }

    /// Forgets all named statements but these, which are all that the server has.
    pub fn keep(&mut self, names: &[String]) {
        self.statements.retain(|name, _| {
            name.is_empty() || names.iter().any(|kept| *kept == String::from_utf8_lossy(name))
        });
        self.bytes = self.statements.iter().map(|(name, one)| name.len() + one.sql.len()).sum();
    }

    /// Whether a statement is watched.
    pub fn is_watched(&self, name: &[u8]) -> bool {
        self.statements.contains_key(name)
    }

    /// The client binds a portal; it is watched when its statement is. False when no more can be watched: then it must not
    /// be made.
    #[must_use]
    pub fn bind(&mut self, portal: &[u8], statement: &[u8]) -> bool {
        self.bind_with(portal, statement, None)
    }

    /// The same; `values` are kept where its statement may write many rows.
    #[must_use]
    pub fn bind_with(&mut self, portal: &[u8], statement: &[u8], values: Option<Values>) -> bool {
        let watched = self.statements.get(statement).filter(|one| one.why != Why::Waits);
        let no_room = |sql: &[u8]| {
            !self.portals.contains_key(portal)
                && (self.portals.len() >= PORTALS_MAX
                    || self.portal_bytes + portal.len() + sql.len() > BYTES_MAX)
        };
        let writes = watched.is_some_and(|one| one.why == Why::Writes);
        let bound = writes.then(|| Rc::new(Bound { statement: statement.to_vec(), values }));
        let sql = match watched {
            Some(one) if no_room(&one.sql) && one.why == Why::Matters => return false,
            Some(one) if no_room(&one.sql) => None,
            watched => watched.map(|one| Rc::clone(&one.sql)),
        };
        self.end_portal(portal);
        if let Some(sql) = sql {
            self.portal_bytes += portal.len() + sql.len();
            self.portals.insert(portal.to_vec(), Portal { sql, state: State::Fresh, bound });
        }
        true
    }

    /// The text of a statement that waits for an advisory lock.
    pub fn waits(&self, statement: &[u8]) -> Option<Rc<[u8]>> {
        self.statements.get(statement).filter(|one| one.why == Why::Waits).map(|one| Rc::clone(&one.sql))
    }

    /// Whether a statement may write many rows.
    pub fn writes(&self, statement: &[u8]) -> bool {
        self.statements.get(statement).is_some_and(|one| one.why == Why::Writes)
    }

    /// What a portal was made of whose statement may write many rows, and whether that statement is still the one of its name.
    pub fn bound(&self, portal: &[u8]) -> Option<(Rc<Bound>, bool)> {
        let portal = self.portals.get(portal)?;
        let bound = portal.bound.as_ref()?;
        let same = self.statements.get(&bound.statement).is_some_and(|one| Rc::ptr_eq(&one.sql, &portal.sql));
        Some((Rc::clone(bound), same))
    }

    /// The text behind a portal that is to be looked at.
    pub fn portal(&self, name: &[u8]) -> Option<Rc<[u8]>> {
        self.portals.get(name).map(|portal| Rc::clone(&portal.sql))
    }

    /// The statement behind a portal has been run in its place; the portal itself still looks fresh to the server.
    pub fn run(&mut self, portal: &[u8], sql: &Rc<[u8]>) {
        self.end_portal(portal);
        self.portal_bytes += portal.len() + sql.len();
        self.portals.insert(portal.to_vec(), Portal { sql: Rc::clone(sql), state: State::Run, bound: None });
    }

    fn end_portal(&mut self, name: &[u8]) {
        if let Some(portal) = self.portals.remove(name) {
            self.portal_bytes -= name.len() + portal.sql.len();
        }
    }

    /// Whether the statement behind a portal has been run in its place.
    pub fn has_run(&self, portal: &[u8]) -> bool {
        self.portals.get(portal).is_some_and(|portal| portal.state == State::Run)
    }

    /// Takes the portals out, before their transaction ends.
    pub fn take_portals(&mut self) -> Portals {
        Portals { all: std::mem::take(&mut self.portals), bytes: std::mem::take(&mut self.portal_bytes) }
    }

    /// Puts them back.
    pub fn put_portals(&mut self, portals: Portals) {
        (self.portals, self.portal_bytes) = (portals.all, portals.bytes);
    }

    /// Portals end with their transaction.
    #[inline]
    pub fn end_transaction(&mut self) {
        self.portals.clear();
        self.portal_bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portals_follow_their_statement() {
        let mut prepared = Prepared::default();
        prepared.watch(b"s", b"drop table t", Why::Matters);
        assert!(prepared.bind(b"p", b"s"));
        assert_eq!(prepared.portal(b"p").as_deref(), Some(&b"drop table t"[..]));
        assert!(prepared.bind(b"p", b"other"));
        assert_eq!(prepared.portal(b"p"), None);
        assert!(prepared.bind(b"p", b"s"));
        prepared.forget(b"s");
        assert!(prepared.portal(b"p").is_some(), "a portal outlives its statement");
        prepared.end_transaction();
        assert!(prepared.is_empty() && prepared.bytes == 0 && prepared.portal_bytes == 0);
    }

    #[test]
    fn portals_are_bounded_too() {
        let mut prepared = Prepared::default();
        prepared.watch(b"s", &vec![b'x'; BYTES_MAX / 2], Why::Matters);
        assert!(prepared.bind(b"1", b"s") && !prepared.bind(b"2", b"s"), "texts outlive their statement");
        prepared.watch(b"s", b"drop table t", Why::Matters);
        for index in 1..PORTALS_MAX {
            assert!(prepared.bind(index.to_string().as_bytes(), b"s"), "{index}");
            prepared.run(index.to_string().as_bytes(), &b"drop table t"[..].into());
        }
        assert!(prepared.bind(b"last", b"s") && !prepared.bind(b"one more", b"s"));
        assert!(prepared.bind(b"last", b"s") && prepared.bind(b"one more", b"ordinary"));
        prepared.watch(b"c", b"select f()", Why::Calls);
        assert!(prepared.bind(b"a call", b"c") && prepared.portal(b"a call").is_none());
        prepared.end_transaction();
        assert!(prepared.bind(b"one more", b"s"));
    }

    #[test]
    fn memory_is_bounded() {
        let mut prepared = Prepared::default();
        assert!(!prepared.has_room(b"s", &vec![b'x'; BYTES_MAX]));
        for index in 0..STATEMENTS_MAX {
            prepared.watch(index.to_string().as_bytes(), b"drop table t", Why::Matters);
        }
        assert!(!prepared.has_room(b"s", b"drop table t"));
        prepared.keep(&["7".to_owned()]);
        assert!(prepared.has_room(b"s", b"drop table t"));
        assert!(prepared.is_watched(b"7") && !prepared.is_watched(b"8"));
    }
}
