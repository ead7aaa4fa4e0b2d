//! Work that cannot be done in an open transaction is queued with it and done behind its COMMIT; ROLLBACK takes all of it back.

use crate::support::each_major;
use crate::support::raw;
use crate::support::stage::{Stage, Way};
use crate::support::twins::STATE;

/// What is open or has failed, as `lockkeeper tasks` would tell.
const OPEN: &str =
    "SELECT state || ' ' || title FROM lockkeeper.task WHERE state NOT IN ('done', 'dropped') ORDER BY id";

/// The same of what is done.
const DONE: &str = "SELECT title FROM lockkeeper.task WHERE state = 'done' ORDER BY id";

#[test]
fn an_index_is_built_behind_the_commit() {
    for installation in each_major() {
        let stage = Stage::on(installation);
        for (at, way) in Way::BOTH.into_iter().enumerate() {
            let mut client = stage.through();
            let columns = ["customer", "note"][at];
            let built = format!("CREATE INDEX ix_{at} ON orders ({columns})");
            let made = client.each(way, &["BEGIN", "INSERT INTO orders VALUES (1000)", &built]);
            assert_eq!((made.tag().as_str(), made.status()), ("CREATE INDEX", 'T'));
            let told = made.told();
            assert!(
                told[0].starts_with("NOTICE: CREATE INDEX is deferred: it runs as CREATE INDEX CONCURRENTLY"),
                "{told:?}"
            );
            assert!(!stage.indexes().contains(&format!("ix_{at}")), "nothing is built before the COMMIT");
            let committed = client.ask(way, "COMMIT");
            assert_eq!((committed.tag().as_str(), committed.status()), ("COMMIT", 'I'));
            assert!(stage.indexes().contains(&format!("ix_{at}+")), "{committed:?}");
            assert!(
                stage.was_run(&format!(
                    "CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_{at} ON orders ({columns})"
                ))
            );
            assert_eq!(client.table("SELECT count(*) FROM orders WHERE id = 1000"), "1");
            client.all(&["DELETE FROM orders WHERE id = 1000"]);
        }
        assert_eq!(stage.now(OPEN), "");
        assert_eq!(stage.now(DONE), "CREATE INDEX ix_0 ON orders\nCREATE INDEX ix_1 ON orders");
    }
}

#[test]
fn rollback_takes_back_everything() {
    for way in Way::BOTH {
        // A proxy does not look again for a schema that it has seen.
        let stage = Stage::new();
        let before = stage.now(STATE);
        let mut client = stage.through();
        let statements = [
            "BEGIN",
            "CREATE INDEX ix ON orders (customer)",
            "ALTER TABLE orders ADD CONSTRAINT positive CHECK (id > 0)",
            "ALTER TABLE orders ALTER note SET NOT NULL",
            "ROLLBACK",
        ];
        assert_eq!(client.each(way, &statements).status(), 'I');
        assert_eq!(stage.now("SELECT coalesce(to_regclass('lockkeeper.task')::text, '')"), "lockkeeper.task");
        assert_eq!(stage.now("SELECT count(*) FROM lockkeeper.task"), "0");
        stage.straight().all(&["DROP SCHEMA lockkeeper CASCADE"]);
        assert_eq!(stage.now(STATE), before);
        // The session goes on as if nothing had been.
        assert_eq!(client.table("SELECT count(*) FROM orders"), "100");
    }
}

/// Savepoints take back what was queued since.
#[test]
fn savepoints_take_parts_back() {
    let stage = Stage::new();
    for way in Way::BOTH {
        let mut client = stage.through();
        client.each(
            way,
            &[
                "BEGIN",
                "SAVEPOINT outer_one",
                "CREATE INDEX ix_a ON orders (customer)",
                "SAVEPOINT \"Inner\"",
                "CREATE INDEX ix_b ON orders (note)",
            ],
        );
        // An error between: the transaction has failed until it goes back.
        assert_eq!(client.ask(way, "SELECT 1 / 0").failure(), "22012");
        assert_eq!(client.ask(way, "SELECT 1").failure(), "25P02");
        let statements = [
            "ROLLBACK TO SAVEPOINT \"Inner\"",
            "CREATE INDEX ix_c ON orders (id, note)",
            "RELEASE \"Inner\"",
        ];
        client.each(way, &statements);
        client.each(way, &["COMMIT"]);
        assert_eq!(stage.indexes(), "ix_a+\nix_c+");
        client.each(way, &["DROP INDEX ix_a, ix_c"]);
        client.each(
            way,
            &["BEGIN", "SAVEPOINT a", "CREATE INDEX ix_a ON orders (customer)", "ROLLBACK TO a", "COMMIT"],
        );
        assert_eq!(
            stage.indexes(),
            "",
            "what was made before the first queued statement takes all of it back"
        );
    }
}

