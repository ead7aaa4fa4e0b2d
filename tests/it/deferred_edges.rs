//! Work behind a COMMIT in the corners of the protocol: row limits, pipelines without a block, chains, time-outs, failed commits.

use crate::support::raw::{self, Frame};
use crate::support::stage::{Answer, Person, Stage, Way};

/// What has been queued at all.
const QUEUED: &str = "SELECT CASE WHEN to_regclass('lockkeeper.task') IS NULL THEN 0 ELSE \
     (xpath('//c/text()', query_to_xml('SELECT count(*) AS c FROM lockkeeper.task', false, true, '')))[1]::text::int END";

/// A statement without its Sync.
fn run(sql: &str) -> Vec<u8> {
    [raw::parse("", sql), raw::bind("", "", &[]), raw::execute("", 0)].concat()
}

/// The same of a client that takes one row at most, as JDBC sends whatever is to bring none.
fn limited(sql: &str) -> Vec<u8> {
    [raw::parse("", sql), raw::bind("", "", &[]), raw::describe(b'P', ""), raw::execute("", 1)].concat()
}

/// What an answer consists of, but for notices.
fn shape(answer: &Answer) -> String {
    let but_notices: Vec<Frame> = answer.0.iter().filter(|frame| frame.tag != b'N').cloned().collect();
    raw::tags(&but_notices)
}

#[test]
fn a_row_limit_is_nothing_to_what_brings_no_rows() {
    let stage = Stage::new();
    stage.straight().all(&[
        "CREATE TABLE many (id int PRIMARY KEY, n int)",
        "INSERT INTO many SELECT i, 0 FROM generate_series(1, 1000) i",
        "ANALYZE many",
    ]);
    let mut client = stage.through();
    client.all(&["SET lockkeeper.bulk_rows = 100"]);
    for (sql, tag, status) in [
        ("ALTER TABLE orders ADD a int", "ALTER TABLE", 'I'),
        ("CREATE INDEX ix ON orders (customer)", "CREATE INDEX", 'I'),
        ("UPDATE many SET n = n + 1", "UPDATE 1000", 'I'),
        ("BEGIN", "BEGIN", 'T'),
        ("ALTER TABLE orders ADD b int", "ALTER TABLE", 'T'),
        ("CREATE INDEX iy ON orders (note)", "CREATE INDEX", 'T'),
        ("UPDATE many SET n = n + 1", "UPDATE 0", 'T'),
        ("COMMIT", "COMMIT", 'I'),
    ] {
        client.raw.send(&[limited(sql), raw::sync()].concat());
        let answer = client.answer();
        assert_eq!((answer.tag().as_str(), answer.status()), (tag, status), "{sql}: {answer:?}");
        assert_eq!(shape(&answer), "12nCZ", "{sql}: {answer:?}");
    }
    assert_eq!(stage.indexes(), "ix+\niy+");
    assert_eq!(stage.now("SELECT count(*) FROM many WHERE n = 2"), "1000");
    assert!(stage.was_run("CREATE INDEX CONCURRENTLY IF NOT EXISTS iy ON orders (note)"));
}

/// What is written in batches hands its rows out as they come, so that it cannot wait with them for the next Execute.
#[test]
fn rows_of_a_bulk_statement_do_not_come_by_pieces() {
    let stage = Stage::new();
    stage.straight().all(&[
        "CREATE TABLE many (id int PRIMARY KEY, n int)",
        "INSERT INTO many SELECT i, 0 FROM generate_series(1, 1000) i",
        "ANALYZE many",
    ]);
    let mut client = stage.through();
    client.all(&["SET lockkeeper.bulk_rows = 100"]);
    let sql = "UPDATE many SET n = n + 1 RETURNING id";
    client.raw.send(&[limited(sql), raw::execute("", 0), raw::sync()].concat());
    let refused = client.answer();
    assert_eq!((refused.failure().as_str(), refused.status()), ("0A000", 'I'), "{refused:?}");
    assert!(format!("{refused:?}").contains("without a limit on rows"), "{refused:?}");
    assert_eq!(shape(&refused), "12TEZ", "{refused:?}");
    assert_eq!(stage.now("SELECT count(*) FROM many WHERE n > 0"), "0");
    // Few rows are the server's to hand out.
    let few = "UPDATE many SET n = n + 1 WHERE id IN (1, 2, 3) RETURNING id";
    client.raw.send(&[limited(few), raw::execute("", 1), raw::execute("", 0), raw::sync()].concat());
    let pieces = client.answer();
    assert_eq!((shape(&pieces).as_str(), pieces.tag().as_str()), ("12TDsDsDCZ", "UPDATE 1"), "{pieces:?}");
    assert_eq!(stage.now("SELECT count(*) FROM many WHERE n > 0"), "3");
}

