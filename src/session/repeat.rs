//! Whether a transaction can be sent once more, and what is sent then.
//!
//! What it has asked is asked again, and every answer must be the same; so what only answers (clocks, row counts, what others have
//! changed meanwhile) needs no rule. Rules are for what stays behind where a transaction is rolled back, or would be done twice.

use std::collections::BTreeSet;
use std::fmt;

use crate::sql::called::{called, words};
use crate::sql::statement::{Kind, Opaque, Readable, Statement, Transaction};
use crate::sql::{self, Dialect, triage};
use crate::wire::client::{Bind, Parse, query_text};
use crate::wire::frame::{Frame, HEADER_BYTES, take_string};
use crate::wire::kind::client;

use super::digest::Digest;
use super::journal::{Answers, Journal};

/// Why a transaction cannot be sent once more. Reads behind "It cannot be repeated, since ".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// Its beginning was not seen as such.
    Unknown,
    /// It has said or heard too much.
    TooLong,
    /// A parameter of which the client is told has changed.
    Parameter,
    /// COPY
    Copy,
    /// A cursor, or a portal that is read piece by piece.
    Cursor,
    /// A call by the protocol's own message.
    FunctionCall,
    /// One of its messages was answered by the proxy.
    Answered,
    /// It closes a statement that was prepared before it, or runs one that nobody knows.
    PreparedBefore,
    /// A statement in it cannot be read.
    Unread,
    /// Such a command.
    Command(&'static str),
    /// It names such a function.
    Names(&'static str),
    /// It calls such a function, which may do anything.
    Calls(String),
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "its beginning was not a plain BEGIN",
            Self::TooLong => "it has become too long",
            Self::Parameter => "it has changed a setting that its client was told of",
            Self::Copy => "it has copied rows",
            Self::Cursor => "it reads rows piece by piece",
            Self::FunctionCall => "it has called a function by its number",
            Self::Answered => "an error in it was not the server's",
            Self::PreparedBefore => "it has used a statement that was prepared before it",
            Self::Unread => "a statement in it cannot be read",
            Self::Command(word) => return write!(f, "{word} in it may not be done twice"),
            Self::Names(word) => {
                let more = if word.ends_with('_') { "*" } else { "" };
                return write!(f, "what {word}{more} does in it is not rolled back");
            }
            Self::Calls(name) => {
                return write!(f, "it calls {name}(), which may do what is not rolled back");
            }
        })
    }
}

/// A transaction as it is sent once more.
#[derive(Debug)]
pub struct Repeat {
    /// The client's messages.
    pub bytes: Vec<u8>,
    /// Prepared statements that are made in it, and outlive it.
    pub makes: Vec<Vec<u8>>,
    /// Whether it may read or change how long it waits for locks.
    pub patience: Patience,
    /// Functions that it may call, by their names.
    pub calls: BTreeSet<String>,
    /// Prepared statements that it runs and that were made before it.
    pub borrows: Vec<String>,
    dialect: Dialect,
    marks: Vec<u64>,
    end: u64,
    fresh: Digest,
}

/// Whether a transaction has to do with `lock_timeout`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Not that anybody could see.
    Ours,
    /// It names it.
    Its,
}

/// The answers to a transaction that is sent once more.
#[derive(Debug)]
pub struct Check<'a> {
    repeat: &'a Repeat,
    answers: Answers,
}

impl Journal {
    /// What is sent to repeat the transaction.
    pub fn repeat(&self, dialect: Dialect) -> Result<Repeat, Unfit> {
        let bytes = self.messages()?;
        let mut reader = Reader::new(dialect);
        let mut rest = bytes;
        while let Ok(Some(frame)) = Frame::peek(rest) {
            reader.message(frame)?;
            rest = rest.get(HEADER_BYTES + frame.body.len()..).unwrap_or_default();
        }
        if !rest.is_empty() {
            return Err(Unfit::Unread);
        }
        if self.heard.failed && !reader.made.is_empty() {
            // One of them may not have been made, since there was one of its name.
            return Err(Unfit::PreparedBefore);
        }
        let makes: Vec<Vec<u8>> = reader.made.into_iter().collect();
        let mut borrows = Vec::new();
        for name in reader.borrowed {
            if makes.binary_search(&name).is_ok() {
                return Err(Unfit::PreparedBefore);
            }
            borrows.push(String::from_utf8(name).map_err(|_| Unfit::PreparedBefore)?);
        }
        Ok(Repeat {
            bytes: bytes.to_vec(),
            makes,
            calls: reader.calls,
            borrows,
            dialect,
            patience: if holds(bytes, "lock_timeout") { Patience::Its } else { Patience::Ours },
            marks: self.heard.marks.clone(),
            end: self.heard.value(),
            fresh: self.fresh.clone(),
        })
    }
}