#[test]
fn a_failed_transaction_queues_nothing() {
    let stage = Stage::new();
    for way in Way::BOTH {
        let mut client = stage.through();
        client.each(way, &["BEGIN", "CREATE INDEX ix ON orders (customer)"]);
        assert_eq!(client.ask(way, "SELECT 1 / 0").failure(), "22012");
        let end = client.ask(way, "COMMIT");
        assert_eq!((end.tag().as_str(), end.status()), ("ROLLBACK", 'I'));
        assert_eq!(stage.indexes(), "");
        client.each(way, &["BEGIN", "COMMIT"]);
        assert_eq!(stage.indexes(), "");
    }
}

/// Constraints: the brief part in the transaction, the proof behind it.
#[test]
fn constraints_hold_at_once_and_are_proved_behind_the_commit() {
    for installation in each_major() {
        let stage = Stage::on(installation);
        stage.straight().all(&[
            "CREATE TABLE customers (id int PRIMARY KEY)",
            "INSERT INTO customers SELECT generate_series(0, 20)",
        ]);
        let mut client = stage.through();
        client.each(
            Way::Simple,
            &[
                "BEGIN",
                "ALTER TABLE orders ADD CONSTRAINT positive CHECK (id > 0)",
                "ALTER TABLE orders ADD FOREIGN KEY (customer) REFERENCES customers",
                "ALTER TABLE orders ALTER note SET NOT NULL",
                "SAVEPOINT a",
            ],
        );
        assert_eq!(client.query("INSERT INTO orders VALUES (0, 1, 'n')").failure(), "23514");
        client.all(&["ROLLBACK TO a"]);
        assert_eq!(client.query("INSERT INTO orders VALUES (1000, 99, 'n')").failure(), "23503");
        client.all(&["ROLLBACK TO a", "COMMIT"]);
        assert_eq!(
            stage.now("SELECT conname || ' ' || convalidated FROM pg_constraint WHERE conrelid = 'orders'::regclass AND contype IN ('c', 'f') ORDER BY 1"),
            "orders_customer_fkey true\npositive true"
        );
        assert_eq!(
            stage.now(
                "SELECT attnotnull FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'note'"
            ),
            "t"
        );
        assert_eq!(stage.now(OPEN), "");
    }
}

/// A task that fails behind the COMMIT says that the transaction is committed, what is missing, and how it is finished.
#[test]
fn what_fails_behind_the_commit_is_told() {
    let stage = Stage::new();
    for way in Way::BOTH {
        stage.straight().all(&["UPDATE orders SET note = 'double' WHERE id < 3"]);
        let mut client = stage.through();
        let statements = [
            "BEGIN",
            "INSERT INTO orders VALUES (1000, 1, 'other')",
            "CREATE UNIQUE INDEX ix_note ON orders (note) WHERE id < 3",
            "CREATE INDEX ix_after ON orders (customer)",
        ];
        client.each(way, &statements);
        let failed = client.ask(way, "COMMIT");
        assert_eq!((failed.failure().as_str(), failed.status()), ("58000", 'I'));
        let message = failed.error().map(raw::Frame::message).unwrap_or_default();
        assert!(message.starts_with("the transaction is committed, but its deferred work is not finished: could not create unique index"), "{message}");
        assert!(
            failed.detail().contains("Missing: CREATE UNIQUE INDEX ix_note ON orders (task"),
            "{}",
            failed.detail()
        );
        assert!(failed.detail().contains("CREATE INDEX ix_after ON orders (task"), "{}", failed.detail());
        assert!(failed.hint().contains("lockkeeper resume"), "{}", failed.hint());
        assert_eq!(client.table("SELECT count(*) FROM orders WHERE id = 1000"), "1");
        assert_eq!(stage.indexes(), "", "nothing invalid is left behind");
        assert_eq!(
            stage.now(OPEN),
            "failed CREATE UNIQUE INDEX ix_note ON orders\nqueued CREATE INDEX ix_after ON orders"
        );
        stage.straight().all(&["DELETE FROM orders WHERE id = 1000", "DELETE FROM lockkeeper.task"]);
    }
}

