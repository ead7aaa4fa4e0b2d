//! `UPDATE` and `DELETE` of many rows: in batches, with what the statement itself would have done, each row once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::support::each_major;
use crate::support::raw;
use crate::support::stage::{Stage, Way};

const SETUP: &[&str] = &[
    "CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, note text, at timestamptz, f float8)",
    "INSERT INTO t SELECT i, i % 7, 'note ' || i, '2020-01-01', i / 3.0 FROM generate_series(1, 500) i",
    "CREATE TABLE \"T t\" (\"K\" text COLLATE \"C\", b int, v text, PRIMARY KEY (b, \"K\"))",
    "INSERT INTO \"T t\" SELECT i::text, i % 5, 'v' FROM generate_series(1, 400) i",
    "CREATE SCHEMA IF NOT EXISTS other; CREATE TABLE IF NOT EXISTS other.t AS SELECT * FROM t",
    "CREATE TABLE u (a uuid UNIQUE NOT NULL, v int); INSERT INTO u SELECT md5(i::text)::uuid, i FROM generate_series(1, 300) i",
    "CREATE TABLE o (id int PRIMARY KEY, t_id int, v int); INSERT INTO o SELECT i, i * 2, i FROM generate_series(1, 200) i",
    "CREATE TABLE p (id int, part int, v int, old int, PRIMARY KEY (id, part)) PARTITION BY LIST (part)",
    "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)",
    "CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2) PARTITION BY RANGE (id)",
    "CREATE TABLE p2a PARTITION OF p2 FOR VALUES FROM (0) TO (200); CREATE TABLE p2b PARTITION OF p2 DEFAULT",
    "INSERT INTO p SELECT i, i % 2 + 1, i FROM generate_series(1, 400) i",
    "CREATE TABLE fired (id int); CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO fired VALUES (OLD.id); \
     RETURN coalesce(NEW, OLD); END'",
    "CREATE TABLE w (id int PRIMARY KEY, v int); INSERT INTO w SELECT i, i FROM generate_series(1, 300) i",
    "CREATE TRIGGER each_row BEFORE UPDATE OR DELETE ON w FOR EACH ROW EXECUTE FUNCTION fire()",
    "ANALYZE",
];

/// Everything that the statements may have changed.
const CONTENTS: &str = "SELECT md5(string_agg(x::text, '|' ORDER BY x::text)) FROM (SELECT t::text AS x FROM t UNION ALL \
     SELECT q::text FROM \"T t\" q UNION ALL SELECT u::text FROM u UNION ALL SELECT tableoid::regclass || p::text FROM p \
     UNION ALL SELECT w::text FROM w UNION ALL SELECT fired::text FROM fired) s";

const STATEMENTS: &[&str] = &[
    "UPDATE t SET n = n + 1",
    "update only public.t as x set n = x.n + 1, note = x.note || '!' /* where */ where x.n > 2 or x.id < 50 -- so",
    "UPDATE t SET n = n + o.v FROM o WHERE o.t_id = t.id",
    "UPDATE t SET (n, note) = (SELECT max(v), 'most' FROM o) WHERE id > 100",
    "WITH few AS (SELECT t_id FROM o WHERE v > 20) UPDATE t SET note = 'few' FROM few WHERE few.t_id = t.id",
    "UPDATE t SET note = upper(note) || CASE WHEN n IS DISTINCT FROM 3 THEN 'a' ELSE 'b' END WHERE note LIKE 'note%'",
    "UPDATE t SET f = f / 7 WHERE id > 100",
    "DELETE FROM t WHERE n > 2",
    "DELETE FROM t USING o JOIN u ON u.v = o.v WHERE o.t_id = t.id",
    "DELETE FROM t",
    "UPDATE \"T t\" SET v = v || \"K\" WHERE b <> 3",
    "DELETE FROM \"T t\" AS x WHERE \"K\" < '3'",
    "UPDATE u SET v = -v",
    "UPDATE p SET v = v + 1",
    "UPDATE p AS q SET v = 0 WHERE q.id BETWEEN 100 AND 300",
    "DELETE FROM p WHERE v > 50",
    "UPDATE w SET v = v + 1",
    "DELETE FROM w WHERE v > 20",
    // As some libraries write it.
    "UPDATE public.t SET n = public.t.n + 1 WHERE public.t.id > 5",
    "UPDATE public.t SET n = public.t.n + other.t.n FROM other.t WHERE other.t.id = public.t.id",
    "DELETE FROM public.t USING other.t WHERE other.t.id = public.t.id AND public.t.n > 2",
    "DELETE FROM t WHERE id IN (SELECT id FROM o ORDER BY id LIMIT 150)",
    "DELETE FROM public.t WHERE public.t.id < 300 RETURNING public.t.*",
    "UPDATE p SET v = p.v + other.t.n FROM other.t WHERE other.t.id = p.id",
    "UPDATE p SET old = v WHERE old IS NULL",
];

