//! The queue of each table: nothing of ours waits inside the server behind a concurrent build of ours.

use crate::support::each_major;
use crate::support::eventually;
use crate::support::raw;
use crate::support::stage::{Person, Stage, Way};

const INDEX: &str = "CREATE INDEX by_note ON orders (note)";
const WAITS: &str =
    "SELECT EXISTS (SELECT 1 FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting for %')";

/// A build that has begun and waits for somebody's transaction, and that somebody.
fn build(stage: &Stage) -> (Person, Person) {
    let mut holder = stage.straight();
    holder.all(&["BEGIN", "UPDATE orders SET note = 'm' WHERE id = 1"]);
    let mut builder = stage.through();
    builder.send(Way::Simple, INDEX);
    stage.until(WAITS);
    (holder, builder)
}

/// Reads up to the notice that it waits for the build; its DETAIL.
fn until_waiting(client: &mut Person, pid: i32) -> String {
    let words = format!("waiting until process {pid} is done with the table");
    eventually("it says that it waits", || {
        let frame = client.raw.frame();
        assert!(!matches!(frame.tag, b'E' | b'C'), "{frame:?}");
        (frame.tag == b'N' && frame.message() == words).then(|| frame.field(b'D').expect("a detail"))
    })
}

/// In the server's own queue the newcomer, or the build, would be ended with 40P01.
#[test]
fn whatever_needs_the_table_waits_until_the_build_is_done() {
    for installation in each_major() {
        let stage = Stage::on(installation);
        stage.straight().all(&["ALTER TABLE orders ADD CONSTRAINT few CHECK (id < 1000) NOT VALID"]);
        for way in Way::BOTH {
            for (sql, tag) in [
                ("CREATE INDEX by_customer ON orders (customer)", "CREATE INDEX"),
                ("DROP INDEX IF EXISTS old", "DROP INDEX"),
                ("ALTER TABLE orders VALIDATE CONSTRAINT few", "ALTER TABLE"),
                ("COMMENT ON TABLE orders IS 'new'", "COMMENT"),
                ("ANALYZE orders", "ANALYZE"),
                ("ALTER TABLE orders ADD added int", "ALTER TABLE"),
                ("ALTER TABLE orders ADD CHECK (customer >= 0)", "ALTER TABLE"),
            ] {
                stage.straight().all(&["CREATE INDEX old ON orders (id)"]);
                let (mut holder, mut builder) = build(&stage);
                let mut client = stage.through();
                client.all(&["SET lock_timeout = '50s'"]);
                client.send(way, sql);
                let detail = until_waiting(&mut client, builder.pid());
                let whose = format!(
                    "Process {} of user \"postgres\" has been at its CREATE INDEX for ",
                    builder.pid()
                );
                assert!(detail.starts_with(&whose), "{detail}");
                let waits =
                    format!("SELECT count(*) = 0 FROM pg_locks WHERE pid = {} AND NOT granted", client.pid());
                assert_eq!(stage.now(&waits), "t", "{sql}");
                holder.all(&["COMMIT"]);
                assert_eq!(builder.answer().tag(), "CREATE INDEX", "{way:?} {sql}");
                assert_eq!(client.answer().tag(), tag, "{way:?} {sql}");
                assert_eq!(client.table("SHOW lock_timeout"), "50s");
                assert!(!stage.cluster.log().contains("deadlock detected"), "{sql}");
                stage.straight().all(&[
                    "DROP INDEX IF EXISTS by_note, by_customer, old",
                    "ALTER TABLE orders DROP COLUMN IF EXISTS added",
                    "ALTER TABLE orders DROP CONSTRAINT IF EXISTS orders_customer_check",
                ]);
            }
        }
    }
}

