//! Calls that wait for an advisory lock, as migration tools write them: `SELECT pg_advisory_lock(..)` and nothing else.
//!
//! Whether a text begins so is asked of every message, so the first bytes decide. What is read here is only what means the same
//! however often it is evaluated; a call within anything larger is left alone.

use super::lex::{Lexer, Token, TokenKind, is_space};
use super::triage::first_word;
use crate::base::relation::quote_literal;

/// Functions and types that an argument may name: what they say of a value is always the same.
const CONSTANT_WORDS: [&str; 15] = [
    "hashtext",
    "hashtextextended",
    "pg_catalog",
    "bigint",
    "int",
    "int2",
    "int4",
    "int8",
    "integer",
    "smallint",
    "text",
    "varchar",
    "cast",
    "as",
    "oid",
];

/// A call that waits for an advisory lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    args: String,
    share: Share,
    lasts: Lasts,
    values: Values,
}

/// Who else may have the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// Nobody.
    Exclusive,
    /// Who wants it shared, too.
    Shared,
}

/// How long the lock is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasts {
    /// Until it is given back or the session ends.
    Session,
    /// Until the transaction ends.
    Transaction,
}

/// What the arguments are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Values {
    /// Numbers and nothing else.
    Numbers,
    /// Calls of functions among them.
    Computed,
}

/// One value of a Bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// In text.
    Text(&'a str),
    /// In the binary format of its type.
    Binary(&'a [u8]),
}

/// A lock as `pg_locks` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// `classid`
    pub class: u32,
    /// `objid`
    pub object: u32,
    /// `objsubid`: 1 for a key of one number, 2 for two.
    pub form: i16,
}

/// Whether a text begins like such a call; what only looks like one costs a second look and changes nothing.
#[inline]
pub fn may_want(text: &[u8]) -> bool {
    let start = text.iter().position(|byte| !is_space(*byte)).unwrap_or(text.len());
    let rest = text.get(start..).unwrap_or_default();
    match rest {
        [b's' | b'S', ..] => selects_lock(rest),
        [b'/' | b'-', ..] => behind_comment(rest).is_some_and(selects_lock),
        _ => false,
    }
}