/// Makes 40 rows many.
const MANY: &str = "SET lockkeeper.bulk_rows = 40";

#[test]
fn the_same_comes_out() {
    for installation in each_major() {
        let stage = Stage::on(installation);
        let mut plain = stage.straight();
        plain.all(SETUP);
        for (at, sql) in STATEMENTS.iter().enumerate() {
            plain.all(&["BEGIN"]);
            let tag = plain.query(sql).tag();
            let expected = plain.table(CONTENTS);
            plain.all(&["ROLLBACK"]);
            let mut person = stage.through();
            person.all(&[MANY, "SET lockkeeper.max_stall = '5s'"]);
            let answer = person.ask(Way::BOTH[at % 2], sql);
            assert_eq!(answer.tag(), tag, "{sql}: {answer:?}");
            let said = answer.notices().iter().any(|notice| notice.contains("in batches"));
            assert!(said, "{sql}: {answer:?}");
            assert_eq!(plain.table(CONTENTS), expected, "{sql}");
            plain.all(&["DROP TABLE t, \"T t\", u, o, p, w, fired CASCADE", "DROP FUNCTION fire() CASCADE"]);
            plain.all(SETUP);
        }
        assert_eq!(stage.now("SELECT string_agg(DISTINCT state, ',') FROM lockkeeper.task"), "done");
    }
}

/// Values come in text and in binary, by a statement with a name and one without, and the time is that of the beginning.
#[test]
fn values_and_the_time_are_those_of_the_beginning() {
    let stage = Stage::new();
    stage.straight().all(SETUP);
    let mut person = stage.through();
    person.all(&[
        MANY,
        "SET DateStyle = 'German'",
        "SET extra_float_digits = 0",
        "SET IntervalStyle = 'iso_8601'",
    ]);
    let sql =
        "UPDATE t SET at = now() - $3::interval, note = $2, f = $4 WHERE n > $1 AND at < $5 RETURNING id";
    for name in ["", "named"] {
        let values = [
            Some("2"),
            Some("it's \\ 'x'"),
            Some("1 day 02:03:04"),
            Some("0.1"),
            Some("05.06.2030 12:00 CET"),
        ];
        let batch = [
            raw::parse(name, sql),
            raw::bind("", name, &values),
            raw::describe(b'P', ""),
            raw::execute("", 0),
            raw::sync(),
        ]
        .concat();
        person.raw.send(&batch);
        let answer = person.answer();
        assert_eq!(answer.tag(), "UPDATE 285", "{answer:?}");
        let rows = answer.0.iter().filter(|frame| frame.tag == b'D').count();
        assert_eq!(rows, 285, "each row is handed out");
        let now = "SELECT count(DISTINCT at), min(note), bool_and(f = 0.1), bool_and(at < now() - interval '1 day') \
                   FROM t WHERE n > 2";
        assert_eq!(stage.now(now), "1|it's \\ 'x'|t|t");
    }
    // In binary: int4.
    let sql = "DELETE FROM t WHERE n = $1";
    let bind = raw::framed(b'B', b"\0\0\0\x01\0\x01\0\x01\0\0\0\x04\0\0\0\x05\0\0");
    person.raw.send(&[raw::parse("", sql), bind, raw::execute("", 0), raw::sync()].concat());
    assert_eq!(person.answer().tag(), "DELETE 71");
    assert_eq!(person.table("SHOW DateStyle"), "German, DMY", "settings are as they were");
}

