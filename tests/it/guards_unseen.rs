//! Messages of several statements, transactions and hostile clients: where guarding could be felt by mistake.

use std::io::Write as _;
use std::net::TcpStream;

use crate::support::eventually;
use crate::support::raw;
use crate::support::stage::{Stage, Way};

/// A message of several statements that fails in a transaction block is an ordinary failure, not the session's end.
#[test]
fn a_failing_message_in_a_block_fails_the_block_only() {
    let stage = Stage::new();
    let mut client = stage.through();
    for (before, text) in [
        ("BEGIN", "ALTER TABLE orders ADD a int; SELECT 1 / 0"),
        ("SELECT 1", "BEGIN; ALTER TABLE orders ADD a int; SELECT 1 / 0; COMMIT"),
    ] {
        client.all(&["SET lock_timeout = '7s'", before]);
        let answer = client.query(text);
        assert_eq!(answer.error().expect(text).sqlstate(), "22012", "{text}");
        assert_eq!(answer.status(), 'E', "{text}");
        assert_eq!(client.query("ROLLBACK").status(), 'I');
        assert_eq!(client.table("SHOW lock_timeout"), "7s", "{text}");
    }
}

/// What a message of several statements begins may be rolled back by another; the client's setting stays the client's.
#[test]
fn a_transaction_begun_in_a_message_leaves_the_settings() {
    let stage = Stage::new();
    let mut client = stage.through();
    for end in ["ROLLBACK", "COMMIT"] {
        for way in Way::BOTH {
            client.all(&["SET lock_timeout = '7s'"]);
            client.query("BEGIN; ALTER TABLE orders ADD IF NOT EXISTS a int");
            assert_eq!(client.table("SHOW lock_timeout"), "7s", "{end} {way:?}");
            client.ask(way, end);
            assert_eq!(client.ask(way, "SELECT 1").tag(), "SELECT 1");
            assert_eq!(client.table("SHOW lock_timeout"), "7s", "{end} {way:?}");
        }
    }
}

/// A message of several statements waits in a block as one statement does: behind a savepoint.
#[test]
fn a_message_in_a_block_waits_outside_the_queue() {
    let stage = Stage::new();
    let mut other = stage.straight();
    let mut client = stage.through();
    other.all(&["BEGIN", "SELECT * FROM orders"]);
    client.all(&["SET lock_timeout = '7s'", "BEGIN", "INSERT INTO orders VALUES (1000)"]);
    client.send(Way::Simple, "ALTER TABLE orders ADD a int; SELECT 1");
    stage
        .until(&format!("SELECT query LIKE '%pg_sleep%' FROM pg_stat_activity WHERE pid = {}", client.pid()));
    other.all(&["ROLLBACK"]);
    let answer = client.answer();
    assert_eq!((answer.tags(), answer.status()), (vec!["ALTER TABLE".into(), "SELECT 1".into()], 'T'));
    client.all(&["COMMIT"]);
    assert_eq!(client.table("SELECT count(a), count(*) FROM orders"), "0|101");
    assert_eq!(client.table("SHOW lock_timeout"), "7s");
}

/// The data of a COPY that stands beside DDL in one message reach the server.
#[test]
fn copy_beside_ddl_gets_its_data() {
    let stage = Stage::new();
    let mut client = stage.through();
    client.send(Way::Simple, "ALTER TABLE orders ADD a int; COPY orders (id) FROM STDIN; SELECT 2");
    client.raw.until(b'G');
    for id in 1001..1004 {
        client.raw.send(&raw::copy_data(format!("{id}\n").as_bytes()));
    }
    client.raw.send(&raw::copy_data(b"2000\n"));
    client.raw.send(&[raw::copy_done(), raw::query("SELECT 3")].concat());
    assert_eq!(client.answer().tags(), ["COPY 4", "SELECT 1"]);
    assert_eq!(client.answer().tag(), "SELECT 1");
    // What the client gives up, and what the server does not take.
    client.send(Way::Simple, "ALTER TABLE orders ADD b int; COPY orders (id) FROM STDIN");
    client.raw.until(b'G');
    client.raw.send(&raw::copy_fail("no more"));
    assert_eq!(client.answer().failure(), "57014");
    client.send(Way::Simple, "ALTER TABLE orders ADD b int; COPY orders (id) FROM STDIN");
    client.raw.until(b'G');
    client.raw.send(&raw::copy_data(b"x\n"));
    let answer = client.answer();
    assert_eq!((answer.failure().as_str(), answer.status()), ("22P02", 'I'));
    client.raw.send(&raw::copy_done());
    assert_eq!(client.table("SHOW lock_timeout"), "0");
    // Somebody who leaves in the middle.
    client.send(Way::Simple, "ALTER TABLE orders ADD c int; COPY orders (id) FROM STDIN");
    client.raw.until(b'G');
    let pid = client.pid();
    drop(client);
    stage.until(&format!("SELECT NOT EXISTS (SELECT 1 FROM pg_stat_activity WHERE pid = {pid})"));
}

