//! The first packet in every shape: through the proxy it gets the answer that it gets straight. And cancelling, which has a
//! first packet of its own.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use lockkeeper::cluster::Options;

use crate::support::proxy::{Proxy, Setup};
use crate::support::raw::{
    PROTOCOL_3_0, PROTOCOL_3_2, Raw, cancel_request, password, query, startup, tags, terminate, untyped,
};
use crate::support::{PATIENCE, cluster, cluster_with, each_major, eventually};

const SUPERUSER: &[(&str, &str)] = &[("user", "postgres"), ("database", "postgres")];

/// What a server says to a first packet up to the first `ReadyForQuery` or the end, without what differs from session to
/// session. Not all of it need be messages of protocol 3.
fn answer(addr: SocketAddr, packet: &[u8]) -> Vec<String> {
    let mut socket = TcpStream::connect(addr).expect("connect");
    socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
    socket.write_all(packet).expect("send");
    let (mut bytes, mut told) = (Vec::new(), Vec::new());
    let mut chunk = [0; 4096];
    loop {
        while let Some((frame, rest)) = split(&bytes) {
            told.push(match frame[0] {
                b'K' => format!("K of {} bytes", frame.len()),
                _ => frame.escape_ascii().to_string(),
            });
            if frame[0] == b'Z' {
                return told;
            }
            bytes = rest;
        }
        match socket.read(&mut chunk) {
            Ok(read @ 1..) => bytes.extend_from_slice(&chunk[..read]),
            Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("no answer: {error}"),
            Ok(_) | Err(_) => {
                told.push(bytes.escape_ascii().to_string());
                return told;
            }
        }
    }
}

/// The first message and what follows it, if it is one and complete.
fn split(bytes: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let length = u32::from_be_bytes(*bytes.get(1..5)?.first_chunk()?) as usize;
    let (frame, rest) = bytes.split_at_checked(length.checked_add(1)?)?;
    (length >= 4).then(|| (frame.to_vec(), rest.to_vec()))
}

#[test]
fn every_first_packet_gets_the_servers_answer() {
    let packets = [shapes(), parameters()].concat();
    for installation in each_major() {
        let cluster = cluster_with(&Options::new().installation(installation));
        let proxy = Proxy::start(&cluster);
        for packet in &packets {
            let straight = answer(cluster.addr(), packet);
            assert_eq!(answer(proxy.addr(), packet), straight, "{}", packet.escape_ascii());
        }
        assert_eq!(Raw::session(proxy.addr()).rows("SELECT 1").len(), 1);
    }
}

/// Packets of every version, length and layout, and what is none.
fn shapes() -> Vec<Vec<u8>> {
    let long = "n".repeat(200);
    vec![
        startup(PROTOCOL_3_0, SUPERUSER),
        startup(PROTOCOL_3_2, SUPERUSER),
        startup(196_609, SUPERUSER),
        startup(0x0003_270f, &[SUPERUSER, &[("_pq_.test", "1")]].concat()),
        startup(0x0002_0000, SUPERUSER),
        startup(0x0004_0000, SUPERUSER),
        startup(0x0000_0000, SUPERUSER),
        startup(0x04d2_162d, SUPERUSER),
        startup(PROTOCOL_3_0, &[]),
        startup(PROTOCOL_3_0, &[("user", "")]),
        startup(PROTOCOL_3_0, &[("database", "postgres")]),
        startup(PROTOCOL_3_0, &[("user", "postgres")]),
        startup(PROTOCOL_3_0, &[("user", "postgres"), ("database", "")]),
        startup(PROTOCOL_3_0, &[("user", "nobody"), ("user", "postgres"), ("database", "postgres")]),
        startup(PROTOCOL_3_0, &[("user", "nobody"), ("database", "postgres")]),
        startup(PROTOCOL_3_0, &[("user", "postgres"), ("database", "nowhere")]),
        startup(PROTOCOL_3_0, &[("user", &long), ("database", &long)]),
        untyped(&[&PROTOCOL_3_0.to_be_bytes()[..], b"user\0postgres\0"].concat()),
        untyped(&[&PROTOCOL_3_0.to_be_bytes()[..], b"user\0postgres\0\0rest"].concat()),
        untyped(&[&PROTOCOL_3_0.to_be_bytes()[..], b"user"].concat()),
        untyped(&[&PROTOCOL_3_0.to_be_bytes()[..], b"user\0\xff\xfe\0\0"].concat()),
        vec![0, 0, 0, 4],
        vec![0, 0, 0, 7, 0, 3, 0],
        [&10_004i32.to_be_bytes()[..], &[0; 10_000]].concat(),
        [&10_005i32.to_be_bytes()[..], &[0; 10_001]].concat(),
        [&(-1i32).to_be_bytes()[..], &[0; 100]].concat(),
        password("before everything"),
        query("SELECT 1"),
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
    ]
}