#[test]
fn rows_are_handed_out_with_what_they_are_like() {
    let stage = Stage::new();
    stage.straight().all(SETUP);
    let mut person = stage.through();
    person.all(&[MANY]);
    let answer = person.query("UPDATE t SET n = 9 WHERE id > 100 RETURNING id AS \"where\", note");
    let tags: String =
        answer.0.iter().map(|frame| char::from(frame.tag)).filter(|tag| "TDC".contains(*tag)).collect();
    assert_eq!(tags, format!("T{}C", "D".repeat(400)));
    let described = answer.0.iter().find(|frame| frame.tag == b'T').expect("a description");
    assert!(described.body.windows(5).any(|it| it == b"where"));
    // Also where there are none, and where nothing is there.
    stage.straight().all(&["DELETE FROM t WHERE id > 50"]);
    let none = person.query("UPDATE t SET n = 9 WHERE id > 100 RETURNING id");
    assert_eq!(none.tag(), "UPDATE 0");
    assert!(none.0.iter().any(|frame| frame.tag == b'T'));
    stage.straight().all(&["TRUNCATE t"]);
    assert_eq!(person.query("DELETE FROM t RETURNING id").tag(), "DELETE 0");
}

/// What a batch brings that is rolled back nobody gets.
#[test]
fn rows_are_handed_out_once_though_their_batch_goes_again() {
    let stage = Stage::new();
    stage.straight().all(SETUP);
    let (mut person, mut holder) = (stage.through(), stage.straight());
    person.all(&[MANY]);
    let waits = format!("SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = {}", person.pid());
    for way in Way::BOTH {
        holder.all(&["BEGIN", "UPDATE t SET note = 'held' WHERE id = 300"]);
        person.send(way, "UPDATE t SET n = n + 1 RETURNING id");
        stage.until(&waits);
        stage.until(&format!("SELECT NOT ({waits})"));
        holder.all(&["COMMIT"]);
        let done = person.answer();
        assert_eq!(done.tag(), "UPDATE 500", "{done:?}");
        let rows = done.0.iter().filter(|frame| frame.tag == b'D').filter_map(|row| row.columns().remove(0));
        let mut rows: Vec<u32> = rows.map(|id| id.parse().expect("a number")).collect();
        rows.sort_unstable();
        assert_eq!(rows, (1..=500).collect::<Vec<_>>());
    }
}

/// Who reads rows piece by piece would get them when more of them are written: that is refused.
#[test]
fn rows_are_not_handed_out_piece_by_piece() {
    let stage = Stage::new();
    stage.straight().all(SETUP);
    let mut person = stage.through();
    person.all(&[MANY]);
    let sql = "UPDATE t SET n = 77 RETURNING id";
    let head = [raw::parse("", sql), raw::bind("", "", &[]), raw::describe(b'P', "")].concat();
    person.raw.send(&[head, raw::execute("", 10), raw::sync()].concat());
    let refused = person.answer();
    assert_eq!(refused.failure(), "0A000", "{refused:?}");
    let message = refused.error().expect("an error").message();
    assert!(message.ends_with("only where it stands alone and all its rows are taken at once"), "{message}");
    assert!(refused.hint().starts_with("Execute it without a limit on rows (a fetch size)"), "{refused:?}");
    assert_eq!(stage.now("SELECT count(*) FROM t WHERE n = 77"), "0");
    person.all(&["SELECT 1"]);
}

