//! Text from outside, made safe for a log line.

use std::fmt::{self, Write as _};

/// More of a text than this tells nothing more.
const CHARS_MAX: usize = 256;

/// Shows a text with control characters escaped and its length bounded.
///
/// Escape sequences could steer the terminal of whoever reads the log, a newline could forge a line, and the characters
/// that turn the writing direction could make a line read as another.
#[derive(Debug, Clone, Copy)]
pub struct Clean<'a>(pub &'a str);

impl fmt::Display for Clean<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        cleaned(f, self.0, CHARS_MAX)
    }
}

/// The same of statements that somebody is to run, which are of no use when they are cut.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whole<'a>(pub(super) &'a str);

impl fmt::Display for Whole<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        cleaned(f, self.0, usize::MAX)
    }
}

fn cleaned(f: &mut fmt::Formatter<'_>, text: &str, chars_max: usize) -> fmt::Result {
    for (index, c) in text.chars().enumerate() {
        if index == chars_max {
            return f.write_str("..");
        }
        if c.is_control() || turns_direction(c) || matches!(c, '\u{2028}' | '\u{2029}') {
            write!(f, "{}", c.escape_default())?;
        } else {
            f.write_char(c)?;
        }
    }
    Ok(())
}

const fn turns_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_cannot_be_forged() {
        assert_eq!(Clean("ann\n2026 INFO all is well").to_string(), "ann\\n2026 INFO all is well");
        assert_eq!(Clean("\u{1b}[2J\u{9b}31m").to_string(), "\\u{1b}[2J\\u{9b}31m");
        assert_eq!(Clean("a\u{202e}b").to_string(), "a\\u{202e}b");
        assert_eq!(Clean("Zürich 東京").to_string(), "Zürich 東京");
        assert_eq!(Clean(&"x".repeat(300)).to_string().len(), CHARS_MAX + 2);
    }

    proptest! {
        #[test]
        fn nothing_that_controls_is_left(text: String) {
            prop_assert!(!Clean(&text).to_string().chars().any(char::is_control));
        }
    }
}
