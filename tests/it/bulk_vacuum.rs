//! Dead rows that a statement in batches leaves behind: cleaned between its batches, waited for, and told where somebody keeps them.

use crate::support::operated::Operated;
use crate::support::stage::{Person, Stage, Way};
use crate::support::{each_major, eventually};

const ROWS: u32 = 3000;

fn setup(stage: &Stage) {
    stage.straight().all(&[
        "CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL) WITH (autovacuum_enabled = off)",
        &format!("INSERT INTO t SELECT i, 0 FROM generate_series(1, {ROWS}) i"),
        "ANALYZE t",
    ]);
}

fn person(stage: &Stage) -> Person {
    let mut person = stage.through();
    person.all(&[
        "SET lockkeeper.bulk_rows = 40",
        "SET vacuum_cost_delay = '7ms'",
        "SET statement_timeout = '30s'",
    ]);
    person
}

fn vacuums(stage: &Stage) -> usize {
    stage.cluster.log().matches("VACUUM (SKIP_LOCKED, TRUNCATE false) public.t").count()
}

const EVERY: &str = "[bulk]\nvacuum_every = 1000";

#[test]
fn the_table_is_vacuumed_between_batches() {
    for installation in each_major() {
        let stage = Stage::on_with(installation, EVERY);
        setup(&stage);
        let mut person = person(&stage);
        let size = stage.now("SELECT pg_relation_size('t')").parse::<u64>().expect("a size");
        for turn in 1..=4 {
            let answer = person.query("UPDATE t SET n = n + 1");
            assert_eq!(answer.tag(), format!("UPDATE {ROWS}"), "{answer:?}");
            assert_eq!(stage.now("SELECT min(n), max(n) FROM t"), format!("{turn}|{turn}"));
        }
        // The server has it in its log as it comes.
        eventually("it is vacuumed after each thousand rows", || (vacuums(&stage) >= 8).then_some(()));
        let grown = stage.now("SELECT pg_relation_size('t')").parse::<u64>().expect("a size");
        assert!(grown < size * 3, "{size} {grown}: room is used again");
        assert_eq!(person.table("SHOW vacuum_cost_delay"), "7ms");
        assert_eq!(person.table("SHOW statement_timeout"), "30s");
        person.all(&["RESET vacuum_cost_delay"]);
        assert_eq!(person.table("SHOW vacuum_cost_delay"), "0");
        assert_eq!(person.query("DELETE FROM t").tag(), format!("DELETE {ROWS}"));
        assert_eq!(
            person.table("SELECT source FROM pg_settings WHERE name = 'vacuum_cost_delay'"),
            "default"
        );
    }
}

/// The rows of each partition are counted by themselves.
#[test]
fn partitions_are_vacuumed_one_by_one() {
    let stage = Stage::with(EVERY);
    stage.straight().all(&[
        "CREATE TABLE p (id int PRIMARY KEY, n int NOT NULL) PARTITION BY RANGE (id)",
        "CREATE TABLE many PARTITION OF p FOR VALUES FROM (0) TO (2001) WITH (autovacuum_enabled = off)",
        "CREATE TABLE few PARTITION OF p FOR VALUES FROM (2001) TO (2901) WITH (autovacuum_enabled = off)",
        "CREATE TABLE more PARTITION OF p FOR VALUES FROM (2901) TO (5000) WITH (autovacuum_enabled = off)",
        "INSERT INTO p SELECT i, 0 FROM generate_series(1, 4800) i",
        "ANALYZE p",
    ]);
    let answer = person(&stage).query("UPDATE p SET n = n + 1");
    assert_eq!(answer.tag(), "UPDATE 4800", "{answer:?}");
    assert_eq!(stage.now("SELECT min(n), max(n) FROM p"), "1|1");
    let vacuums = |table: &str| {
        stage.cluster.log().matches(&format!("VACUUM (SKIP_LOCKED, TRUNCATE false) public.{table}")).count()
    };
    eventually("both big ones are vacuumed", || (vacuums("many") > 0 && vacuums("more") > 0).then_some(()));
    assert_eq!(vacuums("few"), 0);
}