/// Tables with keys of each kind; those of the second half have rows that come meanwhile anywhere in the order of their keys.
const KEYED: [(&str, &str); 6] = [
    ("c", "(id int PRIMARY KEY, n int NOT NULL)"),
    ("p", "(id int PRIMARY KEY, n int NOT NULL) PARTITION BY RANGE (id)"),
    (
        "q",
        "(id int, n int, a text COLLATE \"C\" DEFAULT md5(random()::text), b int DEFAULT random() * 9, PRIMARY KEY (b, a))",
    ),
    ("u", "(id int, n int, a uuid PRIMARY KEY DEFAULT md5(random()::text)::uuid)"),
    ("i", "(id int, n int, a text COLLATE \"de-x-icu\" PRIMARY KEY DEFAULT 'Ä' || md5(random()::text))"),
    (
        "e",
        "(id int, n int, a text COLLATE caseless PRIMARY KEY DEFAULT CASE WHEN random() < 0.5 THEN 'É' ELSE 'é' END || md5(random()::text))",
    ),
];

/// Each row that was there when it began is written once, whatever others do meanwhile; those that come later behind its end are left
/// alone.
#[test]
fn each_row_is_written_once_beside_others() {
    let stage = Stage::new();
    stage.straight().all(&[
        "CREATE COLLATION caseless (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
    ]);
    stage.straight().all(
        &KEYED
            .map(|(table, columns)| format!("CREATE TABLE {table} {columns}"))
            .each_ref()
            .map(String::as_str),
    );
    stage.straight().all(&[
        "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (9000); CREATE TABLE p2 PARTITION OF p DEFAULT",
        "CREATE INDEX ON q (id); CREATE INDEX ON u (id); CREATE INDEX ON i (id); CREATE INDEX ON e (id)",
    ]);
    for (at, (table, _)) in KEYED.iter().enumerate() {
        stage.straight().all(&[
            &format!("INSERT INTO {table} (id, n) SELECT i * 2, 0 FROM generate_series(1, {ROWS}) i"),
            &format!("ANALYZE {table}"),
        ]);
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let writers: Vec<_> = (0..2)
                .map(|seed| {
                    let (stage, over) = (&stage, &over);
                    scope.spawn(move || write(stage, over, (table, seed)))
                })
                .collect();
            let mut person = stage.through();
            person.all(&[MANY]);
            let answer = person.ask(Way::BOTH[at % 2], &format!("UPDATE {table} SET n = n + 1"));
            over.store(true, Ordering::Relaxed);
            let touched: usize = writers.into_iter().map(|writer| writer.join().expect("no error")).sum();
            assert!(touched > 0);
            // A thousand for each other write, one for ours.
            let once = stage.now(&format!("SELECT count(*) FROM {table} WHERE n % 1000 = 1"));
            assert_eq!(answer.tag(), format!("UPDATE {once}"), "{answer:?}");
        });
        let count = |condition: &str| stage.now(&format!("SELECT count(*) FROM {table} WHERE {condition}"));
        assert_eq!(count(&format!("id <= {ROWS} * 2 AND n % 1000 <> 1")), "0", "{table}");
        assert_eq!(count("n % 1000 > 1"), "0", "{table}");
        if at < 2 {
            assert_ne!(count("n % 1000 = 0"), "0", "{table}: what came later is left alone");
        }
    }
}

/// Rows of each of those tables.
const ROWS: usize = 10_000;

/// Writes rows until it is over; how many.
fn write(stage: &Stage, over: &AtomicBool, (table, seed): (&str, usize)) -> usize {
    let mut other = stage.straight();
    let mut count = 0;
    while !over.load(Ordering::Relaxed) {
        let id = ((count * 7919 + seed * 13) % ROWS + 1) * 2;
        other.all(&[&format!("UPDATE {table} SET n = n + 1000 WHERE id = {id}")]);
        let new = 50_000 + 2 * count + seed;
        other.all(&[&format!("INSERT INTO {table} (id, n) VALUES ({new}, 0)")]);
        count += 1;
    }
    count
}

