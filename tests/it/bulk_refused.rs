//! Statements of many rows that cannot be cut so that the same comes out: refused with the reason, and run whole where somebody
//! allows it.

use crate::support::each_major;
use crate::support::stage::{Person, Stage, Way};

const SETUP: &[&str] = &[
    "CREATE TABLE t (id int PRIMARY KEY, n int, pos int UNIQUE DEFERRABLE INITIALLY IMMEDIATE, parent int, at timestamptz)",
    "INSERT INTO t SELECT i, i, i, NULL, now() FROM generate_series(1, 300) i",
    "CREATE TABLE nokey (a int, b int); INSERT INTO nokey SELECT i, i FROM generate_series(1, 300) i",
    "CREATE VIEW v AS SELECT id, n FROM t",
    "CREATE TABLE r (id int PRIMARY KEY, n int); INSERT INTO r SELECT i, i FROM generate_series(1, 300) i",
    "CREATE TABLE child (id int PRIMARY KEY, r int REFERENCES r ON DELETE CASCADE, filler text)",
    "INSERT INTO child SELECT i, i, repeat(md5(i::text), 200) FROM generate_series(1, 300) i",
    "ALTER TABLE child ALTER filler SET STORAGE EXTERNAL; UPDATE child SET filler = filler || ''",
    "CREATE TABLE tree (id int PRIMARY KEY, up int REFERENCES tree); INSERT INTO tree SELECT i, i FROM generate_series(1, 300) i",
    "CREATE TABLE fired (id int PRIMARY KEY, v int); INSERT INTO fired SELECT i, i FROM generate_series(1, 300) i",
    "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    "CREATE TRIGGER once AFTER UPDATE ON fired FOR EACH STATEMENT EXECUTE FUNCTION nothing()",
    "CREATE TRIGGER seen AFTER DELETE ON fired REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION nothing()",
    "CREATE TABLE ruled (id int PRIMARY KEY, v int); INSERT INTO ruled SELECT i, i FROM generate_series(1, 300) i",
    "CREATE RULE also AS ON UPDATE TO ruled DO ALSO SELECT 1",
    "CREATE TABLE p (id int, part int, PRIMARY KEY (id, part)) PARTITION BY LIST (part)",
    "CREATE TABLE p1 PARTITION OF p DEFAULT; INSERT INTO p SELECT i, 1 FROM generate_series(1, 300) i",
    "CREATE TABLE heir (x int) INHERITS (nokey)",
    "CREATE TABLE plain (a int, b int); INSERT INTO plain SELECT i, i FROM generate_series(1, 300) i",
    "CREATE TABLE computed (a int, k int GENERATED ALWAYS AS (a) STORED PRIMARY KEY)",
    "INSERT INTO computed SELECT i FROM generate_series(1, 300) i",
    "CREATE RULE less AS ON DELETE TO ruled DO ALSO SELECT 1",
    "CREATE TABLE apart (id int PRIMARY KEY, v int, EXCLUDE USING btree (v WITH =) DEFERRABLE)",
    "INSERT INTO apart SELECT i, i FROM generate_series(1, 300) i",
    "CREATE TABLE kept (id int PRIMARY KEY); INSERT INTO kept SELECT generate_series(1, 300)",
    "CREATE TABLE forgets (id int PRIMARY KEY, kept int REFERENCES kept ON DELETE SET NULL, filler text)",
    "INSERT INTO forgets SELECT i, i, repeat(md5(i::text), 200) FROM generate_series(1, 300) i",
    "ALTER TABLE forgets ALTER filler SET STORAGE EXTERNAL; UPDATE forgets SET filler = filler || ''",
    "CREATE TABLE held (id int PRIMARY KEY); INSERT INTO held SELECT generate_series(1, 300)",
    "CREATE TABLE falls (id int PRIMARY KEY, held int DEFAULT 1 REFERENCES held ON DELETE SET DEFAULT, filler text)",
    "INSERT INTO falls SELECT i, i, repeat(md5(i::text), 200) FROM generate_series(1, 300) i",
    "ALTER TABLE falls ALTER filler SET STORAGE EXTERNAL; UPDATE falls SET filler = filler || ''",
    "CREATE TABLE shown (id int PRIMARY KEY, v int); INSERT INTO shown SELECT i, i FROM generate_series(1, 300) i",
    "CREATE TRIGGER each AFTER UPDATE ON shown REFERENCING NEW TABLE AS new FOR EACH ROW EXECUTE FUNCTION nothing()",
    "CREATE TABLE deep (id int PRIMARY KEY); INSERT INTO deep SELECT generate_series(1, 300)",
    "CREATE TABLE deeper (id int PRIMARY KEY, deep int REFERENCES deep ON DELETE CASCADE)",
    "CREATE TABLE deepest (id int PRIMARY KEY, deeper int REFERENCES deeper ON DELETE CASCADE)",
    "CREATE TABLE kin (id int PRIMARY KEY, code text UNIQUE, up text REFERENCES kin (code))",
    "INSERT INTO kin SELECT i, i, i FROM generate_series(1, 300) i",
    "CREATE TABLE q (id int, part int, v int, PRIMARY KEY (id, part)) PARTITION BY LIST (part)",
    "CREATE TABLE q2 PARTITION OF q DEFAULT PARTITION BY RANGE (id); CREATE TABLE q2a PARTITION OF q2 DEFAULT",
    "INSERT INTO q SELECT i, 1, i FROM generate_series(1, 300) i",
    "CREATE TABLE watched (id int PRIMARY KEY, v int) PARTITION BY RANGE (id); CREATE TABLE watched1 PARTITION OF watched DEFAULT",
    "INSERT INTO watched SELECT i, i FROM generate_series(1, 300) i",
    "CREATE TRIGGER audit AFTER UPDATE ON watched FOR EACH STATEMENT EXECUTE FUNCTION nothing()",
    "CREATE RULE instead AS ON DELETE TO watched DO ALSO SELECT 1",
    "CREATE FUNCTION same(int) RETURNS int LANGUAGE sql STABLE AS 'SELECT $1'",
    "CREATE FUNCTION format(int) RETURNS int LANGUAGE sql STABLE AS 'SELECT max(n) FROM t'",
    "CREATE TABLE counted (id int PRIMARY KEY, n int); INSERT INTO counted SELECT i, 3 FROM generate_series(1, 100) i",
    "CREATE TABLE said (id int PRIMARY KEY, of int); INSERT INTO said SELECT i, i % 100 + 1 FROM generate_series(1, 300) i",
    "CREATE FUNCTION less() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE counted SET n = n - 1 WHERE id = OLD.of; RETURN NULL; END'",
    "CREATE TRIGGER less AFTER DELETE ON said FOR EACH ROW EXECUTE FUNCTION less()",
    "CREATE TABLE boss (id int PRIMARY KEY); INSERT INTO boss SELECT generate_series(1, 300)",
    "CREATE TABLE clerk (id int PRIMARY KEY, boss int REFERENCES boss ON DELETE CASCADE, other int)",
    "CREATE TABLE team (id int PRIMARY KEY); CREATE TABLE member (id int PRIMARY KEY, team int REFERENCES team ON DELETE CASCADE)",
    "ALTER TABLE team ADD owner int REFERENCES member ON DELETE CASCADE; INSERT INTO team SELECT generate_series(1, 300)",
    "CREATE TABLE span (id int PRIMARY KEY, lo int, hi int, EXCLUDE USING gist (int4range(lo, hi) WITH &&) DEFERRABLE)",
    "INSERT INTO span SELECT i, i, i + 1 FROM generate_series(1, 300) i",
    "CREATE TABLE drawn (id int PRIMARY KEY, pos int, g int GENERATED ALWAYS AS (pos) STORED UNIQUE DEFERRABLE)",
    "INSERT INTO drawn SELECT i, i FROM generate_series(1, 300) i",
    "ANALYZE",
];