/// Well-formed packets with parameters of every kind.
fn parameters() -> Vec<Vec<u8>> {
    let long = "n".repeat(200);
    let many = "-c a.b=c ".repeat(1000);
    let mut packets = Vec::new();
    for options in [
        "-c search_path=pg_catalog -c application_name=x",
        "--application-name=a\\ b --work-mem=5MB",
        "-c=",
        "-c",
        "--",
        "\\",
        "-c =",
        "-c lockkeeper.mode=off",
        "-c nonsense=1",
        &many,
    ] {
        packets.push(startup(PROTOCOL_3_0, &[SUPERUSER, &[("options", options)]].concat()));
    }
    for (name, value) in [
        ("replication", "true"),
        ("replication", "database"),
        ("replication", "maybe"),
        ("client_encoding", "LATIN1"),
        ("client_encoding", "nonsense"),
        ("extra_float_digits", "3"),
        ("lockkeeper.mode", "observe"),
        ("role", "nobody"),
        ("session_authorization", "postgres"),
        ("application_name", ""),
        (long.as_str(), "x"),
    ] {
        packets.push(startup(PROTOCOL_3_0, &[SUPERUSER, &[(name, value)]].concat()));
    }
    packets
}

#[test]
fn a_packet_may_come_byte_by_byte_or_with_all_that_follows() {
    let cluster = cluster();
    let proxy = Proxy::start(&cluster);
    let mut slow = Raw::connect(proxy.addr());
    slow.send_bytewise(&startup(PROTOCOL_3_0, SUPERUSER));
    slow.until_ready();
    slow.send_bytewise(&query("SELECT 1"));
    assert_eq!(tags(&slow.until_ready()), "TDCZ");
    let mut hasty = Raw::connect(proxy.addr());
    let all = [startup(PROTOCOL_3_0, SUPERUSER), query("SELECT 1"), query("SELECT 2"), terminate()];
    hasty.send(&all.concat());
    assert!(tags(&hasty.until_end()).ends_with("ZTDCZTDCZ"));
    // What it has said when it says no more is still answered.
    let mut brief = Raw::connect(proxy.addr());
    brief.send(&[startup(PROTOCOL_3_0, SUPERUSER), query("SELECT 1")].concat());
    brief.half_close();
    let said = tags(&brief.until_end());
    assert!(said.ends_with("ZTDCZ"), "{said}");
}

#[test]
fn health_checks_are_not_worth_a_word() {
    let cluster = cluster();
    let proxy = Proxy::start(&cluster);
    for count in 0..8 {
        Raw::connect(proxy.addr()).send(&startup(PROTOCOL_3_0, SUPERUSER)[..count]);
    }
    assert_eq!(Raw::session(proxy.addr()).rows("SELECT 1").len(), 1);
    assert!(!proxy.log().contains("ERROR"), "{}", proxy.log());
}

#[test]
fn the_time_for_the_first_packet_ends_with_it() {
    let cluster = cluster_with(&Options::new().hba("host all guest 127.0.0.1/32 password"));
    Raw::session(cluster.addr()).rows("CREATE ROLE guest LOGIN PASSWORD 'welcome'");
    let setup = Setup::new(&cluster.addr()).config("[listen]").config("startup_timeout = '200ms'");
    let proxy = setup.start();
    let mut thoughtful = Raw::connect(proxy.addr());
    thoughtful.send(&startup(PROTOCOL_3_0, &[("user", "guest"), ("database", "postgres")]));
    assert_eq!(thoughtful.frame().body, 3_i32.to_be_bytes());
    // Whoever says nothing from now on is sent away before the other one answers.
    let mut silent = Raw::connect(proxy.addr());
    silent.send(&startup(PROTOCOL_3_0, SUPERUSER)[..7]);
    assert_eq!(silent.bytes_to_end(), b"");
    thoughtful.send(&password("welcome"));
    thoughtful.until_ready();
    assert_eq!(thoughtful.rows("SELECT 1").len(), 1);
}