/// What is queued, what comes then, and what becomes of that: its tag or its SQLSTATE.
const HANGING: [(&str, &str, &str); 29] = [
    (
        "CREATE UNIQUE INDEX ix ON parent (id)",
        "INSERT INTO parent VALUES (2) ON CONFLICT (id) DO NOTHING",
        "0A000",
    ),
    ("CREATE UNIQUE INDEX ix ON parent (id)", "INSERT INTO parent VALUES (2, 'b', 2)", "INSERT 0 1"),
    ("CREATE UNIQUE INDEX ix ON parent (id)", "SELECT count(*) FROM parent", "SELECT 1"),
    ("CREATE INDEX ix ON parent (id)", "CREATE INDEX ix ON orders (id)", "42P07"),
    ("CREATE INDEX ix ON parent (id)", "DROP INDEX ix", "DROP INDEX"),
    ("CREATE INDEX ix ON parent (id)", "ALTER INDEX ix RENAME TO iy", "ALTER INDEX"),
    ("CREATE INDEX ix ON parent (id)", "COMMENT ON INDEX ix IS 'x'", "COMMENT"),
    ("ALTER TABLE parent ADD COLUMN u uuid DEFAULT gen_random_uuid()", "SELECT u FROM parent", "0A000"),
    (
        "ALTER TABLE parent ADD COLUMN u uuid DEFAULT gen_random_uuid()",
        "UPDATE parent SET u = NULL WHERE id = 1",
        "0A000",
    ),
    (
        "ALTER TABLE parent ADD COLUMN u uuid DEFAULT gen_random_uuid()",
        "CREATE INDEX ON parent (u)",
        "CREATE INDEX",
    ),
    (
        "ALTER TABLE parent ADD COLUMN u uuid DEFAULT gen_random_uuid()",
        "SELECT count(*) FROM orders",
        "SELECT 1",
    ),
    ("ALTER TABLE parent ADD COLUMN u uuid DEFAULT gen_random_uuid()", "DO $$ BEGIN PERFORM 1; END $$", "DO"),
    (
        "ALTER TABLE parent ADD COLUMN u uuid DEFAULT gen_random_uuid()",
        "DO $$ BEGIN DELETE FROM parent; END $$",
        "0A000",
    ),
    (
        "ALTER TABLE parent ADD COLUMN u uuid DEFAULT gen_random_uuid()",
        "DO $$ BEGIN EXECUTE 'SELECT 1'; END $$",
        "0A000",
    ),
    (
        "ALTER TABLE parent ADD UNIQUE (id)",
        "ALTER TABLE orders ADD FOREIGN KEY (customer) REFERENCES parent (id)",
        "ALTER TABLE",
    ),
    // What is queued is not about it.
    ("CREATE INDEX ix ON parent (id)", "ALTER TABLE parent DROP CONSTRAINT positive", "ALTER TABLE"),
    ("CREATE INDEX ix ON parent (id)", "ALTER TABLE parent ALTER code TYPE varchar", "ALTER TABLE"),
    // Something else by its name, and something like it.
    ("CREATE INDEX ix ON parent (id)", "CREATE SEQUENCE ix", "42P07"),
    ("CREATE INDEX ON parent (id)", "CREATE SEQUENCE parent_id_idx", "42P07"),
    ("CREATE INDEX ix ON parent (id)", "CREATE TABLE l (LIKE parent INCLUDING ALL)", "CREATE TABLE"),
    ("CREATE INDEX \"a\"\"b\" ON parent (id)", "DROP INDEX IF EXISTS \"a\"\"b\"", "DROP INDEX"),
    ("CREATE INDEX ix ON parent (id)", "CREATE TEMP TABLE parent (id int)", "0A000"),
    ("CREATE INDEX ix ON parent (id)", "ALTER TABLE parent RENAME TO old_one", "0A000"),
    (
        "CREATE UNIQUE INDEX ix ON parent (id)",
        "CREATE TABLE l (id int REFERENCES parent (id))",
        "CREATE TABLE",
    ),
    (
        "ALTER TABLE parent ADD COLUMN u uuid DEFAULT gen_random_uuid()",
        "ALTER TABLE parent DROP COLUMN u",
        "0A000",
    ),
    (
        "ALTER TABLE parent ADD COLUMN u uuid DEFAULT gen_random_uuid()",
        "ALTER TABLE parent ADD COLUMN u int",
        "0A000",
    ),
    (
        "ALTER TABLE parent ADD COLUMN u uuid DEFAULT gen_random_uuid()",
        "CREATE VIEW seen AS SELECT * FROM parent",
        "0A000",
    ),
    (
        "ALTER TABLE parent ADD COLUMN u uuid DEFAULT gen_random_uuid()",
        "DO $$ BEGIN PERFORM u FROM parent; END $$",
        "0A000",
    ),
    ("ALTER TABLE parent ADD UNIQUE (id)", "ALTER TABLE parent ADD UNIQUE (id)", "0A000"),
];