/// Who asks for the answers so far gets them, without the end of its batch.
#[test]
fn a_flush_is_answered_in_the_midst_of_a_batch() {
    let stage = Stage::new();
    let mut client = stage.through();
    let build = "CREATE INDEX ix ON orders (customer)";
    client.each(Way::Extended, &["BEGIN"]);
    let flushed = |sql: &str| [run(sql), raw::flush()].concat();
    for (sql, tag) in [
        ("INSERT INTO orders VALUES (1000)", "INSERT 0 1"),
        (build, "CREATE INDEX"),
        ("ALTER TABLE orders ADD added int", "ALTER TABLE"),
        ("COMMIT", "COMMIT"),
        // The server commits at the Sync only, but a block that is over is over.
        ("SELECT count(*) FROM orders", "SELECT 1"),
    ] {
        client.raw.send(&flushed(sql));
        let complete = client.raw.until(b'C');
        assert_eq!(complete.last().map(Frame::text), Some(tag.to_owned()), "{complete:?}");
        if tag == "COMMIT" {
            assert_eq!(
                (stage.indexes().as_str(), stage.now("SELECT count(added) FROM orders").as_str()),
                ("ix+", "0")
            );
        }
    }
    client.raw.send(&raw::sync());
    assert_eq!(client.answer().status(), 'I');
    // What stands alone before its Sync is built at once; where the Sync has not come, nobody knows that.
    client.each(Way::Extended, &["DROP INDEX ix"]);
    client.raw.send(&[flushed(build), raw::sync()].concat());
    let answer = client.answer();
    assert_eq!((answer.tag().as_str(), answer.status()), ("CREATE INDEX", 'I'), "{answer:?}");
    client.each(Way::Extended, &["DROP INDEX ix"]);
    client.raw.send(&flushed(build));
    let refused = client.raw.until(b'E');
    assert_eq!(refused.last().map(Frame::sqlstate), Some("0A000".to_owned()), "{refused:?}");
    assert!(
        refused
            .last()
            .and_then(|frame| frame.field(b'H'))
            .is_some_and(|hint| hint.contains("Sync before and behind it"))
    );
    client.raw.send(&raw::sync());
    assert_eq!(client.answer().status(), 'I');
    assert_eq!(stage.indexes(), "");
}

/// Without a block the server commits at the Sync, and nobody sees that coming: nothing of such a pipeline stays.
#[test]
fn a_pipeline_without_a_block_is_refused_as_a_whole() {
    let stage = Stage::new();
    let mut client = stage.through();
    let (insert, build) = ("INSERT INTO orders VALUES (1000)", "CREATE INDEX ix ON orders (customer)");
    for (first, second, tags) in [(insert, build, vec!["INSERT 0 1".to_owned()]), (build, insert, vec![])] {
        client.raw.send(&[run(first), run(second), run("SELECT 1"), raw::sync()].concat());
        let answer = client.answer();
        assert_eq!((answer.tags(), answer.status()), (tags, 'I'), "{answer:?}");
        assert_eq!(answer.failure_if_any(), "0A000");
        assert_eq!(
            answer.hint(),
            "Send a Sync before and behind it, so that it stands alone, or BEGIN and COMMIT around all of it."
        );
        assert_eq!(stage.now("SELECT count(*) FROM orders"), "100");
        assert_eq!((stage.indexes().as_str(), stage.now(QUEUED).as_str()), ("", "0"));
    }
    // Each with a Sync of its own is run.
    client.raw.send(&[run(insert), raw::sync(), run(build), raw::sync()].concat());
    assert_eq!(
        (client.answer().tag().as_str(), client.answer().tag().as_str()),
        ("INSERT 0 1", "CREATE INDEX")
    );
    assert_eq!(stage.indexes(), "ix+");
}

