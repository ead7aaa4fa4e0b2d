//! Messages that hold several statements, as migration files do, with transactions and COPY among them.

use crate::support::eventually;
use crate::support::raw::{self, Frame, tags};
use crate::support::stage::{Person, Stage};

const HAS_COLUMN: &str =
    "SELECT EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'added')";

fn reader(stage: &Stage) -> Person {
    let mut person = stage.straight();
    person.all(&["BEGIN", "SELECT count(*) FROM orders"]);
    person
}

/// Each message gets the same frames straight and through the proxy, and leaves the session in the same state.
#[test]
fn files_with_transactions_are_answered_as_straight() {
    let (straight, through) = (Stage::new(), Stage::new());
    for sql in [
        "BEGIN; ALTER TABLE orders ADD COLUMN added int; COMMIT",
        "BEGIN; ALTER TABLE orders DROP COLUMN added; ROLLBACK;",
        "BEGIN; ALTER TABLE orders DROP COLUMN added; SELECT 1 / 0; COMMIT",
        "-- up\nBEGIN;\n SET LOCAL lock_timeout = '3s'; ALTER TABLE orders ADD COLUMN more int; SHOW lock_timeout; COMMIT; SELECT 1",
        "BEGIN; SAVEPOINT a; ALTER TABLE orders DROP COLUMN more; ROLLBACK TO a; SHOW lock_timeout; COMMIT",
        "BEGIN; ALTER TABLE orders ADD COLUMN last int",
        "BEGIN; ALTER TABLE orders ADD COLUMN id int; COMMIT",
        "BEGIN; ALTER TABLE orders ADD COLUMN ünknown nowhere; COMMIT",
        "SET lock_timeout = '4s'; ALTER TABLE orders ALTER note SET DEFAULT 'x'",
        "BEGIN; SET lock_timeout = '6s'; ALTER TABLE orders ALTER note DROP DEFAULT; COMMIT; SHOW lock_timeout",
    ] {
        let tell = |mut person: Person| {
            person.all(&["SET lock_timeout = '9s'"]);
            let answer = person.query(sql);
            let position = answer.error().and_then(|error| error.field(b'P'));
            let rest = person.query("ROLLBACK");
            format!(
                "{} {:?} {position:?} {} {}",
                tags(&answer.0),
                answer.error().map(Frame::message),
                rest.tags().join(""),
                person.table("SHOW lock_timeout")
            )
        };
        assert_eq!(tell(through.through()), tell(straight.straight()), "{sql}");
    }
}

#[test]
fn a_file_with_a_transaction_waits_outside() {
    let stage = Stage::new();
    let mut other = reader(&stage);
    let mut client = stage.through();
    client.raw.send(&raw::query(
        "BEGIN; INSERT INTO orders VALUES (6000); ALTER TABLE orders ADD COLUMN added int; COMMIT; SELECT 'after'",
    ));
    client.raw.until(b'N');
    let mut application = stage.through();
    for _ in 0..50 {
        application.query("SELECT count(*) FROM orders").tag();
    }
    assert_eq!(stage.now(HAS_COLUMN), "f");
    other.all(&["COMMIT"]);
    assert_eq!(client.answer().tags(), ["ALTER TABLE", "COMMIT", "SELECT 1"]);
    assert_eq!(stage.now(HAS_COLUMN), "t");
}

#[test]
fn a_file_that_gives_up_leaves_a_failed_transaction_and_nothing_else() {
    let stage = Stage::new();
    let _other = reader(&stage);
    let mut client = stage.through();
    client.all(&["SET lock_timeout = '9s'", "SET lockkeeper.retry_for = '200ms'"]);
    let answer = client.query("BEGIN; ALTER TABLE orders ADD COLUMN added int; COMMIT");
    assert_eq!((answer.tags().join(",").as_str(), answer.status()), ("BEGIN", 'E'));
    assert_eq!(answer.error().expect("an error").sqlstate(), "55P03");
    client.all(&["ROLLBACK"]);
    assert_eq!(client.table("SHOW lock_timeout"), "9s");
    assert_eq!(stage.now(HAS_COLUMN), "f");
}

/// What others tell the client while its message is tried again and again is not lost with the answers that are.
#[test]
fn notifications_between_and_during_the_attempts_arrive() {
    let stage = Stage::new();
    let (mut other, mut teller) = (reader(&stage), stage.straight());
    let mut client = stage.through();
    client.all(&["LISTEN news"]);
    let sql = "ALTER TABLE orders ADD COLUMN added int; SELECT 1";
    client.raw.send(&raw::query(sql));
    let mut told = 0;
    eventually("it has been tried several times", || {
        teller.all(&[&format!("SELECT pg_notify('news', '{told}')")]);
        told += 1;
        (stage.cluster.log().matches(sql).count() > 2).then_some(())
    });
    other.all(&["COMMIT"]);
    let mut heard = client.raw.until_ready();
    heard.extend(client.query("SELECT 2").0);
    let payload =
        |frame: &Frame| String::from_utf8_lossy(&frame.body[4..]).replace("news\0", "").replace('\0', "");
    let heard: Vec<_> = heard.iter().filter(|frame| frame.tag == b'A').map(payload).collect();
    assert_eq!(heard, (0..told).map(|n| n.to_string()).collect::<Vec<_>>());
}

/// The data of a COPY come in the middle of the message that is being looked after.
#[test]
fn copy_in_the_middle_of_a_message_gets_its_data() {
    let stage = Stage::new();
    for (sql, expected) in [
        (
            "ALTER TABLE orders ADD COLUMN a int; COPY orders (id) FROM STDIN; SELECT 1",
            "ALTER TABLE, COPY 20000, SELECT 1",
        ),
        (
            "BEGIN; ALTER TABLE orders DROP COLUMN a; COPY orders (id) FROM STDIN; COMMIT",
            "BEGIN, ALTER TABLE, COPY 20000, COMMIT",
        ),
    ] {
        let mut client = stage.through();
        client.all(&["SET lock_timeout = '9s'"]);
        client.raw.send(&raw::query(sql));
        let mut frames = client.raw.until(b'G');
        // One message of them is longer than anything that is read ahead.
        let lines = (7002..27_001).map(|id| id.to_string()).collect::<Vec<_>>().join("\n") + "\n";
        client
            .raw
            .send(&[raw::copy_data(b"7001\n"), raw::copy_data(lines.as_bytes()), raw::copy_done()].concat());
        frames.extend(client.raw.until_ready());
        let done: Vec<_> = frames.iter().filter(|frame| frame.tag == b'C').map(Frame::text).collect();
        assert_eq!(done.join(", "), expected, "{frames:?}");
        assert_eq!(client.table("SHOW lock_timeout"), "9s");
        stage.straight().all(&["DELETE FROM orders WHERE id > 7000"]);
    }
    // A client that goes away in the middle of it takes everything with it.
    let mut client = stage.through();
    client.raw.send(&raw::query("ALTER TABLE orders ADD COLUMN added int; COPY orders (id) FROM STDIN"));
    client.raw.until(b'G');
    let pid = client.pid();
    drop(client);
    stage.until(&format!("SELECT NOT EXISTS (SELECT 1 FROM pg_stat_activity WHERE pid = {pid})"));
    assert_eq!(stage.now(HAS_COLUMN), "f");
}
