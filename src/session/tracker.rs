//! Follows both directions of a session, in place, and says where the client's stream must be stopped.

use std::num::NonZeroU32;

use crate::effects::Past;
use crate::sql::{LongText, Triage};
use crate::wire::frame::HEADER_BYTES;
use crate::wire::kind::{client, server as from_server};
use crate::wire::scan::ServerScan;
use crate::wire::server::{self, Status};
use crate::wire::{Header, Malformed};

use super::deferred::Queue;
use super::expected::Expected;
use super::eye::{Eye, Reading, Seen, Stop};
use super::journal::Journal;
use super::prepared::Prepared;
use super::repeat::Unfit;
use super::unnamed::Unnamed;

mod judge;
mod transaction;

pub use transaction::Transaction;

/// One session's bookkeeping over both directions.
#[derive(Debug)]
pub struct Tracker {
    /// What the server still owes.
    pub expected: Expected,
    /// Statements and portals that are watched.
    pub prepared: Prepared,
    status: Status,
    scan: ServerScan,
    /// Bytes of a long client message that are still to be forwarded.
    passing: usize,
    /// The look at them, where statements may be among them.
    long: Option<Box<LongText>>,
    /// Extended statements run since the last Sync: they share one implicit transaction.
    ran_in_batch: u32,
    unnamed: Unnamed,
    last_kind: u8,
    last_sent: u8,
    inspect_max: usize,
    reading: Reading,
    /// `application_name`, once it was changed after the start.
    renamed: Option<Box<str>>,
    /// What guarded statements of the open transaction have done; boxed, since most sessions never have one.
    past: Option<Box<Past>>,
    /// What the open transaction has said and heard; boxed and gone with it.
    journal: Option<Box<Journal>>,
    /// The prepared statement that begins transactions, by the hash of its name: what is taken for it by mistake ends at once.
    named_begin: Option<NonZeroU32>,
    attention: Attention,
    /// What the open transaction has left for the time behind its COMMIT.
    deferred: Option<Box<Queue>>,
}

/// Whether the next statement is stopped at whatever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attention {
    Watched,
    Next,
    /// Whatever message it is.
    Anything,
}

impl Tracker {
    /// A session that has just been told `ReadyForQuery`. `inspect_max`: bytes of a message that are read at most.
    pub fn new(inspect_max: usize, client_encoding: &str) -> Self {
        Self {
            expected: Expected::default(),
            prepared: Prepared::default(),
            status: Status::Idle,
            scan: ServerScan::default(),
            passing: 0,
            long: None,
            ran_in_batch: 0,
            unnamed: Unnamed::default(),
            last_kind: from_server::READY,
            last_sent: client::SYNC,
            inspect_max,
            reading: Reading { encoding: client_encoding.into(), backslash_escapes: false },
            renamed: None,
            past: None,
            journal: None,
            named_begin: None,
            attention: Attention::Watched,
            deferred: None,
        }
    }

    /// Asks for a stop at every Query and Parse, because there is something to be done before one can run.
    pub fn stop_at_next(&mut self) {
        self.attention = Attention::Next;
    }

    /// Only watched statements are stopped at again.
    pub fn stop_at_watched(&mut self) {
        self.attention = Attention::Watched;
    }

    /// The transaction status as far as the server has told.
    pub const fn status(&self) -> Status {
        self.status
    }

    /// Whether the open extended batch has run statements already.
    pub const fn ran_in_batch(&self) -> bool {
        self.ran_in_batch > 0
    }

    /// Notes a statement of the open extended batch that was run in place of its Execute.
    pub const fn run_in_batch(&mut self) {
        self.ran_in_batch = self.ran_in_batch.saturating_add(1);
    }

    /// How the client's texts are to be read.
    pub const fn reading(&self) -> &Reading {
        &self.reading
    }

    /// The `application_name` that the session has taken since its start.
    pub fn renamed(&self) -> Option<&str> {
        self.renamed.as_deref()
    }

    /// Whether the last message from the server was an error, so that its end needs no explanation.
    pub const fn ended_with_error(&self) -> bool {
        self.last_kind == from_server::ERROR
    }

    /// Whether the client has said goodbye, so that the server's end is no surprise.
    pub const fn said_goodbye(&self) -> bool {
        self.last_sent == client::TERMINATE
    }

