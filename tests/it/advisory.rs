//! A second migrator that waits for the advisory lock of the first does not hold up what the first builds.

use lockkeeper::cluster::Options;

use crate::support::each_major;
use crate::support::eventually;
use crate::support::raw;
use crate::support::stage::{Person, Stage, Way};

const LOCK: &str = "SELECT pg_advisory_lock(7)";
const UNLOCK: &str = "SELECT pg_advisory_unlock(7)";
const BUILDS: &str =
    "SELECT EXISTS (SELECT 1 FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting for %')";

/// Waits until the session of a process is seen between two tries.
fn until_waiting(stage: &Stage, pid: i32) {
    stage.until(&format!("SELECT query LIKE '%pg_sleep%' FROM pg_stat_activity WHERE pid = {pid}"));
    assert_eq!(stage.now("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"), "0");
}

/// Who holds which advisory lock.
fn held(stage: &Stage) -> String {
    stage.now("SELECT pid, mode, objid FROM pg_locks WHERE locktype = 'advisory' AND granted ORDER BY 1, 2")
}

/// In the server's own queue one of the two would be ended with 40P01.
#[test]
fn a_second_migrator_waits_for_the_builds_of_the_first() {
    let all = each_major();
    for installation in [all.first(), all.last()].into_iter().flatten().cloned() {
        let options = Options::new().installation(installation).conf("deadlock_timeout = 20ms");
        let stage = Stage::with_options(&options);
        let plain = stage.straight().ask(Way::Simple, LOCK);
        let plain_extended = stage.straight().ask(Way::Extended, LOCK);
        for way in Way::BOTH {
            for build in [
                &["CREATE INDEX by_note ON orders (note)"][..],
                &["BEGIN", "CREATE INDEX by_note ON orders (note)", "COMMIT"],
            ] {
                let (mut first, mut second) = (stage.through(), stage.through());
                first.each(way, &[LOCK]);
                second.send(way, LOCK);
                until_waiting(&stage, second.pid());
                first.each(way, build);
                assert_eq!(stage.indexes(), "by_note+");
                assert_eq!(held(&stage), format!("{}|ExclusiveLock|7", first.pid()));
                assert_eq!(first.table(UNLOCK), "t");
                let expected = if way == Way::Simple { &plain } else { &plain_extended };
                let mut answer = second.answer();
                answer.0.retain(|frame| frame.tag != b'N');
                assert_eq!(answer.0, expected.0, "{way:?}");
                assert_eq!(held(&stage), format!("{}|ExclusiveLock|7", second.pid()));
                assert_eq!(second.table(UNLOCK), "t");
                assert_eq!(second.table(UNLOCK), "f", "it was held once");
                assert_eq!(held(&stage), "");
                stage.straight().all(&["DROP INDEX by_note"]);
            }
        }
        assert!(!stage.cluster.log().contains("deadlock detected"));
    }
}

/// A Bind with all values in the binary format.
fn bind_binary(statement: &str, values: &[&[u8]]) -> Vec<u8> {
    let mut body = [b"\0", statement.as_bytes(), b"\0"].concat();
    body.extend([0, 1, 0, 1]);
    body.extend(u16::try_from(values.len()).unwrap().to_be_bytes());
    for value in values {
        body.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
        body.extend(*value);
    }
    body.extend([0, 0]);
    raw::framed(b'B', &body)
}

#[test]
fn parameters_and_named_statements_are_understood() {
    let stage = Stage::new();
    let eight = 7_i64.to_be_bytes();
    let four = 7_i32.to_be_bytes();
    for (sql, bind, of_others) in [
        ("SELECT pg_advisory_lock($1)", raw::bind("", "s", &[Some("7")]), "SELECT pg_advisory_lock(7)"),
        ("SELECT pg_advisory_lock($1)", bind_binary("s", &[&eight]), "SELECT pg_advisory_lock(7)"),
        (
            "SELECT pg_advisory_lock($1, $2)",
            bind_binary("s", &[&four, &four]),
            "SELECT pg_advisory_lock(7, 7)",
        ),
        (
            "SELECT pg_advisory_lock(hashtext($1))",
            raw::bind("", "s", &[Some("it's")]),
            "SELECT pg_advisory_lock(hashtext('it''s'))",
        ),
    ] {
        let (mut others, mut client, mut plain) = (stage.straight(), stage.through(), stage.straight());
        let prepare = [raw::parse("s", sql), raw::describe(b'S', "s"), raw::sync()].concat();
        let run = [bind.clone(), raw::execute("", 0), raw::sync()].concat();
        let mut expected = Vec::new();
        for person in [&mut plain, &mut client] {
            person.raw.send(&prepare);
            let prepared = person.answer().0;
            person.raw.send(&run);
            expected.push((prepared, person.answer().0));
            person.query("SELECT pg_advisory_unlock_all()");
        }
        assert_eq!(expected[0], expected[1], "{sql}");
        let mut client = stage.through();
        others.all(&[of_others]);
        client.raw.send(&[prepare, run].concat());
        until_waiting(&stage, client.pid());
        others.query("SELECT pg_advisory_unlock_all()");
        let frames = [client.answer().0, client.answer().0].concat();
        assert_eq!(frames, [expected[0].0.clone(), expected[0].1.clone()].concat(), "{sql}");
        let mine =
            format!("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = {}", client.pid());
        assert_eq!(stage.now(&mine), "1", "{sql}");
    }
}

