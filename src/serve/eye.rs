//! Judges texts on the hot path: triage first, then the memory of this core, then a parse.

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::time::Duration;

use crate::event::clock::Moment;
use crate::live::lockers::Known as Functions;
use crate::session::{Eye, Glance, Reading};
use crate::sql::shape::{Escapes, Known, executes, may_write, names_search_path, sets_search_path};
use crate::sql::{self, Calls, Memory, Shape, Shapes, Triage};
use crate::wire::startup::Replication;

use super::lockers::makes_functions;

/// Bytes of texts that a core remembers as ordinary.
pub const MEMORY_BYTES: u64 = 8 << 20;

/// What was found out about the shapes of statements that may write many rows, as a session sees it.
#[derive(Clone, Copy)]
pub struct Shaped<'a> {
    shapes: &'a RefCell<Shapes>,
    /// Tells its database and user apart from others.
    place: u64,
    /// From where moments are counted.
    since: Moment,
    own: &'a Cell<Own>,
}

/// In what a session differs from others of its user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "they have nothing to do with each other")]
pub struct Own {
    /// It has prepared in SQL what may write many rows.
    prepares: bool,
    /// Its `search_path` changes, and nobody can tell when: what depends on tables' sizes holds for nothing.
    roams: bool,
    /// Its `search_path` is another than at its beginning.
    moved: bool,
    /// Tells its `search_path` apart.
    path: u32,
    /// Tells its settings of ours apart.
    settings: u16,
}

impl Own {
    /// Of a session that begins with these options.
    pub fn of(options: &str) -> Self {
        let path = if options.is_empty() { 0 } else { short(digest(options)) };
        Self { path, ..Self::default() }
    }

    fn salt(self) -> u64 {
        u64::from(self.path) << u16::BITS | u64::from(self.settings)
    }
}

fn short(digest: u64) -> u32 {
    u32::try_from(digest & 0xffff_ffff).unwrap_or_default()
}

/// The same for the same, in this process.
fn digest(what: impl std::hash::Hash) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(what)
}

impl std::fmt::Debug for Shaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shaped").field("place", &self.place).finish_non_exhaustive()
    }
}

/// What is found out about a shape holds so long: tables grow, and keys go.
const ONE_FOR: Duration = Duration::from_mins(1);

/// What depends on values holds for less.
const FEW_FOR: Duration = Duration::from_secs(10);

/// One session asks anew, and the others go on with what was known, for no longer than this.
const RENEWED_WITHIN: Duration = Duration::from_secs(1);

impl<'a> Shaped<'a> {
    /// For a session of that place.
    pub const fn new(shapes: &'a RefCell<Shapes>, (place, since): (u64, Moment), own: &'a Cell<Own>) -> Self {
        Self { shapes, place, since, own }
    }

    /// The session prepares in SQL what may write many rows: what it executes is looked at from now on.
    pub fn prepares(&self) {
        self.own.set(Own { prepares: true, ..self.own.get() });
    }

    /// The session changes settings of ours, by which many rows are another number; `lasts` where it is known that it will go on with them.
    pub fn sets(&self, text: &[u8], lasts: bool) {
        let own = self.own.get();
        let settings = u16::try_from(digest((own.settings, text)) & 0xffff).unwrap_or_default();
        self.own.set(Own { settings, roams: own.roams || !lasts, ..own });
    }

    /// The session takes all its settings back.
    pub fn resets(&self) {
        let own = self.own.get();
        self.own.set(Own { settings: 0, roams: own.roams || own.moved, ..own });
    }

    /// The session changes its `search_path`, or may; `lasts` where it is known that it stays so.
    #[cold]
    pub fn moves(&self, text: &[u8], lasts: bool) {
        let own = self.own.get();
        self.own.set(Own { path: short(digest(text)), moved: true, roams: own.roams || !lasts, ..own });
    }

    #[inline]
    fn shape(&self, text: &[u8], reading: &Reading) -> Option<Shape> {
        if !text.is_ascii() && !reading.dialect().encoding.is_ascii_sure() {
            return None;
        }
        let escapes = if reading.backslash_escapes { Escapes::Everywhere } else { Escapes::Marked };
        self.shapes.borrow().of(text, escapes, self.place ^ self.own.get().salt())
    }

    #[inline]
    fn known(&self, text: &[u8], reading: &Reading) -> Option<Known> {
        let shape = self.shape(text, reading)?;
        self.shapes.borrow().know(shape, self.now()).filter(|known| self.holds(*known))
    }

    /// The same for who would be the one to find out.
    fn known_or_asked(&self, text: &[u8], reading: &Reading) -> Option<Known> {
        let shape = self.shape(text, reading)?;
        let known = self.shapes.borrow_mut().know_or_ask(shape, self.now(), millis(RENEWED_WITHIN));
        known.filter(|known| self.holds(*known))
    }

    fn holds(&self, known: Known) -> bool {
        known == Known::One || !self.own.get().roams
    }

