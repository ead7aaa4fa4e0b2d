//! Strong locks of an open transaction go when others have waited for them for too long, and come back when its client goes on.

use lockkeeper::cluster::Options;

use crate::stall::under_traffic;
use crate::support::raw::{self, Frame};
use crate::support::stage::{Answer, Person, Stage, Way};

const ADDED: &str = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'added' AND NOT attisdropped";
const ALTER: &str = "ALTER TABLE orders ADD added int";
const LOST: &str = "transaction was rolled back because others waited for its locks";

/// Waits until a transaction that its client has open is not open upstream.
fn until_lapsed(stage: &Stage, client: &Person) {
    stage.until(&format!("SELECT state = 'idle' FROM pg_stat_activity WHERE pid = {}", client.pid()));
}

/// A client that thinks behind a statement that locks, until its locks have gone.
fn thinking(stage: &Stage, way: Way, before: &[&str]) -> Person {
    let mut client = stage.through();
    under_traffic(stage, || {
        for sql in [&["BEGIN"], before, &[ALTER]].concat() {
            let answer = client.ask(way, sql);
            assert!(answer.error().is_none(), "{sql}: {answer:?}");
        }
        until_lapsed(stage, &client);
    });
    client
}

#[test]
fn who_thinks_keeps_nobody_waiting_and_goes_on() {
    let stage = Stage::new();
    for way in Way::BOTH {
        let mut client = thinking(&stage, way, &["SELECT count(*) FROM orders"]);
        assert_eq!(client.table(ADDED), "1");
        assert_eq!(client.table("SHOW lock_timeout"), "0");
        // Once more, in the same transaction.
        under_traffic(&stage, || until_lapsed(&stage, &client));
        assert_eq!(client.ask(way, "COMMIT").tag(), "COMMIT");
        assert_eq!(client.table(ADDED), "1");
        client.all(&["ALTER TABLE orders DROP added"]);
    }
}

#[test]
fn it_can_be_ended_by_its_client() {
    let stage = Stage::new();
    for way in Way::BOTH {
        let mut client = thinking(&stage, way, &[]);
        let answer = client.ask(way, "ROLLBACK");
        assert_eq!((answer.tag().as_str(), answer.status()), ("ROLLBACK", 'I'));
        client.all(&["SELECT 1"]);
        let client = thinking(&stage, way, &[]);
        let pid = client.pid();
        drop(client);
        stage.until(&format!("SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = {pid}"));
        assert_eq!(stage.now(ADDED), "0");
    }
}

#[test]
fn what_cannot_be_brought_back_is_a_failed_transaction() {
    let stage = Stage::new();
    let unfit = "It cannot be repeated, since what pg_advisory_* does in it is not rolled back.";
    for way in Way::BOTH {
        let mut client = thinking(&stage, way, &["SELECT pg_advisory_xact_lock(7)"]);
        let answer = client.ask(way, "SELECT 1");
        assert_eq!((answer.failure().as_str(), answer.status()), ("55P03", 'E'), "{answer:?}");
        assert_eq!(answer.error().map(Frame::message).as_deref(), Some(LOST));
        assert!(
            answer.detail().contains("max_stall is 100ms.") && answer.detail().ends_with(unfit),
            "{answer:?}"
        );
        assert_eq!(client.ask(way, "SELECT 1").failure(), "25P02");
        assert_eq!(client.ask(way, "COMMIT").tag(), "ROLLBACK");
        // Nobody is told of a COMMIT that was none.
        let mut client = thinking(&stage, way, &["SELECT pg_advisory_xact_lock(7)"]);
        let answer = client.ask(way, "COMMIT");
        assert_eq!(answer.failure(), "55P03");
        assert_eq!(answer.status(), if way == Way::Simple { 'I' } else { 'E' });
        client.all(&["ROLLBACK", "SELECT 1"]);
        let mut client = thinking(&stage, way, &["SELECT customer FROM orders WHERE id = 1"]);
        stage.straight().all(&["UPDATE orders SET customer = customer + 1 WHERE id = 1"]);
        let answer = client.ask(way, "SELECT 1");
        assert_eq!((answer.failure().as_str(), answer.status()), ("40001", 'E'), "{answer:?}");
        assert!(
            answer.detail().ends_with("Then message 2 of the transaction (SELECT) was answered differently.")
        );
        client.all(&["ROLLBACK"]);
        assert_eq!(stage.now(ADDED), "0");
    }
}

