//! Functions and procedures whose DDL nobody sees in the statement that calls them: nobody waits behind it for long.

use std::thread;

use lockkeeper::cluster::Installation;

use crate::stall::{WAITED, under_traffic};
use crate::support::stage::{Answer, Person, Stage, Way};
use crate::support::{each_major, eventually};

/// A function that locks the table for a moment; `others` call it, and each is another way to lock.
const MIGRATE: &str = "CREATE FUNCTION migrate() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
    RAISE NOTICE 'on my way'; ALTER TABLE orders ADD COLUMN IF NOT EXISTS added int; RETURN 7; END $$";

const OTHERS: [&str; 4] = [
    "CREATE FUNCTION calls_it() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN migrate(); END'",
    "CREATE FUNCTION run(text) RETURNS int LANGUAGE plpgsql AS 'BEGIN EXECUTE $1; RETURN 7; END'",
    "CREATE FUNCTION in_sql() RETURNS int LANGUAGE sql VOLATILE AS 'ALTER TABLE orders ADD COLUMN IF NOT EXISTS added int; SELECT 7'",
    "CREATE PROCEDURE proceed() LANGUAGE plpgsql AS 'BEGIN ALTER TABLE orders ADD COLUMN IF NOT EXISTS added int; END'",
];

const ADDED: &str =
    "SELECT count(*) FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'added'";

/// Makes functions through the proxy, so that it knows them at once.
fn make(stage: &Stage, functions: &[&str]) {
    stage.through().all(functions);
}

/// A reader that holds the table.
fn reader(stage: &Stage) -> Person {
    let mut reader = stage.straight();
    reader.all(&["BEGIN", "SELECT count(*) FROM orders"]);
    reader
}

/// What a call brings behind a reader, who goes when it is said that the call waits for him, with an application on the table meanwhile.
fn behind_a_reader(stage: &Stage, client: &mut Person, sql: &str) -> Answer {
    let mut reader = reader(stage);
    under_traffic(stage, || {
        client.send(Way::Simple, sql);
        eventually("it waits outside", || {
            let frame = client.raw.frame();
            let waits = "waiting outside the lock queue for AccessExclusiveLock on ";
            (frame.tag == b'N' && frame.message().starts_with(waits)).then_some(())
        });
        reader.all(&["COMMIT"]);
        client.answer()
    })
}

#[test]
fn what_queues_for_its_lock_gives_way_until_it_is_free() {
    let mut forms = 4;
    for installation in each_major() {
        let major = installation.major;
        let stage = Stage::on(installation);
        make(&stage, &[MIGRATE]);
        make(&stage, &OTHERS);
        let all = [
            "SELECT migrate()",
            "SELECT * FROM public.\"calls_it\" ()",
            "SELECT run('ALTER TABLE orders ADD COLUMN IF NOT EXISTS added int')",
            "VALUES (1 + in_sql())",
        ];
        // The newest comes first.
        for sql in all.into_iter().take(std::mem::replace(&mut forms, 1)) {
            stage.straight().all(&["ALTER TABLE orders DROP COLUMN IF EXISTS added"]);
            let mut client = stage.through();
            client.all(&["SET lock_timeout = '7s'"]);
            let answer = behind_a_reader(&stage, &mut client, sql);
            assert!(answer.error().is_none(), "{major}: {sql}: {answer:?}");
            assert_eq!(stage.now(ADDED), "1", "{major}: {sql}");
            assert_eq!(client.table("SHOW lock_timeout"), "7s", "{major}: {sql}");
        }
    }
}

/// By the extended protocol the portal is the client's, and can be run once.
#[test]
fn a_portal_gives_way_with_an_error() {
    let stage = Stage::new();
    make(&stage, &[MIGRATE]);
    make(&stage, &OTHERS);
    for sql in ["SELECT migrate()", "CALL proceed()"] {
        let mut client = stage.through();
        assert!(client.ask(Way::Extended, sql).error().is_none(), "{sql}");
        let mut reader = reader(&stage);
        let answer = under_traffic(&stage, || client.ask(Way::Extended, sql));
        assert_eq!(answer.failure(), "55P03", "{sql}: {answer:?}");
        assert!(
            answer.detail().contains("waiting behind it, the longest for "),
            "{sql}: {}",
            answer.detail()
        );
        assert!(answer.hint().contains("SET lockkeeper.max_stall"), "{sql}: {}", answer.hint());
        reader.all(&["COMMIT"]);
        assert!(client.ask(Way::Extended, sql).error().is_none(), "{sql}");
    }
}

