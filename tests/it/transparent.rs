//! Ordinary traffic: simple and extended protocol, pipelines, error recovery, asynchronous messages.

use crate::support::raw::{
    bind, close, describe, execute, flush, framed, parse, query, sync, tags, terminate,
};
use crate::wire::{Pair, done, errors};

#[test]
fn simple_queries() {
    let pair = Pair::new();
    let frames = pair.same_session(|talk| {
        talk.query("SELECT 1; SELECT 'two', NULL; VALUES (3), (4)");
        talk.query("");
        talk.query(" ; ; ");
        talk.query("SELECT 1; SELECT 1/0; SELECT 3");
        talk.query("BEGIN; SELECT 1");
        talk.query("SELECT nonsense");
        talk.query("SELECT 'ignored in a failed transaction'");
        talk.query("ROLLBACK");
        talk.query("SELECT 'unfinished");
        talk.query("SET application_name = 'other'; SET client_encoding = 'LATIN1'; SELECT 'x'");
        talk.query("SHOW application_name");
        talk.send(&[query("SELECT 1"), query("SELECT 2"), query("SELECT 3")].concat());
        talk.ready();
        talk.ready();
        talk.ready();
        talk.send(&terminate());
        talk.end();
    });
    assert_eq!(errors(&frames), ["22012", "42703", "25P02", "42601"]);
}

#[test]
fn the_extended_protocol() {
    let pair = Pair::new();
    pair.same_session(|talk| {
        // Describe first, as postgres.js does: Flush without Sync.
        talk.send(&[parse("s", "SELECT $1::int + 1 AS n"), describe(b'S', "s"), flush()].concat());
        talk.until(b'T');
        talk.send(&[bind("", "s", &[Some("41")]), execute("", 0), sync()].concat());
        talk.ready();
        talk.send(&[parse("", ""), bind("", "", &[]), describe(b'P', ""), execute("", 0), sync()].concat());
        talk.ready();
        talk.send(&[bind("", "s", &[Some("no number")]), execute("", 0), sync()].concat());
        talk.ready();
        talk.send(&[parse("s", "SELECT 'taken'"), sync()].concat());
        talk.ready();
        talk.send(&[close(b'S', "s"), close(b'S', "never made"), close(b'P', "nor this"), sync()].concat());
        talk.ready();
        talk.send(&[bind("", "s", &[Some("1")]), sync()].concat());
        talk.ready();
        // A Query between Parse and Bind destroys the unnamed statement.
        talk.send(
            &[parse("", "SELECT 5"), query("SELECT 6"), bind("", "", &[]), execute("", 0), sync()].concat(),
        );
        talk.ready();
        talk.ready();
        talk.send(&sync());
        talk.ready();
    });
}

#[test]
fn portals_with_row_limits() {
    let pair = Pair::new();
    let frames = pair.same_session(|talk| {
        talk.query("BEGIN");
        talk.send(&[parse("", "SELECT generate_series(1, 10)"), bind("p", "", &[])].concat());
        talk.send(&[execute("p", 4), execute("p", 4), execute("p", 4), execute("p", 4), sync()].concat());
        talk.ready();
        talk.query("FETCH 1 FROM p");
        talk.query("COMMIT");
        talk.send(&[execute("p", 0), sync()].concat());
        talk.ready();
    });
    assert_eq!(errors(&frames), ["34000"]);
    assert_eq!(frames.iter().filter(|frame| frame.tag == b's').count(), 2);
}

#[test]
fn errors_are_recovered_from_at_sync() {
    let pair = Pair::new();
    let frames = pair.same_session(|talk| {
        let broken = [parse("", "SELECT 1/0"), bind("", "", &[]), execute("", 0)].concat();
        let ignored = [parse("", "SELECT 1"), bind("", "", &[]), describe(b'P', ""), execute("", 0)].concat();
        talk.send(&[broken.clone(), ignored.clone(), query("SELECT 'ignored'"), flush(), sync()].concat());
        talk.ready();
        talk.send(&[broken.clone(), flush()].concat());
        talk.until(b'E');
        talk.send(
            &[query("SELECT 'still ignored'"), ignored.clone(), sync(), query("SELECT 'heard'")].concat(),
        );
        talk.ready();
        talk.ready();
        talk.send(&[ignored.clone(), sync(), broken, sync(), ignored, sync()].concat());
        talk.ready();
        talk.ready();
        talk.ready();
        talk.send(
            &[execute("no such portal", 0), sync(), bind("", "no such statement", &[]), sync()].concat(),
        );
        talk.ready();
        talk.ready();
        // COPY's messages without a COPY are ignored by the server.
        talk.send(
            &[framed(b'c', b""), framed(b'd', b"x"), framed(b'f', b"why\0"), query("SELECT 1")].concat(),
        );
        talk.ready();
    });
    assert_eq!(errors(&frames), ["22012", "22012", "22012", "34000", "26000"]);
    assert_eq!(done(&frames), ["SELECT 1"; 4]);
}

#[test]
fn thousands_of_messages_before_one_sync() {
    let pair = Pair::new();
    let one = [bind("", "s", &[Some("7")]), execute("", 0)].concat();
    let frames = pair.same_session(|talk| {
        talk.send(&[parse("s", "SELECT $1::int"), one.repeat(3_000), sync()].concat());
        talk.ready();
        let queries: Vec<u8> = (0..500).flat_map(|number| query(&format!("SELECT {number}"))).collect();
        talk.send(&queries);
        for _ in 0..500 {
            talk.ready();
        }
        let many_syncs = [one.clone(), sync()].concat().repeat(500);
        talk.send(&many_syncs);
        for _ in 0..500 {
            talk.ready();
        }
    });
    assert_eq!(frames.iter().filter(|frame| frame.tag == b'D').count(), 4_000);
}

