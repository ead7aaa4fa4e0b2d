//! Strong locks under the ladder of patience: whoever waits for one waits outside the queue, and nobody behind it.

use crate::support::each_major;
use crate::support::eventually;
use crate::support::raw::{self, Frame, tags};
use crate::support::stage::{Person, Stage, Way};

const WAITING: &str = "waiting outside the lock queue for AccessExclusiveLock on \"orders\"";
const HAS_COLUMN: &str =
    "SELECT EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'added')";
const ADD: &str = "ALTER TABLE orders ADD COLUMN added int";

/// Somebody who has read the table in a transaction that stays open.
fn reader(stage: &Stage) -> Person {
    let mut person = stage.straight();
    person.all(&["SET application_name = 'nightly report'", "BEGIN", "SELECT count(*) FROM orders"]);
    person
}

/// Reads up to the notice that it waits outside.
fn until_waiting(client: &mut Person) -> Frame {
    eventually("it says that it waits", || {
        let frame = client.raw.frame();
        assert_ne!(frame.tag, b'E', "{frame:?}");
        (frame.tag == b'N' && frame.message() == WAITING).then_some(frame)
    })
}

#[test]
fn straight_the_application_queues_behind_the_alter() {
    let stage = Stage::new();
    let mut other = reader(&stage);
    let (mut client, mut application) = (stage.straight(), stage.straight());
    client.send(Way::Simple, ADD);
    stage.until(&format!("SELECT pg_blocking_pids({}) = ARRAY[{}]", client.pid(), other.pid()));
    application.send(Way::Simple, "SELECT count(*) FROM orders");
    stage.until(&format!("SELECT pg_blocking_pids({}) = ARRAY[{}]", application.pid(), client.pid()));
    other.all(&["COMMIT"]);
    assert_eq!(client.answer().tag(), "ALTER TABLE");
    assert_eq!(application.answer().tag(), "SELECT 1");
}

#[test]
fn through_the_proxy_the_application_goes_on() {
    for installation in each_major() {
        let stage = Stage::on(installation);
        for way in Way::BOTH {
            let mut other = reader(&stage);
            let mut client = stage.through();
            client.send(way, ADD);
            let notice = until_waiting(&mut client);
            let detail = notice.field(b'D').expect("a detail");
            let who = format!(
                "Process {} of user \"postgres\" (application \"nightly report\") holds AccessShareLock for ",
                other.pid()
            );
            assert!(detail.starts_with(&who), "{detail}");
            assert!(detail.ends_with("idle in transaction: SELECT count(*) FROM orders."), "{detail}");
            let mut application = stage.through();
            // Far more than any stall that is allowed, far less than the reader's transaction lasts.
            application.all(&["SET lock_timeout = '10s'"]);
            for _ in 0..100 {
                application.ask(way, "SELECT count(*) FROM orders").tag();
                application.ask(way, "UPDATE orders SET note = note WHERE id = 1").tag();
            }
            assert_eq!(stage.now(HAS_COLUMN), "f");
            other.all(&["COMMIT"]);
            assert_eq!(client.answer().tag(), "ALTER TABLE");
            assert_eq!(stage.now(HAS_COLUMN), "t");
            stage.straight().all(&["ALTER TABLE orders DROP COLUMN added"]);
        }
    }
}

/// In a transaction each try stands behind a savepoint, so that what was done before it stays.
#[test]
fn in_a_transaction_it_waits_outside_as_well() {
    for installation in each_major() {
        let stage = Stage::on(installation);
        for way in Way::BOTH {
            let mut other = reader(&stage);
            let mut client = stage.through();
            client.all(&[
                "BEGIN",
                "CREATE TABLE beside (a int)",
                "INSERT INTO beside VALUES (1)",
                "SAVEPOINT mine",
            ]);
            client.send(way, ADD);
            until_waiting(&mut client);
            let mut application = stage.through();
            for _ in 0..20 {
                application.ask(way, "SELECT count(*) FROM orders").tag();
            }
            other.all(&["COMMIT"]);
            let answer = client.answer();
            assert_eq!((answer.tag().as_str(), answer.status()), ("ALTER TABLE", 'T'));
            assert_eq!(client.table(HAS_COLUMN), "t");
            client.all(&["ROLLBACK TO SAVEPOINT mine", "RELEASE SAVEPOINT mine"]);
            assert_eq!(client.table(HAS_COLUMN), "f");
            client.all(&["COMMIT"]);
            assert_eq!(stage.now("SELECT * FROM beside"), "1");
            assert_eq!(stage.now(HAS_COLUMN), "f");
            stage.straight().all(&["DROP TABLE beside"]);
        }
    }
}

