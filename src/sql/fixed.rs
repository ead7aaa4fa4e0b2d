//! What of a statement means something else each time that it is run: its parameters and the current time. Fixed, it means the same
//! however many times it is run.

use std::fmt::Write as _;
use std::ops::Range;

use super::lex::{Lexer, Token, TokenKind};
use super::statement::Script;
use crate::base::relation::quote_literal;

/// Functions that give the beginning of the transaction or of the statement, called without arguments.
const CALLED: [&str; 3] = ["now", "statement_timestamp", "transaction_timestamp"];

/// The same as words of the grammar.
const BARE: [&str; 5] = ["current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"];

/// Where such words stand in a message, in their order.
pub fn loose(script: &Script) -> Vec<Range<usize>> {
    let Ok(text) = std::str::from_utf8(script.text.as_bytes()) else { return Vec::new() };
    let tokens: Vec<Token> = Lexer::new(text, script.dialect.standard_conforming_strings)
        .filter(|token| !matches!(token.kind, TokenKind::Comment(_)))
        .collect();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(rest) = tokens.get(at..).filter(|rest| !rest.is_empty()) {
        let before = at.checked_sub(1).and_then(|at| tokens.get(at)).map(|it| it.text(text));
        match length(rest, text).filter(|_| before != Some(".")) {
            Some(length) => {
                let last = tokens.get(at + length - 1).map_or(0, |it| it.end);
                found.extend(rest.first().map(|first| first.start..last));
                at += length;
            }
            None => at += 1,
        }
    }
    found
}

/// Of how many tokens such a word consists that begins here.
fn length(tokens: &[Token], text: &str) -> Option<usize> {
    let word = |at: usize| tokens.get(at).map(|token| token.text(text)).unwrap_or_default();
    let [first, ..] = tokens else { return None };
    if first.text(text) == "$" {
        let number = tokens.get(1).filter(|it| it.start == first.end)?;
        return number.text(text).bytes().all(|byte| byte.is_ascii_digit()).then_some(2);
    }
    if first.kind != TokenKind::Word {
        return None;
    }
    let schema = if first.is_word(text, "pg_catalog") && word(1) == "." { 2 } else { 0 };
    let name = tokens.get(schema)?;
    if CALLED.iter().any(|called| name.is_word(text, called)) {
        return (word(schema + 1) == "(" && word(schema + 2) == ")").then_some(schema + 3);
    }
    if schema > 0 || !BARE.iter().any(|bare| name.is_word(text, bare)) {
        return None;
    }
    let precise = word(1) == "(" && word(3) == ")";
    Some(if precise { 4 } else { 1 })
}

/// A value as the server has told it: its text, and its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// `None` for NULL.
    pub text: Option<String>,
    /// As `format_type` writes it.
    pub ty: String,
}

/// The text with these values in the places of the words; `None` where they do not fit.
pub fn fixed(script: &Script, places: &[Range<usize>], values: &[Value]) -> Option<String> {
    let text = std::str::from_utf8(script.text.as_bytes()).ok()?;
    if places.len() != values.len() {
        return None;
    }
    let mut out = String::with_capacity(text.len() + 32 * places.len());
    let mut at = 0;
    for (place, value) in places.iter().zip(values) {
        out.push_str(text.get(at..place.start)?);
        let literal = value.text.as_deref().map_or_else(|| "NULL".to_owned(), quote_literal);
        // Writing to a String cannot fail.
        let _ = write!(out, "({literal}::{})", value.ty);
        at = place.end;
    }
    out.push_str(text.get(at..)?);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Encoding, parse};

    #[test]
    fn parameters_and_the_time_are_found() {
        let found = |sql: &str| -> Vec<String> {
            let places = loose(&parse(sql.as_bytes(), Encoding::Utf8));
            places.into_iter().map(|it| sql.get(it).unwrap_or_default().to_owned()).collect()
        };
        assert_eq!(
            found(
                "UPDATE t SET a = $1, b = $22, at = NOW(), c = pg_catalog.now ( ), d = current_timestamp(3), e = CURRENT_DATE, \
                 f = x.now(), g = now, h = 'now()', i = $$now()$$, j = current_date - $1 /* now() */, k = my.current_date"
            ),
            [
                "$1",
                "$22",
                "NOW()",
                "pg_catalog.now ( )",
                "current_timestamp(3)",
                "CURRENT_DATE",
                "current_date",
                "$1"
            ]
        );
    }

    #[test]
    fn values_take_their_places() {
        let script = parse(b"UPDATE t SET a = $1, b = now() WHERE c = $2", Encoding::Utf8);
        let value = |text: Option<&str>, ty: &str| Value { text: text.map(str::to_owned), ty: ty.to_owned() };
        let values =
            [value(Some("it's"), "bpchar"), value(Some("2026-01-01"), "date"), value(None, "integer")];
        assert_eq!(
            fixed(&script, &loose(&script), &values).as_deref(),
            Some("UPDATE t SET a = ('it''s'::bpchar), b = ('2026-01-01'::date) WHERE c = (NULL::integer)")
        );
        assert_eq!(fixed(&script, &loose(&script), &values[1..]), None);
    }
}
