//! What a statement is said to lock, read, rewrite and build is what Postgres locks, reads, rewrites and builds.
//!
//! Each is run in a transaction of its own on every version at hand; `pg_locks`, the file of each table and the counters of
//! the transaction are the oracle.

use std::collections::{BTreeMap, BTreeSet};

use lockkeeper::base::LockMode;
use lockkeeper::cluster::Options;
use lockkeeper::effects::facts::{Facts, answer};
use lockkeeper::effects::{self, Effects, Past, Task};
use lockkeeper::sql::statement::Statement;
use lockkeeper::sql::{Encoding, Script, parse};

use crate::support::raw::Raw;
use crate::support::{cluster_with, each_major};

const SETUP: &str = "
    CREATE TABLE r (a int PRIMARY KEY, b int UNIQUE);
    CREATE TABLE t (a int, b int, c text, CONSTRAINT positive CHECK (a > 0) NOT VALID);
    CREATE TABLE child (a int REFERENCES r);
    CREATE INDEX t_i ON t (a);
    CREATE TABLE p (a int) PARTITION BY LIST (a);
    CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
    CREATE TABLE loose (a int);
    CREATE INDEX p_i ON ONLY p (a);
    CREATE INDEX p1_i ON p1 (a);
    CREATE TABLE old (a int);
    CREATE TABLE heir (a int);
    CREATE VIEW v AS SELECT a FROM t;
    CREATE MATERIALIZED VIEW m AS SELECT a FROM t;
    CREATE UNIQUE INDEX m_i ON m (a);
    CREATE SEQUENCE q;
    CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();
    CREATE RULE ru AS ON UPDATE TO old DO INSTEAD NOTHING;
    CREATE POLICY po ON t;
    CREATE DOMAIN d AS int;
    CREATE TABLE uses (a d);
    CREATE SCHEMA s;
    CREATE TABLE s.inside (a int);
    CREATE TYPE ct AS (a int);
    CREATE DOMAIN positive AS int CHECK (value > 0);
    CREATE DOMAIN plain AS int;
    CREATE TABLE big (
        id int PRIMARY KEY, n int, v varchar(20), x text, amount numeric(10, 2), at timestamp, proved int, ref int,
        checked varchar(20) CHECK (checked <> ''), CONSTRAINT proof CHECK (proved IS NOT NULL),
        CONSTRAINT later CHECK (n > 0) NOT VALID);
    CREATE INDEX big_at ON big (at);
    CREATE UNIQUE INDEX big_n ON big (n);
    INSERT INTO r SELECT g, g FROM generate_series(1, 100) g;
    INSERT INTO big SELECT g, g, 'v', 'x', g, now(), g, g, 'c' FROM generate_series(1, 100) g;
    INSERT INTO t SELECT g, g, 'c' FROM generate_series(1, 100) g;
    REFRESH MATERIALIZED VIEW m;
    INSERT INTO uses SELECT g FROM generate_series(1, 100) g;
    INSERT INTO loose SELECT 2 FROM generate_series(1, 100) g;
    CREATE TABLE ranges (a int) PARTITION BY LIST (a);
    CREATE TABLE ranges1 PARTITION OF ranges FOR VALUES IN (1);
    CREATE TABLE rest PARTITION OF ranges DEFAULT;
    INSERT INTO ranges SELECT g FROM generate_series(1, 100) g;
    ALTER TABLE big ADD CONSTRAINT big_ref FOREIGN KEY (ref) REFERENCES r NOT VALID;
    ANALYZE;
";

