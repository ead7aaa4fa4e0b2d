//! The process as an operator sees it: what it prints, what signals do to it, what its subcommands answer.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::{Command, Output};
use std::sync::Arc;

use rustix::process::Signal;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::support::programs::without_variables;
use super::support::proxy::{Proxy, Setup};
use super::support::{eventually, raw};

/// Nobody listens there; these tests need no server.
const NOWHERE: &str = "127.0.0.1:1";

fn lockkeeper(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockkeeper"));
    without_variables(&mut command);
    command.args(arguments).output().expect("the program")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn log_has(proxy: &Proxy, what: &str) {
    eventually(what, || proxy.log().contains(what).then_some(()));
}

#[test]
fn the_configuration_is_printed_with_its_sources() {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("lk.toml");
    std::fs::write(&file, "[guard]\nmode = \"observe\"\n[control]\nurl = \"postgres://u:hunter2@h/d\"\n")
        .expect("file");
    let file = file.to_str().expect("text");
    let output =
        lockkeeper(&["config", "--config", file, "--listen", "127.0.0.1:7000", "--set", "stop.deadline=3s"]);
    let printed = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let line = |key: &str| printed.lines().find(|line| line.starts_with(key)).unwrap_or_default().to_owned();
    let squeezed = |key: &str| line(key).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(squeezed("guard.mode"), format!("guard.mode = \"observe\" # {file}:2"));
    assert_eq!(squeezed("control.url"), format!("control.url = \"(secret)\" # {file}:4"));
    assert_eq!(squeezed("listen.addresses"), "listen.addresses = [\"127.0.0.1:7000\"] # --listen");
    assert_eq!(squeezed("stop.deadline"), "stop.deadline = \"3s\" # --set");
    assert_eq!(squeezed("guard.max_stall"), "guard.max_stall = \"100ms\" # default");
    assert!(!printed.contains("hunter2"));

    assert!(lockkeeper(&["config", "--check", "--config", file]).stdout.is_empty());
    let output =
        lockkeeper(&["config", "--check", "--config", file, "--set", "guard.mode=on", "--set", "x=1"]);
    assert!(!output.status.success());
    assert_eq!(text(&output.stderr).lines().count(), 2, "{}", text(&output.stderr));
}

#[test]
fn a_bad_configuration_is_no_start() {
    let output = lockkeeper(&["serve", "--listen", "nowhere:x", "--set", "guard.mode=on"]);
    assert!(!output.status.success());
    let said = text(&output.stderr);
    assert!(said.contains("--listen: listen.addresses: ") && said.contains("--set: guard.mode: "), "{said}");
    let output = lockkeeper(&["serve", "--config", "/nonexistent/lk.toml"]);
    assert!(text(&output.stderr).contains("cannot read /nonexistent/lk.toml"), "{}", text(&output.stderr));
}

#[test]
fn trouble_with_a_file_is_told_at_its_key() {
    let folder = tempfile::tempdir().expect("folder");
    let config = folder.path().join("lk.toml");
    let (cert, roots) = (folder.path().join("none.crt"), folder.path().join("empty.crt"));
    std::fs::write(&roots, "").expect("file");
    let tls = format!("[listen.tls]\nsslmode = \"allow\"\ncert = {cert:?}\nkey = {cert:?}\n");
    std::fs::write(&config, format!("{tls}[upstream]\nsslmode = \"verify-full\"\nsslrootcert = {roots:?}\n"))
        .expect("file");
    let config = config.to_str().expect("text");
    for subcommand in [&["config", "--check"][..], &["serve"]] {
        let output = lockkeeper(&[subcommand, &["--config", config]].concat());
        assert!(!output.status.success());
        let said = text(&output.stderr);
        assert!(said.contains(&format!("{config}:3: listen.tls.cert: cannot read certificate")), "{said}");
        assert!(said.contains(&format!("{config}:7: upstream.sslrootcert: ")), "{said}");
    }
}

#[test]
fn a_taken_address_is_said_so() {
    let proxy = Setup::new(NOWHERE).start();
    let address = proxy.addr().to_string();
    let output = lockkeeper(&["serve", "--listen", &address]);
    assert!(!output.status.success());
    assert!(
        text(&output.stderr).contains(&format!("cannot listen on {address}")),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn it_says_where_it_listens_and_a_unix_socket_goes_with_it() {
    let folder = tempfile::tempdir().expect("folder");
    let directory = format!("unix:{}:6432", folder.path().display());
    let mut proxy = Setup::new(NOWHERE).argument("--listen").argument(&directory).start();
    let socket = folder.path().join(".s.PGSQL.6432");
    eventually("the second address", || proxy.printed().contains(".s.PGSQL.6432").then_some(()));
    UnixStream::connect(&socket).expect("it listens");
    proxy.signal(Signal::TERM);
    assert!(proxy.wait().success());
    assert!(!socket.exists() && !folder.path().join(".s.PGSQL.6432.lock").exists());
}

#[test]
fn a_reload_takes_up_what_is_good_and_refuses_what_is_bad() {
    let mut proxy = Setup::new(NOWHERE).config("[guard]\nmode = \"observe\"").start();
    proxy.write_config("[guard]\nmode = \"of\"\nmax_stal = \"1s\"\n");
    proxy.signal(Signal::HUP);
    log_has(&proxy, "guard.max_stal: unknown key");
    log_has(&proxy, "guard.mode: expected one of");
    assert!(!proxy.log().contains("configuration reloaded"));
    proxy.write_config("[guard]\nmode = \"off\"\n[listen]\nbacklog = 7\n[log]\nlevel = \"warn\"\n");
    proxy.signal(Signal::HUP);
    log_has(&proxy, "listen.backlog");
    proxy.write_config("[log]\nlevel = \"info\"\n");
    proxy.signal(Signal::HUP);
    log_has(&proxy, "configuration reloaded");
    let warnings = |proxy: &Proxy| proxy.log().matches("listen.backlog").count();
    assert_eq!(
        warnings(&proxy),
        1,
        "the key has again the value that the process started with: {}",
        proxy.log()
    );
    proxy.signal(Signal::INT);
    assert!(proxy.wait().success());
}

/// Whether a client that trusts only this certificate would go on.
fn is_shown(proxy: &Proxy, certificate: &CertificateDer<'static>) -> bool {
    let mut socket = TcpStream::connect(proxy.addr()).expect("it listens");
    socket.write_all(&raw::ssl_request()).expect("sent");
    let mut answer = [0];
    socket.read_exact(&mut answer).expect("answered");
    assert_eq!(answer, *b"S");
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions");
    let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
    let name = "localhost".try_into().expect("a name");
    let mut client = ClientConnection::new(config, name).expect("a client");
    while client.is_handshaking() {
        if client.complete_io(&mut socket).is_err() {
            return false;
        }
    }
    true
}

#[test]
fn a_reload_reads_certificates_again() {
    let folder = tempfile::tempdir().expect("folder");
    let (cert, key) = (folder.path().join("server.crt"), folder.path().join("server.key"));
    let write = || {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        std::fs::write(&cert, made.cert.pem()).expect("file");
        std::fs::write(&key, made.signing_key.serialize_pem()).expect("file");
        made.cert.der().clone()
    };
    let first = write();
    let section = format!("[listen.tls]\nsslmode = \"allow\"\ncert = {cert:?}\nkey = {key:?}");
    let proxy = Setup::new(NOWHERE).config(&section).start();
    assert!(is_shown(&proxy, &first));

    std::fs::write(&key, "no key").expect("file");
    proxy.signal(Signal::HUP);
    log_has(&proxy, "listen.tls.key: found no private key");
    assert!(is_shown(&proxy, &first), "the old one stays");

    let second = write();
    proxy.signal(Signal::HUP);
    log_has(&proxy, "configuration reloaded");
    assert!(is_shown(&proxy, &second) && !is_shown(&proxy, &first));
}

#[test]
fn log_lines_can_be_read_by_programs() {
    let mut proxy = Setup::new(NOWHERE).config("[log]\nformat = \"json\"").start();
    proxy.signal(Signal::TERM);
    assert!(proxy.wait().success());
    let log = proxy.log();
    assert!(log.lines().count() >= 3, "{log}");
    for line in log.lines() {
        assert!(line.starts_with("{\"timestamp\":") && line.ends_with('}'), "{line}");
    }
}

#[test]
fn ping_tells_whether_it_answers() {
    let proxy = Setup::new(NOWHERE).start();
    let address = proxy.addr().to_string();
    let output = lockkeeper(&["ping", "--listen", &address]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    drop(proxy);
    let output = lockkeeper(&["ping", "--listen", &address]);
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("does not answer"), "{}", text(&output.stderr));
}
