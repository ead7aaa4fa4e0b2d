//! `ALTER TABLE` of several parts, each carried out by itself, ends as if all had been done at once.

use crate::support::each_major;
use crate::support::twins::Twins;

const SETUP: [&str; 2] = [
    "CREATE TABLE o (id int PRIMARY KEY); INSERT INTO o SELECT generate_series(1, 100)",
    "CREATE TABLE t (a int PRIMARY KEY, b int, c text, d int NOT NULL DEFAULT 1 CONSTRAINT t_d_check CHECK (d > 0), old int); \
     INSERT INTO t SELECT n, n, n::text, n, n FROM generate_series(1, 100) n; CREATE INDEX t_old ON t (old)",
];

/// Each with the version that brought it.
const STATEMENTS: &[(u32, &str)] = &[
    (13, "ALTER TABLE t ADD CHECK (b > 0), ADD CHECK (b < 1000), ALTER d SET DEFAULT 7"),
    (
        13,
        "alter table if exists public.t /* why, */ add x int, -- one\n ADD CONSTRAINT \"The Check\" CHECK (x > 0), add foreign key (x) \
         references o -- two",
    ),
    (
        13,
        "ALTER TABLE t ADD x uuid DEFAULT gen_random_uuid(), ADD y int NOT NULL DEFAULT 3, ADD z serial, ALTER COLUMN c SET STORAGE \
         PLAIN, ADD \"Last\" text",
    ),
    (
        13,
        "ALTER TABLE t ALTER b SET NOT NULL, ADD UNIQUE (b) INCLUDE (c), ADD FOREIGN KEY (b) REFERENCES o DEFERRABLE, ALTER c SET \
         STATISTICS 7, ADD UNIQUE (c, b)",
    ),
    (13, "ALTER TABLE t DROP CONSTRAINT t_d_check, ADD CHECK (b > 0)"),
    (13, "ALTER TABLE t ADD x int, ALTER x SET DEFAULT 5, ADD UNIQUE (x), ADD y int DEFAULT 4"),
    (13, "ALTER TABLE t ADD CONSTRAINT n CHECK (b > 0) NOT VALID, VALIDATE CONSTRAINT n"),
    (
        13,
        "ALTER TABLE t VALIDATE CONSTRAINT k, ADD CONSTRAINT k FOREIGN KEY (b) REFERENCES o NOT VALID, ADD CHECK (d < 1000)",
    ),
    (
        13,
        "ALTER TABLE t ADD x int REFERENCES o, ADD y int CHECK (y > 0), ADD z float DEFAULT random() NOT NULL UNIQUE, OWNER TO \
         CURRENT_USER",
    ),
    (
        13,
        "ALTER TABLE t ADD COLUMN IF NOT EXISTS old int, ADD IF NOT EXISTS x int -- why\n DEFAULT 3, ADD CHECK (x > 0 OR old > 0)",
    ),
    (
        13,
        "/* lockkeeper: allow drop-column because nobody reads it */ ALTER TABLE t DROP old, ADD CHECK (b > 0), DROP IF EXISTS c",
    ),
];

#[test]
fn all_that_was_asked_for_is_done() {
    for installation in each_major() {
        let major = installation.major;
        let mut twins = Twins::on(installation);
        for (_, sql) in STATEMENTS.iter().filter(|(since, _)| *since <= major) {
            twins.begin(&SETUP);
            twins.alike(&[], sql);
        }
    }
}

#[test]
fn what_one_part_cannot_do_takes_the_others_with_it() {
    for installation in each_major() {
        let mut twins = Twins::on(installation);
        for sql in [
            "ALTER TABLE t ADD CHECK (b > 0), ADD CHECK (b < 5)",
            // What the server does not understand comes before what its rows do not fulfil.
            "ALTER TABLE t ADD CHECK (b < 5), ADD CHECK (nothing > 0)",
            "ALTER TABLE t ADD CHECK (b < 5), ALTER b SET NOT NULL, ALTER nothing SET NOT NULL",
            "ALTER TABLE t ADD CHECK (b < 5), ADD x int DEFAULT 'nothing'",
            "ALTER TABLE t ADD IF NOT EXISTS old int, ADD IF NOT EXISTS x int, ADD CHECK (x > 0), ADD CHECK (old < 5)",
            "ALTER TABLE t ADD x serial UNIQUE, ADD UNIQUE (c), ADD CHECK (b < 5)",
            "/* lockkeeper: allow drop-column because nobody reads it */ ALTER TABLE t DROP old, ADD UNIQUE (b), ADD CHECK (b < 5)",
            "ALTER TABLE t ADD CHECK (b > 0), ALTER b SET NOT NULL, ADD UNIQUE (c), ALTER nothing SET DEFAULT 3",
            "ALTER TABLE t ADD x int, ADD y float DEFAULT random() CHECK (y >= 0), ADD FOREIGN KEY (d) REFERENCES o (id), ADD CHECK (d \
             <> 9)",
        ] {
            twins.begin(&SETUP);
            twins.alike_in_failure(&[], sql);
        }
    }
}

#[test]
fn parts_that_speak_of_each_other_are_refused() {
    let mut twins = Twins::on(each_major().remove(0));
    for sql in [
        "ALTER TABLE t DROP CONSTRAINT t_d_check, ADD CONSTRAINT t_d_check CHECK (d > 0 AND b > 0)",
        "ALTER TABLE t ADD x int NOT NULL DEFAULT 3, ADD CHECK (b > 0), ALTER x SET NOT NULL",
        "ALTER TABLE t ALTER b SET NOT NULL, ALTER b DROP NOT NULL, ADD UNIQUE (c)",
        "ALTER TABLE t ADD CHECK (b > 0), SET UNLOGGED",
    ] {
        twins.begin(&SETUP);
        twins.alike_once_allowed(&[], sql);
    }
}

#[test]
fn if_one_part_is_refused_nothing_is_done() {
    let mut twins = Twins::on(each_major().remove(0));
    twins.begin(&[SETUP.as_slice(), &["CREATE TABLE keyless (a int)"]].concat());
    let before = twins.beside.table(crate::support::twins::STATE);
    for sql in [
        "ALTER TABLE t ADD CHECK (b > 0), ADD EXCLUDE USING btree (c WITH =)",
        "ALTER TABLE t ADD x serial, ADD EXCLUDE USING btree (c WITH =)",
        "ALTER TABLE keyless ADD x int CHECK (x > 0), ADD y serial",
    ] {
        let refused = twins.through(&[]).query(sql);
        assert_eq!(refused.failure(), "0A000", "{sql}: {refused:?}");
        assert_eq!(twins.beside.table(crate::support::twins::STATE), before, "{sql}");
    }
}
