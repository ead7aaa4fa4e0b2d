//! Orders for statements that go in batches, from the shell and from the console, and what else holds them back while they run.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use lockkeeper::cluster::Cluster;
use rustix::process::Signal;
use serde_json::Value;

use crate::support::operated::Operated;
use crate::support::programs::{Owned, Ran, psql, run, without_variables};
use crate::support::proxy::Setup;
use crate::support::raw;
use crate::support::stage::{Person, Way};
use crate::support::{cluster, eventually};

const ROWS: u32 = 3000;

/// A table of many rows, and somebody whose statements take some seconds for it.
fn slow(operated: &Operated) -> Person {
    operated.stage.straight().all(&[
        "CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL)",
        &format!("INSERT INTO t SELECT i, 0 FROM generate_series(1, {ROWS}) i"),
        "ANALYZE t",
    ]);
    let mut person = operated.stage.through();
    person.all(&["SET lockkeeper.bulk_rows = 40", "SET lockkeeper.rows_per_second = 500"]);
    person
}

fn written(operated: &Operated) -> u32 {
    operated.stage.now("SELECT sum(n) FROM t").parse().expect("a number")
}

/// The one statement that runs, when a part of its rows is written.
fn under_way(operated: &Operated) -> Value {
    eventually("some rows are written", || {
        let running = operated.status()["running"][0].clone();
        running["progress"]["rows"].as_u64().filter(|rows| *rows > 0).map(|_| running)
    })
}

/// Waits until such a signal stops the statement that runs; its words.
fn stopped_by(operated: &Operated, signal: &str) -> String {
    eventually(&format!("{signal} stops it"), || {
        let running = operated.status()["running"][0].clone();
        let holds = running["progress"]["held_back"].as_array().cloned().unwrap_or_default();
        let hold = holds.into_iter().find(|hold| hold["signal"] == signal && hold["stops"] == true)?;
        hold["words"].as_str().map(str::to_owned)
    })
}

/// Nothing is written while it asks some times more whether it may go on.
fn stands_still(operated: &Operated) {
    let asked = || operated.stage.cluster.log().matches("pg_sleep($1").count();
    let (rows, before) = (written(operated), asked());
    eventually("it has asked again", || (asked() >= before + 3).then_some(()));
    assert_eq!(written(operated), rows);
    assert!(rows < ROWS);
}

/// It goes on, no longer slowed down, and writes each row once.
fn goes_on(operated: &Operated, mut person: Person) -> Vec<String> {
    if let Some(id) = operated.status()["running"][0]["id"].as_u64() {
        // It may be at its end.
        operated.run(&["bulk", "rate", &id.to_string(), "off"]);
    }
    let answer = person.answer();
    assert_eq!(answer.tag(), format!("UPDATE {ROWS}"), "{answer:?}");
    assert_eq!(operated.stage.now("SELECT min(n), max(n) FROM t"), "1|1");
    answer.notices()
}