/// A lock that was taken without waiting is a lock all the same: nothing waits outside the queue while it is held.
#[test]
fn nobody_waits_while_holding_a_lock_taken_nowait() {
    let stage = Stage::new();
    let mut other = stage.straight();
    other.all(&["CREATE TABLE second (a int)", "BEGIN", "SELECT * FROM second"]);
    let mut client = stage.through();
    client.all(&["SET lockkeeper.retry_for = '300ms'"]);
    for first in [
        "LOCK TABLE orders NOWAIT",
        "-- lockkeeper: allow lock-queue because it is quick\nALTER TABLE orders ADD IF NOT EXISTS a int",
    ] {
        client.all(&["BEGIN", first]);
        let answer = client.query("ALTER TABLE second ADD b int");
        assert_eq!(answer.failure(), "55P03", "{first}");
        let aside = "NOTICE: the transaction is rolled back for now, so that nobody waits for its locks";
        assert_eq!(answer.told().first().map(String::as_str), Some(aside), "{first}");
        client.all(&["ROLLBACK"]);
    }
}

/// What behaves differently in a transaction block is not put into one.
#[test]
fn a_block_that_calls_a_procedure_which_commits_runs() {
    let stage = Stage::new();
    let mut client = stage.through();
    client.all(&[
        "CREATE PROCEDURE p() LANGUAGE plpgsql AS 'BEGIN INSERT INTO orders VALUES (5000); COMMIT; END'",
        "DO 'BEGIN CALL p(); END'",
    ]);
    if stage.now("SELECT current_setting('server_version_num')::int >= 150000") == "t" {
        client.all(&[
            "CREATE TABLE parts (a int) PARTITION BY RANGE (a)",
            "CREATE TABLE part PARTITION OF parts DEFAULT",
            "CREATE INDEX parts_a ON parts (a)",
            "CLUSTER parts USING parts_a",
        ]);
    }
}

/// While a statement waits, no more than a little is taken from a client that sends on and on.
#[test]
fn a_client_that_sends_on_is_not_taken_into_memory() {
    let stage = Stage::new();
    let mut other = stage.straight();
    other.all(&["BEGIN", "SELECT * FROM orders"]);
    let mut flood = TcpStream::connect(stage.proxy.addr()).expect("connect");
    flood
        .write_all(&raw::startup(raw::PROTOCOL_3_0, &[("user", "postgres"), ("database", "postgres")]))
        .and_then(|()| flood.write_all(&raw::query("ALTER TABLE orders ADD a int")))
        .expect("send");
    stage.until("SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep($1%')");
    flood.set_nonblocking(true).expect("nonblocking");
    let chunk = raw::query(&format!("SELECT '{}'", "x".repeat(8000))).repeat(8);
    let mut taken = 0;
    let mut blocked = 0;
    // It is over when nothing more is taken for a while.
    eventually("the client has to wait", || {
        match flood.write(&chunk) {
            Ok(count) => (taken, blocked) = (taken + count, 0),
            Err(_) => blocked += 1,
        }
        (blocked > 100 || taken > 64 << 20).then_some(())
    });
    assert!(taken < 32 << 20, "{taken} bytes were taken");
}