#[test]
fn a_statement_that_runs_meanwhile_is_cancelled() {
    let stage = Stage::new();
    for way in Way::BOTH {
        let mut client = stage.through();
        let answer = under_traffic(&stage, || {
            client.all(&["BEGIN", ALTER]);
            client.ask(way, "SELECT pg_sleep(60)")
        });
        assert_eq!((answer.failure().as_str(), answer.status()), ("55P03", 'E'), "{answer:?}");
        assert!(answer.detail().ends_with("max_stall is 100ms."), "{answer:?}");
        client.all(&["ROLLBACK"]);
    }
}

/// Who thinks for longer than the server lets it idle in a transaction is ended, unless that has lapsed: then nobody waits for it.
#[test]
fn what_has_lapsed_does_not_idle_in_a_transaction() {
    let stage = Stage::new();
    for way in Way::BOTH {
        let mut client = thinking(&stage, way, &["SET LOCAL idle_in_transaction_session_timeout = '1500ms'"]);
        stage.until(&format!(
            "SELECT coalesce((SELECT clock_timestamp() - state_change > '2s' FROM pg_stat_activity WHERE pid = {}), true)",
            client.pid()
        ));
        assert_eq!(client.ask(way, "COMMIT").tag(), "COMMIT");
        assert_eq!(client.table(ADDED), "1");
        client.all(&["ALTER TABLE orders DROP added"]);
    }
}

/// Who waits for the books of a migration tool, as its second instance does, waits for its run; others do not, all the same.
#[test]
fn who_waits_for_the_books_of_a_tool_is_to_wait() {
    const BOOK: &str = "\"__EFMigrationsHistory\"";
    let stage = Stage::new();
    stage.straight().all(&[&format!("CREATE TABLE {BOOK} (id text PRIMARY KEY)")]);
    for way in Way::BOTH {
        let mut client = stage.through();
        let mut second = stage.straight();
        client.each(way, &["BEGIN", &format!("LOCK TABLE {BOOK} IN ACCESS EXCLUSIVE MODE")]);
        second.send(way, &format!("SELECT count(*) FROM {BOOK}"));
        // The work of the run, with no other lock and with one.
        client.each(way, &["SELECT pg_sleep(0.5)", ALTER, "SELECT pg_sleep(0.5)"]);
        let held = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE pid = {} AND state = 'idle in transaction' \
             AND state_change < clock_timestamp() - interval '500 ms'",
            client.pid()
        );
        stage.until(&format!("SELECT ({held}) = 1"));
        client.each(way, &[&format!("INSERT INTO {BOOK} VALUES (1)"), "COMMIT"]);
        assert_eq!(raw_rows(&second.answer()), ["1"], "it has waited to the end");
        stage.straight().all(&["ALTER TABLE orders DROP added", &format!("DELETE FROM {BOOK}")]);
    }
}

fn raw_rows(answer: &Answer) -> Vec<String> {
    let rows = answer.0.iter().filter(|frame| frame.tag == b'D');
    rows.filter_map(|row| row.columns().into_iter().next().flatten()).collect()
}

/// Where others may wait for longer, and where nothing is enforced, nobody looks.
#[test]
fn who_may_hold_them_keeps_them() {
    let stage = Stage::new();
    let mut client = stage.through();
    client.all(&["SET lockkeeper.max_stall = '30s'", "BEGIN", ALTER]);
    let mut other = stage.straight();
    other.all(&["SET lock_timeout = '300ms'"]);
    assert_eq!(other.query("SELECT count(*) FROM orders").failure(), "55P03");
    client.all(&["COMMIT"]);
    let stage = Stage::new();
    let mut client = stage.through();
    client.all(&["BEGIN", "UPDATE orders SET customer = 1 WHERE id = 1"]);
    let mut other = stage.straight();
    other.all(&["SET lock_timeout = '300ms'"]);
    assert_eq!(other.query("UPDATE orders SET customer = 2 WHERE id = 1").failure(), "55P03");
    client.all(&["COMMIT"]);
    assert!(!stage.cluster.log().contains("pg_blocking_pids"), "row locks are nobody's business");
}