/// Each with a part of its reason.
const REFUSED: &[(&str, &str)] = &[
    ("UPDATE nokey SET b = 0", "inherits or is inherited from"),
    ("UPDATE plain SET b = 0", "unique index"),
    ("UPDATE computed SET a = a + 1000", "unique index"),
    ("DELETE FROM ruled", "the rule less of"),
    ("UPDATE apart SET v = v + 1", "which is DEFERRABLE"),
    ("DELETE FROM kept", "ON DELETE SET NULL"),
    ("DELETE FROM held", "ON DELETE SET DEFAULT"),
    ("DELETE FROM deep", "ON DELETE CASCADE"),
    ("UPDATE kin SET code = code || 'x', up = up || 'x'", "to which its own rows refer"),
    (
        "WITH t AS (SELECT max(n) AS most FROM t) UPDATE t SET n = (SELECT most FROM t)",
        "it reads \"t\" besides",
    ),
    ("UPDATE q2a SET v = (SELECT max(v) FROM q)", "it reads \"q\" besides"),
    ("UPDATE q SET v = 0 RETURNING *", "may stand in another order"),
    ("UPDATE q AS x SET v = 0 RETURNING x.*", "may stand in another order"),
    ("UPDATE q SET v = hashtext(q::text)", "may stand in another order"),
    ("UPDATE public.q SET v = public.q.v + 1", "it names columns with the schema of"),
    ("DELETE FROM r WHERE id IN (SELECT id FROM plain JOIN tree ON a = id LIMIT 200)", "in no order"),
    ("DELETE FROM tree WHERE id IN (SELECT a FROM plain TABLESAMPLE BERNOULLI (90))", "in no order"),
    (
        "UPDATE t SET n = x.n FROM (SELECT a, row_number() OVER () AS n FROM plain) x WHERE x.a = t.id",
        "in no order",
    ),
    ("DELETE FROM said USING counted c WHERE c.id = said.of AND c.n > 1", "which the trigger less of"),
    (
        "DELETE FROM boss WHERE NOT EXISTS (SELECT FROM clerk WHERE other = boss.id)",
        "whose rows go or change with its own",
    ),
    ("DELETE FROM team", "ON DELETE CASCADE"),
    ("UPDATE span SET lo = lo + 1, hi = hi + 1", "which is DEFERRABLE"),
    ("UPDATE drawn SET pos = pos + 1", "which is DEFERRABLE"),
    ("UPDATE t SET at = '12:00 today'", "names a moment"),
    ("UPDATE q AS x SET v = 0 RETURNING id, X", "may stand in another order"),
    ("UPDATE watched SET v = 0", "the trigger audit of"),
    ("DELETE FROM watched", "the rule instead of"),
    ("DELETE FROM r USING t WHERE t.id = 5", "ON DELETE CASCADE"),
    ("UPDATE shown SET v = 0", "the trigger each of"),
    ("CREATE TABLE new AS WITH gone AS (DELETE FROM r RETURNING *) SELECT * FROM gone", "WITH"),
    ("WITH gone AS (DELETE FROM r RETURNING *) SELECT * INTO new FROM gone", "WITH"),
    ("UPDATE v SET n = 0", "is a view"),
    ("UPDATE t SET id = id + 1000", "it changes id, a column of the key"),
    ("UPDATE r SET id = id + 1000", "it changes a column to which \"public\".\"child\" refers"),
    ("UPDATE p SET part = 2", "by which rows find their partitions"),
    ("UPDATE t SET pos = pos + 1", "which is DEFERRABLE"),
    ("UPDATE t SET n = (SELECT max(n) FROM t)", "it reads \"t\" besides"),
    ("UPDATE t SET n = 1 FROM public.t AS other WHERE other.id = t.id + 1", "besides"),
    ("UPDATE t SET n = 1 WHERE id IN (SELECT id FROM v)", "it reads the view"),
    ("WITH gone AS (DELETE FROM r RETURNING id) UPDATE t SET n = 1 FROM gone WHERE gone.id = t.id", "WITH"),
    ("DELETE FROM t WHERE ctid IN (SELECT ctid FROM t LIMIT 200)", "it looks at ctid"),
    ("UPDATE t SET n = random() * 10", "\"random\", which is VOLATILE"),
    ("DELETE FROM t WHERE random() < 0.9", "\"random\", which is VOLATILE"),
    ("UPDATE t SET n = same(n)", "\"same\", which is STABLE"),
    ("UPDATE t SET n = format(n)", "\"format\", which is VOLATILE"),
    ("UPDATE t SET at = 'now'", "names a moment"),
    ("UPDATE t SET n = DEFAULT", "DEFAULT"),
    ("UPDATE fired SET v = 0", "the trigger once of"),
    ("DELETE FROM fired", "the trigger seen of"),
    ("UPDATE ruled SET v = 0", "the rule also of"),
    ("DELETE FROM r", "ON DELETE CASCADE"),
    ("DELETE FROM tree", "refer to each other"),
    ("EXPLAIN (ANALYZE, COSTS OFF) UPDATE t SET n = 1", "it is explained while it runs"),
];

