//! Which statements are taken for ones of many rows, and what it costs the others to be told apart.

use crate::support::raw;
use crate::support::stage::{Person, Stage, Way};

const SETUP: &[&str] = &[
    "CREATE TABLE t (id int PRIMARY KEY, a int, b int, note text, UNIQUE (a, b))",
    "INSERT INTO t SELECT i, i, i % 100, 'x' FROM generate_series(1, 1000) i",
    "CREATE INDEX ON t (b)",
    "ANALYZE",
];

const MANY: &str = "SET lockkeeper.bulk_rows = 100";

/// How often the planner was asked.
fn asked(stage: &Stage) -> usize {
    stage.cluster.log().matches("EXPLAIN (FORMAT JSON)").count()
}

/// How often the catalogue was asked.
fn looked(stage: &Stage) -> usize {
    stage.cluster.log().matches("lockkeeper.max_stall").count()
}

/// How often it was asked for all that a plan needs, which takes longer than most statements of an application.
fn looked_closely(stage: &Stage) -> usize {
    stage.cluster.log().matches("truncated_with").count()
}

#[test]
fn one_row_is_looked_at_once() {
    let stage = Stage::new();
    stage.straight().all(SETUP);
    let mut person = stage.through();
    person.all(&[MANY]);
    let shapes = [
        "UPDATE t SET note = 'a' WHERE id = $",
        "UPDATE t SET note = note || 'x' WHERE a = $ AND b = 7",
        "DELETE FROM t WHERE id = -$ AND note IS NULL",
    ];
    for way in Way::BOTH {
        person.ask(way, "UPDATE t SET note = 'a' WHERE id = 1");
        let mut before = None;
        for number in 0..20 {
            for shape in shapes {
                assert!(person.ask(way, &shape.replace('$', &number.to_string())).error().is_none());
            }
            // The first round is looked at.
            before = before.or_else(|| Some(looked(&stage)));
        }
        assert_eq!(Some(looked(&stage)), before);
    }
    assert_eq!(asked(&stage), 0, "a key is no matter of estimates");
    assert_eq!(looked_closely(&stage), 0);
}

#[test]
fn few_rows_are_estimated_once_in_a_while() {
    let stage = Stage::new();
    stage.straight().all(SETUP);
    let mut person = stage.through();
    person.all(&[MANY]);
    for number in 0..10 {
        assert_eq!(person.query(&format!("UPDATE t SET note = 'a' WHERE b = {number}")).tag(), "UPDATE 10");
    }
    assert_eq!(asked(&stage), 1);
    // With values that are told apart from the text only when they come.
    person.raw.send(&[raw::parse("s", "UPDATE t SET note = $2 WHERE b < $1"), raw::sync()].concat());
    person.raw.until_ready();
    assert_eq!(bound(&mut person, "1"), "UPDATE 10");
    assert_eq!(asked(&stage), 2);
    assert_eq!(bound(&mut person, "1"), "UPDATE 10");
    assert_eq!(asked(&stage), 2, "it is remembered");
    assert_eq!(looked_closely(&stage), 0);
    assert_eq!(bound(&mut person, "99"), "UPDATE 990", "what is remembered holds for other values, too");
    assert_eq!(asked(&stage), 2);
    assert!(person.query("DELETE FROM t WHERE b > 20").notices()[0].contains("in batches"));
    assert_eq!(looked_closely(&stage), 1, "only of what is cut all is to be known");
}

/// Who prepares it under a name that a change of the schema has had does not get past anybody.
#[test]
fn what_takes_the_name_of_something_else_is_looked_at() {
    let stage = Stage::new();
    stage.straight().all(SETUP);
    let mut person = stage.through();
    person.all(&[MANY]);
    for name in ["", "s"] {
        for sql in ["ALTER TABLE t ADD IF NOT EXISTS c int", "UPDATE t SET note = 'all'"] {
            let close = if name.is_empty() { Vec::new() } else { raw::close(b'S', name) };
            let run =
                [close, raw::parse(name, sql), raw::bind("", name, &[]), raw::execute("", 0), raw::sync()];
            person.raw.send(&run.concat());
            let answer = person.answer();
            let batches = answer.told().iter().any(|notice| notice.contains("in batches"));
            assert_eq!(batches, sql.starts_with("UPDATE"), "{name:?} {sql}: {answer:?}");
        }
    }
}

