//! The stall watch: what keeps its locks for too long gives way to those who wait behind it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::support::stage::{Answer, Person, Stage, Way};
use crate::support::{each_major, eventually};

/// A function that takes its time, so that a rewrite holds its lock for ten seconds.
const SLOW: &str = "CREATE FUNCTION slow(text) RETURNS text LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.1); RETURN $1; END'";
const HEAVY: &str = "ALTER TABLE orders ALTER note TYPE varchar USING slow(note)";
const TYPE: &str =
    "SELECT atttypid::regtype FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'note'";
pub(crate) const WAITED: &str = "canceling statement because others waited behind it";

/// What `work` brings, while an application reads the table without end. None of its queries may wait for a tenth of the
/// time that the statement wants to hold its lock.
pub(crate) fn under_traffic<T>(stage: &Stage, work: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    let mut application = stage.straight();
    application.all(&["SET lock_timeout = '1s'"]);
    thread::scope(|scope| {
        let traffic = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                application.query("SELECT count(*) FROM orders").tag();
            }
        });
        let outcome = work();
        over.store(true, Ordering::Relaxed);
        traffic.join().expect("the application was served");
        outcome
    })
}

#[track_caller]
fn gave_way(answer: &Answer, tried: &str) {
    let error = answer.error().expect("an error");
    assert_eq!((error.sqlstate().as_str(), error.message().as_str()), ("55P03", WAITED), "{answer:?}");
    let detail = answer.detail();
    assert!(detail.starts_with("One session was waiting behind it, the longest for "), "{detail}");
    assert!(detail.contains("; max_stall is 100ms.") && detail.ends_with(tried), "{detail}");
    assert!(answer.hint().contains("SET lockkeeper.max_stall"), "{}", answer.hint());
}

#[test]
fn what_holds_its_lock_for_long_gives_way_and_is_given_up() {
    for installation in each_major() {
        let stage = Stage::on(installation);
        stage.straight().all(&[SLOW]);
        for way in Way::BOTH {
            let mut client = stage.through();
            client.all(&["SET lock_timeout = '7s'"]);
            let answer = under_traffic(&stage, || client.ask(way, HEAVY));
            gave_way(&answer, "It held its locks each time; attempts so cancelled: 5.");
            assert_eq!(answer.status(), 'I');
            assert_eq!(stage.now(TYPE), "text");
            assert_eq!(client.table("SHOW lock_timeout"), "7s");
            client.all(&["SELECT 1"]);
        }
    }
}

#[test]
fn in_a_transaction_what_was_done_before_fails_with_it() {
    let stage = Stage::new();
    stage.straight().all(&[SLOW]);
    let each_time = "It held its locks each time; attempts so cancelled: 5.";
    for way in Way::BOTH {
        for before in ["SELECT 1", "ALTER TABLE orders ADD added int"] {
            let mut client = stage.through();
            client.all(&["SET lock_timeout = '7s'", "BEGIN", before]);
            let answer = under_traffic(&stage, || client.ask(way, HEAVY));
            gave_way(&answer, each_time);
            assert_eq!(answer.status(), 'E', "{way:?}");
            assert_eq!(client.query("SELECT 1").failure(), "25P02");
            client.all(&["ROLLBACK"]);
            assert_eq!(client.table("SHOW lock_timeout"), "7s");
            assert_eq!(stage.now(TYPE), "text");
        }
    }
}

/// Several statements in one message are one transaction, and what returns rows is a portal of its own.
#[test]
fn messages_and_portals_give_way_too() {
    let stage = Stage::new();
    stage.straight().all(&[SLOW]);
    let mut client = stage.through();
    client.all(&["SET lock_timeout = '7s'"]);
    let answer = under_traffic(&stage, || client.query(&format!("{HEAVY}; SELECT 1")));
    gave_way(&answer, "It held its locks each time; attempts so cancelled: 5.");
    assert_eq!((stage.now(TYPE).as_str(), answer.status()), ("text", 'I'));
    let answer =
        under_traffic(&stage, || client.ask(Way::Extended, "EXPLAIN ANALYZE SELECT slow(note) FROM orders"));
    assert!(answer.error().is_none(), "who only reads keeps nobody waiting: {answer:?}");
    assert_eq!(client.table("SHOW lock_timeout"), "7s");
}