/// In a transaction it is done behind the COMMIT, and what hangs on it behind that.
#[test]
fn in_a_transaction_it_is_deferred() {
    let stage = Stage::new();
    stage.straight().all(SETUP);
    for way in Way::BOTH {
        let mut person = stage.through();
        person.all(&[MANY]);
        let before = stage.now(CONTENTS);
        let deferred = person.each(way, &["BEGIN", "UPDATE t SET n = n + 1"]);
        assert_eq!(deferred.tag(), "UPDATE 0", "nothing is written yet");
        assert!(deferred.notices()[0].starts_with("NOTICE: UPDATE is deferred"), "{deferred:?}");
        person.each(way, &["ROLLBACK"]);
        assert_eq!(stage.now(CONTENTS), before);
        let sums = stage.now("SELECT sum(n) + 500 FROM t");
        let statements = [
            "BEGIN",
            "UPDATE t SET n = n + 1",
            "UPDATE t SET note = 'one' WHERE id = 7",
            "DELETE FROM \"T t\"",
            "COMMIT",
        ];
        assert_eq!(person.each(way, &statements).tag(), "COMMIT");
        assert_eq!(stage.now("SELECT sum(n) FROM t"), sums);
        assert_eq!(stage.now("SELECT note FROM t WHERE id = 7"), "one");
        assert_eq!(stage.now("SELECT count(*) FROM \"T t\""), "0");
        stage
            .straight()
            .all(&["INSERT INTO \"T t\" SELECT i::text, i % 5, 'v' FROM generate_series(1, 400) i"]);
        // What reads it before it is there is refused, and so are its rows.
        person.each(way, &["BEGIN", "UPDATE t SET n = n + 1"]);
        assert_eq!(person.ask(way, "SELECT count(*) FROM t").failure(), "0A000");
        person.each(way, &["ROLLBACK", "BEGIN"]);
        assert_eq!(person.ask(way, "UPDATE t SET n = n + 1 RETURNING id").failure(), "0A000");
        person.each(way, &["ROLLBACK"]);
        assert_eq!(stage.now("SELECT sum(n) FROM t"), sums);
    }
    assert_eq!(stage.now("SELECT string_agg(DISTINCT state, ',') FROM lockkeeper.task"), "done");
}

/// Behind the COMMIT a temporary table may be empty, without a word, or gone.
#[test]
fn what_reads_a_temporary_table_is_not_deferred() {
    let stage = Stage::new();
    stage.straight().all(SETUP);
    for (at, fate) in ["DROP", "DELETE ROWS", "PRESERVE ROWS"].into_iter().enumerate() {
        let way = Way::BOTH[at % 2];
        let mut person = stage.through();
        person.all(&[MANY]);
        let make = format!("CREATE TEMP TABLE m ON COMMIT {fate} AS SELECT id, -1 AS v FROM t");
        for sql in ["UPDATE t SET n = v FROM m WHERE m.id = t.id", "DELETE FROM t USING m WHERE m.id = t.id"]
        {
            person.each(way, &["BEGIN", &make]);
            let refused = person.ask(way, sql);
            assert_eq!(refused.failure(), "0A000", "{fate} {sql}: {refused:?}");
            assert!(
                refused.detail().ends_with("Behind the COMMIT \"m\" may be empty or gone."),
                "{refused:?}"
            );
            assert!(!refused.hint().is_empty());
            person.all(&["ROLLBACK"]);
        }
    }
    assert_eq!(stage.now("SELECT count(*) FROM t WHERE n >= 0"), "500");
    // Outside it is there, and nobody else could go on.
    let mut person = stage.through();
    person.all(&[MANY, "CREATE TEMP TABLE m AS SELECT id, -1 AS v FROM t"]);
    assert_eq!(person.query("UPDATE t SET n = v FROM m WHERE m.id = t.id").tag(), "UPDATE 500");
    assert_eq!(stage.now("SELECT count(*) FROM t WHERE n = -1"), "500");
}

