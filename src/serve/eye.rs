//! Judges texts on the hot path: triage first, then the memory of this core, then a parse.

use std::cell::RefCell;

use crate::live::lockers::Known;
use crate::session::{Eye, Glance, Reading};
use crate::sql::{self, Calls, Memory, Triage};
use crate::wire::startup::Replication;

use super::lockers::makes_functions;

/// Bytes of texts that a core remembers as ordinary.
pub const MEMORY_BYTES: u64 = 8 << 20;

/// Whether a session's statements are looked at, and with which memory.
#[derive(Clone, Copy)]
pub enum Watcher<'a> {
    /// A walsender without a database, on which the server itself refuses SQL: everything passes.
    Blind,
    /// A walsender in a database: its own commands pass.
    SeeingSql(&'a RefCell<Memory>),
    /// Looks, also for calls of these functions.
    Seeing(&'a RefCell<Memory>, &'a Known),
}

impl<'a> Watcher<'a> {
    /// The one for a session.
    pub fn of(replication: Replication, memory: &'a RefCell<Memory>, lockers: &'a Known) -> Self {
        match replication {
            Replication::No => Self::Seeing(memory, lockers),
            Replication::Logical => Self::SeeingSql(memory),
            Replication::Physical => Self::Blind,
        }
    }
}

impl Eye for Watcher<'_> {
    #[inline]
    fn glance(&mut self, text: &[u8], reading: &Reading) -> Glance {
        if sql::triage(text) == Triage::Forward {
            return if self.sees_call(text) { Glance::Matters } else { Glance::Ordinary };
        }
        match self {
            Self::Blind => Glance::Ordinary,
            Self::SeeingSql(_) if sql::triage::is_replication_command(text) => Glance::Ordinary,
            Self::Seeing(..) if self.sees_call(text) => Glance::Matters,
            Self::SeeingSql(memory) | Self::Seeing(memory, _) => second_look(text, reading, memory),
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
    #[inline]
    fn sees_call(&self, text: &[u8]) -> bool {
        let Self::Seeing(_, lockers) = self else { return false };
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
