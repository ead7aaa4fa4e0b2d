//! Foreign keys of partitioned tables up to 17: proved on each leaf, then put together.

use crate::support::each_major;
use crate::support::stage::{Answer, Person, Way};
use crate::support::twins::{STATE, Twins};

/// Three levels, columns in another order, a schema beside.
const SETUP: &str = "
    CREATE SCHEMA elsewhere;
    CREATE TABLE p (a int NOT NULL, b int, c int) PARTITION BY RANGE (a);
    CREATE TABLE p1 (c int, gone int, b int, a int NOT NULL);
    ALTER TABLE p1 DROP gone;
    ALTER TABLE p ATTACH PARTITION p1 FOR VALUES FROM (0) TO (10);
    CREATE TABLE elsewhere.p2 PARTITION OF p FOR VALUES FROM (10) TO (20) PARTITION BY LIST (a);
    CREATE TABLE p21 PARTITION OF elsewhere.p2 FOR VALUES IN (10, 11);
    CREATE TABLE \"P rest\" PARTITION OF elsewhere.p2 DEFAULT PARTITION BY LIST (a);
    CREATE TABLE elsewhere.p_rest_12 PARTITION OF \"P rest\" FOR VALUES IN (12);
    INSERT INTO p SELECT n, n, n FROM generate_series(0, 12) n;
    CREATE TABLE o (id int PRIMARY KEY, two int, UNIQUE (two, id));
    INSERT INTO o SELECT n, n FROM generate_series(0, 12) n;
    CREATE TABLE parts (id int PRIMARY KEY, two int) PARTITION BY RANGE (id);
    CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (5);
    CREATE TABLE parts_2 PARTITION OF parts DEFAULT PARTITION BY RANGE (id);
    CREATE TABLE parts_21 PARTITION OF parts_2 DEFAULT;
    INSERT INTO parts SELECT n, n FROM generate_series(0, 12) n";

/// Each with the version that brought it, and what stands there before.
const KEYS: &[(u32, &str, &str)] = &[
    (
        13,
        "ALTER TABLE p ADD FOREIGN KEY (b) REFERENCES o",
        "CREATE TABLE t (CONSTRAINT p_b_fkey CHECK (true))",
    ),
    (
        13,
        "alter table public.p add constraint \"The key\" foreign key (b, c) references o (two, id) match full \
         on update cascade on delete set null deferrable initially deferred",
        "",
    ),
    // Of `p` the plain statement gives `p1` a list of other columns, whose numbers are those of `p`.
    (15, "ALTER TABLE elsewhere.p2 ADD FOREIGN KEY (b, a) REFERENCES o (two, id) ON DELETE SET NULL (b)", ""),
    (13, "ALTER TABLE elsewhere.p2 ADD CONSTRAINT k FOREIGN KEY (b) REFERENCES o ON DELETE CASCADE", ""),
    // Both in parts, and both the same.
    (13, "ALTER TABLE p ADD FOREIGN KEY (b) REFERENCES parts ON DELETE CASCADE", ""),
    (
        13,
        "ALTER TABLE p ADD FOREIGN KEY (b) REFERENCES p (a) DEFERRABLE",
        "ALTER TABLE p ADD PRIMARY KEY (a)",
    ),
    // What a partition has already is taken as it is; what is not quite the same stays beside.
    (
        13,
        "ALTER TABLE p ADD CONSTRAINT k FOREIGN KEY (b) REFERENCES o",
        "
        ALTER TABLE p1 ADD CONSTRAINT k FOREIGN KEY (b) REFERENCES o;
        ALTER TABLE p21 ADD CONSTRAINT mine FOREIGN KEY (b) REFERENCES o (id)",
    ),
    (
        13,
        "ALTER TABLE p ADD CONSTRAINT k FOREIGN KEY (b) REFERENCES o DEFERRABLE",
        "
        ALTER TABLE elsewhere.p2 ADD CONSTRAINT k FOREIGN KEY (b) REFERENCES o DEFERRABLE;
        ALTER TABLE p1 ADD FOREIGN KEY (b) REFERENCES o DEFERRABLE NOT VALID",
    ),
    (
        13,
        "ALTER TABLE p ADD CONSTRAINT k FOREIGN KEY (b) REFERENCES o",
        "
        ALTER TABLE \"P rest\" ADD CONSTRAINT mine FOREIGN KEY (b) REFERENCES o;
        ALTER TABLE p1 ADD FOREIGN KEY (b) REFERENCES o ON DELETE CASCADE, ADD FOREIGN KEY (c) REFERENCES o",
    ),
];