/// Each is run in a transaction of its own, which is rolled back.
const STATEMENTS: &[&str] = &[
    "ALTER TABLE t ADD COLUMN x int",
    "ALTER TABLE t ADD COLUMN x int REFERENCES r",
    "ALTER TABLE t ADD COLUMN x int DEFAULT random()",
    "ALTER TABLE t DROP COLUMN c",
    "ALTER TABLE t ALTER a SET NOT NULL",
    "ALTER TABLE t ALTER a SET DEFAULT 1",
    "ALTER TABLE t ALTER b TYPE bigint",
    "ALTER TABLE t ALTER c SET STORAGE external",
    "ALTER TABLE t ALTER a SET STATISTICS 10",
    "ALTER TABLE t ALTER a SET (n_distinct = 5)",
    "ALTER TABLE r ALTER a ADD GENERATED ALWAYS AS IDENTITY",
    "ALTER TABLE t ADD CHECK (b > 0)",
    "ALTER TABLE t ADD UNIQUE (b)",
    "ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES r",
    "ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES r NOT VALID",
    "ALTER TABLE t VALIDATE CONSTRAINT positive",
    "ALTER TABLE t DROP CONSTRAINT positive",
    "ALTER TABLE child DROP CONSTRAINT child_a_fkey",
    "ALTER TABLE t RENAME TO t2",
    "ALTER TABLE t RENAME a TO a2",
    "ALTER TABLE t RENAME CONSTRAINT positive TO negative",
    "ALTER TABLE t SET SCHEMA s",
    "ALTER TABLE t OWNER TO CURRENT_USER",
    "ALTER TABLE t SET UNLOGGED",
    "ALTER TABLE t SET (fillfactor = 70)",
    "ALTER TABLE t SET (autovacuum_enabled = off, toast.autovacuum_enabled = off)",
    "ALTER TABLE t SET (user_catalog_table = true)",
    "ALTER TABLE t RESET (fillfactor)",
    "ALTER TABLE t DISABLE TRIGGER ALL",
    "ALTER TABLE t ENABLE TRIGGER tr",
    "ALTER TABLE old DISABLE RULE ru",
    "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE r REPLICA IDENTITY FULL",
    "ALTER TABLE t CLUSTER ON t_i",
    "ALTER TABLE heir INHERIT old",
    "ALTER TABLE p ATTACH PARTITION loose FOR VALUES IN (2)",
    "ALTER TABLE p DETACH PARTITION p1",
    "ALTER INDEX t_i RENAME TO t_i2",
    "ALTER INDEX t_i SET (fillfactor = 70)",
    "ALTER INDEX p_i ATTACH PARTITION p1_i",
    "ALTER VIEW v SET (security_barrier)",
    "ALTER VIEW v RENAME TO v2",
    "ALTER MATERIALIZED VIEW m RENAME a TO a2",
    "ALTER SEQUENCE q RESTART",
    "ALTER SEQUENCE q OWNED BY t.a",
    "CREATE INDEX ON t (b)",
    "CREATE INDEX IF NOT EXISTS t_i ON t (b)",
    "CREATE INDEX ON p (a)",
    "CREATE INDEX ON ONLY p (a)",
    "CREATE INDEX ON m (a)",
    "DROP INDEX t_i",
    "REINDEX TABLE t",
    "REINDEX INDEX t_i",
    "CLUSTER t USING t_i",
    "DROP TABLE old",
    "DROP TABLE child",
    "DROP TABLE t CASCADE",
    "DROP VIEW v",
    "DROP MATERIALIZED VIEW m",
    "DROP SEQUENCE q",
    "DROP TRIGGER tr ON t",
    "DROP RULE ru ON old",
    "DROP POLICY po ON t",
    "DROP FUNCTION f() CASCADE",
    "DROP SCHEMA s CASCADE",
    "DROP DOMAIN d CASCADE",
    "TRUNCATE t, old",
    "TRUNCATE r CASCADE",
    "CREATE TABLE fresh (a int REFERENCES r)",
    "CREATE TABLE fresh PARTITION OF p FOR VALUES IN (3)",
    "CREATE TABLE fresh (a int) INHERITS (old)",
    "CREATE TABLE fresh (LIKE t)",
    "CREATE TABLE fresh AS SELECT * FROM t",
    "CREATE TRIGGER tr2 BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
    "CREATE CONSTRAINT TRIGGER tr2 AFTER INSERT ON t FROM r FOR EACH ROW EXECUTE FUNCTION f()",
    "CREATE RULE ru2 AS ON DELETE TO old DO INSTEAD NOTHING",
    "CREATE POLICY po2 ON t",
    "ALTER POLICY po ON t USING (true)",
    "ALTER POLICY po ON t RENAME TO po2",
    "ALTER TRIGGER tr ON t RENAME TO tr2",
    "CREATE OR REPLACE VIEW v AS SELECT a FROM t",
    "CREATE VIEW v2 AS SELECT a FROM t",
    "REFRESH MATERIALIZED VIEW m",
    "REFRESH MATERIALIZED VIEW CONCURRENTLY m",
    "LOCK TABLE t, old IN SHARE MODE",
    "LOCK TABLE t",
    "ALTER DOMAIN d ADD CHECK (value > 0)",
    "ALTER DOMAIN d ADD CHECK (value > 0) NOT VALID",
    "ALTER DOMAIN d SET NOT NULL",
    "ALTER DOMAIN d SET DEFAULT 1",
    "ALTER TYPE ct ADD ATTRIBUTE b int",
    "COMMENT ON TABLE t IS 'x'",
    "COMMENT ON COLUMN t.a IS 'x'",
    "CREATE STATISTICS st ON a, b FROM t",
    "ANALYZE t",
    "GRANT SELECT ON t TO PUBLIC",
    "CREATE PUBLICATION pub FOR TABLE t",
    "ALTER TABLE big ADD COLUMN y int",
    "ALTER TABLE big ADD COLUMN y int NOT NULL DEFAULT 5",
    "ALTER TABLE big ADD COLUMN y timestamptz DEFAULT now()",
    "ALTER TABLE big ADD COLUMN y timestamp DEFAULT timezone('utc', now())",
    "ALTER TABLE big ADD COLUMN y timestamptz DEFAULT clock_timestamp()",
    "ALTER TABLE big ADD COLUMN y float DEFAULT random()",
    "ALTER TABLE big ADD COLUMN y int DEFAULT nextval('q')",
    "ALTER TABLE big ADD COLUMN y serial",
    "ALTER TABLE big ADD COLUMN y int GENERATED ALWAYS AS IDENTITY",
    "ALTER TABLE big ADD COLUMN y int GENERATED ALWAYS AS (n * 2) STORED",
    "ALTER TABLE big ADD COLUMN y positive",
    "ALTER TABLE big ADD COLUMN y plain",
    "ALTER TABLE big ADD COLUMN y int CHECK (y > 0)",
    "ALTER TABLE big ADD COLUMN y int UNIQUE",
    "ALTER TABLE big ADD COLUMN y int REFERENCES r",
    "ALTER TABLE big ADD COLUMN y int DEFAULT 1 REFERENCES r",
    "ALTER TABLE big ADD COLUMN IF NOT EXISTS n int DEFAULT random()",
    "ALTER TABLE big DROP COLUMN x",
    "ALTER TABLE big DROP COLUMN ref",
    "ALTER TABLE big ALTER n SET NOT NULL",
    "ALTER TABLE big ALTER proved SET NOT NULL",
    "ALTER TABLE big ALTER proved SET NOT NULL, ALTER n SET NOT NULL",
    "ALTER TABLE big ALTER x DROP NOT NULL",
    "ALTER TABLE big ADD CONSTRAINT c CHECK (n > 0)",
    "ALTER TABLE big ADD CONSTRAINT c CHECK (n > 0) NOT VALID",
    "ALTER TABLE big VALIDATE CONSTRAINT later",
    "ALTER TABLE big VALIDATE CONSTRAINT big_ref",
    "ALTER TABLE big ADD FOREIGN KEY (n) REFERENCES r",
    "ALTER TABLE big ADD FOREIGN KEY (n) REFERENCES r NOT VALID",
    "ALTER TABLE big ADD UNIQUE (x, n)",
    "ALTER TABLE big ADD UNIQUE USING INDEX big_n",
    "ALTER TABLE big DROP CONSTRAINT big_pkey, ADD PRIMARY KEY USING INDEX big_n",
    "ALTER TABLE big ADD EXCLUDE (n WITH =)",
    "ALTER TABLE big DROP CONSTRAINT big_ref",
    "ALTER TABLE big ALTER v TYPE varchar(30)",
    "ALTER TABLE big ALTER v TYPE varchar(10)",
    "ALTER TABLE big ALTER v TYPE text",
    "ALTER TABLE big ALTER v TYPE text USING v::text",
    "ALTER TABLE big ALTER v TYPE text USING v",
    "ALTER TABLE big ALTER x TYPE varchar",
    "ALTER TABLE big ALTER x TYPE varchar(100)",
    "ALTER TABLE big ALTER amount TYPE numeric(12, 2)",
    "ALTER TABLE big ALTER amount TYPE numeric(12, 3)",
    "ALTER TABLE big ALTER amount TYPE numeric(8, 2)",
    "ALTER TABLE big ALTER amount TYPE numeric",
    "ALTER TABLE big ALTER n TYPE bigint",
    "ALTER TABLE big ALTER ref TYPE bigint",
    "ALTER TABLE big ALTER at TYPE timestamptz",
    "ALTER TABLE big ALTER at TYPE timestamp(3)",
    "ALTER TABLE big ALTER n TYPE plain",
    "ALTER TABLE big ALTER n TYPE positive",
    "ALTER TABLE big ALTER checked TYPE varchar(30)",
    "ALTER TABLE big ALTER checked TYPE text",
    "ALTER TABLE big SET UNLOGGED",
    "ALTER TABLE ranges ADD COLUMN y int DEFAULT random()",
    "ALTER TABLE ranges ADD COLUMN y int",
    "ALTER TABLE ranges ADD CHECK (a > 0)",
    "ALTER TABLE p ATTACH PARTITION loose FOR VALUES IN (2)",
    "ALTER TABLE ranges ATTACH PARTITION old FOR VALUES IN (1000)",
    "ALTER TABLE ranges DETACH PARTITION ranges1",
    "CREATE TABLE fresh PARTITION OF ranges FOR VALUES IN (1000)",
    "DROP TABLE ranges1",
    "DROP TABLE ranges",
    "CREATE INDEX ON big (x)",
    "CREATE INDEX ON ranges (a)",
    "TRUNCATE big",
    "CLUSTER big USING big_pkey",
    "REFRESH MATERIALIZED VIEW m",
    "ALTER DOMAIN d ADD CONSTRAINT positive CHECK (value > 0)",
    "SELECT * FROM t FOR UPDATE",
    "INSERT INTO child VALUES (NULL)",
];

