//! What an application feels while a new column is filled, and what becomes of ranges that meet others.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::support::stage::{Person, Way};
use crate::support::twins::{STATE, Twins, kept};
use crate::support::{each_major, eventually};

/// A default that takes its time: forty rows at once hold their locks for two seconds.
const SLOW: [&str; 3] = [
    "CREATE TABLE t (a int PRIMARY KEY, c text)",
    "INSERT INTO t SELECT n FROM generate_series(1, 40) n",
    "CREATE SEQUENCE calls; CREATE FUNCTION slow() RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.05); RETURN \
     nextval('public.calls'); END $$",
];

const FILL: &str = "ALTER TABLE t ADD x int DEFAULT slow() NOT NULL";

/// Rows that have their value, from one for whom all of them count.
const FILLED: &str = "SELECT count(*), count(x), count(DISTINCT x) FROM t";

/// Somebody of the application, none of whose queries may wait for half of the time that all rows take.
fn application(twins: &Twins) -> Person {
    let mut person = Person::called(twins.stage.cluster.addr(), &[("database", "online")]);
    person.all(&["SET lock_timeout = '1s'", "SET deadlock_timeout = '1h'"]);
    person
}

/// What `work` brings, while an application updates one row after the other.
fn under_writes<T>(twins: &Twins, work: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    let mut person = application(twins);
    thread::scope(|scope| {
        let writes = scope.spawn(|| {
            let mut turn = 0_u32;
            while !over.load(Ordering::Relaxed) {
                turn = turn.wrapping_add(7);
                person.query(&format!("UPDATE t SET c = c || '.' WHERE a = {}", turn % 40 + 1)).tag();
            }
        });
        let outcome = work();
        over.store(true, Ordering::Relaxed);
        writes.join().expect("the application was served");
        outcome
    })
}

#[test]
fn who_writes_rows_does_not_wait_for_a_range_of_them() {
    for installation in each_major() {
        let major = installation.major;
        let mut twins = Twins::on(installation);
        twins.begin(&SLOW);
        let mut client = twins.through(&["SET lock_timeout = '7s'"]);
        let answer = under_writes(&twins, || client.ask(Way::Extended, FILL));
        assert_eq!(answer.tag(), "ALTER TABLE", "{major}");
        assert_eq!(twins.beside.table(FILLED), "40|40|40", "{major}");
        assert_eq!(client.table("SHOW lock_timeout"), "7s");
        // Had a range gone on while somebody waited for it, it would have taken longer than that.
        let told = answer.notices().join("\n");
        let stall =
            told.split("nobody waited for it longer than ").nth(1).and_then(|it| it.split(' ').next());
        let stall: u32 = stall.and_then(|it| it.parse().ok()).unwrap_or_else(|| panic!("{major}: {told}"));
        assert!(stall < 1000, "{major}: {told}");
    }
}

/// Who has waited for too long is let go before, however often; without time for that the plan ends with the reason.
#[test]
fn a_range_that_is_always_waited_for_is_given_up() {
    let mut twins = Twins::on(each_major().remove(0));
    twins.begin(&[
        "CREATE TABLE t (a int PRIMARY KEY, c text)",
        "INSERT INTO t VALUES (1)",
        "CREATE FUNCTION slow() RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.4); RETURN 1; END $$",
    ]);
    let before = twins.beside.table(STATE);
    let mut client = twins.through(&["SET lockkeeper.retry_for = '2s'"]);
    let answer = under_one_write(&twins, || client.query("ALTER TABLE t ADD x int DEFAULT slow()"));
    assert_eq!(answer.failure(), "55P03", "{answer:?}");
    assert!(answer.detail().contains("was waiting behind it, the longest for "), "{answer:?}");
    assert!(
        answer.detail().contains("in the end one by one.\nThe steps before it were taken back"),
        "{answer:?}"
    );
    assert!(answer.hint().contains("SET lockkeeper.max_stall"), "{answer:?}");
    assert_eq!(kept(&twins.beside.table(STATE)), kept(&before));
}

/// The same with one row, which is written without end.
fn under_one_write<T>(twins: &Twins, work: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    let mut person = application(twins);
    thread::scope(|scope| {
        let writes = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                person.query("UPDATE t SET c = c || '.'").tag();
            }
        });
        let outcome = work();
        over.store(true, Ordering::Relaxed);
        writes.join().expect("the application was served");
        outcome
    })
}

/// A default that waits as long as somebody has an advisory lock.
const GATE: [&str; 3] = [
    "CREATE TABLE t (a int PRIMARY KEY, c text)",
    "INSERT INTO t SELECT n FROM generate_series(1, 1000) n",
    "CREATE SEQUENCE calls; CREATE FUNCTION gate() RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_lock_shared(1); \
     PERFORM pg_advisory_unlock_shared(1); RETURN nextval('public.calls'); END $$",
];