#[test]
fn what_holds_its_lock_for_long_is_given_up() {
    let stage = Stage::new();
    let slow = "CREATE FUNCTION slow() RETURNS void LANGUAGE plpgsql AS 'BEGIN ALTER TABLE orders ADD added int; PERFORM pg_sleep(10); END'";
    let commits = "CREATE PROCEDURE commits() LANGUAGE plpgsql AS 'BEGIN COMMIT; LOCK TABLE orders; PERFORM pg_sleep(10); END'";
    make(&stage, &[slow, commits]);
    for (sql, tried) in [
        ("SELECT slow()", "It held its locks each time; attempts so cancelled: 5."),
        ("CALL commits()", "It was not tried again, since what came before it cannot be done again."),
        (
            "SELECT 1; SELECT slow()",
            "It was not tried again, since what came before it cannot be done again.",
        ),
    ] {
        let mut client = stage.through();
        let answer = under_traffic(&stage, || client.query(sql));
        let error = answer.error().expect("an error");
        assert_eq!((error.sqlstate().as_str(), error.message().as_str()), ("55P03", WAITED), "{answer:?}");
        assert!(answer.detail().ends_with(tried), "{sql}: {}", answer.detail());
        assert_eq!((answer.status(), stage.now(ADDED).as_str()), ('I', "0"), "{sql}");
    }
    let mut client = stage.through();
    client.all(&["SET lockkeeper.max_stall = '30s'"]);
    client.send(Way::Simple, "SELECT slow()");
    stage.until("SELECT count(*) = 1 FROM pg_locks WHERE relation = 'orders'::regclass AND mode = 'AccessExclusiveLock' AND granted");
    let mut other = stage.straight();
    other.all(&["SET statement_timeout = '1s'"]);
    assert_eq!(other.query("SELECT count(*) FROM orders").failure(), "57014", "others may wait for longer");
    client.cancel();
    assert_eq!(client.answer().failure(), "57014");
}