#[test]
fn by_the_shell() {
    let operated = Operated::new();
    let mut person = slow(&operated);
    person.send(Way::Simple, "UPDATE t SET n = n + 1");
    let running = under_way(&operated);
    assert_eq!((&running["paced"], &running["progress"]["speed_percent"]), (&true.into(), &100.into()));
    let id = running["id"].to_string();
    let bulk = |words: &[&str]| operated.tell(&[&["bulk"], words].concat());
    assert!(bulk(&["resume", &id]).ends_with(&format!("statement {id} was not paused: it goes on")));
    let paused =
        format!("statement {id} (UPDATE t) stops behind the batch that it is at, until somebody resumes it");
    assert!(bulk(&["pause", &id]).ends_with(&paused));
    assert_eq!(stopped_by(&operated, "order"), "it was paused by ann");
    assert!(bulk(&["pause", &id]).ends_with("was paused already, by ann"));
    stands_still(&operated);
    let text = operated.tell(&["status"]);
    assert!(text.contains(" %, ") && text.contains("      held back: it was paused by ann\n"), "{text}");
    assert!(bulk(&["slower", &id, "4"]).contains("goes 4 times as slow"));
    assert!(bulk(&["faster", &id]).contains("goes 2 times as fast"));
    assert!(bulk(&["faster", &id, "10"]).contains("goes 10 times as fast"));
    assert!(bulk(&["rate", &id, "700"]).contains("changes no more than 700 rows a second"));
    eventually("the orders are heard", || {
        let progress = operated.status()["running"][0]["progress"].clone();
        let heard = progress["speed_percent"] == 500 && progress["rows_per_second_max"] == 700;
        heard.then_some(())
    });
    assert!(bulk(&["rate", &id, "off"]).contains("has no bound on rows a second"));
    assert!(bulk(&["resume", &id]).contains("goes on with its next batch"));
    let told = goes_on(&operated, person).join("\n");
    for said in [
        "NOTICE: UPDATE t was paused by ann",
        "NOTICE: UPDATE t goes at 25 % of its own speed, as ann has ordered",
        "NOTICE: UPDATE t goes at 500 % of its own speed, as ann has ordered",
        "NOTICE: UPDATE t changes no more than 700 rows a second, as ann has ordered",
        "NOTICE: UPDATE t has no bound on rows a second any more, as ann has ordered",
        "NOTICE: UPDATE t goes on, as ann has ordered",
    ] {
        assert!(told.contains(said), "{said}: {told}");
    }
    let recent = operated.status()["recent"][0].clone();
    assert_eq!((&recent["state"], &recent["progress"]["rows"]), (&"done".into(), &ROWS.into()));
    let late = operated.run(&["bulk", "pause", &id]);
    assert!(late.code == 1 && late.stderr.contains(&format!("statement {id} (UPDATE t) has ended: done")));
    assert!(
        operated.run(&["cancel", "99"]).stderr.contains("no statement has the number 99: lockkeeper status")
    );
    let log = operated.stage.proxy.log();
    assert!(log.contains("ordered") && log.contains("pause"), "{log}");
}

/// Who has paused it wants it to stand still, whether its client is there or not; however it was begun.
#[test]
fn a_pause_outlasts_its_client() {
    let operated = Operated::new();
    let sql = "UPDATE t SET n = n + 1";
    let again = format!("/* lockkeeper: resume */ {sql}");
    let pause = |person: Person, rows: u32| {
        let id = eventually("more rows are written", || {
            let running = operated.status()["running"][0].clone();
            running["progress"]["rows"]
                .as_u64()
                .filter(|now| *now > rows.into())
                .map(|_| running["id"].to_string())
        });
        operated.tell(&["bulk", "pause", &id]);
        stopped_by(&operated, "order");
        drop(person);
        let last = "SELECT state, failure FROM lockkeeper.tasks() ORDER BY id DESC LIMIT 1";
        let why = "failed|it was paused by ann when its client left";
        eventually("it stays", || (operated.stage.now(last) == why).then_some(()));
        written(&operated)
    };
    let mut person = slow(&operated);
    person.send(Way::Simple, sql);
    let rows = pause(person, 0);
    let mut person = operated.stage.through();
    person.send(Way::Extended, &again);
    let rows = pause(person, rows);
    assert!(rows < ROWS);
    assert_eq!(operated.stage.through().query(&again).tag(), format!("UPDATE {ROWS}"));
    assert_eq!(operated.stage.now("SELECT min(n), max(n) FROM t"), "1|1");
    operated.stage.straight().all(&["DROP TABLE t"]);
    let mut person = slow(&operated);
    person.each(Way::Simple, &["BEGIN", sql]);
    person.send(Way::Simple, "COMMIT");
    let rows = pause(person, 0);
    assert!(rows < ROWS);
    assert_eq!(operated.stage.through().query(&again).tag(), format!("UPDATE {ROWS}"));
    assert_eq!(operated.stage.now("SELECT min(n), max(n) FROM t"), "1|1");
}

