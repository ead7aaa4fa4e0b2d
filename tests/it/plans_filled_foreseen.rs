//! What would make an UPDATE of the rows fail though the statement itself does not: told before anything is done.

use crate::support::each_major;
use crate::support::twins::{STATE, Twins, kept};

/// What the table is updated for.
const SQL: &str = "ALTER TABLE t ADD x serial";

/// Every row of it, and of its like that is partitioned.
const TABLES: &str = "DROP PUBLICATION IF EXISTS pub; CREATE TABLE t (a int NOT NULL, b int, c text, CONSTRAINT by_a UNIQUE (a)); \
                      INSERT INTO t SELECT n, n, n::text FROM generate_series(1, 300) n; CREATE SCHEMA other; CREATE TABLE p (b int, a \
                      int, c text) PARTITION BY RANGE (a); CREATE TABLE other.p1 (a int NOT NULL, gone int, b int, c text, CONSTRAINT \
                      by_a UNIQUE (a)); ALTER TABLE other.p1 DROP gone; ALTER TABLE p ATTACH PARTITION other.p1 FOR VALUES FROM (0) TO \
                      (200); CREATE TABLE p2 PARTITION OF p (a PRIMARY KEY) FOR VALUES FROM (200) TO (400); INSERT INTO p SELECT n, n, n \
                      FROM generate_series(1, 300) n; DO $$ BEGIN CREATE ROLE humble; EXCEPTION WHEN duplicate_object THEN NULL; END $$; \
                      GRANT ALL ON SCHEMA public, other TO humble";

/// The same table with a primary key.
const PRIMARY: &str = "ALTER TABLE t ADD PRIMARY KEY (a)";

struct Case {
    since: u32,
    /// What makes it so.
    setup: &'static [&'static str],
    settings: &'static [&'static str],
    /// What is updated by the way, and how the server refuses that.
    update: (&'static str, &'static str),
    sql: &'static str,
    told: &'static str,
    /// What is done about it.
    remedy: &'static str,
}

const CASE: Case = Case {
    since: 13,
    setup: &[],
    settings: &[],
    update: ("UPDATE t SET b = b", "55000"),
    sql: SQL,
    told: "has no replica identity",
    remedy: "ALTER TABLE t REPLICA IDENTITY USING INDEX by_a",
};

const OF_TREE: Case = Case {
    update: ("UPDATE other.p1 SET b = b", "55000"),
    sql: "ALTER TABLE p ADD x serial",
    remedy: "ALTER TABLE other.p1 REPLICA IDENTITY USING INDEX by_a",
    ..CASE
};

