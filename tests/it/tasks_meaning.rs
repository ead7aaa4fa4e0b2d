//! What was queued is about the relations that its names meant then: whoever takes it up later does nothing to others of those names.

use std::process::Command;

use crate::support::programs::{Ran, run, without_variables};
use crate::support::proxy::Setup;
use crate::support::stage::{Stage, Way};

/// A command about the stage's database.
fn lockkeeper(stage: &Stage, words: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockkeeper"));
    without_variables(&mut command);
    command.env("LOCKKEEPER_GUARD_SMALL_TABLE", "0B");
    command.args(words).args(["--url", &stage.cluster.url("postgres")]);
    run(command)
}

/// Queues a unique index that cannot be built yet, and an index behind it; the numbers of both tasks.
fn unfinished(stage: &Stage) -> Vec<String> {
    let mut client = stage.through();
    client.all(&[
        "BEGIN",
        "CREATE UNIQUE INDEX ix_note ON orders (note)",
        "CREATE INDEX ix ON public.orders (customer)",
    ]);
    assert_eq!(client.query("COMMIT").failure(), "58000");
    let ids = stage.now("SELECT id FROM lockkeeper.task WHERE state IN ('queued', 'failed') ORDER BY 1");
    ids.lines().map(str::to_owned).collect()
}

const STATES: &str = "SELECT string_agg(state, ' ' ORDER BY id) FROM lockkeeper.task";

#[test]
fn another_table_of_that_name_is_left_alone() {
    let stage = Stage::new();
    let mut straight = stage.straight();
    let first = &unfinished(&stage)[0];
    straight.all(&["ALTER TABLE orders RENAME TO old", "CREATE TABLE orders (LIKE old)"]);
    let ran = lockkeeper(&stage, &["resume"]);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    let why = format!(
        "orders is another relation than when this was queued, and nothing was done to it; if it is meant, run the statement by hand; \
         then lockkeeper tasks drop {first} --why REASON"
    );
    assert!(ran.stdout.contains(&why), "{}", ran.stdout);
    assert!(lockkeeper(&stage, &["tasks"]).ok().contains(&why));
    assert_eq!((stage.indexes().as_str(), stage.now(STATES).as_str()), ("", "failed queued"));
    // The very table again, in another way.
    straight.all(&["DROP TABLE orders", "ALTER TABLE old RENAME TO orders", "UPDATE orders SET note = id"]);
    let said = lockkeeper(&stage, &["resume"]).ok();
    assert!(!said.contains("another relation"), "{said}");
    assert_eq!((stage.indexes().as_str(), stage.now(STATES).as_str()), ("ix+\nix_note+", "done done"));
}

#[test]
fn what_is_gone_needs_nothing_any_more() {
    let stage = Stage::new();
    let ids = unfinished(&stage);
    stage.straight().all(&["DROP TABLE orders"]);
    let said = lockkeeper(&stage, &["resume"]).ok();
    for id in ids {
        assert!(said.contains(&format!("task {id}: there is nothing left to do it to")), "{said}");
    }
    assert_eq!(stage.now(STATES), "done done");
}

/// The session that commits, and a proxy that does the work in the background, look, too.
#[test]
fn whoever_takes_it_up_looks() {
    let stage = Stage::new();
    lockkeeper(&stage, &["init"]).ok();
    let mut straight = stage.straight();
    for way in Way::BOTH {
        let mut client = stage.through();
        let unseen =
            "DO $$ BEGIN EXECUTE 'ALTER TABLE orders RENAME TO old; CREATE TABLE orders (LIKE old)'; END $$";
        client.each(way, &["BEGIN", "CREATE INDEX ix ON orders (customer)", unseen]);
        let failed = client.ask(way, "COMMIT");
        assert_eq!(failed.failure(), "58000");
        assert!(failed.error().is_some_and(|it| it.message().contains("orders is another relation by now")));
        assert_eq!(stage.indexes(), "");
        straight.all(&[
            "DROP TABLE orders",
            "ALTER TABLE old RENAME TO orders",
            "DELETE FROM lockkeeper.task",
        ]);
    }
    let task = r#"{"sql": "CREATE INDEX ix ON orders (id)", "title": "t", "tag": "CREATE INDEX", "settings": {}, "about": {"orders": 1}}"#;
    straight.all(&[&format!("SELECT lockkeeper.queue('[{task}]', true)")]);
    let control = format!("[control]\nurl = \"{}\"", stage.cluster.url("postgres"));
    let _proxy = Setup::new(&stage.cluster.addr()).config(&control).start();
    stage.until("SELECT state = 'failed' FROM lockkeeper.task");
    assert!(stage.now("SELECT failure FROM lockkeeper.task").contains("orders is another relation"));
    assert_eq!(stage.indexes(), "");
}

/// What an older version has left is brought up to date at first need, and what it has queued is run.
#[test]
fn the_first_version_of_the_schema_is_brought_up_to_date() {
    let stage = Stage::new();
    lockkeeper(&stage, &["init"]).ok();
    stage.straight().all(&[
        "DROP FUNCTION lockkeeper.tasks",
        "CREATE FUNCTION lockkeeper.tasks() RETURNS TABLE (id bigint) LANGUAGE sql AS 'SELECT id FROM lockkeeper.task'",
        r#"SELECT lockkeeper.queue('[{"sql": "CREATE INDEX ix ON orders (id)", "title": "t", "tag": "CREATE INDEX", "settings": {}}]')"#,
        "ALTER TABLE lockkeeper.task DROP COLUMN about",
        "UPDATE lockkeeper.meta SET version = 1",
    ]);
    let ran = lockkeeper(&stage, &["tasks"]);
    assert!(ran.stderr.contains("install it by lockkeeper init"), "{}", ran.stderr);
    stage.through().all(&["BEGIN", "CREATE INDEX iy ON orders (customer)", "COMMIT"]);
    assert_eq!(stage.now("SELECT version FROM lockkeeper.meta"), "2");
    assert_eq!(stage.now("SELECT about->'orders' = to_jsonb('orders'::regclass::oid::int8) FROM lockkeeper.task WHERE about IS NOT NULL"), "t");
    lockkeeper(&stage, &["resume"]).ok();
    assert_eq!((stage.indexes().as_str(), stage.now(STATES).as_str()), ("ix+\niy+", "done done"));
}
