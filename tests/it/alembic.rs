//! A real Alembic project through the proxy, under the load of an application.

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::support::application::{Application, BOUND};
use crate::support::eventually;
use crate::support::programs::{Ran, python, run, without_variables};
use crate::support::stage::{Stage, Way};

/// Alembic as a person would call it, in the project's folder.
fn alembic(url: &str, arguments: &[&str]) -> Ran {
    let mut command = python();
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/alembic"));
    command.args(["-m", "alembic"]).args(arguments);
    command.env("DATABASE_URL", url.replacen("postgresql:", "postgresql+psycopg:", 1));
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    run(command)
}

/// What the schema of a database is, as `pg_dump` tells it.
fn schema(stage: &Stage) -> String {
    let program = stage.cluster.installation().program("pg_dump").expect("pg_dump");
    let mut dump = Command::new(program);
    dump.args(["--schema-only", "--exclude-schema=lockkeeper", "-d", &stage.cluster.url("postgres")]);
    let text = run(dump).ok();
    let restrict = |line: &&str| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict");
    text.lines().filter(restrict).collect::<Vec<_>>().join("\n")
}

/// Reads and writes as an application does, one short statement after the other, until told to stop; how many succeeded.
fn application(stage: &Stage, id: usize, stop: &AtomicBool, done: &AtomicU64) {
    let mut person = stage.through();
    while !stop.load(Ordering::Relaxed) {
        for sql in [
            format!("SELECT count(*) FROM orders WHERE customer = {id}"),
            format!("UPDATE orders SET note = 'load' WHERE id = {id}"),
        ] {
            person.ask(Way::Extended, &sql).tag();
            done.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[test]
fn a_project_migrates_up_and_down_under_load() {
    let (straight, through) = (Stage::new(), Stage::new());
    alembic(&straight.cluster.url("postgres"), &["upgrade", "head"]).ok();
    let before = schema(&through);
    let (stop, done) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for id in 1..=4 {
            let (through, stop, done) = (&through, &stop, &done);
            scope.spawn(move || application(through, id, stop, done));
        }
        eventually("the application is at work", || (done.load(Ordering::Relaxed) > 100).then_some(()));
        let url = through.proxy.url("postgres");
        let up = alembic(&url, &["upgrade", "head"]);
        let head = through.now("SELECT version_num FROM alembic_version");
        let indexes = through.indexes();
        let reached = schema(&through);
        let down = alembic(&url, &["downgrade", "base"]);
        stop.store(true, Ordering::Relaxed);
        up.ok();
        assert_eq!(head, "0004");
        assert_eq!(indexes, "ix_orders_customer+\nix_orders_open+");
        assert_eq!(reached, schema(&straight));
        down.ok();
    });
    through.straight().all(&["DROP TABLE alembic_version"]);
    assert_eq!(schema(&through), before);
    for sql in [
        "CREATE INDEX CONCURRENTLY ix_orders_customer ON orders (customer)",
        "CREATE INDEX CONCURRENTLY ix_orders_note ON orders (lower(note))",
        "CREATE UNIQUE INDEX CONCURRENTLY ix_orders_open ON orders (id) WHERE priority > 0",
        "DROP INDEX CONCURRENTLY ix_orders_note",
        "DROP INDEX CONCURRENTLY ix_orders_customer",
        // Nobody else can see the table of the first revision: its index is made as it was sent.
        "CREATE UNIQUE INDEX ix_accounts_email ON accounts (email)",
    ] {
        assert!(through.was_run(sql), "{sql}");
    }
}

/// The migration waits for a report that has the table; the application does not.
#[test]
fn a_migration_waits_for_a_reader_and_the_application_for_nobody() {
    let stage = Stage::with(BOUND);
    let mut reader = stage.straight();
    reader.all(&["BEGIN", "SELECT count(*) FROM orders"]);
    let application = Application::begin(stage.proxy.addr(), "postgres", &[]);
    std::thread::scope(|scope| {
        let url = stage.proxy.url("postgres");
        let migration = scope.spawn(move || alembic(&url, &["upgrade", "head"]));
        eventually("the migration waits", || stage.proxy.log().contains("lock-queue").then_some(()));
        application.is_served(100);
        application.was_never_stalled(&stage.cluster);
        assert!(!migration.is_finished());
        assert_eq!(stage.now("SELECT count(*) FROM pg_attribute WHERE attname = 'priority'"), "0");
        reader.all(&["COMMIT"]);
        migration.join().expect("Alembic").ok();
    });
    assert_eq!(stage.now("SELECT version_num FROM alembic_version"), "0004");
    assert_eq!(stage.indexes(), "ix_orders_customer+\nix_orders_open+");
}

/// A revision that fails leaves the version at the last one that is whole, as it does straight.
#[test]
fn a_failing_revision_leaves_what_it_leaves_straight() {
    let outcome = |stage: &Stage, url: &str| {
        // Rows that the constraint of the last revision forbids come from a trigger on the new column.
        stage.straight().all(&[
            "CREATE FUNCTION spoil() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN \
             IF (SELECT count(*) FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'priority') = 1 \
             THEN UPDATE orders SET priority = 77 WHERE id = 1; END IF; END $$",
            "CREATE EVENT TRIGGER spoil ON ddl_command_end WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION spoil()",
        ]);
        let ran = alembic(url, &["upgrade", "head"]);
        assert_ne!(ran.code, 0, "{ran:?}");
        assert!(ran.stderr.contains("priority_known"), "{ran:?}");
        format!("{}\n{}", stage.now("SELECT version_num FROM alembic_version"), stage.indexes())
    };
    let (straight, through) = (Stage::new(), Stage::new());
    let expected = outcome(&straight, &straight.cluster.url("postgres"));
    assert_eq!(outcome(&through, &through.proxy.url("postgres")), expected);
}

/// What was queued and fails behind the COMMIT is told to the tool, whose books are right: the transaction is committed. What is left is
/// done when its reason is gone, and the tool finds nothing more to do.
#[test]
fn what_fails_behind_the_commit_is_told_and_can_be_done_later() {
    let stage = Stage::new();
    let url = stage.proxy.url("postgres");
    alembic(&url, &["upgrade", "0003"]).ok();
    stage.straight().all(&["UPDATE orders SET priority = 77 WHERE id = 1"]);
    let ran = alembic(&url, &["upgrade", "head"]);
    assert_ne!(ran.code, 0, "{ran:?}");
    for told in ["the transaction is committed", "priority_known", "lockkeeper resume"] {
        assert!(ran.stderr.contains(told), "{told}: {ran:?}");
    }
    let left = "SELECT conname, convalidated FROM pg_constraint WHERE conname = 'priority_known'";
    assert_eq!(stage.now(left), "priority_known|f");
    assert_eq!(alembic(&url, &["current"]).ok().trim(), "0004 (head)");
    alembic(&url, &["upgrade", "head"]).ok();
    stage.straight().all(&["UPDATE orders SET priority = 7 WHERE id = 1"]);
    let mut resume = Command::new(env!("CARGO_BIN_EXE_lockkeeper"));
    without_variables(&mut resume);
    resume.args(["resume", "--url", &stage.cluster.url("postgres")]);
    run(resume).ok();
    assert_eq!(stage.now(left), "priority_known|t");
    assert_eq!(stage.now("SELECT count(*) FROM lockkeeper.task WHERE state <> 'done'"), "0");
    alembic(&url, &["downgrade", "base"]).ok();
}
