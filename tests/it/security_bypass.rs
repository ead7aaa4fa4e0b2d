//! Ways by which a statement could slip past the guard: each is judged all the same.

use crate::support::eventually;
use crate::support::raw::{Raw, bind, execute, flush, parse, query, sync, tags};
use crate::wire::{Pair, errors};

/// Runs `script` and waits until as many statements have been judged as `expected`.
fn judged(pair: &Pair, expected: usize, script: impl FnOnce(&mut Raw)) {
    let count = || pair.proxy.log().matches("statement judged").count();
    let before = count();
    let mut client = pair.through();
    script(&mut client);
    eventually(&format!("{expected} statements are judged, {} are", count() - before), || {
        (count() - before >= expected).then_some(())
    });
    assert_eq!(count() - before, expected);
}

fn pair() -> Pair {
    let pair = Pair::new();
    let mut admin = pair.straight();
    admin.rows(
        "CREATE TABLE t (a int); CREATE ROLE owner; ALTER TABLE t OWNER TO owner; CREATE SCHEMA hidden",
    );
    pair
}

/// A statement that takes a strong lock, and may be repeated.
const SLY: &str = "ALTER TABLE t ALTER a SET DEFAULT 100";

#[test]
fn by_its_company() {
    let pair = pair();
    for text in [
        format!("SELECT 1; {SLY}"),
        format!("SELECT ';'; /* ; */ {SLY}; SELECT 2"),
        format!("BEGIN; {SLY}; COMMIT"),
        format!("SET ROLE owner; {SLY}; RESET ROLE"),
        format!(";{SLY}"),
        format!("SELECT $a$ $$ $a$; {SLY}"),
        format!("SELECT U&'d\\0061'; {SLY}"),
        format!("SELECT E'\\'; {SLY}; --'; {SLY}; --'"),
        format!("{}\u{feff} {SLY}", " ".repeat(1_000)).replace('\u{feff}', ""),
    ] {
        judged(&pair, 1, |client| assert_eq!(errors(&client.query(&text)), Vec::<String>::new(), "{text}"));
    }
    // What only looks like one is not held up.
    judged(&pair, 0, |client| {
        client.rows(&format!("SELECT '; {SLY}'"));
        client.rows(&format!("SELECT 1 -- ; {SLY}"));
        client.rows(&format!("SELECT E'\\'; {SLY}; --'"));
    });
}

#[test]
fn by_its_way() {
    let pair = pair();
    let extended = [parse("", SLY), bind("", "", &[]), execute("", 0)].concat();
    judged(&pair, 2, |client| {
        client.rows("SET ROLE owner");
        client.send(&[extended.clone(), sync()].concat());
        client.until_ready();
        client.send(&[extended.clone(), flush()].concat());
        client.until(b'C');
        client.send(&sync());
        client.until_ready();
    });
    // A named statement again and again, each time in a batch that is sent before the last one was answered.
    judged(&pair, 20, |client| {
        client.send(&[parse("s", SLY), sync()].concat());
        client.until_ready();
        client.send(&[bind("", "s", &[]), execute("", 0), sync()].concat().repeat(20));
        for _ in 0..20 {
            client.until_ready();
        }
    });
    // A portal that is bound while the answer to an earlier Sync is on its way.
    judged(&pair, 1, |client| {
        client.send(&[parse("s", SLY), sync()].concat());
        client.until_ready();
        client.send(&[query("SELECT pg_sleep(0.1)"), sync(), bind("p", "s", &[])].concat());
        client.until_ready();
        client.until_ready();
        client.send(&[execute("p", 0), sync()].concat());
        assert_eq!(errors(&client.until_ready()), Vec::<String>::new());
    });
    judged(&pair, 3, |client| {
        client.rows(&format!("DO $$BEGIN EXECUTE '{SLY}'; END$$"));
        client.rows(&format!(
            "CREATE FUNCTION hidden.f() RETURNS int LANGUAGE sql AS $$ {SLY}; SELECT 1 $$; {SLY}"
        ));
        client.rows(&format!("CREATE PROCEDURE hidden.p() LANGUAGE sql AS '{SLY}'"));
        client.rows("CALL hidden.p()");
    });
}

/// What ends a failed transaction may have company, in one message or in one batch.
#[test]
fn behind_the_end_of_a_failed_transaction() {
    let pair = pair();
    for end in ["ROLLBACK", "abort", "COMMIT", "END", "ROLLBACK TO s", "ROLLBACK AND CHAIN"] {
        judged(&pair, 1, |client| {
            client.rows("BEGIN; SAVEPOINT s");
            client.query("SELEKT");
            let frames = client.query(&format!("/* ; */ {end}; SELECT 1; {SLY}"));
            assert_eq!(errors(&frames), Vec::<String>::new(), "{end}");
            assert_eq!(tags(&frames).replace('N', ""), "CTDCCZ", "{end}");
        });
    }
    judged(&pair, 0, |client| {
        client.rows("BEGIN");
        client.query("SELEKT");
        assert_eq!(errors(&client.query(&format!("SELECT 1; ROLLBACK; {SLY}"))), ["25P02"]);
        assert_eq!(errors(&client.query(&format!("ROLLBACK TO nowhere; {SLY}"))), ["3B001"]);
        assert_eq!(errors(&client.query(&format!("ROLLBACK; SELECT 1a; {SLY}"))), ["0A000"]);
    });
    judged(&pair, 1, |client| {
        client.rows("BEGIN");
        client.query("SELEKT");
        assert_eq!(errors(&client.query(&format!("ROLLBACK; ROLLBACK TO s; {SLY}"))), ["25P01"]);
        client.rows("SELECT 1");
    });
}