/// What hangs on something that is only queued is queued behind it, or refused with the way out.
#[test]
fn nothing_runs_against_a_state_that_is_not_there_yet() {
    let stage = Stage::new();
    stage.straight().all(&[
        "CREATE TABLE parent (id int, code text, own int PRIMARY KEY DEFAULT 1, CONSTRAINT positive CHECK (own > 0))",
        "INSERT INTO parent VALUES (1, 'a')",
    ]);
    for (queued, then, outcome) in HANGING {
        for way in Way::BOTH {
            let mut client = stage.through();
            client.each(way, &["BEGIN", queued]);
            let answer = client.ask(way, then);
            let got = if answer.error().is_some() { answer.failure() } else { answer.tag() };
            assert_eq!(got, outcome, "{queued}; {then}: {answer:?}");
            if outcome == "0A000" {
                let hint = answer.hint();
                assert!(
                    hint.contains("autocommit_block") || hint.contains("Give the constraint a name"),
                    "{answer:?}"
                );
            }
            assert_eq!(answer.status(), if answer.error().is_some() { 'E' } else { 'T' });
            client.all(&["ROLLBACK"]);
        }
    }
}

/// Rows that are queued, and who looks at them under another name, or not at all.
const ELSEWHERE: [(&str, &str, &str); 35] = [
    ("UPDATE rows SET n = n + 1", "DECLARE c CURSOR FOR SELECT n FROM rows", "0A000"),
    ("UPDATE rows SET n = n + 1", "COPY rows TO STDOUT", "0A000"),
    ("UPDATE rows SET n = n + 1", "COPY (SELECT n FROM rows) TO STDOUT", "0A000"),
    ("UPDATE rows SET n = n + 1", "COPY rows FROM STDIN", "0A000"),
    (
        "UPDATE rows SET n = n + 1",
        "MERGE INTO rows USING (VALUES (1)) v(i) ON id = i WHEN MATCHED THEN UPDATE SET n = 5",
        "0A000",
    ),
    ("UPDATE rows SET n = n + 1", "LOCK TABLE rows", "0A000"),
    ("UPDATE rows SET n = n + 1", "EXPLAIN ANALYZE SELECT sum(n) FROM rows", "0A000"),
    ("UPDATE rows SET n = n + 1", "CREATE TABLE copied AS SELECT * FROM rows", "0A000"),
    ("UPDATE rows SET n = n + 1", "SELECT * INTO copied FROM rows", "0A000"),
    ("UPDATE rows SET n = n + 1", "CREATE MATERIALIZED VIEW copied AS SELECT n FROM rows", "0A000"),
    ("UPDATE rows SET n = n + 1", "SELECT n FROM rows WHERE id = 1 FOR UPDATE", "0A000"),
    ("UPDATE rows SET n = n + 1", "CALL reading()", "0A000"),
    ("UPDATE rows SET n = n + 1", "EXPLAIN SELECT max(n) FROM other", "EXPLAIN"),
    ("UPDATE rows SET n = n + 1", "SELECT sum(n) FROM seen_rows", "0A000"),
    ("UPDATE rows SET n = n + 1", "SELECT sum(n) FROM public.seen_again", "0A000"),
    ("UPDATE rows SET n = n + 1", "SELECT summed()", "0A000"),
    ("UPDATE rows SET n = n + 1", "SELECT \"summed\" ()", "0A000"),
    ("UPDATE rows SET n = n + 1", "INSERT INTO other SELECT summed()", "0A000"),
    ("UPDATE rows SET n = n + 1", "SELECT doubled(1)", "SELECT 1"),
    ("UPDATE rows SET n = n + 1", "SELECT max(n) FROM other", "SELECT 1"),
    ("UPDATE rows SET n = n + 1", "SELECT count(*) FROM unseen", "SELECT 1"),
    ("UPDATE other SET n = n + 1", "SELECT sum(n) FROM seen_rows", "SELECT 1"),
    ("UPDATE whole SET n = n + 1", "SELECT sum(n) FROM part", "0A000"),
    ("UPDATE whole SET n = n + 1", "SELECT sum(n) FROM part_of_part", "0A000"),
    ("UPDATE whole SET n = n + 1", "SELECT sum(n) FROM seen_part", "0A000"),
    ("UPDATE whole SET n = n + 1", "SELECT sum(n) FROM seen_whole", "0A000"),
    ("UPDATE part_of_part SET n = n + 1", "SELECT sum(n) FROM whole", "0A000"),
    ("UPDATE part_of_part SET n = n + 1", "SELECT sum(n) FROM seen_whole", "0A000"),
    ("UPDATE part_of_part SET n = n + 1", "INSERT INTO whole VALUES (1000, 1)", "0A000"),
    ("UPDATE part_of_part SET n = n + 1", "SELECT sum(n) FROM part_beside", "SELECT 1"),
    ("ALTER TABLE rows ADD u uuid DEFAULT gen_random_uuid()", "SELECT count(*) FROM seen_rows", "0A000"),
    ("ALTER TABLE rows ADD u uuid DEFAULT gen_random_uuid()", "SELECT summed()", "0A000"),
    ("CREATE INDEX ix ON rows (n)", "SELECT sum(n) FROM seen_rows", "SELECT 1"),
    ("CREATE INDEX ix ON rows (n)", "SELECT summed()", "SELECT 1"),
    ("CREATE INDEX ix ON whole (n)", "SELECT sum(n) FROM part", "SELECT 1"),
];