/// What changes the rows that a queued statement reads is done behind that, or refused.
#[test]
fn what_is_read_later_does_not_change_before() {
    let stage = Stage::new();
    stage.straight().all(SETUP);
    stage.straight().all(&["CREATE TABLE was AS SELECT t_id, v FROM o"]);
    let changes = ["UPDATE o SET v = 0", "DELETE FROM o WHERE id > 5", "TRUNCATE o", "DROP TABLE o"];
    for (at, change) in changes.into_iter().enumerate() {
        let way = Way::BOTH[at % 2];
        let mut person = stage.through();
        stage.straight().all(&[
            "DROP TABLE IF EXISTS o",
            "CREATE TABLE o AS SELECT row_number() OVER () AS id, * FROM was",
            "ALTER TABLE o ADD PRIMARY KEY (id)",
            "UPDATE t SET n = -7",
        ]);
        person.all(&[MANY, "BEGIN"]);
        let queued = person.ask(way, "UPDATE t SET n = o.v FROM o WHERE o.t_id = t.id");
        assert_eq!(queued.tag(), "UPDATE 0", "{queued:?}");
        let changed = person.ask(way, change);
        if !changed.failure_if_any().is_empty() {
            assert_eq!(changed.failure(), "0A000", "{change}: {changed:?}");
            person.all(&["ROLLBACK"]);
            continue;
        }
        assert!(person.ask(way, "COMMIT").error().is_none());
        let wrong = "SELECT count(*) FROM was JOIN t ON t.id = was.t_id WHERE t.n <> was.v";
        assert_eq!(stage.now(wrong), "0", "{change}");
    }
}

/// What is queued is done with its values, and with the time of its transaction.
#[test]
fn values_and_the_time_are_those_of_the_transaction() {
    let stage = Stage::new();
    stage.straight().all(SETUP);
    for way in Way::BOTH {
        let mut person = stage.through();
        person.all(&[MANY, "BEGIN"]);
        let began = person.table("SELECT now()");
        person.all(&["SELECT pg_sleep(0.05)"]);
        if way == Way::Simple {
            assert_eq!(person.query("UPDATE t SET at = now(), note = 'it''s'").tag(), "UPDATE 0");
        } else {
            let batch = [
                raw::parse("", "UPDATE t SET at = now(), note = $1"),
                raw::bind("", "", &[Some("it's")]),
                raw::execute("", 0),
                raw::sync(),
            ];
            person.raw.send(&batch.concat());
            assert_eq!(person.answer().tag(), "UPDATE 0");
        }
        assert_eq!(person.ask(way, "COMMIT").tag(), "COMMIT");
        assert_eq!(stage.now("SELECT DISTINCT at, note FROM t"), format!("{began}|it's"));
        stage.straight().all(&["UPDATE t SET at = NULL, note = ''"]);
    }
}

/// Where few rows of many are meant, those are looked for; a range ends where enough of them are found, and the way to it is an index.
#[test]
fn few_of_many_are_looked_for() {
    let stage = Stage::new();
    stage.straight().all(&[
        "CREATE TABLE s (a text COLLATE \"C\", b int, n int, PRIMARY KEY (b, a))",
        "INSERT INTO s SELECT i::text, i % 7, i % 20 FROM generate_series(1, 20000) i",
        "VACUUM ANALYZE s",
    ]);
    let mut person = stage.through();
    person.all(&["SET lockkeeper.bulk_rows = 40"]);
    let answer = person.query("UPDATE s SET n = n + 1000 WHERE n = 3");
    assert_eq!(answer.tag(), "UPDATE 1000", "{answer:?}");
    assert_eq!(stage.now("SELECT count(*), min(n), max(n) FROM s WHERE n > 100"), "1000|1003|1003");
    let log = stage.cluster.log();
    let asked = log.lines().filter(|line| line.contains("AS ahead ORDER BY")).count();
    assert!(asked > 3, "it went in several ranges: {asked}");
    let plan = stage.now(
        "EXPLAIN (COSTS OFF) SELECT b, a FROM (SELECT s.b, s.a FROM ONLY s AS s WHERE (s.b, s.a) > (3, '5') AND (s.n = 3) \
         ORDER BY s.b, s.a LIMIT 10) AS ahead ORDER BY b DESC, a DESC LIMIT 1",
    );
    assert!(plan.contains("Index Scan using s_pkey") && !plan.contains("Seq Scan"), "{plan}");
}