    /// Whether the server's stream stands between two messages.
    pub const fn at_boundary(&self) -> bool {
        self.scan.at_boundary()
    }

    /// Whether nothing is under way in either direction and no transaction is open.
    pub fn is_idle(&self) -> bool {
        self.passing == 0
            && self.status == Status::Idle
            && self.ran_in_batch == 0
            && self.expected.is_quiet()
            && !self.expected.is_skipping()
    }

    /// Whether the session idles outside a transaction, and no batch is open either, whose portals a `Sync` would end.
    pub fn is_at_rest(&self) -> bool {
        let ends = [client::QUERY, client::SYNC, client::FUNCTION_CALL, client::COPY_DONE, client::COPY_FAIL];
        self.is_idle() && self.at_boundary() && ends.contains(&self.last_sent)
    }

    /// Looks at bytes from the client.
    #[inline]
    pub fn client(&mut self, bytes: &[u8], eye: &mut impl Eye) -> Result<Seen, Malformed> {
        let seen = self.follow(bytes, eye)?;
        self.record(bytes.get(..seen.forward).unwrap_or_default());
        Ok(seen)
    }

    #[inline]
    fn follow(&mut self, bytes: &[u8], eye: &mut impl Eye) -> Result<Seen, Malformed> {
        let mut at = 0;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            if self.passing > 0 {
                let Some(passed) = self.pass(rest) else {
                    return Ok(Seen { forward: at, stop: Stop::Hidden });
                };
                at += passed;
                if passed == rest.len() {
                    return Ok(Seen { forward: at, stop: Stop::Clear });
                }
                continue;
            }
            let Some(header) = Header::peek(rest)? else {
                let stop = if rest.is_empty() { Stop::Clear } else { Stop::Incomplete };
                return Ok(Seen { forward: at, stop });
            };
            let body = rest.get(HEADER_BYTES..header.total().min(rest.len())).unwrap_or_default();
            match self.judge(header, body, eye) {
                Stop::Clear => {}
                stop => return Ok(Seen { forward: at, stop }),
            }
            if header.kind == client::EXECUTE {
                self.execute(body);
            }
            self.begin_journal(header, body, at);
            self.sent(header.kind);
            if self.long.is_some() {
                at += HEADER_BYTES + self.inspect_max;
                self.passing = header.body - self.inspect_max;
                continue;
            }
            at += header.total();
            if at > bytes.len() {
                self.passing = at - bytes.len();
                return Ok(Seen { forward: bytes.len(), stop: Stop::Clear });
            }
        }
    }

    /// Looks at bytes from the server.
    #[inline]
    pub fn server(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        let mut scan = std::mem::take(&mut self.scan);
        let outcome = scan.scan(bytes, |kind, body| self.received(kind, body));
        self.scan = scan;
        outcome
    }

    /// Bytes of the client's current message that have not been forwarded, where its beginning has been.
    pub const fn passing(&self) -> usize {
        self.passing
    }

    /// Lets the rest of the current message pass, whatever it is.
    pub fn look_away(&mut self) {
        self.long = None;
    }

    /// Notes that a long message goes upstream unseen, of which `sent` bytes, its header among them, have gone.
    pub fn pass_unseen(&mut self, header: Header, sent: usize) {
        self.lose_journal(Unfit::TooLong);
        self.sent(header.kind);
        self.passing = header.total().saturating_sub(sent);
    }

    /// What came before in the open transaction, as far as it was looked at.
    pub fn past(&self) -> Past {
        self.past.as_deref().cloned().unwrap_or_default()
    }

    /// Notes what came before, until the transaction ends that is open or that what is sent next will open.
    pub fn remember(&mut self, past: Past) {
        if past.in_transaction || self.status == Status::InTransaction || self.ran_in_batch() {
            self.past = Some(Box::new(past.of_session()));
        }
    }

    /// Whether the open transaction is known to hold a strong lock.
    pub fn holds_strong_lock(&self) -> bool {
        self.past.as_ref().is_some_and(|past| past.may_hold_strong())
    }

    /// Notes a message that goes upstream in the client's name.
    #[inline]
    pub fn sent(&mut self, kind: u8) {
        self.expected.sent(kind);
        if !self.said_goodbye() {
            // The server reads nothing behind a Terminate.
            self.last_sent = kind;
        }
        match kind {
            client::EXECUTE => self.run_in_batch(),
            client::BIND | client::CLOSE => self.unnamed.replaced(),
            client::QUERY => {
                self.ran_in_batch = 0;
                self.unnamed.replaced();
            }
            client::SYNC => self.ran_in_batch = 0,
            _ => {}
        }
    }

    /// Notes an Execute that is about to be sent.
    #[inline]
    fn execute(&mut self, body: &[u8]) {
        if self.ran_in_batch == 0 {
            self.unnamed.begin_batch();
        }
        if !self.expected.is_one_batch() {
            self.unnamed.lose_count();
        }
        self.unnamed.execute(body.first().copied());
    }

    /// Whether the session idles in a transaction, and its unnamed portal, which has run to its end, may keep a snapshot.
    pub fn keeps_finished_portal(&self) -> bool {
        self.status == Status::InTransaction
            && self.unnamed.is_finished()
            && self.passing == 0
            && self.ran_in_batch == 0
            && self.expected.is_quiet()
            && !self.expected.is_skipping()
            && self.at_boundary()
    }

    /// The unnamed portal is closed.
    pub const fn portal_closed(&mut self) {
        self.unnamed.replaced();
    }

    /// Notes one message from the server.
    #[inline]
    pub fn received(&mut self, kind: u8, body: &[u8]) {
        self.last_kind = kind;
        match kind {
            from_server::DATA_ROW | from_server::COPY_DATA => return,
            from_server::READY => self.ready(body),
            from_server::COMMAND_COMPLETE => {
                self.unnamed.complete();
                self.tag(body);
            }
            from_server::EMPTY_QUERY | from_server::PORTAL_SUSPENDED => self.unnamed.suspended(),
            from_server::ERROR => self.unnamed.replaced(),
            from_server::PARAMETER_STATUS => self.parameter(body),
            _ => {}
        }
        self.expected.received(kind);
        if kind == from_server::READY && self.status == Status::Idle && self.expected.is_quiet() {
            // Otherwise a Bind may be under way already, whose portal belongs to the next transaction.
            self.prepared.end_transaction();
        }
    }

    /// Passes what belongs to a message whose beginning has been forwarded: so many bytes, or none if what must be
    /// looked at begins in them.
    #[inline]
    fn pass(&mut self, bytes: &[u8]) -> Option<usize> {
        let here = self.passing.min(bytes.len());
        if let Some(long) = &mut self.long
            && long.feed(bytes.get(..here)?) == Triage::Look
        {
            return None;
        }
        self.passing -= here;
        if self.passing == 0 {
            self.long = None;
        }
        Some(here)
    }

    #[inline]
    fn ready(&mut self, body: &[u8]) {
        if let Some(status) = body.first().and_then(|byte| Status::from_byte(*byte)) {
            self.status = status;
            if status == Status::Idle {
                (self.past, self.journal) = (None, None);
                if self.deferred.is_some() {
                    // It was rolled back: a COMMIT takes the queue out before.
                    self.take_deferred();
                }
            }
        }
    }

    /// A BEGIN in a batch counts before its Sync: JDBC sends it together with the first statement. So does the end of a
    /// transaction; `ROLLBACK TO` and `AND CHAIN`, which stay in one, have the same tags, but what is taken for a part of
    /// the batch is only looked after with less patience.
    #[inline]
    fn tag(&mut self, body: &[u8]) {
        match body {
            b"BEGIN\0" | b"START TRANSACTION\0" => self.status = Status::InTransaction,
            b"COMMIT\0" | b"PREPARE TRANSACTION\0" => {
                (self.status, self.past, self.journal) = (Status::Idle, None, None);
            }
            b"ROLLBACK\0" => self.status = Status::Idle,
            _ => {}
        }
    }

    fn parameter(&mut self, body: &[u8]) {
        match server::parameter(body) {
            Some((b"client_encoding", value)) => {
                self.reading.encoding = String::from_utf8_lossy(value).into();
            }
            Some((b"application_name", value)) => {
                self.renamed = Some(String::from_utf8_lossy(value).into());
            }
            Some((b"standard_conforming_strings", value)) => self.reading.backslash_escapes = value == b"off",
            _ => {}
        }
    }
}

#[cfg(test)]
#[path = "tracker_tests.rs"]
mod tests;
