//! Judges texts on the hot path: triage first, then the memory of this core, then a parse.

use std::cell::RefCell;

use crate::session::{Eye, Reading};
use crate::sql::{self, Memory, Triage};

/// Bytes of texts that a core remembers as ordinary.
pub const MEMORY_BYTES: u64 = 8 << 20;

/// Whether a session's statements are looked at, and with which memory.
#[derive(Clone, Copy)]
pub enum Watcher<'a> {
    /// Replication connections: everything passes.
    Blind,
    /// Looks.
    Seeing(&'a RefCell<Memory>),
}

impl Eye for Watcher<'_> {
    #[inline]
    fn must_stop(&mut self, text: &[u8], reading: &Reading) -> bool {
        let Self::Seeing(memory) = self else { return false };
        sql::triage(text) == Triage::Look && second_look(text, reading, memory)
    }

    fn must_stop_head(&mut self, head: &[u8]) -> bool {
        self.looks_on() && sql::triage::head(head) == Triage::Look
    }

    fn looks_on(&self) -> bool {
        matches!(self, Self::Seeing(_))
    }
}

#[cold]
fn second_look(text: &[u8], reading: &Reading, memory: &RefCell<Memory>) -> bool {
    let dialect = reading.dialect();
    if memory.borrow().knows(text, dialect) {
        return false;
    }
    let ordinary = sql::parse(text, dialect).is_ordinary();
    if ordinary {
        memory.borrow_mut().learn(text, dialect);
    }
    !ordinary
}