#[test]
fn rollback_undoes_everything() {
    let stage = Stage::new();
    for way in Way::BOTH {
        let mut client = stage.through();
        for sql in [
            "BEGIN",
            "INSERT INTO orders VALUES (1000)",
            ADD,
            "CREATE INDEX late ON orders (note)",
            "ROLLBACK",
        ] {
            client.ask(way, sql).tag();
        }
        assert_eq!(stage.now(HAS_COLUMN), "f");
        assert_eq!(stage.indexes(), "");
        assert_eq!(stage.now("SELECT count(*) FROM orders"), "100");
    }
}

/// While others queue behind a lock that is held already, waiting for a second one is no option; nor is letting go of it, where
/// that cannot be done again.
#[test]
fn with_a_strong_lock_in_hand_there_may_be_one_attempt() {
    let stage = Stage::new();
    stage.straight().all(&["CREATE TABLE busy (a int)"]);
    for way in Way::BOTH {
        let _other = reader(&stage);
        let mut client = stage.through();
        client.all(&["BEGIN", "SELECT pg_advisory_xact_lock(7)", "ALTER TABLE busy ADD b int"]);
        let answer = client.ask(way, ADD);
        assert_eq!((answer.failure().as_str(), answer.status()), ("55P03", 'E'));
        assert!(answer.detail().starts_with("One attempt was made"), "{answer:?}");
        assert!(answer.hint().contains("in a transaction of its own"), "{answer:?}");
        assert_eq!(client.query("SELECT 1").failure(), "25P02");
        assert_eq!(client.query("COMMIT").tag(), "ROLLBACK");
        let columns = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'busy'::regclass AND attnum > 0";
        assert_eq!(stage.now(columns), "1");
    }
}

#[test]
fn when_the_time_is_over_the_client_hears_who_was_in_the_way() {
    let stage = Stage::new();
    let other = reader(&stage);
    for way in Way::BOTH {
        for begin in [false, true] {
            let mut client = stage.through();
            client.all(&["SET lockkeeper.retry_for = '300ms'"]);
            if begin {
                client.all(&["BEGIN"]);
            }
            let answer = client.ask(way, ADD);
            assert_eq!(
                (answer.failure().as_str(), answer.status()),
                ("55P03", if begin { 'E' } else { 'I' })
            );
            let detail = answer.detail();
            assert!(detail.contains("Between them nothing was locked and nobody queued"), "{detail}");
            assert!(detail.contains(&format!("Process {} of user", other.pid())), "{detail}");
            assert!(answer.hint().contains("SET lockkeeper.retry_for"), "{answer:?}");
        }
    }
}

#[test]
fn cancel_ends_the_waiting_at_once() {
    let stage = Stage::new();
    let _other = reader(&stage);
    for way in Way::BOTH {
        for begin in [false, true] {
            let mut client = stage.through();
            client.all(&["SET lock_timeout = '1h'"]);
            if begin {
                client.all(&["BEGIN", "SET LOCAL lock_timeout = '2h'"]);
            }
            client.send(way, ADD);
            until_waiting(&mut client);
            client.cancel();
            let answer = client.answer();
            assert_eq!(
                (answer.failure().as_str(), answer.status()),
                ("57014", if begin { 'E' } else { 'I' })
            );
            if begin {
                client.all(&["ROLLBACK"]);
            }
            assert_eq!(client.table("SHOW lock_timeout"), "1h");
            assert_eq!(stage.now(HAS_COLUMN), "f");
        }
    }
}

#[test]
fn a_terminated_backend_is_heard_of() {
    let stage = Stage::new();
    let _other = reader(&stage);
    for way in Way::BOTH {
        let mut client = stage.through();
        client.send(way, ADD);
        until_waiting(&mut client);
        stage.straight().all(&[&format!("SELECT pg_terminate_backend({})", client.pid())]);
        let last = client.raw.until_end();
        let error = last.last().expect("last words");
        assert_eq!(error.sqlstate(), "57P01", "{last:?}");
    }
}

#[test]
fn a_client_that_vanishes_waits_no_longer() {
    let stage = Stage::new();
    let _other = reader(&stage);
    for begin in [false, true] {
        let mut client = stage.through();
        if begin {
            client.all(&["BEGIN", "INSERT INTO orders VALUES (2000)"]);
        }
        client.send(Way::Simple, ADD);
        until_waiting(&mut client);
        let pid = client.pid();
        drop(client);
        stage.until(&format!("SELECT NOT EXISTS (SELECT 1 FROM pg_stat_activity WHERE pid = {pid})"));
    }
    assert_eq!(stage.now(HAS_COLUMN), "f");
    assert_eq!(stage.now("SELECT count(*) FROM orders WHERE id = 2000"), "0");
}

