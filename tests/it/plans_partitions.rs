//! Partitioned tables: built partition by partition, an index ends as if it were made at once.

use lockkeeper::cluster::Installation;

use crate::support::each_major;
use crate::support::twins::Twins;

const SETUP: [&str; 1] = ["
    CREATE SCHEMA elsewhere;
    CREATE TABLE p (a int NOT NULL, b int, c text) PARTITION BY RANGE (a);
    CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
    CREATE TABLE elsewhere.p2 PARTITION OF p FOR VALUES FROM (10) TO (20) PARTITION BY LIST (a);
    CREATE TABLE p21 PARTITION OF elsewhere.p2 FOR VALUES IN (10, 11);
    CREATE TABLE \"P rest\" PARTITION OF elsewhere.p2 DEFAULT PARTITION BY LIST (a);
    CREATE TABLE elsewhere.p_rest_12 PARTITION OF \"P rest\" FOR VALUES IN (12);
    CREATE TABLE p_default PARTITION OF p DEFAULT;
    INSERT INTO p SELECT n, n, n::text FROM generate_series(0, 12) n"];

/// Each with the version that brought it, and what stands there before.
const INDEXES: &[(u32, &str, &str)] = &[
    (13, "CREATE INDEX ON p (b)", ""),
    (13, "CREATE INDEX ON p (b)", "CREATE INDEX p1_b_idx ON p1 (c); CREATE TABLE p_b_idx ()"),
    (
        13,
        "create index i on public.p using btree (b desc, lower(c)) include (c) with (fillfactor = 70) where b > 0",
        "",
    ),
    (13, "CREATE UNIQUE INDEX \"the Index\" ON p (b, a)", ""),
    (13, "CREATE INDEX IF NOT EXISTS fresh ON p (c text_pattern_ops, (b + 1))", ""),
    (15, "CREATE UNIQUE INDEX ON p (a, b) NULLS NOT DISTINCT", ""),
];

/// Each with the version that brought it, and what stands there before.
const KEYS: &[(u32, &str, &str)] = &[
    (13, "ALTER TABLE p ADD UNIQUE (b, a)", ""),
    (13, "ALTER TABLE p ADD UNIQUE (b, a)", "CREATE TABLE p1_b_a_key (); CREATE SEQUENCE p_b_a_key"),
    (
        13,
        "alter table public.p add constraint \"Once\" unique (a, b) include (c) with (fillfactor = 70) deferrable initially deferred",
        "",
    ),
    (15, "ALTER TABLE p ADD CONSTRAINT once UNIQUE NULLS NOT DISTINCT (c, a)", ""),
];

#[test]
fn keys_are_those_that_were_asked_for() {
    for installation in each_major() {
        let major = installation.major;
        let mut twins = Twins::on(installation);
        for (_, sql, before) in KEYS.iter().filter(|(since, ..)| *since <= major) {
            twins.begin(&[SETUP[0], before]);
            twins.alike(&[], sql);
        }
        // Since then the server keeps a partition's NOT NULL in another way.
        if major < 18 {
            twins.begin(&SETUP);
            twins.alike(&[], "ALTER TABLE p ADD PRIMARY KEY (a)");
        }
    }
}

#[test]
fn indexes_are_those_that_were_asked_for() {
    for installation in each_major() {
        let major = installation.major;
        let mut twins = Twins::on(installation);
        for (_, sql, before) in INDEXES.iter().filter(|(since, ..)| *since <= major) {
            twins.begin(&[SETUP[0], before]);
            twins.alike(&[], sql);
        }
    }
}

/// Each with the version that brought it.
const CONSTRAINTS: &[(u32, &str)] = &[
    (13, "ALTER TABLE p ADD CHECK (b >= 0)"),
    (13, "alter table public.p add constraint \"the check\" check (a = b)"),
    (13, "ALTER TABLE elsewhere.p2 ADD CHECK (b >= 10 AND c <> '')"),
    (13, "ALTER TABLE p ADD FOREIGN KEY (b) REFERENCES o"),
    (
        13,
        "ALTER TABLE p ADD CONSTRAINT k FOREIGN KEY (b) REFERENCES o (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED",
    ),
    (13, "ALTER TABLE elsewhere.p2 ADD FOREIGN KEY (b) REFERENCES o MATCH FULL"),
];

const OTHER: &str = "CREATE TABLE o (id int PRIMARY KEY); INSERT INTO o SELECT generate_series(0, 12)";

#[test]
fn constraints_are_those_that_were_asked_for() {
    for installation in each_major() {
        let major = installation.major;
        let mut twins = Twins::on(installation);
        for (_, sql) in CONSTRAINTS.iter().filter(|(since, ..)| *since <= major) {
            twins.begin(&[SETUP[0], OTHER]);
            twins.alike(&[], sql);
        }
    }
}

#[test]
fn constraints_that_cannot_be_proved_go_again() {
    for installation in each_major() {
        let major = installation.major;
        let mut twins = Twins::on(installation);
        for (_, sql) in [
            (13, "ALTER TABLE p ADD CHECK (b < 12)"),
            (13, "ALTER TABLE p ADD CHECK (b > 0) NO INHERIT"),
            (13, "ALTER TABLE p ADD FOREIGN KEY (b) REFERENCES o"),
        ]
        .iter()
        .filter(|(since, _)| *since <= major)
        {
            twins.begin(&[SETUP[0], OTHER, "DELETE FROM o WHERE id = 12"]);
            twins.alike_in_failure(&[], sql);
        }
    }
}

/// What a partition has would become part of the new constraint, and be lost when that is taken back.
#[test]
fn a_constraint_of_a_partition_is_not_put_at_risk() {
    for installation in each_major() {
        let major = installation.major;
        let mut twins = Twins::on(installation);
        for (since, before, sql) in [
            (
                13,
                "ALTER TABLE p1 ADD CONSTRAINT k CHECK (b < 12)",
                "ALTER TABLE p ADD CONSTRAINT k CHECK (b < 12)",
            ),
            (
                18,
                "ALTER TABLE p1 ADD FOREIGN KEY (b) REFERENCES o",
                "ALTER TABLE p ADD FOREIGN KEY (b) REFERENCES o",
            ),
        ] {
            if since <= major {
                twins.begin(&[SETUP[0], OTHER, "DELETE FROM o WHERE id = 12", before]);
                twins.alike_once_allowed(&[], sql);
            }
        }
    }
}

/// What the server refuses, it refuses in its own words, and nothing is left of it.
#[test]
fn what_fails_leaves_nothing() {
    for installation in each_major() {
        let mut twins = Twins::on(installation);
        for (sql, before) in [
            ("CREATE UNIQUE INDEX ON p (b)", ""),
            ("CREATE INDEX ON p (nothing)", ""),
            ("CREATE INDEX i ON p (b)", "CREATE TABLE i ()"),
            ("ALTER TABLE p ADD UNIQUE (b)", ""),
            ("ALTER TABLE p ADD PRIMARY KEY (a)", "INSERT INTO p VALUES (12, 0, 'x')"),
            ("ALTER TABLE p ADD CONSTRAINT i UNIQUE (a)", "CREATE TABLE i ()"),
            ("CREATE UNIQUE INDEX ON p (a, c)", "UPDATE p SET c = 'x'; INSERT INTO p VALUES (12, 0, 'x')"),
        ] {
            twins.begin(&[SETUP[0], before]);
            twins.alike_in_failure(&[], sql);
        }
    }
}

/// An index of a partition that the server would take: it is asked to.
#[test]
fn an_index_that_is_there_is_taken() {
    let mut twins = Twins::on(newest());
    twins.begin(&[SETUP[0], "CREATE INDEX mine ON p1 (b)"]);
    twins.alike_once_allowed(&[], "CREATE INDEX ON p (b)");
}

fn newest() -> Installation {
    each_major().into_iter().next_back().expect("a server")
}
