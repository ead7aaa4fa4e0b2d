//! The forms that the oracle is asked about.

/// What stands there before.
pub(crate) const SETUP: &str = "
    CREATE TABLE r (a int PRIMARY KEY, b int UNIQUE);
    CREATE TABLE t (a int, b int, c text, CONSTRAINT positive CHECK (a > 0) NOT VALID);
    CREATE TABLE child (a int UNIQUE REFERENCES r);
    CREATE TABLE grandchild (a int REFERENCES child (a));
    CREATE INDEX t_i ON t (a);
    CREATE TABLE p (a int) PARTITION BY LIST (a);
    CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
    CREATE TABLE loose (a int);
    CREATE INDEX p_i ON ONLY p (a);
    CREATE INDEX p1_i ON p1 (a);
    CREATE TABLE old (a int);
    CREATE TABLE heir (a int);
    CREATE VIEW v AS SELECT a FROM t;
    CREATE VIEW vv AS SELECT a FROM v;
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
    CREATE TABLE gen (a int, g int GENERATED ALWAYS AS (a * 2) STORED);
    INSERT INTO gen SELECT g FROM generate_series(1, 100) g;
    CREATE DOMAIN short AS varchar(5);
    CREATE TABLE kinds (
        ch char(5), bi bit(3), vb varbit(5), va varchar(10)[], num numeric, ob int, nm name, dom positive, sh short, ivd interval day to second(3),
        iv interval, ivm interval year to month, o oid, v2 varchar(10), plain varchar(10), ix varchar(10), x xml, tx text);
    CREATE INDEX kinds_up ON kinds (upper(v2));
    CREATE INDEX kinds_part ON kinds (plain) WHERE ix <> 'a';
    CREATE INDEX kinds_o ON kinds (o);
    CREATE INDEX kinds_tx ON kinds (tx);
    INSERT INTO kinds (ch, dom, o, v2, tx) SELECT '5', g, g, 'a', 'a' FROM generate_series(1, 100) g;
    CREATE TABLE near (a int PRIMARY KEY);
    CREATE TABLE pointing (a int REFERENCES near);
    INSERT INTO near SELECT g FROM generate_series(1, 100) g;
    INSERT INTO pointing SELECT a FROM near;
    CREATE TABLE sub (a int) PARTITION BY LIST (a);
    CREATE TABLE sub1 PARTITION OF sub FOR VALUES IN (1) PARTITION BY LIST (a);
    CREATE TABLE sub11 PARTITION OF sub1 FOR VALUES IN (1);
    CREATE TABLE mother (a int, b int);
    CREATE TABLE daughter () INHERITS (mother);
    CREATE TABLE granddaughter () INHERITS (daughter);
    INSERT INTO mother SELECT g, g FROM generate_series(1, 100) g;
    INSERT INTO daughter SELECT g, g FROM generate_series(1, 100) g;
    INSERT INTO granddaughter SELECT g, g FROM generate_series(1, 100) g;
    CREATE TABLE spans (a int) PARTITION BY RANGE (a);
    CREATE TABLE fits (a int NOT NULL CHECK (a >= 10 AND a < 20));
    CREATE TABLE proves (a int CHECK (a IS NOT NULL AND a >= 10 AND a < 20));
    CREATE TABLE nulls (a int CHECK (a >= 10 AND a < 20));
    INSERT INTO fits SELECT g FROM generate_series(10, 19) g;
    INSERT INTO proves SELECT g FROM generate_series(10, 19) g;
    INSERT INTO nulls SELECT g FROM generate_series(10, 19) g;
    CREATE TABLE keyed (a int) PARTITION BY RANGE (a);
    CREATE INDEX ON keyed (a);
    CREATE TABLE indexed (a int NOT NULL CHECK (a >= 10 AND a < 20));
    CREATE INDEX ON indexed (a);
    INSERT INTO indexed SELECT g FROM generate_series(10, 19) g;
    CREATE TABLE pointed (a int REFERENCES r) PARTITION BY RANGE (a);
    CREATE TABLE lists (a text) PARTITION BY LIST (a);
    CREATE TABLE one (a text NOT NULL CHECK (a = 'x'));
    CREATE TABLE two (a text CHECK (a IS NOT NULL AND a IN ('x', 'y')));
    INSERT INTO one SELECT 'x' FROM generate_series(1, 10);
    INSERT INTO two SELECT 'y' FROM generate_series(1, 10);
    CREATE UNLOGGED TABLE unlogged (a int);
    INSERT INTO unlogged SELECT g FROM generate_series(1, 100) g;
    CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER heap_tableam_handler;
    ALTER TABLE big ADD CONSTRAINT big_ref FOREIGN KEY (ref) REFERENCES r NOT VALID;
    CREATE TABLE parts (a int PRIMARY KEY) PARTITION BY LIST (a);
    CREATE TABLE parts1 PARTITION OF parts FOR VALUES IN (1);
    CREATE TABLE points (a int REFERENCES parts);
    CREATE TABLE held (a int PRIMARY KEY, r int REFERENCES r) PARTITION BY LIST (a);
    CREATE TABLE held1 PARTITION OF held FOR VALUES IN (1);
    CREATE TABLE held2 PARTITION OF held FOR VALUES IN (2);
    INSERT INTO held VALUES (1, 1), (2, 1);
    CREATE TABLE holds (a int REFERENCES held);
    INSERT INTO holds SELECT 2 FROM generate_series(1, 100) g;
    CREATE TABLE merges (a int PRIMARY KEY, r int REFERENCES r);
    CREATE SEQUENCE counter;
    CREATE TABLE counted (a int DEFAULT nextval('counter'));
    CREATE TYPE mood AS ENUM ('good');
    CREATE TABLE moody (a int, m mood);
    CREATE TABLE moods (a int, m mood[]);
    CREATE TYPE address AS (street text, town text);
    CREATE TABLE leafy (a int) PARTITION BY LIST (a);
    CREATE TABLE leafy1 PARTITION OF leafy FOR VALUES IN (1) PARTITION BY LIST (a);
    CREATE TABLE leafy11 PARTITION OF leafy1 FOR VALUES IN (1);
    CREATE INDEX leafy_i ON leafy (a);
    CREATE TABLE selfish (a int PRIMARY KEY, b int REFERENCES selfish);
    ANALYZE;
