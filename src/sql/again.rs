//! Whether a text is an earlier one once more, of which the parameters and the time were fixed when it was begun.

use super::fixed::loose;
use super::lex::{Lexer, Token, TokenKind};
use super::statement::Script;

/// How a text stands to an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// It is the same, comments and white space apart; where it asks for the time, that is the time of then.
    Same,
    /// It is the same but for parameters, whose values may be others.
    Unsure,
    /// It is another.
    Other,
}

/// Whether a message is that earlier text once more.
pub fn again(script: &Script, earlier: &str) -> Again {
    let Ok(text) = std::str::from_utf8(script.text.as_bytes()) else { return Again::Other };
    let places = loose(script);
    let has_values =
        places.iter().any(|place| text.get(place.clone()).is_some_and(|word| word.starts_with('$')));
    let escapes = script.dialect.standard_conforming_strings;
    let (now, then) = (tokens(text, escapes), tokens(earlier, escapes));
    let (mut now, mut rest) = (now.iter().peekable(), then.as_slice());
    let mut places = places.iter().peekable();
    while let Some(token) = now.next() {
        let place = places.next_if(|place| place.contains(&token.start));
        let length = match place {
            Some(_) => value(rest, earlier),
            None => rest.first().filter(|it| it.text(earlier) == token.text(text)).map(|_| 1),
        };
        let Some(behind) = length.and_then(|length| rest.get(length..)) else { return Again::Other };
        rest = behind;
        let within = |token: &&&Token| place.is_some_and(|place| place.contains(&token.start));
        while now.next_if(|token| within(&token)).is_some() {}
    }
    match (rest.is_empty(), has_values) {
        (false, _) => Again::Other,
        (true, true) => Again::Unsure,
        (true, false) => Again::Same,
    }
}

/// Of how many tokens a value consists that was put in the place of a parameter or of the time: `('..'::type)`, or with NULL.
fn value(tokens: &[Token], text: &str) -> Option<usize> {
    let [open, literal, colon, ..] = tokens else { return None };
    let is_value = literal.kind == TokenKind::Literal || literal.is_word(text, "NULL");
    if open.text(text) != "(" || !is_value || !colon.text(text).starts_with(':') {
        return None;
    }
    let mut depth = 0_usize;
    let close = tokens.iter().position(|token| {
        match token.kind {
            TokenKind::Open => depth += 1,
            TokenKind::Close => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0
    })?;
    Some(close + 1)
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
            ("UPDATE t SET a = now()", "UPDATE t SET a = (b)", Again::Other),
            ("UPDATE t SET a = now()", "UPDATE t SET a = ('1'", Again::Other),
            ("UPDATE t SET a = now()", "UPDATE t SET a = (b + interval '1 day')", Again::Other),
            ("UPDATE u SET a = $1", "UPDATE t SET a = ('1'::integer)", Again::Other),
            ("UPDATE t SET a = $1", "UPDATE t SET a = (NULL::integer)", Again::Unsure),
            ("UPDATE t SET a = (1)", "UPDATE t SET a = now()", Again::Other),
        ] {
            let script = parse(text.as_bytes(), Encoding::Utf8);
            assert_eq!(again(&script, earlier), expected, "{text}");
        }
    }
}
