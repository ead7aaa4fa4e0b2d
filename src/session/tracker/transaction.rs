//! The journal of the open transaction, and the transaction itself where it is rolled back and sent once more.

use std::num::NonZeroU32;

use crate::effects::Past;
use crate::session::deferred::{Queue, Task};
use crate::session::journal::Journal;
use crate::session::prepared::Portals;
use crate::session::repeat::{Repeat, Unfit};
use crate::sql::triage;
use crate::wire::Header;
use crate::wire::client::Bind;
use crate::wire::frame::{put, put_string, take_string};
use crate::wire::kind::client;
use crate::wire::server::{self, Status};

use super::{Attention, Tracker};

/// What is known of a transaction beside what the server knows.
#[derive(Debug)]
pub struct Transaction {
    journal: Option<Box<Journal>>,
    past: Option<Box<Past>>,
    portals: Portals,
    deferred: Option<Box<Queue>>,
}

impl Tracker {
    /// Notes a whole message that goes upstream as its client's own.
    pub fn forwarded(&mut self, frame: &[u8]) {
        if let Ok(Some(header)) = Header::peek(frame) {
            let body = frame.get(crate::wire::frame::HEADER_BYTES..).unwrap_or_default();
            if header.kind == client::EXECUTE {
                self.execute(body);
            }
            self.begin_journal(header, body, 0);
            self.sent(header.kind);
        }
        self.record(frame);
    }

    /// Notes that a message that is about to be run in its own place may begin a transaction.
    pub fn runs(&mut self, frame: &[u8]) {
        if let Ok(Some(header)) = Header::peek(frame) {
            self.begin_journal(header, frame.get(crate::wire::frame::HEADER_BYTES..).unwrap_or_default(), 0);
        }
    }

    /// Notes that a transaction of ours has begun, in which the client's statements are run.
    pub fn began(&mut self) {
        self.journal = Some(Box::new(Journal::beginning(0)));
    }

    /// Notes that another statement of the same message comes: sent once more, each is a message of its own.
    pub fn next_of_message(&mut self) {
        let mut ready = Vec::new();
        server::ready(&mut ready, Status::InTransaction);
        self.told(&ready);
    }

    /// Notes a message that was run in its own place, so that it would be sent like any other.
    pub fn ran(&mut self, frame: &[u8]) {
        self.record(frame);
    }

    /// Notes a statement of ours that was run in the place of the client's message, whose own answer the client gets from us: sent once
    /// more, it is a simple Query that is answered by this tag.
    pub fn ran_instead(&mut self, sql: &[u8], tag: &str) {
        let Some(journal) = &mut self.journal else { return };
        let (mut sent, mut told) = (Vec::new(), Vec::new());
        put(&mut sent, client::QUERY, |out| put_string(out, sql));
        server::command_complete(&mut told, tag);
        server::ready(&mut told, Status::InTransaction);
        journal.sent(&sent);
        journal.told(&told);
        journal.shut_ear();
    }

    /// Notes that the client's message is answered by the proxy, and that the answer stands whatever becomes of the transaction:
    /// neither counts where it is sent once more.
    pub fn answered_apart(&mut self) {
        if let Some(journal) = &mut self.journal {
            journal.shut_ear();
        }
    }

    /// The open transaction cannot be sent once more.
    pub fn lose_journal(&mut self, why: Unfit) {
        if let Some(journal) = &mut self.journal {
            journal.give_up(why);
        }
    }

    /// Notes what the client hears.
    #[inline]
    pub fn told(&mut self, bytes: &[u8]) {
        if let Some(journal) = &mut self.journal {
            journal.told(bytes);
        }
    }

    /// What is sent to repeat the open transaction.
    pub fn repeat(&self) -> Result<Repeat, Unfit> {
        self.journal.as_ref().ok_or(Unfit::Unknown)?.repeat(self.reading.dialect())
    }