const MANY: &str = "SET lockkeeper.bulk_rows = 40";

#[test]
fn what_cannot_be_cut_is_refused_with_the_reason() {
    for installation in each_major() {
        let major = installation.major;
        let stage = Stage::on(installation);
        stage.straight().all(SETUP);
        let mut person = stage.through();
        person.all(&[MANY]);
        for (at, (sql, reason)) in REFUSED.iter().enumerate() {
            let refused = person.ask(Way::BOTH[at % 2], sql);
            assert_eq!(refused.failure(), "0A000", "{major} {sql}");
            let detail = refused.detail();
            assert!(detail.contains(reason), "{major} {sql}: {detail}");
            assert!(detail.contains("It cannot be carried out in batches: "), "{sql}: {detail}");
            assert!(refused.hint().contains("To run it as sent, say why in a comment"), "{sql}");
        }
        assert_eq!(stage.now("SELECT count(*) FROM t WHERE n = id AND pos = id"), "300", "nothing was done");
        if major >= 15 {
            let merge = "MERGE INTO t USING r ON r.id = t.id WHEN MATCHED THEN UPDATE SET n = r.n";
            assert!(person.query(merge).detail().contains("MERGE has no batches"));
            let puts =
                "MERGE INTO t USING r ON t.id = 5 WHEN NOT MATCHED THEN INSERT (id) VALUES (r.id + 1000)";
            assert!(
                person.query(puts).detail().contains("MERGE has no batches"),
                "a key that is pinned bounds nothing"
            );
        }
    }
}