#[test]
fn behind_the_end_of_a_transaction_in_one_batch() {
    let pair = pair();
    let extended = |sql: &str| [parse("", sql), bind("", "", &[]), execute("", 0)].concat();
    for (begin, end) in [
        ("BEGIN; SAVEPOINT s", "ROLLBACK"),
        ("BEGIN; SAVEPOINT s", "COMMIT"),
        ("BEGIN; SAVEPOINT s", "ROLLBACK TO s"),
        ("BEGIN; SAVEPOINT s", "ROLLBACK AND CHAIN"),
        ("BEGIN; SAVEPOINT s; SELEKT", "ROLLBACK"),
        ("BEGIN; SAVEPOINT s; SELEKT", "COMMIT"),
        ("BEGIN; SAVEPOINT s; SELEKT", "ROLLBACK TO s"),
    ] {
        judged(&pair, 2, |client| {
            for part in begin.split("; ") {
                client.query(part);
            }
            let batch = [extended(end), extended(SLY), extended("SELECT 1"), extended(SLY), sync()];
            client.send(&batch.concat());
            let frames = client.until_ready();
            assert_eq!(tags(&frames).replace('N', ""), "12C12C12DC12CZ", "{begin} {end} {frames:?}");
        });
    }
}

/// A change of the settings that decide how a text is read may be under way when the text comes.
#[test]
fn by_a_change_of_settings_just_before() {
    let pair = pair();
    let sly = query(&format!("SELECT '\\'; {SLY}; --'"));
    let long = query(&format!("SELECT '\\'; {}; {SLY}; --'", "x".repeat(2 << 20)));
    let set = |value: &str| format!("SET standard_conforming_strings = {value}");
    judged(&pair, 2, |client| {
        client.rows(&set("off"));
        client.send(&[query(&set("on")), sly.clone()].concat());
        client.until_ready();
        assert_eq!(errors(&client.until_ready()), Vec::<String>::new());
        client.rows(&set("off"));
        client.send(&[parse("", &set("on")), bind("", "", &[]), execute("", 0), sly.clone()].concat());
        assert_eq!(errors(&client.until_ready()), Vec::<String>::new());
        client.rows(&set("off"));
        client.send(&[query(&set("on")), long].concat());
        client.until_ready();
        assert_eq!(errors(&client.until_end()), ["54000"]);
    });
    // What is ordinary in both ways is not held up.
    judged(&pair, 0, |client| {
        client.send(&[query(&set("off")), sly, query("SELECT E'\\'; ü'")].concat());
        for _ in 0..3 {
            assert_eq!(errors(&client.until_ready()), Vec::<String>::new());
        }
    });
}

/// What servers before 15 read as a number and a word, and others not at all.
#[test]
fn by_an_ambiguous_number() {
    let pair = pair();
    let mut client = pair.through();
    let before = pair.proxy.log().matches("statement judged").count();
    client.query(&format!("SELECT 1a$b$; {SLY}; --$b$"));
    eventually("it is judged", || {
        (pair.proxy.log().matches("statement judged").count() > before).then_some(())
    });
}

/// A walsender takes SQL too, but nothing that could guard it.
#[test]
fn by_a_replication_connection() {
    let pair = Pair::with(&lockkeeper::cluster::Options::new().conf("wal_level = logical"));
    pair.straight().rows("CREATE TABLE t (a int)");
    let mut client = Raw::connect(pair.proxy.addr());
    client.start(&[("user", "postgres"), ("database", "postgres"), ("replication", "database")]);
    client.rows("CREATE TABLE made_here (a int)");
    client.rows("SELECT ';', count(*) FROM made_here");
    client.rows("IDENTIFY_SYSTEM");
    for text in [
        SLY.to_owned(),
        format!("SELECT 1; {SLY}"),
        format!("/* IDENTIFY_SYSTEM */ {SLY}"),
        "DO 'BEGIN DROP TABLE t; END'".into(),
    ] {
        let frames = client.query(&text);
        assert_eq!((tags(&frames).as_str(), errors(&frames)), ("EZ", vec!["0A000".to_owned()]), "{text}");
    }
    client.rows("BEGIN");
    assert_eq!(errors(&client.query(SLY)), ["0A000"]);
    assert_eq!(errors(&client.query("SELECT 1")), ["25P02"]);
    assert_eq!(errors(&client.query(&format!("ROLLBACK; {SLY}"))), ["0A000"]);
    client.rows("ROLLBACK");
    client.rows("CREATE_REPLICATION_SLOT s TEMPORARY PHYSICAL");
    let long = format!("/* {} */ {SLY}", "c".repeat(2 << 20));
    assert_eq!(errors(&client.query(&long)), ["54000"]);
    assert!(client.rows("SELECT 1 FROM pg_attrdef").is_empty());
}
