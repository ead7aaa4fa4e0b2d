//! Steps are taken back as they are done: without keeping others waiting, and not for ever.

use crate::support::eventually;
use crate::support::stage::{Person, Stage, Way};

use lockkeeper::cluster::Stop;

/// A CHECK that takes its time on every row, so that there is time to interfere.
const SLOW: &str = "CREATE FUNCTION slow(int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.1); RETURN true; END'";
const CHECK: &str = "ALTER TABLE orders ADD CONSTRAINT s CHECK (slow(id))";
const VALIDATING: &str = "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '%VALIDATE%' AND state = 'active' AND pid <> pg_backend_pid()";
const GONE: &str = "SELECT count(*) = 0 FROM pg_constraint WHERE conname = 's'";
const UNDO: &str = "ALTER TABLE orders DROP CONSTRAINT IF EXISTS s";

/// A plan in its long step, and a reader whose transaction is older than any patience.
fn with_an_old_reader(stage: &Stage, client: &mut Person) -> Person {
    stage.straight().all(&[SLOW]);
    client.send(Way::Simple, CHECK);
    stage.until(VALIDATING);
    let mut reader = stage.straight();
    reader.all(&["BEGIN", "SELECT count(*) FROM orders"]);
    let old = "SELECT clock_timestamp() - xact_start > interval '2.5 s' FROM pg_stat_activity WHERE state = 'idle in transaction'";
    stage.until(old);
    reader
}

fn tries(stage: &Stage) -> usize {
    stage.cluster.log().matches(UNDO).count()
}

#[test]
fn who_reads_for_long_is_waited_for_outside_the_queue() {
    let stage = Stage::new();
    let mut client = stage.through();
    let mut reader = with_an_old_reader(&stage, &mut client);
    client.cancel();
    // The client is told who is in the way, so it is being waited for.
    let told = eventually("told", || {
        let frame = client.raw.frame();
        (frame.tag == b'N' && frame.message().contains("outside the lock queue")).then(|| frame.field(b'D'))
    });
    assert!(told.is_some_and(|detail| detail.contains("idle in transaction")));
    assert_eq!(tries(&stage), 0, "{}", stage.cluster.log());
    assert_eq!(stage.now(GONE), "f");
    reader.all(&["COMMIT"]);
    let answer = client.answer();
    assert_eq!(answer.failure(), "57014");
    assert!(answer.detail().contains("nothing is left behind"), "{}", answer.detail());
    assert_eq!(stage.now(GONE), "t");
    assert_eq!(tries(&stage), 1);
}

#[test]
fn it_ends_when_the_time_is_over_and_says_what_is_left() {
    let stage = Stage::new();
    let mut client = stage.through();
    client.all(&["SET lockkeeper.retry_for = '1s'"]);
    let mut reader = with_an_old_reader(&stage, &mut client);
    client.cancel();
    let answer = client.answer();
    assert_eq!(answer.failure(), "57014");
    assert!(answer.hint().contains(UNDO), "{}", answer.hint());
    assert_eq!(stage.now(GONE), "f");
    reader.all(&["COMMIT", UNDO]);
    assert_eq!(client.table("SHOW lock_timeout"), "0");
}

#[test]
fn it_ends_with_the_server() {
    let mut stage = Stage::new();
    let mut client = stage.through();
    let _reader = with_an_old_reader(&stage, &mut client);
    client.cancel();
    eventually("told", || client.raw.frame().message().contains("outside the lock queue").then_some(()));
    stage.cluster.stop(Stop::Immediate).expect("stopped");
    client.raw.until_end();
}

/// A step of the plan for a new column, and how it is held up.
const HELD_UP: [(&str, &str, &str); 3] = [
    ("ALTER TABLE orders ADD x int DEFAULT 1 CHECK (slow(x + id)) UNIQUE", "SELECT 1", "VALIDATE"),
    (
        "ALTER TABLE orders ADD x int UNIQUE CHECK (x > 0)",
        "SELECT count(*) FROM other",
        "CREATE UNIQUE INDEX",
    ),
    (
        "ALTER TABLE orders ADD x int UNIQUE CHECK (x > 0)",
        "SELECT count(*) FROM orders",
        "SELECT pg_catalog.pg_sleep",
    ),
];

#[test]
fn a_new_column_goes_with_whoever_wanted_it() {
    let stage = Stage::new();
    stage.straight().all(&[SLOW, "CREATE TABLE other ()"]);
    let columns = "SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attnum > 0 AND NOT attisdropped";
    let before = stage.now(columns);
    for (sql, holds_up, step) in HELD_UP {
        let reached = format!(
            "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '{step}%' AND state = 'active' AND pid <> pg_backend_pid()"
        )
        .replace("'VALIDATE", "'%VALIDATE");
        for leaves in [false, true] {
            let mut other = stage.straight();
            other.all(&["BEGIN ISOLATION LEVEL REPEATABLE READ", holds_up]);
            let mut client = Some(stage.through());
            client.as_mut().expect("there").send(Way::Simple, sql);
            stage.until(&reached);
            if leaves {
                client = None;
            } else {
                client.as_ref().expect("there").cancel();
            }
            // What is taken back locks the table for a moment, which needs it to be free.
            if holds_up.contains("orders") {
                other.all(&["COMMIT"]);
            }
            if let Some(client) = &mut client {
                assert_eq!(client.answer().failure(), "57014", "{sql}");
                assert_eq!(client.table("SELECT 1"), "1");
            }
            let gone = format!("SELECT ({columns}) = '{before}'");
            stage.until(&gone);
            stage.until("SELECT count(*) = 1 FROM pg_index WHERE indrelid = 'orders'::regclass");
        }
    }
}
