//! What becomes of statements that are carried out, or wait, when the proxy is stopped.

use rustix::process::Signal;

use crate::support::raw::Frame;
use crate::support::stage::{Person, Stage, Way};

const AT_ITS_END: &str =
    "SELECT EXISTS (SELECT 1 FROM pg_stat_progress_create_index WHERE phase = 'waiting for old snapshots')";

/// The errors that a client hears to the end of its session.
fn last_words(client: &mut Person) -> Vec<(String, String)> {
    let all = client.raw.until_end();
    all.iter().filter(|frame| frame.tag == b'E').map(|frame| (frame.sqlstate(), detail(frame))).collect()
}

fn detail(frame: &Frame) -> String {
    frame.field(b'D').unwrap_or_default()
}

/// Keeps a snapshot, so that a build comes to no end.
fn reader(stage: &Stage) -> Person {
    let mut reader = stage.straight();
    reader.all(&["BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT 1"]);
    reader
}

#[test]
fn what_runs_at_the_deadline_is_cancelled_and_taken_back() {
    for way in Way::BOTH {
        let mut stage = Stage::with("[stop]\ndeadline = \"100ms\"");
        let _reader = reader(&stage);
        let mut client = stage.through();
        client.send(way, "CREATE INDEX by_note ON orders (note)");
        stage.until(AT_ITS_END);
        stage.proxy.signal(Signal::TERM);
        let said = last_words(&mut client);
        let codes: Vec<&str> = said.iter().map(|(code, _)| code.as_str()).collect();
        assert_eq!(codes, ["57014", "57P01"], "{way:?} {said:?}");
        assert!(said[0].1.contains("The lockkeeper proxy is shutting down."), "{said:?}");
        assert!(stage.proxy.wait().success());
        assert_eq!(stage.indexes(), "");
    }
}

#[test]
fn what_only_waits_ends_at_once_and_what_has_begun_goes_on() {
    let mut stage = Stage::with("[stop]\ndeadline = \"1h\"");
    let mut reader = reader(&stage);
    let mut builder = stage.through();
    builder.send(Way::Simple, "CREATE INDEX by_note ON orders (note)");
    stage.until(AT_ITS_END);
    let mut queued = stage.through();
    queued.send(Way::Simple, "ALTER TABLE orders ADD c int");
    let waits = queued.raw.until(b'N').pop().expect("a notice");
    assert!(waits.message().starts_with("waiting until process "), "{waits:?}");
    stage.proxy.signal(Signal::TERM);
    let said = last_words(&mut queued);
    assert_eq!(
        said.iter().map(|(code, _)| code.as_str()).collect::<Vec<_>>(),
        ["57P01", "57P01"],
        "{said:?}"
    );
    reader.all(&["COMMIT"]);
    assert_eq!(builder.answer().tag(), "CREATE INDEX");
    assert_eq!(last_words(&mut builder)[0].0, "57P01");
    assert!(stage.proxy.wait().success());
    assert_eq!(stage.indexes(), "by_note+");
}

/// Somebody is in the way of what takes the plan back, for longer than there is time.
#[test]
fn what_there_is_no_time_to_take_back_is_logged() {
    let mut stage = Stage::with("[stop]\ndeadline = \"100ms\"");
    stage.straight().all(&["CREATE FUNCTION slow(int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.1); RETURN true; END $$"]);
    let mut client = stage.through();
    client.send(Way::Simple, "ALTER TABLE orders ADD CONSTRAINT c CHECK (slow(id))");
    stage.until("SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE query LIKE '%VALIDATE%' AND state = 'active' AND pid <> pg_backend_pid())");
    let mut reader = stage.straight();
    reader.all(&["BEGIN", "SELECT count(*) FROM orders"]);
    stage.proxy.signal(Signal::TERM);
    stage.proxy.wait();
    let log = stage.proxy.log();
    assert!(log.contains("take_back=ALTER TABLE orders DROP CONSTRAINT IF EXISTS c"), "{log}");
}
