//! New partitions beside a default partition, whose rows are proved not to be theirs while others write.

use crate::support::each_major;
use crate::support::stage::Way;
use crate::support::twins::Twins;

const PARENT: &str = "CREATE TABLE p (a int NOT NULL, b text, PRIMARY KEY (a)) PARTITION BY RANGE (a);
    CREATE INDEX ON p (b)";
const LEAF: &str = "CREATE TABLE rest PARTITION OF p DEFAULT";
/// Its parts have their columns in another order, and a CHECK of a name that is wanted.
const TREE: &str = "CREATE TABLE rest PARTITION OF p DEFAULT PARTITION BY RANGE (a);
    CREATE TABLE rest_last (b text, a int NOT NULL CONSTRAINT rest_bounds_check CHECK (a <> 7));
    ALTER TABLE rest ATTACH PARTITION rest_last DEFAULT";
const ROWS: &str = "INSERT INTO p SELECT n, 'x' FROM generate_series(100, 3000) n";

const SQL: &str = "CREATE TABLE c PARTITION OF p FOR VALUES FROM (10) TO (20)";

const STATEMENTS: &[&str] = &[
    SQL,
    "CREATE TABLE c PARTITION OF p FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (a) /* more */;",
    "CREATE UNLOGGED TABLE IF NOT EXISTS public.c PARTITION OF p FOR VALUES FROM (MINVALUE) TO (20) WITH (fillfactor = 70)",
    "CREATE TABLE c PARTITION OF p (b DEFAULT 'x', CONSTRAINT own CHECK (b <> '')) FOR VALUES FROM ('10') TO (20)",
    "CREATE TABLE c PARTITION OF p (b NOT NULL) FOR VALUES FROM (10) TO (20) PARTITION BY HASH (a)",
];

#[test]
fn the_partition_is_the_one_that_was_asked_for() {
    for installation in each_major() {
        let mut twins = Twins::on(installation);
        for rest in [LEAF, TREE] {
            for sql in STATEMENTS {
                twins.begin(&[PARENT, rest, ROWS]);
                twins.alike(&[], sql);
            }
        }
    }
}

/// The server itself says so.
#[test]
fn the_default_partition_is_not_read_under_the_lock() {
    const IMPLIED: &str = "default partition \"rest\" is implied by existing constraints";
    for installation in each_major() {
        let mut twins = Twins::on(installation);
        for rest in [LEAF, TREE] {
            for sql in STATEMENTS {
                twins.begin(&[PARENT, rest, ROWS]);
                let mut client = twins.through(&["SET client_min_messages = debug1"]);
                let answer = client.ask(Way::Extended, sql);
                assert_eq!(answer.tag(), "CREATE TABLE", "{sql}: {answer:?}");
                let told = answer.notices().join("\n");
                assert!(told.contains(IMPLIED), "{rest} {sql}: {told}");
            }
        }
    }
}

#[test]
fn what_the_default_partition_holds_stops_it() {
    for installation in each_major() {
        let mut twins = Twins::on(installation);
        for rest in [LEAF, TREE] {
            for sql in STATEMENTS {
                twins.begin(&[PARENT, rest, ROWS, "INSERT INTO p VALUES (15, 'x')"]);
                twins.alike_in_failure(&[], sql);
            }
        }
    }
}

#[test]
fn what_the_server_refuses_leaves_nothing() {
    for installation in each_major() {
        let mut twins = Twins::on(installation);
        twins.begin(&[PARENT, LEAF, ROWS, "CREATE TABLE there PARTITION OF p FOR VALUES FROM (10) TO (15)"]);
        for sql in [
            SQL,
            "CREATE TABLE c PARTITION OF p FOR VALUES FROM (25) TO (25)",
            "CREATE TABLE c PARTITION OF p FOR VALUES FROM (25) TO (30) WITH (nonsense = 1)",
            "CREATE TABLE c PARTITION OF p (nothing NOT NULL) FOR VALUES FROM (25) TO (30)",
            "CREATE TABLE c PARTITION OF p DEFAULT",
        ] {
            twins.alike_in_failure(&[], sql);
        }
    }
}

#[test]
fn what_cannot_be_said_for_sure_is_refused() {
    for installation in each_major() {
        let mut twins = Twins::on(installation);
        for sql in [
            "CREATE TABLE c PARTITION OF p FOR VALUES FROM (9 + 1) TO (20)",
            "CREATE TABLE c PARTITION OF p (b DEFAULT 'x') FOR VALUES FROM (9.6) TO (20)",
        ] {
            twins.begin(&[PARENT, LEAF, ROWS]);
            twins.alike_once_allowed(&[], sql);
        }
    }
}