#[test]
fn time_outs_cancel_requests_and_clients_that_leave_end_it() {
    let stage = Stage::new();
    let mut first = stage.through();
    first.all(&[LOCK]);
    let alone = held(&stage);
    for way in Way::BOTH {
        let mut client = stage.through();
        client.all(&["SET lock_timeout = '90ms'"]);
        let late = client.ask(way, LOCK);
        assert_eq!((late.failure().as_str(), late.status()), ("55P03", 'I'), "{late:?}");
        assert!(late.detail().ends_with("for an advisory lock, outside the server's queue."), "{late:?}");
        client.all(&["SET lock_timeout = 0", "SET statement_timeout = '90ms'"]);
        assert_eq!(client.ask(way, LOCK).failure(), "57014");
        client.all(&["RESET statement_timeout"]);
        client.send(way, LOCK);
        until_waiting(&stage, client.pid());
        client.cancel();
        let cancelled = client.answer();
        assert_eq!((cancelled.failure().as_str(), cancelled.status()), ("57014", 'I'));
        assert_eq!(client.table("SHOW statement_timeout"), "0");
        client.send(way, LOCK);
        until_waiting(&stage, client.pid());
        let gone = format!("SELECT NOT EXISTS (SELECT 1 FROM pg_stat_activity WHERE pid = {})", client.pid());
        drop(client);
        stage.until(&gone);
        assert_eq!(held(&stage), alone);
    }
}

#[test]
fn shared_locks_are_shared() {
    let stage = Stage::new();
    for way in Way::BOTH {
        let (mut one, mut two, mut sole) = (stage.through(), stage.through(), stage.through());
        one.each(way, &["SELECT pg_advisory_lock_shared(7)"]);
        two.each(way, &["SELECT pg_catalog.pg_advisory_lock_shared(7) AS held"]);
        // Outside a transaction it is over as soon as it is had.
        sole.send(way, "SELECT pg_advisory_xact_lock(7)");
        until_waiting(&stage, sole.pid());
        one.all(&["SELECT pg_advisory_unlock_shared(7)"]);
        two.all(&["SELECT pg_advisory_unlock_shared(7)"]);
        assert_eq!(sole.answer().tag(), "SELECT 1");
        stage.until("SELECT NOT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory')");
    }
}

/// What is not turned, and what others have changed in mode, goes as sent.
#[test]
fn it_is_left_alone_where_it_has_to_be() {
    let stage = Stage::new();
    let mut first = stage.straight();
    first.all(&[LOCK, "SELECT pg_advisory_lock(8)"]);
    let (mut observer, mut within) = (stage.through(), stage.through());
    observer.all(&["SET lockkeeper.mode = 'observe'"]);
    observer.send(Way::Extended, LOCK);
    within.send(Way::Simple, "SELECT pg_advisory_lock(8), 1");
    stage.until("SELECT count(*) = 2 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted");
    first.all(&["SELECT pg_advisory_unlock_all()"]);
    assert_eq!(observer.answer().tag(), "SELECT 1");
    assert_eq!(within.answer().tag(), "SELECT 1");
}

/// A migrator that has the lock and builds behind somebody's transaction.
fn builder(stage: &Stage) -> (Person, Person) {
    let (mut holder, mut first) = (stage.straight(), stage.through());
    holder.all(&["BEGIN", "UPDATE orders SET note = 'm' WHERE id = 1"]);
    first.all(&[LOCK]);
    first.send(Way::Simple, "CREATE INDEX by_note ON orders (note)");
    stage.until(BUILDS);
    (holder, first)
}