/// A predicate is judged when its rows' turn comes, whatever others do to them, and to the row that was the last.
#[test]
fn what_others_change_is_judged_as_it_is_then() {
    let stage = Stage::new();
    stage.straight().all(&[
        "CREATE TABLE f (id int PRIMARY KEY, flag bool NOT NULL); INSERT INTO f SELECT i, i % 2 = 0 FROM generate_series(1, 8000) i",
        "CREATE TABLE gone (id int); CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS \
         'BEGIN IF OLD.flag THEN INSERT INTO public.gone VALUES (OLD.id); END IF; RETURN NULL; END'",
        "CREATE TRIGGER note AFTER DELETE ON f FOR EACH ROW EXECUTE FUNCTION note()",
        "ANALYZE f",
    ]);
    let over = AtomicBool::new(false);
    let tag = thread::scope(|scope| {
        let flips = scope.spawn(|| {
            let mut other = stage.straight();
            let mut id = 0;
            while !over.load(Ordering::Relaxed) {
                id = id % 8000 + 7;
                other.all(&[&format!("UPDATE f SET flag = NOT flag WHERE id = {id}")]);
                // The last of all, whose key is the bound.
                other.all(&["DELETE FROM f WHERE id = (SELECT max(id) FROM f) AND NOT flag"]);
            }
        });
        let mut person = stage.through();
        person.all(&[MANY]);
        let answer = person.query("DELETE FROM f WHERE flag");
        over.store(true, Ordering::Relaxed);
        flips.join().expect("no error");
        answer.tag()
    });
    assert_eq!(tag, format!("DELETE {}", stage.now("SELECT count(*) FROM gone")));
    assert_eq!(stage.now("SELECT count(*) - count(DISTINCT id) FROM gone"), "0");
}

/// Several statements of one message are one transaction.
#[test]
fn among_others_it_is_done_behind_them() {
    let stage = Stage::new();
    stage.straight().all(SETUP);
    let mut person = stage.through();
    person.all(&[MANY]);
    let answer = person.query("INSERT INTO o VALUES (1000, 1, 1); UPDATE t SET n = 77; SELECT 1");
    assert_eq!(answer.tags(), ["INSERT 0 1", "UPDATE 0", "SELECT 1"], "{answer:?}");
    assert_eq!(stage.now("SELECT count(*) FROM t WHERE n = 77"), "500");
    let failed = person.query("UPDATE t SET n = 78; SELECT 1 / 0");
    assert_eq!(failed.failure_if_any(), "22012");
    assert_eq!(stage.now("SELECT count(*) FROM t WHERE n = 78"), "0");
}