/// What is queued is written down in the transaction, which would not take that any more.
#[test]
fn a_transaction_with_a_queue_stays_read_write() {
    let stage = Stage::new();
    let queued = ["BEGIN", "INSERT INTO orders VALUES (1000)", "CREATE INDEX ix ON orders (customer)"];
    for way in Way::BOTH {
        let mut client = stage.through();
        for sql in [
            "SET TRANSACTION READ ONLY",
            "BEGIN READ ONLY",
            "START TRANSACTION ISOLATION LEVEL READ COMMITTED, READ ONLY",
            "set transaction isolation level read committed, read only",
            "SET LOCAL transaction_read_only = on",
            "SET transaction_read_only TO 'yes'",
        ] {
            client.each(way, &queued);
            let refused = client.ask(way, sql);
            assert_eq!((refused.failure().as_str(), refused.status()), ("0A000", 'E'), "{sql}: {refused:?}");
            assert!(refused.hint().contains("stays READ WRITE"), "{refused:?}");
            assert_eq!(client.ask(way, "COMMIT").tag(), "ROLLBACK");
        }
        // What nobody sees fails the COMMIT.
        client.each(way, &queued);
        client.each(way, &["SELECT set_config('transaction_read_only', 'on', true)"]);
        let failed = client.ask(way, "COMMIT");
        assert_eq!((failed.failure().as_str(), failed.status()), ("25006", 'I'), "{failed:?}");
        assert!(failed.detail().ends_with("so that nothing was committed."), "{failed:?}");
        assert!(failed.hint().contains("stays READ WRITE"), "{failed:?}");
        assert_eq!((stage.indexes().as_str(), stage.now(QUEUED).as_str()), ("", "0"));
        assert_eq!(stage.now("SELECT count(*) FROM orders"), "100");
        // Others may be read-only, and what comes next.
        client.each(way, &["BEGIN", "SET TRANSACTION READ ONLY", "COMMIT"]);
        client.each(way, &["BEGIN", queued[2], "SET TRANSACTION READ WRITE"]);
        client.each(way, &["SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "COMMIT"]);
        assert_eq!(stage.indexes(), "ix+");
        assert_eq!(client.table("SHOW default_transaction_read_only"), "on");
        client.each(way, &["SET default_transaction_read_only = off", "DROP INDEX ix"]);
        stage.straight().all(&["DELETE FROM lockkeeper.task"]);
    }
}

/// The transaction is committed and the next one begun, which has failed with the statement that has begun it: nothing that is on its
/// way is run outside of a transaction, or by itself.
#[test]
fn a_chain_behind_work_that_has_failed_is_a_failed_transaction() {
    let stage = Stage::new();
    let queued = ["BEGIN ISOLATION LEVEL REPEATABLE READ", "CREATE UNIQUE INDEX ix ON orders (note)"];
    let insert = "INSERT INTO orders VALUES (1000)";
    for way in Way::BOTH {
        let mut client = stage.through();
        client.each(way, &[queued[0], "UPDATE orders SET customer = customer + 10 WHERE id = 1", queued[1]]);
        client.raw.send(&[way.bytes("COMMIT AND CHAIN"), way.bytes(insert)].concat());
        let failed = client.answer();
        assert_eq!((failed.failure().as_str(), failed.status()), ("58000", 'E'), "{failed:?}");
        let next = client.answer();
        assert_eq!((next.failure().as_str(), next.status()), ("25P02", 'E'));
        let end = client.ask(way, "ROLLBACK");
        assert_eq!((end.tag().as_str(), end.status(), end.notices().len()), ("ROLLBACK", 'I', 0), "{end:?}");
        assert_eq!(stage.now("SELECT customer > 10 FROM orders WHERE id = 1"), "t", "it is committed");
        // The chain may go on.
        client.each(way, &queued);
        assert_eq!(client.ask(way, "COMMIT AND CHAIN").failure(), "58000");
        assert_eq!(client.each(way, &["ROLLBACK AND CHAIN"]).status(), 'T');
        client.each(way, &["COMMIT"]);
        stage.straight().all(&["UPDATE orders SET customer = 1 WHERE id = 1"]);
    }
    let mut client = stage.through();
    // Behind it in one message, and before one Sync.
    client.all(&queued);
    client
        .raw
        .send(&[run("COMMIT AND CHAIN"), run(insert), raw::sync(), run("ROLLBACK"), raw::sync()].concat());
    let failed = client.answer();
    assert_eq!((failed.failure().as_str(), failed.status()), ("58000", 'E'));
    assert_eq!(client.answer().tag(), "ROLLBACK");
    client.all(&queued);
    let failed = client.query(&format!("COMMIT AND CHAIN; {insert}"));
    assert_eq!((failed.failure().as_str(), failed.status()), ("58000", 'E'));
    client.all(&["ROLLBACK"]);
    assert_eq!(stage.now("SELECT count(*) FROM orders"), "100");
}

/// Who reads a table in a transaction until told otherwise.
fn reader(stage: &Stage) -> Person {
    let mut reader = stage.straight();
    reader.all(&["BEGIN", "SELECT count(*) FROM other"]);
    reader
}

/// What has been opened before a statement had to wait stands where it stood.
#[test]
fn cursors_and_portals_go_on_behind_a_wait() {
    let stage = Stage::new();
    stage.straight().all(&["CREATE TABLE other (a int)"]);
    for way in Way::BOTH {
        let mut client = stage.through();
        client.each(way, &["BEGIN", "DECLARE c CURSOR FOR SELECT id FROM orders ORDER BY id"]);
        assert_eq!(client.table("FETCH 2 FROM c"), "1\n2");
        let sql = "SELECT id + 500 FROM orders ORDER BY id";
        client.raw.send(
            &[raw::parse("", sql), raw::bind("rows", "", &[]), raw::execute("rows", 3), raw::sync()].concat(),
        );
        assert_eq!(raw::tags(&client.answer().0), "12DDDsZ");
        let mut reader = reader(&stage);
        client.send(way, "ALTER TABLE other ADD added int");
        stage.until(&format!(
            "SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = {}",
            client.pid()
        ));
        reader.all(&["COMMIT"]);
        let altered = client.answer();
        assert_eq!((altered.tag().as_str(), altered.status()), ("ALTER TABLE", 'T'), "{altered:?}");
        assert_eq!(client.table("FETCH 2 FROM c"), "3\n4");
        client.raw.send(&[raw::execute("rows", 2), raw::sync()].concat());
        let rows = client.answer();
        assert_eq!(raw::tags(&rows.0), "DDsZ", "{rows:?}");
        assert_eq!(rows.0[0].columns(), [Some("504".to_owned())]);
        client.each(way, &["COMMIT", "ALTER TABLE other DROP added"]);
    }
}

/// A build that is cut short leaves an invalid index, and its client would have to be told that it is committed all the same.
#[test]
fn a_time_out_does_not_cut_what_is_done_behind_the_commit() {
    let stage = Stage::new();
    for way in Way::BOTH {
        let (mut holder, mut client) = (stage.straight(), stage.through());
        holder.all(&["BEGIN", "UPDATE orders SET note = note WHERE id = 1"]);
        let statements = [
            "BEGIN",
            "CREATE INDEX ix ON orders (customer)",
            "SET statement_timeout = '300ms'",
            "SET lock_timeout = '310ms'",
        ];
        client.each(way, &statements);
        client.send(way, "COMMIT");
        stage.until(&format!(
            "SELECT query LIKE '%CONCURRENTLY%' AND clock_timestamp() - query_start > '600ms' FROM pg_stat_activity WHERE pid = {}",
            client.pid()
        ));
        holder.all(&["COMMIT"]);
        let committed = client.answer();
        assert_eq!((committed.tag().as_str(), committed.status()), ("COMMIT", 'I'), "{committed:?}");
        assert_eq!(stage.indexes(), "ix+");
        let settings = "SELECT current_setting('statement_timeout'), current_setting('lock_timeout')";
        assert_eq!(client.table(settings), "300ms|310ms");
        client.all(&["SET statement_timeout = 0", "DROP INDEX ix"]);
    }
}

/// Whether a session has been as it is for longer than it may idle in a transaction; true also where it is no more.
fn is_beyond(pid: i32, since: &str) -> String {
    format!(
        "SELECT coalesce((SELECT clock_timestamp() - {since} > '1200ms' FROM pg_stat_activity WHERE pid = {pid}), true)"
    )
}

const IDLE: &str = "SET LOCAL idle_in_transaction_session_timeout = '600ms'";

/// The server counts a session as idle whose statement waits outside; its client is not.
#[test]
fn who_waits_in_a_transaction_does_not_idle() {
    let stage = Stage::new();
    stage.straight().all(&["CREATE TABLE other (a int)"]);
    for way in Way::BOTH {
        // Behind a reader.
        let mut client = stage.through();
        let mut reader = reader(&stage);
        client.all(&["BEGIN"]);
        client.raw.send(&[way.bytes(IDLE), way.bytes("ALTER TABLE other ADD added int")].concat());
        assert_eq!(client.answer().tag(), "SET");
        stage.until(&is_beyond(client.pid(), "xact_start"));
        reader.all(&["COMMIT"]);
        assert_eq!(client.answer().tag(), "ALTER TABLE", "{way:?}");
        client.all(&["ROLLBACK"]);
        // Behind a build.
        let mut holder = stage.straight();
        holder.all(&["BEGIN", "UPDATE orders SET note = 'm' WHERE id = 1"]);
        let mut builder = stage.through();
        builder.send(Way::Simple, "CREATE INDEX by_note ON orders (note)");
        stage
            .until("SELECT count(*) = 1 FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting for %'");
        client.all(&["BEGIN"]);
        client.raw.send(&[way.bytes(IDLE), way.bytes("ALTER TABLE orders ADD added int")].concat());
        assert_eq!(client.answer().tag(), "SET");
        stage.until(&is_beyond(client.pid(), "xact_start"));
        holder.all(&["COMMIT"]);
        builder.answer().tag();
        let answer = client.answer();
        assert_eq!((answer.tag().as_str(), answer.status()), ("ALTER TABLE", 'T'), "{way:?} {answer:?}");
        client.all(&["ROLLBACK", "DROP INDEX by_note"]);
    }
}

/// The server fails the COMMIT of a transaction that has read what another has written, and the reverse.
#[test]
fn a_commit_that_cannot_be_serialized_queues_nothing() {
    let stage = Stage::new();
    for way in Way::BOTH {
        for end in ["COMMIT", "COMMIT AND CHAIN"] {
            let (mut client, mut other) = (stage.through(), stage.straight());
            let begin = ["BEGIN ISOLATION LEVEL SERIALIZABLE", "SELECT sum(customer) FROM orders"];
            client.each(way, &begin);
            client.each(way, &["CREATE INDEX ix ON orders (customer)"]);
            other.all(&begin);
            other.all(&["UPDATE orders SET customer = 7 WHERE id = 1"]);
            client.each(way, &["UPDATE orders SET customer = 8 WHERE id = 2"]);
            other.all(&["COMMIT"]);
            let failed = client.ask(way, end);
            assert_eq!((failed.failure().as_str(), failed.status()), ("40001", 'I'), "{failed:?}");
            assert_eq!((stage.indexes().as_str(), stage.now(QUEUED).as_str()), ("", "0"));
            assert_eq!(stage.now("SELECT count(*) FROM orders WHERE customer = 8 AND id = 2"), "0");
            // Run once more it goes through.
            client.each(way, &begin);
            client.each(way, &["CREATE INDEX ix ON orders (customer)", "COMMIT", "DROP INDEX ix"]);
            stage.straight().all(&["DELETE FROM lockkeeper.task"]);
        }
    }
}