    /// Takes the open transaction out, before the server forgets it.
    pub fn take_transaction(&mut self) -> Transaction {
        Transaction {
            journal: self.journal.take(),
            past: self.past.take(),
            portals: self.prepared.take_portals(),
            deferred: self.deferred.take(),
        }
    }

    /// Puts it back: to the client it has always been open.
    pub fn put_transaction(&mut self, transaction: Transaction) {
        self.status = Status::InTransaction;
        (self.journal, self.past) = (transaction.journal, transaction.past);
        self.prepared.put_portals(transaction.portals);
        self.deferred = transaction.deferred;
    }

    /// Asks for a stop at whatever comes next.
    pub fn stop_at_anything(&mut self) {
        self.attention = Attention::Anything;
    }

    /// Whether the session idles in a transaction: nothing is under way in either direction.
    pub fn is_idle_in_transaction(&self) -> bool {
        self.status == Status::InTransaction
            && self.passing == 0
            && self.expected.is_quiet()
            && !self.expected.is_skipping()
            && self.at_boundary()
    }

    /// What the open transaction has queued.
    pub fn deferred(&self) -> Option<&Queue> {
        self.deferred.as_deref()
    }

    /// The same, to be changed.
    pub fn deferred_mut(&mut self) -> Option<&mut Queue> {
        self.deferred.as_deref_mut()
    }

    /// How much it has queued.
    pub fn queued(&self) -> usize {
        self.deferred.as_ref().map_or(0, |queue| queue.len())
    }

    /// Queues more. While anything is queued, every statement is stopped at.
    pub fn queue(&mut self, tasks: Vec<Task>) {
        self.deferred.get_or_insert_default().push(tasks);
    }

    /// Takes the queue out, which its owner now has to look after.
    pub fn take_deferred(&mut self) -> Option<Box<Queue>> {
        let taken = self.deferred.take();
        if taken.is_some() {
            self.prepared.forget_queued();
        }
        taken
    }

    #[inline]
    pub(super) fn record(&mut self, bytes: &[u8]) {
        if let Some(journal) = &mut self.journal {
            journal.sent(bytes);
        }
    }

    /// Begins the journal where a message begins a transaction that stands so far behind the start of the bytes to be recorded.
    #[inline]
    pub(super) fn begin_journal(&mut self, header: Header, body: &[u8], at: usize) {
        if self.status == Status::Idle
            && matches!(header.kind, client::QUERY | client::PARSE | client::BIND)
            && self.begins(header, body)
            && self.ran_in_batch == 0
            && self.expected.is_quiet()
            && !self.expected.is_skipping()
        {
            self.journal = Some(Box::new(Journal::beginning(at)));
        }
    }

    fn begins(&mut self, header: Header, body: &[u8]) -> bool {
        match header.kind {
            _ if body.len() < header.body => false,
            client::QUERY => is_begin(body),
            client::BIND => {
                self.named_begin.is_some()
                    && Bind::read(body).is_some_and(|bind| hash(bind.statement) == self.named_begin)
            }
            _ => {
                let Some((name, _)) = take_string(body).filter(|(_, rest)| is_begin(rest)) else {
                    return false;
                };
                if !name.is_empty() {
                    self.named_begin = hash(name);
                }
                true
            }
        }
    }
}

/// FNV-1a
fn hash(name: &[u8]) -> Option<NonZeroU32> {
    let step = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    NonZeroU32::new(name.iter().fold(0x811c_9dc5, step))
}

/// Whether a text that a NUL ends begins so. Asked for each statement outside a transaction: two bytes tell most.
#[inline]
fn is_begin(text: &[u8]) -> bool {
    let [first, second, ..] = text else { return false };
    matches!([first.to_ascii_lowercase(), second.to_ascii_lowercase()], [b'b', b'e'] | [b's', b't'])
        && triage::first_word(text)
            .is_some_and(|word| word.eq_ignore_ascii_case(b"begin") || word.eq_ignore_ascii_case(b"start"))
}
