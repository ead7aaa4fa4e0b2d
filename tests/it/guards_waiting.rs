//! Concurrent index work that has to wait for others: it tells for whom, and it can be stopped at any moment.

use crate::support::each_major;
use crate::support::eventually;
use crate::support::stage::{Person, Stage, Way};

/// Somebody whose transaction has written, and another whose transaction has only looked and keeps its snapshot: what
/// holds a build up in its first and in its last phase.
const HOLDERS: [(&[&str], &str); 2] = [
    (&["BEGIN", "UPDATE orders SET note = 'm' WHERE id = 1"], "waiting for writers before build"),
    (&["BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT 1"], "waiting for old snapshots"),
];

fn holder(stage: &Stage, statements: &[&str]) -> Person {
    let mut person = stage.straight();
    person.all(statements);
    person
}

/// Reads up to the notice that the remains of a build are being removed.
fn until_removing(client: &mut Person) {
    eventually("the removal", || {
        let frame = client.raw.frame();
        (frame.tag == b'N' && frame.message().starts_with("removing ")).then_some(())
    });
}

fn until_phase(stage: &Stage, phase: &str) {
    stage.until(&format!(
        "SELECT EXISTS (SELECT 1 FROM pg_stat_progress_create_index WHERE phase = '{phase}')"
    ));
}

#[test]
fn a_cancelled_build_leaves_nothing() {
    for installation in each_major() {
        let stage = Stage::on(installation);
        for (statements, phase) in HOLDERS {
            for way in Way::BOTH {
                let mut other = holder(&stage, statements);
                let mut client = stage.through();
                client.all(&["SET lock_timeout = '7s'", "SET statement_timeout = '17s'"]);
                client.send(way, "CREATE INDEX by_note ON orders (note)");
                until_phase(&stage, phase);
                client.cancel();
                until_removing(&mut client);
                // The removal, too, has to wait for those who write to the table.
                other.all(&["ROLLBACK"]);
                let answer = client.answer();
                assert_eq!((answer.failure().as_str(), answer.status()), ("57014", 'I'), "{way:?} {phase}");
                assert_eq!(stage.indexes(), "", "{way:?} {phase}");
                assert_eq!(client.table("SHOW lock_timeout"), "7s");
                assert_eq!(client.table("SHOW statement_timeout"), "17s");
                assert_eq!(client.query("CREATE INDEX by_note ON orders (note)").tag(), "CREATE INDEX");
                assert_eq!(client.query("DROP INDEX by_note").tag(), "DROP INDEX");
            }
        }
    }
}

/// Who only looks does not hold the removal up, so that the answer comes while the build's holder is still there.
#[test]
fn a_cancelled_build_does_not_wait_for_readers() {
    let stage = Stage::new();
    let (statements, phase) = HOLDERS[1];
    for way in Way::BOTH {
        let _other = holder(&stage, statements);
        let mut client = stage.through();
        client.send(way, "CREATE INDEX by_note ON orders (note)");
        until_phase(&stage, phase);
        client.cancel();
        assert_eq!(client.answer().failure(), "57014");
        assert_eq!(stage.indexes(), "");
    }
}

#[test]
fn a_second_cancel_leaves_the_index_and_says_so() {
    let stage = Stage::new();
    let mut other = holder(&stage, HOLDERS[0].0);
    let mut client = stage.through();
    for way in Way::BOTH {
        client.send(way, "CREATE INDEX by_note ON orders (note)");
        until_phase(&stage, HOLDERS[0].1);
        client.cancel();
        until_removing(&mut client);
        stage.until(&format!(
            "SELECT query LIKE 'DROP%' AND wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = {}",
            client.pid()
        ));
        client.cancel();
        let answer = client.answer();
        assert_eq!(answer.failure(), "57014");
        assert!(answer.detail().contains("Index public.by_note is left behind and invalid"), "{answer:?}");
        assert_eq!(answer.hint(), "Remove it with DROP INDEX CONCURRENTLY public.by_note.");
        assert_eq!(stage.indexes(), "by_note-");
        other.all(&["ROLLBACK", "DROP INDEX by_note", HOLDERS[0].0[0], HOLDERS[0].0[1]]);
    }
}

/// Whoever asks the server directly to cancel it, is heard as well.
#[test]
fn pg_cancel_backend_stops_a_build() {
    let stage = Stage::new();
    let (statements, phase) = HOLDERS[1];
    let _other = holder(&stage, statements);
    let mut client = stage.through();
    client.send(Way::Simple, "CREATE INDEX by_note ON orders (note)");
    until_phase(&stage, phase);
    stage.straight().all(&[&format!("SELECT pg_cancel_backend({})", client.pid())]);
    assert_eq!(client.answer().failure(), "57014");
    assert_eq!(stage.indexes(), "");
}

