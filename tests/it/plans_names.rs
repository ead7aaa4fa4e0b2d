//! What plans call things: as Postgres would, whatever else is in the schema.

use crate::support::each_major;
use crate::support::twins::Twins;

const TABLE: &str = "CREATE TABLE t (a int NOT NULL, b int, c text); INSERT INTO t SELECT n, n, n FROM generate_series(1, 50) n";

#[test]
fn names_that_are_taken_beside_the_table_are_not_picked() {
    for installation in each_major() {
        let mut twins = Twins::on(installation);
        for (taken, sql) in [
            ("CREATE VIEW t_a_key AS SELECT 1", "ALTER TABLE t ADD UNIQUE (a)"),
            ("CREATE TABLE t_a_key (); CREATE SEQUENCE t_a_key1", "ALTER TABLE t ADD UNIQUE (a)"),
            ("CREATE TABLE other (x int CONSTRAINT t_a_key CHECK (true))", "ALTER TABLE t ADD UNIQUE (a)"),
            ("CREATE INDEX t_pkey ON t (c)", "ALTER TABLE t ADD PRIMARY KEY (a)"),
            ("CREATE INDEX t_pkey ON t (c)", "ALTER TABLE t ADD PRIMARY KEY (b, a)"),
            ("SELECT 1", "ALTER TABLE t ADD UNIQUE (a) INCLUDE (b, c)"),
            ("CREATE DOMAIN d AS int CONSTRAINT t_a_check CHECK (true)", "ALTER TABLE t ADD CHECK (a > 0)"),
            (
                "CREATE TABLE other (x int CONSTRAINT t_check CHECK (true))",
                "ALTER TABLE t ADD CHECK (a > 0 AND b > 0)",
            ),
            ("CREATE INDEX t_a_check ON t (a)", "ALTER TABLE t ADD CHECK (a > 0)"),
            (
                "CREATE TABLE other (x int PRIMARY KEY CONSTRAINT t_b_fkey CHECK (true)); INSERT INTO other SELECT b FROM t",
                "ALTER TABLE t ADD FOREIGN KEY (b) REFERENCES other",
            ),
            (
                "CREATE TABLE other (x int CONSTRAINT t_b_not_null CHECK (true))",
                "ALTER TABLE t ALTER b SET NOT NULL",
            ),
        ] {
            twins.begin(&[TABLE, taken]);
            twins.alike(&[], sql);
        }
        // One that is given is for the server to refuse.
        twins.begin(&[TABLE, "CREATE VIEW taken AS SELECT 1", "CREATE INDEX \"own one\" ON t (b)"]);
        for name in ["taken", "\"own one\""] {
            for sql in ["UNIQUE (a)", "PRIMARY KEY (b)"] {
                twins.alike_in_failure(&[], &format!("ALTER TABLE t ADD CONSTRAINT {name} {sql}"));
            }
        }
    }
}

#[test]
fn long_names_are_cut_as_postgres_cuts_them() {
    let long = "t".repeat(60);
    let wide = "é".repeat(31);
    for installation in each_major() {
        let mut twins = Twins::on(installation);
        for table in [&long, &wide] {
            let setup = format!("CREATE TABLE {table} (a int, \"{}\" int)", "c".repeat(60));
            for part in ["ADD UNIQUE (a)", "ADD PRIMARY KEY (a)", "ADD CHECK (a > 0)", "ALTER a SET NOT NULL"]
            {
                twins.begin(&[&setup]);
                twins.alike(&[], &format!("ALTER TABLE {table} {part}"));
                // Once more: its first name is taken now, by its own, so that the next is picked.
                if part.contains("CHECK") || part.contains("UNIQUE") {
                    twins.alike(&[], &format!("ALTER TABLE {table} {part}"));
                }
            }
            let both = format!("a, {}", "c".repeat(60));
            twins.begin(&[&setup]);
            twins.alike(&[], &format!("ALTER TABLE {table} ADD UNIQUE ({both})"));
            twins.alike(&[], &format!("ALTER TABLE {table} ADD UNIQUE ({both})"));
        }
    }
}

/// The table that the search path means, and nothing in the other schema.
#[test]
fn of_two_tables_the_one_that_is_meant_is_altered() {
    for installation in each_major() {
        let mut twins = Twins::on(installation);
        for sql in [
            "ALTER TABLE t ADD UNIQUE (a)",
            "ALTER TABLE t ADD PRIMARY KEY (b)",
            "ALTER TABLE t ADD CHECK (a > 0)",
            "ALTER TABLE t ADD FOREIGN KEY (b) REFERENCES other",
            "ALTER TABLE t ALTER b SET NOT NULL",
            "ALTER TABLE t ADD x int DEFAULT 1 CHECK (x > 0) REFERENCES other DEFERRABLE",
            "ALTER TABLE t ADD x int CHECK (x > b) CHECK (x > 0) UNIQUE",
            "ALTER TABLE p ATTACH PARTITION t FOR VALUES FROM (0) TO (100)",
            "REFRESH MATERIALIZED VIEW v",
            "ALTER TABLE t ADD x int CONSTRAINT t_bad CHECK (a > 7)",
            "ALTER TABLE t ADD x int DEFAULT 1 CONSTRAINT t_bad UNIQUE",
            "ALTER TABLE p ATTACH PARTITION t FOR VALUES FROM (0) TO (7) -- t_bad",
            "ALTER TABLE t ADD CONSTRAINT t_bad CHECK (a > 7)",
            "ALTER TABLE t ADD CONSTRAINT t_bad UNIQUE (c)",
            "ALTER TABLE t ADD CONSTRAINT t_bad PRIMARY KEY (c)",
            "ALTER TABLE t ADD CONSTRAINT t_bad FOREIGN KEY (c) REFERENCES other",
            "ALTER TABLE t ALTER d SET NOT NULL",
        ] {
            let table = "t (a int NOT NULL, b int, c int, d int)";
            twins.begin(&[
                "CREATE SCHEMA s1",
                "CREATE SCHEMA s2",
                &format!("CREATE TABLE s1.{table}"),
                &format!("CREATE TABLE s2.{table}"),
                "INSERT INTO s2.t SELECT n, n, 0, NULL FROM generate_series(1, 50) n",
                "CREATE TABLE s1.other (x int PRIMARY KEY)",
                "INSERT INTO s1.other SELECT generate_series(1, 50)",
                "CREATE TABLE s1.t_a_key ()",
                &format!("CREATE TABLE s1.p {} PARTITION BY RANGE (a)", table.trim_start_matches("t ")),
                "CREATE MATERIALIZED VIEW s1.v AS SELECT 1 AS x",
                "CREATE MATERIALIZED VIEW s2.v AS SELECT 1 AS x",
                "CREATE UNIQUE INDEX v_x_idx ON s2.v (x)",
                // What the wrong one would lose if the steps were taken back there.
                "ALTER TABLE s1.t ALTER d SET NOT NULL, ADD CONSTRAINT t_bad CHECK (true)",
            ]);
            let path = "SET search_path = s2, s1";
            if sql.contains("t_bad") || sql.contains("ALTER d") {
                twins.alike_in_failure(&[path], sql);
            } else {
                twins.alike(&[path], sql);
            }
        }
    }
}