/// The manual's way to lock before the snapshot is taken: what was committed before the lock came must be seen.
#[test]
fn a_lock_before_the_snapshot_stays_before_it() {
    let stage = Stage::new();
    let mut other = stage.straight();
    let before: i64 = other.table("SELECT count(*) FROM orders").parse().expect("a number");
    other.all(&["BEGIN", "INSERT INTO orders VALUES (5000)"]);
    let mut client = stage.through();
    client.all(&["BEGIN ISOLATION LEVEL REPEATABLE READ"]);
    client.send(Way::Simple, "LOCK TABLE orders IN SHARE MODE");
    stage.until("SELECT EXISTS (SELECT 1 FROM pg_locks WHERE mode = 'ShareLock' AND NOT granted AND locktype = 'relation')");
    other.all(&["COMMIT"]);
    assert_eq!(client.answer().tag(), "LOCK TABLE");
    assert_eq!(client.table("SELECT count(*) FROM orders"), (before + 1).to_string());
}

/// What the server keeps of ours while a transaction is open, so that it need not be planned again while others wait.
const KEPT: &str = "SELECT name, custom_plans, generic_plans FROM pg_prepared_statements WHERE name LIKE 'lockkeeper%' ORDER BY 1";

#[test]
fn questions_are_planned_once_in_a_transaction_and_are_gone_behind_it() {
    let stage = Stage::new();
    for way in Way::BOTH {
        for end in ["COMMIT", "ROLLBACK"] {
            let mut client = stage.through();
            client.all(&["SET plan_cache_mode = force_custom_plan", "BEGIN"]);
            for column in ["a", "b", "c"] {
                client.ask(way, &format!("ALTER TABLE orders ADD {column} int")).tag();
            }
            assert_eq!(client.table(KEPT), "lockkeeper.relations|0|3", "{way:?}");
            assert_eq!(client.table("SHOW plan_cache_mode"), "force_custom_plan");
            // As poolers and drivers do.
            client.all(&["DEALLOCATE ALL"]);
            client.ask(way, "ALTER TABLE orders ADD d int").tag();
            client.ask(way, "ALTER TABLE orders DROP d").tag();
            assert_eq!(client.table(KEPT), "lockkeeper.relations|0|2", "{way:?}");
            client.ask(way, end).tag();
            assert_eq!(client.table(KEPT), "", "{way:?} {end}");
            assert_eq!(client.table("SHOW plan_cache_mode"), "force_custom_plan");
            client.all(&["ALTER TABLE orders DROP IF EXISTS a, DROP IF EXISTS b, DROP IF EXISTS c"]);
        }
    }
}

/// A transaction that fails, and one whose client does not wait for answers, leave nothing behind either.
#[test]
fn kept_questions_are_gone_however_a_transaction_ends() {
    let stage = Stage::new();
    let mut client = stage.through();
    client.all(&["BEGIN", "ALTER TABLE orders ADD a int"]);
    assert_eq!(client.query("SELECT 1 / 0").status(), 'E');
    assert_eq!(client.query("ROLLBACK").status(), 'I');
    assert_eq!(client.table(KEPT), "");
    client.query("BEGIN; ALTER TABLE orders ADD a int; COMMIT");
    assert_eq!(client.table(KEPT), "");
    let all = client
        .query("BEGIN; ALTER TABLE orders ADD b int; COMMIT; BEGIN; ALTER TABLE orders ADD c int; ROLLBACK");
    assert_eq!(all.status(), 'I', "{all:?}");
    assert_eq!(client.table(KEPT), "");
    client.all(&["BEGIN", "ALTER TABLE orders ADD c int", "CREATE INDEX later ON orders (c)", "COMMIT"]);
    assert_eq!(client.table(KEPT), "");
    assert_eq!(stage.now("SELECT indisvalid FROM pg_index WHERE indexrelid = 'later'::regclass"), "t");
}

/// Whose next batch is open already when the transaction ends keeps its portals.
#[test]
fn an_open_batch_keeps_its_portals() {
    let stage = Stage::new();
    let mut client = stage.through();
    for way in Way::BOTH {
        client.all(&["BEGIN", "ALTER TABLE orders ADD a int"]);
        let opens =
            [raw::parse("", "SELECT 7"), raw::bind("", "", &[]), raw::describe(b'P', ""), raw::flush()]
                .concat();
        client.raw.send(&[way.bytes("COMMIT"), opens].concat());
        client.raw.until(b'Z');
        client.raw.until(b'T');
        client.raw.send(&[raw::execute("", 0), raw::sync()].concat());
        let rest = client.raw.until_ready();
        assert_eq!(raw::tags(&rest), "DCZ", "{way:?} {rest:?}");
        assert_eq!(client.table(KEPT), "");
        client.all(&["ALTER TABLE orders DROP a"]);
    }
}
