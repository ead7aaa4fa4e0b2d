//! What an open transaction has said and heard, so that it can be sent once more and its answers compared.
//!
//! The client's messages are kept byte by byte, as they came; of the server's answers a digest stays, and one mark for each
//! `ReadyForQuery`. Notices and notifications do not count: they are no answers, and those of ours are among them.
//!
//! Invariant: every message of the transaction is in it, or it is given up; then it keeps no memory but the reason.

use crate::wire::frame::HEADER_BYTES;
use crate::wire::kind::server;

use super::digest::Digest;
use super::repeat::Unfit;

/// More of the client's bytes are not kept.
const SENT_MAX: usize = 256 << 10;

/// Nor is a transaction followed through more answers than these, or more bytes of them.
const MARKS_MAX: usize = 4096;
const HEARD_MAX: usize = 1 << 20;

/// What most transactions need, so that most allocate once.
const SENT_FEW: usize = 1 << 10;
const MARKS_FEW: usize = 16;

/// The journal of one transaction.
#[derive(Debug)]
pub struct Journal {
    sent: Vec<u8>,
    /// Where in the piece of bytes that comes next the transaction begins.
    begins_at: usize,
    pub(super) heard: Answers,
    /// The digest of nothing, under the same key.
    pub(super) fresh: Digest,
    ear: Ear,
    unfit: Option<Unfit>,
}

/// Whether what the client hears answers something in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ear {
    Open,
    Shut,
}

impl Journal {
    /// A transaction whose first message begins so far behind the start of what comes next.
    pub(super) fn beginning(begins_at: usize) -> Self {
        let fresh = Digest::new();
        Self {
            sent: Vec::with_capacity(SENT_FEW),
            begins_at,
            heard: Answers::new(fresh.clone(), Vec::with_capacity(MARKS_FEW)),
            fresh,
            ear: Ear::Open,
            unfit: None,
        }
    }

    /// The client has said this, and it went upstream.
    #[inline]
    pub(super) fn sent(&mut self, bytes: &[u8]) {
        let bytes = bytes.get(std::mem::take(&mut self.begins_at)..).unwrap_or_default();
        if self.unfit.is_some() || bytes.is_empty() {
            return;
        }
        self.ear = Ear::Open;
        if self.sent.len() + bytes.len() > SENT_MAX {
            return self.give_up(Unfit::TooLong);
        }
        self.sent.extend_from_slice(bytes);
    }

    /// The client has heard this.
    #[inline]
    pub(super) fn told(&mut self, bytes: &[u8]) {
        if self.unfit.is_some() || self.ear == Ear::Shut {
            return;
        }
        if let Some(unfit) = self.heard.read(bytes) {
            self.give_up(unfit);
        }
    }

    /// What the client hears before its next message comes answers one that nobody need see again.
    pub(super) const fn shut_ear(&mut self) {
        self.ear = Ear::Shut;
    }

    /// It cannot be sent once more.
    pub(super) fn give_up(&mut self, why: Unfit) {
        self.unfit.get_or_insert(why);
        self.sent = Vec::new();
        self.heard.marks = Vec::new();
    }

    /// The client's messages; the reason, if there are none.
    pub(super) fn messages(&self) -> Result<&[u8], Unfit> {
        self.unfit.clone().map_or(Ok(&self.sent), Err)
    }
}

/// Answers, followed message by message.
#[derive(Debug)]
pub(super) struct Answers {
    digest: Digest,
    /// The digest after each `ReadyForQuery`.
    pub(super) marks: Vec<u64>,
    /// One of them was an error.
    pub(super) failed: bool,
    bytes: usize,
    /// The header of a message whose rest has not come.
    header: [u8; HEADER_BYTES],
    header_have: usize,
    /// What is still to come of its body.
    left: usize,
    /// The body of a `RowDescription` that has not come to its end.
    columns: Vec<u8>,
}

impl Answers {
    pub(super) const fn new(digest: Digest, marks: Vec<u64>) -> Self {
        Self {
            digest,
            marks,
            failed: false,
            bytes: 0,
            header: [0; HEADER_BYTES],
            header_have: 0,
            left: 0,
            columns: Vec::new(),
        }
    }

    /// The digest of all answers.
    pub(super) fn value(&self) -> u64 {
        self.digest.value()
    }