const PUBLISHED: [Case; 14] = [
    Case { setup: &["CREATE PUBLICATION pub FOR ALL TABLES"], ..CASE },
    Case { setup: &["CREATE PUBLICATION pub FOR TABLE t WITH (publish = 'update')"], ..CASE },
    Case {
        setup: &[PRIMARY, "ALTER TABLE t REPLICA IDENTITY NOTHING", "CREATE PUBLICATION pub FOR TABLE t"],
        remedy: "ALTER TABLE t REPLICA IDENTITY DEFAULT",
        ..CASE
    },
    Case {
        setup: &[
            PRIMARY,
            "ALTER TABLE t REPLICA IDENTITY USING INDEX by_a",
            "ALTER TABLE t DROP CONSTRAINT by_a",
            "CREATE PUBLICATION pub FOR ALL TABLES",
        ],
        remedy: "ALTER TABLE t REPLICA IDENTITY FULL",
        ..CASE
    },
    Case { since: 15, setup: &["CREATE PUBLICATION pub FOR TABLES IN SCHEMA public"], ..CASE },
    Case {
        since: 15,
        setup: &[PRIMARY, "CREATE PUBLICATION pub FOR TABLE t WHERE (a > 0 AND b > 0)"],
        update: ("UPDATE t SET b = b", "42P10"),
        told: "its row filter reads a column",
        remedy: "ALTER PUBLICATION pub SET TABLE t WHERE (a > 0)",
        ..CASE
    },
    Case {
        since: 15,
        setup: &[PRIMARY, "CREATE PUBLICATION pub FOR TABLE t (b)"],
        update: ("UPDATE t SET b = b", "42P10"),
        told: "its list of columns leaves out",
        remedy: "ALTER PUBLICATION pub SET TABLE t (b, a)",
        ..CASE
    },
    Case {
        since: 15,
        setup: &["CREATE PUBLICATION pub FOR TABLE t (a, b)", "ALTER TABLE t REPLICA IDENTITY FULL"],
        update: ("UPDATE t SET b = b", "42P10"),
        told: "its list of columns leaves out",
        remedy: "ALTER PUBLICATION pub SET TABLE t",
        ..CASE
    },
    Case {
        since: 18,
        setup: &[
            "ALTER TABLE t ADD g int GENERATED ALWAYS AS (a + 1) STORED",
            "ALTER TABLE t REPLICA IDENTITY FULL",
            "CREATE PUBLICATION pub FOR TABLE t",
        ],
        update: ("UPDATE t SET b = b", "42P10"),
        told: "a generated column that is not published",
        remedy: "ALTER PUBLICATION pub SET (publish_generated_columns = stored)",
        ..CASE
    },
    Case { setup: &["CREATE PUBLICATION pub FOR TABLE p"], ..OF_TREE },
    Case { setup: &["CREATE PUBLICATION pub FOR TABLE p WITH (publish_via_partition_root)"], ..OF_TREE },
    Case { setup: &["CREATE PUBLICATION pub FOR TABLE other.p1"], ..OF_TREE },
    Case { since: 15, setup: &["CREATE PUBLICATION pub FOR TABLES IN SCHEMA other"], ..OF_TREE },
    Case {
        since: 15,
        setup: &[
            "ALTER TABLE other.p1 REPLICA IDENTITY USING INDEX by_a",
            "CREATE PUBLICATION pub FOR TABLE p WHERE (b > 0) WITH (publish_via_partition_root)",
        ],
        update: ("UPDATE other.p1 SET b = b", "42P10"),
        told: "its row filter reads a column",
        remedy: "ALTER PUBLICATION pub SET TABLE p WHERE (a > 0)",
        ..OF_TREE
    },
];

const FORBIDDEN: [Case; 4] = [
    Case {
        setup: &["ALTER TABLE t OWNER TO humble; REVOKE UPDATE ON t FROM humble"],
        settings: &["SET ROLE humble"],
        update: ("UPDATE t SET b = 1", "42501"),
        told: "GRANT UPDATE ON t TO CURRENT_USER",
        remedy: "SET ROLE humble; GRANT UPDATE ON public.t TO CURRENT_USER; RESET ROLE",
        ..CASE
    },
    Case {
        setup: &[
            "ALTER TABLE t OWNER TO humble; REVOKE SELECT ON t FROM humble; GRANT SELECT (a) ON t TO humble",
        ],
        settings: &["SET ROLE humble"],
        update: ("UPDATE t SET b = b", "42501"),
        told: "GRANT SELECT ON t TO CURRENT_USER",
        remedy: "SET ROLE humble; GRANT SELECT ON public.t TO CURRENT_USER; RESET ROLE",
        ..CASE
    },
    Case {
        setup: &[
            "ALTER TABLE p OWNER TO humble; ALTER TABLE other.p1 OWNER TO humble; ALTER TABLE p2 OWNER TO humble; REVOKE \
                  SELECT, UPDATE ON other.p1 FROM humble",
        ],
        settings: &["SET ROLE humble"],
        update: ("UPDATE other.p1 SET b = 1", "42501"),
        told: "GRANT SELECT, UPDATE ON other.p1 TO CURRENT_USER",
        remedy: "SET ROLE humble; GRANT SELECT, UPDATE ON other.p1 TO CURRENT_USER; RESET ROLE",
        ..OF_TREE
    },
    Case {
        setup: &[
            "ALTER TABLE p OWNER TO humble; ALTER TABLE other.p1 OWNER TO humble; ALTER TABLE p2 OWNER TO humble; REVOKE ALL ON \
                  SCHEMA other FROM humble",
        ],
        settings: &["SET ROLE humble"],
        update: ("UPDATE other.p1 SET b = 1", "42501"),
        told: "GRANT USAGE ON SCHEMA other TO CURRENT_USER",
        remedy: "GRANT USAGE ON SCHEMA other TO humble",
        ..OF_TREE
    },
];

