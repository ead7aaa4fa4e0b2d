//! Partitions are attached once their bounds are proved, and end as if attached at once.

use crate::support::each_major;
use crate::support::stage::{Person, Way};
use crate::support::twins::Twins;

/// How a parent is partitioned, what its new partition holds, and the words that attach it.
const BOUNDS: &[(&str, &str, &str)] = &[
    ("k int", "RANGE", "FROM (10) TO (20)"),
    ("k bigint NOT NULL", "RANGE", "FROM (-5) TO (MAXVALUE)"),
    ("k smallint", "RANGE", "FROM (MINVALUE) TO (20)"),
    ("k int", "RANGE", "FROM (MINVALUE) TO (MAXVALUE)"),
    ("k date", "RANGE", "FROM ('2020-01-01') TO ('2020-02-01')"),
    ("k timestamptz", "RANGE", "FROM ('2020-01-01 00:00+02') TO ('2020-02-01')"),
    ("k timestamp", "RANGE", "FROM ('2020-01-01') TO ('2020-02-01 12:30:01.5')"),
    ("k numeric", "RANGE", "FROM (-1) TO (2000)"),
    ("k text", "RANGE", "FROM ('') TO ('b''\\\"')"),
    ("k text COLLATE \"C\"", "RANGE", "FROM ('0') TO ('z')"),
    ("k varchar(9)", "LIST", "IN ('ok', 'a\\b', NULL)"),
    ("k varchar(9)", "LIST", "IN ('ok')"),
    ("k int", "LIST", "IN (11, 12, -1)"),
    ("k int", "LIST", "IN (NULL)"),
    ("k text", "LIST", "IN (NULL, 'ok')"),
    ("k uuid", "LIST", "IN ('00000000-0000-0000-0000-000000000001')"),
    ("\"the Key\" int", "RANGE", "FROM (10) TO (20)"),
];

/// A value within the bounds, NULL where only that is.
fn within(column: &str, bound: &str) -> &'static str {
    match (column, bound) {
        (_, "IN (NULL)") => "NULL",
        (column, _) if column.contains("numeric") || column.contains("int") => "11",
        (column, _) if column.contains("date") || column.contains("time") => "'2020-01-15'",
        (column, _) if column.contains("uuid") => "'00000000-0000-0000-0000-000000000001'",
        (_, bound) if bound.contains("ok") => "'ok'",
        _ => "'a'",
    }
}

fn setup(column: &str, by: &str, rows: &str) -> [String; 3] {
    let key = if column.starts_with('"') { "\"the Key\"" } else { "k" };
    [
        format!("CREATE TABLE p (a int, {column}) PARTITION BY {by} ({key})"),
        format!("CREATE TABLE c (a int, {column})"),
        format!("INSERT INTO c SELECT n, {rows} FROM generate_series(1, 50) n"),
    ]
}

#[test]
fn the_partition_is_the_one_that_was_asked_for() {
    for installation in each_major() {
        let mut twins = Twins::on(installation);
        for (column, by, bound) in BOUNDS {
            let made = setup(column, by, within(column, bound));
            twins.begin(&made.each_ref().map(String::as_str));
            let sql = format!("ALTER TABLE p ATTACH PARTITION c FOR VALUES {bound}");
            // Once the CHECK is there, the server itself says that it reads nothing.
            let mut client = twins.through(&["SET client_min_messages = debug1"]);
            twins.plain.all(&[&sql]);
            let answer = client.ask(Way::Simple, &sql);
            assert_eq!(answer.tag(), "ALTER TABLE", "{sql}");
            let told = answer.notices().join("\n");
            assert!(told.contains(" runs as "), "{column} {bound}: {told}");
            assert!(told.contains("is implied by existing constraints"), "{column} {bound}: {told}");
            twins.compare(&sql);
        }
    }
}

