//! New columns with constraints: added bare and proved in steps, they end as if added at once.

use crate::support::each_major;
use crate::support::twins::Twins;

const SETUP: [&str; 3] = [
    "CREATE TABLE t (a int NOT NULL, b int)",
    "INSERT INTO t SELECT n, n FROM generate_series(1, 50) n",
    "CREATE TABLE o (id int PRIMARY KEY, other int UNIQUE); INSERT INTO o VALUES (1, 10), (2, 20)",
];

/// Each with the version that brought it.
const STATEMENTS: &[(u32, &str)] = &[
    (13, "ALTER TABLE t ADD COLUMN x int CHECK (x > 0)"),
    (13, "ALTER TABLE t ADD x int DEFAULT 7 CHECK (x > 0) NOT NULL"),
    (13, "ALTER TABLE t ADD x numeric(10,2) NOT NULL CONSTRAINT \"the check\" CHECK (x >= b) DEFAULT 99"),
    (
        13,
        "alter table public.t add column \"X y\" text default 'a, -- b' check (length(\"X y\") > 0) /* , */ check (a > 0) -- end",
    ),
    (13, "ALTER TABLE t ADD x int CHECK (x > 0) CHECK (x < 9) CHECK (x > a)"),
    (13, "ALTER TABLE t ADD IF NOT EXISTS x int CONSTRAINT c CHECK (x > 0) NO INHERIT"),
    (13, "ALTER TABLE IF EXISTS t ADD x int DEFAULT 1 REFERENCES o"),
    (
        13,
        "ALTER TABLE t ADD x int REFERENCES o (other) ON DELETE CASCADE ON UPDATE SET NULL DEFERRABLE INITIALLY DEFERRED DEFAULT 10",
    ),
    (
        13,
        "ALTER TABLE t ADD x int DEFAULT 2 CONSTRAINT \"references\" REFERENCES o MATCH FULL DEFERRABLE CHECK (x > 1) NOT NULL",
    ),
    (13, "ALTER TABLE t ADD x int UNIQUE"),
    (13, "ALTER TABLE t ADD x text CONSTRAINT once UNIQUE DEFERRABLE CHECK (x <> '')"),
    (13, "ALTER TABLE t ADD x int UNIQUE CHECK (x > 0) REFERENCES o"),
    (13, "ALTER TABLE t ADD x int CHECK (x > 0) REFERENCES o DEFERRABLE INITIALLY DEFERRED"),
    (13, "ALTER TABLE t ADD x int -- why\n CHECK (x > 0 /* ) */) -- so"),
    (13, "ALTER TABLE t ADD x varchar(5) COLLATE \"C\" CHECK (x < 'b')"),
    (15, "ALTER TABLE t ADD x int UNIQUE NULLS NOT DISTINCT DEFAULT NULL CHECK (x::int IS NULL)"),
    (18, "ALTER TABLE t ADD x int CHECK (x > 0) NOT ENFORCED CHECK (x > 1) ENFORCED"),
    (18, "ALTER TABLE t ADD x int DEFAULT 1 REFERENCES o ENFORCED NOT NULL UNIQUE"),
];

#[test]
fn the_column_is_the_one_that_was_asked_for() {
    for installation in each_major() {
        let major = installation.major;
        let mut twins = Twins::on(installation);
        for (_, sql) in STATEMENTS.iter().filter(|(since, _)| *since <= major) {
            let alone = if sql.contains("NULLS NOT DISTINCT") || sql.contains("NOT NULL UNIQUE") {
                vec!["DELETE FROM t WHERE a > 1"]
            } else {
                Vec::new()
            };
            twins.begin(&[SETUP.as_slice(), &alone].concat());
            twins.alike(&[], sql);
        }
    }
}

#[test]
fn a_column_that_cannot_be_proved_goes_again() {
    for installation in each_major() {
        let mut twins = Twins::on(installation);
        for sql in [
            "ALTER TABLE t ADD x int DEFAULT 0 CHECK (x > 0)",
            "ALTER TABLE t ADD x int CHECK (x > 0) CHECK (b < 50)",
            "ALTER TABLE t ADD x int DEFAULT 3 REFERENCES o",
            "ALTER TABLE t ADD x int DEFAULT 3 CHECK (x > 0) REFERENCES o NOT NULL",
            "ALTER TABLE t ADD x int DEFAULT 3 UNIQUE",
            "ALTER TABLE t ADD x int DEFAULT 3 UNIQUE CHECK (x > 0)",
            "ALTER TABLE t ADD b int CHECK (b > 0)",
            "ALTER TABLE t ADD x int DEFAULT 1 REFERENCES nowhere",
            "ALTER TABLE t ADD x nothing CHECK (x > 0)",
        ] {
            twins.begin(&SETUP);
            twins.alike_in_failure(&[], sql);
        }
    }
}

#[test]
fn what_is_not_beyond_doubt_is_refused() {
    let mut twins = Twins::on(each_major().remove(0));
    for sql in [
        "ALTER TABLE t ADD x text CHECK (x > 'a') COLLATE \"C\"",
        "ALTER TABLE t ADD x int DEFAULT 1 CHECK (x > 0), ALTER x SET NOT NULL",
        "ALTER TABLE t ADD x int GENERATED ALWAYS AS (a) VIRTUAL CHECK (x > 0)",
    ] {
        twins.begin(&SETUP);
        twins.alike_once_allowed(&[], sql);
    }
}