#[test]
fn rows_that_are_queued_are_not_seen_by_other_names() {
    let stage = Stage::new();
    stage.straight().all(&[
        "CREATE TABLE rows (id int PRIMARY KEY, n int)",
        "CREATE TABLE other (id int PRIMARY KEY, n int)",
        "CREATE TABLE unseen (id int)",
        "CREATE VIEW seen_rows AS SELECT id, n FROM rows WHERE n > 0",
        "CREATE VIEW seen_again AS SELECT n FROM seen_rows",
        "CREATE FUNCTION summed() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT sum(n) FROM rows'",
        "CREATE PROCEDURE reading() LANGUAGE plpgsql AS 'BEGIN PERFORM n FROM rows; END'",
        "CREATE FUNCTION doubled(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT n * 2'",
        "CREATE TABLE whole (id int PRIMARY KEY, n int) PARTITION BY RANGE (id)",
        "CREATE TABLE part PARTITION OF whole FOR VALUES FROM (0) TO (200) PARTITION BY RANGE (id)",
        "CREATE TABLE part_of_part PARTITION OF part FOR VALUES FROM (0) TO (200)",
        "CREATE TABLE part_beside PARTITION OF whole DEFAULT",
        "CREATE VIEW seen_part AS SELECT n FROM part",
        "CREATE VIEW seen_whole AS SELECT n FROM whole",
        "INSERT INTO rows SELECT i, i FROM generate_series(1, 150) i",
        "INSERT INTO other SELECT * FROM rows",
        "INSERT INTO whole SELECT * FROM rows",
        "ANALYZE",
    ]);
    for (queued, then, outcome) in ELSEWHERE {
        for way in Way::BOTH {
            let mut client = stage.through();
            client.all(&["SET lockkeeper.bulk_rows = 40"]);
            client.each(way, &["BEGIN", queued]);
            let answer = client.ask(way, then);
            let got = if answer.error().is_some() { answer.failure() } else { answer.tag() };
            assert_eq!(got, outcome, "{queued}; {then}: {answer:?}");
            if outcome == "0A000" {
                assert!(answer.hint().contains("autocommit_block"), "{answer:?}");
            }
            client.all(&["ROLLBACK"]);
        }
    }
}

