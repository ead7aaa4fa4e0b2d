//! What is seen of bodies of code.

use crate::sql::form::{Body, Form};
use crate::sql::{Dialect, Encoding, parse};

fn body(text: &[u8], dialect: impl Into<Dialect>) -> Body {
    let mut script = parse(text, dialect);
    match script.statements.pop().map(|statement| statement.form) {
        Some(Form::Body(body)) => body,
        other => panic!("no body: {other:?}"),
    }
}

/// The inner statements in their own words, then what stays unseen.
fn shown(text: &str) -> String {
    let body = body(text.as_bytes(), Encoding::Utf8);
    let mut lines: Vec<String> = Vec::new();
    for inner in &body.inner {
        let own = String::from_utf8_lossy(inner.script.text.as_bytes()).into_owned();
        if let Some(at) = inner.at {
            assert_eq!(text.get(at..at + own.len()), Some(own.as_str()), "the place is wrong");
        }
        lines.push(own);
    }
    lines.extend(body.unseen.map(|unseen| format!("{unseen:?}")));
    lines.join(" | ")
}

#[test]
fn statements_are_found_behind_control_flow() {
    for (code, expected) in [
        ("BEGIN ALTER TABLE t ADD a int; DROP TABLE u; END", "ALTER TABLE t ADD a int | DROP TABLE u"),
        ("BEGIN IF NOT EXISTS (SELECT 1) THEN ALTER TABLE t DROP a; END IF; END", "ALTER TABLE t DROP a"),
        (
            "BEGIN IF a THEN NULL; ELSIF b THEN DROP TABLE t; ELSE DROP TABLE u; END IF; END",
            "DROP TABLE t | DROP TABLE u",
        ),
        (
            "DECLARE r record; comment text; BEGIN comment := 'x'; FOR r IN SELECT 1 LOOP DELETE FROM t; END LOOP; END",
            "DELETE FROM t",
        ),
        (
            "DECLARE lock int = 1; BEGIN lock = 2; UPDATE t SET a = 1 RETURNING id INTO STRICT lock; END",
            "UPDATE t SET a = 1 RETURNING id",
        ),
        (
            "<<outer>> BEGIN DROP TABLE t; EXCEPTION WHEN undefined_table THEN TRUNCATE u; END",
            "DROP TABLE t | TRUNCATE u",
        ),
        ("BEGIN SELECT 1 INTO x; PERFORM f(); RETURN; RAISE NOTICE 'drop'; END", ""),
        ("BEGIN WITH a AS (SELECT 1) SELECT * INTO x FROM a; END", ""),
        ("BEGIN -- DROP TABLE no\n /* ; */ DROP TABLE t; END", "DROP TABLE t"),
        ("BEGIN GRANT EXECUTE ON FUNCTION f TO u; END", "GRANT EXECUTE ON FUNCTION f TO u"),
        ("BEGIN EXECUTE 'DROP TABLE t'; DROP TABLE u; END", "DROP TABLE u | Dynamic"),
        ("BEGIN FOR r IN EXECUTE q LOOP DROP TABLE t; END LOOP; END", "DROP TABLE t | Dynamic"),
        ("BEGIN RETURN QUERY EXECUTE q; END", "Dynamic"),
        ("DECLARE BEGIN DROP TABLE t; END", "DROP TABLE t"),
        ("BEGIN DROP THE TABLE t; END", "Unreadable"),
        ("BEGIN DO $x$ BEGIN DROP TABLE t; END $x$; END", "DO $x$ BEGIN DROP TABLE t; END $x$"),
    ] {
        assert_eq!(shown(&format!("/* é */ DO $$ {code} $$")), expected, "{code}");
    }
}

#[test]
fn statements_hold_words_of_control_flow_themselves() {
    for (code, expected) in [
        (
            "BEGIN ALTER TABLE t ALTER a TYPE int USING CASE WHEN b THEN 1 ELSE 2 END; END",
            "ALTER TABLE t ALTER a TYPE int USING CASE WHEN b THEN 1 ELSE 2 END",
        ),
        (
            "BEGIN CREATE VIEW v AS SELECT CASE a WHEN 1 THEN 2 END; END",
            "CREATE VIEW v AS SELECT CASE a WHEN 1 THEN 2 END",
        ),
        ("BEGIN IF CASE WHEN a THEN b END THEN DROP TABLE t; END IF; END", "DROP TABLE t"),
        (
            "BEGIN CASE x WHEN 1 THEN DROP TABLE t; WHEN 2 THEN DROP TABLE u; ELSE BEGIN DROP TABLE v; END; END CASE; END",
            "DROP TABLE t | DROP TABLE u | DROP TABLE v",
        ),
        (
            "#variable_conflict use_column\n#option dump\nDECLARE a int; BEGIN DROP TABLE t; END",
            "DROP TABLE t",
        ),
        (
            "BEGIN <<a>> WHILE true LOOP <<b>> FOR i IN 1..2 LOOP DROP TABLE t; END LOOP b; END LOOP; END",
            "DROP TABLE t",
        ),
        (
            "BEGIN FOR r IN DELETE FROM t RETURNING * LOOP TRUNCATE u; END LOOP; RETURN QUERY UPDATE t SET a = 1 RETURNING a; END",
            "DELETE FROM t RETURNING * | TRUNCATE u | UPDATE t SET a = 1 RETURNING a",
        ),
        (
            "BEGIN MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN DELETE; END",
            "MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN DELETE",
        ),
        // Whatever stands where no statement is looked for.
        ("BEGIN x DROP TABLE t; END", "Unreadable"),
    ] {
        assert_eq!(shown(&format!("DO $$ {code} $$")), expected, "{code}");
    }
}