#[test]
fn by_the_console() {
    let folder = tempfile::tempdir().expect("a folder");
    let users = folder.path().join("users.txt");
    std::fs::write(&users, "").expect("written");
    let operated = Operated::with(&format!("console_users = {:?}", users.display().to_string()), "");
    let mut admin = operated.stage.straight();
    admin.all(&["CREATE ROLE bob PASSWORD 'right'"]);
    let verifier = admin.table("SELECT rolpassword FROM pg_authid WHERE rolname = 'bob'");
    std::fs::write(&users, format!("\"bob\" \"{verifier}\"\n")).expect("written");
    let port = operated.stage.proxy.addr().port();
    let bob = |text: &str| -> Ran {
        let conninfo = format!(
            "host=localhost hostaddr=127.0.0.1 port={port} dbname=lockkeeper user=bob password=right"
        );
        let mut command = psql(&operated.stage.cluster, &conninfo);
        command.args(["-c", text]);
        run(command)
    };
    let mut person = slow(&operated);
    person.send(Way::Extended, "UPDATE t SET n = n + 1");
    let id = under_way(&operated)["id"].to_string();
    assert!(bob(&format!("FASTER {id}")).stderr.contains("goes 2 times as fast"));
    assert!(bob(&format!("SLOWER {id}")).stderr.contains("goes 2 times as slow"));
    let said = bob(&format!("PAUSE {id}; SLOWER {id} 4; RATE {id} '200'"));
    assert!(
        said.stderr.contains(&format!("NOTICE:  statement {id} (UPDATE t) stops behind the batch")),
        "{said:?}"
    );
    assert!(
        said.stderr.contains("4 times as slow") && said.stderr.contains("no more than 200 rows"),
        "{said:?}"
    );
    assert_eq!(stopped_by(&operated, "order"), "it was paused by bob");
    let shown = bob("SHOW BULK").ok();
    assert!(shown.starts_with(&format!("{id}|UPDATE t|postgres|postgres|")), "{shown}");
    assert!(shown.contains("|200|25|"), "{shown}");
    let why = "|it was paused by bob, it was told by bob to go at 25 % of its speed";
    assert!(shown.contains(why), "{shown}");
    stands_still(&operated);
    assert!(bob(&format!("RESUME {id}")).stderr.contains("goes on with its next batch"));
    let rows = written(&operated);
    eventually("it goes on", || (written(&operated) > rows).then_some(()));
    for wrong in ["PAUSE", "FASTER 7 0", "RATE 7"] {
        assert!(bob(wrong).stderr.contains("takes"), "{wrong}");
    }
    let ended = bob(&format!("CANCEL {id}"));
    assert!(
        ended.code == 0 && ended.stderr.contains("the error that its client gets says what is done"),
        "{ended:?}"
    );
    let cancelled = person.answer();
    assert_eq!(cancelled.failure(), "57014");
    let rows = written(&operated);
    let detail = cancelled.detail();
    assert!(detail.starts_with(&format!("{rows} rows are updated and stay so")), "{cancelled:?}");
    assert!(detail.ends_with("It was cancelled by bob, who operates the proxy."), "{cancelled:?}");
    assert!(cancelled.hint().starts_with("Go on: lockkeeper resume "), "{cancelled:?}");
    let late = bob(&format!("CANCEL {id}"));
    assert!(late.code == 1 && late.stderr.contains("has ended: failed"), "{late:?}");
    assert!(bob("SHOW HELP").ok().contains("PAUSE 7|"));
    // The session goes on.
    assert_eq!(person.query("UPDATE t SET n = 0 WHERE id = 1").tag(), "UPDATE 1");
}