/// Rows that are locked, and locks that stop nobody who reads or writes, are ordinary work; so are sessions that wait for them.
#[test]
fn ordinary_work_of_such_a_function_is_not_disturbed() {
    let stage = Stage::new();
    let touch = "CREATE FUNCTION touch() RETURNS SETOF int LANGUAGE plpgsql AS $$ BEGIN
        DROP TABLE IF EXISTS never_there; UPDATE orders SET note = 'x' WHERE id = 1;
        PERFORM pg_sleep(0.7); RETURN QUERY SELECT id FROM orders WHERE id < 3 ORDER BY id; END $$";
    make(&stage, &[touch]);
    for way in Way::BOTH {
        let mut client = stage.through();
        client.send(way, "SELECT touch()");
        stage.until("SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
        let (mut writer, mut ddl) = (stage.straight(), stage.straight());
        ddl.send(Way::Simple, "ALTER TABLE orders ALTER note SET DEFAULT 'y'");
        writer.send(Way::Simple, "UPDATE orders SET note = 'z' WHERE id = 1");
        let answer = client.answer();
        assert_eq!((answer.error(), answer.tag().as_str()), (None, "SELECT 2"), "{way:?}");
        ddl.answer().tag();
        writer.answer().tag();
    }
}

/// Who waits for a migration is seen to, whatever function he has called.
#[test]
fn who_calls_such_a_function_is_a_victim_like_any_other() {
    let stage = Stage::new();
    let reads = "CREATE FUNCTION reads() RETURNS bigint LANGUAGE plpgsql AS
        'BEGIN DROP TABLE IF EXISTS never_there; RETURN (SELECT count(*) FROM orders); END'";
    let slow = "CREATE FUNCTION slow(text) RETURNS text LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.1); RETURN $1; END'";
    make(&stage, &[reads, slow]);
    let mut migration = stage.through();
    migration.send(Way::Simple, "ALTER TABLE orders ALTER note TYPE varchar USING slow(note)");
    stage.until("SELECT count(*) = 1 FROM pg_locks WHERE relation = 'orders'::regclass AND mode = 'AccessExclusiveLock' AND granted");
    let mut application = stage.through();
    application.all(&["SET lock_timeout = '1s'"]);
    assert_eq!(application.query("SELECT reads()").tag(), "SELECT 1");
    migration.cancel();
    assert!(migration.answer().error().is_some());
}

#[test]
fn answers_are_those_of_the_server() {
    each_major().into_iter().for_each(answers_on);
}

fn answers_on(installation: Installation) {
    let stage = Stage::on(installation);
    let fails = "CREATE FUNCTION fails() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
        DROP TABLE IF EXISTS never_there; RAISE NOTICE 'soon'; RAISE EXCEPTION 'no' USING ERRCODE = 'P0042'; END $$";
    let long = "CREATE FUNCTION long() RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN
        DROP TABLE IF EXISTS never_there; RETURN QUERY SELECT repeat('x', 1000) FROM generate_series(1, 5000); END $$";
    let commits = "CREATE PROCEDURE commits(INOUT n int) LANGUAGE plpgsql AS $$ BEGIN
        DROP TABLE IF EXISTS never_there; INSERT INTO orders VALUES (n); COMMIT; n := n + 1; END $$";
    make(&stage, &[fails, long, commits, MIGRATE]);
    for way in Way::BOTH {
        let mut client = stage.through();
        let answer = client.ask(way, "SELECT fails()");
        assert_eq!((answer.failure().as_str(), answer.status()), ("P0042", 'I'), "{way:?}");
        assert_eq!((answer.detail(), answer.hint()), (String::new(), String::new()), "{way:?}");
        assert!(answer.notices().join("\n").contains("soon"), "{way:?}: {answer:?}");
        assert_eq!(client.ask(way, "SELECT long()").tag(), "SELECT 5000", "{way:?}");
        let number = if way == Way::Simple { 2000 } else { 3000 };
        assert_eq!(client.ask(way, &format!("CALL commits({number})")).tag(), "CALL", "{way:?}");
        assert_eq!(stage.now(&format!("SELECT count(*) FROM orders WHERE id = {number}")), "1", "{way:?}");
        // In a transaction it is a part of that.
        client.all(&["BEGIN"]);
        assert_eq!(client.ask(way, "SELECT migrate()").tag(), "SELECT 1", "{way:?}");
        assert_eq!(client.ask(way, "SELECT fails()").status(), 'E', "{way:?}");
        client.all(&["ROLLBACK"]);
        assert_eq!(stage.now(ADDED), "0", "{way:?}");
    }
}

/// What has no DDL in it is not even looked at, and what is allowed or observed runs as sent.
#[test]
fn other_functions_pass() {
    let stage = Stage::new();
    let plain = "CREATE FUNCTION plain(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN $1; END'";
    make(&stage, &[plain, OTHERS[1], MIGRATE]);
    let looks = || stage.cluster.log().matches("current_setting('lockkeeper.mode'").count();
    let before = looks();
    for way in Way::BOTH {
        let mut client = stage.through();
        for sql in
            ["SELECT plain(1)", "SELECT run('SELECT 1')", "SELECT migrate FROM (SELECT 1) AS x (migrate)"]
        {
            assert_eq!(client.ask(way, sql).tag(), "SELECT 1", "{sql}");
        }
    }
    assert_eq!(looks(), before);
    assert_eq!(stage.through().query("SELECT migrate()").tag(), "SELECT 1");
    assert_eq!(looks(), before + 1);
    let mut client = stage.through();
    client.all(&["SET lockkeeper.mode = 'off'", "SELECT migrate()"]);
    let allowed = "/* lockkeeper: allow opaque-ddl because it is quick */ SELECT migrate()";
    assert_eq!(client.query(allowed).tag(), "SELECT 1");
}

/// What others make, past the proxy, is found by a look.
#[test]
fn functions_of_others_are_known_after_a_look() {
    for installation in each_major() {
        let stage = Stage::on(installation);
        stage.straight().all(&[MIGRATE, OTHERS[0]]);
        stage.straight().all(&[
            "CREATE FUNCTION harmless() RETURNS int LANGUAGE sql AS 'SELECT 1 /* altered */ -- migrated()'",
            "CREATE FUNCTION at_once() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DROP TABLE x; RETURN NEW; END'",
        ]);
        let looks = || stage.cluster.log().matches("current_setting('lockkeeper.mode'").count();
        let mut client = stage.through();
        eventually("the function is known", || {
            // What makes a function asks for a look.
            client.all(&["CREATE OR REPLACE FUNCTION other() RETURNS int LANGUAGE sql AS 'SELECT 1'"]);
            let before = looks();
            client.all(&["SELECT calls_it()"]);
            (looks() > before).then_some(())
        });
        let before = looks();
        client.all(&["SELECT harmless()"]);
        assert_eq!(client.query("SELECT at_once()").failure(), "0A000");
        assert_eq!(looks(), before);
    }
}

/// Who locks a table for a moment to be alone with it is not charged with the queue of those who want the same.
#[test]
fn who_queues_for_the_same_lock_is_nobodys_victim() {
    let stage = Stage::new();
    let alone = "CREATE FUNCTION alone() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
        LOCK TABLE orders IN EXCLUSIVE MODE; PERFORM pg_sleep(0.03); UPDATE orders SET note = 'x' WHERE id = 1; END $$";
    make(&stage, &[alone]);
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let mut client = stage.through();
                for _ in 0..10 {
                    assert_eq!(client.query("SELECT alone()").tag(), "SELECT 1");
                }
            });
        }
    });
}

