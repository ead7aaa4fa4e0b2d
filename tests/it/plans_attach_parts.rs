//! What a table lacks of its parent is built before it is attached, and is what attaching it would have made.

use crate::support::each_major;
use crate::support::stage::Way;
use crate::support::twins::Twins;

const SQL: &str = "ALTER TABLE p ATTACH PARTITION c FOR VALUES FROM (10) TO (20)";

/// Tables for every case.
const TABLES: &str = "
    CREATE TABLE o (id int PRIMARY KEY, x int UNIQUE);
    INSERT INTO o SELECT n, n FROM generate_series(1, 50) n;
    CREATE TABLE po (id int PRIMARY KEY) PARTITION BY RANGE (id);
    CREATE TABLE po1 PARTITION OF po FOR VALUES FROM (0) TO (20);
    CREATE TABLE po2 PARTITION OF po FOR VALUES FROM (20) TO (100) PARTITION BY RANGE (id);
    CREATE TABLE po21 PARTITION OF po2 FOR VALUES FROM (20) TO (100);
    INSERT INTO po SELECT n FROM generate_series(1, 50) n;
    CREATE TABLE p (gone int, a int, k int NOT NULL, t text) PARTITION BY RANGE (k);
    ALTER TABLE p DROP gone;
    CREATE TABLE c (t text, k int NOT NULL, a int);
    INSERT INTO c SELECT n::text, 10 + n % 10, n FROM generate_series(1, 50) n;
    CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2'";

