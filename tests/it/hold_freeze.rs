//! The emergency stop, by the control socket: what it holds, what it ends, who may give it, and what is told of it.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::process::Command;

use crate::support::eventually;
use crate::support::operated::{Operated, ask};
use crate::support::programs::{run, without_variables};
use crate::support::proxy::Setup;
use crate::support::raw::Frame;
use crate::support::stage::{Person, Way};

fn until_held(client: &mut Person) -> Frame {
    eventually("the word that it is held", || {
        let frame = client.raw.frame();
        (frame.tag == b'N' && frame.message().contains(" is held: ")).then_some(frame)
    })
}

#[test]
fn strong_work_is_held_until_somebody_thaws() {
    for way in Way::BOTH {
        let operated = Operated::new();
        assert!(operated.tell(&["freeze", "incident 7"]).contains("frozen until somebody thaws it"));
        let mut client = operated.stage.through();
        client.send(way, "ALTER TABLE orders ADD c int");
        let told = until_held(&mut client);
        assert_eq!(told.message(), "ALTER TABLE is held: the proxy is frozen");
        assert!(told.field(b'D').expect("a detail").contains("Frozen by ann: incident 7."), "{told:?}");
        // Ordinary traffic, and work that nobody feels.
        let mut application = operated.stage.through();
        application.all(&[
            "INSERT INTO orders VALUES (300)",
            "CREATE TABLE own (id int)",
            "DROP TABLE IF EXISTS nowhere",
        ]);
        let status = operated.status();
        assert_eq!(status["freeze"]["reason"], "incident 7");
        assert_eq!(status["freeze"]["by"], "ann");
        let held = &status["held"][0];
        assert_eq!((&held["statement"], &held["state"]), (&"ALTER TABLE".into(), &"held".into()), "{status}");
        assert_eq!((&held["user"], &held["process"]), (&"postgres".into(), &client.pid().into()), "{status}");
        assert!(operated.tell(&["thaw"]).contains("thawed; it was frozen by ann: incident 7"));
        assert_eq!(client.answer().tag(), "ALTER TABLE", "{way:?}");
        let status = operated.status();
        assert_eq!(status["freeze"], serde_json::Value::Null);
        assert_eq!(status["recent"][0]["state"], "done", "{status}");
        assert!(operated.tell(&["thaw"]).contains("was not frozen"));
        let log = operated.stage.proxy.log();
        assert!(log.contains("frozen") && log.contains("incident 7") && log.contains("thawed"), "{log}");
    }
}

#[test]
fn a_freeze_ends_by_itself() {
    let operated = Operated::new();
    operated.tell(&["freeze", "a moment", "--for", "1s"]);
    let mut client = operated.stage.through();
    let answer = client.query("ALTER TABLE orders ADD c int");
    assert_eq!(answer.tag(), "ALTER TABLE");
    assert!(answer.notices()[0].contains("is held: the proxy is frozen until 2"), "{answer:?}");
    assert!(operated.status()["freeze"].is_null());
}

#[test]
fn it_may_be_refused_instead() {
    let operated = Operated::with("frozen_work = \"refuse\"\noverride_roles = [\"postgres\"]", "");
    operated.tell(&["freeze", "incident\n7"]);
    let mut client = operated.stage.through();
    let answer = client.query("DROP TABLE orders");
    assert_eq!(answer.failure(), "55000");
    assert_eq!(answer.error().expect("an error").message(), "DROP TABLE is refused: the proxy is frozen");
    assert!(answer.detail().ends_with("Frozen by ann: incident 7."), "{answer:?}");
    client.query("SET lockkeeper.mode = 'off'").tag();
    assert_eq!(client.query("TRUNCATE orders").failure(), "55000");
    client.query("SET lockkeeper.override = 'OPS-9: the fix itself'").tag();
    assert_eq!(client.query("ALTER TABLE orders ADD c int").tag(), "ALTER TABLE");
    client.query("RESET lockkeeper.mode").tag();
    assert_eq!(client.query("ALTER TABLE orders ADD d int").tag(), "ALTER TABLE");
    let status = operated.status();
    assert_eq!(status["recent"][0]["override"], "OPS-9: the fix itself", "{status}");
    assert!(operated.tell(&["status"]).contains("by override: OPS-9: the fix itself"));
}

#[test]
fn sessions_that_are_only_observed_are_frozen_too() {
    let operated = Operated::with("frozen_work = \"refuse\"", "[guard]\nmode = \"observe\"");
    operated.tell(&["freeze", "incident"]);
    let mut client = operated.stage.through();
    assert_eq!(client.query("ALTER TABLE orders ADD c int").failure(), "55000");
    // Behind the end of a failed transaction too.
    client.query("BEGIN").tag();
    client.query("SELECT 1 / 0").failure();
    let answer = client.query("ROLLBACK; ALTER TABLE orders ADD c int");
    assert_eq!(answer.error().map(Frame::sqlstate).as_deref(), Some("55000"), "{answer:?}");
    operated.tell(&["thaw"]);
    assert_eq!(client.query("ALTER TABLE orders ADD c int").tag(), "ALTER TABLE");
}