    /// Goes on with these bytes; the reason, if such answers cannot be compared.
    #[inline]
    pub(super) fn read(&mut self, bytes: &[u8]) -> Option<Unfit> {
        self.bytes += bytes.len();
        if self.bytes > HEARD_MAX {
            return Some(Unfit::TooLong);
        }
        // What counts is mixed in as long as it stands together; `from` is where that begins.
        let (mut at, mut from) = (0, 0);
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            if self.header_have < HEADER_BYTES {
                let (start, fresh) = (at, self.header_have == 0);
                at += self.take_header(rest);
                let whole = self.header_have == HEADER_BYTES;
                let counted = whole && counts(self.kind());
                if !(counted && fresh) {
                    // A header that comes in parts is mixed in once it is known to count.
                    self.digest.write(bytes.get(from..start).unwrap_or_default());
                    from = at;
                }
                if counted && !fresh {
                    self.digest.write(&self.header);
                }
                if !whole {
                    continue;
                }
                if let Some(unfit) = unfit(self.kind()) {
                    return Some(unfit);
                }
                self.failed |= self.kind() == server::ERROR;
            }
            let here = self.left.min(bytes.len() - at);
            (at, self.left) = (at + here, self.left - here);
            if !counts(self.kind()) {
                from = at;
            }
            if self.kind() == server::ROW_DESCRIPTION {
                self.columns.extend_from_slice(bytes.get(at - here..at).unwrap_or_default());
            }
            if self.left > 0 {
                break;
            }
            self.header_have = 0;
            if self.kind() == server::ROW_DESCRIPTION {
                self.mix_columns();
            }
            if self.kind() == server::READY {
                self.digest.write(bytes.get(from..at).unwrap_or_default());
                from = at;
                self.marks.push(self.digest.value());
                if self.marks.len() > MARKS_MAX {
                    return Some(Unfit::TooLong);
                }
            }
        }
        self.digest.write(bytes.get(from..at).unwrap_or_default());
        None
    }

    /// Mixes in a `RowDescription` but for the numbers of the tables: what the transaction has made gets another one when it is made
    /// once more.
    fn mix_columns(&mut self) {
        let Self { digest, columns, .. } = self;
        digest.write(&[server::ROW_DESCRIPTION]);
        let (count, mut rest) = columns.split_at(columns.len().min(size_of::<u16>()));
        digest.write(count);
        while let Some(end) = rest.iter().position(|byte| *byte == 0) {
            let (name, behind) = rest.split_at(end + 1);
            digest.write(name);
            let (column, next) = behind.split_at(behind.len().min(COLUMN_BYTES));
            digest.write(column.get(TABLE_BYTES..).unwrap_or_default());
            rest = next;
        }
        digest.write(rest);
        columns.clear();
    }

    const fn kind(&self) -> u8 {
        let [kind, ..] = self.header;
        kind
    }

    /// Takes what it can of a header; how many bytes those are.
    fn take_header(&mut self, rest: &[u8]) -> usize {
        let mut taken = HEADER_BYTES;
        if let (0, Some(header)) = (self.header_have, rest.first_chunk::<HEADER_BYTES>()) {
            self.header = *header;
        } else {
            taken = rest.len().min(HEADER_BYTES - self.header_have);
            let room = self.header.get_mut(self.header_have..self.header_have + taken);
            if let (Some(room), Some(bytes)) = (room, rest.get(..taken)) {
                room.copy_from_slice(bytes);
            }
        }
        self.header_have += taken;
        let [_, a, b, c, d] = self.header;
        self.left = (u32::from_be_bytes([a, b, c, d]) as usize).saturating_sub(4);
        taken
    }
}

/// Of a column in a `RowDescription`, what stands behind its name: the number of its table, and 14 bytes more
/// (<https://www.postgresql.org/docs/current/protocol-message-formats.html>).
const COLUMN_BYTES: usize = TABLE_BYTES + 14;
const TABLE_BYTES: usize = size_of::<u32>();

/// Whether messages of this kind are mixed in as they are.
const fn counts(kind: u8) -> bool {
    !matches!(kind, server::NOTICE | server::NOTIFICATION | server::ROW_DESCRIPTION)
}

