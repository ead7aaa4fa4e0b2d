//! Judges texts on the hot path: triage first, then the memory of this core, then a parse.

use std::cell::RefCell;

use crate::session::{Eye, Glance, Reading};
use crate::sql::{self, Memory, Triage};
use crate::wire::startup::Replication;

/// Bytes of texts that a core remembers as ordinary.
pub const MEMORY_BYTES: u64 = 8 << 20;

/// Whether a session's statements are looked at, and with which memory.
#[derive(Clone, Copy)]
pub enum Watcher<'a> {
    /// A walsender without a database, on which the server itself refuses SQL: everything passes.
    Blind,
    /// A walsender in a database: its own commands pass.
    SeeingSql(&'a RefCell<Memory>),
    /// Looks.
    Seeing(&'a RefCell<Memory>),
}

impl<'a> Watcher<'a> {
    /// The one for a session.
    pub fn of(replication: Replication, memory: &'a RefCell<Memory>) -> Self {
        match replication {
            Replication::No => Self::Seeing(memory),
            Replication::Logical => Self::SeeingSql(memory),
            Replication::Physical => Self::Blind,
        }
    }
}

impl Eye for Watcher<'_> {
    #[inline]
    fn glance(&mut self, text: &[u8], reading: &Reading) -> Glance {
        if sql::triage(text) == Triage::Forward {
            return Glance::Ordinary;
        }
        match self {
            Self::Blind => Glance::Ordinary,
            Self::SeeingSql(_) if sql::triage::is_replication_command(text) => Glance::Ordinary,
            Self::SeeingSql(memory) | Self::Seeing(memory) => second_look(text, reading, memory),
        }
    }

    fn must_stop_head(&mut self, head: &[u8]) -> bool {
        match self {
            Self::Seeing(_) => sql::triage::head(head) == Triage::Look,
            Self::SeeingSql(_) => {
                !sql::triage::is_replication_command(head) && sql::triage::head(head) == Triage::Look
            }
            Self::Blind => false,
        }
    }

    fn looks_on(&self) -> bool {
        matches!(self, Self::Seeing(_) | Self::SeeingSql(_))
    }
}

#[cold]
fn second_look(text: &[u8], reading: &Reading, memory: &RefCell<Memory>) -> Glance {
    let dialect = reading.dialect();
    let known = memory.borrow().knows(text, dialect);
    if !known && !sql::parse(text, dialect).is_ordinary() {
        return Glance::Matters;
    }
    if !known {
        memory.borrow_mut().learn(text, dialect);
    }
    let may_be_read_otherwise = text.iter().any(|byte| !byte.is_ascii() || *byte == b'\\');
    if may_be_read_otherwise { Glance::OrdinaryAsRead } else { Glance::Ordinary }
}