/// It takes as long as it takes where nobody wants the table, or where others may wait for longer.
#[test]
fn who_keeps_nobody_waiting_goes_on() {
    let stage = Stage::new();
    stage.straight().all(&[SLOW, "DELETE FROM orders WHERE id > 5"]);
    for way in Way::BOTH {
        assert_eq!(stage.through().ask(way, HEAVY).tag(), "ALTER TABLE");
        assert_eq!(stage.now(TYPE), "character varying");
        stage.straight().all(&["ALTER TABLE orders ALTER note TYPE text"]);
        let mut client = stage.through();
        client.all(&["SET lockkeeper.max_stall = '30s'"]);
        assert_eq!(under_traffic(&stage, || client.ask(way, HEAVY)).tag(), "ALTER TABLE");
        stage.straight().all(&["ALTER TABLE orders ALTER note TYPE text"]);
    }
}

/// Who waits for one who waits is counted as well: the row's holder cannot go on before the table is free.
#[test]
fn those_behind_a_victim_are_victims() {
    let stage = Stage::new();
    stage.straight().all(&[SLOW, "CREATE TABLE other (a int)", "INSERT INTO other VALUES (1)"]);
    let (mut first, mut second) = (stage.straight(), stage.straight());
    first.all(&["BEGIN", "UPDATE other SET a = 2"]);
    let mut client = stage.through();
    client.all(&["SET lockkeeper.retry_for = '1min'"]);
    client.send(Way::Simple, HEAVY);
    stage.until("SELECT count(*) = 1 FROM pg_locks WHERE relation = 'orders'::regclass AND mode = 'AccessExclusiveLock' AND granted");
    second.send(Way::Simple, "UPDATE other SET a = 3");
    first.all(&["SELECT count(*) FROM orders", "COMMIT"]);
    second.answer().tag();
    client.cancel();
    assert_eq!(client.answer().failure(), "57014");
}

/// Two migrations that wait for each other are nobody's stall.
#[test]
fn who_is_looked_after_himself_is_no_victim() {
    let stage = Stage::new();
    stage.straight().all(&[SLOW, "DELETE FROM orders WHERE id > 5"]);
    let (mut one, mut two) = (stage.through(), stage.through());
    one.send(Way::Simple, HEAVY);
    stage.until("SELECT count(*) = 1 FROM pg_locks WHERE relation = 'orders'::regclass AND mode = 'AccessExclusiveLock' AND granted");
    two.send(Way::Simple, "ALTER TABLE orders ADD added int");
    assert_eq!(one.answer().tag(), "ALTER TABLE");
    assert_eq!(two.answer().tag(), "ALTER TABLE");
}

/// A step of a plan that is cut short is made again, so that the plan ends well.
#[test]
fn a_plan_goes_on_when_its_step_was_cut_short() {
    for installation in each_major() {
        let stage = Stage::on(installation);
        // The first two attempts hold the lock for a second, as a crowded machine might.
        stage.straight().all(&[
            "CREATE SEQUENCE attempts",
            "CREATE FUNCTION dawdle() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
                IF nextval('attempts') <= 2 THEN LOCK TABLE orders; PERFORM pg_sleep(5); END IF; END $$",
            "CREATE EVENT TRIGGER dawdle ON ddl_command_start WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION dawdle()",
        ]);
        let mut client = stage.through();
        let answer =
            under_traffic(&stage, || client.query("ALTER TABLE orders ADD CONSTRAINT few CHECK (id < 1000)"));
        assert_eq!(answer.tag(), "ALTER TABLE");
        assert_eq!(stage.now("SELECT convalidated FROM pg_constraint WHERE conname = 'few'"), "t");
        assert_eq!(client.table("SHOW lock_timeout"), "0");
    }
}

/// Without a control connection nobody sees who waits; time-outs alone bound the waiting in queues.
#[test]
fn without_a_control_connection_it_is_not_cut_short() {
    use crate::support::proxy::Setup;
    let stage = Stage::new();
    stage.straight().all(&[SLOW, "DELETE FROM orders WHERE id > 5"]);
    let proxy = Setup::new(&stage.cluster.addr()).config("[control]\nenabled = false").start();
    eventually("it is said", || proxy.log().contains("no control connection").then_some(()));
    let mut client = Person::called(proxy.addr(), &[]);
    assert_eq!(under_traffic(&stage, || client.query(HEAVY)).tag(), "ALTER TABLE");
}
