//! Statements that are held: too long to be read, waiting for a lock, or given up by their client.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::support::eventually;
use crate::support::raw::{Raw, bind, cancel_request, execute, parse, query, sync, tags};
use crate::wire::{Pair, errors, peak_kilobytes};

/// A pair with a table that somebody holds locked.
fn locked() -> (Pair, Raw) {
    let pair = Pair::new();
    let mut holder = pair.straight();
    holder.rows("CREATE TABLE t (a int); INSERT INTO t VALUES (1)");
    holder.rows("BEGIN; SELECT a FROM t");
    (pair, holder)
}

/// Waits until a statement of the proxy's has looked for its lock at least once.
fn waits(pair: &Pair) {
    eventually("the statement waits", || pair.proxy.log().contains("lock-queue").then_some(()));
}

fn columns(client: &mut Raw) -> usize {
    let columns = "SELECT attname FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0";
    client.rows(columns).len()
}

#[test]
fn a_statement_too_long_to_be_read_is_refused_and_the_session_goes_on() {
    let pair = Pair::new();
    let mut client = pair.through();
    client.rows("CREATE TABLE t (a int)");
    let before = peak_kilobytes(&pair.proxy);
    let comment = "c".repeat(100 << 20);
    let hidden = format!("/*{comment}*/ ALTER TABLE t ADD hidden int");
    let frames = client.query(&hidden);
    assert_eq!((tags(&frames).as_str(), errors(&frames)), ("EZ", vec!["54000".to_owned()]));
    assert_eq!(columns(&mut client), 1);
    drop(comment);
    let grown = peak_kilobytes(&pair.proxy) - before;
    assert!(grown < 8 << 10, "the proxy has grown by {grown} kB");
}

#[test]
fn too_long_in_every_place() {
    let pair = Pair::new();
    let mut client = pair.through();
    client.rows("CREATE TABLE t (a int)");
    let long = format!("/*{}*/ ALTER TABLE t ADD hidden int", "c".repeat(2 << 20));
    // In a transaction it fails the transaction.
    client.rows("BEGIN");
    assert_eq!(errors(&client.query(&long)), ["54000"]);
    assert_eq!(errors(&client.query("SELECT 1")), ["25P02"]);
    // The server refuses what comes in a failed one.
    assert_eq!(errors(&client.query(&long)), ["25P02"]);
    client.rows("ROLLBACK");
    // In a batch it fails the batch, and nothing of it stays.
    let insert = [parse("", "INSERT INTO t VALUES (1)"), bind("", "", &[]), execute("", 0)].concat();
    client.send(&[insert.clone(), parse("", &long), bind("", "", &[]), execute("", 0), sync()].concat());
    let frames = client.until_ready();
    assert_eq!((tags(&frames).as_str(), errors(&frames)), ("12CEZ", vec!["54000".to_owned()]));
    client.send(&[insert, query(&long)].concat());
    let frames = client.until_ready();
    assert_eq!((tags(&frames).as_str(), errors(&frames)), ("12CEZ", vec!["54000".to_owned()]));
    // Behind an error it is ignored like everything else.
    client.send(&[parse("", "SELEKT"), query(&long), sync(), query("SELECT a FROM t")].concat());
    assert_eq!(tags(&client.until_ready()), "EZ");
    assert_eq!(tags(&client.until_ready()), "TCZ");
    assert_eq!(columns(&mut client), 1);
}

#[test]
fn long_statements_pass_where_that_is_configured() {
    let pair = Pair::configured(&["[limits]", "statement_inspect_max = \"1kB\"", "oversize = \"pass\""]);
    let mut client = pair.through();
    client.rows("CREATE TABLE t (a int)");
    let long = format!("/*{}*/ ALTER TABLE t ADD b int", "c".repeat(2 << 20));
    client.send(&[query("SELECT 1"), query(&long), query("SELECT 2")].concat());
    for expected in ["TDCZ", "CZ", "TDCZ"] {
        assert_eq!(tags(&client.until_ready()), expected);
    }
    assert_eq!(columns(&mut client), 2);
}

/// A limit that messages of a test can pass quickly.
const LIMIT: &str = "statement_inspect_max = \"64kB\"";

/// More than the limit, as a comment.
fn filler() -> String {
    format!("/* ; {} */", "c".repeat(300 << 10))
}

