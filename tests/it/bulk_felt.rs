//! What an application feels while a statement goes over many rows, and what becomes of batches that meet others.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::support::eventually;
use crate::support::operated::Operated;
use crate::support::stage::{Person, Stage, Way};

/// Rows whose `n` takes its time to change: all of them at once would hold their locks for two seconds.
const SLOW: [&str; 4] = [
    "CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, c text)",
    "INSERT INTO t SELECT i FROM generate_series(1, 40) i",
    "CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.05); RETURN NEW; END'",
    "CREATE TRIGGER slowly BEFORE UPDATE OF n ON t FOR EACH ROW EXECUTE FUNCTION slowly()",
];

const COUNT_UP: &str = "UPDATE t SET n = n + 1";

/// How often each row was counted up, and how many there are.
const COUNTED: &str = "SELECT min(n), max(n), count(*) FROM t";

/// Somebody of the application, none of whose queries may wait for half of the time that all rows take.
fn application(stage: &Stage) -> Person {
    let mut person = stage.straight();
    person.all(&["SET lock_timeout = '1s'", "SET deadlock_timeout = '1h'"]);
    person
}

/// Somebody for whom ten rows are many.
fn migrator(stage: &Stage) -> Person {
    let mut person = stage.through();
    person.all(&["SET lockkeeper.bulk_rows = 10"]);
    person
}

/// What `work` brings, while an application writes rows, of which there are so many, one after the other.
fn under_writes<T>(stage: &Stage, rows: u32, work: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    let mut person = application(stage);
    thread::scope(|scope| {
        let writes = scope.spawn(|| {
            let mut turn = 0_u32;
            while !over.load(Ordering::Relaxed) {
                turn = turn.wrapping_add(7);
                person.query(&format!("UPDATE t SET c = c || '.' WHERE id = {}", turn % rows + 1)).tag();
            }
        });
        let outcome = work();
        over.store(true, Ordering::Relaxed);
        writes.join().expect("the application was served");
        outcome
    })
}

#[test]
fn who_writes_rows_does_not_wait_for_a_batch() {
    let stage = Stage::new();
    stage.straight().all(&SLOW);
    for (at, way) in Way::BOTH.into_iter().enumerate() {
        let answer = under_writes(&stage, 40, || migrator(&stage).ask(way, COUNT_UP));
        assert_eq!(answer.tag(), "UPDATE 40", "{answer:?}");
        let times = at + 1;
        assert_eq!(stage.now(COUNTED), format!("{times}|{times}|40"));
    }
}

/// Who has waited for too long is let go before, however often; without time for that the statement ends with the reason.
#[test]
fn a_batch_that_is_always_waited_for_is_given_up() {
    let stage = Stage::new();
    stage.straight().all(&SLOW);
    stage.straight().all(&["CREATE OR REPLACE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS \
         'BEGIN IF NEW.id = 7 THEN PERFORM pg_sleep(0.4); END IF; RETURN NEW; END'"]);
    stage.straight().all(&["UPDATE t SET c = ''"]);
    let answer = {
        let over = AtomicBool::new(false);
        let mut person = application(&stage);
        thread::scope(|scope| {
            let writes = scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    person.query("UPDATE t SET c = c || '.' WHERE id = 7").tag();
                }
            });
            let mut client = migrator(&stage);
            client.all(&["SET lockkeeper.retry_for = '2s'"]);
            let answer = client.query(COUNT_UP);
            over.store(true, Ordering::Relaxed);
            writes.join().expect("the application was served");
            answer
        })
    };
    assert_eq!(answer.failure(), "55P03", "{answer:?}");
    assert!(answer.detail().contains("was waiting behind it, the longest for "), "{answer:?}");
    assert!(answer.detail().contains("6 rows are updated and stay so"), "{answer:?}");
    let hint = answer.hint();
    assert!(
        hint.contains("SET lockkeeper.max_stall") && hint.contains("Go on: lockkeeper resume "),
        "{answer:?}"
    );
    assert_eq!(stage.now("SELECT sum(n) FROM t WHERE id < 7"), "6");
    assert_eq!(stage.now("SELECT sum(n) FROM t WHERE id >= 7"), "0");
}

/// Rows whose `n` changes only while nobody has an advisory lock.
const GATE: [&str; 4] = [
    "CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, c text)",
    "INSERT INTO t SELECT i FROM generate_series(1, 1000) i",
    "CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_lock_shared(1); \
     PERFORM pg_advisory_unlock_shared(1); RETURN NEW; END'",
    "CREATE TRIGGER gate BEFORE UPDATE OF n ON t FOR EACH ROW EXECUTE FUNCTION gate()",
];

/// A statement that is at its first batch, while the holder has a row that comes later; and both go on from there.
fn beside_a_holder(stage: &Stage, settings: &[&str], row: u32) -> (Person, Person) {
    let mut beside = stage.straight();
    beside.all(&GATE);
    beside.all(&["SELECT pg_advisory_lock(1)"]);
    let mut client = migrator(stage);
    client.all(settings);
    client.send(Way::Simple, COUNT_UP);
    stage.until("SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'advisory')");
    let mut holder = application(stage);
    holder.all(&["BEGIN", &format!("UPDATE t SET c = 'held' WHERE id = {row}")]);
    beside.all(&["SELECT pg_advisory_unlock(1)"]);
    let waits =
        "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted AND locktype IN ('transactionid', 'tuple'))";
    stage.until(waits);
    (client, holder)
}

