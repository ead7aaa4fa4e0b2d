//! Tables and columns are dropped once their foreign keys and indexes are off, and end as if dropped at once.

use crate::support::stage::{Person, Way};
use crate::support::twins::{STATE, Twins};
use crate::support::{each_major, eventually};

const SETUP: [&str; 1] = ["
    CREATE TABLE r (id int PRIMARY KEY, code int UNIQUE);
    INSERT INTO r SELECT n, n FROM generate_series(1, 30) n;
    CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id);
    CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100);
    INSERT INTO parts SELECT generate_series(1, 30);
    CREATE TABLE t (id int PRIMARY KEY, a int, b int, c text, up int REFERENCES t,
        one int REFERENCES r ON DELETE CASCADE DEFERRABLE, two int REFERENCES r (code), part int REFERENCES parts);
    INSERT INTO t SELECT n, n, n, n, n, n, n, n FROM generate_series(1, 30) n;
    ALTER TABLE t ADD CONSTRAINT \"not Valid\" FOREIGN KEY (a) REFERENCES r NOT VALID;
    CREATE INDEX ON t (a);
    CREATE INDEX ON t (b, a);
    CREATE INDEX partly ON t (b) WHERE a > 3;
    CREATE UNIQUE INDEX \"of All\" ON t (lower(c) DESC) INCLUDE (a) WITH (fillfactor = 70);
    CREATE UNIQUE INDEX known ON t (b);
    CREATE TABLE o (id int PRIMARY KEY REFERENCES t, t int REFERENCES t, b int REFERENCES t (b));
    INSERT INTO o SELECT n, n, n FROM generate_series(1, 30) n;
    CREATE TABLE alone (id int REFERENCES r, b int UNIQUE, x int GENERATED ALWAYS AS (b) STORED);
    CREATE TABLE beside (id int REFERENCES r);
    CREATE VIEW seen AS SELECT c FROM t"];

/// Those that run as steps, each with what goes before.
const STEPS: &[(&str, &[&str])] = &[
    ("DROP TABLE alone", &["ALTER TABLE alone DROP CONSTRAINT alone_id_fkey"]),
    (
        "drop table if exists public.alone restrict",
        &["ALTER TABLE public.alone DROP CONSTRAINT alone_id_fkey"],
    ),
    (
        "DROP TABLE alone, beside",
        &[
            "ALTER TABLE alone DROP CONSTRAINT alone_id_fkey",
            "ALTER TABLE beside DROP CONSTRAINT beside_id_fkey",
        ],
    ),
    (
        "DROP TABLE t CASCADE",
        &[
            "ALTER TABLE t DROP CONSTRAINT t_one_fkey",
            "ALTER TABLE t DROP CONSTRAINT t_part_fkey",
            "ALTER TABLE t DROP CONSTRAINT \"not Valid\"",
            "ALTER TABLE public.o DROP CONSTRAINT o_t_fkey",
        ],
    ),
    ("DROP TABLE t, o CASCADE", &["ALTER TABLE public.o DROP CONSTRAINT o_b_fkey"]),
    (
        "ALTER TABLE t DROP COLUMN a",
        &[
            "ALTER TABLE t DROP CONSTRAINT \"not Valid\"",
            "DROP INDEX CONCURRENTLY public.t_a_idx",
            "DROP INDEX CONCURRENTLY public.t_b_a_idx",
            "DROP INDEX CONCURRENTLY public.partly",
            "DROP INDEX CONCURRENTLY public.\"of All\"",
        ],
    ),
    ("ALTER TABLE IF EXISTS t DROP part", &["ALTER TABLE t DROP CONSTRAINT t_part_fkey"]),
    ("ALTER TABLE t DROP one", &["ALTER TABLE t DROP CONSTRAINT t_one_fkey"]),
    ("ALTER TABLE t DROP c CASCADE", &["DROP INDEX CONCURRENTLY public.\"of All\""]),
    (
        "ALTER TABLE t DROP id CASCADE",
        &["ALTER TABLE public.o DROP CONSTRAINT o_id_fkey", "ALTER TABLE public.o DROP CONSTRAINT o_t_fkey"],
    ),
    (
        "ALTER TABLE t DROP b CASCADE",
        &["ALTER TABLE public.o DROP CONSTRAINT o_b_fkey", "DROP INDEX CONCURRENTLY public.partly"],
    ),
];

fn both(sql: &str) -> String {
    let hazard = if sql.to_lowercase().starts_with("drop") { "drop-table" } else { "drop-column" };
    format!("{sql} /* lockkeeper: allow {hazard} because nothing reads it any more */")
}

#[test]
fn what_is_dropped_is_what_was_asked_for() {
    for installation in each_major() {
        let mut twins = Twins::on(installation);
        for (sql, before) in STEPS {
            twins.begin(&SETUP);
            twins.alike(&[], &both(sql));
            for step in *before {
                assert!(twins.stage.was_run(step), "{sql}: {step}");
            }
        }
    }
}