/// What copies rows as sent.
#[test]
fn a_copy_can_be_cancelled() {
    const COPIES: [(&str, &str); 2] =
        [("CREATE TABLE AS", "CREATE TABLE copy AS"), ("INSERT", "INSERT INTO there")];
    let operated = Operated::new();
    operated.stage.straight().all(&["CREATE TABLE there (i int)"]);
    let mut person = operated.stage.through();
    let rows = "SELECT i FROM generate_series(1, 20000) i WHERE pg_sleep(0.01) IS NOT NULL";
    for (way, (tag, begins)) in Way::BOTH.into_iter().flat_map(|way| COPIES.map(|copy| (way, copy))) {
        person.send(way, &format!("{begins} {rows}"));
        let id = eventually("it is seen", || {
            let running = operated.status()["running"][0].clone();
            (running["statement"] == tag).then(|| running["id"].to_string())
        });
        let said = operated.tell(&["cancel", &id]);
        assert!(said.contains(&format!("statement {id} ({tag}) is cancelled")), "{said}");
        let cancelled = person.answer();
        assert_eq!(cancelled.failure(), "57014");
        assert_eq!(cancelled.notices().len(), 1, "only what is told before it: {cancelled:?}");
    }
}

/// They are held like all that writes much.
#[test]
fn a_copy_waits_for_the_end_of_a_freeze() {
    let operated = Operated::new();
    operated.stage.straight().all(&["CREATE TABLE there (i int)"]);
    let mut person = operated.stage.through();
    for (way, sql) in Way::BOTH.into_iter().flat_map(|way| {
        ["INSERT INTO there", "CREATE TABLE copy AS"]
            .map(|begins| (way, format!("{begins} SELECT i FROM generate_series(1, 20000) i")))
    }) {
        operated.tell(&["freeze", "incident 7"]);
        person.send(way, &sql);
        eventually("it is held", || (operated.status()["held"][0]["state"] == "held").then_some(()));
        assert_eq!(operated.stage.now("SELECT count(*) = 0 AND to_regclass('copy') IS NULL FROM there"), "t");
        operated.tell(&["thaw"]);
        let done = person.answer();
        assert!(done.tag().ends_with(" 20000"), "{done:?}");
        assert!(done.told().iter().any(|told| told.contains(" is held: the proxy is frozen")), "{done:?}");
        person.all(&["TRUNCATE there", "DROP TABLE IF EXISTS copy"]);
    }
}

/// A statement with a value, whose rows are to come in their binary form.
fn sent(sql: &str, value: &str) -> Vec<u8> {
    let mut bound = raw::bind("", "", &[Some(value)]);
    // One format for all results: binary.
    bound.truncate(bound.len() - 2);
    let mut body = bound.split_off(5);
    body.extend([0, 1, 0, 1]);
    [raw::parse("", sql), raw::framed(b'B', &body), raw::describe(b'P', ""), raw::execute("", 0), raw::sync()]
        .concat()
}