/// What a key says of its index goes to the index.
#[test]
fn options_of_keys_are_kept() {
    for installation in each_major() {
        let major = installation.major;
        let mut twins = Twins::on(installation);
        for sql in [
            "ADD CONSTRAINT k UNIQUE (a) WITH (fillfactor = 70)",
            "ADD UNIQUE (a) INCLUDE (b) WITH (fillfactor = 70, deduplicate_items = off) USING INDEX TABLESPACE pg_default",
            "ADD PRIMARY KEY (a) WITH (fillfactor = 70) USING INDEX TABLESPACE pg_default DEFERRABLE INITIALLY DEFERRED",
            "ADD PRIMARY KEY (b) INCLUDE (c)",
            "ADD x int UNIQUE WITH (fillfactor = 70) USING INDEX TABLESPACE pg_default",
        ] {
            twins.begin(&[TABLE]);
            twins.alike(&[], &format!("ALTER TABLE t {sql}"));
        }
        if major >= 15 {
            twins.begin(&[TABLE]);
            twins.alike(
                &[],
                "ALTER TABLE t ADD UNIQUE NULLS NOT DISTINCT (b) INCLUDE (c) WITH (fillfactor = 70)",
            );
        }
    }
}

/// Words that the grammar takes as names only in some places.
#[test]
fn words_of_the_grammar_are_names_like_any_other() {
    for installation in each_major() {
        let mut twins = Twins::on(installation);
        let setup = [
            "CREATE TABLE \"freeze\" (\"left\" int PRIMARY KEY, \"right\" int, \"values\" int)",
            "INSERT INTO \"freeze\" SELECT n, n, n FROM generate_series(1, 50) n",
        ];
        for part in [
            "ALTER \"right\" SET NOT NULL",
            "ADD UNIQUE (\"right\", \"values\")",
            "ADD CONSTRAINT \"like\" CHECK (\"right\" > 0)",
            "ADD \"full\" float DEFAULT random() NOT NULL",
            "ADD \"is\" serial CONSTRAINT \"join\" CHECK (\"is\" > 0)",
            "ADD CONSTRAINT \"cross\" FOREIGN KEY (\"right\") REFERENCES \"freeze\" (\"left\")",
        ] {
            twins.begin(&setup);
            twins.alike(&[], &format!("ALTER TABLE \"freeze\" {part}"));
        }
    }
}

/// What the catalogue says in an encoding that is not read is never said again in another one.
#[test]
fn what_cannot_be_read_is_never_said_again() {
    let installation = each_major().remove(0);
    let mut twins = Twins::on(installation);
    let latin = &["SET search_path = public, U&\"sch\\00e4\"", "SET client_encoding = 'LATIN1'"];
    for (setup, sql) in [
        ("CREATE TABLE t (v varchar(10) CHECK (v <> U&'\\00e4'))", "ALTER TABLE t ALTER v TYPE varchar(20)"),
        ("CREATE SCHEMA \"sch\u{e4}\"; CREATE TABLE \"sch\u{e4}\".t (a int)", "ALTER TABLE t ADD UNIQUE (a)"),
        (
            "CREATE TABLE p (a int) PARTITION BY LIST (a); CREATE TABLE \"p_\u{e4}\" PARTITION OF p DEFAULT",
            "CREATE INDEX ON p (a)",
        ),
    ] {
        twins.begin(&setup.split("; ").collect::<Vec<_>>());
        twins.alike_once_allowed(latin, sql);
    }
    twins.begin(&[
        "CREATE TABLE t (a int, b int, r int PRIMARY KEY)",
        "CREATE INDEX \"ix_\u{e4}\" ON t (b)",
        "CREATE TABLE \"z\u{e4}\" (r int REFERENCES t)",
    ]);
    for sql in [
        "ALTER TABLE t DROP b /* lockkeeper: allow drop-column because test */",
        "DROP TABLE t CASCADE /* lockkeeper: allow drop-table because test */",
    ] {
        twins.plain.all(&[sql]);
        let mut client = twins.through(latin);
        assert!(!client.query(sql).tag().is_empty());
        twins.compare(sql);
    }
}