#[test]
fn in_a_transaction_it_waits_for_a_build_outside_the_server() {
    let stage = Stage::new();
    for way in Way::BOTH {
        let (mut holder, mut first) = builder(&stage);
        let mut second = stage.through();
        second.each(way, &["BEGIN", "SELECT 1"]);
        second.send(way, "SELECT pg_advisory_xact_lock(7)");
        eventually("it says that it waits", || {
            let frame = second.raw.frame();
            assert!(!matches!(frame.tag, b'E' | b'C'), "{frame:?}");
            (frame.tag == b'N' && frame.field(b'D') == Some(format!("Process {} has it.", first.pid())))
                .then_some(())
        });
        assert_eq!(
            stage.now("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"),
            "0"
        );
        holder.all(&["COMMIT"]);
        assert_eq!(first.answer().tag(), "CREATE INDEX");
        first.all(&[UNLOCK]);
        let answer = second.answer();
        assert_eq!((answer.tag().as_str(), answer.status()), ("SELECT 1", 'T'));
        assert_eq!(held(&stage), format!("{}|ExclusiveLock|7", second.pid()));
        second.all(&["COMMIT"]);
        assert_eq!(held(&stage), "");
        stage.straight().all(&["DROP INDEX by_note"]);
    }
}

/// It was there before the build, which must not find a snapshot of its.
#[test]
fn in_a_transaction_it_waits_for_whoever_may_build() {
    let stage = Stage::with_options(&Options::new().conf("deadlock_timeout = 20ms"));
    let (mut first, mut second) = (stage.through(), stage.through());
    first.all(&[LOCK]);
    second.all(&["BEGIN"]);
    second.send(Way::Extended, "SELECT pg_advisory_xact_lock(7)");
    eventually("it says that it waits", || (second.raw.frame().tag == b'N').then_some(()));
    assert_eq!(first.query("CREATE INDEX by_note ON orders (note)").tag(), "CREATE INDEX");
    first.all(&[UNLOCK]);
    assert_eq!(second.answer().tag(), "SELECT 1");
    second.all(&["COMMIT"]);
    assert!(!stage.cluster.log().contains("deadlock detected"));
}

/// A build waits for whoever has written to its table: the knot is there with or without us, and only the server unties it.
#[test]
fn a_knot_is_left_to_the_server() {
    let stage = Stage::new();
    let mut second = stage.through();
    second.all(&["BEGIN", "UPDATE orders SET note = 'm' WHERE id = 2"]);
    let (mut holder, mut first) = builder(&stage);
    holder.all(&["COMMIT"]);
    let knotted = second.query("SELECT pg_advisory_xact_lock(7)");
    assert_eq!((knotted.failure().as_str(), knotted.status()), ("40P01", 'E'));
    second.all(&["ROLLBACK"]);
    assert_eq!(first.answer().tag(), "CREATE INDEX");
}

/// Who waits past the proxy cannot be helped; it is said before the server ends one of the two.
#[test]
fn a_waiter_of_the_builder_is_named() {
    let options = Options::new().conf("deadlock_timeout = 60s");
    let stage = Stage::with_options(&options);
    let (mut first, mut second) = (stage.through(), stage.straight());
    first.all(&[LOCK]);
    second.send(Way::Simple, LOCK);
    stage.until("SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)");
    stage.until(&format!(
        "SELECT clock_timestamp() - xact_start > '600ms' FROM pg_stat_activity WHERE pid = {}",
        second.pid()
    ));
    first.send(Way::Simple, "CREATE INDEX by_note ON orders (note)");
    let detail = eventually("it is named", || {
        let frame = first.raw.frame();
        assert!(!matches!(frame.tag, b'E' | b'C'), "{frame:?}");
        let hint = frame.field(b'H').unwrap_or_default();
        (frame.tag == b'N' && hint.contains("40P01")).then(|| frame.field(b'D').unwrap_or_default())
    });
    assert!(detail.contains(&format!("process {} (user", second.pid())), "{detail}");
    assert!(detail.contains("waiting for an advisory lock of this session"), "{detail}");
    second.cancel();
    assert_eq!(second.answer().failure(), "57014");
    assert_eq!(first.answer().tag(), "CREATE INDEX");
}
