//! Nobody waits for the locks of a transaction while it is asked what its next statement needs, however long that takes.

use crate::stall::under_traffic;
use crate::support::raw::Frame;
use crate::support::stage::{Answer, Person, Stage, Way};

const ALTER: &str = "ALTER TABLE orders ADD added int";
const NEXT: &str = "ALTER TABLE parts ADD more int";
const COLUMNS: &str = "SELECT string_agg(DISTINCT attname, ' ') FROM pg_attribute \
     WHERE attname IN ('added', 'more') AND NOT attisdropped";

/// With a partitioned table: whoever asks for its partitions waits for their locks.
fn stage() -> Stage {
    let stage = Stage::new();
    stage.straight().all(&[
        "CREATE TABLE parts (id int) PARTITION BY RANGE (id)",
        "CREATE TABLE low PARTITION OF parts FOR VALUES FROM (0) TO (10)",
    ]);
    stage
}

/// A transaction with a strong lock that has sent its next statement, about which nothing can be asked for now, when it has let go of
/// the lock.
fn asking(stage: &Stage, way: Way, before: &[&str], next: &str) -> (Person, Person) {
    asking_of(stage, stage.through(), way, before, next)
}

/// The same of somebody who is there already.
fn asking_of(stage: &Stage, mut client: Person, way: Way, before: &[&str], next: &str) -> (Person, Person) {
    let mut slow = stage.straight();
    client.each(way, &[&["BEGIN"], before, &[ALTER]].concat());
    slow.all(&["BEGIN", "LOCK TABLE low IN ACCESS EXCLUSIVE MODE"]);
    client.send(way, next);
    let held = format!(
        "SELECT count(*) = 0 FROM pg_locks WHERE pid = {} AND relation = 'orders'::regclass AND mode = 'AccessExclusiveLock'",
        client.pid()
    );
    under_traffic(stage, || stage.until(&held));
    (client, slow)
}

#[test]
fn nobody_waits_while_it_is_asked() {
    let stage = stage();
    for way in Way::BOTH {
        let before = ["UPDATE orders SET customer = 7 WHERE id = 1"];
        let (mut client, mut slow) = asking(&stage, way, &before, NEXT);
        slow.all(&["COMMIT"]);
        let answer = client.answer();
        assert_eq!((answer.tag().as_str(), answer.status()), ("ALTER TABLE", 'T'), "{answer:?}");
        let told = answer.notices();
        assert_eq!(told.iter().filter(|told| told.contains("is rolled back for now")).count(), 1, "{told:?}");
        client.each(way, &["COMMIT"]);
        assert_eq!(stage.now(COLUMNS), "added more");
        assert_eq!(stage.now("SELECT customer FROM orders WHERE id = 1"), "7");
        assert_eq!(client.table("SHOW lock_timeout"), "0");
        client.all(&["ALTER TABLE orders DROP added", "ALTER TABLE parts DROP more"]);
    }
}

/// The planner is asked, too: how many rows a statement would write.
#[test]
fn nobody_waits_while_the_planner_is_asked() {
    let stage = stage();
    stage.straight().all(&["INSERT INTO parts SELECT n % 10 FROM generate_series(1, 300) n"]);
    for way in Way::BOTH {
        for next in ["UPDATE low SET id = id", "EXECUTE later"] {
            let before = ["SET LOCAL lockkeeper.bulk_rows = 20"];
            let (mut client, mut slow) = {
                let mut client = stage.through();
                client.all(&["PREPARE later AS UPDATE low SET id = id"]);
                asking_of(&stage, client, way, &before, next)
            };
            slow.all(&["COMMIT"]);
            let answer = client.answer();
            if way == Way::Extended {
                // The server has waited itself, when it was to read the text or to describe its rows.
                cut(&answer);
            } else {
                // It has no key by which it could be cut: what matters is that the transaction was there to hear of it.
                assert_eq!(
                    (answer.failure().as_str(), answer.status()),
                    ("0A000", 'E'),
                    "{next}: {answer:?}"
                );
                assert!(!answer.detail().contains("cannot be repeated"), "{next}: {answer:?}");
            }
            client.each(way, &["ROLLBACK", "SELECT 1"]);
        }
    }
}

#[track_caller]
fn cut(answer: &Answer) {
    assert_eq!((answer.error().map(Frame::sqlstate).as_deref(), answer.status()), (Some("55P03"), 'E'));
    let message = answer.error().map(Frame::message);
    assert_eq!(
        message.as_deref(),
        Some("canceling statement because others waited for locks of its transaction")
    );
}

/// What comes before it in the same flight is watched, too, when nothing is relayed any more.
#[test]
fn nobody_waits_for_what_comes_before_in_the_same_flight() {
    let stage = stage();
    for way in Way::BOTH {
        let mut client = stage.through();
        client.each(way, &["BEGIN", ALTER]);
        client.raw.send(&[way.bytes("SELECT pg_sleep(60)"), way.bytes(NEXT)].concat());
        under_traffic(&stage, || cut(&client.answer()));
        assert_eq!(client.answer().failure(), "25P02", "{way:?}");
        client.each(way, &["ROLLBACK", "SELECT 1"]);
    }
}

#[test]
fn it_can_be_cancelled_while_it_is_asked() {
    let stage = stage();
    for way in Way::BOTH {
        let (mut client, mut slow) = asking(&stage, way, &[], NEXT);
        client.cancel();
        let answer = client.answer();
        assert_eq!((answer.failure().as_str(), answer.status()), ("57014", 'E'), "{answer:?}");
        slow.all(&["COMMIT"]);
        client.each(way, &["ROLLBACK", "SELECT 1"]);
        assert_eq!(stage.now(COLUMNS), "");
    }
}

/// What cannot be brought back, or not any more, is a failed transaction, which says why.
#[test]
fn it_says_why_it_is_over() {
    let stage = stage();
    let cut = "canceling statement because others waited for locks of its transaction";
    for way in Way::BOTH {
        for (before, message, begins, ends) in [
            ("SET LOCAL lockkeeper.retry_for = '1ms'", cut, "", "; max_stall is 100ms."),
            (
                "SELECT pg_advisory_xact_lock(7)",
                "transaction was rolled back because others waited for its locks",
                "It was found out what its next statement does. ",
                "It cannot be repeated, since what pg_advisory_* does in it is not rolled back.",
            ),
        ] {
            let (mut client, mut slow) = asking(&stage, way, &[before], NEXT);
            let answer = client.answer();
            assert_eq!((answer.failure().as_str(), answer.status()), ("55P03", 'E'), "{answer:?}");
            assert_eq!(answer.error().map(Frame::message).as_deref(), Some(message));
            let detail = answer.detail();
            assert!(detail.starts_with(begins) && detail.ends_with(ends), "{detail}");
            slow.all(&["COMMIT"]);
            assert_eq!(client.ask(way, "SELECT 1").failure(), "25P02");
            client.each(way, &["ROLLBACK", "BEGIN", ALTER, NEXT, "ROLLBACK"]);
        }
    }
}
