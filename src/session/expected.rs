//! Which replies the server still owes: what makes it possible to say "now it is quiet".
//!
//! Follows `PostgresMain` and `SocketBackend` in `src/backend/tcop/postgres.c`: after an error in an extended batch the
//! server ignores everything up to Sync, also a Query; in COPY IN it ignores Flush and Sync.

use std::collections::VecDeque;

use crate::wire::kind::{client, server};

/// One thing that the server has still to answer, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// A Query or `FunctionCall`: ends with `ReadyForQuery`, also after an error.
    Ready,
    /// A Sync: ends with `ReadyForQuery`.
    Sync,
    /// So many extended messages: each ends with one message of its own.
    Extended(u32),
    /// The client's end of a COPY; answered by nothing.
    CopyEnd,
}

/// The replies that the server still owes to this session.
#[derive(Debug, Default)]
pub struct Expected {
    due: VecDeque<Due>,
    state: State,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Ordinary,
    /// The server ignores what it gets until a Sync.
    Skipping,
    /// The server reads COPY data; a Sync means nothing to it.
    CopyIn,
}

impl Expected {
    /// Notes a message that goes to the server.
    #[inline]
    pub fn sent(&mut self, kind: u8) {
        match (self.state, kind) {
            (State::Skipping, client::SYNC) => {
                self.state = State::Ordinary;
                self.due.push_back(Due::Sync);
            }
            (State::CopyIn, client::COPY_DONE | client::COPY_FAIL) => self.state = State::Ordinary,
            (State::Ordinary, client::QUERY | client::FUNCTION_CALL) => self.due.push_back(Due::Ready),
            (State::Ordinary, client::SYNC) => self.due.push_back(Due::Sync),
            (
                State::Ordinary,
                client::PARSE | client::BIND | client::EXECUTE | client::DESCRIBE | client::CLOSE,
            ) => {
                if let Some(Due::Extended(count)) = self.due.back_mut() {
                    *count += 1;
                } else {
                    self.due.push_back(Due::Extended(1));
                }
            }
            (State::Ordinary, client::COPY_DONE | client::COPY_FAIL) => self.due.push_back(Due::CopyEnd),
            _ => {}
        }
    }

    /// Notes a message that came from the server.
    #[inline]
    pub fn received(&mut self, kind: u8) {
        match kind {
            server::READY => self.ready(),
            server::ERROR => self.failed(),
            server::COPY_IN => self.copy_in(),
            server::PARSE_COMPLETE
            | server::BIND_COMPLETE
            | server::CLOSE_COMPLETE
            | server::NO_DATA
            | server::ROW_DESCRIPTION
            | server::COMMAND_COMPLETE
            | server::EMPTY_QUERY
            | server::PORTAL_SUSPENDED => self.answered(),
            _ => {}
        }
    }

    /// Whether the server owes nothing, so that the next message from it would answer the next one sent.
    pub fn is_quiet(&self) -> bool {
        self.state != State::CopyIn && self.due.iter().all(|due| *due == Due::CopyEnd)
    }

    /// Whether all that the server owes belongs to the batch that is open.
    pub fn is_one_batch(&self) -> bool {
        self.state == State::Ordinary && self.due.iter().all(|due| matches!(due, Due::Extended(_)))
    }

    /// Whether the server ignores everything until the client's Sync.
    pub fn is_skipping(&self) -> bool {
        self.state == State::Skipping
    }

    /// Whether the server reads COPY data now.
    pub fn is_copying_in(&self) -> bool {
        self.state == State::CopyIn
    }

    /// Whether the server may keep finished replies back until it is asked to send them.
    pub fn needs_flush(&self) -> bool {
        let last = self.due.iter().rev().find(|due| **due != Due::CopyEnd);
        matches!(last, Some(Due::Extended(_)))
    }

    /// Notes that the extended batch has failed, for an error that took the place of the server's own answer.
    pub fn skip_to_sync(&mut self) {
        self.due.clear();
        self.state = State::Skipping;
    }

    /// Gives memory back after a long pipeline.
    pub fn shrink(&mut self) {
        if self.due.is_empty() && self.due.capacity() > 64 {
            self.due = VecDeque::new();
        }
    }

