//! Partitioned tables with all that is below them: columns that become NOT NULL, and primary keys.

use crate::support::each_major;
use crate::support::twins::Twins;

/// A tree of three levels, in two schemas, whose leaves do not all have their columns in the same order.
const TREE: &str = "
    CREATE SCHEMA elsewhere;
    CREATE TABLE p (a int, b int, c text) PARTITION BY RANGE (a);
    CREATE TABLE p1 (c text, gone int, b int, a int);
    ALTER TABLE p1 DROP gone;
    ALTER TABLE p ATTACH PARTITION p1 FOR VALUES FROM (0) TO (10);
    CREATE TABLE elsewhere.p2 PARTITION OF p FOR VALUES FROM (10) TO (20) PARTITION BY LIST (a);
    CREATE TABLE p21 PARTITION OF elsewhere.p2 FOR VALUES IN (10, 11);
    CREATE TABLE \"P rest\" PARTITION OF elsewhere.p2 DEFAULT PARTITION BY LIST (a);
    CREATE TABLE elsewhere.p_rest_12 PARTITION OF \"P rest\" FOR VALUES IN (12);
    INSERT INTO p SELECT n, n, n::text FROM generate_series(0, 12) n";

/// Each with the version that brought it, and what stands there before.
const NOT_NULL: &[(u32, &str, &str)] = &[
    (13, "ALTER TABLE p ALTER b SET NOT NULL", ""),
    (13, "alter table public.p alter column \"c\" set not null", ""),
    (13, "ALTER TABLE p ALTER b SET NOT NULL", "ALTER TABLE p1 ALTER b SET NOT NULL"),
    (13, "ALTER TABLE p ALTER b SET NOT NULL", "ALTER TABLE elsewhere.p2 ALTER b SET NOT NULL"),
    (13, "ALTER TABLE p ALTER b SET NOT NULL", "ALTER TABLE p21 ADD CHECK (b IS NOT NULL)"),
    // Of that name the partition keeps its own.
    (
        13,
        "ALTER TABLE p ALTER b SET NOT NULL",
        "ALTER TABLE p1 ADD CONSTRAINT p_b_not_null1 CHECK (b IS NOT NULL)",
    ),
    (13, "ALTER TABLE elsewhere.p2 ALTER b SET NOT NULL", ""),
    (18, "ALTER TABLE p ADD CONSTRAINT given NOT NULL c", "ALTER TABLE p1 ADD CONSTRAINT own NOT NULL c"),
    (18, "ALTER TABLE p ALTER b SET NOT NULL", "ALTER TABLE p ADD CONSTRAINT given NOT NULL b NOT VALID"),
];

#[test]
fn columns_become_not_null_in_all_partitions() {
    for installation in each_major() {
        let major = installation.major;
        let mut twins = Twins::on(installation);
        for (_, sql, before) in NOT_NULL.iter().filter(|(since, ..)| *since <= major) {
            twins.begin(&[TREE, before]);
            twins.alike(&[], sql);
        }
    }
}

/// Up to 17 a CHECK of the name that is looked for first would be merged with that of the way there.
#[test]
fn a_check_of_a_partition_is_not_put_at_risk() {
    for installation in each_major().into_iter().filter(|one| one.major < 18) {
        let mut twins = Twins::on(installation);
        let own = "ALTER TABLE p1 ADD CONSTRAINT p_b_not_null CHECK (b IS NOT NULL)";
        twins.begin(&[TREE, own]);
        twins.alike(&[], "ALTER TABLE p ALTER b SET NOT NULL");
        assert!(twins.stage.was_run("p_b_not_null1"));
        twins.begin(&[TREE, own, "UPDATE p SET b = NULL WHERE a = 12"]);
        twins.alike_in_failure(&[], "ALTER TABLE p ALTER b SET NOT NULL");
    }
}

