//! The published flaws of proxies and drivers, each as a test that it is not ours.
//!
//! Where each row of the list of flaws (a CVE or its class) is shown not to hold:
//!
//! | flaw | test |
//! |---|---|
//! | plain text in front of the handshake (CVE-2021-23214, -3935, -43766), GSSENCRequest with more behind it | `tls::nothing_in_front_of_the_handshake_is_taken_for_the_session`, `tls::encryption_is_asked_for_once` |
//! | a server's words before its handshake (CVE-2021-23222, -43767, CVE-2024-10977) | `tls::what_a_server_says_before_its_handshake_is_not_its_word` |
//! | a second start-up packet (CVE-2026-107350) | `auth::a_second_start_up_packet_changes_nobody` |
//! | password before start-up, no user, long names (CVE-2015-4054, -2012-4575) | `security::odd_beginnings_are_the_servers_to_refuse` |
//! | an unknown user becomes another (CVE-2015-6817), the proxy's login stands in for the client's (CVE-2025-46801) | `security_login::nobody_becomes_somebody_else` |
//! | expired, locked and changed passwords (CVE-2025-2291) | `security_login::the_servers_rules_for_roles_hold_at_once` |
//! | start-up settings that reach the proxy's own queries (CVE-2025-12819) | `security_login::settings_of_the_client_do_not_reach_our_own_statements` |
//! | SCRAM lengths, nonces, iterations, downgrades (CVE-2026-6664, -6665, -6669, CVE-2026-42198) | `tls::a_server_that_lies_in_scram_gets_nowhere`, `security_scram`, the tests of `auth` |
//! | who does not exist (timing, other answers) | `security_scram::a_user_who_does_not_exist_is_answered_as_one_who_does` |
//! | errors without SQLSTATE, without end (CVE-2026-6666) | `security_server::errors_without_form_pass_or_end_the_session` |
//! | impossible lengths (CVE-2026-6668, -107348, CVE-2024-27304, RUSTSEC-2024-0363) | `security::impossible_lengths_end_one_session_only`, `security_server::impossible_lengths_from_the_server_end_the_session`, `security::counts_that_exceed_the_message_are_the_servers_to_refuse` |
//! | `options` of odd forms (CVE-2026-107349) | `security::odd_options_are_the_servers_to_judge` |
//! | admin commands for everybody (CVE-2026-6667) | `security::there_is_no_console_for_everybody` |
//! | cancel keys | `startup::only_the_right_key_cancels`, `security_cancel::guessing_keys_takes_nobodys_place` |
//! | slow beginnings | `tls::slow_beginnings_end`, `security::a_crowd_that_says_nothing_keeps_nobody_out` |
//! | encodings and quotes that hide statements | `wire_guarded::encodings_in_which_a_backslash_may_be_half_a_letter`, `wire_guarded::comments_quotes_and_odd_spellings`, `wire_guarded::a_zero_byte_in_the_text_is_the_servers_to_refuse` |
//! | statements that slip through | `security_bypass` |
//! | states that are confused | `transparent_copy::a_query_in_the_middle_of_the_data_ends_the_session`, `transparent::errors_are_recovered_from_at_sync`, `transparent::what_follows_terminate_is_not_run` |
//! | downgrades of TLS | `tls::clients_may_encrypt_where_it_is_allowed_and_must_where_it_is_required`, `tls::old_tls_is_refused`, `tls::direct_tls_needs_the_protocols_name`, `tls::the_servers_leg_is_encrypted_as_libpq_would` |
//! | resources | `transparent::ten_thousand_named_statements`, `security::watched_statements_are_bounded`, `security::watched_portals_are_bounded`, `transparent::floods_of_notices_keep_their_order`, `transparent_stream`, `lifecycle::running_out_of_files_refuses_and_recovers` |
//! | log injection | `security::what_clients_say_cannot_forge_log_lines` |

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::proxy::{Proxy, Setup};
use crate::support::raw::{
    PROTOCOL_3_0, Raw, bind, execute, framed, parse, password, query, startup, sync, tags,
};
use crate::support::{PATIENCE, eventually};
use crate::wire::{Pair, errors, peak_kilobytes};

/// Lengths that no message can have.
const IMPOSSIBLE: [u32; 6] = [0, 3, 0x4000_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];

/// Clients that say nothing, all at the same time.
const CROWD: usize = 1_000;

/// Everything up to the end of the connection, also when the end is a reset.
fn rest(mut socket: &TcpStream) -> Vec<u8> {
    socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
    let (mut heard, mut chunk) = (Vec::new(), [0; 4096]);
    while let Ok(read @ 1..) = socket.read(&mut chunk) {
        heard.extend_from_slice(&chunk[..read]);
    }
    heard
}

