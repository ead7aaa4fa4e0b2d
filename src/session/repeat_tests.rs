//! What can be repeated, and what cannot.

use super::*;
use crate::sql::Encoding;
use crate::wire::client as message;
use crate::wire::frame::{put, put_string};

/// A journal of these messages.
fn journal(build: impl FnOnce(&mut Vec<u8>)) -> Journal {
    let mut bytes = Vec::new();
    query(&mut bytes, "BEGIN");
    build(&mut bytes);
    let mut journal = Journal::beginning(0);
    journal.sent(&bytes);
    journal
}

fn query(out: &mut Vec<u8>, text: &str) {
    put(out, client::QUERY, |out| put_string(out, text.as_bytes()));
}

fn repeat(journal: &Journal) -> Result<Repeat, Unfit> {
    journal.repeat(Dialect::from(Encoding::Utf8))
}

#[track_caller]
fn of(text: &str) -> Result<Repeat, Unfit> {
    let extended = journal(|out| message::parse(out, b"", text.as_bytes()));
    let simple = journal(|out| query(out, text));
    let (one, other) = (repeat(&extended), repeat(&simple));
    assert_eq!(one.as_ref().err(), other.as_ref().err(), "{text}");
    one
}

#[test]
fn what_migrations_do_can_be_repeated() {
    for text in [
        "ALTER TABLE t ADD a int",
        "CREATE TABLE t (id serial PRIMARY KEY, at timestamptz DEFAULT now())",
        "CREATE TABLE t (id int DEFAULT nextval('s'), note text)",
        "ALTER TABLE t ALTER id SET DEFAULT nextval('s')",
        "UPDATE alembic_version SET version_num = 'b' WHERE version_num = 'a'",
        "INSERT INTO alembic_version (version_num) VALUES ('a') RETURNING version_num",
        "INSERT INTO pgmigrations (name, run_on) VALUES ('a', NOW())",
        "SELECT pg_catalog.format_type(1, 2), gen_random_uuid()",
        "SET lock_timeout = '4s'",
        "SET LOCAL search_path = app",
        "SAVEPOINT a",
        "ROLLBACK TO a",
        "RELEASE a",
        "LOCK TABLE t IN EXCLUSIVE MODE",
        "CREATE TEMP TABLE t (a int) ON COMMIT DROP",
        "DO $$ BEGIN UPDATE t SET a = 1; END $$",
        "SELECT explore_(1), solo_ride FROM t WHERE note = 'xnextval'",
        "SET CONSTRAINTS ALL IMMEDIATE",
        "BEGIN",
        "",
    ] {
        assert_eq!(of(text).err(), None, "{text}");
    }
}

#[test]
fn every_word_that_forbids_it_does() {
    for command in COMMANDS {
        let text = match command {
            "COPY" => continue,
            "DEALLOCATE" | "EXECUTE" | "MOVE" | "NOTIFY" | "LISTEN" | "UNLISTEN" => format!("{command} a"),
            "DECLARE" => "DECLARE a CURSOR FOR SELECT 1".to_owned(),
            "DISCARD" => "DISCARD PLANS".to_owned(),
            "FETCH" => "FETCH a".to_owned(),
            "LOAD" => "LOAD 'a'".to_owned(),
            "PREPARE" => "PREPARE a AS SELECT 1".to_owned(),
            other => panic!("{other} has no example"),
        };
        assert_eq!(of(&text).err(), Some(Unfit::Command(command)), "{text}");
    }
    for function in OUTSIDE {
        for text in [
            format!("SELECT {function}x(1)"),
            format!("UPDATE t SET a = pg_catalog.{}b()", function.to_uppercase()),
        ] {
            assert_eq!(of(&text).err(), Some(Unfit::Names(function)), "{text}");
        }
    }
    for function in SEQUENCES {
        assert_eq!(of(&format!("SELECT {function}('s')")).err(), Some(Unfit::Names(function)));
    }
}

