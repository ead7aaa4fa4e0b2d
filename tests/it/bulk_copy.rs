//! `COPY .. FROM STDIN`: its rows are held back where standbys fall behind, and where a bound on bytes says so.

use lockkeeper::cluster::Cluster;

use crate::support::eventually;
use crate::support::operated::Operated;
use crate::support::raw::{copy_data, copy_done, query};
use crate::support::stage::{Person, Stage};

const MEGABYTE: usize = 1 << 20;

/// Begins a COPY; what the server says to it.
fn begin(person: &mut Person) {
    person.raw.send(&query("COPY t FROM STDIN"));
    assert_eq!(person.raw.frame().tag, b'G');
}

/// Sends so many megabytes of rows from another thread, and the end; counts the rows.
fn send(person: &Person, megabytes: usize) -> (std::thread::JoinHandle<()>, usize) {
    let line = format!("{}\n", "x".repeat(1023));
    let rows = MEGABYTE / line.len();
    let piece: Vec<u8> = (0..rows).flat_map(|_| copy_data(line.as_bytes())).collect();
    let mut socket = person.raw.writer();
    let sending = std::thread::spawn(move || {
        use std::io::Write as _;
        // Who is cancelled closes its connection.
        let sent = (0..megabytes).all(|_| socket.write_all(&piece).is_ok());
        let _ = sent && socket.write_all(&copy_done()).is_ok();
    });
    (sending, rows * megabytes)
}

#[test]
fn a_standby_that_is_behind_holds_its_rows_back() {
    let mut operated = Operated::with("", "[bulk]\nreplay_lag_max = \"off\"\nreplay_bytes_max = \"1MB\"");
    operated.stage.straight().all(&["CREATE TABLE t (a text)", "CREATE TABLE other (a int)"]);
    let standby = Cluster::standby_of(&mut operated.stage.cluster).expect("a standby");
    let mut there = Person::called(standby.addr(), &[]);
    there.all(&[
        "ALTER SYSTEM SET wal_receiver_status_interval = '1s'",
        "SELECT pg_reload_conf()",
        "SELECT pg_wal_replay_pause()",
    ]);
    let stage = &operated.stage;
    let mut person = stage.through();
    begin(&mut person);
    stage.straight().all(&["INSERT INTO other VALUES (1)"]);
    let (sending, rows) = send(&person, 64);
    let told = person.raw.frame();
    assert_eq!(told.tag, b'N');
    assert!(told.message().starts_with("COPY waits: standby \""), "{told:?}");
    assert!(!sending.is_finished(), "64 MB do not fit between");
    // Who operates the proxy sees it, and can end it.
    let copying = eventually("it is seen why it waits", || {
        let copying = operated.status()["running"][0].clone();
        copying["at"].as_str().is_some_and(|at| at.contains("; held back: standby \"")).then_some(copying)
    });
    assert_eq!((&copying["statement"], &copying["state"]), (&"COPY".into(), &"copying".into()));
    assert!(copying["at"].as_str().expect("words").contains(" MB read, "), "{copying}");
    let shown = operated.tell(&["status"]);
    assert!(
        shown.contains("COPY copying by postgres on postgres") && shown.contains("held back: "),
        "{shown}"
    );
    operated.tell(&["cancel", &copying["id"].to_string()]);
    let error = person.answer();
    assert_eq!(error.failure(), "57014");
    eventually("it is over", || {
        let recent = operated.status()["recent"][0].clone();
        (recent["statement"] == "COPY" && recent["state"] == "passed").then_some(())
    });
    drop(person);
    let _ = sending.join();
    let mut person = stage.through();
    begin(&mut person);
    let (sending, _) = send(&person, 64);
    assert!(person.raw.frame().message().starts_with("COPY waits: standby \""));
    there.all(&["SELECT pg_wal_replay_resume()"]);
    assert_eq!(person.answer().tag(), format!("COPY {rows}"));
    sending.join().expect("sent");
    assert_eq!(stage.now("SELECT count(*) FROM t"), rows.to_string());
    eventually("the standby has it", || {
        (there.table("SELECT count(*) FROM t") == rows.to_string()).then_some(())
    });
}

/// What is not to be held back goes by.
#[test]
fn it_can_be_let_alone() {
    for config in ["[bulk]\ncopy = false", "[guard]\nmode = \"observe\"", "[guard]\nmode = \"off\""] {
        let lag = "replay_lag_max = \"off\"\nreplay_bytes_max = \"1MB\"";
        let section = if config.contains("[bulk]") { "" } else { "[bulk]\n" };
        let mut stage = Stage::with(&format!("{config}\n{section}{lag}"));
        stage.straight().all(&["CREATE TABLE t (a text)"]);
        let standby = Cluster::standby_of(&mut stage.cluster).expect("a standby");
        Person::called(standby.addr(), &[]).all(&["SELECT pg_wal_replay_pause()"]);
        let mut person = stage.through();
        begin(&mut person);
        let (sending, rows) = send(&person, 32);
        let answer = person.answer();
        assert_eq!(answer.tag(), format!("COPY {rows}"), "{config}: {answer:?}");
        assert!(answer.notices().is_empty(), "{config}: {answer:?}");
        sending.join().expect("sent");
    }
}

/// Nobody keeps a transaction open, and its locks, who is not there any more.
#[test]
fn who_leaves_while_its_rows_wait_is_missed() {
    let mut stage = Stage::with("[bulk]\nreplay_lag_max = \"off\"\nreplay_bytes_max = \"1MB\"");
    stage.straight().all(&["CREATE TABLE t (a text)"]);
    let standby = Cluster::standby_of(&mut stage.cluster).expect("a standby");
    let mut there = Person::called(standby.addr(), &[]);
    there.all(&["SELECT pg_wal_replay_pause()"]);
    let mut person = stage.through();
    begin(&mut person);
    let (sending, _) = send(&person, 64);
    assert!(person.raw.frame().message().starts_with("COPY waits: standby \""));
    let copying = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY t%' AND state = 'active'";
    assert_eq!(stage.now(copying), "1");
    person.raw.half_close();
    let _ = sending.join();
    stage.until(&format!("SELECT ({copying}) = 0"));
    assert_eq!(stage.now("SELECT count(*) FROM t"), "0");
    assert_eq!(there.table("SELECT pg_is_wal_replay_paused()"), "t");
}

#[test]
fn a_bound_on_bytes_is_kept() {
    let stage = Stage::with("[bulk]\ncopy_bytes_per_second = \"4MB\"");
    stage.straight().all(&["CREATE TABLE t (a text)"]);
    let mut person = stage.through();
    for _ in 0..2 {
        let began = lockkeeper::event::clock::Moment::now();
        begin(&mut person);
        let (sending, rows) = send(&person, 8);
        let answer = person.answer();
        assert_eq!(answer.tag(), format!("COPY {rows}"), "{answer:?}");
        assert!(answer.notices().is_empty(), "{answer:?}");
        sending.join().expect("sent");
        // The last tenth of a second's share is not waited for.
        assert!(began.elapsed() >= std::time::Duration::from_millis(1700), "{:?}", began.elapsed());
    }
}
