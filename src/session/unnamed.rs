//! What is known of the unnamed portal: one that has finished keeps its snapshot until something takes its place.
//!
//! Said only where it is sure. A portal that is bound and not run, or suspended, is still needed.

/// The unnamed portal, as far as it is followed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unnamed {
    /// Executes of the open batch that have been sent, and those that are answered.
    sent: u32,
    answered: u32,
    /// Which of them ran the unnamed portal last; 0 when none did since it was made.
    at: u32,
    counting: Counting,
    state: State,
}

/// Whether every answer can be told to belong to one Execute.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Counting {
    Sure,
    /// Answers of an earlier batch were still to come.
    #[default]
    Lost,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Unknown,
    /// It ran to its end.
    Finished,
}

impl Unnamed {
    /// The first Execute of a batch is about to be sent.
    pub(super) const fn begin_batch(&mut self) {
        (self.sent, self.answered, self.at) = (0, 0, 0);
        self.counting = Counting::Sure;
    }

    /// It cannot be told any more which answer belongs to what.
    pub(super) const fn lose_count(&mut self) {
        self.counting = Counting::Lost;
    }

    /// An Execute is about to be sent; `first`: the first byte of its portal's name.
    pub(super) fn execute(&mut self, first: Option<u8>) {
        self.sent = self.sent.saturating_add(1);
        if first == Some(0) {
            self.at = self.sent;
            self.state = State::Unknown;
        }
    }

    /// A portal is made or closed, perhaps this one; or a simple Query takes its place.
    pub(super) const fn replaced(&mut self) {
        self.at = 0;
        self.state = State::Unknown;
    }

    /// An Execute is answered by `CommandComplete`.
    pub(super) fn complete(&mut self) {
        if self.answer() {
            self.state = State::Finished;
        }
    }

    /// An Execute is answered otherwise.
    pub(super) fn suspended(&mut self) {
        self.answer();
    }

    /// Whether the answer belongs to the unnamed portal.
    fn answer(&mut self) -> bool {
        if self.answered >= self.sent {
            return false;
        }
        self.answered += 1;
        self.counting == Counting::Sure && self.answered == self.at
    }

    /// Whether it has run to its end and nothing has taken its place.
    pub(super) fn is_finished(&self) -> bool {
        self.state == State::Finished
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `b`: begins a batch; `x`: lost count; `E` and `N`: an Execute of the unnamed and of a named portal; `B`: something is
    /// bound; `C` and `s`: complete and suspended.
    fn check(script: &str) -> bool {
        let mut unnamed = Unnamed::default();
        for step in script.bytes() {
            match step {
                b'b' => unnamed.begin_batch(),
                b'x' => unnamed.lose_count(),
                b'E' => unnamed.execute(Some(0)),
                b'N' => unnamed.execute(Some(b'p')),
                b'B' => unnamed.replaced(),
                b'C' => unnamed.complete(),
                b's' => unnamed.suspended(),
                _ => {}
            }
        }
        unnamed.is_finished()
    }

    #[test]
    fn only_what_has_surely_finished_counts() {
        for (script, finished) in [
            ("BbEC", true),
            // BEGIN and the first statement in one batch, as JDBC has it
            ("BbEBECC", true),
            ("BbEBEC", false),
            ("BbENBCC", false),
            ("BbENCC", true),
            ("BbEs", false),
            // continued, to its end
            ("BbEsbEC", true),
            ("BbEsbNC", false),
            ("BbECbNC", true),
            // bound for the next batch
            ("BbECB", false),
            ("BbxEC", false),
            // a Query's own answers
            ("CCBbEs", false),
            ("BbEsC", false),
        ] {
            assert_eq!(check(script), finished, "{script}");
        }
    }
}