/// A default partition that takes its time, and what it holds.
fn with_rest(column: &str, by: &str, bound: &str) -> [String; 5] {
    let beyond = match bound {
        "FROM (-5) TO (MAXVALUE)" => "-100",
        "IN (NULL)" => "11",
        _ if bound.contains("NULL") => "'x'",
        _ => "NULL",
    };
    let [parent, child, rows] = setup(column, by, within(column, bound));
    let rest = "CREATE TABLE rest PARTITION OF p DEFAULT".to_owned();
    let many = format!("INSERT INTO p SELECT n, {beyond} FROM generate_series(1, 3000) n");
    [parent, child, rows, rest, many]
}

#[test]
fn beside_a_default_partition_nothing_is_read_either() {
    for installation in each_major() {
        let mut twins = Twins::on(installation);
        for (column, by, bound) in BOUNDS {
            let made = with_rest(column, by, bound);
            twins.begin(&made.each_ref().map(String::as_str));
            let sql = format!("ALTER TABLE p ATTACH PARTITION c FOR VALUES {bound}");
            let mut client = twins.through(&["SET client_min_messages = debug1"]);
            twins.plain.all(&[&sql]);
            let answer = client.ask(Way::Extended, &sql);
            assert_eq!(answer.tag(), "ALTER TABLE", "{sql}");
            let told = answer.notices().join("\n");
            for words in [
                " runs as ",
                "partition constraint for table \"c\" is implied by existing constraints",
                "updated partition constraint for default partition \"rest\" is implied by existing constraints",
            ] {
                assert!(told.contains(words), "{column} {bound}: {words}: {told}");
            }
            twins.compare(&sql);
        }
    }
}

#[test]
fn what_the_default_partition_holds_stops_it() {
    for installation in each_major() {
        let mut twins = Twins::on(installation);
        for (own, in_rest) in [("11", "15"), ("25", "NULL"), ("NULL", "5")] {
            let [parent, child, rows] = setup("k int", "RANGE", own);
            let rest = "CREATE TABLE rest PARTITION OF p DEFAULT";
            let many = format!("INSERT INTO p SELECT n, {in_rest} FROM generate_series(1, 3000) n");
            // One is taken already, and is not to be confused with the proof's.
            let known = "ALTER TABLE rest ADD CONSTRAINT rest_bounds_check CHECK (a > 0)";
            twins.begin(&[&parent, &child, &rows, rest, &many, known]);
            twins.alike_in_failure(&[], SQL);
        }
    }
}

/// What is below the default partition is proved with it; a parent that is a partition itself asks for its own bounds, too.
#[test]
fn a_tree_above_or_beside_is_proved_as_well() {
    const ABOVE: &str = "CREATE TABLE top (a int, k int) PARTITION BY RANGE (a);
        CREATE TABLE top_rest PARTITION OF top DEFAULT;
        CREATE TABLE p PARTITION OF top FOR VALUES FROM (0) TO (100) PARTITION BY RANGE (k);
        CREATE TABLE c (k int, a int);
        INSERT INTO c SELECT 11, n FROM generate_series(1, 50) n";
    const BESIDE: &str = "CREATE TABLE p (a int, k int) PARTITION BY RANGE (k);
        CREATE TABLE rest PARTITION OF p DEFAULT PARTITION BY LIST (a);
        CREATE TABLE rest_none PARTITION OF rest FOR VALUES IN (NULL);
        CREATE TABLE rest_all PARTITION OF rest DEFAULT PARTITION BY RANGE (a);
        CREATE TABLE rest_last (k int CONSTRAINT rest_bounds_check CHECK (k > 0), a int);
        ALTER TABLE rest_all ATTACH PARTITION rest_last FOR VALUES FROM (1) TO (MAXVALUE);
        INSERT INTO p SELECT n, 30 FROM generate_series(1, 3000) n;
        CREATE TABLE c (k int, a int);
        INSERT INTO c SELECT 11, n FROM generate_series(1, 50) n";
    for installation in each_major() {
        let mut twins = Twins::on(installation);
        for setup in [ABOVE, BESIDE] {
            twins.begin(&[setup]);
            let mut client = twins.through(&["SET client_min_messages = debug1"]);
            twins.plain.all(&[SQL]);
            let answer = client.query(SQL);
            assert_eq!(answer.tag(), "ALTER TABLE", "{setup}: {answer:?}");
            let told = answer.notices().join("\n");
            let implied = "\"c\" is implied by existing constraints";
            assert!(told.contains(" runs as ") && told.contains(implied), "{setup}: {told}");
            if setup == BESIDE {
                let implied = "default partition \"rest\" is implied by existing constraints";
                assert!(told.contains(implied), "{told}");
            }
            twins.compare(setup);
        }
        twins.begin(&[BESIDE, "INSERT INTO p VALUES (7, 15)"]);
        twins.alike_in_failure(&[], SQL);
        twins.begin(&[ABOVE, "INSERT INTO c VALUES (11, 100)"]);
        twins.alike_in_failure(&[], SQL);
    }
}

