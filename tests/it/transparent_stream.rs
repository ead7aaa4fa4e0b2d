//! The stream itself: one byte at a time, large messages, one half closed, a peer that does not read.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use crate::support::eventually;
use crate::support::raw::{
    PROTOCOL_3_0, Raw, bind, copy_done, describe, execute, flush, parse, query, startup, sync, tags,
    terminate,
};
use crate::wire::{Pair, errors, peak_kilobytes};

/// What a session may grow by, whatever passes through it.
const GROWTH_MAX_KB: u64 = 8 << 10;

#[test]
fn one_byte_at_a_time() {
    let pair = Pair::new();
    pair.same(|talk| {
        let packet = startup(PROTOCOL_3_0, &[("user", "postgres"), ("database", "postgres")]);
        talk.client.send_bytewise(&packet);
        talk.ready();
        let messages = [
            query("SELECT 'simple'"),
            parse("s", "SELECT $1::text"),
            bind("", "s", &[Some("extended")]),
            describe(b'P', ""),
            execute("", 0),
            sync(),
            query("CREATE TEMP TABLE t (a int); DROP TABLE t"),
        ];
        talk.client.send_bytewise(&messages.concat());
        talk.ready();
        talk.ready();
        talk.ready();
        talk.client.send_bytewise(&terminate());
        talk.end();
    });
}

#[test]
fn the_first_query_behind_the_start_up_packet() {
    let pair = Pair::new();
    pair.same(|talk| {
        let packet = startup(PROTOCOL_3_0, &[("user", "postgres"), ("database", "postgres")]);
        talk.send(&[packet, query("SELECT 1"), query("CREATE TEMP TABLE t (a int)"), terminate()].concat());
        talk.end();
    });
}

#[test]
fn large_messages_pass_without_being_held() {
    let pair = Pair::new();
    let big = "x".repeat(64 << 20);
    let mut client = pair.through();
    client.rows("SELECT 1");
    let before = peak_kilobytes(&pair.proxy);
    let rows = client.rows(&format!("SELECT repeat('x', {})", big.len()));
    assert_eq!(rows[0][0].as_deref(), Some(big.as_str()));
    client.send(
        &[parse("", "SELECT length($1)"), bind("", "", &[Some(&big)]), execute("", 0), sync()].concat(),
    );
    assert_eq!(client.until_ready()[2].columns(), [Some(big.len().to_string())]);
    let rows = client.rows(&format!("SELECT length('{big}')"));
    assert_eq!(rows[0][0], Some(big.len().to_string()));
    let grown = peak_kilobytes(&pair.proxy) - before;
    assert!(grown < GROWTH_MAX_KB, "the proxy has grown by {grown} kB");
}

/// A large message goes out and comes in by pieces of this size, each of whole lines.
const PIECE: usize = 1 << 20;
/// Just below 1 GB, which is as much as Postgres takes.
const LARGE: usize = 953 * PIECE;

/// The beginning of a message of which `rest` more bytes follow.
fn beginning(tag: u8, start: &[u8], rest: usize) -> Vec<u8> {
    let length = i32::try_from(4 + start.len() + rest).expect("within the protocol");
    [&[tag], &length.to_be_bytes()[..], start].concat()
}