const NOT_VALID: [Case; 3] = [
    Case {
        setup: &[
            "UPDATE t SET b = 0 WHERE a = 7; ALTER TABLE t ADD CONSTRAINT \"Above 0\" CHECK (b > 0) NOT VALID",
        ],
        update: ("UPDATE t SET b = b", "23514"),
        told: "ALTER TABLE t VALIDATE CONSTRAINT \"Above 0\" first",
        remedy: "UPDATE t SET b = 1 WHERE a = 7; ALTER TABLE public.t VALIDATE CONSTRAINT \"Above 0\"",
        ..CASE
    },
    Case {
        setup: &[
            "UPDATE p SET b = 0 WHERE a = 7; ALTER TABLE other.p1 ADD CONSTRAINT above CHECK (b > 0) NOT VALID",
        ],
        update: ("UPDATE other.p1 SET b = b", "23514"),
        told: "the constraint above of \"other\".\"p1\"",
        remedy: "UPDATE p SET b = 1 WHERE a = 7; ALTER TABLE other.p1 VALIDATE CONSTRAINT above",
        ..OF_TREE
    },
    Case {
        since: 18,
        setup: &[
            "UPDATE t SET b = NULL WHERE a = 7; ALTER TABLE t ADD CONSTRAINT there NOT NULL b NOT VALID",
        ],
        update: ("UPDATE t SET c = c", "23502"),
        told: "the constraint there of",
        remedy: "UPDATE t SET b = 1 WHERE a = 7; ALTER TABLE t VALIDATE CONSTRAINT there",
        ..CASE
    },
];

/// Refused with the reason and the way by hand where the server would refuse the update, and nothing is done; what is told helps.
fn all_are_foreseen(cases: &[Case]) {
    for installation in each_major() {
        let major = installation.major;
        let mut twins = Twins::on(installation);
        for case in cases.iter().filter(|case| case.since <= major) {
            twins.begin(&[&[TABLES], case.setup].concat());
            let about = format!("{major}: {:?}", case.setup);
            let before = twins.beside.table(STATE);
            let mut client = twins.through(case.settings);
            assert_eq!(client.query(case.update.0).failure(), case.update.1, "{about}");
            let refused = client.query(case.sql);
            assert_eq!(refused.failure(), "0A000", "{about}: {refused:?}");
            assert!(refused.detail().contains(case.told), "{about}: {refused:?}");
            assert!(refused.hint().contains("in batches by key"), "{about}: {refused:?}");
            assert_eq!(twins.beside.table(STATE), before, "{about}");
            for person in [&mut twins.plain, &mut twins.beside] {
                person.all(&[case.remedy]);
            }
            twins.alike(case.settings, case.sql);
            twins.plain.all(&["RESET ROLE"]);
        }
    }
}

#[test]
fn updates_that_a_publication_forbids() {
    all_are_foreseen(&PUBLISHED);
}

#[test]
fn rights_that_the_owner_has_not() {
    all_are_foreseen(&FORBIDDEN);
}

#[test]
fn constraints_that_rows_may_break() {
    all_are_foreseen(&NOT_VALID);
}

/// The server would write the rows that the owner sees, and say nothing of the others.
#[test]
fn row_security_that_holds_for_the_owner() {
    for installation in each_major() {
        let mut twins = Twins::on(installation);
        let secured = "ALTER TABLE t OWNER TO humble; ALTER TABLE t ENABLE ROW LEVEL SECURITY; ALTER TABLE other.p1 ENABLE ROW LEVEL \
                       SECURITY; ALTER TABLE p OWNER TO humble; ALTER TABLE other.p1 OWNER TO humble; ALTER TABLE p2 OWNER TO humble";
        twins.begin(&[TABLES, secured]);
        let mine = &["SET ROLE humble"];
        for (table, sql) in [("t", SQL), ("other.p1", "ALTER TABLE p ADD x serial")] {
            twins.beside.all(&[&format!("ALTER TABLE {table} FORCE ROW LEVEL SECURITY")]);
            let refused = twins.through(mine).query(sql);
            assert_eq!(refused.failure(), "0A000", "{table}: {refused:?}");
            assert!(refused.detail().contains("hides rows from this role"), "{table}: {refused:?}");
            twins.beside.all(&[&format!("ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")]);
            twins.alike(mine, sql);
            twins.plain.all(&["RESET ROLE"]);
        }
    }
}