#[test]
fn what_stands_behind_a_long_beginning_is_not_run() {
    let pair = Pair::configured(&["[limits]", LIMIT]);
    let mut other = pair.straight();
    other.rows("CREATE TABLE t (a int)");
    for text in [
        format!("SELECT 1; {} ALTER TABLE t ADD hidden int", filler()),
        format!("INSERT INTO t VALUES (1); SELECT '{}', $$;$$; (((DO $$BEGIN END$$", filler()),
        format!("BEGIN; SELECT 1; {} ; DROP TABLE t; COMMIT; SELECT '{}'", filler(), filler()),
    ] {
        let mut client = pair.through();
        client.rows("BEGIN; INSERT INTO t VALUES (2)");
        client.send(&[query("SELECT 'before'"), query(&text), query("SELECT 'after'")].concat());
        let frames = client.until_end();
        assert_eq!(tags(&frames), "TDCZE", "{frames:?}");
        assert_eq!(
            (errors(&frames), frames[4].field(b'S').as_deref()),
            (vec!["54000".to_owned()], Some("FATAL"))
        );
    }
    assert_eq!(other.rows("SELECT * FROM t"), [] as [Vec<Option<String>>; 0]);
    assert_eq!(columns(&mut other), 1);
    assert!(pair.proxy.log().contains("too long to be judged"));
}

#[test]
fn what_stands_at_the_beginning_of_a_long_message_is_refused_alone() {
    let pair = Pair::configured(&["[limits]", LIMIT]);
    let mut client = pair.through();
    client.rows("CREATE TABLE t (a int)");
    let long = format!("SELECT 1; ALTER TABLE t ADD hidden int; SELECT '{}'", filler());
    for _ in 0..2 {
        let frames = client.query(&long);
        assert_eq!((tags(&frames).as_str(), errors(&frames)), ("EZ", vec!["54000".to_owned()]));
    }
    // Nothing of a failed transaction's is passed unseen either.
    client.rows("BEGIN");
    client.query("SELEKT");
    assert_eq!(
        errors(&client.query(&format!("; ROLLBACK; ALTER TABLE t ADD hidden int; {}", filler()))),
        ["25P02"]
    );
    client.rows("ROLLBACK");
    client.rows("SET lockkeeper.mode = 'off'");
    assert_eq!(errors(&client.query(&long)), Vec::<String>::new());
    assert_eq!(columns(&mut client), 2);
}

#[test]
fn what_only_looks_like_a_statement_passes_at_any_length() {
    let pair = Pair::configured(&["[limits]", LIMIT]);
    let mut client = pair.through();
    client.rows("CREATE TABLE t (a text, b text)");
    let row = format!("('{}', E'it\\'s; DROP TABLE t; --')", "; ALTER TABLE t ADD c int".repeat(5_000));
    let rows = vec![row; 4].join(", ");
    let frames = client
        .query(&format!("INSERT INTO t VALUES {rows}; UPDATE t SET a = $a$; DROP TABLE t; $a$; COMMIT"));
    assert_eq!(errors(&frames), Vec::<String>::new());
    assert_eq!(client.rows("SELECT count(*) FROM t")[0][0].as_deref(), Some("4"));
    // Half a letter of SJIS is no backslash.
    client.rows("SET client_encoding = 'SJIS'");
    let sjis = |text: &[u8]| {
        crate::support::raw::framed(b'Q', &[b"SELECT 1; ", filler().as_bytes(), text, b"\0"].concat())
    };
    client.send(&sjis(b"SELECT '\x95\x5c'; SELECT E'\x95\x5c\x95\x5c', '; DROP TABLE t'"));
    assert_eq!(errors(&client.until_ready()), Vec::<String>::new());
    client.send(&sjis(b"SELECT E'\x95\x5c'; DROP TABLE t; --'"));
    assert_eq!(errors(&client.until_end()), ["54000"]);
}

#[test]
fn a_long_beginning_passes_where_nothing_is_enforced() {
    for lines in
        [["[guard]", "mode = \"observe\""], ["[guard]", "mode = \"off\""], ["", "oversize = \"pass\""]]
    {
        let pair = Pair::configured(&[&["[limits]", LIMIT], &lines[..]].concat());
        let mut client = pair.through();
        client.rows("CREATE TABLE t (a int)");
        for text in [
            format!("SELECT 1; {} ALTER TABLE t ADD b int", filler()),
            format!("{} ALTER TABLE t ADD c int", filler()),
            format!("SELECT 1; ALTER TABLE t ADD d int; {}", filler()),
        ] {
            assert_eq!(errors(&client.query(&text)), Vec::<String>::new(), "{lines:?}");
        }
        assert_eq!(columns(&mut client), 4, "{lines:?}");
    }
}

