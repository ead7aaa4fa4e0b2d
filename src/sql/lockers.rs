//! Functions and procedures that may lock what others need, by their names, and whether a text calls one.
//!
//! `SELECT migrate()` looks like any other query. Whether one is called is asked for each message where a database has such
//! functions, so bytes are read and no grammar: what only looks like a call costs a second look and changes nothing.

use std::collections::HashMap;

use super::lex::{Lexer, Token, TokenKind, is_space, is_word_start};

/// Names have 63 bytes at most (`NAMEDATALEN` in `pg_config_manual.h`).
const NAME_BYTES_MAX: usize = 63;

/// Words that begin statements which may lock relations strongly; none of them is a function.
const DDL_WORDS: [&str; 10] =
    ["alter", "cluster", "comment", "create", "drop", "lock", "reassign", "refresh", "reindex", "truncate"];

/// A comment between a name and its parenthesis is looked for in so many bytes.
const COMMENT_BYTES_MAX: usize = 256;

/// Functions and procedures of one database that may lock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lockers {
    names: HashMap<Box<[u8]>, Ddl>,
}

/// Where the DDL of a function comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ddl {
    /// Its source, or that of a function that it calls, holds some.
    Written,
    /// It runs texts, which its caller may give it.
    Given,
}

/// What a text calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Calls {
    /// Nothing that is known to lock.
    #[default]
    Nothing,
    /// Something that may lock.
    MayLock,
}

impl Ddl {
    /// Where a function has its DDL from, by its source; `None` where that neither holds DDL nor runs texts.
    pub fn of(source: &str) -> Option<Self> {
        if holds_word(source.as_bytes(), &DDL_WORDS) {
            Some(Self::Written)
        } else {
            holds_word(source.as_bytes(), &["execute"]).then_some(Self::Given)
        }
    }
}

impl Lockers {
    /// Those of these names; of several functions of one name the worst counts.
    pub fn new(all: impl IntoIterator<Item = (String, Ddl)>) -> Self {
        let mut names: HashMap<Box<[u8]>, Ddl> = HashMap::new();
        for (name, ddl) in all {
            let known = names.entry(name.into_bytes().into_boxed_slice()).or_insert(ddl);
            if ddl == Ddl::Written {
                *known = ddl;
            }
        }
        Self { names }
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Whether a text may call one of them.
    pub fn called_in(&self, text: &[u8]) -> Calls {
        if self.is_empty() {
            return Calls::Nothing;
        }
        let opened = text.iter().enumerate().filter(|(_, byte)| **byte == b'(');
        let mut named = opened.filter_map(|(at, _)| self.named_before(text.get(..at).unwrap_or_default()));
        let may_lock = match named.next() {
            None => false,
            Some(Ddl::Written) => true,
            // Once for the whole text, however many it calls.
            Some(Ddl::Given) => holds_word(text, &DDL_WORDS) || named.any(|ddl| ddl == Ddl::Written),
        };
        if may_lock { Calls::MayLock } else { Calls::Nothing }
    }

    /// The one whose name stands at the end of a text.
    fn named_before(&self, text: &[u8]) -> Option<Ddl> {
        let text = without_end(text);
        if let [inner @ .., b'"'] = text {
            let from = inner.iter().rposition(|byte| *byte == b'"')? + 1;
            return self.names.get(inner.get(from..)?).copied();
        }
        let word = |byte: &u8| is_word_start(*byte) || byte.is_ascii_digit() || *byte == b'$';
        let from = text.iter().rposition(|byte| !word(byte)).map_or(0, |at| at + 1);
        let name = text.get(from..)?;
        let mut lower = [0; NAME_BYTES_MAX];
        let lower = lower.get_mut(..name.len())?;
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        self.names.get(&*lower).copied()
    }
}

/// A text without blanks and block comments at its end.
fn without_end(mut text: &[u8]) -> &[u8] {
    loop {
        match text {
            [rest @ .., last] if is_space(*last) => text = rest,
            [rest @ .., b'*', b'/'] => {
                let far = rest.len().saturating_sub(COMMENT_BYTES_MAX);
                let near = rest.get(far..).unwrap_or_default();
                let Some(from) = near.windows(2).rposition(|pair| pair == b"/*") else { return text };
                text = rest.get(..far + from).unwrap_or_default();
            }
            _ => return text,
        }
    }
}

/// Whether one of the words stands anywhere in a text, strings and comments included.
fn holds_word(text: &[u8], words: &[&str]) -> bool {
    text.split(|byte| !is_word_start(*byte) && !byte.is_ascii_digit())
        .any(|word| words.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(word)))
}

