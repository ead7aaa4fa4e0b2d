//! Nobody waits for the locks of a transaction while it is asked what its next statement needs, however long that takes.

use crate::stall::under_traffic;
use crate::support::raw::Frame;
use crate::support::stage::{Person, Stage, Way};

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
fn asking(stage: &Stage, way: Way, before: &[&str]) -> (Person, Person) {
    let (mut client, mut slow) = (stage.through(), stage.straight());
    client.each(way, &[&["BEGIN"], before, &[ALTER]].concat());
    slow.all(&["BEGIN", "LOCK TABLE low IN ACCESS EXCLUSIVE MODE"]);
    client.send(way, NEXT);
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
        let (mut client, mut slow) = asking(&stage, way, &["UPDATE orders SET customer = 7 WHERE id = 1"]);
        slow.all(&["COMMIT"]);
        let answer = client.answer();
        assert_eq!((answer.tag().as_str(), answer.status()), ("ALTER TABLE", 'T'), "{answer:?}");
        client.each(way, &["COMMIT"]);
        assert_eq!(stage.now(COLUMNS), "added more");
        assert_eq!(stage.now("SELECT customer FROM orders WHERE id = 1"), "7");
        assert_eq!(client.table("SHOW lock_timeout"), "0");
        client.all(&["ALTER TABLE orders DROP added", "ALTER TABLE parts DROP more"]);
    }
}

#[test]
fn it_can_be_cancelled_while_it_is_asked() {
    let stage = stage();
    for way in Way::BOTH {
        let (mut client, mut slow) = asking(&stage, way, &[]);
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
            let (mut client, mut slow) = asking(&stage, way, &[before]);
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