#[cold]
fn behind_comment(text: &[u8]) -> Option<&[u8]> {
    let word = first_word(text)?;
    text.get((word.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?..)
}

#[inline]
fn selects_lock(text: &[u8]) -> bool {
    let Some(rest) = without_prefix(text, b"select") else { return false };
    let start = rest.iter().position(|byte| !is_space(*byte)).unwrap_or(rest.len());
    let name = rest.get(start..).unwrap_or_default();
    let name = without_prefix(name, b"pg_catalog.").unwrap_or(name);
    start > 0 && without_prefix(name, b"pg_advisory_").is_some()
}

#[inline]
fn without_prefix<'a>(text: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// The call that a text consists of, with the values of its parameters, if it has any.
pub fn wanted(text: &[u8], conforming: bool, values: &[Option<Value<'_>>]) -> Option<Wanted> {
    let text = std::str::from_utf8(text).ok().filter(|_| may_want(text))?;
    let tokens: Vec<Token> = Lexer::new(text, conforming).collect();
    let mut left = tokens.iter().copied().filter(|token| !matches!(token.kind, TokenKind::Comment(_)));
    left.next().filter(|first| first.is_word(text, "select"))?;
    let mut name = left.next()?;
    if name.is_word(text, "pg_catalog") {
        left.next().filter(|dot| dot.text(text) == ".")?;
        name = left.next()?;
    }
    let (lasts, share) = form_of(name.text(text))?;
    let open = left.next().filter(|token| token.text(text) == "(")?;
    let from = tokens.iter().position(|token| *token == open)? + 1;
    let inner = inside(tokens.get(from..)?)?;
    if !is_named_only(text, tokens.get(from + inner.len() + 1..)?) {
        return None;
    }
    let kind = if inner
        .iter()
        .any(|token| token.is_word(text, "hashtext") || token.is_word(text, "hashtextextended"))
    {
        Values::Computed
    } else {
        Values::Numbers
    };
    Some(Wanted { args: arguments(text, inner, (kind, values))?, share, lasts, values: kind })
}

fn form_of(name: &str) -> Option<(Lasts, Share)> {
    Some(match name.to_ascii_lowercase().as_str() {
        "pg_advisory_lock" => (Lasts::Session, Share::Exclusive),
        "pg_advisory_lock_shared" => (Lasts::Session, Share::Shared),
        "pg_advisory_xact_lock" => (Lasts::Transaction, Share::Exclusive),
        "pg_advisory_xact_lock_shared" => (Lasts::Transaction, Share::Shared),
        _ => return None,
    })
}

/// What stands before the parenthesis that closes.
fn inside(tokens: &[Token]) -> Option<&[Token]> {
    let mut depth = 0_usize;
    let end = tokens.iter().position(|token| match token.kind {
        TokenKind::Open => {
            depth += 1;
            false
        }
        TokenKind::Close => {
            let closes = depth == 0;
            depth = depth.saturating_sub(1);
            closes
        }
        _ => false,
    })?;
    tokens.get(..end)
}

/// Whether nothing follows but a name for the column.
fn is_named_only(text: &str, tokens: &[Token]) -> bool {
    let mut rest: Vec<&Token> = tokens
        .iter()
        .filter(|token| !matches!(token.kind, TokenKind::Comment(_) | TokenKind::Semicolon))
        .collect();
    if rest.first().is_some_and(|token| token.is_word(text, "as")) {
        rest.remove(0);
        return matches!(rest.as_slice(), [token] if matches!(token.kind, TokenKind::Word | TokenKind::Quoted));
    }
    rest.is_empty() || matches!(rest.as_slice(), [token] if token.kind == TokenKind::Quoted)
}

/// The arguments with the values of parameters in place.
fn arguments(text: &str, tokens: &[Token], (kind, values): (Values, &[Option<Value<'_>>])) -> Option<String> {
    let mut out = String::new();
    let mut at = tokens.first()?.start;
    let mut left = tokens.iter();
    while let Some(token) = left.next() {
        let own = token.text(text);
        match token.kind {
            TokenKind::Comment(_) | TokenKind::Quoted | TokenKind::Semicolon => return None,
            TokenKind::Word if !CONSTANT_WORDS.iter().any(|word| own.eq_ignore_ascii_case(word)) => {
                return None;
            }
            _ => {}
        }
        out.push_str(text.get(at..token.start)?);
        at = token.end;
        if own == "$" {
            let number = left.next().filter(|number| number.start == at)?;
            let value = (*values.get(number.text(text).parse::<usize>().ok()?.checked_sub(1)?)?)?;
            out.push_str(&quote_literal(&spelled(value, kind)?));
            at = number.end;
        } else {
            out.push_str(own);
        }
    }
    Some(out)
}

/// A value as text. What a binary one is shows only where it can be nothing but a number.
fn spelled(value: Value<'_>, kind: Values) -> Option<String> {
    match (value, kind) {
        (Value::Text(text), _) => Some(text.to_owned()),
        (Value::Binary(bytes), Values::Numbers) => match *bytes {
            [a, b] => Some(i16::from_be_bytes([a, b]).to_string()),
            [a, b, c, d] => Some(i32::from_be_bytes([a, b, c, d]).to_string()),
            _ => <[u8; 8]>::try_from(bytes).ok().map(|bytes| i64::from_be_bytes(bytes).to_string()),
        },
        (Value::Binary(_), Values::Computed) => None,
    }
}

impl Wanted {
    /// Takes the lock for the session if it can be had at once, and says whether.
    pub fn attempt(&self) -> String {
        format!("SELECT pg_catalog.pg_try_advisory_lock{}({})", self.suffix(), self.args)
    }

    /// Gives the lock back once.
    pub fn give_back(&self) -> String {
        format!("SELECT pg_catalog.pg_advisory_unlock{}({})", self.suffix(), self.args)
    }

    const fn suffix(&self) -> &'static str {
        match self.share {
            Share::Exclusive => "",
            Share::Shared => "_shared",
        }
    }

    /// How long it is to be held.
    pub const fn lasts(&self) -> Lasts {
        self.lasts
    }

    /// The lock's key, where its arguments are plain numbers.
    pub fn key(&self) -> Option<Key> {
        if self.values == Values::Computed {
            return None;
        }
        let plain = |arg: &str| {
            let value = arg.split("::").next()?.trim().trim_matches('\'').trim();
            value.parse::<i64>().ok()
        };
        let numbers = self.args.split(',').map(plain).collect::<Option<Vec<i64>>>()?;
        match *numbers.as_slice() {
            [one] => {
                let key = one.cast_unsigned();
                let object = u32::try_from(key & u64::from(u32::MAX)).ok()?;
                Some(Key { class: u32::try_from(key >> 32).ok()?, object, form: 1 })
            }
            [one, two] => {
                let half = |number: i64| i32::try_from(number).ok().map(i32::cast_unsigned);
                Some(Key { class: half(one)?, object: half(two)?, form: 2 })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, values: &[Option<Value<'_>>]) -> Option<Wanted> {
        wanted(text.as_bytes(), true, values)
    }

    #[test]
    fn calls_are_read_as_tools_write_them() {
        for (text, attempt) in [
            ("SELECT pg_advisory_lock(72707369)", "pg_try_advisory_lock(72707369)"),
            ("select\n pg_catalog.PG_ADVISORY_LOCK_SHARED(1, -2);", "pg_try_advisory_lock_shared(1, -2)"),
            (
                "/* from: app */ SELECT pg_advisory_xact_lock('7'::bigint) AS held;",
                "pg_try_advisory_lock('7'::bigint)",
            ),
            ("SELECT pg_advisory_lock(hashtext('a;b')) \"x\"", "pg_try_advisory_lock(hashtext('a;b'))"),
            ("SELECT pg_advisory_xact_lock_shared((5)) -- why", "pg_try_advisory_lock_shared((5))"),
        ] {
            let wanted = read(text, &[]).expect(text);
            assert_eq!(wanted.attempt(), format!("SELECT pg_catalog.{attempt}"), "{text}");
        }
        let shared = read("SELECT pg_advisory_lock_shared(1)", &[]).unwrap();
        assert_eq!(shared.give_back(), "SELECT pg_catalog.pg_advisory_unlock_shared(1)");
        assert_eq!(shared.lasts(), Lasts::Session);
    }

    #[test]
    fn everything_else_is_left_alone() {
        for text in [
            "SELECT 1",
            "SELECT pg_advisory_unlock(1)",
            "SELECT pg_advisory_lock(1), 2",
            "SELECT pg_advisory_lock(id) FROM t",
            "SELECT pg_advisory_lock(1) FROM t",
            "SELECT pg_advisory_lock(nextval('s'))",
            "SELECT pg_advisory_lock(random())",
            "SELECT pg_advisory_lock((SELECT 1))",
            "SELECT pg_advisory_lock(1 /* one */)",
            "SELECT pg_advisory_lock()",
            "SELECT pg_advisory_lock($1)",
            "SELECT pg_advisory_lock(1); DROP TABLE t",
            "SELECTpg_advisory_lock(1)",
            "SELECT pg_try_advisory_lock(1)",
            "SELECT pg_advisory_lock(1",
        ] {
            assert_eq!(read(text, &[]), None, "{text}");
        }
    }

    #[test]
    fn parameters_are_put_in_place() {
        let text = "SELECT pg_advisory_lock($1, $2)";
        let eight = 7_i64.to_be_bytes();
        let four = (-3_i32).to_be_bytes();
        let two = read(text, &[Some(Value::Text("5")), Some(Value::Binary(&four))]).unwrap();
        assert_eq!(two.attempt(), "SELECT pg_catalog.pg_try_advisory_lock('5', '-3')");
        assert_eq!(two.key(), Some(Key { class: 5, object: u32::MAX - 2, form: 2 }));
        let one = read("SELECT pg_advisory_lock($1::int8)", &[Some(Value::Binary(&eight))]).unwrap();
        assert_eq!(one.key(), Some(Key { class: 0, object: 7, form: 1 }));
        let quoted = read("SELECT pg_advisory_lock(hashtext($1))", &[Some(Value::Text("it's"))]).unwrap();
        assert_eq!(quoted.attempt(), "SELECT pg_catalog.pg_try_advisory_lock(hashtext('it''s'))");
        assert_eq!(quoted.key(), None);
        assert_eq!(read("SELECT pg_advisory_lock(hashtext($1))", &[Some(Value::Binary(&eight))]), None);
        assert_eq!(read(text, &[Some(Value::Text("5")), None]), None, "NULL locks nothing");
    }

    #[test]
    fn keys_are_those_of_the_servers_own_view() {
        let key = |args: &str| read(&format!("SELECT pg_advisory_lock({args})"), &[]).unwrap().key();
        assert_eq!(key("-1"), Some(Key { class: u32::MAX, object: u32::MAX, form: 1 }));
        assert_eq!(key("4294967298"), Some(Key { class: 1, object: 2, form: 1 }));
        assert_eq!(key("1 + 1"), None);
    }
}