/// Strong locks beyond what is declared: views go with the tables that they read.
const BEYOND: &[(&str, &str)] = &[("DROP TABLE t CASCADE", "v"), ("DROP TABLE t CASCADE", "m")];

#[test]
fn declared_effects_are_those_that_postgres_has() {
    for installation in each_major() {
        let major = installation.major;
        let cluster = cluster_with(&Options::new().installation(installation));
        let mut session = Raw::session(cluster.addr());
        let failed = session.query(SETUP).into_iter().find(|frame| frame.tag == b'E');
        assert!(failed.is_none(), "{failed:?}");
        let relations = relations(&mut session);
        let wrong: Vec<String> =
            STATEMENTS.iter().flat_map(|text| differences(&mut session, &relations, text)).collect();
        assert!(wrong.is_empty(), "Postgres {major}:\n{}", wrong.join("\n"));
    }
}

/// Every relation that stands there before, by oid.
fn relations(session: &mut Raw) -> BTreeMap<String, String> {
    let sql =
        "SELECT oid::text, relname FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'i', 'I', 'c')
               AND relnamespace IN ('public'::regnamespace, 's'::regnamespace)";
    session.rows(sql).into_iter().map(|row| (row[0].clone().unwrap(), row[1].clone().unwrap())).collect()
}