/// A plan that is at its first range, while the holder has a row that comes later; and both go on from there.
fn beside_a_holder(twins: &mut Twins, settings: &[&str], row: u32) -> (Person, Person) {
    twins.begin(&GATE);
    twins.beside.all(&["SELECT pg_advisory_lock(1)"]);
    let mut client = twins.through(settings);
    client.send(Way::Simple, "ALTER TABLE t ADD x int DEFAULT gate()");
    twins.stage.until("SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'advisory')");
    let mut holder = application(twins);
    holder.all(&["BEGIN", &format!("UPDATE t SET c = 'held' WHERE a = {row}")]);
    twins.beside.all(&["SELECT pg_advisory_unlock(1)"]);
    let waits =
        "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted AND locktype IN ('transactionid', 'tuple'))";
    twins.stage.until(waits);
    (client, holder)
}

/// Rows before one that somebody holds are not held for as long as he does.
#[test]
fn who_holds_a_row_holds_no_others_up() {
    for installation in each_major() {
        let major = installation.major;
        let mut twins = Twins::on(installation);
        let (mut client, mut holder) = beside_a_holder(&mut twins, &[], 500);
        let mut writer = application(&twins);
        for turn in 0..200 {
            writer.all(&[&format!("UPDATE t SET c = 'written' WHERE a = {}", turn % 10 + 490)]);
        }
        // All but the row that is held, sooner or later.
        eventually("the rows before it are filled", || {
            (twins.beside.table("SELECT count(x) FROM t WHERE a < 500") == "499").then_some(())
        });
        assert_eq!(twins.beside.table("SELECT count(x) FROM t WHERE a >= 500"), "0", "{major}");
        holder.all(&["COMMIT"]);
        assert_eq!(client.answer().tag(), "ALTER TABLE", "{major}");
        assert_eq!(twins.beside.table(FILLED), "1000|1000|1000", "{major}");
    }
}

/// Fails once with each of these, half way.
fn conflicts(code: &str) -> String {
    format!(
        "CREATE SEQUENCE calls; CREATE FUNCTION conflicts() RETURNS int LANGUAGE plpgsql AS $$ DECLARE n int := \
         nextval('public.calls'); BEGIN IF n = 500 THEN RAISE 'once' USING ERRCODE = '{code}'; END IF; RETURN n; END $$"
    )
}

#[test]
fn a_range_that_meets_a_conflict_goes_again() {
    let tables = [
        "CREATE TABLE t (a int PRIMARY KEY, c text)",
        "INSERT INTO t SELECT n FROM generate_series(1, 1000) n",
    ];
    for installation in each_major() {
        let major = installation.major;
        let mut twins = Twins::on(installation);
        for code in ["40001", "40P01"] {
            twins.begin(&[tables.as_slice(), &[&conflicts(code)]].concat());
            let answer = twins.through(&[]).query("ALTER TABLE t ADD x int DEFAULT conflicts() NOT NULL");
            assert_eq!(answer.tag(), "ALTER TABLE", "{major}: {code}");
            assert_eq!(twins.beside.table(FILLED), "1000|1000|1000", "{major}: {code}");
            // Those of the range that failed have got other numbers, each of them once.
            let spent = "SELECT last_value BETWEEN 1001 AND 2000 FROM calls";
            assert_eq!(twins.beside.table(spent), "t", "{major}: {code}");
        }
    }
}

/// A deadlock as the server finds it: a range has a row and waits for the next one, whose holder wants the first.
#[test]
fn a_deadlock_ends_at_the_range() {
    for installation in each_major() {
        let major = installation.major;
        let mut twins = Twins::on(installation);
        // The server looks for one once, after that time.
        let settings = ["SET lockkeeper.max_stall = '10s'", "SET deadlock_timeout = '3s'"];
        let (mut client, mut holder) = beside_a_holder(&mut twins, &settings, 500);
        holder.all(&["SET lock_timeout = 0", "UPDATE t SET c = 'held' WHERE a = 499", "COMMIT"]);
        assert_eq!(client.answer().tag(), "ALTER TABLE", "{major}");
        assert_eq!(twins.beside.table(FILLED), "1000|1000|1000", "{major}");
        assert_eq!(twins.beside.table("SELECT count(*) FROM t WHERE c = 'held'"), "2", "{major}");
        let log = twins.stage.cluster.log();
        assert!(log.contains("deadlock detected"), "{major}: the range was not the one to go");
    }
}