#[test]
fn a_null_in_a_partition_leaves_all_as_it_was() {
    for installation in each_major() {
        let mut twins = Twins::on(installation);
        for (sql, before) in [
            ("ALTER TABLE p ALTER b SET NOT NULL", "UPDATE p SET b = NULL WHERE a = 12"),
            (
                "ALTER TABLE p ALTER b SET NOT NULL",
                "UPDATE p SET b = NULL WHERE a = 12; ALTER TABLE p1 ALTER b SET NOT NULL; ALTER TABLE p21 ALTER b SET NOT NULL",
            ),
            ("ALTER TABLE p ALTER \"c\" SET NOT NULL", "UPDATE p SET c = NULL WHERE a IN (5, 12)"),
        ] {
            twins.begin(&[TREE, before]);
            twins.alike_in_failure(&[], sql);
        }
    }
}

/// Each with what stands there before.
const KEYS: &[(&str, &str)] = &[
    ("ALTER TABLE p ADD PRIMARY KEY (a)", "ALTER TABLE p ALTER a SET NOT NULL"),
    ("ALTER TABLE p ADD PRIMARY KEY (b, a)", ""),
    (
        "ALTER TABLE p ADD CONSTRAINT \"the Key\" PRIMARY KEY (a, b) INCLUDE (c)",
        "ALTER TABLE p ALTER b SET NOT NULL",
    ),
    ("alter table p add primary key (a) deferrable", "ALTER TABLE p1 ALTER a SET NOT NULL"),
    ("ALTER TABLE p ADD PRIMARY KEY (a, c)", "ALTER TABLE elsewhere.p2 ALTER c SET NOT NULL"),
    ("ALTER TABLE elsewhere.p2 ADD PRIMARY KEY (a)", ""),
];

#[test]
fn primary_keys_of_columns_that_may_be_null_are_those_that_were_asked_for() {
    for installation in each_major() {
        let mut twins = Twins::overlooking_owners(installation);
        for (sql, before) in KEYS {
            twins.begin(&[TREE, before]);
            twins.alike(&[], sql);
        }
    }
}

#[test]
fn primary_keys_that_cannot_be_leave_all_as_it_was() {
    for installation in each_major() {
        let mut twins = Twins::on(installation);
        for before in [
            "UPDATE p SET b = NULL WHERE a = 12",
            "UPDATE p SET b = NULL WHERE a = 12; ALTER TABLE p1 ALTER b SET NOT NULL",
            "INSERT INTO p SELECT * FROM p WHERE a = 12",
            "INSERT INTO p SELECT * FROM p WHERE a = 12; ALTER TABLE p1 ALTER b SET NOT NULL",
            "INSERT INTO p SELECT * FROM p WHERE a = 12; ALTER TABLE elsewhere.p2 ALTER a SET NOT NULL",
            "CREATE TABLE p_pkey ()",
        ] {
            twins.begin(&[TREE, before]);
            let sql = if before.starts_with("CREATE") {
                "ALTER TABLE p ADD CONSTRAINT p_pkey PRIMARY KEY (a, b)"
            } else {
                "ALTER TABLE p ADD PRIMARY KEY (a, b)"
            };
            twins.alike_in_failure(&[], sql);
        }
    }
}

/// Counts, in both, the commands, and lets a partition come before one of them.
const COMING: &str = "
    CREATE SEQUENCE strokes;
    CREATE TABLE target AS SELECT 0 AS stroke;
    CREATE FUNCTION come() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
        IF nextval('public.strokes') = (SELECT stroke FROM public.target) THEN
            CREATE TABLE public.p9 PARTITION OF public.p FOR VALUES FROM (90) TO (99);
            INSERT INTO public.p9 VALUES (90, 90, 'x');
        END IF;
    END $$";

const COMES: &str = "CREATE EVENT TRIGGER come ON ddl_command_start EXECUTE FUNCTION come()";
const NINTH: &str = "CREATE TABLE p9 PARTITION OF p FOR VALUES FROM (90) TO (99)";

#[test]
fn a_partition_that_comes_meanwhile_is_like_the_others() {
    for installation in each_major() {
        let steps = if installation.major < 18 { 3 } else { 2 };
        let mut twins = Twins::on(installation);
        for stroke in 2..=steps {
            twins.begin(&[TREE, COMING]);
            twins.plain.all(&[NINTH, COMES]);
            twins.beside.all(&[&format!("UPDATE target SET stroke = {stroke}"), COMES]);
            twins.alike(&[], "ALTER TABLE p ALTER b SET NOT NULL");
            assert_eq!(twins.beside.table("SELECT count(*) FROM p9"), "1", "at {stroke}");
        }
    }
}

