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

/// Words that end transactions, or call what may do so.
const ENDING_WORDS: [&str; 3] = ["call", "commit", "rollback"];

/// Functions and procedures of one database that may lock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lockers {
    names: HashMap<Box<[u8]>, Locker>,
}

/// How one of them may lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Locker {
    /// Where its DDL comes from.
    pub ddl: Ddl,
    /// It ends no transaction, so that it can be called again when it has failed.
    pub repeatable: bool,
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
    MayLock {
        /// None of it ends a transaction.
        repeatable: bool,
    },
}

impl Locker {
    /// What a function may do, by its source; `None` where that neither holds DDL nor runs texts.
    pub fn of(source: &str) -> Option<Self> {
        let ddl = if holds_word(source.as_bytes(), &DDL_WORDS) {
            Ddl::Written
        } else if holds_word(source.as_bytes(), &["execute"]) {
            Ddl::Given
        } else {
            return None;
        };
        Some(Self { ddl, repeatable: !holds_word(source.as_bytes(), &ENDING_WORDS) })
    }
}

impl Lockers {
    /// Those of these names; of several functions of one name the worst counts.
    pub fn new(all: impl IntoIterator<Item = (String, Locker)>) -> Self {
        let mut names: HashMap<Box<[u8]>, Locker> = HashMap::new();
        for (name, locker) in all {
            let known = names.entry(name.into_bytes().into_boxed_slice()).or_insert(locker);
            if locker.ddl == Ddl::Written {
                known.ddl = Ddl::Written;
            }
            known.repeatable &= locker.repeatable;
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
        let mut calls = Calls::Nothing;
        if self.is_empty() {
            return calls;
        }
        let opened = text.iter().enumerate().filter(|(_, byte)| **byte == b'(');
        for (open, _) in opened {
            let Some(locker) = self.named_before(text.get(..open).unwrap_or_default()) else { continue };
            if locker.ddl == Ddl::Given && !holds_word(text, &DDL_WORDS) {
                continue;
            }
            let before = !matches!(calls, Calls::MayLock { repeatable: false });
            calls = Calls::MayLock { repeatable: before && locker.repeatable };
        }
        calls
    }

    /// The one whose name stands at the end of a text.
    fn named_before(&self, text: &[u8]) -> Option<Locker> {
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
            [rest @ .., b'*', b'/'] => match rest.windows(2).rposition(|pair| pair == b"/*") {
                Some(from) => text = rest.get(..from).unwrap_or_default(),
                None => return text,
            },
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
pub fn made_by(text: &str, conforming: bool) -> Option<(String, Locker)> {
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
    Some((name, Locker::of(text.get(rest.get(open)?.end..)?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lockers() -> Lockers {
        let locker = |ddl, repeatable| Locker { ddl, repeatable };
        let all = [
            ("migrate", locker(Ddl::Written, true)),
            ("Odd one", locker(Ddl::Written, true)),
            ("commits", locker(Ddl::Written, false)),
            ("run", locker(Ddl::Given, true)),
        ];
        Lockers::new(all.map(|(name, locker)| (name.to_owned(), locker)))
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
        ] {
            assert_eq!(lockers().called_in(text.as_bytes()), Calls::MayLock { repeatable: true }, "{text}");
        }
        let calls = lockers().called_in(b"CALL commits(migrate())");
        assert_eq!(calls, Calls::MayLock { repeatable: false });
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

    #[test]
    fn of_several_functions_of_one_name_the_worst_counts() {
        let one = |ddl, repeatable| ("f".to_owned(), Locker { ddl, repeatable });
        let lockers = Lockers::new([one(Ddl::Given, false), one(Ddl::Written, true)]);
        assert_eq!(lockers.called_in(b"SELECT f()"), Calls::MayLock { repeatable: false });
    }

    #[test]
    fn what_is_made_is_known_by_its_source() {
        let made =
            |text: &str| made_by(text, true).map(|(name, locker)| (name, locker.ddl, locker.repeatable));
        let known = |name: &str, ddl, repeatable| Some((name.to_owned(), ddl, repeatable));
        for (text, expected) in [
            (
                "CREATE FUNCTION f() RETURNS void AS $$ BEGIN DROP TABLE t; END $$ LANGUAGE plpgsql",
                known("f", Ddl::Written, true),
            ),
            (
                "create or replace procedure a.\"P \"\"q\"(x int) language plpgsql as 'begin execute x; commit; end'",
                known("P \"q", Ddl::Given, false),
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