#[test]
fn odd_beginnings_are_the_servers_to_refuse() {
    let pair = Pair::new();
    let long = "d".repeat(100);
    let beginnings = [
        startup(PROTOCOL_3_0, &[]),
        startup(PROTOCOL_3_0, &[("database", "postgres")]),
        startup(PROTOCOL_3_0, &[("user", "")]),
        startup(PROTOCOL_3_0, &[("user", "postgres"), ("database", &long)]),
        startup(PROTOCOL_3_0, &[("user", &long), ("database", "postgres")]),
        startup(PROTOCOL_3_0, &[("user", "postgres"), ("database", "postgres\n; DROP DATABASE postgres")]),
    ];
    for beginning in beginnings {
        pair.same(|talk| {
            talk.send(&beginning);
            talk.end();
        });
    }
    let mut early = TcpStream::connect(pair.proxy.addr()).expect("connect");
    early.write_all(&password("before anybody asked")).expect("send");
    assert_eq!(rest(&early), b"");
    assert!(!pair.proxy.log().contains("before anybody asked"));
}

#[test]
fn impossible_lengths_end_one_session_only() {
    let pair = Pair::new();
    let mut other = pair.through();
    let before = peak_kilobytes(&pair.proxy);
    for length in IMPOSSIBLE {
        let mut early = TcpStream::connect(pair.proxy.addr()).expect("connect");
        early.write_all(&length.to_be_bytes()).expect("send");
        early.write_all(&PROTOCOL_3_0.to_be_bytes()).expect("send");
        assert_eq!(rest(&early), b"", "{length:#x} before the login");
        for kind in b"QPBEdXp?" {
            let mut client = pair.through();
            client.send(&[&[*kind], &length.to_be_bytes()[..], b"SELECT 1\0"].concat());
            let last = client.until_end();
            assert!(tags(&last).is_empty() || errors(&last) == ["08P01"], "{kind} {length:#x}: {last:?}");
        }
    }
    assert_eq!(tags(&other.query("SELECT 1")), "TDCZ");
    let grown = peak_kilobytes(&pair.proxy) - before;
    assert!(grown < 4 << 10, "the proxy has grown by {grown} kB");
    eventually("no backend is left", || {
        let rows = other.rows("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'");
        (rows[0][0].as_deref() == Some("1")).then_some(())
    });
}

#[test]
fn counts_that_exceed_the_message_are_the_servers_to_refuse() {
    let pair = Pair::new();
    pair.same_session(|talk| {
        let parse_many = framed(b'P', b"s\0SELECT 1\0\xff\xff");
        let bind_many = framed(b'B', b"\0\0\0\0\xff\xff");
        let bind_long = framed(b'B', b"\0\0\0\0\0\x01\x7f\xff\xff\xffx\0\0");
        let bind_negative = framed(b'B', b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0");
        let call_many = framed(b'F', b"\0\0\x05\x75\x7f\xff");
        for odd in [parse_many, bind_many, bind_long, bind_negative, framed(b'D', b"S"), framed(b'C', b"")] {
            talk.send(&[parse("", "SELECT $1::int"), odd, sync()].concat());
            talk.ready();
        }
        talk.send(&call_many);
        talk.ready();
    });
}

#[test]
fn odd_options_are_the_servers_to_judge() {
    let pair = Pair::new();
    let many = "-c a.b=c ".repeat(900);
    for options in [
        "-c=",
        "-c",
        "--",
        "\\",
        "-c ",
        "--=",
        "-c work_mem",
        &many,
        "-c a.b=c\\ d",
        "--a.b=c",
        "-x",
        "-cmode=off",
    ] {
        pair.same(|talk| {
            talk.send(&startup(
                PROTOCOL_3_0,
                &[("user", "postgres"), ("database", "postgres"), ("options", options)],
            ));
            talk.send(&[query("SHOW work_mem"), crate::support::raw::terminate()].concat());
            talk.end();
        });
    }
}

#[test]
fn there_is_no_console_for_everybody() {
    let pair = Pair::new();
    pair.same_session(|talk| {
        for command in ["SHOW POOLS", "KILL postgres", "RELOAD", "SHUTDOWN", "PAUSE", "SHOW CLIENTS"] {
            talk.query(command);
        }
    });
}

/// Connections on which 0 to 7 bytes of a start-up packet were sent.
fn crowd(proxy: &Proxy) -> Vec<TcpStream> {
    let packet = startup(PROTOCOL_3_0, &[("user", "postgres"), ("database", "postgres")]);
    let come = |number: usize| {
        let mut one = TcpStream::connect(proxy.addr()).expect("connect");
        one.write_all(&packet[..number % 8]).expect("send");
        one
    };
    (0..CROWD).map(come).collect()
}

#[test]
fn a_crowd_that_says_nothing_keeps_nobody_out() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("one's own limit");
    let pair = Pair::configured(&["[listen]", "startup_timeout = \"1h\""]);
    let patient = crowd(&pair.proxy);
    for _ in 0..10 {
        assert_eq!(tags(&pair.through().query("SELECT 1")), "TDCZ");
    }
    for one in &patient {
        one.set_nonblocking(true).expect("a socket");
        let kind = one.peek(&mut [0]).map_err(|error| error.kind());
        assert_eq!(kind, Err(ErrorKind::WouldBlock), "the crowd is gone");
    }

    let setup = Setup::new(&pair.cluster.addr()).config("[listen]").config("startup_timeout = \"500ms\"");
    let proxy = setup.start();
    let hurried = crowd(&proxy);
    assert_eq!(tags(&Raw::session(proxy.addr()).query("SELECT 1")), "TDCZ");
    for one in &hurried {
        assert_eq!(rest(one), b"");
    }
    assert_eq!(tags(&Raw::session(proxy.addr()).query("SELECT 1")), "TDCZ");
    assert!(!proxy.log().contains("ERROR"), "{}", proxy.log());
}