/// What is done in part now and in part later comes back, too, with what is queued.
#[test]
fn what_is_deferred_in_part_comes_back() {
    let stage = Stage::new();
    for way in Way::BOTH {
        let before = [
            "ALTER TABLE orders ADD CONSTRAINT positive CHECK (id > 0)",
            "ALTER TABLE orders ALTER note SET NOT NULL",
            "CREATE INDEX later ON orders (customer)",
        ];
        let mut client = thinking(&stage, way, &before);
        let committed = client.ask(way, "COMMIT");
        assert_eq!(committed.tag(), "COMMIT", "{committed:?}");
        assert_eq!(client.table(ADDED), "1");
        assert_eq!(stage.indexes(), "later+");
        let proved = "SELECT convalidated FROM pg_constraint WHERE conname = 'positive'";
        assert_eq!(stage.now(proved), "t");
        let nulls =
            "SELECT attnotnull FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'note'";
        assert_eq!(stage.now(nulls), "t");
        client.all(&[
            "ALTER TABLE orders DROP added, DROP CONSTRAINT positive, ALTER note DROP NOT NULL",
            "DROP INDEX later",
        ]);
    }
}

/// A table that the transaction has made is another one to the server when it is made once more.
#[test]
fn what_is_deferred_finds_the_table_that_is_made_once_more() {
    let stage = Stage::new();
    for way in Way::BOTH {
        let mut client = stage.through();
        under_traffic(&stage, || {
            for sql in [
                "BEGIN",
                ALTER,
                "ALTER TABLE orders ADD token uuid NOT NULL DEFAULT gen_random_uuid()",
                "CREATE TABLE tags (id int, of int)",
                "CREATE TABLE words (word text)",
                "INSERT INTO words VALUES ('new') RETURNING word",
                "ALTER TABLE tags ADD CONSTRAINT tagged FOREIGN KEY (of) REFERENCES orders",
            ] {
                let answer = client.ask(way, sql);
                assert!(answer.error().is_none(), "{sql}: {answer:?}");
            }
            until_lapsed(&stage, &client);
        });
        let committed = client.ask(way, "COMMIT");
        assert_eq!(committed.tag(), "COMMIT", "{committed:?}");
        assert_eq!(stage.now("SELECT convalidated FROM pg_constraint WHERE conname = 'tagged'"), "t");
        client.all(&["ALTER TABLE orders DROP added, DROP token", "DROP TABLE tags, words"]);
    }
}

/// A client that sends one statement right behind the other keeps nobody waiting either.
#[test]
fn who_never_rests_gives_way_too() {
    let stage = Stage::new();
    stage.straight().all(&["CREATE TABLE other (id int)"]);
    for way in Way::BOTH {
        let mut client = stage.through();
        client.each(way, &["BEGIN", ALTER]);
        let mut reader = stage.straight();
        reader.send(Way::Simple, "SELECT count(*) FROM orders");
        let waits =
            format!("SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = {}", reader.pid());
        stage.until(&waits);
        let answered = format!("SELECT state = 'idle' FROM pg_stat_activity WHERE pid = {}", reader.pid());
        let is_answered = (0..1000).any(|number| {
            client.each(way, &[&format!("ALTER TABLE other ALTER id SET DEFAULT {number}")]);
            stage.now(&answered) == "t"
        });
        assert!(is_answered, "the reader waited to the end");
        reader.answer();
        assert_eq!(client.ask(way, "COMMIT").tag(), "COMMIT");
        assert_eq!(stage.now(ADDED), "1");
        client.all(&["ALTER TABLE orders DROP added"]);
    }
}