/// What the parent demands of its partitions, and what the table has of it before.
const PARTS: &[(u32, &str, &str)] = &[
    (13, "CREATE INDEX ON p (a)", ""),
    (13, "CREATE INDEX ON p (a)", "CREATE INDEX ON c (a)"),
    (13, "CREATE INDEX ON p (a)", "CREATE INDEX ON c (a) WHERE a > 0"),
    (13, "CREATE INDEX ON p (a)", "CREATE INDEX ON c (a DESC NULLS FIRST) WITH (fillfactor = 50)"),
    (13, "CREATE INDEX ON p (a)", "CREATE INDEX ON c (a) INCLUDE (t)"),
    (13, "CREATE INDEX ON p (a)", "CREATE INDEX ON c USING hash (a)"),
    (13, "CREATE INDEX ON p (t)", "CREATE INDEX ON c (t text_pattern_ops)"),
    (13, "CREATE INDEX ON p (t)", "CREATE INDEX ON c (t COLLATE \"C\")"),
    (
        13,
        "CREATE INDEX ON p (a); CREATE INDEX ON p (a); CREATE INDEX mine ON p (k, a)",
        "CREATE INDEX ON c (a)",
    ),
    (13, "CREATE INDEX ON p (a)", "CREATE TABLE c_a_idx (); CREATE TABLE c_a_idx1 ()"),
    (
        13,
        "CREATE INDEX named ON p (a); COMMENT ON INDEX named IS 'x'; CLUSTER c USING c_i",
        "CREATE INDEX c_i ON c (k)",
    ),
    (
        13,
        "CREATE INDEX ON p (twice(a), lower(t) text_pattern_ops, (a + 1)) INCLUDE (k) WHERE a > 0 AND t <> ' using '",
        "",
    ),
    (13, "CREATE INDEX ON p (twice(a))", "CREATE INDEX ON c (twice(a))"),
    (13, "CREATE INDEX ON p (twice(a))", "CREATE INDEX ON c (twice(k))"),
    (13, "CREATE INDEX ON p USING gin (to_tsvector('english', t)) WITH (fastupdate = off)", ""),
    (13, "CREATE INDEX ON p (a DESC, t COLLATE \"C\" NULLS FIRST) WITH (fillfactor = 70)", ""),
    (15, "CREATE UNIQUE INDEX ON p (k, a) NULLS NOT DISTINCT", "CREATE UNIQUE INDEX ON c (k, a)"),
    (15, "ALTER TABLE p ADD UNIQUE NULLS NOT DISTINCT (k, a)", ""),
    (13, "CREATE UNIQUE INDEX ON p (k, a)", "CREATE INDEX ON c (k, a)"),
    (13, "CREATE UNIQUE INDEX ON p (k, a)", "ALTER TABLE c ADD UNIQUE (k, a)"),
    (13, "ALTER TABLE p ADD UNIQUE (k, a)", ""),
    (13, "ALTER TABLE p ADD UNIQUE (k, a) DEFERRABLE INITIALLY DEFERRED", ""),
    (13, "ALTER TABLE p ADD CONSTRAINT own UNIQUE (a, k) INCLUDE (t) WITH (fillfactor = 70) DEFERRABLE", ""),
    (13, "ALTER TABLE p ADD UNIQUE (k, a)", "CREATE UNIQUE INDEX ON c (k, a)"),
    (13, "ALTER TABLE p ADD UNIQUE (k, a)", "ALTER TABLE c ADD CONSTRAINT c_k_a_key CHECK (a > 0)"),
    (13, "ALTER TABLE p ADD PRIMARY KEY (k, a)", "ALTER TABLE c ALTER a SET NOT NULL"),
    (
        13,
        "ALTER TABLE p ADD PRIMARY KEY (k, a)",
        "CREATE UNIQUE INDEX ON c (k, a); ALTER TABLE c ALTER a SET NOT NULL",
    ),
    (13, "ALTER TABLE p ADD PRIMARY KEY (k, a)", "ALTER TABLE c ADD PRIMARY KEY (k, a)"),
    (
        13,
        "ALTER TABLE p ADD PRIMARY KEY (k, a), ADD UNIQUE (k, t); CREATE INDEX ON p (t)",
        "ALTER TABLE c ALTER a SET NOT NULL; ALTER TABLE c REPLICA IDENTITY FULL",
    ),
    (13, "ALTER TABLE p ADD FOREIGN KEY (a) REFERENCES o", ""),
    (13, "ALTER TABLE p ADD FOREIGN KEY (a) REFERENCES o", "ALTER TABLE c ADD FOREIGN KEY (a) REFERENCES o"),
    (
        13,
        "ALTER TABLE p ADD FOREIGN KEY (a) REFERENCES o",
        "ALTER TABLE c ADD FOREIGN KEY (a) REFERENCES o (x)",
    ),
    (
        13,
        "ALTER TABLE p ADD FOREIGN KEY (a) REFERENCES o",
        "ALTER TABLE c ADD FOREIGN KEY (a) REFERENCES o ON DELETE CASCADE",
    ),
    (
        13,
        "ALTER TABLE p ADD CONSTRAINT own FOREIGN KEY (a) REFERENCES o (x) ON DELETE CASCADE ON UPDATE SET NULL DEFERRABLE",
        "",
    ),
    (
        13,
        "ALTER TABLE p ADD FOREIGN KEY (a) REFERENCES o, ADD FOREIGN KEY (k) REFERENCES o (x); CREATE INDEX ON p (k)",
        "ALTER TABLE c ADD FOREIGN KEY (k) REFERENCES o (x)",
    ),
    (13, "ALTER TABLE p ADD FOREIGN KEY (a) REFERENCES po ON DELETE CASCADE", ""),
    (
        13,
        "ALTER TABLE p ADD FOREIGN KEY (a) REFERENCES po",
        "ALTER TABLE c ADD FOREIGN KEY (a) REFERENCES po",
    ),
    (18, "ALTER TABLE p ADD FOREIGN KEY (a) REFERENCES o NOT VALID", ""),
    (18, "ALTER TABLE p ADD FOREIGN KEY (a) REFERENCES o NOT ENFORCED", ""),
    (13, "ALTER TABLE p ADD CONSTRAINT pos CHECK (a > 0)", "ALTER TABLE c ADD CONSTRAINT pos CHECK (a > 0)"),
    (
        13,
        "ALTER TABLE p ADD PRIMARY KEY (k); CREATE TABLE e (k int REFERENCES p)",
        "UPDATE c SET k = 10; DELETE FROM c WHERE a > 1",
    ),
];

/// Those where the end would not be the same beyond doubt.
const IN_DOUBT: &[(u32, &str, &str)] = &[
    (13, "ALTER TABLE p ADD UNIQUE (k, a)", "ALTER TABLE c ALTER a SET NOT NULL, ADD PRIMARY KEY (k, a)"),
    (
        13,
        "ALTER TABLE p ADD FOREIGN KEY (a) REFERENCES o",
        "ALTER TABLE c ADD FOREIGN KEY (a) REFERENCES o NOT VALID",
    ),
    (
        13,
        "ALTER TABLE p ADD CONSTRAINT own FOREIGN KEY (a) REFERENCES o (x)",
        "ALTER TABLE c ADD CONSTRAINT own CHECK (a > 0)",
    ),
    (
        15,
        "ALTER TABLE p ADD FOREIGN KEY (a) REFERENCES o ON DELETE SET NULL (a)",
        "ALTER TABLE c ADD FOREIGN KEY (a) REFERENCES o ON DELETE SET NULL",
    ),
    (17, "ALTER TABLE p ADD EXCLUDE USING btree (k WITH =, a WITH =)", ""),
    (
        13,
        "CREATE UNIQUE INDEX ON p (k, a); ALTER TABLE p ADD COLUMN b int, ADD FOREIGN KEY (k, b) REFERENCES p (k, a)",
        "ALTER TABLE c ADD COLUMN b int",
    ),
];