/// What a function has locked in a transaction is locked while the next statement waits.
#[test]
fn in_a_transaction_nothing_waits_behind_what_it_has_locked() {
    let stage = Stage::new();
    make(&stage, &[MIGRATE]);
    stage.straight().all(&["CREATE TABLE other (a int)"]);
    let mut reader = stage.straight();
    reader.all(&["BEGIN", "SELECT count(*) FROM other"]);
    let mut client = stage.through();
    client.all(&["BEGIN", "SELECT migrate()"]);
    assert_eq!(client.query("ALTER TABLE other ADD b int").failure(), "55P03");
}

/// More than a megabyte of a binary COPY, in which the bytes of messages stand.
#[test]
fn long_answers_pass_as_they_are() {
    let stage = Stage::new();
    make(
        &stage,
        &[
            "CREATE FUNCTION dropper(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN DROP TABLE IF EXISTS never_there; RETURN $1; END'",
        ],
    );
    let copy = "COPY (SELECT decode(repeat('58000000054e4e00000006414258000000054e00', 2000), 'hex'), dropper(n) \
         FROM generate_series(1, 100) n) TO STDOUT (FORMAT binary)";
    let data = |mut person: Person| -> Vec<Vec<u8>> {
        let answer = person.query(copy);
        answer.0.into_iter().filter(|frame| frame.tag == b'd').map(|frame| frame.body).collect()
    };
    assert!(data(stage.through()) == data(stage.straight()));
}

/// What was committed before the lock is not committed again.
#[test]
fn a_procedure_is_called_once() {
    let stage = Stage::new();
    let hides = "CREATE PROCEDURE hides() LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO log VALUES ('-- hidden --'); COMMIT; ALTER TABLE orders ADD COLUMN added int; END $$";
    make(&stage, &["CREATE TABLE log (a text)", hides]);
    let _reader = reader(&stage);
    for (times, way) in (1..).zip(Way::BOTH) {
        let answer = under_traffic(&stage, || stage.through().ask(way, "CALL hides()"));
        assert_eq!(answer.failure(), "55P03", "{way:?}: {answer:?}");
        assert_eq!(stage.now("SELECT count(*) FROM log"), times.to_string(), "{way:?}");
    }
}

/// Time-outs of the client's own, and deadlocks, are told in the server's words.
#[test]
fn what_the_client_waits_for_itself_is_between_it_and_the_server() {
    let stage = Stage::new();
    let both = "CREATE FUNCTION both_rows() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
        DROP TABLE IF EXISTS never_there; UPDATE orders SET note = 'x' WHERE id = 1;
        UPDATE orders SET note = 'x' WHERE id = 2; END $$";
    make(&stage, &[both]);
    let mut other = stage.straight();
    other.all(&["SET deadlock_timeout = '1min'", "BEGIN", "UPDATE orders SET note = 'y' WHERE id = 2"]);
    for begin in ["SELECT 1", "BEGIN"] {
        let mut client = stage.through();
        client.all(&["SET lock_timeout = '50ms'", begin]);
        let answer = client.query("SELECT both_rows()");
        assert_eq!(answer.failure(), "55P03", "{answer:?}");
        assert_eq!((answer.detail(), answer.hint()), (String::new(), String::new()), "{answer:?}");
    }
    let mut client = stage.through();
    client.send(Way::Simple, "SELECT both_rows()");
    stage.until("SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'");
    other.send(Way::Simple, "UPDATE orders SET note = 'y' WHERE id = 1");
    assert_eq!(client.answer().failure(), "40P01");
    other.answer().tag();
}

/// Some statements must be the first of their transaction.
#[test]
fn nothing_of_ours_comes_before_what_stands_first() {
    let stage = Stage::new();
    make(&stage, &[MIGRATE]);
    let mut client = stage.through();
    client.all(&["BEGIN"]);
    let answer = client.query("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; SELECT migrate()");
    assert_eq!(answer.tags(), ["SET", "SELECT 1"], "{answer:?}");
}