#[test]
fn reads_writes_and_vacuum_do_not_wait() {
    let stage = Stage::new();
    let (mut holder, mut builder) = build(&stage);
    for way in Way::BOTH {
        let mut client = stage.through();
        for sql in [
            "SELECT 1 FROM orders LIMIT 1",
            "UPDATE orders SET note = 'n' WHERE id = 2",
            "CREATE TABLE IF NOT EXISTS other (a int)",
        ] {
            assert!(client.ask(way, sql).error().is_none(), "{sql}");
        }
    }
    // Other tables are nobody's concern.
    assert_eq!(stage.through().query("ALTER TABLE other ADD b int").tag(), "ALTER TABLE");
    holder.all(&["COMMIT"]);
    builder.answer().tag();
}

/// Ctrl-C, a client that leaves, a time-out and a freeze end the waiting, and the place is free for others.
#[test]
fn waiting_can_be_ended_at_once() {
    let stage = Stage::new();
    for way in Way::BOTH {
        let (mut holder, mut builder) = build(&stage);
        for sql in [
            "CREATE INDEX by_customer ON orders (customer)",
            "ALTER TABLE orders ADD added int",
            "COMMENT ON TABLE orders IS 'new'",
        ] {
            let mut client = stage.through();
            client.send(way, sql);
            until_waiting(&mut client, builder.pid());
            client.cancel();
            let answer = client.answer();
            assert_eq!((answer.failure().as_str(), answer.status()), ("57014", 'I'), "{way:?} {sql}");
            assert_eq!(client.table("SELECT 1"), "1");
            let mut leaver = stage.through();
            leaver.send(way, sql);
            until_waiting(&mut leaver, builder.pid());
            let pid = leaver.pid();
            drop(leaver);
            stage.until(&format!("SELECT NOT EXISTS (SELECT 1 FROM pg_stat_activity WHERE pid = {pid})"));
        }
        let mut client = stage.through();
        client.all(&["SET lockkeeper.retry_for = '200ms'"]);
        let answer = client.ask(way, "ALTER TABLE orders ADD added int");
        assert_eq!(answer.failure(), "55P03");
        assert!(answer.detail().contains(&format!("Process {} of user", builder.pid())), "{answer:?}");
        assert!(answer.hint().contains("SET lockkeeper.retry_for"), "{answer:?}");
        holder.all(&["COMMIT"]);
        builder.answer().tag();
        assert_eq!(stage.through().query("ALTER TABLE orders ADD added int").tag(), "ALTER TABLE");
        stage.straight().all(&["DROP INDEX by_note", "ALTER TABLE orders DROP added"]);
    }
}

/// The build would wait for the transaction, and the transaction for the build.
#[test]
fn in_a_transaction_it_does_not_wait_for_long() {
    let stage = Stage::new();
    for way in Way::BOTH {
        let (mut holder, mut builder) = build(&stage);
        let mut client = stage.through();
        client.all(&[
            "BEGIN",
            "UPDATE orders SET note = 'x' WHERE id = 3",
            "SET lockkeeper.retry_for = '300ms'",
        ]);
        let answer = client.ask(way, "ALTER TABLE orders ADD added int");
        assert_eq!((answer.failure().as_str(), answer.status()), ("55P03", 'E'));
        assert!(answer.hint().contains("outside a transaction"), "{answer:?}");
        client.all(&["ROLLBACK"]);
        // What ends in time lets it go on, though it began before the build.
        let mut patient = stage.through();
        patient.all(&["BEGIN", "SELECT 1"]);
        patient.send(way, "ALTER TABLE orders ADD added int");
        until_waiting(&mut patient, builder.pid());
        holder.all(&["COMMIT"]);
        assert_eq!(builder.answer().tag(), "CREATE INDEX");
        let answer = patient.answer();
        assert_eq!((answer.tag().as_str(), answer.status()), ("ALTER TABLE", 'T'));
        patient.all(&["ROLLBACK"]);
        stage.straight().all(&["DROP INDEX by_note"]);
    }
}