/// Whoever has sent values, and asked for rows in their binary form, gets that when it goes on.
#[test]
fn what_was_held_has_its_values_and_its_formats() {
    let operated = Operated::new();
    let mut person = slow(&operated);
    person.all(&["SET lockkeeper.rows_per_second = 'off'"]);
    operated.stage.straight().all(&["CREATE TABLE copy (LIKE t)"]);
    let allowed = "/* lockkeeper: allow bulk-write because it is meant */";
    for (sql, tag, rows) in [
        ("UPDATE t SET n = n + $1 RETURNING id".to_owned(), "UPDATE 3000", 3000),
        ("UPDATE t SET n = n + $1".to_owned(), "UPDATE 3000", 0),
        (format!("{allowed} UPDATE t SET n = n + $1"), "UPDATE 3000", 0),
        (format!("{allowed} UPDATE t SET n = n + $1 RETURNING id"), "UPDATE 3000", 3000),
        ("INSERT INTO copy SELECT id, $1 FROM t".to_owned(), "INSERT 0 3000", 0),
        ("INSERT INTO copy SELECT id, $1 FROM t RETURNING id".to_owned(), "INSERT 0 3000", 3000),
    ] {
        operated.tell(&["freeze", "incident 7"]);
        person.raw.send(&sent(&sql, "1"));
        eventually("it is held", || (operated.status()["held"][0]["state"] == "held").then_some(()));
        let pid = person.pid();
        let locks = format!("SELECT count(*) FROM pg_locks WHERE pid = {pid} AND relation >= 16384");
        assert_eq!(operated.stage.now(&locks), "0", "{sql}");
        operated.tell(&["thaw"]);
        let done = person.answer();
        assert_eq!(done.tag(), tag, "{sql} {done:?}");
        let brought: Vec<_> = done.0.iter().filter(|frame| frame.tag == b'D').collect();
        assert_eq!(brought.len(), rows, "{sql}");
        assert!(brought.iter().all(|row| row.body.len() == 2 + 4 + 4), "{sql}: four bytes each");
    }
    assert_eq!(operated.stage.now("SELECT min(n), max(n) FROM t"), "4|4");
    assert_eq!(operated.stage.now("SELECT count(*), min(n) FROM copy"), "6000|1");
    // What is one row by the time it goes on runs as sent.
    for (sql, rows, left) in
        [("DELETE FROM t WHERE id > $1 RETURNING id", 1, 2001), ("DELETE FROM t WHERE id > $1", 0, 2)]
    {
        operated.tell(&["freeze", "incident 8"]);
        person.raw.send(&sent(sql, &(left - 1).to_string()));
        eventually("it is held", || (operated.status()["held"][0]["state"] == "held").then_some(()));
        operated.stage.straight().all(&[&format!("DELETE FROM t WHERE id > {left}"), "VACUUM ANALYZE t"]);
        operated.tell(&["thaw"]);
        let done = person.answer();
        assert_eq!(done.tag(), "DELETE 1", "{done:?}");
        assert_eq!(done.0.iter().filter(|frame| frame.tag == b'D').count(), rows, "{sql}");
    }
    // What is not there any more the server says.
    operated.tell(&["freeze", "incident 9"]);
    person.raw.send(&sent("INSERT INTO copy SELECT id, $1 FROM copy RETURNING id", "1"));
    eventually("it is held", || (operated.status()["held"][0]["state"] == "held").then_some(()));
    operated.stage.straight().all(&["DROP TABLE copy"]);
    operated.tell(&["thaw"]);
    assert_eq!(person.answer().failure(), "42P01");
    person.all(&["SELECT 1"]);
}

/// Rows come as they were announced, or not at all.
#[test]
fn what_was_held_brings_no_other_rows_than_announced() {
    let operated = Operated::new();
    let mut person = slow(&operated);
    let allowed =
        "/* lockkeeper: allow bulk-write because it is meant */ UPDATE t SET n = n + $1 RETURNING *";
    for (at, sql) in ["UPDATE t SET n = n + $1 RETURNING *", allowed].into_iter().enumerate() {
        operated.tell(&["freeze", "incident 10"]);
        person.raw.send(&sent(sql, "1"));
        eventually("it is held", || (operated.status()["held"][0]["state"] == "held").then_some(()));
        operated.stage.straight().all(&[&format!("ALTER TABLE t ADD c{at} int")]);
        operated.tell(&["thaw"]);
        let refused = person.answer();
        assert_eq!(refused.failure(), "0A000", "{sql}: {refused:?}");
        assert!(
            refused.detail().contains("was changed while it was held. Nothing was written"),
            "{refused:?}"
        );
    }
    assert_eq!(operated.stage.now("SELECT max(n) FROM t"), "0");
    person.all(&["SELECT 1"]);
}