/// Nobody can know that of a CHECK that was proved once.
#[test]
fn a_check_that_is_not_true_any_more_takes_the_column_with_it() {
    let mut twins = Twins::on(each_major().remove(0));
    let fine = "CREATE OR REPLACE FUNCTION fine(b int) RETURNS bool LANGUAGE sql IMMUTABLE AS";
    let setup = [
        TABLES,
        &format!("{fine} 'SELECT true'; ALTER TABLE t ADD CONSTRAINT fine CHECK (fine(b))"),
        &format!("{fine} 'SELECT b <> 200'"),
    ];
    twins.begin(&setup);
    let before = twins.beside.table(STATE);
    let failed = twins.through(&[]).query(SQL);
    assert_eq!(failed.failure(), "23514", "{failed:?}");
    assert!(failed.detail().contains("each UPDATE asks every CHECK of the row"), "{failed:?}");
    assert!(failed.detail().contains("nothing is left behind"), "{failed:?}");
    assert_eq!(kept(&twins.beside.table(STATE)), kept(&before));
}

/// Each with the version that brought it.
const HARMLESS: [(u32, &[&str]); 7] = [
    (13, &["CREATE PUBLICATION pub FOR ALL TABLES WITH (publish = 'insert, delete, truncate')"]),
    (13, &["CREATE PUBLICATION pub FOR TABLE p"]),
    (13, &["ALTER TABLE t REPLICA IDENTITY FULL", "CREATE PUBLICATION pub FOR ALL TABLES"]),
    (13, &["ALTER TABLE t SET UNLOGGED", "CREATE PUBLICATION pub FOR ALL TABLES"]),
    (13, &["GRANT SELECT (a) ON t TO humble; ALTER TABLE o ADD CHECK (id > 0) NOT VALID"]),
    (15, &[PRIMARY, "CREATE PUBLICATION pub FOR TABLE t (a, c) WHERE (a > 0)"]),
    (18, &["ALTER TABLE t ADD CHECK (b > 1) NOT ENFORCED"]),
];

#[test]
fn what_no_update_meets_is_no_matter() {
    for installation in each_major() {
        let major = installation.major;
        let mut twins = Twins::on(installation);
        for (_, setup) in HARMLESS.iter().filter(|(since, _)| *since <= major) {
            twins.begin(&[&[TABLES, "CREATE TABLE o (id int)"], *setup].concat());
            twins.alike(&[], SQL);
        }
    }
}

