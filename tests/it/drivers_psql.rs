//! psql at the proxy's port, with what it is really used for: files, `-1`, Ctrl-C, `\watch`, savepoints of its own.

use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::support::eventually;
use crate::support::programs::{Owned, Ran, psql, run};
use crate::support::stage::Stage;

fn through(stage: &Stage, arguments: &[&str]) -> Command {
    let mut command = psql(&stage.cluster, &stage.proxy.url("postgres"));
    command.args(arguments);
    command
}

fn file(stage: &Stage, arguments: &[&str], text: &str) -> Ran {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("migration.sql");
    std::fs::write(&path, text).expect("file");
    let mut command = through(stage, arguments);
    command.arg("-f").arg(&path);
    run(command)
}

#[test]
fn a_file_runs_statement_by_statement() {
    let stage = Stage::new();
    let ran =
        file(&stage, &[], "CREATE INDEX by_note ON orders (note);\nALTER TABLE orders ADD a int;\n\\di\n");
    assert!(ran.stderr.contains("NOTICE:  CREATE INDEX runs as CREATE INDEX CONCURRENTLY"), "{ran:?}");
    assert!(ran.ok().contains("|by_note|index|"));
    assert!(stage.was_run("CREATE INDEX CONCURRENTLY by_note ON orders (note);"));
}

#[test]
fn minus_one_is_one_transaction() {
    let stage = Stage::new();
    let text = "ALTER TABLE orders ADD a int;\nCREATE INDEX by_note ON orders (note);\nSELECT 1 / 0;\n";
    let ran = file(&stage, &["-1"], text);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.stderr.contains("NOTICE:  CREATE INDEX is deferred"), "{ran:?}");
    assert_eq!(stage.indexes(), "");
    assert_eq!(
        stage.now("SELECT count(*) FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'a'"),
        "0"
    );
}

#[test]
fn several_statements_after_minus_c_are_one_message() {
    let stage = Stage::new();
    let ran = run(through(&stage, &["-c", "ALTER TABLE orders ADD a int; SELECT 1 / 0"]));
    assert!(ran.stderr.contains("division by zero"), "{ran:?}");
    let ran = run(through(&stage, &["-c", "ALTER TABLE orders ADD a int; SELECT count(a) FROM orders"]));
    assert_eq!(ran.ok(), "0");
}

#[test]
fn watch_goes_on_beside_a_migration() {
    let stage = Stage::new();
    let mut watching = through(&stage, &[]);
    watching.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut watching = Owned(watching.spawn().expect("psql"));
    let mut stdin = watching.0.stdin.take().expect("piped");
    std::io::Write::write_all(&mut stdin, b"SELECT 'seen' FROM orders WHERE id = 1 \\watch 0.02\n")
        .expect("written");
    let seen = || stage.cluster.log().matches("SELECT 'seen'").count();
    eventually("it watches", || (seen() > 2).then_some(()));
    let before = seen();
    run(through(&stage, &["-c", "ALTER TABLE orders ADD a int"])).ok();
    eventually("it goes on", || (seen() > before + 2).then_some(()));
}

/// Ctrl-C at a build that waits, and at a statement that waits outside the queue.
#[test]
fn control_c_stops_what_waits() {
    let stage = Stage::new();
    for (hold, sql, waits) in [
        (
            "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1",
            "CREATE INDEX by_note ON orders (note)",
            "SELECT EXISTS (SELECT 1 FROM pg_stat_progress_create_index WHERE phase = 'waiting for old snapshots')",
        ),
        (
            "BEGIN; SELECT count(*) FROM orders",
            "ALTER TABLE orders ADD a int",
            "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep')",
        ),
    ] {
        let mut other = stage.straight();
        other.query(hold);
        let mut command = through(&stage, &["-c", sql]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = Owned(command.spawn().expect("psql"));
        stage.until(waits);
        child.signal(Signal::INT);
        let status = eventually("psql ends", || child.0.try_wait().expect("wait"));
        assert!(!status.success());
        let mut said = String::new();
        let mut stderr = child.0.stderr.take().expect("piped");
        std::io::Read::read_to_string(&mut stderr, &mut said).expect("text");
        assert!(said.contains("canceling statement due to user request"), "{said}");
        assert_eq!(stage.indexes(), "");
        other.all(&["ROLLBACK"]);
    }
}

/// With `ON_ERROR_ROLLBACK` psql sets a savepoint before each statement and goes back to it after an error.
#[test]
fn savepoints_of_psql_and_of_ours_do_not_mix() {
    let stage = Stage::new();
    let ran = file(
        &stage,
        &["-v", "ON_ERROR_STOP=0", "-v", "ON_ERROR_ROLLBACK=on"],
        "BEGIN;\nALTER TABLE orders ADD a int;\nALTER TABLE orders ADD a int;\nALTER TABLE nowhere ADD a int;\n\
         INSERT INTO orders (id) VALUES (500);\nALTER TABLE orders ADD b int;\nCOMMIT;\n\
         SELECT count(*), count(a), count(b) FROM orders WHERE id = 500;\n",
    );
    assert_eq!(ran.stderr.matches("ERROR:").count(), 2, "{ran:?}");
    assert_eq!(ran.ok(), "1|0|0");
}