";

/// Each is run in a transaction of its own, which is rolled back.
pub(crate) const STATEMENTS: &[&str] = &[
    "ALTER TABLE points DROP CONSTRAINT points_a_fkey",
    "DROP TABLE mother CASCADE",
    "TRUNCATE ONLY mother",
    "LOCK TABLE ONLY mother IN SHARE MODE",
    "DELETE FROM ONLY mother",
    "LOCK TABLE vv IN SHARE MODE",
    "ALTER TABLE sub ALTER a SET STATISTICS 100",
    "ALTER TABLE mother ALTER a SET STATISTICS 100",
    "ALTER TABLE ONLY mother ALTER a SET STATISTICS 100",
    "ALTER TABLE lists ALTER a SET STORAGE EXTERNAL",
    "ANALYZE sub",
    "COMMENT ON CONSTRAINT positive ON t IS 'x'",
    "COMMENT ON TRIGGER tr ON t IS 'x'",
    "DROP TYPE mood CASCADE",
    "DROP DOMAIN d CASCADE",
    "ALTER TYPE address DROP ATTRIBUTE street",
    "ALTER TYPE address RENAME ATTRIBUTE street TO road",
    "DROP INDEX leafy_i",
    "ALTER TABLE selfish DROP CONSTRAINT selfish_pkey CASCADE",
    "DROP TABLE points",
    "ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES parts NOT VALID",
    "ALTER TABLE t ADD COLUMN z int REFERENCES parts",
    "DROP TABLE parts CASCADE",
    "ALTER TABLE parts DROP CONSTRAINT parts_pkey CASCADE",
    "TRUNCATE parts CASCADE",
    "ALTER TABLE daughter NO INHERIT mother",
    "ALTER TABLE heir INHERIT old",
    "CREATE MATERIALIZED VIEW fresh AS SELECT * FROM old",
    "SELECT * INTO fresh FROM old",
    "DROP SEQUENCE counter CASCADE",
    "SELECT * FROM t FOR UPDATE",
    "SELECT * FROM t, r, old AS o FOR SHARE OF o, t",
    "SELECT * FROM t JOIN r USING (a) FOR NO KEY UPDATE OF r",
    "WITH x AS (SELECT * FROM old) SELECT * FROM x, r FOR UPDATE OF r",
    "WITH t AS (SELECT 1 AS a) SELECT * FROM t",
    "SELECT (SELECT max(a) FROM old) FROM r WHERE a IN (SELECT a FROM heir) UNION SELECT a FROM uses",
    "SELECT count(*) FROM vv",
    "SELECT * FROM mother",
    "SELECT * FROM ranges FOR UPDATE",
    "SELECT * FROM m",
    "UPDATE ranges SET a = a",
    "DELETE FROM mother",
    "UPDATE t SET b = r.b FROM r WHERE r.a = t.a",
    "DELETE FROM t USING old WHERE old.a = t.a",
    "INSERT INTO t SELECT a FROM v",
    "INSERT INTO s.inside VALUES (1)",
    "COPY t FROM PROGRAM 'true'",
    "COPY t TO PROGRAM 'cat > /dev/null'",
    "COPY (SELECT * FROM old) TO PROGRAM 'cat > /dev/null'",
    "CREATE VIEW fresh AS SELECT t.a FROM t, r",
    "CREATE TABLE fresh AS SELECT * FROM old",
    "EXPLAIN SELECT * FROM t, r",
    "EXPLAIN UPDATE t SET a = 1",
    "DECLARE c CURSOR FOR SELECT * FROM t FOR UPDATE",
    "PREPARE fresh AS SELECT * FROM t",
    "REVOKE ALL ON t, r FROM PUBLIC",
    "CREATE SEQUENCE fresh OWNED BY t.a",
    "ALTER TABLE mother ADD PRIMARY KEY (a)",
    "ALTER TABLE ONLY mother ADD UNIQUE (a)",
    "ALTER TABLE p ADD UNIQUE (a)",
    "ALTER TABLE p ADD PRIMARY KEY (a)",
    "ALTER TABLE sub ADD UNIQUE (a)",
    "ALTER TABLE ranges ADD FOREIGN KEY (a) REFERENCES r",
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
    "DROP TABLE grandchild",
    "DROP TABLE child CASCADE",
    "ALTER TABLE kinds ALTER ch TYPE char(9)",
    "ALTER TABLE kinds ALTER ch TYPE char(5)",
    "ALTER TABLE kinds ALTER ch TYPE bpchar",
    "ALTER TABLE kinds ALTER ch TYPE varchar(5)",
    "ALTER TABLE kinds ALTER ch TYPE text",
    "ALTER TABLE kinds ALTER tx TYPE bpchar",
    "ALTER TABLE kinds ALTER tx TYPE char(3)",
    "ALTER TABLE kinds ALTER bi TYPE bit(3)",
    "ALTER TABLE kinds ALTER vb TYPE varbit(9)",
    "ALTER TABLE kinds ALTER vb TYPE varbit",
    "ALTER TABLE kinds ALTER va TYPE varchar[]",
    "ALTER TABLE kinds ALTER va TYPE text[]",
    "ALTER TABLE kinds ALTER num TYPE numeric",
    "ALTER TABLE kinds ALTER ob TYPE oid",
    "ALTER TABLE kinds ALTER ob TYPE regclass",
    "ALTER TABLE kinds ALTER o TYPE int",
    "ALTER TABLE kinds ALTER o TYPE regclass",
    "ALTER TABLE kinds ALTER o TYPE bigint",
    "ALTER TABLE kinds ALTER nm TYPE text",
    "ALTER TABLE kinds ALTER x TYPE text",
    "ALTER TABLE kinds ALTER x TYPE varchar",
    "ALTER TABLE kinds ALTER dom TYPE int",
    "ALTER TABLE kinds ALTER dom TYPE plain",
    "ALTER TABLE kinds ALTER dom TYPE bigint",
    "ALTER TABLE kinds ALTER sh TYPE text",
    "ALTER TABLE kinds ALTER sh TYPE varchar(4)",
    "ALTER TABLE kinds ALTER sh TYPE varchar(6)",
    "ALTER TABLE kinds ALTER plain TYPE short",
    "ALTER TABLE kinds ALTER iv TYPE interval(6)",
    "ALTER TABLE kinds ALTER iv TYPE interval(3)",
    "ALTER TABLE kinds ALTER ivd TYPE interval(6)",
    "ALTER TABLE kinds ALTER ivd TYPE interval(2)",
    "ALTER TABLE kinds ALTER ivd TYPE interval day to minute",
    "ALTER TABLE kinds ALTER ivm TYPE interval",
    "ALTER TABLE kinds ALTER ivm TYPE interval year",
    "ALTER TABLE kinds ALTER ivm TYPE interval day",
    "ALTER TABLE kinds ALTER v2 TYPE varchar(20)",
    "ALTER TABLE kinds ALTER v2 TYPE text",
    "ALTER TABLE kinds ALTER plain TYPE text",
    "ALTER TABLE kinds ALTER ix TYPE text",
    "ALTER TABLE near ALTER a TYPE bigint",
    "ALTER TABLE near ALTER a TYPE int",
    "ALTER TABLE pointing ALTER a TYPE bigint",
    "ALTER TABLE big ALTER n TYPE int",
    "ALTER MATERIALIZED VIEW m SET TABLESPACE pg_default",
    "ALTER INDEX t_i SET TABLESPACE pg_default",
    "ALTER TABLE t SET LOGGED",
    "ALTER TABLE unlogged SET UNLOGGED",
    "ALTER TABLE big ALTER id SET NOT NULL",
    "ALTER TABLE big ALTER x DROP NOT NULL",
    "ALTER TABLE big DROP COLUMN IF EXISTS nope",
    "ALTER TABLE r DROP CONSTRAINT r_pkey CASCADE",
    "ALTER TABLE sub DETACH PARTITION sub1",
    "ALTER TABLE sub ATTACH PARTITION loose FOR VALUES IN (2)",
    "DROP TABLE sub1",
    "DROP INDEX p_i",
    "ALTER TABLE mother ADD COLUMN c int",
    "ALTER TABLE mother ADD COLUMN c float DEFAULT random()",
    "ALTER TABLE mother DROP COLUMN b",
    "ALTER TABLE mother ADD CHECK (a > 0)",
    "ALTER TABLE mother ALTER a SET NOT NULL",
    "ALTER TABLE mother ALTER a TYPE bigint",
    "ALTER TABLE mother ADD UNIQUE (a)",
    "ALTER TABLE mother ADD FOREIGN KEY (a) REFERENCES r",
    "ALTER TABLE mother RENAME COLUMN a TO z",
    "ALTER TABLE ONLY mother ALTER a SET DEFAULT 1",
    "TRUNCATE mother",
    "LOCK TABLE mother IN SHARE MODE",
    "LOCK TABLE p IN SHARE MODE",
    "ANALYZE t",
    "CREATE TABLE IF NOT EXISTS old (a int REFERENCES r)",
    "CREATE TRIGGER tp AFTER INSERT ON p FOR EACH ROW EXECUTE FUNCTION f()",
    "ALTER TABLE spans ATTACH PARTITION fits FOR VALUES FROM (10) TO (20)",
    "ALTER TABLE spans ATTACH PARTITION fits FOR VALUES FROM (0) TO (100)",
    "ALTER TABLE spans ATTACH PARTITION fits FOR VALUES FROM (MINVALUE) TO (20)",
    "ALTER TABLE spans ATTACH PARTITION fits FOR VALUES FROM (-5) TO (20)",
    "ALTER TABLE spans ATTACH PARTITION proves FOR VALUES FROM (10) TO (20)",
    "ALTER TABLE spans ATTACH PARTITION nulls FOR VALUES FROM (10) TO (20)",
    "ALTER TABLE keyed ATTACH PARTITION fits FOR VALUES FROM (10) TO (20)",
    "ALTER TABLE keyed ATTACH PARTITION indexed FOR VALUES FROM (10) TO (20)",
    "ALTER TABLE pointed ATTACH PARTITION fits FOR VALUES FROM (10) TO (20)",
    "ALTER TABLE held ATTACH PARTITION merges FOR VALUES IN (3)",
    "ALTER TABLE held DETACH PARTITION held1",
    "ALTER TABLE lists ATTACH PARTITION one FOR VALUES IN ('x')",
    "ALTER TABLE lists ATTACH PARTITION one FOR VALUES IN ('x', 'z')",
    "ALTER TABLE lists ATTACH PARTITION two FOR VALUES IN ('y', 'x')",
    "CREATE PUBLICATION pb FOR TABLE t",
    "DROP TABLE t CASCADE",
    "ALTER TABLE t DROP COLUMN a CASCADE",
    "ALTER TABLE t DROP COLUMN b CASCADE",
    "ALTER TABLE r DROP COLUMN a CASCADE",
    "ALTER TABLE r DROP COLUMN b CASCADE",
    "DROP VIEW vv",
    "DROP VIEW v CASCADE",
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
    "ALTER TABLE child ALTER CONSTRAINT child_a_fkey DEFERRABLE",
    "ALTER TABLE gen ALTER g DROP EXPRESSION",
    "ALTER TABLE unlogged SET LOGGED",
    "ALTER TABLE old RENAME TO older",
    "ALTER TABLE t ALTER c SET DATA TYPE text COLLATE \"C\"",
    "ALTER TABLE heir INHERIT old, ADD COLUMN z int",
    "ALTER TABLE big ADD COLUMN y int, ADD COLUMN z int DEFAULT 3, ALTER x SET DEFAULT ''",
    "ALTER TABLE big ADD COLUMN y json",
    "ALTER TABLE t ALTER b TYPE text",
    "ALTER TABLE big ALTER at TYPE timestamp(6)",
    "ALTER TABLE big ALTER at TYPE date",
    "ALTER TABLE t ADD PRIMARY KEY (b)",
    "CREATE UNIQUE INDEX ON big (x, n)",
    "CREATE INDEX ON big ((n + 1)) WHERE n > 0",
    "DELETE FROM big WHERE id = 1",
    "UPDATE big SET x = '' WHERE id = 1",
    "DO $$ BEGIN PERFORM 1; END $$",
];