#[test]
fn watched_statements_are_bounded() {
    let pair = Pair::new();
    let mut client = pair.through();
    client.rows("CREATE TABLE t (a int)");
    let made: Vec<u8> = (0..1_001).flat_map(|n| parse(&format!("s{n}"), "ALTER TABLE t ADD b int")).collect();
    client.send(&[made, sync()].concat());
    let frames = client.until_ready();
    assert_eq!(errors(&frames), ["54000"]);
    assert_eq!(frames.iter().filter(|frame| frame.tag == b'1').count(), 1_000);
    client.send(&[bind("", "s0", &[]), execute("", 0), sync()].concat());
    assert_eq!(tags(&client.until_ready()), "2CZ");
    client.rows("DEALLOCATE ALL");
    client.send(
        &[parse("s0", "ALTER TABLE t ADD c int"), bind("", "s0", &[]), execute("", 0), sync()].concat(),
    );
    assert_eq!(tags(&client.until_ready()), "12CZ");
}

#[test]
fn watched_portals_are_bounded() {
    let pair = Pair::new();
    let mut client = pair.through();
    client.rows("CREATE TABLE t (a int)");
    client.send(&[parse("s", "ALTER TABLE t ALTER a SET DEFAULT 1"), sync()].concat());
    client.until_ready();
    let many =
        |count: usize| -> Vec<u8> { (0..count).flat_map(|n| bind(&format!("p{n}"), "s", &[])).collect() };
    client.rows("BEGIN");
    client.send(&[many(1_001), sync()].concat());
    let frames = client.until_ready();
    assert_eq!(errors(&frames), ["54000"]);
    assert_eq!(frames.iter().filter(|frame| frame.tag == b'2').count(), 1_000);
    assert_eq!(errors(&client.query("SELECT 1")), ["25P02"]);
    client.rows("ROLLBACK");
    // One name again and again takes one place, and others' places are free once their transaction is over.
    client.rows("BEGIN");
    client.send(&[bind("", "s", &[]).repeat(2_000), many(500), sync()].concat());
    assert_eq!(errors(&client.until_ready()), Vec::<String>::new());
    client.rows("COMMIT");
    let batches: Vec<u8> = (0..3).flat_map(|_| [many(900), sync()].concat()).collect();
    client.send(&batches);
    for _ in 0..3 {
        assert_eq!(errors(&client.until_ready()), Vec::<String>::new());
    }
    // A long one is refused as well, and its values are not taken for messages.
    client.rows("BEGIN");
    client.send(&[many(1_000), sync()].concat());
    client.until_ready();
    let long = "S\0\0\0\x04".repeat(1 << 20);
    client.send(&[bind("one more", "s", &[Some(&long)]), sync()].concat());
    assert_eq!(errors(&client.until_ready()), ["54000"]);
    client.rows("ROLLBACK");
}

#[test]
fn what_clients_say_cannot_forge_log_lines() {
    let pair = Pair::new();
    pair.straight().rows("CREATE ROLE \"forged\n2026 ERROR user\" LOGIN SUPERUSER");
    let mut client = Raw::connect(pair.proxy.addr());
    let name = "app\n2026-01-01T00:00:00Z ERROR forged\u{1b}[31m";
    client.start(&[
        ("user", "forged\n2026 ERROR user"),
        ("database", "postgres"),
        ("application_name", name),
    ]);
    client.rows("CREATE TABLE \"t\n2026 ERROR table\" (a int); CREATE INDEX \"i\n2026 ERROR index\" ON \"t\n2026 ERROR table\" (a)");
    client.query("CREATE INDEX ON \"t\n2026 ERROR table\" (a)");
    client.query("ALTER TABLE \"t\n2026 ERROR table\" ADD b int");
    client.query("SET lockkeeper.mode = 'x\n2026 ERROR setting'");
    client.query("ALTER ROLE postgres PASSWORD 'never shown'");
    client.send(&[b'Q', 0, 0, 0, 1]);
    client.until_end();
    eventually("the end is logged", || pair.proxy.log().contains("session broke").then_some(()));
    let log = pair.proxy.log();
    assert!(log.lines().all(|line| !line.starts_with("2026 ERROR") && !line.contains('\u{1b}')), "{log}");
    assert!(!log.contains("never shown"));
}