#[test]
fn what_outlives_a_rollback_or_differs_cannot() {
    use Unfit::{Command, Copy, Names, Unknown, Unread};
    for (text, why) in [
        ("SELECT nextval('s')", Names("nextval")),
        ("INSERT INTO t VALUES (pg_catalog.NEXTVAL('s'))", Names("nextval")),
        ("SELECT setval('s', 1)", Names("setval")),
        ("INSERT INTO u SELECT currval('s')", Names("currval")),
        ("SELECT lastval()", Names("lastval")),
        ("DO $$ BEGIN PERFORM nextval('s'); END $$", Names("nextval")),
        ("SELECT pg_advisory_lock(1)", Names("pg_advisory_")),
        ("SELECT pg_try_advisory_xact_lock(1)", Names("pg_try_advisory_")),
        ("SELECT pg_notify('a', 'b')", Names("pg_notify")),
        ("SELECT dblink_exec('dbname=x', 'DELETE FROM t')", Names("dblink")),
        (
            "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS 'BEGIN PERFORM dblink(1); END'",
            Names("dblink"),
        ),
        ("SELECT lo_create(0)", Names("lo_")),
        ("SELECT pg_export_snapshot()", Names("pg_export_snapshot")),
        ("NOTIFY a", Command("NOTIFY")),
        ("LISTEN a", Command("LISTEN")),
        ("UNLISTEN *", Command("UNLISTEN")),
        ("DECLARE c CURSOR FOR SELECT 1", Command("DECLARE")),
        ("FETCH 1 FROM c", Command("FETCH")),
        ("MOVE 1 FROM c", Command("MOVE")),
        ("PREPARE s AS SELECT 1", Command("PREPARE")),
        ("EXECUTE s", Command("EXECUTE")),
        ("DEALLOCATE s", Command("DEALLOCATE")),
        ("DISCARD SEQUENCES", Command("DISCARD")),
        ("COPY t TO STDOUT", Command("COPY")),
        ("COMMIT AND CHAIN", Unknown),
        ("ROLLBACK AND CHAIN", Unknown),
        ("ROLLBACK", Unknown),
        ("PREPARE TRANSACTION 'x'", Command("PREPARE")),
        ("SELECT FROM FROM", Unread),
    ] {
        assert_eq!(of(text).err(), Some(why), "{text}");
    }
    let copied = journal(|out| put(out, b'd', |_| ()));
    assert_eq!(repeat(&copied).err(), Some(Copy));
    let called = journal(|out| put(out, client::FUNCTION_CALL, |_| ()));
    assert_eq!(repeat(&called).err(), Some(Unfit::FunctionCall));
}

#[test]
fn prepared_statements_must_be_its_own() {
    let own = journal(|out| {
        message::parse(out, b"s", b"SELECT my_own($1)");
        message::bind(out, b"", b"s", &["1"]);
        message::close(out, b'S', b"s");
        message::sync(out);
    });
    let repeated = repeat(&own).unwrap();
    assert_eq!((repeated.makes, repeated.borrows), (vec![b"s".to_vec()], vec![]));
    assert_eq!(repeated.calls, ["my_own".to_owned()].into());
    let mut borrowing = repeat(&journal(|out| message::bind(out, b"", b"s", &[]))).unwrap();
    assert_eq!(borrowing.borrows, ["s"]);
    assert_eq!(borrowing.read_borrowed(&[]), Err(Unfit::PreparedBefore));
    assert_eq!(borrowing.read_borrowed(&["SELECT nextval('s')"]), Err(Unfit::Names("nextval")));
    assert_eq!(borrowing.read_borrowed(&["SELECT f(1)"]), Ok(()));
    assert_eq!(borrowing.calls, ["f".to_owned()].into());
    for wrong in [
        journal(|out| message::close(out, b'S', b"s")),
        journal(|out| {
            message::bind(out, b"", b"s", &[]);
            message::parse(out, b"s", b"SELECT 1");
        }),
    ] {
        assert_eq!(repeat(&wrong).err(), Some(Unfit::PreparedBefore));
    }
    let mut failed = journal(|out| message::parse(out, b"s", b"SELECT 1"));
    let mut error = Vec::new();
    put(&mut error, b'E', |out| put_string(out, b"C42P05"));
    failed.told(&error);
    assert_eq!(repeat(&failed).err(), Some(Unfit::PreparedBefore));
}

#[test]
fn its_own_patience_is_seen() {
    assert_eq!(of("SET lock_timeout = 1").unwrap().patience, Patience::Its);
    assert_eq!(of("SHOW LOCK_TIMEOUT").unwrap().patience, Patience::Its);
    assert_eq!(of("SELECT 1").unwrap().patience, Patience::Ours);
}

/// Answers as letters: `b` tag BEGIN, `a` and `c` other tags, `N` a notice, `Z` the end of a message.
fn answers(letters: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for letter in letters.bytes() {
        match letter {
            b'Z' => put(&mut out, b'Z', |out| out.push(b'T')),
            b'N' => put(&mut out, b'N', |out| out.push(0)),
            tag => put(&mut out, b'C', |out| put_string(out, &[tag])),
        }
    }
    out
}

#[test]
fn the_first_difference_is_named() {
    let mut journal = journal(|out| {
        query(out, "/* a */ alter table t add a int");
        message::parse(out, b"", b"select 1");
        message::sync(out);
        message::parse(out, b"", b"update t set a = 1");
    });
    journal.told(&answers("bZNaZcZa"));
    let repeat = repeat(&journal).unwrap();
    let check = |letters: &str| {
        let mut check = repeat.check();
        check.heard(&answers(letters));
        (check.difference(), check.last_difference())
    };
    let named = |what: &str| Some(what.to_owned());
    assert_eq!(check("bZaZcZa"), (None, None));
    assert_eq!(check("NbNZaZcNZaN"), (None, None));
    let second = named("message 2 of the transaction (ALTER)");
    assert_eq!(check("bZcZcZa"), (second.clone(), second));
    let third = named("message 3 of the transaction (SELECT)");
    assert_eq!(check("bZaZaZa"), (third.clone(), third));
    assert_eq!(check("bZaZcZc"), (None, named("message 4 of the transaction (UPDATE)")));
    assert_eq!(check("bZaZcZaZ").0, named("message 4 of the transaction (UPDATE)"));
}
