//! The parser's known limits, each met without a panic, a crash or a guess.

use super::*;

fn kinds(text: &str) -> Vec<Kind> {
    script(text).statements.into_iter().map(|statement| statement.kind).collect()
}

/// Long enough that the tree cannot be decoded.
fn deep(head: &str) -> String {
    format!("{head} 0 < {}", vec!["a"; 500].join(" + "))
}

#[test]
fn what_is_too_deep_is_told_by_its_kind() {
    let select = deep("SELECT * FROM t WHERE");
    assert_eq!(script(&select).readable, Readable::TooDeep);
    assert_eq!(kinds(&select), [Kind::Ordinary]);
    assert_eq!(kinds(&deep("CREATE INDEX ON t (a) WHERE")), [Kind::Opaque(Opaque::Unread)]);
}

#[test]
fn one_deep_statement_does_not_hide_the_others() {
    let text = format!("ALTER TABLE é ADD c int; {} ; DROP TABLE t -- end", deep("SELECT"));
    let script = script(&text);
    assert_eq!(script.readable, Readable::TooDeep);
    let tags: Vec<&str> = script.statements.iter().map(|statement| statement.tag).collect();
    assert_eq!(tags, ["ALTER TABLE", "statement", "DROP TABLE"]);
    assert_eq!(text.get(script.statements[2].span.clone()).unwrap(), "DROP TABLE t");
    assert_eq!(text.get(script.statements[0].span.clone()).unwrap(), "ALTER TABLE é ADD c int");
}

#[test]
fn hostile_nesting_is_an_answer() {
    let nested = format!("SELECT {}1{}", "(".repeat(100_000), ")".repeat(100_000));
    assert!(!kinds(&nested).iter().any(|kind| matches!(kind, Kind::CreateIndex(_))));
    let comments = format!("{}{} DROP TABLE t", "/*".repeat(200_000), "*/".repeat(200_000));
    assert_eq!(kinds(&comments), [Kind::Opaque(Opaque::Unread)]);
    let chain = format!("SELECT 1{}", " AND 1".repeat(60_000));
    assert_eq!(kinds(&chain), [Kind::Ordinary]);
}

#[test]
fn huge_texts_are_told_by_their_first_words() {
    let insert = format!("INSERT INTO t VALUES ('{}'); DROP TABLE t", "x".repeat(TEXT_BYTES_MAX));
    assert_eq!(kinds(&insert), [Kind::Ordinary, Kind::Opaque(Opaque::Unread)]);
}

#[test]
fn sixteen_megabytes_are_an_answer() {
    const BYTES: usize = 16 << 20;
    let many = |piece: &str| piece.repeat(BYTES / piece.len());
    for (text, expected) in [
        (format!("SELECT '{}'", many("x")), Kind::Ordinary),
        (format!("DROP TABLE t{}", many(", t")), Kind::Opaque(Opaque::Unread)),
        (format!("ALTER TABLE t ADD c int{}", many(", ADD c int")), Kind::Opaque(Opaque::Unread)),
        (format!("DO $$ BEGIN {} END $$", many("DROP TABLE t;")), Kind::Opaque(Opaque::Unread)),
        (format!("DROP TABLE \"{}", many("\"\"")), Kind::Opaque(Opaque::Unread)),
        (format!("/*{}*/ DROP TABLE t", many("-- \n")), Kind::Opaque(Opaque::Unread)),
    ] {
        assert_eq!(kinds(&text).first(), Some(&expected), "{}", text.get(..20).unwrap_or_default());
    }
    assert_eq!(kinds(&many("DROP TABLE t;")).len(), BYTES / 13);
}

#[test]
fn what_the_grammar_rejects_is_for_the_server() {
    let text = "SELECT FROM WHERE; ALTER TABLE t FROBNICATE; hello";
    assert_eq!(script(text).readable, Readable::Rejected);
    assert_eq!(kinds(text), [Kind::Ordinary, Kind::Opaque(Opaque::Unread), Kind::Ordinary]);
    // A dollar quote that may be one, but nothing behind a semicolon that it could hide.
    assert_eq!(kinds("UPDATE t SET a = 1BEGIN$$"), [Kind::Ordinary]);
    let nul = parse(b"SELECT 1\0; DROP TABLE t", Encoding::Utf8);
    assert!(nul.readable == Readable::Rejected && !nul.is_ordinary());
}

#[test]
fn other_encodings_hide_nothing() {
    // 0x95 0x5C is one character of Shift JIS, so that the string ends at the second quote.
    let hidden = parse(b"SELECT E'\x95\x5C'; DROP TABLE t; --'", Encoding::Sjis);
    assert_eq!(hidden.statements.len(), 2);
    assert_eq!(hidden.statements[1].tag, "DROP TABLE");
    let named = parse(b"ALTER TABLE na\xEFve ADD c int", Encoding::SingleByte);
    assert!(!named.statements[0].locks[0].resolvable);
    let tags = parse(b"SELECT $x$ $\xE9$ $x$; DROP TABLE t; SELECT $x$ $\xE9$ $x$", Encoding::SingleByte);
    assert!(!tags.is_ordinary());
}

#[test]
fn strings_that_do_not_conform_hide_nothing() {
    let text = br"SELECT '\'; DROP TABLE t; --'";
    let conforming = Dialect { encoding: Encoding::Utf8, standard_conforming_strings: true };
    assert_eq!(parse(text, conforming).statements.len(), 2);
    let dialect = Dialect { standard_conforming_strings: false, ..conforming };
    assert_eq!(parse(text, dialect).statements.len(), 1);
}

#[test]
fn texts_do_not_show_in_debug_output() {
    let shown = format!("{:?}", script("ALTER ROLE r PASSWORD 'hunter2'"));
    assert!(!shown.contains("hunter2"), "{shown}");
}