#[test]
fn what_is_allowed_runs_whole() {
    let stage = Stage::new();
    stage.straight().all(SETUP);
    let mut person = stage.through();
    person.all(&[MANY]);
    let allow =
        "/* lockkeeper: allow bulk-write because of a test; allow write-without-where because of it */";
    for way in Way::BOTH {
        let done = person.ask(way, &format!("{allow} UPDATE t SET pos = pos + 1"));
        assert_eq!(done.tag(), "UPDATE 300");
    }
    assert_eq!(stage.now("SELECT count(*) FROM t WHERE pos = id + 2"), "300");
    assert_eq!(stage.now("SELECT to_regclass('lockkeeper.task') IS NULL OR true"), "t");
}

/// Rows that are somewhere else have no key here, neither in a table of their own nor in a partition.
#[test]
fn foreign_rows_are_not_cut() {
    let stage = Stage::new();
    stage.straight().all(&[
        "CREATE EXTENSION postgres_fdw; CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw",
        "CREATE USER MAPPING FOR CURRENT_USER SERVER far",
        "CREATE FOREIGN TABLE there (id int, n int) SERVER far",
        "CREATE TABLE p (id int, n int, v int) PARTITION BY LIST (n)",
        "CREATE TABLE here PARTITION OF p FOR VALUES IN (1); ALTER TABLE here ADD PRIMARY KEY (id)",
        "CREATE FOREIGN TABLE p2 PARTITION OF p DEFAULT SERVER far",
        "INSERT INTO p SELECT i, 1 FROM generate_series(1, 300) i; ANALYZE here",
    ]);
    let mut person = stage.through();
    person.all(&[MANY]);
    for (sql, reason) in [
        ("DELETE FROM there", "\"there\" is a foreign table"),
        ("UPDATE p SET v = 0", "the partition \"public\".\"p2\" is a foreign table"),
    ] {
        for way in Way::BOTH {
            let refused = person.ask(way, sql);
            assert_eq!(refused.failure(), "0A000", "{sql}: {refused:?}");
            assert!(refused.detail().contains(reason), "{sql}: {refused:?}");
        }
    }
}