/// What waits for its lock outside the queue has not begun.
#[test]
fn what_waits_for_a_lock_is_stopped() {
    let operated = Operated::new();
    let mut reader = operated.stage.straight();
    reader.all(&["BEGIN", "SELECT count(*) FROM orders"]);
    let mut client = operated.stage.through();
    client.send(Way::Simple, "ALTER TABLE orders ADD c int");
    eventually("it waits", || {
        let status = operated.status();
        status["running"][0]["at"]
            .as_str()
            .is_some_and(|it| it.contains(&reader.pid().to_string()))
            .then_some(())
    });
    operated.tell(&["freeze", "incident"]);
    let answer = client.answer();
    assert_eq!(answer.failure(), "55000");
    assert!(answer.detail().contains("Frozen by ann: incident."), "{answer:?}");
}

/// A plan ends with the step that it is at, and what it has done is taken back.
#[test]
fn a_plan_stops_between_its_steps() {
    let operated = Operated::new();
    let mut writer = operated.stage.straight();
    writer.all(&["BEGIN", "UPDATE orders SET note = 'm' WHERE id = 1"]);
    let mut client = operated.stage.through();
    client.send(Way::Simple, "ALTER TABLE orders ADD CONSTRAINT one_note UNIQUE (id, note)");
    operated.stage.until(
        "SELECT EXISTS (SELECT 1 FROM pg_stat_progress_create_index WHERE phase = 'waiting for writers before build')",
    );
    let status = operated.status();
    assert_eq!(
        (&status["running"][0]["step"], &status["running"][0]["steps"]),
        (&1.into(), &2.into()),
        "{status}"
    );
    assert!(
        operated.tell(&["freeze", "incident"]).contains("1 running, each ends with the step that it is at")
    );
    writer.all(&["COMMIT"]);
    let answer = client.answer();
    assert_eq!(answer.failure(), "55000");
    assert!(answer.detail().contains("Frozen by ann: incident."), "{answer:?}");
    assert_eq!(operated.stage.indexes(), "");
    assert_eq!(operated.status()["recent"][0]["state"], "failed");
}

#[test]
fn what_runs_is_cancelled_where_that_is_asked_for() {
    for way in Way::BOTH {
        let operated = Operated::new();
        let mut reader = operated.stage.straight();
        reader.all(&["BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT 1"]);
        let mut client = operated.stage.through();
        client.send(way, "CREATE INDEX by_note ON orders (note)");
        operated.stage.until(
            "SELECT EXISTS (SELECT 1 FROM pg_stat_progress_create_index WHERE phase = 'waiting for old snapshots')",
        );
        assert!(
            operated.tell(&["freeze", "incident", "--cancel-running"]).contains("1 running, all cancelled")
        );
        let answer = client.answer();
        assert_eq!(answer.failure(), "57014", "{way:?}");
        assert!(answer.detail().contains("Frozen by ann: incident."), "{answer:?}");
        assert_eq!(operated.stage.indexes(), "");
        let status = operated.status();
        assert_eq!(status["recent"][0]["stopped"], true, "{status}");
        operated.tell(&["thaw"]);
        reader.all(&["COMMIT"]);
        assert_eq!(client.ask(way, "CREATE INDEX by_note ON orders (note)").tag(), "CREATE INDEX");
    }
}

#[test]
fn what_is_done_in_ranges_ends_with_the_range_that_it_is_at() {
    let operated = Operated::new();
    let mut beside = operated.stage.straight();
    beside.all(&[
        "INSERT INTO orders SELECT n, n, 'n' FROM generate_series(101, 2000) n",
        "CREATE SEQUENCE calls",
        "CREATE FUNCTION gate() RETURNS int LANGUAGE plpgsql AS $$ DECLARE n int := nextval('public.calls'); BEGIN IF n > 500 THEN \
         PERFORM pg_advisory_xact_lock_shared(1); END IF; RETURN n; END $$",
        "SELECT pg_advisory_lock(1)",
    ]);
    let mut client = operated.stage.through();
    client.send(Way::Simple, "ALTER TABLE orders ADD x int DEFAULT gate()");
    operated
        .stage
        .until("SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'advisory')");
    let at = operated.status()["running"][0]["at"].as_str().map(str::to_owned).unwrap_or_default();
    assert!(at.starts_with("UPDATE orders SET x = DEFAULT WHERE x IS NULL: "), "{at}");
    operated.tell(&["freeze", "incident"]);
    let answer = client.answer();
    assert_eq!(answer.failure(), "55000");
    assert!(answer.detail().contains("Frozen by ann: incident."), "{answer:?}");
    assert_eq!(operated.stage.now("SELECT count(*) FROM pg_attribute WHERE attname = 'x'"), "0");
}