#[test]
fn keys_are_those_that_were_asked_for() {
    for installation in each_major().into_iter().filter(|it| it.major < 18) {
        let major = installation.major;
        let mut twins = Twins::on(installation);
        for (_, sql, before) in KEYS.iter().filter(|(since, ..)| *since <= major) {
            twins.begin(&[SETUP, before]);
            let answer = twins.alike(&[], sql);
            assert!(answer.notices().join("\n").contains("on each partition"), "{major}: {sql}: {answer:?}");
        }
    }
}

#[test]
fn what_a_leaf_violates_leaves_nothing() {
    for installation in each_major().into_iter().filter(|it| it.major < 18) {
        let mut twins = Twins::on(installation);
        for (sql, before) in [
            ("ALTER TABLE p ADD FOREIGN KEY (b) REFERENCES o", "DELETE FROM o WHERE id = 12"),
            ("ALTER TABLE p ADD FOREIGN KEY (b) REFERENCES parts", "DELETE FROM parts WHERE id = 12"),
            (
                "ALTER TABLE p ADD CONSTRAINT k FOREIGN KEY (b) REFERENCES p (a)",
                "ALTER TABLE p ADD PRIMARY KEY (a); UPDATE p SET b = 20 WHERE a = 11",
            ),
            (
                "ALTER TABLE p ADD CONSTRAINT k FOREIGN KEY (b, c) REFERENCES o (two, id) MATCH FULL",
                "UPDATE p SET b = NULL WHERE a = 12; ALTER TABLE p1 ADD CONSTRAINT k FOREIGN KEY (b, c) REFERENCES o (two, id) MATCH FULL",
            ),
            ("ALTER TABLE p ADD FOREIGN KEY (b) REFERENCES o (two)", ""),
        ] {
            twins.begin(&[SETUP, before]);
            twins.alike_in_failure(&[], sql);
        }
    }
}

/// Who has no right to lock the other table is not kept from it.
#[test]
fn who_may_only_refer_to_the_other_table_gets_it_too() {
    const OWNED: &str = "
        ALTER TABLE p OWNER TO pg_monitor; ALTER TABLE p1 OWNER TO pg_monitor; ALTER TABLE p21 OWNER TO pg_monitor;
        ALTER TABLE elsewhere.p2 OWNER TO pg_monitor; ALTER TABLE elsewhere.p_rest_12 OWNER TO pg_monitor;
        ALTER TABLE \"P rest\" OWNER TO pg_monitor; GRANT USAGE, CREATE ON SCHEMA public, elsewhere TO pg_monitor;
        GRANT REFERENCES ON o TO pg_monitor";
    for installation in each_major().into_iter().filter(|it| it.major < 18) {
        let mut twins = Twins::on(installation);
        twins.begin(&[SETUP, OWNED]);
        twins.alike(&["SET ROLE pg_monitor"], KEY);
    }
}

/// What may happen to a table and its key later, and what its rows may not do.
const AFTERWARDS: &[&str] = &[
    "ALTER TABLE p DROP CONSTRAINT k",
    "ALTER TABLE p1 DROP CONSTRAINT k",
    "ALTER TABLE p DETACH PARTITION p1",
    "ALTER TABLE p DETACH PARTITION p1; ALTER TABLE p1 DROP CONSTRAINT k",
    "ALTER TABLE p DETACH PARTITION elsewhere.p2",
    "ALTER TABLE p DETACH PARTITION elsewhere.p2; ALTER TABLE p ATTACH PARTITION elsewhere.p2 FOR VALUES FROM (10) TO (20)",
    "ALTER TABLE p DETACH PARTITION elsewhere.p2; DROP TABLE p; DELETE FROM o WHERE id = 12",
    "ALTER TABLE \"P rest\" DETACH PARTITION elsewhere.p_rest_12; DROP TABLE elsewhere.p_rest_12",
    "CREATE TABLE p3 PARTITION OF p FOR VALUES FROM (20) TO (30)",
    "DROP TABLE elsewhere.p_rest_12",
    "DROP TABLE \"P rest\"",
    "DROP TABLE p",
    "DROP TABLE o",
    "DROP TABLE o CASCADE",
    "ALTER TABLE p DROP b",
    "ALTER TABLE p ALTER b TYPE bigint",
    "ALTER TABLE p ALTER CONSTRAINT k DEFERRABLE INITIALLY DEFERRED",
    "ALTER TABLE p RENAME CONSTRAINT k TO j",
    "ALTER TABLE p DISABLE TRIGGER ALL",
    "INSERT INTO p VALUES (1, 99)",
    "UPDATE p SET a = 1, b = 99 WHERE a = 12",
    "DELETE FROM o WHERE id = 12",
    "UPDATE o SET id = 99 WHERE id = 12",
];