/// Nor does a message of many statements, whichever transaction they stand in; sent once more, each gets the answer that it had.
#[test]
fn a_long_message_gives_way_too() {
    let stage = Stage::new();
    stage.straight().all(&["CREATE TABLE other (id int)", "CREATE TABLE words (word text)"]);
    let defaults: Vec<String> =
        (0..60).map(|number| format!("ALTER TABLE other ALTER id SET DEFAULT {number}")).collect();
    let parts =
        [ALTER, "INSERT INTO words VALUES ('new') RETURNING word", "CREATE INDEX later ON orders (customer)"];
    let text = format!("{}; {}; TABLE words", parts.join("; "), defaults.join("; "));
    let whole = format!("BEGIN; {text}; COMMIT");
    let none: &[&str] = &[];
    for (before, long, behind) in
        [(none, &text, none), (&["BEGIN"], &text, &["COMMIT"]), (none, &whole, none)]
    {
        let mut client = stage.through();
        client.all(before);
        client.send(Way::Simple, long);
        stage.until(
            "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'orders'::regclass AND granted \
                AND mode = 'AccessExclusiveLock'",
        );
        let mut reader = stage.straight();
        let added = reader.table("SELECT bool_or(to_jsonb(orders) ? 'added') FROM orders");
        // What it sees is what was before, since the transaction has let go of the table.
        assert_eq!(added, "f", "the reader waited to the end");
        let answer = client.answer();
        assert!(answer.error().is_none(), "{answer:?}");
        let rows: Vec<_> = answer.0.iter().filter(|frame| frame.tag == b'D').map(Frame::columns).collect();
        assert_eq!(rows, [[Some("new".to_owned())], [Some("new".to_owned())]]);
        client.all(behind);
        assert_eq!(stage.now(ADDED), "1");
        assert_eq!(stage.indexes(), "later+");
        assert_eq!(stage.now("SELECT count(*) FROM words"), "1");
        client.all(&["ALTER TABLE orders DROP added", "DROP INDEX later", "DELETE FROM words WHERE true"]);
    }
}

/// A database in which schema `lockkeeper` is installed only when somebody lets go of a lock.
fn slow_to_install(stage: &Stage) -> Person {
    let mut slow = stage.straight();
    slow.all(&[
        "CREATE FUNCTION slow() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_lock(77); END'",
        "CREATE EVENT TRIGGER slow ON ddl_command_start WHEN TAG IN ('CREATE SCHEMA') EXECUTE FUNCTION slow()",
        "SELECT pg_advisory_lock(77)",
    ]);
    slow
}

const INDEX: &str = "CREATE INDEX later ON orders (customer)";

/// The first statement that is queued in a database waits for the schema that keeps it; nobody else does.
#[test]
fn nobody_waits_while_the_schema_is_installed() {
    for way in Way::BOTH {
        let stage = Stage::new();
        let mut slow = slow_to_install(&stage);
        let mut client = stage.through();
        client.each(way, &["BEGIN", ALTER]);
        client.send(way, "CREATE INDEX later ON orders (added)");
        under_traffic(&stage, || {
            stage.until("SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'advisory'");
            until_lapsed(&stage, &client);
        });
        slow.all(&["SELECT pg_advisory_unlock(77)"]);
        let answer = client.answer();
        assert_eq!(answer.tag(), "CREATE INDEX", "{answer:?}");
        let told = answer.notices();
        assert!(
            told.first().is_some_and(|told| told.contains("the transaction is rolled back for now")),
            "{told:?}"
        );
        client.each(way, &["COMMIT"]);
        assert_eq!(stage.now(ADDED), "1");
        assert_eq!(stage.indexes(), "later+");
        assert_eq!(client.table("SHOW lock_timeout"), "0");
    }
}