/// What goes in no batches takes no orders, but can be cancelled, whatever it is at.
#[test]
fn others_can_only_be_cancelled() {
    let operated = Operated::new();
    let mut report = operated.stage.straight();
    report.all(&["BEGIN", "SELECT count(*) FROM orders"]);
    let mut person = operated.stage.through();
    person.send(Way::Simple, "ALTER TABLE orders ADD c int");
    let id = eventually("it waits", || {
        let running = operated.status()["running"][0].clone();
        running["at"].as_str().map(|_| running["id"].to_string())
    });
    let refused = operated.run(&["bulk", "pause", &id]);
    assert!(refused.code == 1 && refused.stderr.contains("does not go in batches"), "{refused:?}");
    assert!(operated.tell(&["cancel", &id]).contains(&format!("statement {id} (ALTER TABLE) is cancelled")));
    let cancelled = person.answer();
    assert_eq!(cancelled.failure(), "57014");
    assert!(cancelled.detail().contains("It was cancelled by ann"), "{cancelled:?}");
    // One that is held; there are two proxies, and each counts for itself.
    let directory = operated.folder.path().display().to_string();
    let config = format!("[operator]\nsocket_directory = {directory:?}");
    let second = Setup::new(&operated.stage.cluster.addr()).config(&config).start();
    operated.tell(&["freeze", "incident"]);
    let mut other = Person::called(second.addr(), &[]);
    other.send(Way::Simple, "ALTER TABLE orders ADD c int");
    eventually("it is held", || operated.tell(&["status"]).contains("held:").then_some(()));
    let ambiguous = operated.tell(&["cancel", "1"]);
    assert!(
        ambiguous.contains(&second.addr().port().to_string()),
        "in the other one 1 has ended: {ambiguous}"
    );
    assert_eq!(other.answer().failure(), "57014");
    person.send(Way::Extended, "ALTER TABLE orders ADD c int");
    eventually("it is held", || operated.tell(&["status"]).contains("held:").then_some(()));
    let refused = operated.run(&["bulk", "slower", "2"]);
    assert!(refused.stderr.contains("is held and has not begun"), "{refused:?}");
    other.send(Way::Simple, "ALTER TABLE orders ADD d int");
    let both = || operated.tell(&["status"]).matches("held:").count() == 2;
    eventually("both are held", || both().then_some(()));
    let refused = operated.run(&["cancel", "2"]);
    assert!(refused.stderr.contains("2 proxies run a statement with the number 2"), "{refused:?}");
    operated.tell(&["thaw"]);
    report.all(&["COMMIT"]);
    assert_eq!((person.answer().tag(), other.answer().tag()), ("ALTER TABLE".into(), "ALTER TABLE".into()));
}

/// By the time that it is behind, and by what it has not replayed yet.
#[test]
fn a_standby_that_is_behind_holds_it() {
    for (keys, signal, end) in [
        ("replay_lag_max = \"300ms\"", "replay_lag", " (max 300 ms)"),
        ("replay_lag_max = \"off\"\nreplay_bytes_max = \"64kB\"", "replay_bytes", " (max 64 kB)"),
    ] {
        let mut operated = Operated::with("", &format!("[bulk]\n{keys}"));
        let standby = Cluster::standby_of(&mut operated.stage.cluster).expect("a standby");
        let mut there = Person::called(standby.addr(), &[]);
        operated.stage.until("SELECT count(*) = 1 FROM pg_stat_replication WHERE state = 'streaming'");
        let mut person = slow(&operated);
        person.send(Way::Simple, "UPDATE t SET n = n + 1");
        under_way(&operated);
        there.all(&["SELECT pg_wal_replay_pause()"]);
        let words = stopped_by(&operated, signal);
        assert!(words.starts_with("standby \"") && words.ends_with(end), "{words}");
        stands_still(&operated);
        there.all(&["SELECT pg_wal_replay_resume()"]);
        goes_on(&operated, person);
    }
}

/// What holds the statement back that runs: waits until such a signal is among it; its words.
fn held_by(operated: &Operated, signal: &str) -> String {
    eventually(&format!("{signal} holds it back"), || {
        let running = operated.status()["running"][0].clone();
        let holds = running["progress"]["held_back"].as_array().cloned().unwrap_or_default();
        let hold = holds.into_iter().find(|hold| hold["signal"] == signal)?;
        hold["words"].as_str().map(str::to_owned)
    })
}

#[test]
fn a_bound_on_rows_a_second_holds_it() {
    let operated = Operated::new();
    let mut person = slow(&operated);
    person.send(Way::Extended, "UPDATE t SET n = n + 1");
    assert_eq!(held_by(&operated, "rows_per_second"), "no more than 500 rows a second are allowed");
    goes_on(&operated, person);
}

#[test]
fn wal_that_is_written_too_fast_holds_it() {
    let operated = Operated::with("", "[bulk]\nwal_per_second = \"64kB\"");
    let mut person = slow(&operated);
    person.send(Way::Simple, "UPDATE t SET n = n + 1");
    let words = held_by(&operated, "wal");
    assert!(words.starts_with("WAL is written at ") && words.ends_with("/s (max 64 kB/s)"), "{words}");
    goes_on(&operated, person);
}