    /// A text turns out to write many rows.
    pub fn forget(&self, text: &[u8], reading: &Reading) {
        if let Some(shape) = self.shape(text, reading) {
            self.shapes.borrow_mut().forget(shape);
        }
    }

    /// Remembers of a text what was found out about it.
    pub fn learn(&self, text: &[u8], reading: &Reading, known: Known) {
        let held = if known == Known::One { ONE_FOR } else { FEW_FOR };
        if let Some(shape) = self.shape(text, reading) {
            let until = self.now().saturating_add(millis(held));
            self.shapes.borrow_mut().learn(shape, known, until);
        }
    }

    fn now(&self) -> u64 {
        millis(self.since.elapsed())
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Whether a session's statements are looked at, and with which memory.
#[derive(Clone, Copy)]
pub enum Watcher<'a> {
    /// A walsender without a database, on which the server itself refuses SQL: everything passes.
    Blind,
    /// A walsender in a database: its own commands pass.
    SeeingSql(&'a RefCell<Memory>),
    /// Looks, also for calls of these functions, and for rows that are written where something is known of them.
    Seeing(&'a RefCell<Memory>, &'a Functions, Option<Shaped<'a>>),
}

impl<'a> Watcher<'a> {
    /// The one for a session.
    pub fn of(
        replication: Replication,
        memory: &'a RefCell<Memory>,
        lockers: &'a Functions,
        shaped: Option<Shaped<'a>>,
    ) -> Self {
        match replication {
            Replication::No => Self::Seeing(memory, lockers, shaped),
            Replication::Logical => Self::SeeingSql(memory),
            Replication::Physical => Self::Blind,
        }
    }
}

impl Eye for Watcher<'_> {
    #[inline]
    fn glance(&mut self, text: &[u8], reading: &Reading) -> Glance {
        if let Self::Seeing(_, _, Some(shaped)) = self
            && names_search_path(text)
        {
            shaped.moves(text, sets_search_path(text));
        }
        if sql::triage(text) == Triage::Forward {
            return match self {
                _ if self.sees_call(text) => Glance::Matters,
                _ if may_write(text) => self.writes(text, reading),
                _ => Glance::Ordinary,
            };
        }
        match self {
            Self::Blind => Glance::Ordinary,
            Self::SeeingSql(_) if sql::triage::is_replication_command(text) => Glance::Ordinary,
            Self::Seeing(..) if self.sees_call(text) => Glance::Matters,
            Self::SeeingSql(memory) => second_look(text, reading, memory),
            Self::Seeing(memory, ..) => match second_look(text, reading, memory) {
                Glance::Matters => Glance::Matters,
                // It may hold several statements.
                ordinary => match self.writes(text, reading) {
                    Glance::Ordinary => ordinary,
                    writes => writes,
                },
            },
        }
    }

    fn writes_few(&mut self, text: &[u8], reading: &Reading) -> bool {
        match self {
            Self::Seeing(_, _, Some(shaped)) => shaped.known_or_asked(text, reading).is_some(),
            Self::Seeing(_, _, None) | Self::SeeingSql(_) | Self::Blind => true,
        }
    }

    fn must_stop_head(&mut self, head: &[u8]) -> bool {
        match self {
            Self::Seeing(..) => sql::triage::head(head) == Triage::Look,
            Self::SeeingSql(_) => {
                !sql::triage::is_replication_command(head) && sql::triage::head(head) == Triage::Look
            }
            Self::Blind => false,
        }
    }

    fn looks_on(&self) -> bool {
        matches!(self, Self::Seeing(..) | Self::SeeingSql(_))
    }
}

impl Watcher<'_> {
    /// What is known of a text that may write rows.
    #[inline]
    fn writes(&self, text: &[u8], reading: &Reading) -> Glance {
        let Self::Seeing(_, _, Some(shaped)) = self else { return Glance::Ordinary };
        if executes(text) && !shaped.own.get().prepares {
            return Glance::Ordinary;
        }
        match shaped.known(text, reading) {
            Some(Known::One) => Glance::Ordinary,
            Some(Known::Few) | None => Glance::Writes,
        }
    }

    #[inline]
    fn sees_call(&self, text: &[u8]) -> bool {
        let Self::Seeing(_, lockers, _) = self else { return false };
        sql::advisory::may_want(text) || lockers.called_in(text) != Calls::Nothing
    }
}

#[cold]
fn second_look(text: &[u8], reading: &Reading, memory: &RefCell<Memory>) -> Glance {
    let dialect = reading.dialect();
    let known = memory.borrow().knows(text, dialect);
    if !known {
        let script = sql::parse(text, dialect);
        if !script.is_ordinary() || makes_functions(&script) {
            return Glance::Matters;
        }
        memory.borrow_mut().learn(text, dialect);
    }
    let may_be_read_otherwise = text.iter().any(|byte| !byte.is_ascii() || *byte == b'\\');
    if may_be_read_otherwise { Glance::OrdinaryAsRead } else { Glance::Ordinary }
}
