//! Messages that begin and end transactions behind other statements: what stands before is one implicit transaction, and becomes part of
//! the block that BEGIN opens.

use crate::support::raw::Frame;
use crate::support::stage::{Person, Stage};

/// A message, and what ends what it has left open.
const MESSAGES: [(&str, &str); 14] = [
    ("CREATE INDEX ix ON orders (customer); BEGIN; INSERT INTO orders VALUES (1000); COMMIT", ""),
    ("CREATE INDEX ix ON orders (customer); BEGIN; INSERT INTO orders VALUES (1000); ROLLBACK", ""),
    ("INSERT INTO orders VALUES (1000); CREATE INDEX ix ON orders (customer); BEGIN; SELECT 1", "COMMIT"),
    ("INSERT INTO orders VALUES (1000); CREATE INDEX ix ON orders (customer); BEGIN; SELECT 1 / 0", "COMMIT"),
    ("CREATE INDEX ix ON orders (customer); BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT 1", ""),
    (
        "CREATE INDEX ix ON orders (customer); START TRANSACTION READ ONLY; INSERT INTO orders VALUES (1000)",
        "ROLLBACK",
    ),
    ("INSERT INTO orders VALUES (1000); CREATE INDEX ix ON orders (customer); COMMIT; SELECT 1", ""),
    ("INSERT INTO orders VALUES (1000); CREATE INDEX ix ON orders (customer); ROLLBACK; SELECT 1", ""),
    ("INSERT INTO orders VALUES (1000); CREATE INDEX ix ON orders (customer); SAVEPOINT a; SELECT 1", ""),
    ("BEGIN; INSERT INTO orders VALUES (1000); COMMIT; CREATE INDEX ix ON orders (customer); ROLLBACK", ""),
    (
        "BEGIN; SELECT 1; COMMIT; CREATE INDEX ix ON orders (customer); BEGIN; INSERT INTO orders VALUES (1000)",
        "ROLLBACK",
    ),
    ("CREATE INDEX ix ON orders (customer); BEGIN; BEGIN; COMMIT AND CHAIN; SELECT 1", "COMMIT"),
    ("INSERT INTO orders VALUES (1000); CREATE INDEX ix ON orders (customer); COMMIT AND CHAIN", ""),
    ("CREATE INDEX ix ON orders (customer); COMMIT PREPARED 'nothing'", ""),
];

/// What the client hears, but for what lockkeeper says, and what there is in the end.
fn heard(stage: &Stage, client: &mut Person, (message, end): (&str, &str)) -> String {
    let answer = client.query(message);
    let told = |frame: &Frame| match frame.tag {
        b'C' => Some(frame.text()),
        b'E' => Some(format!("{} {}", frame.sqlstate(), frame.message())),
        b'N' if frame.message().contains("transaction in progress") => Some(frame.message()),
        _ => None,
    };
    let told: Vec<String> = answer.0.iter().filter_map(told).collect();
    let status = answer.status();
    if !end.is_empty() {
        client.query(end);
    }
    let rows = stage.now("SELECT count(*) FROM orders WHERE id = 1000");
    let heard = format!("{} {status} {rows} {}", told.join(", "), stage.indexes());
    stage.straight().all(&["DROP INDEX IF EXISTS ix", "DELETE FROM orders WHERE id = 1000"]);
    heard
}

#[test]
fn what_stands_before_a_begin_belongs_to_its_block() {
    let stage = Stage::new();
    let (mut straight, mut client) = (stage.straight(), stage.through());
    for script in MESSAGES {
        let expected = heard(&stage, &mut straight, script);
        assert_eq!(heard(&stage, &mut client, script), expected, "{}", script.0);
    }
    assert!(
        stage.was_run("CREATE INDEX CONCURRENTLY IF NOT EXISTS ix ON orders (customer)"),
        "nobody had to wait for the builds"
    );
    let plain = stage.cluster.log().matches("lockkeeper: CREATE INDEX ix ON").count();
    assert_eq!(plain, 0, "{}", stage.cluster.log());
}
