//! Properties over generated texts.

use proptest::prelude::*;

use super::*;
use crate::sql::{Dialect, edit};

const ENCODINGS: [Encoding; 10] = [
    Encoding::Utf8,
    Encoding::SqlAscii,
    Encoding::SingleByte,
    Encoding::Euc,
    Encoding::Sjis,
    Encoding::Big5,
    Encoding::Gbk,
    Encoding::Uhc,
    Encoding::Johab,
    Encoding::Gb18030,
];

const PIECES: &[&str] = &[
    "SELECT",
    "select",
    "INSERT INTO t VALUES (1)",
    "UPDATE t SET a = 1",
    "DROP TABLE t",
    "ALTER TABLE t",
    "ADD c int",
    "CREATE INDEX ON t (a)",
    "DO",
    "CALL p()",
    "SET",
    "lockkeeper.mode",
    "LOCKKEEPER",
    "= 'off'",
    "TO",
    "RESET ALL",
    "LOCK t",
    "VACUUM FULL t",
    "BEGIN",
    "COMMIT",
    "EXPLAIN",
    "WITH",
    "TABLE t",
    "COPY t FROM STDIN",
    "PREPARE p AS",
    "EXECUTE p",
    "1",
    "a",
    "U&\"\\006cockkeeper\".mode",
    "ANALYZE t",
    ";",
    "; ",
    "(",
    ")",
    "'",
    "''",
    "\"",
    "$$",
    "$a$",
    "E'\\'",
    "--",
    "--\n",
    "/*",
    "*/",
    "\\",
    "\n",
    "\t",
    "\u{b}",
    "\u{c}",
    "\u{a0}",
    "é",
    "-",
    "/",
    "*",
    ",",
    "x'1'",
    "\r",
    "DECLARE c CURSOR FOR",
    "SHOW x",
    "MERGE",
    "discard all",
    "END",
    "0",
];

/// Pieces that statements are made of, quotes and comments of all kinds among them.
fn piece() -> impl Strategy<Value = String> {
    prop::sample::select(PIECES.to_vec()).prop_map(str::to_owned)
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec((piece(), prop::bool::ANY), 0..10).prop_map(|pieces| {
        pieces.into_iter().map(|(piece, space)| if space { piece + " " } else { piece }).collect()
    })
}

/// White space and comments, as people and tools put them between words.
fn gap() -> impl Strategy<Value = String> {
    let gaps = [
        " ",
        "\n",
        "\t ",
        "/* c */",
        " /* /* CONCURRENTLY */ INDEX */ ",
        " -- INDEX\n",
        "\n--CONCURRENTLY\r\n",
        " /* ; ' \" $$ */ ",
    ];
    prop::sample::select(gaps.to_vec()).prop_map(str::to_owned)
}