/// Neither the proxy nor this test holds any of them; Postgres does, several times over (some 3 GB).
#[test]
fn messages_of_a_gigabyte_pass_in_both_directions() {
    let pair = Pair::new();
    let mut client = pair.through();
    client.rows("CREATE TEMP TABLE t (a text)");
    let before = peak_kilobytes(&pair.proxy);
    let mut piece = vec![b'x'; PIECE];

    // One parameter in text, the results in text.
    let length = i32::try_from(LARGE).expect("below 2 GB").to_be_bytes();
    let start = [&b"\0\0\0\0\0\x01"[..], &length].concat();
    client.send(&[parse("", "SELECT octet_length($1::text)"), beginning(b'B', &start, LARGE + 2)].concat());
    for _ in 0..LARGE / PIECE {
        client.send(&piece);
    }
    client.send(&[&[0, 0], &execute("", 0)[..], &sync()].concat());
    let answer = client.until_ready();
    assert_eq!(tags(&answer), "12DCZ", "{answer:?}");
    assert_eq!(answer[2].columns(), [Some(LARGE.to_string())]);

    client.send(&query(&format!("SELECT repeat(repeat('x', {PIECE}), {})", LARGE / PIECE)));
    assert_eq!(client.frame().tag, b'T');
    let row = beginning(b'D', &[&[0, 1], &length[..]].concat(), LARGE);
    assert_eq!(client.bytes(row.len()), row);
    for _ in 0..LARGE / PIECE {
        assert!(client.bytes(PIECE) == piece, "the row has changed on its way");
    }
    assert_eq!(tags(&client.until_ready()), "CZ");

    client.send(&query("COPY t FROM STDIN WHERE false"));
    assert_eq!(client.frame().tag, b'G');
    piece[PIECE - 1] = b'\n';
    client.send(&beginning(b'd', b"", LARGE));
    for _ in 0..LARGE / PIECE {
        client.send(&piece);
    }
    client.send(&copy_done());
    let answer = client.until_ready();
    assert_eq!((tags(&answer).as_str(), answer[0].text().as_str()), ("CZ", "COPY 0"), "{answer:?}");

    let grown = peak_kilobytes(&pair.proxy) - before;
    assert!(grown < GROWTH_MAX_KB, "the proxy has grown by {grown} kB");
}

#[test]
fn many_columns_and_long_names() {
    let pair = Pair::new();
    let columns: Vec<String> = (0..1_600).map(|number| format!("{number} AS c{number}")).collect();
    let parameters: Vec<String> = (1..=65_535_u32).map(|number| format!("${number}::int")).collect();
    let frames = pair.same_session(|talk| {
        talk.query(&format!("SELECT {}", columns.join(", ")));
        let long = "n".repeat(60_000);
        talk.query(&format!("SELECT 1 AS \"{long}\""));
        // Only Parse and Bind may be that long: Postgres closes over an Execute of 10,000 bytes.
        talk.send(&[parse(&long, "SELECT 1"), bind("", &long, &[]), execute("", 0), sync()].concat());
        talk.ready();
        talk.send(&[parse("many", &format!("SELECT {}", parameters[..1_664].join(","))), sync()].concat());
        talk.ready();
        talk.send(
            &[parse("", &format!("SELECT ARRAY[{}]", parameters.join(","))), describe(b'S', ""), sync()]
                .concat(),
        );
        talk.ready();
    });
    assert_eq!(errors(&frames), Vec::<String>::new());
}

#[test]
fn a_client_may_close_its_half_and_still_hear_the_answer() {
    let pair = Pair::new();
    let frames = pair.same_session(|talk| {
        let long = query("SELECT pg_sleep(0.2); SELECT repeat('x', 100000) FROM generate_series(1, 50)");
        talk.send(&[long, query("SELECT 'last'")].concat());
        talk.client.half_close();
        talk.end();
    });
    assert!(tags(&frames).ends_with("Z."), "{}", tags(&frames));
    // Also in the middle of a message, or of a batch.
    pair.same_session(|talk| {
        talk.send(&[query("SELECT 1"), query("SELECT 'cut'")[..9].to_vec()].concat());
        talk.client.half_close();
        talk.end();
    });
    pair.same_session(|talk| {
        talk.send(&[parse("", "SELECT 1"), bind("", "", &[]), execute("", 0), flush()].concat());
        talk.client.half_close();
        talk.end();
    });
    pair.same_session(|talk| {
        talk.send(&query("DROP INDEX cut_in_the_middle")[..12]);
        talk.client.half_close();
        talk.end();
    });
}

#[test]
fn a_client_that_vanishes_takes_its_backend_with_it() {
    let pair = Pair::new();
    let mut other = pair.straight();
    let mut idle = pair.through();
    idle.rows("SET application_name = 'vanishing'; BEGIN; CREATE TABLE unfinished (a int)");
    let mut pipeline = pair.through();
    pipeline.send(&query("SET application_name = 'vanishing'"));
    pipeline.until_ready();
    pipeline.send(&[parse("", "SELECT 1"), flush()].concat());
    drop((idle, pipeline));
    eventually("both backends end", || {
        let left = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'vanishing'";
        other.rows(left).is_empty().then_some(())
    });
    assert!(other.rows("SELECT 1 FROM pg_class WHERE relname = 'unfinished'").is_empty());
}