/// The function or procedure that a `CREATE FUNCTION` makes, if it may lock.
pub fn made_by(text: &str, conforming: bool) -> Option<(String, Ddl)> {
    let tokens: Vec<Token> =
        Lexer::new(text, conforming).filter(|token| !matches!(token.kind, TokenKind::Comment(_))).collect();
    let begins = tokens
        .iter()
        .position(|token| token.is_word(text, "function") || token.is_word(text, "procedure"))?;
    let rest = tokens.get(begins + 1..)?;
    let open = rest.iter().position(|token| token.kind == TokenKind::Open)?;
    let name = rest.get(open.checked_sub(1)?)?;
    let spelled = name.text(text);
    let name = match spelled.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => spelled.to_ascii_lowercase(),
    };
    Some((name, Ddl::of(text.get(rest.get(open)?.end..)?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lockers() -> Lockers {
        let all = [("migrate", Ddl::Written), ("Odd one", Ddl::Written), ("run", Ddl::Given)];
        Lockers::new(all.map(|(name, ddl)| (name.to_owned(), ddl)))
    }

    #[test]
    fn calls_are_seen_however_they_are_written() {
        for text in [
            "SELECT migrate()",
            "select app . Migrate (1)",
            "SELECT \"migrate\"()",
            "SELECT \"app\".\"Odd one\" ( 'x' )",
            "SELECT * FROM migrate/* here ( */ (7)",
            "WITH x AS (SELECT 1) INSERT INTO t SELECT migrate(a) FROM x",
            "SELECT run('ALTER TABLE t ADD a int')",
            "SELECT run($$drop table t$$)",
            "SELECT run('SELECT 1'), migrate()",
            "CALL migrate()",
        ] {
            assert_eq!(lockers().called_in(text.as_bytes()), Calls::MayLock, "{text}");
        }
    }

    #[test]
    fn everything_else_passes() {
        for text in [
            "SELECT 1",
            "SELECT migrate FROM t WHERE a IN (1, 2)",
            "SELECT emigrate(1), migrated(2), count(*)",
            "SELECT run('SELECT 1')",
            "SELECT run($1)",
            "SELECT \"MIGRATE\"()",
            "(SELECT 1)",
            "*/(",
            "\"(",
            "SELECT a_name_that_is_longer_than_any_that_postgres_keeps_in_its_catalogue_of_functions(1)",
        ] {
            assert_eq!(lockers().called_in(text.as_bytes()), Calls::Nothing, "{text}");
        }
        assert_eq!(Lockers::default().called_in(b"SELECT migrate()"), Calls::Nothing);
    }

    /// Texts have a megabyte, and each is looked at while others wait for the core.
    #[test]
    fn the_time_grows_with_the_text_alone() {
        for text in
            ["*/(".repeat(300_000), "run(1),".repeat(140_000), "\"(".repeat(500_000), "( ".repeat(500_000)]
        {
            assert_eq!(lockers().called_in(text.as_bytes()), Calls::Nothing);
        }
    }

    #[test]
    fn of_several_functions_of_one_name_the_worst_counts() {
        let one = |ddl| ("f".to_owned(), ddl);
        let lockers = Lockers::new([one(Ddl::Given), one(Ddl::Written), one(Ddl::Given)]);
        assert_eq!(lockers.called_in(b"SELECT f()"), Calls::MayLock);
    }

    #[test]
    fn what_is_made_is_known_by_its_source() {
        let made = |text: &str| made_by(text, true);
        let known = |name: &str, ddl| Some((name.to_owned(), ddl));
        for (text, expected) in [
            (
                "CREATE FUNCTION f() RETURNS void AS $$ BEGIN DROP TABLE t; END $$ LANGUAGE plpgsql",
                known("f", Ddl::Written),
            ),
            (
                "create or replace procedure a.\"P \"\"q\"(x int) language plpgsql as 'begin execute x; commit; end'",
                known("P \"q", Ddl::Given),
            ),
            ("CREATE FUNCTION f() RETURNS int RETURN 1", None),
            ("CREATE FUNCTION f", None),
            ("CREATE FUNCTION (", None),
            ("CREATE TABLE t (a int)", None),
        ] {
            assert_eq!(made(text), expected, "{text}");
        }
    }
}