/// The same words mean another table where the `search_path` is another, and are many rows where those are fewer.
#[test]
fn what_is_found_out_holds_for_the_same_tables() {
    let stage = Stage::with_variables(
        "",
        &[("LOCKKEEPER_GUARD_SMALL_TABLE", "64kB"), ("LOCKKEEPER_BULK_ROWS", "100")],
    );
    for (schema, rows) in [("little", 20), ("much", 20_000)] {
        stage.straight().all(&[
            &format!("CREATE SCHEMA {schema}; CREATE TABLE {schema}.t (id int PRIMARY KEY, b int)"),
            &format!("INSERT INTO {schema}.t SELECT i, i % 10 FROM generate_series(1, {rows}) i; ANALYZE {schema}.t"),
        ]);
    }
    let (update, pinned) = ("UPDATE t SET b = b WHERE b = 3", "UPDATE t SET b = b WHERE id = 3");
    for way in Way::BOTH {
        for (little, much) in [
            ("SET search_path = little", "SET search_path TO much"),
            ("BEGIN; SET LOCAL search_path = little", "BEGIN; SET LOCAL search_path = much"),
            (
                "SELECT set_config('search_path', 'little', false)",
                "SELECT set_config('search_path', 'much', false)",
            ),
        ] {
            let mut person = stage.through();
            for _ in 0..2 {
                person.all(&[little]);
                assert_eq!(person.ask(way, update).notices(), [""; 0], "{little}");
                assert_eq!(person.ask(way, pinned).notices(), [""; 0], "{little}");
                person.all(&["COMMIT", much]);
                let told = person.ask(way, update).told();
                assert!(told.iter().any(|notice| notice.contains("in batches")), "{much}: {told:?}");
                person.all(&["ROLLBACK"]);
            }
        }
    }
    // By the options that a session begins with.
    for (schema, tag) in [("little", 0), ("much", 1)] {
        let path = format!("-c search_path={schema}");
        let mut person = Person::called(stage.proxy.addr(), &[("options", &path)]);
        let told = person.query(update).told();
        assert_eq!(
            told.iter().filter(|notice| notice.contains("in batches")).count().min(1),
            tag,
            "{schema}: {told:?}"
        );
    }
    // Of other sessions' many, whatever they are.
    let mut person = stage.through();
    person.all(&["SET search_path = much", "SET lockkeeper.bulk_rows = 100000"]);
    assert_eq!(person.query(update).notices(), [""; 0]);
    let mut other = stage.through();
    other.all(&["SET search_path = much"]);
    assert!(other.query(update).told().iter().any(|notice| notice.contains("in batches")));
}

fn bound(person: &mut Person, below: &str) -> String {
    let batch = [raw::bind("", "s", &[Some(below), Some("n")]), raw::execute("", 0), raw::sync()].concat();
    person.raw.send(&batch);
    person.answer().tag()
}

/// The same statement is few rows or many by its values.
#[test]
fn values_decide() {
    let stage = Stage::new();
    stage.straight().all(SETUP);
    let mut person = stage.through();
    person.all(&[MANY]);
    person.raw.send(&[raw::parse("s", "UPDATE t SET note = $2 WHERE b < $1"), raw::sync()].concat());
    person.raw.until_ready();
    let batch = [raw::bind("", "s", &[Some("90"), Some("n")]), raw::execute("", 0), raw::sync()].concat();
    person.raw.send(&batch);
    let answer = person.answer();
    assert_eq!(answer.tag(), "UPDATE 900");
    assert!(answer.notices()[0].contains("in batches"), "{answer:?}");
    assert_eq!(bound(&mut person, "2"), "UPDATE 20");
}