#[test]
fn a_client_that_does_not_read_holds_the_server_back() {
    let pair = Pair::new();
    let mut other = pair.straight();
    let mut client = pair.through();
    let before = peak_kilobytes(&pair.proxy);
    client.send(&query("SELECT repeat('x', 100000) AS blocked FROM generate_series(1, 1000)"));
    eventually("the backend waits for its client", || {
        let waits =
            "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'ClientWrite' AND query ~ 'AS blocked'";
        (!other.rows(waits).is_empty()).then_some(())
    });
    let grown = peak_kilobytes(&pair.proxy) - before;
    assert!(grown < GROWTH_MAX_KB, "the proxy has grown by {grown} kB");
    let rows = client.until_ready().iter().filter(|frame| frame.tag == b'D').count();
    assert_eq!(rows, 1_000);
}

#[test]
fn a_server_that_does_not_read_holds_the_client_back() {
    let pair = Pair::new();
    let mut client = TcpStream::connect(pair.proxy.addr()).expect("connect");
    client
        .write_all(&startup(PROTOCOL_3_0, &[("user", "postgres"), ("database", "postgres")]))
        .expect("start");
    client.write_all(&query("SELECT pg_sleep(600)")).expect("send");
    let before = peak_kilobytes(&pair.proxy);
    client.set_write_timeout(Some(Duration::from_millis(300))).expect("timeout");
    let piece = query(&format!("SELECT '{}'", "x".repeat(100_000)));
    let mut sent = 0;
    let stuck = loop {
        match client.write_all(&piece) {
            Ok(()) => sent += piece.len(),
            Err(error) => break error,
        }
        assert!(sent < 64 << 20, "{sent} bytes were taken and nobody reads them");
    };
    assert!(matches!(stuck.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{stuck}");
    let grown = peak_kilobytes(&pair.proxy) - before;
    assert!(grown < GROWTH_MAX_KB, "the proxy has grown by {grown} kB");
    client.shutdown(Shutdown::Both).expect("shut down");
}

#[test]
fn a_large_answer_leaves_no_memory_behind() {
    let pair = Pair::new();
    let mut clients: Vec<Raw> = (0..20).map(|_| pair.through()).collect();
    let wide = "SELECT repeat('x', 1000000) FROM generate_series(1, 5)";
    let before = peak_kilobytes(&pair.proxy);
    for client in &mut clients {
        client.send(&query(wide));
    }
    for client in &mut clients {
        assert_eq!(client.until_ready().iter().filter(|frame| frame.tag == b'D').count(), 5);
    }
    let grown = peak_kilobytes(&pair.proxy) - before;
    assert!(grown < 2 * GROWTH_MAX_KB, "the proxy has grown by {grown} kB");
}

#[test]
fn what_the_server_says_last_is_heard_before_the_end() {
    let pair = Pair::new();
    let said = pair.same(|talk| {
        talk.log_in(&[]);
        let mut other = Raw::session(talk.addr());
        talk.query("SET application_name = 'doomed'");
        other
            .rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'doomed'");
        talk.end();
    });
    assert_eq!(errors(&said), ["57P01"]);
}

#[test]
fn a_silent_connection_is_only_closed() {
    let pair = Pair::new();
    for beginning in [&b""[..], b"\0", b"\0\0\0", b"\0\0\0\x08\x04", b"\0\0\0\x54\0\x03\0\0user\0"] {
        let mut socket = TcpStream::connect(pair.proxy.addr()).expect("connect");
        socket.write_all(beginning).expect("send");
        socket.shutdown(Shutdown::Write).expect("shut down");
        let mut heard = Vec::new();
        socket.read_to_end(&mut heard).expect("read");
        assert_eq!(heard, b"", "{beginning:?}");
    }
    let noise = pair.proxy.log();
    assert!(!noise.contains("ERROR") && !noise.contains("left without"), "{noise}");
}