fn cases(
    major: u32,
    cases: &'static [(u32, &str, &str)],
) -> impl Iterator<Item = (&'static str, &'static str)> {
    cases.iter().filter(move |(since, ..)| *since <= major).map(|(_, parent, table)| (*parent, *table))
}

fn begin(twins: &mut Twins, parent: &str, table: &str) {
    let setup = [TABLES, table, parent].into_iter().filter(|sql| !sql.is_empty());
    twins.begin(&setup.collect::<Vec<_>>());
}

#[test]
fn what_the_table_lacks_it_gets_before() {
    for installation in each_major() {
        let major = installation.major;
        let mut twins = Twins::on(installation);
        for (parent, table) in cases(major, PARTS) {
            begin(&mut twins, parent, table);
            twins.alike(&[], SQL);
        }
    }
}

/// What an event trigger sees when the table is about to be attached is what is there in the end.
#[test]
fn nothing_is_made_under_the_lock() {
    const COUNT: &str = "SELECT count(*) FILTER (WHERE what = 'i') || ' ' || count(*) FILTER (WHERE what = 'f')
        FROM (SELECT 'i' FROM pg_index WHERE indrelid = 'c'::regclass
        UNION ALL SELECT 'f' FROM pg_constraint k WHERE conrelid = 'c'::regclass AND contype = 'f' AND convalidated
        AND NOT EXISTS (SELECT FROM pg_constraint w WHERE w.oid = k.conparentid AND w.conrelid = k.conrelid)) AS it(what)";
    for installation in each_major() {
        let major = installation.major;
        let mut twins = Twins::on(installation);
        for (parent, table) in cases(major, PARTS) {
            begin(&mut twins, parent, table);
            twins.beside.all(&[
                "CREATE TABLE seen (count text)",
                &format!(
                    "CREATE FUNCTION look() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
                    IF current_query() LIKE '%ATTACH PARTITION%' THEN INSERT INTO seen {COUNT}; END IF; END $$"
                ),
                "CREATE EVENT TRIGGER look ON ddl_command_start EXECUTE FUNCTION look()",
            ]);
            assert_eq!(twins.through(&[]).ask(Way::Extended, SQL).tag(), "ALTER TABLE", "{parent}");
            let seen = twins.beside.table("SELECT count FROM seen");
            assert_eq!(seen, twins.beside.table(COUNT), "{major}: {parent}; {table}");
            twins.beside.all(&["DROP EVENT TRIGGER look"]);
        }
    }
}

#[test]
fn what_cannot_be_told_for_sure_is_to_be_made_before() {
    for installation in each_major() {
        let major = installation.major;
        let mut twins = Twins::on(installation);
        for (parent, table) in cases(major, IN_DOUBT) {
            begin(&mut twins, parent, table);
            twins.alike_once_allowed(&[], SQL);
        }
    }
}

#[test]
fn what_stops_it_is_told_as_ever_and_nothing_is_left() {
    for installation in each_major() {
        let mut twins = Twins::on(installation);
        for (parent, table) in [
            (
                "CREATE UNIQUE INDEX ON p (k, a); CREATE INDEX ON p (a)",
                "UPDATE c SET k = 11, a = 7 WHERE a < 3",
            ),
            ("ALTER TABLE p ADD UNIQUE (k, a)", "UPDATE c SET k = 11, a = 7 WHERE a < 3"),
            ("ALTER TABLE p ADD UNIQUE (k, a); CREATE INDEX ON p (a)", "UPDATE c SET k = 20 WHERE a < 3"),
            (
                "CREATE INDEX ON p (a); ALTER TABLE p ADD FOREIGN KEY (a) REFERENCES o",
                "UPDATE c SET a = 51 WHERE a < 3",
            ),
            (
                "CREATE INDEX ON p (a); ALTER TABLE p ADD FOREIGN KEY (a) REFERENCES o",
                "UPDATE c SET a = 51, k = 5 WHERE a < 3",
            ),
            ("ALTER TABLE p ADD PRIMARY KEY (k, a)", ""),
            (
                "ALTER TABLE p ADD PRIMARY KEY (k, a)",
                "DELETE FROM c WHERE a > 10; ALTER TABLE c ADD PRIMARY KEY (a)",
            ),
            ("CREATE INDEX ON p (a); CREATE TABLE there PARTITION OF p FOR VALUES FROM (5) TO (12)", ""),
            ("CREATE INDEX ON p (a); ALTER TABLE p ADD CHECK (a > 0)", ""),
        ] {
            begin(&mut twins, parent, table);
            twins.alike_in_failure(&[], SQL);
        }
    }
}