/// Postgres runs several statements in one message as one transaction; so it is tried again as a whole.
#[test]
fn several_statements_in_one_message_are_tried_as_a_whole() {
    let stage = Stage::new();
    let mut other = reader(&stage);
    let mut client = stage.through();
    client.all(&["SET lock_timeout = '1h'"]);
    client.send(
        Way::Simple,
        "INSERT INTO orders VALUES (3000); ALTER TABLE orders ADD COLUMN added int; SELECT count(*) FROM orders",
    );
    until_waiting(&mut client);
    let mut application = stage.through();
    for _ in 0..20 {
        application.query("SELECT count(*) FROM orders").tag();
    }
    other.all(&["COMMIT"]);
    let answer = client.answer();
    assert_eq!(answer.tags(), ["INSERT 0 1", "ALTER TABLE", "SELECT 1"]);
    assert_eq!(tags(&answer.0).replace('N', ""), "CCTDCZ");
    assert_eq!(client.table("SHOW lock_timeout"), "1h");
    let answer = client.query("ALTER TABLE orders DROP COLUMN added; SELECT 1 / 0");
    assert_eq!(answer.error().expect("an error").sqlstate(), "22012");
    assert_eq!(stage.now(HAS_COLUMN), "t");
    assert_eq!(client.table("SHOW lock_timeout"), "1h");
}

/// Django sends such messages inside its transactions.
#[test]
fn several_statements_inside_a_transaction_are_tried_behind_a_savepoint() {
    let stage = Stage::new();
    for end in ["COMMIT", "ROLLBACK"] {
        let mut other = reader(&stage);
        let mut client = stage.through();
        client.all(&["SET lock_timeout = '1h'", "BEGIN", "INSERT INTO orders VALUES (5000)"]);
        client.send(Way::Simple, "ALTER TABLE orders ADD COLUMN added int; SET CONSTRAINTS ALL IMMEDIATE");
        until_waiting(&mut client);
        other.all(&["COMMIT"]);
        let answer = client.answer();
        assert_eq!(
            (answer.tags().join(", ").as_str(), answer.status()),
            ("ALTER TABLE, SET CONSTRAINTS", 'T')
        );
        assert_eq!(client.table("SHOW lock_timeout"), "1h");
        client.all(&[end]);
        assert_eq!(client.table("SHOW lock_timeout"), "1h");
        let done = if end == "COMMIT" { "t" } else { "f" };
        assert_eq!(stage.now(HAS_COLUMN), done);
        stage
            .straight()
            .all(&["ALTER TABLE orders DROP COLUMN IF EXISTS added", "DELETE FROM orders WHERE id = 5000"]);
    }
    let mut client = stage.through();
    client.all(&["BEGIN"]);
    let answer = client.query("ALTER TABLE orders ADD COLUMN added int; SELECT 1 / 0");
    assert_eq!((answer.error().expect("an error").sqlstate().as_str(), answer.status()), ("22012", 'E'));
    client.all(&["ROLLBACK"]);
    assert_eq!(stage.now(HAS_COLUMN), "f");
}

/// A pipeline without a transaction block is one transaction up to its Sync: all of it, or nothing.
#[test]
fn a_pipeline_is_not_committed_early() {
    let stage = Stage::new();
    let step = |sql: &str| [raw::parse("", sql), raw::bind("", "", &[]), raw::execute("", 0)].concat();
    let insert = "INSERT INTO orders VALUES (4000)";
    for order in [[insert, ADD], [ADD, insert]] {
        let mut client = stage.through();
        let mut send = |last: &str| {
            client.raw.send(&[step(order[0]), step(order[1]), step(last), raw::sync()].concat());
            client.answer()
        };
        let answer = send("SELECT 1 / 0");
        assert_eq!(answer.error().expect("an error").sqlstate(), "22012", "{answer:?}");
        assert_eq!((answer.status(), answer.tags().len()), ('I', 2), "{answer:?}");
        let rows = "SELECT count(*) FROM orders WHERE id = 4000";
        assert_eq!((stage.now(HAS_COLUMN).as_str(), stage.now(rows).as_str()), ("f", "0"), "{order:?}");
        let answer = send("SELECT 1");
        assert_eq!((answer.status(), answer.tags().len()), ('I', 3), "{answer:?}");
        assert_eq!((stage.now(HAS_COLUMN).as_str(), stage.now(rows).as_str()), ("t", "1"), "{order:?}");
        stage.straight().all(&["ALTER TABLE orders DROP added", "DELETE FROM orders WHERE id = 4000"]);
    }
}