/// The rows of `pg_depend` that the catalogues are compared without make no difference: whatever comes later ends alike.
#[test]
fn what_comes_later_ends_alike() {
    fn later(person: &mut Person, sql: &str) -> (Option<(String, String)>, String) {
        let answer = person.query(&format!("BEGIN; {sql}"));
        let error = answer.error().map(|error| (error.sqlstate(), error.message()));
        let state = if error.is_none() { person.table(STATE) } else { String::new() };
        person.all(&["ROLLBACK"]);
        (error, state)
    }
    for installation in each_major().into_iter().filter(|it| it.major < 18) {
        let major = installation.major;
        let mut twins = Twins::on(installation);
        twins.begin(&[SETUP]);
        twins.alike(&[], "ALTER TABLE p ADD CONSTRAINT k FOREIGN KEY (b) REFERENCES o");
        for sql in AFTERWARDS {
            let (plain, online) = (later(&mut twins.plain, sql), later(&mut twins.beside, sql));
            let lines = |state: &str| state.lines().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(online.0, plain.0, "{major}: {sql}");
            assert_eq!(lines(&online.1), lines(&plain.1), "{major}: {sql}");
        }
        // Once a leaf has left, nothing of it is left either.
        twins.beside.all(&["ALTER TABLE p DETACH PARTITION p1"]);
        let left = "SELECT count(*) FROM pg_depend d JOIN pg_trigger g ON g.oid = d.objid AND d.classid = 'pg_trigger'::regclass \
             WHERE tgrelid = 'p1'::regclass AND deptype IN ('P', 'S')";
        assert_eq!(twins.beside.table(left), "0", "{major}");
    }
}

/// What is in the way of the last step alone: it takes the triggers of the leaves' keys off the referenced table.
const READ: &str = "SELECT count(*) FROM o";

/// Lets a plan run up to its last step, lets something happen, lets it go on.
fn meanwhile(twins: &mut Twins, in_the_way: &str, happens: &str) -> Answer {
    let mut holder = Person::called(twins.stage.cluster.addr(), &[("database", "online")]);
    holder.all(&["BEGIN", in_the_way]);
    let mut client = twins.through(&[]);
    let pid = client.pid();
    client.send(Way::Extended, KEY);
    twins.stage.until(&format!(
        "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep($1%' AND state = 'active' AND pid = {pid}"
    ));
    twins.beside.all(&[happens]);
    holder.all(&["COMMIT"]);
    client.answer()
}

const KEY: &str = "ALTER TABLE p ADD CONSTRAINT k FOREIGN KEY (b) REFERENCES o";

