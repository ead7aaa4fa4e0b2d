//! Postgres' own tools, on the parts of the protocol that few others use: replication and large objects.

use std::path::Path;
use std::process::{Command, Stdio};

use lockkeeper::cluster::Options;

use crate::support::eventually;
use crate::support::programs::{Owned, psql, run, without_variables};
use crate::support::raw::query;
use crate::wire::{Pair, errors};

/// A server from which others may copy.
fn pair() -> Pair {
    Pair::with(
        &Options::new()
            .conf("wal_level = logical")
            .conf("max_wal_senders = 8")
            .conf("max_replication_slots = 8"),
    )
}

/// One of Postgres' programs, pointed at the proxy; `None` where only the server came to this machine.
fn tool(pair: &Pair, name: &str, arguments: &[&str]) -> Option<Command> {
    let mut command = Command::new(pair.cluster.installation().program(name)?);
    command.args(["-d", &pair.proxy.url("postgres")]).args(arguments);
    without_variables(&mut command);
    Some(command)
}

fn path(folder: &tempfile::TempDir, name: &str) -> String {
    folder.path().join(name).to_str().expect("utf-8").to_owned()
}

#[test]
fn commands_of_a_walsender() {
    let pair = pair();
    let frames = pair.same(|talk| {
        talk.log_in(&[("replication", "true")]);
        talk.query("IDENTIFY_SYSTEM");
        talk.query("SHOW wal_level");
        talk.query("CREATE_REPLICATION_SLOT plain TEMPORARY PHYSICAL");
        talk.query("TIMELINE_HISTORY 99");
        talk.query("ALTER TABLE nothing ADD a int");
        talk.query("DROP_REPLICATION_SLOT plain");
        talk.send(&[query("START_REPLICATION 0/0"), query("SELECT 1")].concat());
        talk.until(b'E');
    });
    assert!(errors(&frames).len() >= 3, "{frames:?}");
    // On a logical walsender SQL runs too; what is refused there, `security_bypass` shows.
    pair.same(|talk| {
        talk.log_in(&[("replication", "database")]);
        talk.query("CREATE TEMP TABLE made_here (a int)");
        talk.query(
            "BEGIN READ ONLY ISOLATION LEVEL REPEATABLE READ; SELECT ';', count(*) FROM made_here; COMMIT",
        );
        talk.query("SELEKT");
        talk.query("READ_REPLICATION_SLOT none");
    });
}

#[test]
fn pg_basebackup_with_streamed_wal() {
    let pair = pair();
    pair.straight()
        .rows("CREATE TABLE t AS SELECT n, repeat('x', 500) AS filler FROM generate_series(1, 20000) n");
    let folder = tempfile::tempdir().expect("temporary folder");
    let target = path(&folder, "copy");
    let arguments = ["-D", &target, "-X", "stream", "-c", "fast"];
    let Some(command) = tool(&pair, "pg_basebackup", &arguments) else { return };
    run(command).ok();
    assert!(Path::new(&target).join("backup_manifest").is_file());
    let Some(verify) = pair.cluster.installation().program("pg_verifybackup") else { return };
    let mut command = Command::new(verify);
    command.arg("-n").arg(&target);
    run(command).ok();
}

#[test]
fn pg_receivewal_follows_and_stops() {
    let pair = pair();
    let folder = tempfile::tempdir().expect("temporary folder");
    let target = folder.path().to_str().expect("utf-8").to_owned();
    let Some(mut command) = tool(&pair, "pg_receivewal", &["-D", &target, "--no-loop"]) else { return };
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let receiver = Owned(command.spawn().expect("pg_receivewal"));
    let mut other = pair.straight();
    eventually("a whole segment has come", || {
        other.rows("CREATE TABLE IF NOT EXISTS t (a int); INSERT INTO t VALUES (1); SELECT pg_switch_wal()");
        let files = std::fs::read_dir(folder.path()).expect("folder").filter_map(Result::ok);
        let whole = files.filter(|file| file.path().extension().is_none()).count();
        (whole > 0).then_some(())
    });
    drop(receiver);
    eventually("its walsender ends", || {
        other.rows("SELECT 1 FROM pg_stat_replication").is_empty().then_some(())
    });
}