#[test]
fn unix_domain_sockets_serve_on_both_sides() {
    let cluster = cluster();
    let folder = tempfile::tempdir().expect("temporary folder");
    let upstream = format!("unix:{}:{}", cluster.socket_dir().display(), cluster.port());
    let listen = format!("unix:{}", folder.path().display());
    let _proxy = Setup::new(&upstream).argument("--listen").argument(&listen).start();
    let mut client = Raw::connect_unix(&socket_in(folder.path()));
    client.start(SUPERUSER);
    let rows = client.rows("SELECT client_addr IS NULL FROM pg_stat_activity WHERE pid = pg_backend_pid()");
    assert_eq!(rows[0][0].as_deref(), Some("t"));
}

/// The socket in a folder, as soon as there is one.
pub(crate) fn socket_in(folder: &Path) -> PathBuf {
    eventually("the socket is there", || {
        let mut entries = std::fs::read_dir(folder).expect("folder").map_while(Result::ok);
        entries.find(|entry| entry.file_type().is_ok_and(|kind| kind.is_socket())).map(|entry| entry.path())
    })
}

/// Starts a long statement; its backend's key data.
fn busy(addr: SocketAddr, protocol: i32) -> (Raw, Vec<u8>) {
    let mut client = Raw::connect(addr);
    client.send(&startup(protocol, SUPERUSER));
    let key = client.until_ready().iter().find(|frame| frame.tag == b'K').expect("key data").body.clone();
    client.send(&query("SELECT pg_sleep(3600)"));
    (client, key)
}

fn cancel(addr: SocketAddr, key: &[u8]) {
    let mut canceller = Raw::connect(addr);
    canceller.send(&cancel_request(key));
    assert_eq!(canceller.bytes_to_end(), b"");
}

#[test]
fn cancelling_works_through_any_instance() {
    for installation in each_major() {
        let cluster = cluster_with(&Options::new().installation(installation));
        let (one, other) = (Proxy::start(&cluster), Proxy::start(&cluster));
        for protocol in [PROTOCOL_3_0, PROTOCOL_3_2] {
            for through in [one.addr(), other.addr(), cluster.addr()] {
                let (mut client, key) = busy(one.addr(), protocol);
                let pid = u32::from_be_bytes(key[..4].try_into().expect("four bytes"));
                running(cluster.addr(), pid);
                cancel(through, &key);
                assert_eq!(client.until_ready()[1].sqlstate(), "57014");
            }
        }
    }
}

#[test]
fn only_the_right_key_cancels() {
    let cluster = cluster();
    let proxy = Proxy::start(&cluster);
    let (mut client, key) = busy(proxy.addr(), PROTOCOL_3_0);
    let pid = u32::from_be_bytes(key[..4].try_into().expect("four bytes"));
    running(cluster.addr(), pid);
    let mut wrong = key.clone();
    wrong[7] ^= 1;
    cancel(proxy.addr(), &wrong);
    for length in [0, 3, 32, 256, 257, 2000] {
        cancel(proxy.addr(), &[&key[..4], &vec![7; length]].concat());
    }
    running(cluster.addr(), pid);
    cancel(proxy.addr(), &key);
    assert_eq!(client.until_ready()[1].sqlstate(), "57014");
}

/// Waits until a backend sleeps.
fn running(addr: SocketAddr, pid: u32) {
    let mut admin = Raw::session(addr);
    let sql = format!("SELECT 1 FROM pg_stat_activity WHERE pid = {pid} AND wait_event = 'PgSleep'");
    eventually("the statement runs", || (admin.rows(&sql).len() == 1).then_some(()));
}