/// Once every leaf has it the parent's reads nothing; a leaf that comes before gets it first.
#[test]
fn a_partition_that_comes_meanwhile_gets_its_key_first() {
    for installation in each_major().into_iter().filter(|it| it.major < 18) {
        let major = installation.major;
        let mut twins = Twins::on(installation);
        let fresh = "CREATE TABLE elsewhere.fresh PARTITION OF elsewhere.p2 FOR VALUES IN (15); INSERT INTO p VALUES (15, 1);
            CREATE TABLE p4 PARTITION OF p DEFAULT PARTITION BY LIST (c); CREATE TABLE p41 PARTITION OF p4 DEFAULT";
        twins.begin(&[SETUP]);
        let answer = meanwhile(&mut twins, READ, fresh);
        assert_eq!(answer.tag(), "ALTER TABLE", "{major}");
        let notices = answer.notices().join("\n");
        for name in ["elsewhere.fresh", "public.p41"] {
            assert!(notices.contains(&format!("partition {name} came meanwhile")), "{major}: {notices}");
            let proved = format!("ALTER TABLE {name} VALIDATE CONSTRAINT k");
            assert!(twins.stage.was_run(&proved), "{major}");
        }
        twins.plain.all(&[fresh, KEY]);
        twins.compare(KEY);
        // One that violates it: all is taken back.
        twins.begin(&[SETUP]);
        let bad = "CREATE TABLE elsewhere.fresh PARTITION OF elsewhere.p2 FOR VALUES IN (15); INSERT INTO p VALUES (15, 99)";
        assert_eq!(meanwhile(&mut twins, READ, bad).failure(), "23503", "{major}");
        twins.plain.all(&[bad]);
        twins.compare(KEY);
        // One that has such a key of its own: nobody has looked whether it is the same.
        twins.begin(&[SETUP]);
        let own =
            "CREATE TABLE fresh (LIKE p); ALTER TABLE fresh ADD CONSTRAINT mine FOREIGN KEY (b) REFERENCES o;
            ALTER TABLE p ATTACH PARTITION fresh FOR VALUES FROM (30) TO (40)";
        let answer = meanwhile(&mut twins, READ, own);
        assert_eq!(answer.failure(), "55000", "{major}: {answer:?}");
        assert!(answer.hint().contains("Try again"), "{major}: {answer:?}");
        twins.plain.all(&[own]);
        twins.compare(KEY);
        twins.alike(&[], KEY);
    }
}

/// A leaf that goes takes its part with it, or keeps it where it is only detached.
#[test]
fn a_partition_that_goes_meanwhile_is_no_trouble() {
    const HOLD: &str = "LOCK TABLE ONLY p IN ROW EXCLUSIVE MODE";
    for installation in each_major().into_iter().filter(|it| it.major < 18) {
        let major = installation.major;
        let mut twins = Twins::on(installation);
        let gone = "ALTER TABLE elsewhere.p2 DETACH PARTITION p21; DROP TABLE elsewhere.p_rest_12";
        twins.begin(&[SETUP]);
        assert_eq!(meanwhile(&mut twins, HOLD, gone).tag(), "ALTER TABLE", "{major}");
        twins.plain.all(&[KEY, gone]);
        twins.compare(KEY);
        // The same where all is taken back.
        twins.begin(&[SETUP]);
        let bad = format!(
            "{gone}; CREATE TABLE p22 PARTITION OF elsewhere.p2 FOR VALUES IN (15); INSERT INTO p22 VALUES (15, 99)"
        );
        let answer = meanwhile(&mut twins, HOLD, &bad);
        assert_eq!((answer.failure(), answer.hint()), ("23503".to_owned(), String::new()), "{major}");
        twins.plain.all(&[&bad]);
        twins.compare(KEY);
    }
}

/// What cannot be had in steps is refused, with the steps by hand.
#[test]
fn what_cannot_be_had_is_refused() {
    let installation = each_major().into_iter().rfind(|it| it.major < 18).expect("a server before 18");
    let mut twins = Twins::on(installation);
    for (role, sql, before) in [
        // The server would pick another name for that of the leaf.
        ("NONE", KEY, "ALTER TABLE p21 ADD CONSTRAINT k CHECK (b < 99)"),
        // Who owns the table need not own its leaves.
        (
            "pg_monitor",
            KEY,
            "ALTER TABLE p OWNER TO pg_monitor; GRANT USAGE ON SCHEMA public TO pg_monitor; GRANT REFERENCES ON o TO pg_monitor",
        ),
        ("NONE", "ALTER TABLE p ADD CONSTRAINT k FOREIGN KEY (b) REFERENCES o, ADD CHECK (b >= 0)", ""),
        // The server fails over it, or not, as it would without a proxy.
        (
            "NONE",
            "ALTER TABLE p ADD CONSTRAINT k FOREIGN KEY (b) REFERENCES elsewhere.p2",
            "ALTER TABLE elsewhere.p2 ADD PRIMARY KEY (a); DELETE FROM p WHERE b < 10",
        ),
    ] {
        twins.begin(&[SETUP, before]);
        let role = format!("SET ROLE {role}");
        twins.alike_once_allowed(&[&role], sql);
    }
    twins.begin(&[SETUP]);
    twins.alike_in_failure(&[], "ALTER TABLE ONLY p ADD CONSTRAINT k FOREIGN KEY (b) REFERENCES o");
}