#[test]
fn what_the_server_refuses_takes_nothing_off() {
    for installation in each_major() {
        let mut twins = Twins::on(installation);
        twins.begin(&SETUP);
        for sql in [
            "DROP TABLE t",
            "DROP TABLE t, alone",
            "ALTER TABLE t DROP id",
            "ALTER TABLE t DROP c",
            "ALTER TABLE t DROP b RESTRICT",
            "ALTER TABLE t DROP nothing",
            "DROP TABLE alone, nothing",
        ] {
            twins.alike_in_failure(&[], &both(sql));
        }
        for words in ["DROP CONSTRAINT", "CONCURRENTLY"] {
            assert!(!twins.stage.was_run(words), "{words}");
        }
    }
}

/// Whoever may drop a table may drop foreign keys of others by CASCADE, but not by themselves.
#[test]
fn what_is_not_ones_own_goes_with_the_statement() {
    for installation in each_major() {
        let mut twins = Twins::on(installation);
        twins.begin(&SETUP);
        let role = "DO $$ BEGIN CREATE ROLE somebody; EXCEPTION WHEN duplicate_object THEN END $$";
        let own = ["ALTER TABLE t OWNER TO somebody", "GRANT ALL ON SCHEMA public TO somebody"];
        for person in [&mut twins.plain, &mut twins.beside] {
            person.all(&[role]);
            person.all(&own);
        }
        twins.alike_in_failure(&["SET ROLE somebody"], &both("DROP TABLE alone"));
        assert!(!twins.stage.was_run("DROP CONSTRAINT"));
        twins.alike(&["SET ROLE somebody"], &both("DROP TABLE t CASCADE"));
        assert!(twins.stage.was_run("ALTER TABLE t DROP CONSTRAINT t_one_fkey"));
        assert!(!twins.stage.was_run("ALTER TABLE public.o DROP CONSTRAINT"));
    }
}

/// What cannot be made again by its definition alone stays until the statement itself drops it.
#[test]
fn what_could_not_be_put_back_is_not_taken_off() {
    for installation in each_major() {
        let mut twins = Twins::on(installation);
        twins.begin(&SETUP);
        for person in [&mut twins.plain, &mut twins.beside] {
            person.all(&[
                "COMMENT ON INDEX partly IS 'x'",
                "COMMENT ON CONSTRAINT t_one_fkey ON t IS 'x'",
                "ALTER TABLE t CLUSTER ON t_b_a_idx",
            ]);
        }
        twins.alike(&[], &both("ALTER TABLE t DROP a"));
        assert!(twins.stage.was_run("DROP INDEX CONCURRENTLY public.t_a_idx"));
        assert!(!twins.stage.was_run("CONCURRENTLY public.partly"));
        assert!(!twins.stage.was_run("CONCURRENTLY public.t_b_a_idx"));
        twins.plain.all(&["ALTER TABLE t DROP one"]);
        let answer = twins.through(&[]).query(&both("ALTER TABLE t DROP one"));
        assert!(answer.notices().join("\n").contains("runs as sent"), "{answer:?}");
        twins.compare("ALTER TABLE t DROP one");
    }
}

/// An index that is half dropped is no index any more: it is built again.
#[test]
fn a_cancel_in_the_midst_puts_the_index_back() {
    for installation in each_major() {
        let mut twins = Twins::on(installation);
        twins.begin(&[
            "CREATE TABLE t (a int, b int)",
            "CREATE INDEX i ON t (a)",
            "CREATE INDEX j ON t (a, b)",
        ]);
        let before = twins.beside.table(STATE);
        let mut writer = Person::called(twins.stage.cluster.addr(), &[("database", "online")]);
        writer.all(&["BEGIN", "INSERT INTO t VALUES (1, 1)"]);
        let mut client = twins.through(&[]);
        client.send(Way::Simple, &both("ALTER TABLE t DROP a"));
        let half = "SELECT NOT indisvalid FROM pg_index WHERE indexrelid = 'i'::regclass";
        eventually("half dropped", || (twins.beside.table(half) == "t").then_some(()));
        client.cancel();
        // Before it goes, what is left of it waits for the writer, too.
        let waits = "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'DROP INDEX CONCURRENTLY IF EXISTS%' AND state = 'active'";
        twins.stage.until(waits);
        writer.all(&["ROLLBACK"]);
        let answer = client.answer();
        assert_eq!(answer.failure(), "57014");
        assert!(answer.hint().is_empty(), "{answer:?}");
        assert_eq!(twins.beside.table(STATE), before);
        assert_eq!(client.table("SHOW statement_timeout"), "0");
    }
}
