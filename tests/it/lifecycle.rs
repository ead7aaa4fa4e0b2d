//! Sessions and the process around them: limits, stopping, reloading, and running out of files.

use lockkeeper::cluster::Cluster;
use rustix::process::Signal;

use super::support::proxy::{Proxy, Setup};
use super::support::raw::{self, Raw};
use super::support::{cluster, eventually};

fn login(user: &str) -> Vec<u8> {
    raw::startup(raw::PROTOCOL_3_0, &[("user", user), ("database", "postgres")])
}

/// What a client is told that is not let in.
fn refusal(proxy: &Proxy, user: &str) -> (String, String) {
    let mut client = Raw::connect(proxy.addr());
    client.send(&login(user));
    let frames = client.until_end();
    let error = frames.iter().find(|frame| frame.tag == b'E').expect("an error");
    (error.sqlstate(), error.message())
}

/// The last words on a session that is being ended.
fn farewell(client: &mut Raw) -> String {
    let frames = client.until_end();
    frames.iter().find(|frame| frame.tag == b'E').map_or_else(|| raw::tags(&frames), raw::Frame::sqlstate)
}

/// A session whose statement waits until `release` is called on the returned one.
fn busy(cluster: &Cluster, proxy: &Proxy) -> (Raw, Raw) {
    let mut holder = Raw::session(cluster.addr());
    holder.rows("SELECT pg_advisory_lock(7)");
    let mut waiting = Raw::session(proxy.addr());
    waiting.send(&raw::query("SELECT pg_advisory_lock_shared(7) WHERE true"));
    eventually("the statement waits", || {
        let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
        (holder.rows(waiting)[0][0].as_deref() == Some("1")).then_some(())
    });
    (waiting, holder)
}

#[test]
fn sessions_are_limited_in_total() {
    let cluster = cluster();
    let proxy = Setup::new(&cluster.addr()).config("[limits]\nconnections = 2").start();
    let first = Raw::session(proxy.addr());
    let _second = Raw::session(proxy.addr());
    let (code, message) = refusal(&proxy, "postgres");
    assert_eq!((code.as_str(), message.as_str()), ("53300", "sorry, too many clients already"));
    drop(first);
    eventually("room again", || {
        let mut client = Raw::connect(proxy.addr());
        client.send(&login("postgres"));
        let first = client.frame_or_end()?;
        (first.tag == b'R').then_some(())
    });
}

#[test]
fn sessions_are_limited_by_user() {
    let cluster = cluster();
    Raw::session(cluster.addr()).query("CREATE ROLE bob LOGIN");
    let proxy = Setup::new(&cluster.addr()).config("[limits]\nconnections_per_user = 1").start();
    let _session = Raw::session(proxy.addr());
    let (code, message) = refusal(&proxy, "postgres");
    assert_eq!((code.as_str(), message.as_str()), ("53300", "too many connections for role \"postgres\""));
    let mut bob = Raw::connect(proxy.addr());
    let frames = bob.start(&[("user", "bob"), ("database", "postgres")]);
    assert!(frames.iter().any(|frame| frame.tag == b'Z'), "{}", raw::tags(&frames));
}

#[test]
fn a_graceful_stop_lets_busy_sessions_finish() {
    let cluster = cluster();
    let mut proxy = Proxy::start(&cluster);
    let mut idle = Raw::session(proxy.addr());
    let (mut waiting, mut holder) = busy(&cluster, &proxy);
    proxy.signal(Signal::TERM);
    assert_eq!(farewell(&mut idle), "57P01");
    assert_eq!(refusal(&proxy, "postgres").0, "57P03");
    holder.rows("SELECT pg_advisory_unlock(7)");
    let tags: Vec<u8> = (0..4).map(|_| waiting.frame().tag).collect();
    assert_eq!(tags, b"TDCZ");
    assert_eq!(farewell(&mut waiting), "57P01");
    assert!(proxy.wait().success());
}

#[test]
fn cancel_requests_are_served_while_stopping() {
    let cluster = cluster();
    let mut proxy = Proxy::start(&cluster);
    let mut holder = Raw::session(cluster.addr());
    holder.rows("SELECT pg_advisory_lock(7)");
    let mut waiting = Raw::connect(proxy.addr());
    let frames = waiting.start(&[("user", "postgres"), ("database", "postgres")]);
    let key = frames.iter().find(|frame| frame.tag == b'K').expect("key data").body.clone();
    waiting.send(&raw::query("SELECT pg_advisory_lock(7) WHERE true"));
    eventually("the statement waits", || {
        let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
        (holder.rows(waiting)[0][0].as_deref() == Some("1")).then_some(())
    });
    proxy.signal(Signal::TERM);
    eventually("it is stopping", || proxy.log().contains("stopping").then_some(()));
    Raw::connect(proxy.addr()).send(&raw::cancel_request(&key));
    let error = waiting.until(b'E').pop().expect("an error");
    assert_eq!(error.sqlstate(), "57014");
    assert!(proxy.wait().success());
}

#[test]
fn busy_sessions_end_at_the_deadline() {
    let cluster = cluster();
    let mut proxy = Setup::new(&cluster.addr()).config("[stop]\ndeadline = \"10ms\"").start();
    let (mut waiting, _holder) = busy(&cluster, &proxy);
    proxy.signal(Signal::TERM);
    assert_eq!(farewell(&mut waiting), "57P01");
    assert!(proxy.wait().success());
}