/// Where the transaction cannot be sent once more it is over, and the schema is there for the next one.
#[test]
fn what_cannot_be_repeated_gives_way_while_the_schema_is_installed() {
    for way in Way::BOTH {
        let stage = Stage::new();
        let mut slow = slow_to_install(&stage);
        let mut client = stage.through();
        client.each(way, &["BEGIN", "SELECT pg_advisory_xact_lock(7)", ALTER, "SAVEPOINT here"]);
        client.send(way, INDEX);
        under_traffic(&stage, || {
            stage.until(&format!(
                "SELECT count(*) = 0 FROM pg_locks WHERE pid = {} AND relation = 'orders'::regclass",
                client.pid()
            ));
        });
        slow.all(&["SELECT pg_advisory_unlock(77)"]);
        let answer = client.answer();
        assert_eq!((answer.failure().as_str(), answer.status()), ("55P03", 'E'), "{answer:?}");
        assert_eq!(answer.error().map(Frame::message).as_deref(), Some(LOST));
        let detail = answer.detail();
        assert!(detail.starts_with("Schema \"lockkeeper\" was being installed. "), "{detail}");
        assert!(
            detail
                .ends_with("It cannot be repeated, since what pg_advisory_* does in it is not rolled back.")
        );
        // What is gone from behind the savepoint is gone before it, too.
        assert_eq!(client.ask(way, "ROLLBACK TO here").failure(), "3B001");
        client.each(way, &["ROLLBACK", "BEGIN", ALTER, INDEX, "COMMIT"]);
        assert_eq!(stage.indexes(), "later+");
    }
}

/// Who waits for the installation can stop.
#[test]
fn it_can_be_cancelled_while_the_schema_is_installed() {
    for way in Way::BOTH {
        let stage = Stage::new();
        let mut slow = slow_to_install(&stage);
        let mut client = stage.through();
        client.each(way, &["BEGIN", ALTER]);
        client.send(way, INDEX);
        stage.until("SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'advisory'");
        client.cancel();
        let answer = client.answer();
        assert_eq!((answer.failure().as_str(), answer.status()), ("57014", 'E'), "{answer:?}");
        slow.all(&["SELECT pg_advisory_unlock(77)"]);
        client.each(way, &["ROLLBACK", "BEGIN", ALTER, INDEX, "COMMIT"]);
        assert_eq!(stage.indexes(), "later+");
    }
}

/// Whatever comes first behind the silence is answered as if the transaction had been there all the time.
#[test]
fn whatever_comes_first_is_about_the_transaction() {
    let options = Options::new().conf("max_prepared_transactions = 2");
    let stage = Stage::with_options(&options);
    let first: [(&str, &str, char, &[&str], &str); 6] = [
        ("COMMIT AND CHAIN", "COMMIT", 'T', &["ROLLBACK"], "1"),
        ("ROLLBACK AND CHAIN", "ROLLBACK", 'T', &["COMMIT"], "0"),
        ("SAVEPOINT here", "SAVEPOINT", 'T', &["ROLLBACK TO here", "COMMIT"], "1"),
        ("ROLLBACK TO before", "ROLLBACK", 'T', &["COMMIT"], "0"),
        ("PREPARE TRANSACTION 'it'", "PREPARE TRANSACTION", 'I', &["COMMIT PREPARED 'it'"], "1"),
        ("END", "COMMIT", 'I', &["SELECT 1"], "1"),
    ];
    for way in Way::BOTH {
        for (sql, tag, status, behind, added) in first {
            let mut client = thinking(&stage, way, &["SAVEPOINT before"]);
            let answer = client.ask(way, sql);
            assert_eq!((answer.tag().as_str(), answer.status()), (tag, status), "{sql}: {answer:?}");
            client.each(way, behind);
            assert_eq!(stage.now(ADDED), added, "{sql}");
            stage.straight().all(&["ALTER TABLE orders DROP IF EXISTS added"]);
        }
    }
}

/// What comes in one flight, its end with it, is run behind the transaction that is brought back.
#[test]
fn a_pipeline_behind_the_silence_is_run_to_its_end() {
    let stage = Stage::new();
    let mut client = thinking(&stage, Way::Extended, &[]);
    let flight: Vec<u8> = [ADDED, "UPDATE orders SET customer = 5 WHERE id = 2", "COMMIT"]
        .iter()
        .flat_map(|sql| [raw::parse("", sql), raw::bind("", "", &[]), raw::execute("", 0)].concat())
        .chain(raw::sync())
        .collect();
    client.raw.send(&flight);
    let answer = client.answer();
    assert_eq!(answer.tags(), ["SELECT 1", "UPDATE 1", "COMMIT"], "{answer:?}");
    assert_eq!(raw_rows(&answer), ["1"]);
    assert_eq!(stage.now(ADDED), "1");
    assert_eq!(stage.now("SELECT customer FROM orders WHERE id = 2"), "5");
}
