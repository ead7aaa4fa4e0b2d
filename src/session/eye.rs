//! What the tracker asks about texts, and what it answers.

use crate::sql::{Dialect, Encoding};

/// Judges a statement's text on the hot path: quick for what is ordinary.
pub trait Eye {
    /// What a glance at a whole text tells.
    fn glance(&mut self, text: &[u8], reading: &Reading) -> Glance;
    /// Whether a text that may write many rows is known to write few with whatever values it is run.
    fn writes_few(&mut self, text: &[u8], reading: &Reading) -> bool;
    /// Whether a text that begins so, and is too long to be read whole, must be looked at.
    fn must_stop_head(&mut self, head: &[u8]) -> bool;
    /// Whether the rest of such a text is looked through while it passes.
    fn looks_on(&self) -> bool;
}

/// What a glance at a text tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Glance {
    /// It is ordinary.
    Ordinary,
    /// It is ordinary if it is read as it is now; a change of settings may be under way.
    OrdinaryAsRead,
    /// It must be looked at before it runs.
    Matters,
    /// The same, since it may write many rows: its preparation alone needs no look.
    Writes,
}

/// How far the client's bytes may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// So many bytes may be forwarded.
    pub forward: usize,
    /// What stands behind them.
    pub stop: Stop,
}

/// What stands behind the bytes that may be forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Nothing.
    Clear,
    /// The beginning of a message that cannot be judged before more of it is there.
    Incomplete,
    /// A whole message that must be looked at.
    Engage,
    /// The beginning of a message that must be looked at and is too long for it.
    Oversize,
    /// The beginning of a message that is too long to be looked at; how it is to be read shows when all that came before
    /// it has been answered.
    Unsettled,
    /// The rest of a message that is too long to be looked at, whose beginning has passed, and what must be looked at
    /// begins in it.
    Hidden,
}

/// The server parameters that decide how a statement's bytes are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// `client_encoding`
    pub encoding: Box<str>,
    /// `standard_conforming_strings = off`: a backslash escapes in plain literals too.
    pub backslash_escapes: bool,
}

impl Reading {
    /// The same as the lexer wants to know it.
    pub fn dialect(&self) -> Dialect {
        Dialect {
            encoding: Encoding::from_name(&self.encoding),
            standard_conforming_strings: !self.backslash_escapes,
        }
    }
}