/// What the proxy would know, asked in its own words.
fn facts(session: &mut Raw, script: &Script) -> Facts {
    let need = effects::need(script);
    let literal = |text: String| format!("'{}'", text.replace('\'', "''"));
    let mut ask = |text: &str, arrays: &[String]| -> Vec<String> {
        let sql = arrays.iter().enumerate().fold(text.to_owned(), |sql, (at, array)| {
            sql.replace(&format!("${}", at + 1), &literal(array.clone()))
        });
        session.rows(&sql).into_iter().map(|row| row[0].clone().unwrap()).collect()
    };
    let relations = ask(&answer::RELATIONS, &[answer::relation_names(&need)]);
    let types = ask(&answer::TYPES, &[answer::type_names(&need)]);
    let functions = ask(&answer::FUNCTIONS, &answer::function_names(&need));
    let version = session.rows("SHOW server_version_num")[0][0].clone().unwrap();
    Facts {
        server_version: version.parse().unwrap(),
        utc: Some(session.rows("SHOW timezone")[0][0].as_deref() == Some("UTC")),
        offline: false,
        relations: relations.iter().map(|it| answer::relation(it, &need).unwrap()).collect(),
        types: types.iter().map(|it| answer::ty(it, &need).unwrap()).collect(),
        functions: functions.iter().map(|it| answer::function(it, &need).unwrap()).collect(),
    }
}