/// A session that is lost gives its place to the next, which it had kept waiting.
#[test]
fn a_lost_build_is_not_waited_for() {
    let stage = Stage::new();
    let (mut holder, builder) = build(&stage);
    let mut client = stage.through();
    client.send(Way::Simple, "ALTER TABLE orders ADD added int");
    until_waiting(&mut client, builder.pid());
    stage.straight().all(&[&format!("SELECT pg_terminate_backend({})", builder.pid())]);
    holder.all(&["COMMIT"]);
    assert_eq!(client.answer().tag(), "ALTER TABLE");
}

/// Those who wait come in the order in which they have come.
#[test]
fn the_order_is_that_of_arrival() {
    let stage = Stage::new();
    let (mut holder, mut builder) = build(&stage);
    let mut waiting = Vec::new();
    for name in ["first", "second", "third"] {
        let mut client = stage.through();
        client.send(Way::Simple, &format!("CREATE INDEX {name} ON orders (customer)"));
        until_waiting(&mut client, builder.pid());
        waiting.push(client);
    }
    holder.all(&["COMMIT"]);
    builder.answer().tag();
    for client in &mut waiting {
        assert_eq!(client.answer().tag(), "CREATE INDEX");
    }
    let order = "SELECT string_agg(indexrelid::regclass::text, ' ' ORDER BY indexrelid) FROM pg_index \
         WHERE indrelid = 'orders'::regclass AND indkey::text = '2'";
    assert_eq!(stage.now(order), "first second third");
}

/// What stands behind an Execute in its pipeline is answered after it.
#[test]
fn a_pipeline_goes_on_behind_what_has_waited() {
    let stage = Stage::new();
    let (mut holder, mut builder) = build(&stage);
    let mut client = stage.through();
    let step = |sql: &str| [raw::parse("", sql), raw::bind("", "", &[]), raw::execute("", 0)].concat();
    client.raw.send(
        &[step("COMMENT ON TABLE orders IS 'new'"), raw::sync(), step("SELECT 1"), raw::sync()].concat(),
    );
    until_waiting(&mut client, builder.pid());
    holder.all(&["COMMIT"]);
    builder.answer().tag();
    assert_eq!(client.answer().tag(), "COMMENT");
    assert_eq!(client.answer().tag(), "SELECT 1");
}

/// Nor does anybody wait for what the transaction has locked meanwhile.
#[test]
fn in_a_transaction_nobody_waits_for_its_locks_meanwhile() {
    let stage = Stage::new();
    stage.straight().all(&["CREATE TABLE other (id int)"]);
    for way in Way::BOTH {
        for cancels in [false, true] {
            let (mut holder, mut builder) = build(&stage);
            let mut client = stage.through();
            client.each(way, &["BEGIN", "ALTER TABLE other ADD added int"]);
            client.send(way, "ALTER TABLE orders ADD added int");
            until_waiting(&mut client, builder.pid());
            let mut reader = stage.straight();
            reader.all(&["SET lock_timeout = '1s'"]);
            assert_eq!(reader.table("SELECT count(*) FROM other"), "0");
            if cancels {
                client.cancel();
                let answer = client.answer();
                assert_eq!((answer.failure().as_str(), answer.status()), ("57014", 'E'), "{answer:?}");
            }
            holder.all(&["COMMIT"]);
            assert_eq!(builder.answer().tag(), "CREATE INDEX");
            if !cancels {
                assert_eq!(client.answer().tag(), "ALTER TABLE");
            }
            client.each(way, &["COMMIT"]);
            let added = "SELECT count(*) FROM pg_attribute WHERE attname = 'added' AND NOT attisdropped";
            assert_eq!(stage.now(added), if cancels { "0" } else { "2" });
            stage.straight().all(&[
                "DROP INDEX by_note",
                "ALTER TABLE orders DROP IF EXISTS added",
                "ALTER TABLE other DROP IF EXISTS added",
            ]);
        }
    }
}