#[test]
fn others_at_work_hold_it() {
    let operated = Operated::with("", "[bulk]\ncores = 1\nactive_per_core = 1");
    let mut others: Vec<Person> = (0..3).map(|_| operated.stage.straight()).collect();
    for other in &mut others {
        other.send(Way::Simple, "DO $$ BEGIN LOOP NULL; END LOOP; END $$");
    }
    let mut person = slow(&operated);
    person.send(Way::Simple, "UPDATE t SET n = n + 1");
    let words = held_by(&operated, "active");
    assert!(words.ends_with(" sessions are at work (max 1 on 1 cores)"), "{words}");
    others.iter().for_each(Person::cancel);
    goes_on(&operated, person);
}

#[test]
fn checkpoints_before_their_time_hold_it() {
    let operated = Operated::new();
    let mut person = slow(&operated);
    person.send(Way::Simple, "UPDATE t SET n = n + 1");
    let mut admin = operated.stage.straight();
    let words = eventually("checkpoints hold it back", || {
        admin.all(&["CHECKPOINT"]);
        let running = operated.status()["running"][0].clone();
        let holds = running["progress"]["held_back"].as_array().cloned().unwrap_or_default();
        let hold = holds.into_iter().find(|hold| hold["signal"] == "checkpoints")?;
        hold["words"].as_str().map(str::to_owned)
    });
    assert!(words.starts_with("checkpoints come before their time"), "{words}");
    goes_on(&operated, person);
}

/// What should hold it back and cannot is told, once.
#[test]
fn without_a_control_connection_its_client_is_told() {
    let cluster = cluster();
    let mut init = Command::new(env!("CARGO_BIN_EXE_lockkeeper"));
    without_variables(&mut init);
    init.args(["init", "--url", &cluster.url("postgres")]);
    run(init).ok();
    let proxy = Setup::new(&cluster.addr())
        .config(
            "[control]
enabled = false",
        )
        .start();
    Person::called(cluster.addr(), &[]).all(&[
        "CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL)",
        "INSERT INTO t SELECT i, 0 FROM generate_series(1, 1000) i; ANALYZE t",
    ]);
    let mut person = Person::called(proxy.addr(), &[]);
    person.all(&["SET lockkeeper.bulk_rows = 40", "SET lockkeeper.rows_per_second = 700"]);
    let answer = person.query("UPDATE t SET n = n + 1");
    assert_eq!(answer.tag(), "UPDATE 1000", "{answer:?}");
    let what = "UPDATE t goes on without all that should hold it back";
    assert_eq!(answer.notices().iter().filter(|it| it.ends_with(what)).count(), 1, "{answer:?}");
    assert!(answer.notice(what, b'D').is_some_and(|why| why.contains("[control]")), "{answer:?}");
}

#[test]
fn a_standby_that_is_not_there_holds_it() {
    let operated = Operated::with("", "[bulk]\nstandbys = [\"replica1\"]");
    let mut person = slow(&operated);
    person.send(Way::Simple, "UPDATE t SET n = n + 1");
    assert_eq!(stopped_by(&operated, "standbys"), "standby \"replica1\" is not connected");
    stands_still(&operated);
    person.cancel();
    assert_eq!(person.answer().failure(), "57014");
}

/// A signal whose key is off is not heeded by a statement, whatever it would say.
#[test]
fn signals_are_switched_off_in_the_configuration() {
    let operated = Operated::with(
        "",
        "[bulk]\nreplay_lag_max = \"off\"\nreplay_bytes_max = \"off\"\ncheckpoints = false\nwal_per_second = \"off\"\ndead_rows_max = \"off\"\n\
         waiting_max = \"off\"\nold_snapshot = \"off\"\nrows_per_second = \"off\"",
    );
    let mut person = slow(&operated);
    person.send(Way::Simple, "UPDATE t SET n = n + 1");
    let mut admin = operated.stage.straight();
    for _ in 0..5 {
        admin.all(&["CHECKPOINT"]);
        let running = under_way(&operated);
        let holds = running["progress"]["held_back"].as_array().cloned().unwrap_or_default();
        let others = holds.iter().filter(|hold| hold["signal"] != "rows_per_second");
        assert_eq!(others.count(), 0, "{running}");
    }
    goes_on(&operated, person);
}

