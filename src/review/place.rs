//! Lines and columns.

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

/// Where the lines of a text begin.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let after = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { text, starts: std::iter::once(0).chain(after).collect() }
    }

    /// The place of a byte.
    pub(super) fn place(&self, at: usize) -> Place {
        let line = self.starts.partition_point(|start| *start <= at).max(1);
        let start = self.starts.get(line - 1).copied().unwrap_or(0);
        let before = self.text.get(start..at).map_or(0, |before| before.chars().count());
        Place { line, column: before + 1 }
    }

    /// A place with its lines.
    pub(super) fn at(&self, span: &Range<usize>) -> At {
        let (start, end) = (self.place(span.start), self.place(span.end));
        let lines = self.around(span);
        let line_start = self.starts.get(start.line - 1).copied().unwrap_or(0);
        let inner = span.start.saturating_sub(line_start)..span.end.saturating_sub(line_start);
        At { start, end, lines: lines.to_owned(), span: inner }
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
        Self { start: place, end: place, lines: String::new(), span: 0..0 }
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
}