/// Rows before one that somebody holds are written meanwhile, and not held for as long as he does; whoever asks is told.
#[test]
fn who_holds_a_row_holds_no_others_up() {
    let operated = Operated::new();
    let stage = &operated.stage;
    let (mut client, mut holder) = beside_a_holder(stage, &[], 500);
    let mut writer = application(stage);
    for turn in 0..200 {
        writer.all(&[&format!("UPDATE t SET c = 'written' WHERE id = {}", turn % 10 + 490)]);
    }
    eventually("the rows before it are written", || {
        (stage.now("SELECT sum(n) FROM t WHERE id < 500") == "499").then_some(())
    });
    assert_eq!(stage.now("SELECT sum(n) FROM t WHERE id >= 500"), "0");
    let why = eventually("it is told why", || {
        let running = operated.status()["running"][0].clone();
        let holds = running["progress"]["held_back"].as_array().cloned().unwrap_or_default();
        let hold = holds.into_iter().find(|hold| hold["signal"] == "waiting")?;
        hold["words"].as_str().map(str::to_owned)
    });
    assert_eq!(why, "waiting for a row that another transaction has locked");
    holder.all(&["COMMIT"]);
    assert_eq!(client.answer().tag(), "UPDATE 1000");
    assert_eq!(stage.now(COUNTED), "1|1|1000");
}

/// A deadlock as the server finds it: a batch has a row and waits for the next one, whose holder wants the first.
#[test]
fn a_deadlock_ends_at_the_batch() {
    let stage = Stage::new();
    // The server looks for one once, after that time.
    let settings = ["SET lockkeeper.max_stall = '10s'", "SET deadlock_timeout = '3s'"];
    let (mut client, mut holder) = beside_a_holder(&stage, &settings, 500);
    holder.all(&["SET lock_timeout = 0", "UPDATE t SET c = 'held' WHERE id = 499", "COMMIT"]);
    assert_eq!(client.answer().tag(), "UPDATE 1000");
    assert_eq!(stage.now(COUNTED), "1|1|1000");
    assert_eq!(stage.now("SELECT count(*) FROM t WHERE c = 'held'"), "2");
    assert!(stage.cluster.log().contains("deadlock detected"), "the batch was not the one to go");
}

/// Whoever locks rows in the order of the key meets no deadlock, whatever the order in which they lie in the table.
#[test]
fn rows_are_locked_in_the_order_of_the_key() {
    let stage = Stage::new();
    stage.straight().all(&[
        "CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, c text)",
        "INSERT INTO t SELECT 1001 - i FROM generate_series(1, 1000) i",
        "CREATE TABLE child (t_id int REFERENCES t)",
    ]);
    for statement in [COUNT_UP, "DELETE FROM t"] {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let lockers: Vec<_> = (0..2)
                .map(|seed| {
                    let (stage, over) = (&stage, &over);
                    scope.spawn(move || {
                        let mut person = application(stage);
                        person.all(&["SET lock_timeout = '3s'"]);
                        let mut at = seed;
                        while !over.load(Ordering::Relaxed) {
                            at = (at + 37) % 900;
                            let range = format!("id BETWEEN {at} AND {} ORDER BY id", at + 20);
                            person.query(&format!("SELECT 1 FROM t WHERE {range} FOR KEY SHARE"));
                            person.query(&format!("SELECT 1 FROM t WHERE {range} FOR UPDATE"));
                        }
                    })
                })
                .collect();
            let answer = migrator(&stage).query(statement);
            over.store(true, Ordering::Relaxed);
            for locker in lockers {
                locker.join().expect("it was served");
            }
            assert!(answer.tag().ends_with(" 1000"), "{answer:?}");
        });
    }
    assert!(!stage.cluster.log().contains("deadlock detected"));
}

/// Fails once with each of these, half way.
#[test]
fn a_batch_that_meets_a_conflict_goes_again() {
    let stage = Stage::new();
    for code in ["40001", "40P01"] {
        stage.straight().all(&[
            "DROP TABLE IF EXISTS t",
            "CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 0)",
            "INSERT INTO t SELECT i FROM generate_series(1, 1000) i",
            "DROP SEQUENCE IF EXISTS calls",
            "CREATE SEQUENCE calls",
            &format!(
                "CREATE OR REPLACE FUNCTION conflicts() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                 IF nextval('public.calls') = 500 THEN RAISE 'once' USING ERRCODE = '{code}'; END IF; RETURN NEW; END $$"
            ),
            "CREATE TRIGGER conflicts BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION conflicts()",
        ]);
        let answer = migrator(&stage).query(COUNT_UP);
        assert_eq!(answer.tag(), "UPDATE 1000", "{code}: {answer:?}");
        assert_eq!(stage.now(COUNTED), "1|1|1000", "{code}");
        let again = "SELECT last_value BETWEEN 1001 AND 2000 FROM calls";
        assert_eq!(stage.now(again), "t", "{code}: only rows of the batch that failed are written again");
    }
}