/// What each command reads of the leaves, and whether it locks one of them as strongly as can be.
const READING: &str = "
    CREATE TABLE reads (sql text, tuples bigint, strong boolean);
    CREATE FUNCTION leaves_read() RETURNS bigint LANGUAGE sql AS $$
        SELECT coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::bigint FROM pg_stat_xact_user_tables
        WHERE relid IN (SELECT relid FROM pg_partition_tree('public.p')) $$;
    CREATE FUNCTION notes() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
        IF tg_event = 'ddl_command_start' THEN
            PERFORM set_config('test.read', public.leaves_read()::text, false);
        ELSE
            INSERT INTO public.reads SELECT current_query(),
                public.leaves_read() - current_setting('test.read')::bigint, EXISTS (
                SELECT FROM pg_locks WHERE pid = pg_backend_pid() AND mode = 'AccessExclusiveLock'
                AND relation IN (SELECT relid FROM pg_partition_tree('public.p') WHERE isleaf));
        END IF;
    END $$;
    CREATE EVENT TRIGGER begins ON ddl_command_start EXECUTE FUNCTION notes();
    CREATE EVENT TRIGGER ends ON ddl_command_end EXECUTE FUNCTION notes()";

#[test]
fn no_partition_is_read_under_a_strong_lock() {
    for installation in each_major() {
        let major = installation.major;
        let mut twins = Twins::on(installation);
        for sql in [
            "ALTER TABLE p ALTER b SET NOT NULL",
            "ALTER TABLE p ADD PRIMARY KEY (a, b)",
            "ALTER TABLE p ADD x int DEFAULT 1 CHECK (x > 0)",
        ] {
            twins.begin(&[TREE, READING]);
            // The plain statement is what the counting has to tell it from.
            twins.plain.all(&[sql]);
            twins.through(&[]).all(&[sql]);
            let strong = "SELECT sql FROM reads WHERE strong AND tuples > 0";
            assert_eq!(twins.plain.table(strong), sql, "{major}");
            assert_eq!(twins.beside.table(strong), "", "{major}: {sql}");
            assert_ne!(twins.beside.table("SELECT sql FROM reads WHERE tuples > 0"), "", "{major}: {sql}");
        }
    }
}

/// What a key by an index leaves on 18: the NOT NULL of each leaf is its own too, so that it outlives that of its parent.
#[test]
fn the_not_null_of_a_partition_with_such_a_key_stays_on_18() {
    for installation in each_major().into_iter().filter(|one| one.major >= 18) {
        let mut twins = Twins::on(installation);
        twins.begin(&[TREE]);
        let mut client = twins.through(&[]);
        let answer = client.query("ALTER TABLE p ADD PRIMARY KEY (a)");
        assert!(answer.notices().concat().contains("makes the NOT NULL of each partition its own"));
        twins.beside.all(&["ALTER TABLE p DROP CONSTRAINT p_pkey, ALTER a DROP NOT NULL"]);
        let own = "SELECT string_agg(conrelid::regclass::text, ' ' ORDER BY conrelid) FROM pg_constraint \
            WHERE contype = 'n' AND conrelid >= 16384";
        assert_eq!(twins.beside.table(own), "p1 p21 elsewhere.p_rest_12");
    }
}

const OTHERS: &str = "CREATE TABLE o (id int PRIMARY KEY); INSERT INTO o SELECT generate_series(0, 12); \
    CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id); \
    CREATE TABLE parted_1 PARTITION OF parted DEFAULT; INSERT INTO parted VALUES (7)";

/// Each with the version that brought it.
const COLUMNS: &[(u32, &str)] = &[
    (13, "ALTER TABLE p ADD COLUMN x int CHECK (x > 0)"),
    (
        13,
        "ALTER TABLE p ADD x int DEFAULT 7 CHECK (x > 0) NOT NULL CONSTRAINT \"the check\" CHECK (x > a - 9)",
    ),
    (13, "alter table public.p add if not exists x int default 7 check (a >= 0)"),
    (13, "ALTER TABLE elsewhere.p2 ADD x int CHECK (x > 0)"),
    (13, "ALTER TABLE p ADD x int CHECK (x > 0) REFERENCES o"),
    (18, "ALTER TABLE p ADD x int DEFAULT 7 REFERENCES o"),
    (
        18,
        "ALTER TABLE p ADD x int DEFAULT 7 CHECK (x > 6) REFERENCES o ON DELETE CASCADE DEFERRABLE NOT NULL",
    ),
];

