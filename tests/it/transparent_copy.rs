//! COPY in all its turns.

use crate::support::raw::{
    bind, copy_data, copy_done, copy_fail, execute, flush, parse, query, sync, tags, terminate,
};
use crate::wire::{Pair, Talk, done, errors};

const TABLE: &str = "CREATE TEMP TABLE t (a int, b text)";
const COPY_IN: &str = "COPY t FROM STDIN";

fn with_table(talk: &mut Talk) {
    talk.query(TABLE);
}

/// COPY IN by the extended protocol, up to where the data begins.
fn extended() -> Vec<u8> {
    [parse("", COPY_IN), bind("", "", &[]), execute("", 0)].concat()
}

#[test]
fn out() {
    let pair = Pair::new();
    let frames = pair.same_session(|talk| {
        talk.query("COPY (SELECT n, repeat('x', n % 100) FROM generate_series(1, 5000) n) TO STDOUT");
        talk.query("COPY (SELECT 1) TO STDOUT (FORMAT binary)");
        talk.query("COPY (SELECT 1/(3-n) FROM generate_series(1, 5) n) TO STDOUT");
        talk.query("SELECT 1; COPY (SELECT 2) TO STDOUT; SELECT 3");
        let copy = [parse("", "COPY (SELECT 4) TO STDOUT"), bind("", "", &[]), execute("", 0)].concat();
        talk.send(&[copy, sync()].concat());
        talk.ready();
    });
    assert_eq!(errors(&frames), ["22012"]);
}

#[test]
fn in_by_a_query() {
    let pair = Pair::new();
    let frames = pair.same_session(|talk| {
        with_table(talk);
        talk.send(&query(COPY_IN));
        talk.until(b'G');
        talk.send(&[copy_data(b"1\tone\n2\tt"), copy_data(b"wo\n"), copy_done()].concat());
        talk.ready();
        // All at once, a Sync and a Flush in the data, and the next query behind it.
        let data = [copy_data(b"3\tthree\n"), sync(), flush(), copy_data(b"4\tfour\n"), copy_done()].concat();
        talk.send(&[query(COPY_IN), data, query("SELECT count(*) FROM t")].concat());
        talk.ready();
        talk.ready();
        talk.send(&query("COPY t FROM STDIN; COPY t FROM STDIN; SELECT count(*) FROM t"));
        talk.until(b'G');
        talk.send(&[copy_data(b"5\tfive\n"), copy_done()].concat());
        talk.until(b'G');
        talk.send(&copy_done());
        talk.ready();
        talk.send(&query(COPY_IN));
        talk.until(b'G');
        talk.send(&[copy_data(b"\\.\n"), copy_done()].concat());
        talk.ready();
    });
    assert_eq!(
        done(&frames)[1..],
        ["COPY 2", "COPY 2", "SELECT 1", "COPY 1", "COPY 0", "SELECT 1", "COPY 0"]
    );
}

#[test]
fn in_by_the_extended_protocol() {
    let pair = Pair::new();
    let frames = pair.same_session(|talk| {
        with_table(talk);
        talk.send(&[extended(), flush()].concat());
        talk.until(b'G');
        talk.send(&[copy_data(b"1\tone\n"), copy_done(), sync()].concat());
        talk.ready();
        // As JDBC does: a Sync with the Execute, which the server ignores, and another one behind the data.
        talk.send(&[extended(), sync()].concat());
        talk.until(b'G');
        talk.send(&[copy_data(b"2\ttwo\n"), copy_done(), sync()].concat());
        talk.ready();
        // The same without waiting for the server.
        talk.send(
            &[
                extended(),
                copy_data(b"3\tthree\n"),
                copy_done(),
                sync(),
                query("SELECT a + 0, b || '' FROM t"),
            ]
            .concat(),
        );
        talk.ready();
        talk.ready();
    });
    assert_eq!(done(&frames)[1..], ["COPY 1", "COPY 1", "COPY 1", "SELECT 3"]);
}