/// Where the effects declared and the effects had differ.
fn differences(session: &mut Raw, relations: &BTreeMap<String, String>, text: &str) -> Vec<String> {
    let script = parse(text.as_bytes(), Encoding::Utf8);
    let [statement] = script.statements.as_slice() else { return vec![format!("{text}: not one statement")] };
    let effects = effects::of(statement, &facts(session, &script), &Past::nothing());
    let had = match had(session, relations, text) {
        Ok(had) => had,
        Err(error) => return vec![format!("{text}: {error}")],
    };
    let declared = declared(&effects, statement, relations);
    let mut differences = Vec::new();
    let named: Vec<&String> = statement.locks.iter().map(|lock| &lock.name.name).collect();
    for (name, mode) in declared.iter().filter(|(name, _)| named.contains(name)) {
        if had.locks.get(name) != Some(mode) {
            differences.push(format!("{text}: {name} declared {mode}, taken {:?}", had.locks.get(name)));
        }
    }
    for (name, mode) in had.locks.iter().filter(|(_, mode)| mode.is_strong()) {
        let known = declared.get(name).is_some_and(|declared| declared >= mode)
            || effects.beyond
            || BEYOND.contains(&(text, name))
            // Indexes and sequences, told by the underscore in their names here, follow their tables.
            || (effects.is_strong() && name.contains('_'));
        if !known {
            differences.push(format!("{text}: {name} taken {mode}, declared {:?}", declared.get(name)));
        }
    }
    differences.extend(work_differences(text, &effects, &had));
    differences
}

/// Where the work differs: what is rewritten is read as well.
fn work_differences(text: &str, effects: &Effects, had: &Had) -> Vec<String> {
    let of = |tasks: &[Task]| -> BTreeSet<String> {
        let work = effects.work.iter().filter(|work| tasks.contains(&work.task) && work.bytes != Some(0));
        work.map(|work| work.relation.name.clone()).collect()
    };
    let mut differences = Vec::new();
    let rewritten = of(&[Task::Rewrite]);
    // A partitioned table has no rows of its own; those of its partitions count.
    let whole = |names: &BTreeSet<String>| -> BTreeSet<String> {
        names
            .iter()
            .map(|name| if PARTITIONS.contains(&name.as_str()) { "ranges".to_owned() } else { name.clone() })
            .collect()
    };
    if whole(&rewritten) != whole(&had.rewritten) {
        differences.push(format!("{text}: rewritten {:?}, declared {rewritten:?}", had.rewritten));
    }
    if QUERIES.iter().any(|query| text.starts_with(query)) {
        return differences;
    }
    let read = of(&[Task::Scan, Task::BuildIndex, Task::Rewrite]);
    if whole(&read) != whole(&had.read) {
        differences.push(format!("{text}: read {:?}, declared {read:?}", had.read));
    }
    differences
}