#[test]
fn new_columns_are_those_that_were_asked_for() {
    for installation in each_major() {
        let major = installation.major;
        let mut twins = Twins::on(installation);
        for (since, sql) in COLUMNS {
            twins.begin(&[TREE, OTHERS]);
            match (*since <= major, sql.contains("elsewhere")) {
                // The column of a partition is its parent's to add.
                (_, true) => drop(twins.alike_in_failure(&[], sql)),
                (true, false) => drop(twins.alike(&[], sql)),
                (false, false) => {}
            }
        }
    }
}

#[test]
fn new_columns_that_cannot_be_proved_go_again() {
    for installation in each_major() {
        let major = installation.major;
        let mut twins = Twins::on(installation);
        for (since, sql, before) in [
            (13, "ALTER TABLE p ADD x int DEFAULT 0 CHECK (x > 0)", ""),
            (13, "ALTER TABLE p ADD x int CHECK (x > 0) CHECK (b < 12)", ""),
            (
                18,
                "ALTER TABLE p ADD x int DEFAULT 7 CHECK (x > 0) REFERENCES o",
                "DELETE FROM o WHERE id = 7",
            ),
            // What a partition has would become part of the new one: that is refused.
            (
                99,
                "ALTER TABLE p ADD x int CONSTRAINT k CHECK (b < 12)",
                "UPDATE p SET b = 0 WHERE a > 9; ALTER TABLE p1 ADD CONSTRAINT k CHECK (b < 12); UPDATE p SET b = 12 WHERE a > 9",
            ),
            // A key of that column alone is none that a partitioned table may have.
            (13, "ALTER TABLE p ADD x int UNIQUE", ""),
            (13, "ALTER TABLE p ADD x int CHECK (x > 0) UNIQUE", ""),
            (13, "ALTER TABLE p ADD x int DEFAULT 7 REFERENCES o UNIQUE", ""),
        ] {
            twins.begin(&[TREE, OTHERS, before]);
            if since <= major {
                twins.alike_in_failure(&[], sql);
            } else {
                twins.alike_once_allowed(&[], sql);
            }
        }
    }
}

/// One that comes when the parent has its key gets one, too.
#[test]
fn a_partition_that_comes_behind_the_key_of_its_parent_has_one() {
    for installation in each_major() {
        let behind = if installation.major < 18 { 8 } else { 6 };
        let mut twins = Twins::overlooking_owners(installation);
        twins.begin(&[TREE, COMING]);
        twins.plain.all(&[NINTH, COMES]);
        twins.beside.all(&[&format!("UPDATE target SET stroke = {behind}"), COMES]);
        twins.alike(&[], "ALTER TABLE p ADD PRIMARY KEY (a, b)");
        assert_eq!(twins.beside.table("SELECT count(*) FROM p9"), "1");
    }
}

/// One that comes before has none, so that the key of its parent is not whole: all is as it was, but for that partition.
#[test]
fn a_partition_that_comes_before_the_key_of_its_parent_ends_the_plan() {
    for installation in each_major() {
        let mut twins = Twins::overlooking_owners(installation);
        twins.begin(&[TREE, COMING]);
        twins.plain.all(&[NINTH, COMES]);
        twins.beside.all(&["UPDATE target SET stroke = 2", COMES]);
        let mut client = twins.through(&[]);
        let answer = client.query("ALTER TABLE p ADD PRIMARY KEY (a, b)");
        assert_eq!(answer.failure(), "55000", "{answer:?}");
        assert!(answer.hint().contains("may have been attached meanwhile"), "{answer:?}");
        twins.compare("nothing");
        assert_eq!(twins.beside.table("SELECT count(*) FROM p9"), "1");
    }
}