/// Where nobody waits for its locks it can be stopped all the same, and does not wait for long.
#[test]
fn in_a_transaction_with_locks_it_can_be_stopped() {
    let stage = Stage::new();
    stage.straight().all(&["CREATE TABLE other (id int)"]);
    let (mut holder, mut builder) = build(&stage);
    for way in Way::BOTH {
        let mut client = stage.through();
        client.each(way, &["BEGIN", "ALTER TABLE other ADD added int"]);
        client.send(way, "ALTER TABLE orders ADD added int");
        until_waiting(&mut client, builder.pid());
        client.cancel();
        let answer = client.answer();
        assert_eq!((answer.failure().as_str(), answer.status()), ("57014", 'E'), "{answer:?}");
        client.each(way, &["ROLLBACK", "SET lockkeeper.retry_for = '300ms'"]);
        client.each(way, &["BEGIN", "ALTER TABLE other ADD added int"]);
        let answer = client.ask(way, "ALTER TABLE orders ADD added int");
        assert_eq!((answer.failure().as_str(), answer.status()), ("55P03", 'E'), "{answer:?}");
        assert!(answer.detail().contains(&format!("Process {} of user", builder.pid())), "{answer:?}");
        assert!(answer.hint().contains("outside a transaction"), "{answer:?}");
        client.each(way, &["ROLLBACK", "SELECT 1"]);
    }
    holder.all(&["COMMIT"]);
    builder.answer().tag();
}

/// Two statements before one Sync are a transaction without BEGIN, which cannot be sent once more: it fails as a whole, and soon.
#[test]
fn a_pipeline_with_locks_fails_and_leaves_nothing_open() {
    let stage = Stage::new();
    stage.straight().all(&["CREATE TABLE other (id int)"]);
    let (mut holder, mut builder) = build(&stage);
    let mut client = stage.through();
    let one = |sql: &str| [raw::parse("", sql), raw::bind("", "", &[]), raw::execute("", 0)].concat();
    let both = [one("ALTER TABLE other ADD added int"), one("ALTER TABLE orders ADD added int"), raw::sync()];
    client.raw.send(&both.concat());
    client.raw.until(b'C');
    until_waiting(&mut client, builder.pid());
    let mut reader = stage.straight();
    reader.all(&["SET lock_timeout = '1s'"]);
    assert_eq!(reader.table("SELECT count(*) FROM other"), "0");
    let answer = client.answer();
    assert_eq!(
        (answer.error().map(raw::Frame::sqlstate).as_deref(), answer.status()),
        (Some("55P03"), 'I'),
        "{answer:?}"
    );
    client.all(&["SELECT 1"]);
    assert_eq!(stage.now("SELECT count(*) FROM pg_attribute WHERE attname = 'added'"), "0");
    holder.all(&["COMMIT"]);
    builder.answer().tag();
}

/// Who has waited keeps his place: a build that has come later waits for him.
#[test]
fn who_gives_way_meanwhile_keeps_his_place() {
    let stage = Stage::new();
    stage.straight().all(&["CREATE TABLE other (id int)"]);
    for way in Way::BOTH {
        let (mut holder, mut builder) = build(&stage);
        let mut client = stage.through();
        client.each(way, &["BEGIN", "ALTER TABLE other ADD added int"]);
        client.send(way, "ALTER TABLE orders ADD added int");
        until_waiting(&mut client, builder.pid());
        let mut later = stage.through();
        later.send(way, "CREATE INDEX by_customer ON orders (customer)");
        until_waiting(&mut later, builder.pid());
        holder.all(&["COMMIT"]);
        assert_eq!(client.answer().tag(), "ALTER TABLE");
        client.each(way, &["COMMIT"]);
        assert_eq!([builder.answer().tag(), later.answer().tag()], ["CREATE INDEX", "CREATE INDEX"]);
        stage.straight().all(&[
            "DROP INDEX by_note, by_customer",
            "ALTER TABLE orders DROP added",
            "ALTER TABLE other DROP added",
        ]);
    }
}
