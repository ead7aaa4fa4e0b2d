//! Every plan, made to fail at every one of its steps: what was done is taken back.
//!
//! An event trigger counts the commands and strikes at one of them; those that take steps back come behind it.

use crate::support::each_major;
use crate::support::twins::{Twins, kept};

/// Tables for every statement.
pub(crate) const TABLES: &str = "
    CREATE TABLE r (id int PRIMARY KEY);
    INSERT INTO r SELECT generate_series(1, 30);
    CREATE TABLE t (a int NOT NULL, b int, c text, ref int);
    INSERT INTO t SELECT n, n, n::text, n FROM generate_series(1, 30) n;
    CREATE INDEX t_b ON t (b);
    CREATE UNIQUE INDEX t_once ON t (b);
    CREATE TABLE k (a int PRIMARY KEY, b int);
    INSERT INTO k SELECT n, n FROM generate_series(1, 30) n;
    CREATE TABLE kp (a int PRIMARY KEY, b int) PARTITION BY RANGE (a);
    CREATE TABLE kp1 PARTITION OF kp FOR VALUES FROM (0) TO (10);
    CREATE TABLE kp2 PARTITION OF kp FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (a);
    CREATE TABLE kp21 PARTITION OF kp2 FOR VALUES FROM (10) TO (20);
    INSERT INTO kp SELECT n, n FROM generate_series(0, 19) n;
    CREATE TABLE p (a int NOT NULL, b int) PARTITION BY RANGE (a);
    CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
    CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (a);
    CREATE TABLE p21 PARTITION OF p2 FOR VALUES FROM (10) TO (20);
    INSERT INTO p SELECT n, n FROM generate_series(0, 19) n;
    ALTER TABLE p21 ALTER b SET NOT NULL;
    ALTER TABLE p1 ADD FOREIGN KEY (b) REFERENCES r NOT VALID;
    CREATE TABLE s (a int NOT NULL, b int) PARTITION BY RANGE (a);
    CREATE TABLE s1 PARTITION OF s FOR VALUES FROM (0) TO (10);
    CREATE TABLE s2 PARTITION OF s FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (a);
    CREATE TABLE s21 PARTITION OF s2 FOR VALUES FROM (10) TO (20);
    INSERT INTO s SELECT n, n FROM generate_series(1, 19) n;
    CREATE TABLE ready (a int NOT NULL, b int);
    INSERT INTO ready SELECT n, n FROM generate_series(20, 29) n;
    CREATE TABLE l (a int NOT NULL, b int REFERENCES r, PRIMARY KEY (a), UNIQUE (a, b)) PARTITION BY RANGE (a);
    CREATE INDEX ON l (b);
    CREATE TABLE q (a int NOT NULL, b int) PARTITION BY RANGE (a);
    CREATE TABLE q_rest PARTITION OF q DEFAULT;
    INSERT INTO q SELECT n, n FROM generate_series(100, 3000) n;
    CREATE MATERIALIZED VIEW m AS SELECT a FROM t;
    CREATE UNIQUE INDEX m_a ON m (a);
    CREATE TABLE d (id int PRIMARY KEY, r int REFERENCES r, \"R\" int REFERENCES r, part int);
    CREATE INDEX ON d (r);
    CREATE INDEX ON d (part, lower(r::text));
    CREATE TABLE e (id int REFERENCES d DEFERRABLE);
    ALTER TABLE d ADD CONSTRAINT k FOREIGN KEY (r) REFERENCES r NOT VALID";

const STRIKE: &str = "
    CREATE SEQUENCE strokes;
    CREATE TABLE target AS SELECT 0 AS stroke, false AS cancels;
    CREATE FUNCTION strike() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
        IF nextval('public.strokes') = (SELECT stroke FROM public.target) THEN
            IF (SELECT cancels FROM public.target) THEN PERFORM pg_cancel_backend(pg_backend_pid()), pg_sleep(10); END IF;
            RAISE 'struck';
        END IF;
    END $$";

/// Each with the least number of its steps.
pub(crate) const STATEMENTS: &[(&str, usize)] = &[
    ("CREATE INDEX ON t (b)", 1),
    ("CREATE INDEX ON p (b)", 7),
    ("ALTER TABLE p ADD UNIQUE (b, a)", 9),
    ("ALTER TABLE t ADD CHECK (b > 0)", 2),
    ("ALTER TABLE t ADD FOREIGN KEY (ref) REFERENCES r", 2),
    ("ALTER TABLE p ADD CHECK (b >= 0)", 2),
    ("ALTER TABLE t ADD UNIQUE (b)", 2),
    ("ALTER TABLE t ADD PRIMARY KEY (a, b)", 4),
    ("ALTER TABLE t ADD PRIMARY KEY USING INDEX t_once", 3),
    ("ALTER TABLE t ALTER b SET NOT NULL", 2),
    ("ALTER TABLE t ADD x int CHECK (x > 0) UNIQUE", 4),
    ("ALTER TABLE t ADD x int DEFAULT 1 REFERENCES r", 2),
    (
        "ALTER TABLE k ADD x serial, ADD UNIQUE (b), ADD CHECK (b > 0), ADD y int, ALTER b SET NOT NULL, ALTER b SET DEFAULT 3",
        12,
    ),
    ("ALTER TABLE p ATTACH PARTITION ready FOR VALUES FROM (20) TO (30)", 3),
];

/// Those that fill a column, in one table and in the leaves of another.
pub(crate) const FILLED: &[(&str, usize)] = &[
    ("ALTER TABLE k ADD x float DEFAULT random() NOT NULL CHECK (x >= 0) UNIQUE", 6),
    ("ALTER TABLE k ADD x serial CHECK (b > 0)", 6),
    ("ALTER TABLE k ADD x int GENERATED ALWAYS AS IDENTITY", 6),
    ("ALTER TABLE kp ADD x serial CHECK (b >= 0)", 6),
];

/// Those that work on a partitioned table and all below it.
pub(crate) const IN_TREES: &[(&str, usize)] = &[
    ("ALTER TABLE p ALTER b SET NOT NULL", 2),
    ("ALTER TABLE p ADD PRIMARY KEY (b, a)", 11),
    ("ALTER TABLE p ADD x int DEFAULT 1 CHECK (x > 0)", 2),
];

/// Those that come and go.
pub(crate) const DOORS: &[(&str, usize)] = &[
    ("CREATE TABLE p3 PARTITION OF p FOR VALUES FROM (30) TO (40)", 2),
    ("DROP TABLE d CASCADE /* lockkeeper: allow drop-table because it is done with */", 5),
    ("DROP TABLE e /* lockkeeper: allow drop-table because it is done with */", 2),
    ("ALTER TABLE d DROP r /* lockkeeper: allow drop-column because it is done with */", 5),
];

/// Since 14 partitions are detached concurrently.
pub(crate) const LEAVING: [(&str, usize); 2] = [
    ("ALTER TABLE p DETACH PARTITION p1", 1),
    ("DROP TABLE p1 /* lockkeeper: allow drop-table because it is done with */", 3),
];

/// Before 18 leaf by leaf.
pub(crate) const KEY_IN_PARTS: (&str, usize) = ("ALTER TABLE s ADD FOREIGN KEY (b) REFERENCES r", 2);

/// Those that lock more than their own table.
pub(crate) const BESIDE_OTHERS: &[(&str, usize)] = &[
    KEY_IN_PARTS,
    ("ALTER TABLE q ATTACH PARTITION ready FOR VALUES FROM (20) TO (30)", 5),
    ("ALTER TABLE l ATTACH PARTITION ready FOR VALUES FROM (20) TO (30)", 10),
    ("CREATE TABLE q1 PARTITION OF q FOR VALUES FROM (20) TO (30)", 4),
    ("CREATE TABLE q1 PARTITION OF q (b DEFAULT 3) FOR VALUES FROM (20) TO (30)", 3),
];

#[test]
fn what_fails_beside_other_tables_is_taken_back() {
    for installation in each_major() {
        let major = installation.major;
        let mut twins = Twins::on(installation);
        for (sql, least) in BESIDE_OTHERS {
            let steps = (1..100).take_while(|stroke| strike(&mut twins, sql, *stroke)).count();
            assert!(steps >= *least, "{major}: {sql}: {steps} steps");
        }
    }
}

#[test]
fn whatever_fails_is_taken_back() {
    for installation in each_major() {
        let major = installation.major;
        let mut twins = Twins::on(installation);
        for (sql, least) in STATEMENTS {
            let steps = (1..100).take_while(|stroke| strike(&mut twins, sql, *stroke)).count();
            assert!(steps >= *least, "{major}: {sql}: {steps} steps");
        }
    }
}

#[test]
fn what_fails_in_trees_is_taken_back() {
    for installation in each_major() {
        let major = installation.major;
        let mut twins = Twins::overlooking_owners(installation);
        let key = ("ALTER TABLE p ADD x int DEFAULT 1 REFERENCES r CHECK (x > 0)", 3);
        for (sql, least) in IN_TREES.iter().chain((major >= 18).then_some(&key)) {
            let steps = (1..100).take_while(|stroke| strike(&mut twins, sql, *stroke)).count();
            assert!(steps >= *least, "{major}: {sql}: {steps} steps");
        }
    }
}

#[test]
fn whatever_is_half_filled_is_taken_back() {
    for installation in each_major() {
        let major = installation.major;
        let mut twins = Twins::on(installation);
        for (sql, least) in FILLED {
            let steps = (1..100).take_while(|stroke| strike(&mut twins, sql, *stroke)).count();
            assert!(steps >= *least, "{major}: {sql}: {steps} steps");
        }
    }
}

#[test]
fn whatever_goes_or_comes_half_way_is_as_it_was() {
    for installation in each_major() {
        let major = installation.major;
        let mut twins = Twins::on(installation);
        for (sql, least) in DOORS.iter().chain(LEAVING.iter().filter(|_| major > 13)) {
            let steps = (1..100).take_while(|stroke| strike(&mut twins, sql, *stroke)).count();
            assert!(steps >= *least, "{major}: {sql}: {steps} steps");
        }
    }
}

/// Strikes at one command; false where the plan has no more of them.
fn strike(twins: &mut Twins, sql: &str, stroke: usize) -> bool {
    twins.beside.all(&["DROP EVENT TRIGGER IF EXISTS strike"]);
    twins.begin_beside(&[TABLES, STRIKE]);
    let before = twins.state();
    // They take turns.
    let cancels = stroke.is_multiple_of(2);
    twins.beside.all(&[
        &format!("UPDATE target SET stroke = {stroke}, cancels = {cancels}"),
        "CREATE EVENT TRIGGER strike ON ddl_command_start EXECUTE FUNCTION strike()",
    ]);
    let mut client = twins.through(&["SET lock_timeout = '7s'"]);
    let answer = client.query(sql);
    if answer.error().is_none() {
        return false;
    }
    assert_eq!(answer.failure(), if cancels { "57014" } else { "P0001" }, "{sql}: {answer:?}");
    assert!(answer.hint().is_empty(), "{sql} at {stroke}: {answer:?}");
    twins.beside.all(&["DROP EVENT TRIGGER strike"]);
    let after = twins.state();
    let (before, after) = (kept(&before), kept(&after));
    let left: Vec<&&str> = after.iter().filter(|line| !before.contains(line)).collect();
    assert!(left.is_empty() && before.len() == after.len(), "{sql} at {stroke} left {left:#?}");
    assert_eq!(client.table("SHOW lock_timeout"), "7s");
    true
}