/// What belongs into the new partition and came to the default one before would stop the plain statement, too.
#[test]
fn until_it_is_attached_only_its_own_rows_are_refused() {
    let mut twins = Twins::on(each_major().remove(0));
    let made = with_rest("k int", "RANGE", "FROM (10) TO (20)");
    twins.begin(&made.each_ref().map(String::as_str));
    twins.beside.all(&[HOLD[0], "CREATE EVENT TRIGGER hold ON ddl_command_start EXECUTE FUNCTION hold()"]);
    let mut client = twins.through(&[]);
    client.send(Way::Simple, SQL);
    twins.stage.until("SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE '%ATTACH%' AND pid <> pg_backend_pid()");
    twins.beside.all(&["INSERT INTO p VALUES (1, 5), (1, NULL)"]);
    assert_eq!(twins.beside.query("INSERT INTO p VALUES (1, 15)").failure(), "23514");
    assert_eq!(client.answer().tag(), "ALTER TABLE");
    twins.beside.all(&["INSERT INTO p VALUES (1, 15)"]);
}

#[test]
fn what_does_not_belong_there_leaves_the_table_as_it_was() {
    for installation in each_major() {
        let mut twins = Twins::on(installation);
        for (column, by, bound, row) in [
            ("k int", "RANGE", "FROM (10) TO (20)", "20"),
            ("k int", "RANGE", "FROM (10) TO (20)", "9"),
            ("k int", "RANGE", "FROM (10) TO (20)", "NULL"),
            ("k int", "RANGE", "FROM (MINVALUE) TO (MAXVALUE)", "NULL"),
            ("k int", "LIST", "IN (1, 2)", "3"),
            ("k int", "LIST", "IN (1, 2)", "NULL"),
            ("k text", "LIST", "IN ('a', NULL)", "''"),
            ("k int", "LIST", "IN (NULL)", "1"),
            ("k int", "RANGE", "FROM (100) TO (110)", "105"),
        ] {
            let made = setup(column, by, row);
            twins.begin(&made.each_ref().map(String::as_str));
            if by == "RANGE" {
                let taken = "CREATE TABLE there PARTITION OF p FOR VALUES FROM (100) TO (200)";
                let taken = if bound.contains("MINVALUE") { "SELECT 1" } else { taken };
                twins.plain.all(&[taken]);
                twins.beside.all(&[taken]);
            }
            twins.alike_in_failure(&[], &format!("ALTER TABLE p ATTACH PARTITION c FOR VALUES {bound}"));
        }
    }
}