#[test]
fn an_interrupt_ends_everybody_at_once() {
    let cluster = cluster();
    let mut proxy = Proxy::start(&cluster);
    let mut idle = Raw::session(proxy.addr());
    let (mut waiting, _holder) = busy(&cluster, &proxy);
    proxy.signal(Signal::INT);
    assert_eq!(farewell(&mut idle), "57P01");
    assert_eq!(farewell(&mut waiting), "57P01");
    assert!(proxy.wait().success());
}

#[test]
fn a_second_signal_does_not_wait() {
    let cluster = cluster();
    let mut proxy = Setup::new(&cluster.addr()).config("[stop]\ndeadline = \"1h\"").start();
    let (_waiting, _holder) = busy(&cluster, &proxy);
    proxy.signal(Signal::TERM);
    eventually("it is stopping", || proxy.log().contains("stopping").then_some(()));
    proxy.signal(Signal::TERM);
    assert!(!proxy.wait().success());
}

#[test]
fn a_reload_drops_no_session() {
    let cluster = cluster();
    let proxy = Setup::new(&cluster.addr()).config("[limits]\nconnections = 9").start();
    let mut session = Raw::session(proxy.addr());
    proxy.write_config("[limits]\nconnections = 1\n");
    proxy.signal(Signal::HUP);
    eventually("it is reloaded", || proxy.log().contains("configuration reloaded").then_some(()));
    assert_eq!(session.rows("SELECT 1")[0][0].as_deref(), Some("1"));
    assert_eq!(refusal(&proxy, "postgres").0, "53300");
}

/// Linux shares new connections out among all who listen; elsewhere the last one to come may get them all.
#[cfg(target_os = "linux")]
#[test]
fn two_processes_share_a_port_and_one_may_leave() {
    let cluster = cluster();
    let sharing = |upstream: &str| Setup::new(upstream).config("[listen]\nreuse_port = true");
    let mut early = sharing(&cluster.addr().to_string()).start();
    let addr = early.addr();
    // The server sees which of them has brought a session: one comes by TCP, the other by the socket.
    let socket = format!("unix:{}:{}", cluster.socket_dir().display(), cluster.port());
    let late = sharing(&socket).argument("--listen").argument(&addr.to_string()).start();
    eventually("it listens there too", || late.printed().contains(&addr.to_string()).then_some(()));
    let through_late = |client: &mut Raw| {
        let sql = "SELECT client_addr IS NULL FROM pg_stat_activity WHERE pid = pg_backend_pid()";
        client.rows(sql)[0][0].as_deref() == Some("t")
    };
    let (mut leaving, mut staying) = (Vec::new(), Vec::new());
    eventually("both have sessions", || {
        let mut client = Raw::session(addr);
        if through_late(&mut client) {
            staying.push(client);
        } else {
            leaving.push(client);
        }
        (!staying.is_empty() && leaving.len() > 1).then_some(())
    });
    let mut holder = Raw::session(cluster.addr());
    holder.rows("SELECT pg_advisory_lock(7)");
    let mut busy = leaving.pop().expect("two");
    busy.send(&raw::query("SELECT pg_advisory_lock_shared(7) WHERE true"));
    eventually("the statement waits", || {
        let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
        (holder.rows(waiting)[0][0].as_deref() == Some("1")).then_some(())
    });

    early.signal(Signal::TERM);
    for idle in &mut leaving {
        assert_eq!(farewell(idle), "57P01");
    }
    // It does not listen any more, although it has not ended yet.
    for _ in 0..20 {
        assert!(through_late(&mut Raw::session(addr)));
    }
    holder.rows("SELECT pg_advisory_unlock(7)");
    assert_eq!(raw::tags(&busy.until_ready()), "TDCZ");
    assert_eq!(farewell(&mut busy), "57P01");
    assert!(early.wait().success());
    for session in &mut staying {
        assert!(through_late(session));
    }
    assert!(through_late(&mut Raw::session(addr)));
}

#[cfg(target_os = "linux")]
#[test]
fn running_out_of_files_refuses_and_recovers() {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

    let proxy = Setup::new("127.0.0.1:1").start();
    let pid = i32::try_from(proxy.pid()).ok().and_then(Pid::from_raw).expect("a process id");
    let used = std::fs::read_dir(format!("/proc/{}/fd", proxy.pid())).expect("Linux").count() as u64;
    let ample = getrlimit(Resource::Nofile);
    let tight = Rlimit { current: Some(used + 3), maximum: ample.maximum };
    prlimit(Some(pid), Resource::Nofile, tight).expect("one's own process");

    let clients: Vec<_> =
        (0..12).map(|_| TcpStream::connect(proxy.addr()).expect("the kernel accepts")).collect();
    let mut refused = clients.last().expect("the last one finds no file");
    refused.set_read_timeout(Some(super::support::PATIENCE)).expect("a socket");
    let mut answer = Vec::new();
    refused.read_to_end(&mut answer).expect("an answer");
    assert!(answer.starts_with(b"E") && answer.windows(6).any(|field| field == b"C53300"), "{answer:?}");
    // Told once, however often it happens.
    let told = || proxy.log().matches("cannot accept connections").count();
    eventually("it is told", || (told() > 0).then_some(()));
    assert_eq!(told(), 1);

    drop(clients);
    eventually("it serves again", || {
        let mut client = TcpStream::connect(proxy.addr()).ok()?;
        client.write_all(&raw::ssl_request()).ok()?;
        let mut byte = [0];
        client.read_exact(&mut byte).ok()?;
        (byte == *b"N").then_some(())
    });
}