#[test]
fn in_that_the_client_gives_up() {
    let pair = Pair::new();
    let frames = pair.same_session(|talk| {
        with_table(talk);
        talk.send(&query(COPY_IN));
        talk.until(b'G');
        talk.send(&[copy_data(b"1\tone\n"), copy_fail("changed my mind")].concat());
        talk.ready();
        talk.send(&[extended(), sync()].concat());
        talk.until(b'G');
        talk.send(&[copy_fail("again"), sync()].concat());
        talk.ready();
        talk.query("SELECT count(*) FROM t");
    });
    assert_eq!(errors(&frames), ["57014", "57014"]);
}

#[test]
fn in_that_fails_in_the_middle() {
    let pair = Pair::new();
    let frames = pair.same_session(|talk| {
        with_table(talk);
        talk.send(&query(COPY_IN));
        talk.until(b'G');
        talk.send(&copy_data(b"no number\n"));
        talk.until(b'E');
        // The server drops what comes up to the end of the data.
        talk.send(&[copy_data(b"1\tone\n"), copy_done(), query("SELECT 'next'")].concat());
        talk.ready();
        talk.ready();
        talk.send(&[extended(), flush()].concat());
        talk.until(b'G');
        talk.send(
            &[copy_data(b"bad\n"), copy_data(b"1\tone\n"), copy_done(), sync(), query("SELECT 1")].concat(),
        );
        talk.ready();
        talk.ready();
    });
    assert_eq!(errors(&frames), ["22P02", "22P02"]);
}

#[test]
fn a_query_in_the_middle_of_the_data_ends_the_session() {
    let pair = Pair::new();
    for sql in ["SELECT 1", "CREATE TABLE hidden (a int)", "CREATE INDEX hidden_idx ON t (a)"] {
        let frames = pair.same_session(|talk| {
            with_table(talk);
            talk.send(&query(COPY_IN));
            talk.until(b'G');
            talk.send(&[copy_data(b"1\tone\n"), query(sql)].concat());
            talk.end();
        });
        assert_eq!(errors(&frames), ["08P01", "08P01"], "{sql}");
    }
    assert!(pair.straight().rows("SELECT 1 FROM pg_class WHERE relname ~ '^hidden'").is_empty());
}

#[test]
fn a_client_that_leaves_in_the_middle_of_the_data_leaves_nothing() {
    let pair = Pair::new();
    pair.straight().rows("CREATE TABLE loaded (a int)");
    pair.same_session(|talk| {
        talk.send(&query("COPY loaded FROM STDIN"));
        talk.until(b'G');
        talk.send(&[copy_data(b"1\n"), terminate()].concat());
        talk.end();
    });
    let mut gone = pair.through();
    gone.send(&query("COPY loaded FROM STDIN"));
    gone.until(b'G');
    gone.send(&copy_data(b"2\n"));
    drop(gone);
    let mut other = pair.straight();
    crate::support::eventually("the server notices", || {
        let left = "SELECT 1 FROM pg_stat_activity WHERE query ~ '^COPY loaded'";
        other.rows(left).is_empty().then_some(())
    });
    assert!(other.rows("SELECT a FROM loaded").is_empty());
}

#[test]
fn rows_of_64_megabytes_each_way() {
    let pair = Pair::new();
    let row = [b"1\t".as_slice(), &vec![b'y'; 64 << 20], b"\n"].concat();
    let mut client = pair.through();
    client.rows(TABLE);
    let before = crate::wire::peak_kilobytes(&pair.proxy);
    client.send(&[query(COPY_IN), copy_data(&row), copy_done()].concat());
    assert_eq!(tags(&client.until_ready()), "GCZ");
    client.send(&query("COPY t TO STDOUT"));
    let frames = client.until_ready();
    assert!(frames.iter().any(|frame| frame.tag == b'd' && frame.body == row));
    let grown = crate::wire::peak_kilobytes(&pair.proxy) - before;
    assert!(grown < 8 << 10, "the proxy has grown by {grown} kB");
}