#[test]
fn small_and_own_tables_are_left_alone() {
    let stage = Stage::with_variables("", &[("LOCKKEEPER_GUARD_SMALL_TABLE", "8MB")]);
    stage.straight().all(SETUP);
    let mut person = stage.through();
    person.all(&[MANY]);
    assert!(person.query("UPDATE t SET note = 'all'").notices().is_empty());
    let stage = Stage::new();
    stage.straight().all(SETUP);
    let mut person = stage.through();
    person.all(&[MANY, "CREATE TEMP TABLE mine AS SELECT * FROM t"]);
    assert!(person.query("UPDATE mine SET note = 'all'").notices().is_empty());
    person.all(&["BEGIN", "CREATE TABLE fresh AS SELECT * FROM t"]);
    assert_eq!(person.query("UPDATE fresh SET note = 'all'").tag(), "UPDATE 1000");
    person.all(&["COMMIT"]);
    person.all(&["SET lockkeeper.mode = 'observe'"]);
    let told = person.query("UPDATE t SET note = 'all'");
    assert_eq!(told.tag(), "UPDATE 1000");
    assert!(told.notices()[0].contains("would"), "{told:?}");
    person.all(&["SET lockkeeper.mode = 'off'"]);
    assert!(person.query("UPDATE t SET note = 'all'").notices().is_empty());
    let wrong = person.query("SET lockkeeper.bulk_rows = 'many'");
    assert_eq!(wrong.failure(), "22023");
}

