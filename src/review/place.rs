//! Lines and columns.

use std::cell::Cell;
use std::ops::Range;

use super::report::At;

/// A place as editors count: from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The character in it.
    pub column: usize,
}

/// Of lines with more bytes only what is near the place is shown, so that many places in one line take no more than they must.
const WHOLE_MAX: usize = 4000;

/// So many bytes are shown on either side of the place, and so many of the place itself.
const NEAR: usize = 200;

/// Where the lines of a text begin.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
    /// The last place asked for, and its column: the next is mostly not far behind it.
    last: Cell<(usize, usize)>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let after = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { text, starts: std::iter::once(0).chain(after).collect(), last: Cell::new((0, 1)) }
    }

    /// The place of a byte.
    pub(super) fn place(&self, at: usize) -> Place {
        let line = self.starts.partition_point(|start| *start <= at).max(1);
        let start = self.starts.get(line - 1).copied().unwrap_or(0);
        let (known, column) = self.last.get();
        let (from, first) = if (start..=at).contains(&known) { (known, column) } else { (start, 1) };
        let column = first + self.text.get(from..at).map_or(0, |before| before.chars().count());
        self.last.set((at, column));
        Place { line, column }
    }

    /// A place with its lines.
    pub(super) fn at(&self, span: &Range<usize>) -> At {
        let (start, end) = (self.place(span.start), self.place(span.end));
        let lines = self.around(span);
        let line_start = self.starts.get(start.line - 1).copied().unwrap_or(0);
        let inner = span.start.saturating_sub(line_start)..span.end.saturating_sub(line_start);
        if lines.len() <= WHOLE_MAX {
            return At { start, end, lines: lines.to_owned(), span: inner, cut: false };
        }
        let shown_to = inner.end.min(inner.start + NEAR);
        let from = lines.floor_char_boundary(inner.start.saturating_sub(NEAR));
        let to = lines.ceil_char_boundary((shown_to + NEAR).min(lines.len()));
        let shown_to = lines.floor_char_boundary(shown_to.min(to));
        let near = lines.get(from..to).unwrap_or_default();
        // One line of it is enough to find the place.
        let inner = inner.start - from..shown_to.max(inner.start) - from;
        At { start, end, lines: near.to_owned(), span: inner, cut: true }
    }

    /// The whole lines that a span touches.
    fn around(&self, span: &Range<usize>) -> &'a str {
        let first = self.starts.partition_point(|start| *start <= span.start).max(1) - 1;
        let start = self.starts.get(first).copied().unwrap_or(0);
        let last = self.starts.partition_point(|start| *start < span.end);
        let end = self.starts.get(last).map_or(self.text.len(), |next| next - 1);
        let lines = self.text.get(start..end.max(start)).unwrap_or_default();
        // The end of a line in Windows' manner is nothing to look at.
        lines.strip_suffix('\r').unwrap_or(lines)
    }
}

impl At {
    /// Before anybody knows.
    pub(super) const fn nowhere() -> Self {
        let place = Place { line: 1, column: 1 };
        Self { start: place, end: place, lines: String::new(), span: 0..0, cut: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_characters() {
        let lines = Lines::new("a\né = b\n");
        assert_eq!(lines.place(0), Place { line: 1, column: 1 });
        assert_eq!(lines.place(7), Place { line: 2, column: 5 });
        assert_eq!(lines.place(9), Place { line: 3, column: 1 });
        assert_eq!(lines.around(&(2..3)), "é = b");
        assert_eq!(lines.around(&(0..8)), "a\né = b");
    }

    #[test]
    fn long_lines_are_shown_near_the_place() {
        let text = format!("x\n{}here{}", "é".repeat(5000), "ü".repeat(5000));
        let at = Lines::new(&text).at(&(2 + 10_000..2 + 10_004));
        assert_eq!((at.start, at.end), (Place { line: 2, column: 5001 }, Place { line: 2, column: 5005 }));
        assert_eq!(at.lines.get(at.span.clone()), Some("here"));
        assert!(at.cut && at.lines.len() < 500, "{}", at.lines.len());
        let whole = Lines::new(&text).at(&(2..text.len()));
        assert!(whole.lines.len() < 500 && whole.lines.get(whole.span).is_some());
    }

    proptest::proptest! {
        #[test]
        fn columns_do_not_hang_on_what_was_asked_before(text in "[aé\n]{0,40}", places in proptest::collection::vec(0..60_usize, 0..8)) {
            let lines = Lines::new(&text);
            for at in places.into_iter().filter(|at| text.is_char_boundary(*at)) {
                proptest::prop_assert_eq!(lines.place(at), Lines::new(&text).place(at));
            }
        }
    }
}