#[test]
fn a_client_that_vanishes_while_its_statement_waits_has_not_run_it() {
    let (pair, mut holder) = locked();
    let mut client = pair.through();
    client.rows("SET application_name = 'waiting'");
    client.send(&query("ALTER TABLE t ADD c int"));
    waits(&pair);
    drop(client);
    let mut other = pair.straight();
    eventually("nothing of it is left", || {
        let left = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'waiting'";
        other.rows(left).is_empty().then_some(())
    });
    holder.rows("COMMIT");
    assert_eq!(columns(&mut other), 1);
    assert!(other.rows("SELECT 1 FROM pg_locks WHERE relation = 't'::regclass").is_empty());
}

#[test]
fn a_pipeline_behind_a_waiting_statement_is_kept_in_order() {
    let (pair, mut holder) = locked();
    let mut client = pair.through();
    let add = [parse("", "ALTER TABLE t ADD c int"), bind("", "", &[]), execute("", 0), sync()].concat();
    client.send(&[add, query("UPDATE t SET c = 5"), query("SELECT c FROM t")].concat());
    waits(&pair);
    holder.rows("COMMIT");
    let kinds: Vec<String> = (0..3).map(|_| tags(&client.until_ready()).replace('N', "")).collect();
    assert_eq!(kinds, ["12CZ", "CZ", "TDCZ"]);
}

#[test]
fn a_cancel_request_ends_the_waiting_through_any_instance() {
    let (pair, _holder) = locked();
    let second = crate::support::proxy::Proxy::start(&pair.cluster);
    for through in [pair.proxy.addr(), second.addr(), pair.cluster.addr()] {
        let mut client = Raw::connect(pair.proxy.addr());
        let hello = client.start(&[("user", "postgres"), ("database", "postgres")]);
        let key = hello.iter().find(|frame| frame.tag == b'K').expect("a key").body.clone();
        client.send(&query("ALTER TABLE t ADD c int"));
        client.until(b'N');
        // Between two looks the backend idles, and forgets a request that comes just then: people press the key again.
        let over = Arc::new(AtomicBool::new(false));
        let (over_too, key) = (Arc::clone(&over), key.clone());
        let asking = thread::spawn(move || {
            eventually("the cancel request is heard", || {
                let mut cancel = Raw::connect(through);
                cancel.send(&cancel_request(&key));
                assert_eq!(cancel.until_end(), []);
                over_too.load(Ordering::Relaxed).then_some(())
            });
        });
        let heard = client.until_ready();
        over.store(true, Ordering::Relaxed);
        asking.join().expect("asked");
        assert_eq!(errors(&heard), ["57014"], "through {through}");
        let shown = eventually("no request is left over", || {
            let frames = client.query("SHOW lock_timeout");
            errors(&frames).is_empty().then_some(frames)
        });
        assert_eq!(shown[1].columns(), [Some("0".to_owned())]);
    }
}

#[test]
fn terminate_while_a_statement_waits_ends_the_session() {
    let (pair, mut holder) = locked();
    let mut client = pair.through();
    client.rows("SET application_name = 'waiting'");
    client.send(&[query("ALTER TABLE t ADD c int"), crate::support::raw::terminate()].concat());
    waits(&pair);
    holder.rows("COMMIT");
    client.until_end();
    let mut other = pair.straight();
    eventually("the session ends", || {
        let left = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'waiting'";
        other.rows(left).is_empty().then_some(())
    });
    // As straight: the statement came before the goodbye.
    assert_eq!(columns(&mut other), 2);
}

#[test]
fn what_a_message_locks_in_vain_is_tried_again_in_a_block() {
    let (pair, mut holder) = locked();
    let mut client = pair.through();
    client.rows("BEGIN");
    client.send(&query("ALTER TABLE t ADD c int; ALTER TABLE t ADD d int"));
    waits(&pair);
    holder.rows("COMMIT");
    let frames = client.until_ready();
    assert_eq!(errors(&frames), Vec::<String>::new(), "{frames:?}");
    client.rows("COMMIT");
    assert_eq!(columns(&mut client), 3);
}