/// Copies are reported, and run as sent.
#[test]
fn copies_are_told() {
    let stage = Stage::new();
    stage.straight().all(SETUP);
    let mut person = stage.through();
    person.all(&[MANY]);
    stage.straight().all(&["CREATE TABLE copy (LIKE t)"]);
    for (at, (sql, tag, told)) in [
        ("INSERT INTO copy SELECT * FROM t", "INSERT 0 1000", "INSERT inserts about 1000 rows at once"),
        (
            "INSERT INTO copy SELECT * FROM t RETURNING id",
            "INSERT 0 1000",
            "INSERT inserts about 1000 rows at once",
        ),
        (
            "INSERT INTO copy (id) SELECT generate_series(1, 1000)",
            "INSERT 0 1000",
            "INSERT inserts about 1000 rows at once",
        ),
        (
            "CREATE TABLE a AS SELECT * FROM t",
            "SELECT 1000",
            "CREATE TABLE AS makes a table of about 1000 rows at once",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        for way in Way::BOTH {
            let done = person.ask(way, sql);
            assert_eq!(done.tag(), tag, "{done:?}");
            let notices = done.notices();
            assert!(notices[0].starts_with(&format!("WARNING: {told}")), "{notices:?}");
            // How a message ends that brings rows its client has heard by then.
            let told = if way == Way::Simple && sql.contains("RETURNING") { 1 } else { 2 };
            assert_eq!(notices.len(), told, "{notices:?}");
            assert_eq!(notices[told - 1].contains(" as sent: "), told == 2, "{notices:?}");
            person.all(&["BEGIN"]);
            assert_eq!(person.ask(way, &sql.replace("TABLE a", "TABLE b")).notices().len(), told);
            person.all(&["ROLLBACK", "DROP TABLE IF EXISTS a"]);
        }
        assert_eq!(stage.now("SELECT count(*) FROM copy"), (2000 * (at + 1).min(3)).to_string());
    }
    for silent in [
        "INSERT INTO copy SELECT * FROM t WHERE id = 1",
        "CREATE TABLE a AS SELECT * FROM t WHERE id = 1",
        "CREATE TEMP TABLE b AS SELECT * FROM t",
        "CREATE TABLE d AS SELECT * FROM t WITH NO DATA",
        "CREATE TEMP TABLE c ON COMMIT DROP AS SELECT * FROM t",
    ] {
        assert_eq!(person.query(silent).notices(), [""; 0], "{silent}");
    }
}

/// A key of another table says nothing of how many rows are written.
#[test]
fn keys_are_those_of_the_table_itself() {
    let stage = Stage::new();
    stage.straight().all(&[
        "CREATE TABLE t (id int PRIMARY KEY, grp int); INSERT INTO t SELECT i, 1 FROM generate_series(1, 300) i",
        "CREATE TABLE o (id int PRIMARY KEY, grp int); INSERT INTO o SELECT i, i FROM generate_series(1, 300) i",
        "CREATE SCHEMA other; CREATE TABLE other.t AS SELECT * FROM t; ALTER TABLE other.t ADD PRIMARY KEY (id)",
        "ANALYZE",
    ]);
    let mut person = stage.through();
    person.all(&["SET lockkeeper.bulk_rows = 40"]);
    for way in Way::BOTH {
        for sql in [
            "UPDATE t SET grp = 1 FROM o WHERE o.id = 1",
            "UPDATE t AS x SET grp = 1 FROM o AS t WHERE t.id = 1",
            "UPDATE public.t SET grp = 1 FROM other.t WHERE other.t.id = 1",
        ] {
            for _ in 0..2 {
                let many = person.ask(way, sql);
                assert_eq!(many.tag(), "UPDATE 300", "{sql}");
                assert!(many.notices().iter().any(|notice| notice.contains("in batches")), "{sql}: {many:?}");
            }
        }
        let one = person.ask(way, "UPDATE t SET grp = 1 FROM o WHERE t.id = 1 AND o.id = 1");
        assert!(one.tag() == "UPDATE 1" && one.notices().is_empty(), "{one:?}");
    }
}

/// However long its values are, and where they cannot be written down for another time: a part of it is said why.
#[test]
fn long_and_unreadable_values() {
    let stage = Stage::new();
    stage.straight().all(SETUP);
    let mut person = stage.through();
    person.all(&[MANY]);
    let long = "x".repeat(300_000);
    let sent = |sql: &str, value: &[u8]| {
        let mut bound = raw::bind("", "", &[Some("?")]);
        let place = bound.len() - 3;
        bound.truncate(place - 4);
        let mut body = bound.split_off(5);
        body.extend(u32::try_from(value.len()).expect("short").to_be_bytes());
        body.extend(value);
        body.extend([0, 0]);
        [
            raw::parse("", sql),
            raw::framed(b'B', &body),
            raw::describe(b'P', ""),
            raw::execute("", 0),
            raw::sync(),
        ]
        .concat()
    };
    for block in [false, true] {
        for (value, cut) in [(long.clone(), true), (long.repeat(4), false)] {
            person.all(if block { &["BEGIN"] } else { &["SELECT 1"] });
            person.raw.send(&sent("UPDATE t SET note = $1 WHERE id > 0", value.as_bytes()));
            let answer = person.answer();
            let expected = if block && cut { "UPDATE 0" } else { "UPDATE 1000" };
            assert_eq!(answer.tag(), expected, "{block} {cut}");
            let told = answer
                .notices()
                .iter()
                .any(|notice| notice.contains("in batches") || notice.contains("deferred"));
            assert_eq!(told, cut, "{block} {cut}");
            person.all(if block { &["COMMIT"] } else { &["SELECT 1"] });
            assert_eq!(
                stage.now(&format!("SELECT count(*) FROM t WHERE length(note) = {}", value.len())),
                "1000"
            );
        }
    }
    person.all(&["SET client_encoding = 'LATIN1'"]);
    person.raw.send(&sent("UPDATE t SET note = $1 WHERE id > 0", b"\xfc"));
    let refused = person.answer();
    assert_eq!(refused.failure(), "0A000", "{refused:?}");
    assert!(refused.detail().contains("cannot be read beyond doubt in this client_encoding"), "{refused:?}");
    person.raw.send(&sent("UPDATE t SET note = $1 WHERE id = 1", b"\xfc"));
    assert_eq!(person.answer().tag(), "UPDATE 1");
}

/// A time-out or a cancel that strikes while the planner is asked is the statement's end.
#[test]
fn who_waits_for_the_plan_can_be_stopped() {
    let stage = Stage::new();
    stage.straight().all(SETUP);
    let mut holder = stage.straight();
    let mut person = stage.through();
    person.all(&[MANY]);
    for way in Way::BOTH {
        for block in [false, true] {
            for timeout in [false, true] {
                person.all(&[if timeout { "SET lock_timeout = '200ms'" } else { "SET lock_timeout = 0" }]);
                person.all(if block { &["BEGIN"] } else { &["SELECT 1"] });
                holder.all(&["BEGIN", "LOCK TABLE t IN ACCESS EXCLUSIVE MODE"]);
                person.send(way, "UPDATE t SET note = 'all' WHERE id > 0");
                if !timeout {
                    stage.until(&format!(
                        "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = {}",
                        person.pid()
                    ));
                    person.cancel();
                }
                let answer = person.answer();
                assert_eq!(
                    answer.failure(),
                    if timeout { "55P03" } else { "57014" },
                    "{way:?} {block} {answer:?}"
                );
                assert_eq!(answer.status(), if block { 'E' } else { 'I' });
                holder.all(&["ROLLBACK"]);
                person.all(if block { &["ROLLBACK"] } else { &["SELECT 1"] });
                assert_eq!(stage.now("SELECT count(*) FROM t WHERE note = 'all'"), "0");
            }
        }
    }
}
