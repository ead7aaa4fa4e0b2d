//! Whether a text is an earlier one once more, of which the parameters and the time were fixed when it was begun.

use super::fixed::loose;
use super::lex::{Lexer, Token, TokenKind};
use super::statement::Script;

/// How a text stands to an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// It is the same, comments and white space apart; where it asks for the time, that is the time of then.
    Same,
    /// It has parameters, whose values may be others.
    Unsure,
    /// It is another.
    Other,
}

/// Whether a message is that earlier text once more.
pub fn again(script: &Script, earlier: &str) -> Again {
    let Ok(text) = std::str::from_utf8(script.text.as_bytes()) else { return Again::Other };
    let places = loose(script);
    if places.iter().any(|place| text.get(place.clone()).is_some_and(|word| word.starts_with('$'))) {
        return Again::Unsure;
    }
    let escapes = script.dialect.standard_conforming_strings;
    let (now, then) = (tokens(text, escapes), tokens(earlier, escapes));
    let (mut now, mut then) = (now.iter().peekable(), then.iter());
    let mut places = places.iter().peekable();
    while let Some(token) = now.next() {
        let Some(before) = then.next() else { return Again::Other };
        let place = places.next_if(|place| place.contains(&token.start));
        let Some(place) = place else {
            if token.text(text) == before.text(earlier) {
                continue;
            }
            return Again::Other;
        };
        // It was taken for a value in parentheses.
        if before.text(earlier) != "(" {
            return Again::Other;
        }
        while now.next_if(|token| place.contains(&token.start)).is_some() {}
        let mut depth = 1_usize;
        while depth > 0 {
            match then.next().map(|token| token.kind) {
                Some(TokenKind::Open) => depth += 1,
                Some(TokenKind::Close) => depth -= 1,
                Some(_) => {}
                None => return Again::Other,
            }
        }
    }
    if then.next().is_none() { Again::Same } else { Again::Other }
}

/// All that means something; the end of a statement means nothing more.
fn tokens(text: &str, standard_conforming_strings: bool) -> Vec<Token> {
    let means = |token: &Token| !matches!(token.kind, TokenKind::Comment(_) | TokenKind::Semicolon);
    Lexer::new(text, standard_conforming_strings).filter(means).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Encoding, parse};

    #[test]
    fn a_statement_is_known_again() {
        for (text, earlier, expected) in [
            ("UPDATE t SET a = 1", "UPDATE t SET a = 1", Again::Same),
            ("/* lockkeeper: resume 7 */ UPDATE t\n SET a = 1;", "UPDATE t SET a = /* x */ 1", Again::Same),
            ("UPDATE t SET a = 'x  y'", "UPDATE t SET a = 'x y'", Again::Other),
            ("UPDATE t SET a = 2", "UPDATE t SET a = 1", Again::Other),
            ("UPDATE t SET a = 1", "UPDATE t SET a = 1 WHERE b", Again::Other),
            ("UPDATE t SET a = 1 WHERE b", "UPDATE t SET a = 1", Again::Other),
            ("UPDATE t SET a = $1", "UPDATE t SET a = ('1'::integer)", Again::Unsure),
            (
                "UPDATE t SET a = now(), b = current_timestamp(3) WHERE c < CURRENT_DATE - 7 AND d",
                "UPDATE t SET a = ('2026-01-01 00:00:00+00'::timestamp with time zone), b = ('2026'::timestamp(3) with time zone) \
                 WHERE c < ('2026-01-01'::date) - 7 AND d",
                Again::Same,
            ),
            ("UPDATE t SET a = now()", "UPDATE t SET a = ('2026'::date) + 1", Again::Other),
            ("UPDATE t SET a = now()", "UPDATE t SET a = b", Again::Other),
            ("UPDATE t SET a = now()", "UPDATE t SET a = (b", Again::Other),
            ("UPDATE t SET a = (1)", "UPDATE t SET a = now()", Again::Other),
        ] {
            let script = parse(text.as_bytes(), Encoding::Utf8);
            assert_eq!(again(&script, earlier), expected, "{text}");
        }
    }
}