    #[inline]
    fn ready(&mut self) {
        // Also after a COPY that failed before it read the Sync behind its Execute: that Sync was heard after all.
        self.state = State::Ordinary;
        while let Some(due) = self.due.pop_front() {
            if matches!(due, Due::Ready | Due::Sync) {
                break;
            }
        }
    }

    #[inline]
    fn answered(&mut self) {
        self.drop_copy_ends();
        if let Some(Due::Extended(count)) = self.due.front_mut() {
            *count -= 1;
            if *count == 0 {
                self.due.pop_front();
            }
        }
    }

    fn failed(&mut self) {
        self.drop_copy_ends();
        if self.state == State::CopyIn {
            self.state = State::Ordinary;
        }
        if !matches!(self.due.front(), Some(Due::Extended(_))) {
            return;
        }
        while let Some(due) = self.due.front() {
            if *due == Due::Sync {
                return;
            }
            self.due.pop_front();
        }
        self.state = State::Skipping;
    }

    fn copy_in(&mut self) {
        self.drop_copy_ends();
        let mut at = 1;
        while let Some(due) = self.due.get(at) {
            match due {
                Due::CopyEnd => {
                    self.due.remove(at);
                    return;
                }
                Due::Sync => {
                    self.due.remove(at);
                }
                Due::Ready | Due::Extended(_) => at += 1,
            }
        }
        self.state = State::CopyIn;
    }

    fn drop_copy_ends(&mut self) {
        while self.due.front() == Some(&Due::CopyEnd) {
            self.due.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `>` lines are sent, `<` lines received; returns whether it is quiet after each word.
    fn check(script: &str) -> String {
        let mut expected = Expected::default();
        let mut out = String::new();
        for word in script.split_whitespace() {
            let (way, kinds) = word.split_at(1);
            for kind in kinds.bytes() {
                if way == ">" { expected.sent(kind) } else { expected.received(kind) }
            }
            out.push(match (expected.is_quiet(), expected.is_skipping()) {
                (_, true) => 's',
                (true, false) => 'q',
                (false, false) => '.',
            });
        }
        out
    }

    #[test]
    fn simple_queries() {
        assert_eq!(check(">Q <T <D <C <Z"), "....q");
        assert_eq!(check(">QQ <Z <Z"), "..q");
        assert_eq!(check(">Q <E <Z"), "..q");
    }

    #[test]
    fn extended_batches() {
        assert_eq!(check(">PBDES <1 <2 <T <D <C <Z"), "......q");
        assert_eq!(check(">PDH <1 <t <n >BES <2 <C <Z"), "...q...q");
        assert_eq!(check(">PBE <1 <2 <s >E <C >S <Z"), "...q.q.q");
    }

    #[test]
    fn an_error_skips_to_sync_and_a_query_before_it() {
        assert_eq!(check(">PBE >Q >S <E <Z"), "....q");
        assert_eq!(check(">PBE <E >Q >PB >S <Z"), ".sss.q");
        // the error is the query's own: its batch had been answered
        assert_eq!(check(">PBEQ <12C <E <Z"), "...q");
    }

    #[test]
    fn copy_ignores_sync() {
        assert_eq!(check(">Q <G >dddc <C <Z"), "....q");
        // JDBC and asyncpg send Sync with the Execute, and another after CopyDone
        assert_eq!(check(">PBES <12 <G >dcS <C <Z"), ".....q");
        assert_eq!(check(">PBESdcS <12 <G <C <Z"), "....q");
        // the server gives up in the middle
        assert_eq!(check(">Q <G >d <E <Z >c"), "....qq");
        assert_eq!(check(">PBES <12 <G >d <E >c >S <Z"), "....ss.q");
        // a trigger stops it before it reads anything, so that the first Sync counts
        assert_eq!(check(">PBES <12 <G <E <Z >cS <Z"), "...sq.q");
    }

    #[test]
    fn a_copy_that_has_ended_may_wait_for_a_flush() {
        let mut expected = Expected::default();
        for kind in *b"PBEdc" {
            expected.sent(kind);
        }
        assert!(expected.needs_flush());
    }

    #[test]
    fn stray_messages_do_no_harm() {
        assert_eq!(check("<Z <E <C >c >f >H <N <A"), "qqqqqqqq");
        assert_eq!(check(">F <V <Z"), "..q");
    }
}