/// Why an answer of this kind cannot be asked for again.
const fn unfit(kind: u8) -> Option<Unfit> {
    match kind {
        server::PARAMETER_STATUS => Some(Unfit::Parameter),
        server::PORTAL_SUSPENDED => Some(Unfit::Cursor),
        server::COPY_IN | b'H' | b'W' => Some(Unfit::Copy),
        b'V' => Some(Unfit::FunctionCall),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::frame::put;

    fn frames(kinds: &[(u8, Vec<u8>)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (kind, body) in kinds {
            put(&mut out, *kind, |out| out.extend_from_slice(body));
        }
        out
    }

    proptest! {
        #[test]
        fn pieces_and_notices_do_not_matter(
            all in prop::collection::vec((prop::sample::select(&b"ZCTDNAE1"[..]), prop::collection::vec(any::<u8>(), 0..30)), 1..12),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let digest = Digest::new();
            let of = |bytes: &[u8], cuts: &[prop::sample::Index]| {
                let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
                at.extend([0, bytes.len()]);
                at.sort_unstable();
                let mut answers = Answers::new(digest.clone(), Vec::new());
                at.windows(2).for_each(|pair| assert_eq!(answers.read(&bytes[pair[0]..pair[1]]), None));
                (answers.value(), answers.marks)
            };
            let whole = frames(&all);
            let counted: Vec<(u8, Vec<u8>)> = all.into_iter().filter(|(kind, _)| !b"NA".contains(kind)).collect();
            let counted = frames(&counted);
            prop_assert_eq!(of(&whole, &cuts), of(&counted, &[]));
            let single: Vec<prop::sample::Index> = Vec::new();
            prop_assert_eq!(of(&whole, &single), of(&counted, &cuts));
        }
    }

    #[test]
    fn the_numbers_of_tables_do_not_matter_and_all_else_does() {
        let digest = Digest::new();
        let of = |columns: &[(&[u8], u32, [u8; 14])]| {
            let mut body = vec![0, 2];
            for (name, table, more) in columns {
                body.extend([*name, &table.to_be_bytes(), more].concat());
            }
            let mut answers = Answers::new(digest.clone(), Vec::new());
            assert_eq!(answers.read(&frames(&[(b'T', body)])), None);
            answers.value()
        };
        let described = of(&[(b"id\0", 16_384, [1; 14]), (b"word\0", 16_384, [2; 14])]);
        assert_eq!(of(&[(b"id\0", 7, [1; 14]), (b"word\0", 0, [2; 14])]), described);
        assert_ne!(of(&[(b"id\0", 16_384, [1; 14]), (b"words\0", 16_384, [2; 14])]), described);
        assert_ne!(of(&[(b"id\0", 16_384, [1; 14]), (b"word\0", 16_384, [3; 14])]), described);
    }

    #[test]
    fn what_is_too_much_is_given_up_and_freed() {
        let mut journal = Journal::beginning(2);
        journal.sent(b"??BEGIN");
        assert_eq!(journal.messages(), Ok(&b"BEGIN"[..]));
        journal.sent(&vec![0; SENT_MAX]);
        assert_eq!((journal.messages(), journal.sent.capacity()), (Err(Unfit::TooLong), 0));
        let row = frames(&[(b'D', vec![0; 1000])]);
        let mut journal = Journal::beginning(0);
        (0..=HEARD_MAX / 1000).for_each(|_| journal.told(&row));
        assert_eq!(journal.messages(), Err(Unfit::TooLong));
        let mut journal = Journal::beginning(0);
        (0..=MARKS_MAX).for_each(|_| journal.told(&frames(&[(b'Z', vec![b'T'])])));
        assert_eq!((journal.messages(), journal.heard.marks.capacity()), (Err(Unfit::TooLong), 0));
    }

    #[test]
    fn a_shut_ear_opens_with_the_next_message() {
        let mut journal = Journal::beginning(0);
        let before = journal.heard.value();
        journal.shut_ear();
        journal.told(&frames(&[(b'C', b"CREATE INDEX\0".to_vec()), (b'Z', vec![b'T'])]));
        assert_eq!((journal.heard.value(), journal.heard.marks.len()), (before, 0));
        journal.sent(b"x");
        journal.told(&frames(&[(b'Z', vec![b'T'])]));
        assert_eq!(journal.heard.marks.len(), 1);
    }

    #[test]
    fn some_answers_cannot_be_asked_for_again() {
        for (kind, why) in
            [(b'S', Unfit::Parameter), (b's', Unfit::Cursor), (b'G', Unfit::Copy), (b'H', Unfit::Copy)]
        {
            let mut journal = Journal::beginning(0);
            journal.sent(b"x");
            journal.told(&frames(&[(b'C', vec![0]), (kind, vec![0; 9])]));
            assert_eq!(journal.messages(), Err(why));
        }
    }
}
