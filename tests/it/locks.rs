//! The locks that a text is read to take are those that Postgres takes.

use std::collections::BTreeMap;

use lockkeeper::base::LockMode;
use lockkeeper::cluster::Options;
use lockkeeper::sql::statement::{Reach, Statement};
use lockkeeper::sql::{Encoding, parse};

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
    "SELECT * FROM t FOR UPDATE",
    "INSERT INTO child VALUES (NULL)",
];

/// Strong locks that follow from the catalogue, not from the text: the table of an index, the other side of a foreign
/// key, partitions. Each comes with one that the text names, so that the statement is guarded all the same.
const ONLY_THE_CATALOGUE_KNOWS: &[(&str, &str)] = &[
    ("DROP INDEX t_i", "t"),
    ("REINDEX INDEX t_i", "t"),
    ("ALTER TABLE child DROP CONSTRAINT child_a_fkey", "r"),
    ("DROP TABLE child", "r"),
    ("TRUNCATE r CASCADE", "child"),
    ("CREATE INDEX ON p (a)", "p1"),
    ("DROP TABLE t CASCADE", "v"),
    ("DROP TABLE t CASCADE", "m"),
];

#[test]
fn declared_locks_are_those_that_postgres_takes() {
    for installation in each_major() {
        let major = installation.major;
        let cluster = cluster_with(&Options::new().installation(installation));
        let mut session = Raw::session(cluster.addr());
        assert!(session.query(SETUP).iter().all(|frame| frame.tag != b'E'));
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

/// Where the locks declared and the locks taken differ.
fn differences(session: &mut Raw, relations: &BTreeMap<String, String>, text: &str) -> Vec<String> {
    let taken = match taken(session, relations, text) {
        Ok(taken) => taken,
        Err(error) => return vec![format!("{text}: {error}")],
    };
    let script = parse(text.as_bytes(), Encoding::Utf8);
    let [statement] = script.statements.as_slice() else { return vec![format!("{text}: not one statement")] };
    let declared = declared(statement);
    let mut differences = Vec::new();
    for (name, mode) in &declared {
        if taken.get(name) != Some(mode) {
            differences.push(format!("{text}: {name} declared {mode}, taken {:?}", taken.get(name)));
        }
    }
    for (name, mode) in taken.iter().filter(|(_, mode)| mode.is_strong()) {
        let known = declared.contains_key(name)
            || statement.reach == Reach::Beyond
            || ONLY_THE_CATALOGUE_KNOWS.contains(&(text, name))
            // Indexes, told by the underscore in their names here, follow their tables.
            || (statement.is_strong() && name.contains('_'));
        if !known {
            differences.push(format!("{text}: {name} taken {mode}, not declared"));
        }
    }
    differences
}

/// The strongest mode that the text is read to take on each relation.
fn declared(statement: &Statement) -> BTreeMap<String, LockMode> {
    statement.locks.iter().map(|lock| (lock.name.name.clone(), lock.mode)).collect()
}

/// The strongest mode that Postgres takes on each relation; or its error.
fn taken(
    session: &mut Raw,
    relations: &BTreeMap<String, String>,
    text: &str,
) -> Result<BTreeMap<String, LockMode>, String> {
    session.query("BEGIN");
    let answer = session.query(text);
    if let Some(error) = answer.iter().find(|frame| frame.tag == b'E') {
        let error = error.message();
        session.query("ROLLBACK");
        return Err(error);
    }
    let locks = session.rows(
        "SELECT relation::text, mode FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation' AND granted",
    );
    session.query("ROLLBACK");
    let mut taken: BTreeMap<String, LockMode> = BTreeMap::new();
    for row in locks {
        let [Some(oid), Some(mode)] = row.as_slice() else { continue };
        let (Some(name), Some(mode)) = (relations.get(oid), LockMode::from_name(mode)) else { continue };
        let strongest = taken.entry(name.clone()).or_insert(mode);
        *strongest = mode.max(*strongest);
    }
    Ok(taken)
}
