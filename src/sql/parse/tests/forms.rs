//! Every statement form and the locks that its text asks for.

use super::corpus::{ALTER_TABLE, INDEX_WORK, OTHER_LOCKS, THE_REST};
use super::show;
use crate::sql::{Encoding, parse};

/// The forms, one a line, as `text => what is read`.
fn check(texts: &[&str]) -> String {
    texts
        .iter()
        .map(|text| format!("{text}\n    {}", show(text).replace('\n', "\n    ")))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn index_work() {
    insta::assert_snapshot!(check(INDEX_WORK), @r#"
    CREATE INDEX ON t (a)
        CREATE INDEX | CreateIndex(CreateIndex{concurrently:false,unless_exists:None}) | t=Share
    CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON ONLY s.t USING gin (a) WHERE b
        CREATE INDEX | CreateIndex(CreateIndex{concurrently:true,unless_exists:Some(RelationName{schema:Some("s"),name:"i"})}) | s.t=ShareUpdateExclusive | no-tx
    DROP INDEX a, s.b CASCADE
        DROP INDEX | DropIndex(DropIndex{concurrently:false,cascade:true}) | a=AccessExclusive | s.b=AccessExclusive
    DROP INDEX CONCURRENTLY IF EXISTS a
        DROP INDEX | DropIndex(DropIndex{concurrently:true,cascade:false}) | a=ShareUpdateExclusive | no-tx
    REINDEX TABLE t
        REINDEX | Reindex(Reindex{object:Table,concurrently:None}) | t=Share
    REINDEX INDEX CONCURRENTLY s.i
        REINDEX | Reindex(Reindex{object:Index,concurrently:Some(true)}) | s.i=ShareUpdateExclusive | no-tx
    REINDEX (VERBOSE, CONCURRENTLY) TABLE t
        REINDEX | Reindex(Reindex{object:Table,concurrently:Some(true)}) | t=ShareUpdateExclusive | no-tx
    REINDEX (CONCURRENTLY off) TABLE t
        REINDEX | Reindex(Reindex{object:Table,concurrently:Some(false)}) | t=Share
    REINDEX (CONCURRENTLY 0) TABLE t
        REINDEX | Reindex(Reindex{object:Table,concurrently:Some(false)}) | t=Share
    REINDEX SCHEMA s
        REINDEX | Reindex(Reindex{object:Schema("s"),concurrently:None}) | and beyond | no-tx
    REINDEX DATABASE CONCURRENTLY d
        REINDEX | Reindex(Reindex{object:Database,concurrently:Some(true)}) | no-tx
    REINDEX SYSTEM d
        REINDEX | Reindex(Reindex{object:System,concurrently:None}) | and beyond | no-tx
    ALTER INDEX i RENAME TO j
        ALTER INDEX | Locking | i=ShareUpdateExclusive
    ALTER INDEX i SET (fillfactor = 70)
        ALTER INDEX | Locking | i=ShareUpdateExclusive
    ALTER INDEX i SET (fastupdate = off)
        ALTER INDEX | Locking | i=AccessExclusive
    ALTER INDEX i ATTACH PARTITION j
        ALTER INDEX | Locking | i=ShareUpdateExclusive | j=AccessExclusive
    ALTER INDEX i SET TABLESPACE x
        ALTER INDEX | Locking | i=AccessExclusive
    ALTER INDEX i ALTER COLUMN 1 SET STATISTICS 100
        ALTER INDEX | Locking | i=ShareUpdateExclusive
    CLUSTER t USING i
        CLUSTER | Locking | t=AccessExclusive
    CLUSTER
        CLUSTER | Locking | and beyond | no-tx
    "#);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn alter_table() {
    insta::assert_snapshot!(check(ALTER_TABLE), @r#"
    ALTER TABLE t ADD COLUMN c int
        ALTER TABLE | Locking | t=AccessExclusive
    ALTER TABLE IF EXISTS ONLY s.t ADD c int REFERENCES r, DROP COLUMN d
        ALTER TABLE | Locking | s.t=AccessExclusive | r=ShareRowExclusive
    ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES r (b) NOT VALID
        ALTER TABLE | Locking | t=ShareRowExclusive | r=ShareRowExclusive
    ALTER TABLE t ADD CHECK (a > 0) NOT VALID
        ALTER TABLE | Locking | t=AccessExclusive
    ALTER TABLE t ADD UNIQUE (a)
        ALTER TABLE | Locking | t=AccessExclusive
    ALTER TABLE t ADD PRIMARY KEY USING INDEX i
        ALTER TABLE | Locking | t=AccessExclusive
    ALTER TABLE t VALIDATE CONSTRAINT c
        ALTER TABLE | Locking | t=ShareUpdateExclusive
    ALTER TABLE t VALIDATE CONSTRAINT c, ALTER a SET STATISTICS 9
        ALTER TABLE | Locking | t=ShareUpdateExclusive
    ALTER TABLE t ALTER a SET (n_distinct = 5), CLUSTER ON i, SET WITHOUT CLUSTER
        ALTER TABLE | Locking | t=ShareUpdateExclusive
    ALTER TABLE t SET (fillfactor = 70, autovacuum_enabled = off, toast.autovacuum_enabled = off)
        ALTER TABLE | Locking | t=ShareUpdateExclusive
    ALTER TABLE t SET (user_catalog_table = true)
        ALTER TABLE | Locking | t=AccessExclusive
    ALTER TABLE t RESET (fillfactor)
        ALTER TABLE | Locking | t=ShareUpdateExclusive
    ALTER TABLE t ALTER a SET NOT NULL
        ALTER TABLE | Locking | t=AccessExclusive
    ALTER TABLE t ALTER a TYPE bigint
        ALTER TABLE | Locking | t=AccessExclusive
    ALTER TABLE t DISABLE TRIGGER ALL
        ALTER TABLE | Locking | t=ShareRowExclusive
    ALTER TABLE t ENABLE ROW LEVEL SECURITY
        ALTER TABLE | Locking | t=AccessExclusive
    ALTER TABLE t INHERIT p
        ALTER TABLE | Locking | t=AccessExclusive | p=ShareUpdateExclusive
    ALTER TABLE t ATTACH PARTITION p FOR VALUES IN (1)
        ALTER TABLE | Locking | t=ShareUpdateExclusive | p=AccessExclusive
    ALTER TABLE t DETACH PARTITION p
        ALTER TABLE | Locking | t=AccessExclusive | p=AccessExclusive
    ALTER TABLE t DETACH PARTITION p CONCURRENTLY
        ALTER TABLE | Locking | t=ShareUpdateExclusive | p=ShareUpdateExclusive | no-tx
    ALTER TABLE t DETACH PARTITION p FINALIZE
        ALTER TABLE | Locking | t=ShareUpdateExclusive | p=ShareUpdateExclusive
    ALTER TABLE t RENAME TO u
        ALTER TABLE | Locking | t=AccessExclusive
    ALTER TABLE t RENAME a TO b
        ALTER TABLE | Locking | t=AccessExclusive
    ALTER TABLE t RENAME CONSTRAINT a TO b
        ALTER TABLE | Locking | t=AccessExclusive
    ALTER TABLE t SET SCHEMA s
        ALTER TABLE | Locking | t=AccessExclusive
    ALTER TABLE t OWNER TO o
        ALTER TABLE | Locking | t=AccessExclusive
    ALTER TABLE t SET UNLOGGED
        ALTER TABLE | Locking | t=AccessExclusive
    ALTER TABLE ALL IN TABLESPACE a SET TABLESPACE b
        ALTER TABLE ALL | Locking | and beyond
    ALTER VIEW v SET (security_barrier)
        ALTER VIEW | Locking | v=AccessExclusive
    ALTER MATERIALIZED VIEW m RENAME TO n
        ALTER MATERIALIZED VIEW | Locking | m=AccessExclusive
    ALTER SEQUENCE q RESTART
        ALTER SEQUENCE | Locking | q=ShareRowExclusive
    ALTER FOREIGN TABLE f ADD c int
        ALTER FOREIGN TABLE | Locking | f=AccessExclusive
    ALTER TYPE ct ADD ATTRIBUTE a int CASCADE
        ALTER TYPE | Locking | ct=AccessExclusive | and beyond
    ALTER TYPE ct RENAME ATTRIBUTE a TO b CASCADE
        ALTER | Locking | ct=AccessExclusive | and beyond
    "#);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn other_locks() {
    insta::assert_snapshot!(check(OTHER_LOCKS), @r#"
    DROP TABLE a, s.b CASCADE
        DROP TABLE | Locking | a=AccessExclusive | s.b=AccessExclusive
    DROP VIEW v
        DROP VIEW | Locking | v=AccessExclusive
    DROP MATERIALIZED VIEW m
        DROP MATERIALIZED VIEW | Locking | m=AccessExclusive
    DROP SEQUENCE q
        DROP SEQUENCE | Locking | q=AccessExclusive
    DROP TRIGGER tr ON s.t
        DROP TRIGGER | Locking | s.t=AccessExclusive
    DROP RULE r ON t
        DROP RULE | Locking | t=AccessExclusive
    DROP POLICY p ON t
        DROP POLICY | Locking | t=AccessExclusive
    DROP SCHEMA s
        DROP SCHEMA | Ordinary
    DROP SCHEMA s CASCADE
        DROP SCHEMA | Locking | and beyond
    DROP TYPE ty CASCADE
        DROP TYPE | Locking | and beyond
    DROP FUNCTION f(int) CASCADE
        DROP FUNCTION | Locking | and beyond
    DROP FUNCTION f(int)
        DROP FUNCTION | Ordinary
    DROP EXTENSION e
        DROP EXTENSION | Locking | and beyond
    DROP OWNED BY o
        DROP OWNED | Locking | and beyond
    REASSIGN OWNED BY a TO b
        REASSIGN OWNED | Locking | and beyond
    TRUNCATE a, ONLY b CASCADE
        TRUNCATE TABLE | Locking | a=AccessExclusive | b=AccessExclusive
    CREATE TABLE t (a int REFERENCES r, b int, FOREIGN KEY (b) REFERENCES s.r2)
        CREATE TABLE | Locking | r=ShareRowExclusive | s.r2=ShareRowExclusive
    CREATE TABLE t PARTITION OF p FOR VALUES IN (1)
        CREATE TABLE | Locking | p=AccessExclusive
    CREATE FOREIGN TABLE t PARTITION OF p FOR VALUES IN (1) SERVER s
        CREATE FOREIGN TABLE | Locking | p=AccessExclusive
    CREATE TABLE t (a int) INHERITS (p)
        CREATE TABLE | Locking | p=ShareUpdateExclusive
    CREATE TABLE t (LIKE u)
        CREATE TABLE | Locking
    CREATE TABLE t AS SELECT 1
        CREATE TABLE AS | Ordinary
    CREATE TRIGGER tr AFTER INSERT ON t EXECUTE FUNCTION f()
        CREATE TRIGGER | Locking | t=ShareRowExclusive
    CREATE CONSTRAINT TRIGGER tr AFTER INSERT ON t FROM u DEFERRABLE FOR EACH ROW EXECUTE FUNCTION f()
        CREATE TRIGGER | Locking | t=ShareRowExclusive | u=AccessShare
    CREATE RULE r AS ON INSERT TO t DO INSTEAD NOTHING
        CREATE RULE | Locking | t=AccessExclusive
    CREATE POLICY p ON t
        CREATE POLICY | Locking | t=AccessExclusive
    ALTER POLICY p ON t RENAME TO q
        ALTER POLICY | Locking | t=AccessExclusive
    ALTER TRIGGER tr ON t RENAME TO ts
        ALTER TRIGGER | Locking | t=AccessExclusive
    ALTER TRIGGER tr ON t DEPENDS ON EXTENSION e
        ALTER | Locking | t=AccessExclusive
    CREATE OR REPLACE VIEW v AS SELECT 1
        CREATE VIEW | Locking | v=AccessExclusive
    CREATE VIEW v AS SELECT 1
        CREATE VIEW | Ordinary
    CREATE SCHEMA s CREATE TABLE t (a int REFERENCES public.r)
        CREATE SCHEMA | Locking | public.r=ShareRowExclusive
    REFRESH MATERIALIZED VIEW m
        REFRESH MATERIALIZED VIEW | Locking | m=AccessExclusive
    REFRESH MATERIALIZED VIEW CONCURRENTLY m
        REFRESH MATERIALIZED VIEW | Locking | m=Exclusive
    VACUUM t
        VACUUM | Locking | t=ShareUpdateExclusive | no-tx
    VACUUM FULL t, u (a)
        VACUUM | Locking | t=AccessExclusive | u=AccessExclusive | no-tx
    VACUUM (FULL off) t
        VACUUM | Locking | t=ShareUpdateExclusive | no-tx
    VACUUM FULL
        VACUUM | Locking | and beyond | no-tx
    LOCK TABLE a, b IN SHARE MODE
        LOCK TABLE | Lock{nowait:false} | a=Share | b=Share
    LOCK TABLE a IN ROW EXCLUSIVE MODE NOWAIT
        LOCK TABLE | Lock{nowait:true} | a=RowExclusive
    LOCK a
        LOCK TABLE | Lock{nowait:false} | a=AccessExclusive
    ALTER DOMAIN d ADD CHECK (value > 0)
        ALTER DOMAIN | Locking | and beyond
    ALTER DOMAIN d ADD CHECK (value > 0) NOT VALID
        ALTER DOMAIN | Locking
    ALTER DOMAIN d VALIDATE CONSTRAINT c
        ALTER DOMAIN | Locking | and beyond
    ALTER DOMAIN d SET NOT NULL
        ALTER DOMAIN | Locking | and beyond
    ALTER DOMAIN d SET DEFAULT 1
        ALTER DOMAIN | Locking
    COMMENT ON TABLE t IS 'x'
        COMMENT | Locking | t=ShareUpdateExclusive
    CREATE STATISTICS st ON a, b FROM t
        CREATE STATISTICS | Locking | t=ShareUpdateExclusive
    "#);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn the_rest() {
    insta::assert_snapshot!(check(THE_REST), @r#"
    SELECT 1; INSERT INTO t VALUES (1) ;; ANALYZE t
        SELECT | Ordinary
        INSERT | Ordinary
        ANALYZE | Locking | t=ShareUpdateExclusive
    WITH a AS (DELETE FROM t RETURNING 1) SELECT * FROM a
        SELECT | Ordinary
    EXPLAIN ANALYZE UPDATE t SET a = 1
        EXPLAIN | Ordinary
    GRANT SELECT ON t TO u
        GRANT | Ordinary
    ALTER TYPE e ADD VALUE 'x'
        ALTER TYPE | Ordinary
    BEGIN; SAVEPOINT a; ROLLBACK TO a; RELEASE a; PREPARE TRANSACTION 'x'; COMMIT PREPARED 'x'; COMMIT; ABORT
        BEGIN | Transaction(Begin{read_only:false})
        SAVEPOINT | Transaction(Savepoint)
        ROLLBACK | Transaction(RollbackTo)
        RELEASE | Transaction(Release)
        PREPARE TRANSACTION | Transaction(Prepare)
        COMMIT PREPARED | Transaction(FinishPrepared) | no-tx
        COMMIT | Transaction(Commit)
        ROLLBACK | Transaction(Rollback)
    SET lockkeeper.mode = 'observe'; SET LOCAL lockkeeper.max_stall TO 50; RESET lockkeeper.mode
        SET | Setting(Ours(OurSetting{name:"mode",value:Some("observe"),local:false}))
        SET | Setting(Ours(OurSetting{name:"max_stall",value:Some("50"),local:true}))
        SET | Setting(Ours(OurSetting{name:"mode",value:None,local:false}))
    SET lockkeeper.allow = 'a because b', 'c because d'; SET lockkeeper.mode TO DEFAULT
        SET | Setting(Ours(OurSetting{name:"allow",value:Some("abecauseb,cbecaused"),local:false}))
        SET | Setting(Ours(OurSetting{name:"mode",value:None,local:false}))
    SET lock_timeout = 0; SET LOCAL statement_timeout = '1s'; RESET ALL; DISCARD ALL; DISCARD PLANS
        SET | Setting(Timeout)
        SET | Setting(Timeout)
        RESET | Setting(All)
        DISCARD ALL | Setting(All) | no-tx
        statement | Ordinary
    SET search_path TO a; SET TRANSACTION READ ONLY; RESET search_path
        SET | Ordinary
        SET | Setting(ReadOnly)
        SET | Ordinary
    COPY t FROM STDIN; COPY t FROM '/tmp/x'; COPY t TO STDOUT
        COPY | CopyIn
        COPY | Ordinary
        COPY | Ordinary
    DO $$ BEGIN DROP TABLE t; END $$; DO LANGUAGE plperl 'x'; DO 'BEGIN END'
        DO | Opaque(Block{repeatable:true})
        DO | Opaque(Block{repeatable:false})
        DO | Ordinary
    CALL p(1); CREATE EXTENSION e; ALTER EXTENSION e UPDATE
        CALL | Opaque(Call)
        CREATE EXTENSION | Opaque(Extension)
        ALTER EXTENSION | Opaque(Extension)
    CREATE DATABASE d; DROP DATABASE d; ALTER SYSTEM SET x = 1; CREATE TABLESPACE s LOCATION '/x'
        CREATE DATABASE | Ordinary | no-tx
        DROP DATABASE | Ordinary | no-tx
        ALTER SYSTEM | Ordinary | no-tx
        CREATE TABLESPACE | Ordinary | no-tx
    ALTER DATABASE d SET TABLESPACE s; ALTER DATABASE d SET a = 1
        ALTER DATABASE | Ordinary | no-tx
        statement | Ordinary
    CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p WITH (create_slot = false)
        CREATE SUBSCRIPTION | Ordinary

        nothing
     ; -- nothing
        nothing
    "#);
}

#[test]
fn spans_are_the_statements() {
    let text = " /* a */ SELECT 1 -- b\n ; ;\n\tDROP TABLE t /* c */ ;";
    let spans: Vec<&str> =
        super::script(text).statements.iter().map(|it| text.get(it.span.clone()).unwrap()).collect();
    assert_eq!(spans, ["SELECT 1", "DROP TABLE t"]);
}

#[test]
fn conditions_that_always_hold_filter_nothing() {
    let filtered = |condition: &str| {
        let text = format!("DELETE FROM t WHERE {condition}");
        parse(text.as_bytes(), Encoding::Utf8).statements[0].writes[0].filtered
    };
    for condition in ["true", "1 = 1", "2 > 1", "1 <> 2", "NOT false", "true AND 'a' = 'a'", "a = 1 OR true"]
    {
        assert!(!filtered(condition), "{condition}");
    }
    for condition in ["false", "1 = 2", "1 > 2", "NOT true", "true AND a = 1", "a = a", "1 = 1.0", "$1 = 1"] {
        assert!(filtered(condition), "{condition}");
    }
}

#[test]
fn tables_that_are_only_looked_at_are_told() {
    let read = |text: &str| {
        let script = parse(text.as_bytes(), Encoding::Utf8);
        let reads = &script.statements[0].reads;
        reads.iter().map(|it| format!("{} {:?}", it.table.name, it.how)).collect::<Vec<_>>().join(", ")
    };
    for (text, expected) in [
        ("SELECT * FROM a, s.b AS x FOR UPDATE OF x", "a Rows, b LockedRows"),
        ("WITH w AS (SELECT * FROM a) SELECT * FROM w JOIN s.w ON true", "w Rows, a Rows"),
        ("SELECT 1 WHERE EXISTS (SELECT 1 FROM a)", "a Rows"),
        ("EXPLAIN DELETE FROM a USING b", "b Rows, a Explained"),
        ("COPY a TO STDOUT", "a Rows"),
        ("CREATE TABLE n (LIKE a)", "a Definition"),
        ("ALTER SEQUENCE q OWNED BY s.a.c", "a Definition"),
        ("ALTER SEQUENCE q OWNED BY NONE", ""),
        ("GRANT SELECT ON a TO PUBLIC", "a Rights"),
        ("GRANT USAGE ON SCHEMA a TO PUBLIC", ""),
        ("CREATE INDEX ON a (b)", ""),
    ] {
        assert_eq!(read(text), expected, "{text}");
    }
}