/// What a query reads is not declared.
const QUERIES: [&str; 3] = ["SELECT", "CREATE TABLE fresh AS", "REFRESH"];

/// The partitions of `ranges`.
const PARTITIONS: [&str; 2] = ["ranges1", "rest"];

/// The strongest mode that is declared on each relation.
fn declared(
    effects: &Effects,
    statement: &Statement,
    relations: &BTreeMap<String, String>,
) -> BTreeMap<String, LockMode> {
    let mut declared: BTreeMap<String, LockMode> =
        statement.locks.iter().map(|lock| (lock.name.name.clone(), lock.mode)).collect();
    for touched in &effects.touched {
        let name = touched.oid.and_then(|oid| relations.get(&oid.to_string())).unwrap_or(&touched.name.name);
        let strongest = declared.entry(name.clone()).or_insert(touched.mode);
        *strongest = touched.mode.max(*strongest);
    }
    declared
}

/// What a statement did.
struct Had {
    /// The strongest mode on each relation.
    locks: BTreeMap<String, LockMode>,
    /// Relations with another file.
    rewritten: BTreeSet<String>,
    /// Relations of which rows were read one after the other.
    read: BTreeSet<String>,
}

/// Runs a statement and takes it back; or its error.
fn had(session: &mut Raw, relations: &BTreeMap<String, String>, text: &str) -> Result<Had, String> {
    const READ: &str = "SELECT relid::text, seq_tup_read FROM pg_stat_xact_user_tables";
    const FILES: &str =
        "SELECT oid::text, pg_relation_filenode(oid)::text FROM pg_class WHERE relkind IN ('r', 'm')";
    let files = |session: &mut Raw| -> BTreeMap<String, Option<String>> {
        session.rows(FILES).into_iter().map(|row| (row[0].clone().unwrap(), row[1].clone())).collect()
    };
    let before = files(session);
    session.query("BEGIN");
    // The counters are those of the session since it last told the server.
    let read_before = session.rows(READ);
    let answer = session.query(text);
    if let Some(error) = answer.iter().find(|frame| frame.tag == b'E') {
        let error = error.message();
        session.query("ROLLBACK");
        return Err(error);
    }
    let locks = session.rows(
        "SELECT relation::text, mode FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation' AND granted",
    );
    let after = files(session);
    let read: Vec<_> = session.rows(READ).into_iter().filter(|row| !read_before.contains(row)).collect();
    session.query("ROLLBACK");
    let mut taken: BTreeMap<String, LockMode> = BTreeMap::new();
    for row in locks {
        let [Some(oid), Some(mode)] = row.as_slice() else { continue };
        let (Some(name), Some(mode)) = (relations.get(oid), LockMode::from_name(mode)) else { continue };
        let strongest = taken.entry(name.clone()).or_insert(mode);
        *strongest = mode.max(*strongest);
    }
    let emptied = text.starts_with("TRUNCATE");
    let moved = before.iter().filter(|(oid, file)| after.get(*oid).is_some_and(|now| now != *file));
    Ok(Had {
        locks: taken,
        rewritten: moved.filter(|_| !emptied).filter_map(|(oid, _)| relations.get(oid).cloned()).collect(),
        read: read
            .into_iter()
            .filter(|row| row[1].as_deref() != Some("0"))
            .filter_map(|row| relations.get(row[0].as_deref()?).cloned())
            .collect(),
    })
}