#[test]
fn pg_recvlogical_brings_changes() {
    let pair = pair();
    let mut other = pair.straight();
    other.rows("CREATE TABLE t (a int PRIMARY KEY)");
    let folder = tempfile::tempdir().expect("temporary folder");
    let target = path(&folder, "changes");
    let make = ["--slot", "changes", "--create-slot", "-P", "test_decoding"];
    let Some(command) = tool(&pair, "pg_recvlogical", &make) else { return };
    let made = run(command);
    if made.stderr.contains("test_decoding") {
        // The plugin is in a package of its own.
        return;
    }
    made.ok();
    let follow = ["--slot", "changes", "--start", "-f", &target, "--no-loop", "-F", "0"];
    let mut command = tool(&pair, "pg_recvlogical", &follow).expect("as before");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let receiver = Owned(command.spawn().expect("pg_recvlogical"));
    eventually("the slot is in use", || {
        (!other.rows("SELECT 1 FROM pg_replication_slots WHERE active").is_empty()).then_some(())
    });
    other.rows("INSERT INTO t VALUES (4711)");
    eventually("the change has come", || {
        std::fs::read_to_string(&target).is_ok_and(|text| text.contains("4711")).then_some(())
    });
    drop(receiver);
    eventually("the slot is free", || {
        other.rows("SELECT 1 FROM pg_replication_slots WHERE active").is_empty().then_some(())
    });
}

#[test]
fn large_objects_go_in_and_out() {
    let pair = pair();
    let folder = tempfile::tempdir().expect("temporary folder");
    let (original, copy) = (path(&folder, "original"), path(&folder, "copy"));
    let bytes: Vec<u8> = (0..3_000_000_u32).flat_map(|number| number.to_le_bytes()[..2].to_vec()).collect();
    std::fs::write(&original, &bytes).expect("file");
    let mut command = psql(&pair.cluster, &pair.proxy.url("postgres"));
    command.args(["-c", &format!("\\lo_import {original}"), "-c", &format!("\\lo_export :LASTOID {copy}")]);
    run(command).ok();
    assert!(std::fs::read(&copy).expect("file") == bytes);
}

#[test]
fn a_dump_is_restored_in_parallel_and_in_one_transaction() {
    let pair = pair();
    let mut admin = pair.straight();
    admin.rows(
        "CREATE TABLE parent (id int PRIMARY KEY, v text); INSERT INTO parent SELECT n, n FROM generate_series(1, 1000) n; \
         CREATE TABLE child (id int REFERENCES parent, b bytea); CREATE INDEX ON child (b); \
         CREATE VIEW v AS SELECT * FROM parent; CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS \
         'BEGIN RETURN NEW; END'; CREATE TRIGGER g BEFORE INSERT ON child FOR EACH ROW EXECUTE FUNCTION f()",
    );
    for database in ["one", "many"] {
        admin.rows(&format!("CREATE DATABASE {database}"));
    }
    let folder = tempfile::tempdir().expect("temporary folder");
    let dump = path(&folder, "dump");
    let Some(command) = tool(&pair, "pg_dump", &["-Fc", "-f", &dump]) else { return };
    run(command).ok();
    for (database, how) in [("one", "--single-transaction"), ("many", "--jobs=4")] {
        let program = pair.cluster.installation().program("pg_restore").expect("beside pg_dump");
        let mut command = Command::new(program);
        command.args(["--exit-on-error", how, "-d", &pair.proxy.url(database), &dump]);
        without_variables(&mut command);
        run(command).ok();
        let mut count = psql(&pair.cluster, &pair.cluster.url(database));
        count.args(["-c", "SELECT (SELECT count(*) FROM v), (SELECT count(*) FROM pg_index WHERE indisvalid AND indrelid = 'child'::regclass)"]);
        assert_eq!(run(count).ok(), "1000|1", "{database}");
    }
}