/// People see how far it is without asking, and rows before it is at its end.
#[test]
fn its_client_sees_it_go_on() {
    let operated = Operated::with("", "[guard]\nprogress_interval = \"100ms\"");
    let mut person = slow(&operated);
    person.send(Way::Extended, "UPDATE t SET n = n + 1 RETURNING id");
    let mut told = Vec::new();
    let first = loop {
        let frame = person.raw.frame();
        match frame.tag {
            b'D' => break frame.columns(),
            b'N' => told.push(frame.message()),
            _ => {}
        }
    };
    assert_eq!(first, [Some("1".to_owned())]);
    assert!(written(&operated) < ROWS, "a row is there before the others are written");
    let mut rows = 1;
    let tag = loop {
        let frame = person.raw.frame();
        match frame.tag {
            b'D' => rows += 1,
            b'N' => told.push(frame.message()),
            b'C' => break frame.text(),
            _ => {}
        }
    };
    assert_eq!((tag, rows), (format!("UPDATE {ROWS}"), ROWS));
    let progress = told.iter().filter(|said| {
        let said = said.strip_prefix("UPDATE t: ").unwrap_or_default();
        [" rows done, ", " %, ", " rows/s, about ", " left"].iter().all(|part| said.contains(part))
    });
    assert!(progress.count() > 3, "{told:?}");
}

#[test]
fn a_freeze_and_peak_hours_hold_it() {
    let operated = Operated::new();
    let mut person = slow(&operated);
    person.send(Way::Simple, "UPDATE t SET n = n + 1");
    under_way(&operated);
    operated.tell(&["freeze", "incident 7"]);
    assert_eq!(stopped_by(&operated, "hours"), "the proxy is frozen (by ann: incident 7)");
    stands_still(&operated);
    operated.tell(&["thaw"]);
    let rows = written(&operated);
    eventually("it goes on", || (written(&operated) > rows).then_some(()));
    let control = format!("[control]\nurl = \"{}\"", operated.stage.cluster.url("postgres"));
    let reload = |more: &str| {
        operated.stage.proxy.write_config(&format!("{control}\n{more}"));
        operated.stage.proxy.signal(Signal::HUP);
    };
    reload("[[peak]]\nfrom = \"00:00\"\nto = \"24:00\"\nbulk = \"refuse\"");
    assert!(stopped_by(&operated, "hours").starts_with("peak hours are in force until "));
    stands_still(&operated);
    reload("");
    goes_on(&operated, person);
}

/// Into a pipe it writes lines, as people read them or as programs do.
#[test]
fn it_is_watched() {
    let operated = Operated::new();
    let watch = |format: &str, until: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lockkeeper"));
        without_variables(&mut command);
        command.args(["status", "--watch", "--format", format, "--socket"]).arg(operated.socket());
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = Owned(command.spawn().expect("it starts"));
        let lines = BufReader::new(child.0.stdout.take().expect("piped")).lines();
        let mut lines = lines.map(|line| line.expect("text"));
        lines.find(|line| line.contains(until)).unwrap_or_else(|| panic!("no line with {until}"))
    };
    assert_eq!(watch("text", "nothing"), "nothing is held, nothing runs");
    let mut person = slow(&operated);
    person.send(Way::Simple, "UPDATE t SET n = n + 1");
    let line = watch("text", " rows/s");
    assert!(line.contains(" UPDATE t running by postgres on postgres: "), "{line}");
    let line: Value = serde_json::from_str(&watch("json", "rows_per_second")).expect("JSON");
    assert!(line["running"][0]["progress"]["percent"].as_u64().is_some(), "{line}");
    goes_on(&operated, person);
}