#[test]
fn what_cannot_be_said_for_sure_is_refused() {
    for installation in each_major() {
        let mut twins = Twins::on(installation);
        for (column, by, row, bound, more) in [
            ("k int", "HASH", "11", "WITH (MODULUS 1, REMAINDER 0)", ""),
            ("k int", "RANGE", "11", "FROM (9 + 1) TO (20)", ""),
            ("k int", "RANGE", "11", "FROM ('10'::int) TO (20)", ""),
            ("k int", "RANGE", "11", "FROM (9.5) TO (20)", ""),
            ("k numeric(9,1)", "RANGE", "11", "FROM (9.55) TO (20)", ""),
            ("k date", "RANGE", "'2020-01-15'", "FROM ('-infinity') TO ('infinity')", ""),
            ("k bool", "LIST", "true", "IN (true)", ""),
            ("k int", "LIST", "11", "IN (11)", "ALTER TABLE c INHERIT kin"),
        ] {
            let made = setup(column, by, row);
            let mut made: Vec<&str> = made.iter().map(String::as_str).collect();
            made.extend(["CREATE TABLE kin ()", more].iter().filter(|sql| !sql.is_empty()));
            twins.begin(&made);
            let sql = format!("ALTER TABLE p ATTACH PARTITION c FOR VALUES {bound}");
            twins.alike_once_allowed(&[], &sql);
        }
    }
}

/// Holds the table's lock for a while once it is attached, so that a reader can queue behind it.
const HOLD: [&str; 2] = [
    "CREATE FUNCTION hold() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
        IF current_query() LIKE '%ATTACH PARTITION%' THEN PERFORM pg_sleep(1); END IF; END $$",
    "CREATE EVENT TRIGGER hold ON ddl_command_end EXECUTE FUNCTION hold()",
];
const SQL: &str = "ALTER TABLE p ATTACH PARTITION c FOR VALUES FROM (10) TO (20)";

#[test]
fn what_is_attached_stays_so_whatever_keeps_the_check_there() {
    let mut twins = Twins::on(each_major().remove(0));
    let made = setup("k int", "RANGE", "11");
    twins.begin(&made.each_ref().map(String::as_str));
    twins.beside.all(&HOLD);
    for left in [false, true] {
        let mut client =
            twins.through(&["SET lockkeeper.retry_for = '1s'", "SET lockkeeper.max_stall = '30s'"]);
        client.send(Way::Simple, SQL);
        twins.stage.until("SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE '%ATTACH%' AND pid <> pg_backend_pid()");
        let mut reader = Person::called(twins.stage.cluster.addr(), &[("database", "online")]);
        reader.all(&["BEGIN", "SELECT count(*) FROM c"]);
        // Too late: the partition is there.
        client.cancel();
        if !left {
            reader.all(&["COMMIT"]);
        }
        let answer = client.answer();
        assert_eq!(answer.tag(), "ALTER TABLE");
        let warned = answer.notice("what the statement asked for is done", b'H');
        assert_eq!(warned.is_some(), left, "{answer:?}");
        reader.all(&["ROLLBACK"]);
        assert_eq!(client.table("SELECT relispartition FROM pg_class WHERE relname = 'c'"), "t");
        let checks = "SELECT count(*) FROM pg_constraint WHERE conrelid = 'c'::regclass AND contype = 'c'";
        assert_eq!(twins.beside.table(checks), if left { "1" } else { "0" });
        if left {
            let by_hand = warned.unwrap_or_default();
            let sql = by_hand.trim_start_matches("Run by hand: ").trim_end_matches('.').to_owned();
            twins.beside.all(&[&sql]);
        }
        assert_eq!(twins.beside.table(checks), "0");
        twins.beside.all(&["ALTER TABLE p DETACH PARTITION c"]);
    }
}

#[test]
fn a_cancel_before_that_leaves_nothing() {
    let mut twins = Twins::on(each_major().remove(0));
    let made = setup("k int", "RANGE", "11");
    twins.begin(&made.each_ref().map(String::as_str));
    let mut reader = Person::called(twins.stage.cluster.addr(), &[("database", "online")]);
    reader.all(&["BEGIN", "SELECT count(*) FROM c"]);
    let mut client = twins.through(&[]);
    client.send(Way::Simple, SQL);
    twins.stage.until("SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep($1%' AND state = 'active' AND pid <> pg_backend_pid()");
    client.cancel();
    assert_eq!(client.answer().failure(), "57014");
    reader.all(&["COMMIT"]);
    twins.compare(SQL);
    assert_eq!(client.query(SQL).tag(), "ALTER TABLE");
}