#[test]
fn the_socket_is_its_owners() {
    let operated = Operated::new();
    let path = operated.socket();
    let mode = std::fs::metadata(&path).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    for (line, says) in [
        (&b"hello\n"[..], "expected one line of JSON: "),
        (b"{}", "expected one line of JSON, at most"),
        (b"{}\n", "there is nothing to ask by"),
        (b"{\"ask\": \"freeze\", \"by\": \"ann\"}\n", "a freeze needs a reason"),
        (
            b"{\"ask\": \"freeze\", \"by\": \"ann\", \"reason\": \"r\", \"for_ms\": 18446744073709551615}\n",
            "nobody waits",
        ),
    ] {
        let answer = operated.line(line);
        assert!(answer.starts_with("{\"error\":") && answer.contains(says), "{answer}");
    }
    assert!(operated.status()["freeze"].is_null());
    // A crowd that asks nothing keeps nobody out for long, and too long a line is cut off.
    let endless = vec![b' '; 20 << 10];
    let mut socket = UnixStream::connect(&path).expect("it is served");
    let _ = socket.write_all(&endless);
    let mut answer = String::new();
    let _ = socket.read_to_string(&mut answer);
    assert!(answer.is_empty() || answer.contains("at most"), "{answer}");
}

#[test]
fn each_proxy_has_its_socket_and_all_are_told() {
    let operated = Operated::new();
    let cluster = &operated.stage.cluster;
    let directory = operated.folder.path().display().to_string();
    let config = format!("[operator]\nsocket_directory = {directory:?}");
    let second = Setup::new(&cluster.addr()).config(&config).start();
    let lines = operated.tell(&["freeze", "both"]);
    assert_eq!(lines.lines().count(), 2, "{lines}");
    assert!(lines.contains(&second.addr().port().to_string()), "{lines}");
    // One that was killed leaves its file, which is passed over, and taken away by the next of that name.
    let stale = operated.folder.path().join(format!("lockkeeper.{}.sock", second.addr().port()));
    drop(second);
    assert!(stale.exists());
    assert_eq!(operated.tell(&["status"]).matches("FROZEN by ann").count(), 1);
}

#[test]
fn a_socket_that_is_served_is_not_taken_away() {
    let operated = Operated::new();
    let port = operated.stage.proxy.addr().port();
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockkeeper"));
    // Another address, so that the port is free there.
    command.args(["serve", "--listen", &format!("127.0.0.2:{port}")]);
    command.arg("--set").arg(format!("operator.socket_directory={}", operated.folder.path().display()));
    without_variables(&mut command);
    let ran = run(command);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("another process listens on"), "{}", ran.stderr);
    assert_eq!(operated.status()["freeze"], serde_json::Value::Null);
}

#[test]
fn without_a_socket_it_is_said_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let ran = ask(&folder, &["status"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("no proxy serves a control socket in"), "{}", ran.stderr);
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockkeeper"));
    command.arg("thaw");
    without_variables(&mut command);
    assert!(run(command).stderr.contains("set operator.socket_directory"));
}

#[test]
fn peak_hours_are_shown() {
    let peak = "[[peak]]\nfrom = \"00:00\"\nto = \"24:00\"\nstrong = \"refuse\"\n";
    let operated = Operated::with("", peak);
    assert_eq!(operated.stage.through().query("ALTER TABLE orders ADD c int").failure(), "55000");
    let status = operated.status();
    assert_eq!(status["peak"]["open"][0]["window"], "daily 00:00-24:00 UTC", "{status}");
    assert_eq!(status["peak"]["open"][0]["strong"], "refuse", "{status}");
    assert_eq!(status["recent"][0]["state"], "failed", "{status}");
    let text = operated.tell(&["status"]);
    assert!(text.contains("  peak hours until ") && text.contains("  next peak hours at "), "{text}");
    // No text of anybody's statement is in it.
    assert!(!status.to_string().contains("orders"), "{status}");
}

#[test]
fn the_steps_of_a_plan_are_shown() {
    let operated = Operated::with("", "");
    let mut client = operated.stage.through();
    client.all(&["ALTER TABLE orders ADD CHECK (id > 0)"]);
    assert_eq!(client.query("ALTER TABLE orders ADD CHECK (id < 0)").failure(), "23514");
    let status = operated.status();
    let told = |entry: usize, what: &str| {
        let steps = status["recent"][entry]["begun_steps"].as_array().expect("steps");
        steps.iter().map(|step| step[what].to_string()).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(told(1, "state"), "\"done\", \"done\"", "{status}");
    assert_eq!(told(0, "state"), "\"taken back\", \"failed\"", "{status}");
    assert_eq!(told(0, "lock"), "\"AccessExclusiveLock\", \"ShareUpdateExclusiveLock\"", "{status}");
    assert!(
        !told(1, "took_ms").contains("null") && !told(1, "stall_at_most_ms").contains("null"),
        "{status}"
    );
    let text = operated.tell(&["status", "--steps"]);
    assert!(text.contains("      step 1: ALTER TABLE, AccessExclusiveLock, taken back after "), "{text}");
    assert!(!operated.tell(&["status"]).contains("      step 1"));
}