/// A row of a cursor is one row, and what a small table loses with the rows of a big one is little.
#[test]
fn what_is_little_is_done() {
    let stage = Stage::new();
    stage.straight().all(SETUP);
    stage.straight().all(&[
        "TRUNCATE child; INSERT INTO child SELECT i, i FROM generate_series(1, 300) i; ANALYZE child",
    ]);
    let mut person = stage.through();
    person.all(&[MANY]);
    let cut = person.query("DELETE FROM r WHERE id > 10");
    assert_eq!(cut.tag(), "DELETE 290");
    assert!(cut.notices().iter().any(|notice| notice.contains("in batches")), "{cut:?}");
    assert_eq!(stage.now("SELECT count(*), max(r) FROM child"), "10|10");
    for way in Way::BOTH {
        person.each(
            way,
            &["BEGIN", "DECLARE c CURSOR FOR SELECT id FROM t WHERE id > 7 ORDER BY id FOR UPDATE"],
        );
        person.all(&["FETCH c"]);
        let one = person.ask(way, "UPDATE t SET n = n + 1000 WHERE CURRENT OF c");
        assert!(one.tag() == "UPDATE 1" && one.notices().is_empty(), "{one:?}");
        person.all(&["COMMIT"]);
    }
    assert_eq!(stage.now("SELECT id, n FROM t WHERE n > 1000"), "8|2008");
}

/// A partition may have keys of its own, and others may refer to it alone.
#[test]
fn what_only_a_partition_has_counts() {
    for installation in each_major() {
        let stage = Stage::on(installation);
        stage.straight().all(&[
            "CREATE TABLE p (id int PRIMARY KEY, v int, w int) PARTITION BY RANGE (id)",
            "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100); CREATE TABLE p2 PARTITION OF p DEFAULT",
            "ALTER TABLE p2 ADD UNIQUE (v) DEFERRABLE; INSERT INTO p SELECT i, i, i FROM generate_series(1, 300) i",
            "CREATE TABLE under (id int PRIMARY KEY, p int REFERENCES p2 ON DELETE CASCADE)",
            "CREATE TABLE also (id int PRIMARY KEY, p int REFERENCES p); CREATE TABLE kin (LIKE p) PARTITION BY RANGE (id)",
            "CREATE TABLE kin1 PARTITION OF kin DEFAULT; ALTER TABLE kin1 ADD PRIMARY KEY (id), ADD FOREIGN KEY (v) REFERENCES kin1",
            "INSERT INTO kin SELECT i, i, i FROM generate_series(1, 300) i",
            "INSERT INTO under SELECT i, i FROM generate_series(100, 300) i; ANALYZE",
        ]);
        let mut person = stage.through();
        person.all(&[MANY]);
        for (at, (sql, reason)) in [
            ("UPDATE p SET v = v + 1", "it changes a column of p2_v_key, which is DEFERRABLE"),
            ("DELETE FROM p", "of \"public\".\"under\" that refer to it (under_p_fkey, ON DELETE CASCADE)"),
            ("DELETE FROM kin", "its rows refer to each other (kin1_v_fkey)"),
        ]
        .into_iter()
        .enumerate()
        {
            let refused = person.ask(Way::BOTH[at % 2], sql);
            assert_eq!(refused.failure(), "0A000", "{sql}: {refused:?}");
            assert!(
                refused.detail().starts_with("In the partition ") && refused.detail().contains(reason),
                "{refused:?}"
            );
            assert!(refused.hint().starts_with("To run it as sent, say why in a comment"), "{refused:?}");
        }
        assert_eq!(stage.now("SELECT count(*) FROM p WHERE v = id"), "300", "nothing was done");
        assert_eq!(stage.now("SELECT count(*) FROM lockkeeper.task WHERE state <> 'dropped'"), "0");
        assert_eq!(person.query("UPDATE p SET w = w + 1").tag(), "UPDATE 300");
        assert_eq!(person.query("UPDATE kin SET w = w + 1").tag(), "UPDATE 300");
        stage.straight().all(&["DROP TABLE under"]);
        assert_eq!(person.query("DELETE FROM p").tag(), "DELETE 300");
    }
}