impl Repeat {
    /// Looks at the texts of what it borrows.
    pub fn read_borrowed(&mut self, texts: &[&str]) -> Result<(), Unfit> {
        if texts.len() != self.borrows.len() {
            return Err(Unfit::PreparedBefore);
        }
        let mut reader = Reader::new(self.dialect);
        texts.iter().try_for_each(|text| reader.text(text.as_bytes()))?;
        self.calls.extend(reader.calls);
        Ok(())
    }

    /// Begins to compare.
    pub fn check(&self) -> Check<'_> {
        Check { repeat: self, answers: Answers::new(self.fresh.clone(), Vec::new()) }
    }

    /// The number and first word of the message that was answered by a `ReadyForQuery`, the first of which is 0.
    fn named(&self, mark: usize) -> String {
        let (mut at, mut rest, mut word) = (0, self.bytes.as_slice(), String::new());
        while let Ok(Some(frame)) = Frame::peek(rest) {
            let text = match frame.kind {
                client::QUERY => query_text(frame.body),
                client::PARSE => Parse::read(frame.body).map(|parse| parse.sql),
                _ => None,
            };
            if let Some(first) = text.and_then(triage::first_word) {
                word = String::from_utf8_lossy(first).to_uppercase();
            }
            if matches!(frame.kind, client::QUERY | client::SYNC) {
                if at == mark {
                    break;
                }
                at += 1;
            }
            rest = rest.get(HEADER_BYTES + frame.body.len()..).unwrap_or_default();
        }
        format!("message {} of the transaction ({word})", mark + 1)
    }
}

impl Check<'_> {
    /// Notes one whole message of the server's.
    pub fn heard(&mut self, frame: &[u8]) {
        // What cannot be compared is not equal.
        if self.answers.read(frame).is_some() {
            self.answers.marks.push(0);
        }
    }

    /// What was answered differently so far.
    pub fn difference(&self) -> Option<String> {
        let pairs = self.answers.marks.iter().zip(&self.repeat.marks);
        let differs = pairs.map(|(now, before)| now == before).position(|equal| !equal);
        let more = self.answers.marks.len() > self.repeat.marks.len();
        differs.or(more.then_some(self.repeat.marks.len())).map(|mark| self.repeat.named(mark))
    }

    /// The same when all has been answered.
    pub fn last_difference(&self) -> Option<String> {
        let equal =
            self.answers.marks.len() == self.repeat.marks.len() && self.answers.value() == self.repeat.end;
        self.difference().or_else(|| (!equal).then(|| self.repeat.named(self.answers.marks.len())))
    }
}

/// Reads the client's messages one by one.
struct Reader {
    dialect: Dialect,
    /// Prepared statements that were made by them.
    made: BTreeSet<Vec<u8>>,
    /// Those that are run, and were not.
    borrowed: BTreeSet<Vec<u8>>,
    calls: BTreeSet<String>,
    /// The message is the first.
    first: bool,
}

impl Reader {
    fn new(dialect: Dialect) -> Self {
        let (made, borrowed, calls) = Default::default();
        Self { dialect, made, borrowed, calls, first: true }
    }