#[test]
fn a_cancelled_drop_or_rebuild_is_told() {
    let stage = Stage::new();
    stage.straight().all(&["CREATE INDEX by_note ON orders (note)"]);
    let mut other = holder(&stage, HOLDERS[0].0);
    let mut client = stage.through();
    for way in Way::BOTH {
        client.send(way, "REINDEX INDEX by_note");
        until_phase(&stage, "waiting for writers before build");
        client.cancel();
        until_removing(&mut client);
        other.all(&["ROLLBACK"]);
        assert_eq!(client.answer().failure(), "57014");
        assert_eq!(stage.indexes(), "by_note+");
        other.all(HOLDERS[0].0);
    }
    client.send(Way::Simple, "DROP INDEX by_note");
    stage.until(
        "SELECT EXISTS (SELECT 1 FROM pg_index WHERE indexrelid = 'by_note'::regclass AND NOT indisvalid)",
    );
    // What is half dropped is dropped for good, unless that is cancelled, too.
    client.cancel();
    let finishing = eventually("the word that the drop is finished", || {
        let frame = client.raw.frame();
        (frame.tag == b'N' && frame.message().contains("half dropped")).then_some(frame)
    });
    assert_eq!(
        finishing.message(),
        "public.by_note is half dropped, which cannot be taken back: it is finished"
    );
    stage.until(&format!(
        "SELECT query LIKE 'DROP%' AND wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = {}",
        client.pid()
    ));
    client.cancel();
    let answer = client.answer();
    assert_eq!(answer.failure(), "57014");
    assert!(answer.detail().contains("by_note is left behind and invalid"), "{answer:?}");
    assert!(answer.hint().contains("DROP INDEX CONCURRENTLY public.by_note"), "{answer:?}");
    client.send(Way::Simple, "DROP INDEX CONCURRENTLY public.by_note");
    stage.until(&format!(
        "SELECT query LIKE 'DROP%' AND wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = {}",
        client.pid()
    ));
    client.cancel();
    stage.until(&format!(
        "SELECT query LIKE 'DROP%IF EXISTS%' FROM pg_stat_activity WHERE pid = {}",
        client.pid()
    ));
    other.all(&["ROLLBACK"]);
    assert_eq!(client.answer().tag(), "DROP INDEX");
    assert_eq!(stage.indexes(), "");
}

#[test]
fn a_terminated_backend_is_heard_of() {
    for way in Way::BOTH {
        let stage = Stage::new();
        let _other = holder(&stage, HOLDERS[0].0);
        let mut client = stage.through();
        client.send(way, "CREATE INDEX by_note ON orders (note)");
        until_phase(&stage, HOLDERS[0].1);
        stage.straight().all(&[&format!("SELECT pg_terminate_backend({})", client.pid())]);
        let last = client.raw.until_end();
        let error = last.last().expect("last words");
        let field = |code| error.field(code).unwrap_or_default();
        assert_eq!((field(b'V').as_str(), field(b'C').as_str()), ("FATAL", "57P01"), "{last:?}");
        assert_eq!(last.iter().filter(|frame| frame.tag == b'E').count(), 1, "{last:?}");
    }
}

#[test]
fn a_client_that_vanishes_takes_its_build_with_it() {
    let stage = Stage::new();
    let mut other = holder(&stage, HOLDERS[0].0);
    let mut client = stage.through();
    client.send(Way::Simple, "CREATE INDEX by_note ON orders (note)");
    until_phase(&stage, HOLDERS[0].1);
    let pid = client.pid();
    drop(client);
    stage.until(&format!("SELECT query LIKE 'DROP%' FROM pg_stat_activity WHERE pid = {pid}"));
    other.all(&["ROLLBACK"]);
    stage.until(&format!("SELECT NOT EXISTS (SELECT 1 FROM pg_stat_activity WHERE pid = {pid})"));
    assert_eq!(stage.indexes(), "");
}

#[test]
fn who_holds_a_build_up_is_told_while_it_waits() {
    for (statements, phase) in HOLDERS {
        for way in Way::BOTH {
            let stage = Stage::with("[guard]\nprogress_interval = \"100ms\"");
            let mut other = holder(&stage, statements);
            other.all(&["SET application_name = 'nightly report'"]);
            let mut client = stage.through();
            client.send(way, "CREATE INDEX by_note ON orders (note)");
            let words = format!("CREATE INDEX CONCURRENTLY: {phase}");
            let notice = eventually("progress", || {
                let frame = client.raw.frame();
                (frame.tag == b'N' && frame.message().starts_with(&words)).then_some(frame)
            });
            let detail = notice.field(b'D').expect("a detail");
            assert!(detail.contains(&other.pid().to_string()), "{detail}");
            assert!(detail.contains("nightly report"), "{detail}");
            other.all(&["COMMIT"]);
            assert_eq!(client.answer().tag(), "CREATE INDEX");
            assert_eq!(stage.indexes(), "by_note+");
        }
    }
}

/// Others read and write while a build waits: that is what it is done for.
#[test]
fn nobody_waits_while_a_build_does() {
    let stage = Stage::new();
    let mut other = holder(&stage, HOLDERS[0].0);
    let mut client = stage.through();
    client.send(Way::Simple, "CREATE INDEX by_note ON orders (note)");
    until_phase(&stage, HOLDERS[0].1);
    let mut application = stage.through();
    for id in 200..250 {
        application.query(&format!("INSERT INTO orders VALUES ({id}, 1, 'new')")).tag();
        application.query(&format!("UPDATE orders SET note = 'seen' WHERE id = {id}")).tag();
    }
    // None of this has ended the wait.
    until_phase(&stage, HOLDERS[0].1);
    other.all(&["COMMIT"]);
    assert_eq!(client.answer().tag(), "CREATE INDEX");
    assert_eq!(stage.indexes(), "by_note+");
}