#[test]
fn ten_thousand_named_statements() {
    let pair = Pair::new();
    let name = |number: i32| format!("statement_{number}");
    pair.same_session(|talk| {
        for hundred in 0..100 {
            let numbers = hundred * 100..(hundred + 1) * 100;
            let made: Vec<u8> = numbers.flat_map(|n| parse(&name(n), &format!("SELECT {n}"))).collect();
            talk.send(&[made, sync()].concat());
            talk.ready();
        }
        for number in [0, 4_711, 9_999] {
            talk.send(&[bind("", &name(number), &[]), execute("", 0), sync()].concat());
            talk.ready();
        }
        talk.query("SELECT count(*) FROM pg_prepared_statements");
        talk.query("DEALLOCATE ALL");
        talk.send(&[bind("", &name(1), &[]), sync()].concat());
        talk.ready();
    });
}

#[test]
fn function_calls() {
    let pair = Pair::new();
    let call = |oid: i32, argument: &[u8]| {
        let formats = [1_i16.to_be_bytes(), 1_i16.to_be_bytes(), 1_i16.to_be_bytes()].concat();
        let length = i32::try_from(argument.len()).expect("short").to_be_bytes();
        let result = 1_i16.to_be_bytes();
        framed(b'F', &[&oid.to_be_bytes()[..], &formats, &length, argument, &result].concat())
    };
    let frames = pair.same_session(|talk| {
        // `int4abs` has this number on every server.
        talk.send(&call(1397, &(-5_i32).to_be_bytes()));
        talk.ready();
        talk.send(&[call(1397, &7_i32.to_be_bytes()), query("SELECT 1"), call(1, b"")].concat());
        talk.ready();
        talk.ready();
        talk.ready();
    });
    assert!(tags(&frames).contains("VZVZ"), "{frames:?}");
}

#[test]
fn notifications_reach_an_idle_session() {
    let pair = Pair::new();
    let other = pair.cluster.addr();
    let frames = pair.same_session(|talk| {
        talk.query("LISTEN news");
        crate::support::raw::Raw::session(other).rows("NOTIFY news, 'while idle'");
        talk.until(b'A');
        talk.query("NOTIFY news, 'own'");
        talk.query("BEGIN; NOTIFY news, 'in a transaction'");
        talk.query("COMMIT");
        talk.query("UNLISTEN *");
    });
    assert_eq!(frames.iter().filter(|frame| frame.tag == b'A').count(), 3);
}

#[test]
fn parameters_change_and_change_back() {
    let pair = Pair::new();
    let frames = pair.same_session(|talk| {
        talk.query("SET DateStyle = 'German'");
        talk.query("BEGIN; SET LOCAL TimeZone = 'Asia/Tokyo'");
        talk.query("ROLLBACK");
        talk.query("SET standard_conforming_strings = off");
        talk.query("SET client_encoding = 'SJIS'");
        talk.query("RESET ALL");
        talk.query(
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY; SET application_name = E'caf\\u00e9'",
        );
        talk.query("DISCARD ALL");
    });
    assert!(frames.iter().filter(|frame| frame.tag == b'S').count() > 20);
}

#[test]
fn floods_of_notices_keep_their_order() {
    let pair = Pair::new();
    let frames = pair.same_session(|talk| {
        talk.query(
            // Not in the schema for temporary objects, whose number the notices would tell.
            "CREATE OR REPLACE FUNCTION say(n int) RETURNS int LANGUAGE plpgsql AS \
             $$BEGIN RAISE NOTICE 'row %', n; RETURN n; END$$",
        );
        talk.query("SELECT say(n) FROM generate_series(1, 20000) n");
        talk.query("SET client_min_messages = debug1; SELECT say(1)");
    });
    assert_eq!(
        frames.iter().filter(|frame| frame.tag == b'N' && frame.message().starts_with("row")).count(),
        20_001
    );
}

#[test]
fn two_phase_commit() {
    let pair = Pair::with(&lockkeeper::cluster::Options::new().conf("max_prepared_transactions = 5"));
    pair.straight().rows("CREATE TABLE kept (a int)");
    let frames = pair.same_session(|talk| {
        talk.query("BEGIN");
        talk.query("INSERT INTO kept VALUES (1)");
        talk.query("PREPARE TRANSACTION 'one'");
        talk.query("SELECT gid FROM pg_prepared_xacts");
        talk.query("COMMIT PREPARED 'one'");
        talk.query("BEGIN; INSERT INTO kept VALUES (2); PREPARE TRANSACTION 'two'");
        talk.query("ROLLBACK PREPARED 'two'");
        talk.query("ROLLBACK PREPARED 'no such'");
        talk.query("TRUNCATE kept");
    });
    assert_eq!(errors(&frames), ["42704"]);
}

#[test]
fn what_follows_terminate_is_not_run() {
    let pair = Pair::new();
    pair.straight().rows("CREATE TABLE marks (a int)");
    pair.same_session(|talk| {
        talk.send(&[terminate(), query("INSERT INTO marks VALUES (1)")].concat());
        talk.end();
    });
    pair.same_session(|talk| {
        talk.send(&[query("BEGIN; INSERT INTO marks VALUES (2)"), terminate()].concat());
        talk.end();
    });
    assert_eq!(pair.straight().rows("SELECT a FROM marks"), Vec::<Vec<Option<String>>>::new());
}

#[test]
fn unknown_message_types_are_the_servers_to_refuse() {
    let pair = Pair::new();
    let frames = pair.same_session(|talk| {
        talk.send(&framed(b'?', b"what"));
        talk.end();
    });
    assert_eq!(errors(&frames), ["08P01"]);
}