/// A plain index statement, as its words.
fn index_statement() -> impl Strategy<Value = Vec<&'static str>> {
    let statements: Vec<Vec<&'static str>> = vec![
        vec!["CREATE", "INDEX", "ON", "t", "(", "a", ")"],
        vec![
            "create",
            "unique",
            "index",
            "\"INDEX\"",
            "on",
            "only",
            "s.t",
            "using",
            "btree",
            "(",
            "lower(a)",
            ")",
        ],
        vec![
            "CREATE",
            "INDEX",
            "IF",
            "NOT",
            "EXISTS",
            "concurrentlyish",
            "ON",
            "t",
            "(",
            "a",
            ")",
            "WHERE",
            "b = 'INDEX'",
        ],
        vec!["DROP", "INDEX", "s.i"],
        vec!["Drop", "Index", "If", "Exists", "\"table\"", "RESTRICT"],
        vec!["REINDEX", "TABLE", "t"],
        vec!["REINDEX", "(", "VERBOSE", ",", "TABLESPACE", "\"index\"", ")", "INDEX", "s.i"],
        vec!["reindex", "schema", "\"table\""],
        vec!["REINDEX", "DATABASE", "d"],
    ];
    prop::sample::select(statements)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn triage_forwards_nothing_that_parse_would_stop(text in text(), conforming: bool) {
        let dialect = Dialect { encoding: Encoding::Utf8, standard_conforming_strings: conforming };
        if triage(text.as_bytes()) == Triage::Forward {
            let script = parse(text.as_bytes(), dialect);
            prop_assert!(script.is_ordinary(), "{script:?}");
        }
    }

    /// What servers read in different ways hides nothing where nothing comes behind it.
    #[test]
    fn an_ambiguous_end_is_ordinary(end in prop::sample::select(vec!["", ";", " ; ;\n"]), conforming: bool) {
        let dialect = Dialect { encoding: Encoding::Utf8, standard_conforming_strings: conforming };
        let text = |behind: &str| format!("UPDATE t SET a = 1SELECT$${behind}");
        prop_assert!(parse(text(end).as_bytes(), dialect).is_ordinary());
        prop_assert!(!parse(text("; DROP TABLE t").as_bytes(), dialect).is_ordinary());
    }

    #[test]
    fn any_bytes_are_read(text in prop::collection::vec(any::<u8>(), 0..60)) {
        for encoding in ENCODINGS {
            let script = parse(&text, encoding);
            if triage(&text) == Triage::Forward {
                prop_assert!(script.is_ordinary());
            }
            for statement in &script.statements {
                prop_assert!(statement.span.end <= text.len());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_word_is_all_that_changes(
        words in index_statement(), gaps in prop::collection::vec(gap(), 16), end in "[ ;\n]{0,3}",
    ) {
        let text: String = words.iter().zip(&gaps).flat_map(|(word, gap)| [gap.as_str(), word]).collect();
        let text = text + &end;
        let edited = edit::concurrently(&script(&text)).expect("a plain index statement can be changed");
        let edited = String::from_utf8(edited).unwrap();
        let at = edited.bytes().zip(text.bytes()).take_while(|(new, old)| new == old).count();
        // The word may begin like what follows it, so that its place is known only to within itself.
        let whole = (0..=at).rev().any(|at| {
            edited.get(at..).is_some_and(|rest| rest.strip_prefix(" CONCURRENTLY") == text.get(at..))
        });
        prop_assert!(whole, "{text:?} became {edited:?}");
        prop_assert_eq!(edit::concurrently(&script(&edited)), None);
    }
}

#[test]
fn other_encodings_keep_their_bytes() {
    let text = b"CREATE INDEX /* \x95\x5C */ \"\x95\x5C\" ON t (a)";
    let edited = edit::concurrently(&parse(text, Encoding::Sjis)).unwrap();
    assert_eq!(edited, b"CREATE INDEX CONCURRENTLY /* \x95\x5C */ \"\x95\x5C\" ON t (a)");
}

#[test]
fn what_cannot_be_changed_is_left() {
    for text in [
        "REINDEX (CONCURRENTLY false) TABLE t",
        "REINDEX SYSTEM d",
        "CREATE INDEX ON t (a); SELECT 1",
        "CREATE INDEX CONCURRENTLY ON t (a)",
        "SELECT 1",
        "",
    ] {
        assert_eq!(edit::concurrently(&script(text)), None, "{text}");
    }
}

/// Parts of an ALTER TABLE, with commas, quotes and parentheses where they confuse.
const PARTS: &[&str] = &[
    "ADD COLUMN \"a,b\" int DEFAULT (1 + f(2, 3))",
    "add column c text check (c in (',', ')', '--')) not null",
    "ADD CONSTRAINT \"k\"\"q\" FOREIGN KEY (a, b) REFERENCES s.u (a, b) ON DELETE CASCADE NOT VALID",
    "ADD CHECK (a > 0 /* , */ AND b < 1)",
    "DROP COLUMN IF EXISTS \"Größe\" CASCADE",
    "ALTER COLUMN d TYPE numeric(10, 2) USING (d::numeric(10, 2))",
    "ALTER e SET DEFAULT $x$,$x$",
    "ALTER e SET NOT NULL",
    "VALIDATE CONSTRAINT k",
    "SET (fillfactor = 70, autovacuum_enabled = off)",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// A part's place holds its own words, no more and no less.
    #[test]
    fn parts_lie_where_their_words_are(
        parts in prop::collection::vec((prop::sample::select(PARTS.to_vec()), gap(), gap()), 1..6),
        head in prop::sample::select(vec!["ALTER TABLE t ", "/* é */ alter table if exists only \"s,\".\"t(\" ", "SELECT 1; ALTER TABLE t* "]),
    ) {
        let mut text = head.to_owned();
        for (at, (part, before, after)) in parts.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            text.extend([comma, before, part, after]);
        }
        let script = parse(text.as_bytes(), Encoding::Utf8);
        let Some(Form::AlterTable(alter)) = script.statements.last().map(|it| &it.form) else {
            return Err(TestCaseError::fail(text));
        };
        prop_assert_eq!(alter.parts.len(), parts.len());
        for (known, (part, ..)) in alter.parts.iter().zip(&parts) {
            let span = known.span.clone().expect("a place");
            prop_assert_eq!(text.get(span), Some(*part));
        }
    }

    /// Comments are read, and nothing that only looks like one.
    #[test]
    fn directives_stand_in_comments(pieces in prop::collection::vec(prop::sample::select(vec![
        ("-- lockkeeper: allow x because y\n", 1),
        ("/* lockkeeper: mode off; allow z because 'q' */", 2),
        ("/* /* lockkeeper: */ */", 0),
        // A second literal behind a line's end would continue the first, and a comment between them be a part of it.
        ("'-- lockkeeper: allow no because no\n'::text", 0),
        ("$a$ /* lockkeeper: allow no because no */ $a$", 0),
        ("\"/* lockkeeper: allow no because no */\"", 0),
        ("SELECT 1", 0),
        (";", 0),
        ("é", 0),
    ]), 0..10), conforming: bool) {
        let text: Vec<&str> = pieces.iter().map(|(text, _)| *text).collect();
        let expected: usize = pieces.iter().map(|(_, count)| count).sum();
        let dialect = Dialect { encoding: Encoding::Utf8, standard_conforming_strings: conforming };
        prop_assert_eq!(parse(text.join(" ").as_bytes(), dialect).directives.len(), expected);
    }
}