/// The text of a body may stand elsewhere in the statement, too.
#[test]
fn bodies_are_found_where_they_stand() {
    for (text, place) in [
        ("DO LANGUAGE 'plpgsql' 'BEGIN DROP TABLE t; END'", 23),
        ("CREATE FUNCTION f(a text DEFAULT 'DROP TABLE t') RETURNS void LANGUAGE sql AS 'DROP TABLE t'", 79),
        (
            "CREATE FUNCTION f(a text DEFAULT 'x DROP TABLE t') RETURNS void AS $a$DROP TABLE t$a$ LANGUAGE 'sql'",
            70,
        ),
        ("/* 'DROP TABLE t' */ CREATE FUNCTION f() RETURNS void LANGUAGE sql AS E'DROP TABLE t'", 72),
    ] {
        let body = body(text.as_bytes(), Encoding::Utf8);
        let at = body.inner.first().and_then(|inner| inner.at);
        assert_eq!(at.and_then(|at| text.get(at..at + 12)), Some("DROP TABLE t"), "{text}");
        assert!(at >= Some(place), "{text}: {at:?}");
    }
    for text in [
        "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'DROP TABLE t -- ''x'''",
        "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS E'DROP TABLE t\\n'",
        "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'DROP TABLE'\n' t'",
    ] {
        let body = body(text.as_bytes(), Encoding::Utf8);
        assert_eq!(body.inner.iter().map(|inner| inner.at).collect::<Vec<_>>(), [None], "{text}");
    }
}

#[test]
fn functions_are_looked_into() {
    for (text, expected) in [
        (
            "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'DELETE FROM t; DROP TABLE u'",
            "DELETE FROM t | DROP TABLE u",
        ),
        (
            "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'DELETE FROM t WHERE a = ''x'''",
            "DELETE FROM t WHERE a = 'x'",
        ),
        (
            "CREATE PROCEDURE f() BEGIN ATOMIC DELETE FROM t; UPDATE u SET a = CASE WHEN b THEN 1 END; END",
            "DELETE FROM t | UPDATE u SET a = CASE WHEN b THEN 1 END",
        ),
        ("CREATE FUNCTION f() RETURNS int RETURN 1", ""),
        (
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN UPDATE t SET a = 1; RETURN NEW; END$$",
            "UPDATE t SET a = 1",
        ),
        ("CREATE FUNCTION f() RETURNS void LANGUAGE plpython3u AS $$ plpy.execute('x') $$", "Language"),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'lib', 'f'", ""),
    ] {
        assert_eq!(shown(text), expected, "{text}");
    }
}

#[test]
fn nested_bodies_end_somewhere() {
    let mut text = "DROP TABLE t".to_owned();
    for depth in 0..12 {
        text = format!("DO $q{depth}$ BEGIN {text}; END $q{depth}$");
    }
    let mut body = body(text.as_bytes(), Encoding::Utf8);
    let mut depth = 0;
    while let Some(Form::Body(next)) =
        body.inner.pop().and_then(|mut it| it.script.statements.pop()).map(|it| it.form)
    {
        (body, depth) = (next, depth + 1);
    }
    assert!(depth >= 3 && body.unseen.is_some(), "{depth} {body:?}");
}

#[test]
fn characters_of_other_encodings_stay_what_they_are() {
    let text = b"DO $$ BEGIN ALTER TABLE t RENAME TO \x83\x5C; END $$";
    let body = body(text, Encoding::Sjis);
    let [inner] = body.inner.as_slice() else { panic!("{body:?}") };
    assert_eq!(inner.script.text.as_bytes(), b"ALTER TABLE t RENAME TO \x83\x5C");
    let escaped = b"DO 'BEGIN RAISE NOTICE ''\xE9x''; DROP TABLE t\xE9; END'";
    assert!(self::body(escaped, Encoding::SingleByte).unseen.is_some());
}