/// What fails tells what is done, in the server's own words.
#[test]
fn a_failure_tells_what_stays() {
    let stage = Stage::new();
    stage.straight().all(SETUP);
    stage.straight().all(&["ALTER TABLE t ADD CHECK (n < 400)"]);
    let mut person = stage.through();
    person.all(&[MANY, "SET lockkeeper.max_stall = '5s'"]);
    let failed = person.query("UPDATE t SET n = id");
    assert_eq!(failed.failure(), "23514");
    let written = stage.now("SELECT count(*) FROM t WHERE n = id AND id > 6");
    assert!(written.parse::<u32>().is_ok_and(|rows| rows < 400), "{written}");
    assert!(failed.detail().contains("rows are updated and stay so"), "{failed:?}");
    assert!(failed.hint().starts_with("Go on: lockkeeper resume "), "{failed:?}");
    assert!(failed.error().expect("an error").field(b'P').is_none());
    assert_eq!(stage.now("SELECT state FROM lockkeeper.task"), "failed");
    // What fails before anything is written leaves nothing.
    let nothing = person.query("UPDATE t SET n = 1 / (id - id)");
    assert_eq!((nothing.failure().as_str(), nothing.detail().as_str()), ("22012", "Nothing was changed."));
    assert_eq!(stage.now("SELECT string_agg(state, ',' ORDER BY id) FROM lockkeeper.task"), "failed,dropped");
}

/// What SQL's PREPARE has named is judged by what it writes with its values.
#[test]
fn what_is_executed_is_seen_through() {
    let stage = Stage::new();
    stage.straight().all(SETUP);
    for way in Way::BOTH {
        let mut person = stage.through();
        let mut other = stage.through();
        person.all(&[MANY, "UPDATE t SET n = 0 WHERE id = 1"]);
        let up = "PREPARE \"Up\" (int, text) AS UPDATE t SET n = n + $1, note = $2 WHERE id <= $1 * 100 RETURNING id";
        assert!(person.ask(way, up).error().is_none());
        other.each(way, &[MANY, "PREPARE \"Up\" (int, text) AS SELECT $1, $2"]);
        let before: i64 = stage.now("SELECT sum(n) FROM t").parse().expect("a number");
        let few = person.ask(way, "EXECUTE \"Up\" (0, 'few')");
        assert!(few.tag() == "UPDATE 0" && few.notices().is_empty(), "{few:?}");
        let many = person.ask(way, "/* all */ EXECUTE \"Up\" (abs(-5), 'it''s $1');");
        assert_eq!(many.tag(), "UPDATE 500", "{many:?}");
        assert!(many.notices()[0].contains("in batches"), "{many:?}");
        assert_eq!(many.0.iter().filter(|frame| frame.tag == b'D').count(), 500);
        let after: i64 = stage.now("SELECT sum(n) FROM t").parse().expect("a number");
        assert_eq!(after, before + 2500);
        assert_eq!(stage.now("SELECT count(*) FROM t WHERE note = 'it''s $1'"), "500");
        let select = other.ask(way, "EXECUTE \"Up\" (5, 'a')");
        assert!(select.tag() == "SELECT 1" && select.notices().is_empty(), "another one of that name");
        for (wrong, code) in [
            ("EXECUTE \"Up\" ('a', 'b')", "22P02"),
            ("EXECUTE \"Up\" (true, 'b')", "42804"),
            ("EXECUTE \"Up\" (1)", "42601"),
            ("EXECUTE up (1, 'b')", "26000"),
        ] {
            assert_eq!(person.ask(way, wrong).failure(), code, "{wrong}");
        }
        person.each(way, &["PREPARE all_rows AS DELETE FROM t WHERE n > 1000000 OR id > 0", "BEGIN"]);
        let deferred = person.ask(way, "EXECUTE all_rows");
        assert_eq!(deferred.tag(), "DELETE 0", "{deferred:?}");
        assert_eq!(stage.now("SELECT count(*) FROM t"), "500");
        assert_eq!(person.ask(way, "COMMIT").tag(), "COMMIT");
        assert_eq!(stage.now("SELECT count(*) FROM t"), "0");
        stage.straight().all(&[SETUP[1], "ANALYZE t"]);
        person.each(way, &["PREPARE whole (int) AS MERGE INTO t USING o ON o.t_id = t.id + $1 WHEN MATCHED THEN UPDATE SET n = 1"]);
        let refused = person.ask(way, "EXECUTE whole (0)");
        assert_eq!(refused.failure(), "0A000", "{refused:?}");
    }
}