/// A type whose order is that of another schema's operators, turned round; it is an integer to those of the server.
const TURNED: &str = "CREATE TYPE other.turned; \
     CREATE FUNCTION other.turned_in(cstring) RETURNS other.turned LANGUAGE internal IMMUTABLE STRICT AS 'int4in'; \
     CREATE FUNCTION other.turned_out(other.turned) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int4out'; \
     CREATE TYPE other.turned (INPUT = other.turned_in, OUTPUT = other.turned_out, LIKE = int4); \
     CREATE CAST (other.turned AS int4) WITHOUT FUNCTION AS IMPLICIT; CREATE CAST (int4 AS other.turned) WITHOUT FUNCTION; \
     CREATE FUNCTION other.lt(other.turned, other.turned) RETURNS bool LANGUAGE internal IMMUTABLE STRICT AS 'int4gt'; \
     CREATE FUNCTION other.le(other.turned, other.turned) RETURNS bool LANGUAGE internal IMMUTABLE STRICT AS 'int4ge'; \
     CREATE FUNCTION other.eq(other.turned, other.turned) RETURNS bool LANGUAGE internal IMMUTABLE STRICT AS 'int4eq'; \
     CREATE FUNCTION other.ge(other.turned, other.turned) RETURNS bool LANGUAGE internal IMMUTABLE STRICT AS 'int4le'; \
     CREATE FUNCTION other.gt(other.turned, other.turned) RETURNS bool LANGUAGE internal IMMUTABLE STRICT AS 'int4lt'; \
     CREATE FUNCTION other.cmp(a other.turned, b other.turned) RETURNS int LANGUAGE sql IMMUTABLE STRICT AS 'SELECT \
     btint4cmp($2::int4, $1::int4)'; \
     CREATE OPERATOR other.< (FUNCTION = other.lt, LEFTARG = other.turned, RIGHTARG = other.turned); \
     CREATE OPERATOR other.<= (FUNCTION = other.le, LEFTARG = other.turned, RIGHTARG = other.turned); \
     CREATE OPERATOR other.= (FUNCTION = other.eq, LEFTARG = other.turned, RIGHTARG = other.turned); \
     CREATE OPERATOR other.>= (FUNCTION = other.ge, LEFTARG = other.turned, RIGHTARG = other.turned); \
     CREATE OPERATOR other.> (FUNCTION = other.gt, LEFTARG = other.turned, RIGHTARG = other.turned); \
     CREATE OPERATOR CLASS other.turned_ops DEFAULT FOR TYPE other.turned USING btree AS OPERATOR 1 other.<, OPERATOR 2 other.<=, \
     OPERATOR 3 other.=, OPERATOR 4 other.>=, OPERATOR 5 other.>, FUNCTION 1 other.cmp(other.turned, other.turned); \
     CREATE TABLE k (a other.turned PRIMARY KEY); INSERT INTO k SELECT n::other.turned FROM generate_series(1, 300) n";

/// Keys whose values cannot be told to the server, or not under these settings.
const UNTOLD: [(&str, &[&str]); 8] = [
    ("CREATE TYPE pair AS (a int, b int); CREATE TABLE k (a pair PRIMARY KEY)", &[]),
    (
        "CREATE TYPE pair AS (a int, b int); CREATE DOMAIN pairs AS pair; CREATE TABLE k (a pairs PRIMARY KEY, b int)",
        &[],
    ),
    ("CREATE TABLE k (a regclass PRIMARY KEY)", &[]),
    ("CREATE TABLE k (a float4[] PRIMARY KEY)", &[]),
    ("CREATE TYPE spans AS RANGE (subtype = float8); CREATE TABLE k (a spans PRIMARY KEY)", &[]),
    ("CREATE TABLE k (a timestamptz PRIMARY KEY)", &["SET DateStyle = 'SQL, DMY'"]),
    ("CREATE TABLE k (a tstzrange PRIMARY KEY, b int)", &["SET DateStyle = 'Postgres, MDY'"]),
    (TURNED, &[]),
];

#[test]
fn keys_that_cannot_be_told_are_not_used() {
    for installation in each_major() {
        let major = installation.major;
        let mut twins = Twins::on(installation);
        for (setup, settings) in UNTOLD {
            twins.begin(&["CREATE SCHEMA other", setup]);
            let refused = twins.through(settings).query("ALTER TABLE k ADD x serial");
            assert_eq!(refused.failure(), "0A000", "{major}: {setup}: {refused:?}");
            assert!(refused.detail().contains("has no unique index on columns"), "{major}: {refused:?}");
            // Beside one that can, that is taken.
            for person in [&mut twins.plain, &mut twins.beside] {
                person.all(&["ALTER TABLE k ADD n int GENERATED ALWAYS AS IDENTITY UNIQUE"]);
            }
            twins.alike(settings, "ALTER TABLE k ADD x serial");
        }
        twins.begin(&["CREATE SCHEMA other", TURNED]);
        twins.alike(&["SET search_path = public, other, pg_catalog"], "ALTER TABLE k ADD x serial");
        assert_eq!(twins.beside.table("SELECT count(DISTINCT x) FROM k"), "300", "{major}");
    }
}