/// A session whose transactions see one snapshot gets what it asked for, or nothing.
#[test]
fn other_levels_of_isolation_are_not_cut() {
    let stage = Stage::new();
    stage.straight().all(SETUP);
    let mut person = stage.through();
    person.all(&[MANY, "SET default_transaction_isolation = 'repeatable read'"]);
    let refused = person.query("UPDATE t SET n = 0");
    assert!(refused.detail().contains("REPEATABLE READ"), "{refused:?}");
    for way in Way::BOTH {
        let mut person = stage.through();
        person.all(&[MANY]);
        for begin in [
            &["BEGIN ISOLATION LEVEL SERIALIZABLE"][..],
            &["BEGIN", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"],
            &["SET default_transaction_isolation = serializable", "BEGIN ISOLATION LEVEL READ COMMITTED"],
        ] {
            person.each(way, begin);
            let refused = person.ask(way, "UPDATE t SET n = 0");
            assert_eq!(refused.failure(), "0A000", "{begin:?}");
            assert!(refused.detail().contains("SERIALIZABLE"), "{refused:?}");
            person.each(way, &["ROLLBACK"]);
        }
        person.each(way, &["RESET default_transaction_isolation", "BEGIN", "UPDATE t SET n = 0", "ROLLBACK"]);
    }
}

/// Rows that may not be read, locked or found.
#[test]
fn rights_are_those_of_the_role() {
    let stage = Stage::new();
    stage.straight().all(SETUP);
    stage.straight().all(&[
        "CREATE ROLE app LOGIN",
        "GRANT UPDATE, DELETE ON r TO app",
        "GRANT DELETE, SELECT ON fired TO app; DROP TRIGGER seen ON fired",
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY; GRANT ALL ON t TO app",
        "CREATE POLICY upper_part ON t USING (id > 250)",
    ]);
    let mut person = Person::called(stage.proxy.addr(), &[("user", "app")]);
    person.all(&[MANY]);
    assert!(person.query("UPDATE r SET n = 0").detail().contains("takes the right SELECT"));
    assert!(person.query("UPDATE t SET n = 0").detail().contains("row security"));
    // Who may not lock rows deletes them all the same.
    assert_eq!(person.query("DELETE FROM fired").tag(), "DELETE 300");
}

/// Where nobody can note how far it is, it does not begin.
#[test]
fn without_a_schema_it_is_refused() {
    let stage = Stage::with("[ledger]\ninstall = \"off\"");
    stage.straight().all(SETUP);
    let mut person = stage.through();
    person.all(&[MANY]);
    let refused = person.query("UPDATE t SET n = 0");
    assert_eq!(refused.failure(), "55000", "{refused:?}");
    assert!(
        refused.error().expect("an error").message().starts_with("UPDATE cannot be carried out in batches")
    );
    assert!(refused.detail().contains("How far it is has to be noted"), "{refused:?}");
    assert!(refused.hint().contains("lockkeeper init"), "{refused:?}");
    let refused = person.query("/* lockkeeper: resume 1 */ UPDATE t SET n = 0");
    assert_eq!(refused.failure(), "55000", "{refused:?}");
    assert_eq!(refused.error().expect("an error").message(), "UPDATE cannot go on where it was interrupted");
    assert!(refused.detail().contains("has no schema \"lockkeeper\""), "{refused:?}");
    assert!(refused.hint().contains("lockkeeper init"), "{refused:?}");
}

/// Whoever goes on with it when the session is lost would not have its settings.
#[test]
fn what_reads_a_setting_of_ones_own_is_not_cut() {
    let stage = Stage::new();
    stage.straight().all(SETUP);
    let mut person = stage.through();
    person.all(&[MANY, "SET app.tenant = '7'"]);
    for way in Way::BOTH {
        let refused = person.ask(way, "UPDATE t SET n = current_setting('app.tenant')::int");
        assert_eq!(refused.failure(), "0A000", "{refused:?}");
        assert!(refused.detail().contains("Whoever goes on with it"), "{refused:?}");
    }
    assert_eq!(stage.now("SELECT count(*) FROM t WHERE n = 7"), "1");
}