    fn message(&mut self, frame: Frame<'_>) -> Result<(), Unfit> {
        let first = std::mem::replace(&mut self.first, false);
        match frame.kind {
            client::QUERY => self.text(query_text(frame.body).ok_or(Unfit::Unread)?),
            client::PARSE => {
                let parse = Parse::read(frame.body).ok_or(Unfit::Unread)?;
                if !parse.name.is_empty() {
                    self.made.insert(parse.name.to_vec());
                }
                self.text(parse.sql)
            }
            // The first one may be of a BEGIN that was prepared earlier.
            client::BIND if first => Ok(()),
            client::BIND => {
                let bind = Bind::read(frame.body).ok_or(Unfit::Unread)?;
                if !bind.statement.is_empty() && !self.made.contains(bind.statement) {
                    self.borrowed.insert(bind.statement.to_vec());
                }
                Ok(())
            }
            client::CLOSE => match frame.body.split_first() {
                Some((b'S', name)) => self.known(take_string(name).ok_or(Unfit::Unread)?.0),
                _ => Ok(()),
            },
            client::DESCRIBE | client::EXECUTE | client::SYNC | client::FLUSH => Ok(()),
            client::FUNCTION_CALL => Err(Unfit::FunctionCall),
            _ => Err(Unfit::Copy),
        }
    }

    fn known(&self, statement: &[u8]) -> Result<(), Unfit> {
        let known = statement.is_empty() || self.made.contains(statement);
        if known { Ok(()) } else { Err(Unfit::PreparedBefore) }
    }

    fn text(&mut self, text: &[u8]) -> Result<(), Unfit> {
        let script = sql::parse(text, self.dialect);
        if script.readable != Readable::Whole {
            return Err(Unfit::Unread);
        }
        if let Some(word) = OUTSIDE.iter().find(|word| holds(text, word)) {
            return Err(Unfit::Names(word));
        }
        for statement in &script.statements {
            self.statement(statement, text.get(statement.span.clone()).unwrap_or(text))?;
        }
        Ok(())
    }

    fn statement(&mut self, statement: &Statement, text: &[u8]) -> Result<(), Unfit> {
        let first = triage::first_word(text).unwrap_or_default();
        if let Some(word) = COMMANDS.iter().find(|word| word.as_bytes().eq_ignore_ascii_case(first)) {
            return Err(Unfit::Command(word));
        }
        match statement.kind {
            Kind::Transaction(
                Transaction::Begin { .. }
                | Transaction::Savepoint
                | Transaction::Release
                | Transaction::RollbackTo,
            ) => {}
            Kind::Transaction(_) => return Err(Unfit::Unknown),
            Kind::CopyIn => return Err(Unfit::Copy),
            Kind::Ordinary | Kind::Opaque(Opaque::Block { .. } | Opaque::Call) => {
                if let Some(word) = SEQUENCES.iter().find(|word| holds(text, word)) {
                    return Err(Unfit::Names(word));
                }
                self.calls.extend(called(text));
            }
            _ => {}
        }
        Ok(())
    }
}

/// Commands whose work outlives a transaction that is rolled back, or that hand out something which another run would not.
const COMMANDS: [&str; 12] = [
    "COPY",
    "DEALLOCATE",
    "DECLARE",
    "DISCARD",
    "EXECUTE",
    "FETCH",
    "LISTEN",
    "LOAD",
    "MOVE",
    "NOTIFY",
    "PREPARE",
    "UNLISTEN",
];

/// Parts of the names of functions whose work outlives a transaction that is rolled back, wherever they stand.
const OUTSIDE: [&str; 12] = [
    "pg_advisory_",
    "pg_try_advisory_",
    "pg_notify",
    "dblink",
    "pg_export_snapshot",
    "pg_logical_emit_message",
    "pg_terminate_backend",
    "pg_cancel_backend",
    "pg_file_",
    "lo_",
    "loread",
    "lowrite",
];

/// The same where they are called; a DEFAULT only names them.
const SEQUENCES: [&str; 4] = ["nextval", "setval", "currval", "lastval"];

/// Whether a word of the text begins so; any case.
fn holds(text: &[u8], begins: &str) -> bool {
    words(text).any(|(_, word)| {
        word.get(..begins.len()).is_some_and(|head| head.eq_ignore_ascii_case(begins.as_bytes()))
    })
}

#[cfg(test)]
#[path = "repeat_tests.rs"]
mod tests;