#[test]
fn who_does_not_own_the_table_leaves_it_to_others() {
    let stage = Stage::with(EVERY);
    setup(&stage);
    stage.straight().all(&["CREATE ROLE worker LOGIN", "GRANT ALL ON t TO worker"]);
    let mut person = Person::called(stage.proxy.addr(), &[("user", "worker")]);
    person.all(&["SET lockkeeper.bulk_rows = 40"]);
    let answer = person.query("UPDATE t SET n = n + 1");
    assert_eq!(answer.tag(), format!("UPDATE {ROWS}"), "{answer:?}");
    let said = "WARNING: UPDATE t goes on without VACUUM between its batches";
    assert_eq!(answer.notices().iter().filter(|it| *it == said).count(), 1, "{answer:?}");
    let why = answer.notice("UPDATE t goes on without", b'D');
    assert_eq!(why.as_deref(), Some("The role of this session does not own public.t."));
    assert_eq!(vacuums(&stage), 0);
}

/// Somebody whose lock is in the way is neither waited for nor driven off.
#[test]
fn a_lock_in_the_way_is_let_alone() {
    let stage = Stage::with(EVERY);
    setup(&stage);
    let mut other = stage.straight();
    other.all(&["BEGIN", "LOCK TABLE t IN SHARE UPDATE EXCLUSIVE MODE"]);
    assert_eq!(person(&stage).query("UPDATE t SET n = n + 1").tag(), format!("UPDATE {ROWS}"));
    assert!(vacuums(&stage) > 0);
    other.all(&["COMMIT"]);
}

#[test]
fn who_keeps_dead_rows_is_told_once() {
    let stage = Stage::with("[bulk]\nold_snapshot = \"1s\"\ndead_rows_max = 1000");
    setup(&stage);
    let mut old = stage.straight();
    old.all(&["BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM t"]);
    let mut person = person(&stage);
    person.all(&["SET lockkeeper.rows_per_second = 1000"]);
    let answer = person.query("UPDATE t SET n = n + 1");
    assert_eq!(answer.tag(), format!("UPDATE {ROWS}"), "{answer:?}");
    let what = "dead rows that UPDATE t leaves cannot be cleaned at present";
    assert_eq!(
        answer.notices().iter().filter(|it| **it == format!("WARNING: {what}")).count(),
        1,
        "{answer:?}"
    );
    let why = answer.notice(what, b'D').expect("a DETAIL");
    assert!(
        why.starts_with(&format!("Process {} of user \"postgres\" has kept them for ", old.pid())),
        "{why}"
    );
    assert!(answer.notice(what, b'H').expect("a HINT").contains("lockkeeper bulk pause "), "{answer:?}");
    old.all(&["COMMIT"]);
    // Who keeps nothing is not told of.
    let answer = person.query("UPDATE t SET n = n + 1");
    assert!(answer.notice(what, b'D').is_none(), "{answer:?}");
}

/// It goes on all the same, since nobody may ever clean them.
#[test]
fn dead_rows_slow_it_down() {
    let operated = Operated::with("", "[bulk]\ndead_rows_max = 1000\nold_snapshot = \"1s\"");
    setup(&operated.stage);
    let mut old = operated.stage.straight();
    old.all(&["BEGIN", "INSERT INTO t VALUES (0, 0)"]);
    let mut person = person(&operated.stage);
    person.all(&["SET lockkeeper.rows_per_second = 1000"]);
    person.send(Way::Simple, "UPDATE t SET n = n + 1 WHERE id > 0");
    let words = eventually("it is held back", || {
        let running = operated.status()["running"][0].clone();
        let holds = running["progress"]["held_back"].as_array().cloned().unwrap_or_default();
        let hold = holds.into_iter().find(|hold| hold["signal"] == "dead_rows" && hold["stops"] == false)?;
        hold["words"].as_str().map(str::to_owned).filter(|words| words.contains("has kept"))
    });
    assert!(words.contains("dead rows are to be cleaned (max 1000): process "), "{words}");
    old.all(&["ROLLBACK"]);
    assert_eq!(person.answer().tag(), format!("UPDATE {ROWS}"));
}