const BUILD: &str = "CREATE INDEX ix ON orders (customer)";

/// Messages, and the index that is there behind them.
const ENDINGS: &[(&[&str], &str)] = &[
    (&["BEGIN", BUILD, "SELECT 1 / 0", "ROLLBACK; BEGIN; SELECT 1", "COMMIT"], ""),
    (&["BEGIN", "SAVEPOINT s", BUILD, "SELECT 1 / 0", "ROLLBACK TO s; SELECT 1", "COMMIT"], ""),
    (
        &[
            "BEGIN",
            "SAVEPOINT b",
            "SAVEPOINT a",
            BUILD,
            "SAVEPOINT b",
            "RELEASE a",
            "ROLLBACK TO b",
            "COMMIT",
        ],
        "",
    ),
    (&["BEGIN", BUILD, "SET lockkeeper.mode = 'off'", "ROLLBACK; BEGIN", "COMMIT"], ""),
    (&["BEGIN ISOLATION LEVEL REPEATABLE READ", BUILD, "LOCK TABLE seen; COMMIT"], "ix+"),
    (&["BEGIN", BUILD, "SET LOCAL lockkeeper.mode = 'off'", "SELECT 1; COMMIT"], "ix+"),
    (&["BEGIN", BUILD, "SET LOCAL lockkeeper.mode = 'observe'", "/* a */ END /* b */ WORK"], "ix+"),
    // What Alembic writes for the way back.
    (
        &[
            "CREATE TABLE gone (a int); CREATE UNIQUE INDEX gone_a ON gone (a)",
            "BEGIN",
            "DROP INDEX gone_a",
            "DROP TABLE gone /* lockkeeper: allow drop-table because test */",
            BUILD,
            "COMMIT",
        ],
        "ix+",
    ),
    (&["SET default_transaction_read_only = on", "BEGIN READ WRITE", BUILD, "COMMIT"], "ix+"),
    (
        &["BEGIN", "CREATE INDEX ix ON orders (note)", "COMMIT", "BEGIN", "DROP INDEX ix", BUILD, "COMMIT"],
        "ix+",
    ),
    (
        &[
            "ALTER TABLE orders ADD COLUMN u uuid DEFAULT gen_random_uuid(); ALTER TABLE orders DROP COLUMN IF EXISTS v; SELECT 1",
        ],
        "",
    ),
];

/// What takes a part of the transaction back takes what was queued in it, however it is written; and the COMMIT is found wherever it
/// stands.
#[test]
fn nothing_of_what_was_rolled_back_is_done_and_nothing_committed_is_lost() {
    let stage = Stage::new();
    for (messages, built) in ENDINGS {
        stage.straight().all(&["DROP INDEX IF EXISTS ix", "CREATE TABLE IF NOT EXISTS seen ()"]);
        let mut client = stage.through();
        for sql in *messages {
            client.query(sql);
        }
        assert_eq!(stage.indexes(), *built, "{messages:?}");
        assert_eq!(client.query("SHOW transaction_isolation").status(), 'I', "{messages:?}");
    }
    assert!(
        stage.cluster.log().contains("SET u = DEFAULT"),
        "a column is filled in ranges, also from a message of several statements"
    );
}