/// What stands there before on later versions, and what is run there: each with the version that brought it.
pub(crate) const LATER: &[(u32, &str, &[&str])] = &[
    (14, "", &["ALTER TABLE t ALTER c SET COMPRESSION pglz"]),
    (
        15,
        "SET allow_in_place_tablespaces = on;",
        &["ALTER TABLE big SET ACCESS METHOD heap2", "ALTER TABLE big ADD UNIQUE NULLS NOT DISTINCT (x, n)"],
    ),
    (17, "", &["ALTER TABLE gen ALTER g SET EXPRESSION AS (a * 3)"]),
    (
        18,
        "CREATE TABLE lax (a int, CONSTRAINT lax_ref FOREIGN KEY (a) REFERENCES r NOT ENFORCED);
         INSERT INTO lax SELECT g FROM generate_series(1, 100) g;
         CREATE TABLE lazy (a int);
         INSERT INTO lazy SELECT g FROM generate_series(1, 100) g;
         ALTER TABLE lazy ADD CONSTRAINT lazy_nn NOT NULL a NOT VALID;",
        &[
            "ALTER TABLE big ADD COLUMN y int GENERATED ALWAYS AS (n * 2) VIRTUAL",
            "ALTER TABLE big ADD COLUMN y int GENERATED ALWAYS AS (n * 2)",
            "ALTER TABLE big ADD CONSTRAINT nn NOT NULL n NOT VALID",
            "ALTER TABLE big ADD CONSTRAINT nn NOT NULL n",
            "ALTER TABLE lazy VALIDATE CONSTRAINT lazy_nn",
            "ALTER TABLE lazy ALTER a SET NOT NULL",
            "ALTER TABLE big ADD FOREIGN KEY (n) REFERENCES r NOT ENFORCED",
            "ALTER TABLE big ADD CONSTRAINT c CHECK (n > 0) NOT ENFORCED",
            "ALTER TABLE lax ALTER CONSTRAINT lax_ref ENFORCED",
            "ALTER TABLE child ALTER CONSTRAINT child_a_fkey NOT ENFORCED",
            "ALTER TABLE ranges ADD FOREIGN KEY (a) REFERENCES r NOT VALID",
        ],
    ),
];

/// What runs outside a transaction only: the table that it waits for first, with the version that brought it.
pub(crate) const OUTSIDE: &[(u32, &str, &str)] = &[
    (13, "CREATE INDEX CONCURRENTLY ON big (x)", "big"),
    (13, "CREATE UNIQUE INDEX CONCURRENTLY ON big (n, x)", "big"),
    (13, "DROP INDEX CONCURRENTLY big_at", "big"),
    (13, "REINDEX TABLE CONCURRENTLY big", "big"),
    (13, "REINDEX INDEX CONCURRENTLY big_at", "big"),
    (13, "VACUUM big", "big"),
    (13, "VACUUM FULL big", "big"),
    (14, "ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY", "p"),
];
