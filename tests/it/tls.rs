//! Encryption on either leg, and what must not pass around it.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use lockkeeper::cluster::{Cluster, Options};
use rustix::process::Signal;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, ServerConfig, ServerConnection,
    SignatureScheme, StreamOwned,
};

use crate::startup::socket_in;
use crate::support::certificates::{Authority, Issued};
use crate::support::programs::{Ran, psql, run};
use crate::support::proxy::{Proxy, Setup};
use crate::support::raw::{PROTOCOL_3_0, Raw, gss_request, query, ssl_request, startup};
use crate::support::{PATIENCE, cluster, cluster_with, eventually};

const SUPERUSER: &[(&str, &str)] = &[("user", "postgres"), ("database", "postgres")];

/// `SELECT 1` by psql.
fn select(cluster: &Cluster, port: u16, more: &str) -> Ran {
    let conninfo =
        format!("host=localhost hostaddr=127.0.0.1 port={port} dbname=postgres user=postgres {more}");
    let mut command = psql(cluster, &conninfo);
    command.args(["-c", "SELECT 1"]);
    run(command)
}

/// Whether the server's leg of a session through `proxy` is encrypted.
fn server_leg(cluster: &Cluster, proxy: &Proxy) -> String {
    let mut command = psql(cluster, &proxy.url("postgres"));
    command.args(["-c", "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"]);
    run(command).ok()
}

/// Shows a certificate to clients.
pub(crate) fn listen_tls(setup: Setup, shown: &Issued, sslmode: &str) -> Setup {
    setup
        .config("[listen.tls]")
        .config(&format!("sslmode = '{sslmode}'"))
        .config(&format!("cert = {:?}", shown.certificate))
        .config(&format!("key = {:?}", shown.key))
}

#[test]
fn clients_may_encrypt_where_it_is_allowed_and_must_where_it_is_required() {
    let (authority, cluster) = (Authority::new(), cluster());
    let shown = authority.server("proxy");
    let verified = format!("sslmode=verify-full sslrootcert={}", authority.root().display());
    let allow = listen_tls(Setup::new(&cluster.addr()), &shown, "allow").start();
    assert_eq!(select(&cluster, allow.addr().port(), &verified).ok(), "1");
    assert_eq!(select(&cluster, allow.addr().port(), "sslmode=disable").ok(), "1");
    let require = listen_tls(Setup::new(&cluster.addr()), &shown, "require").start();
    assert_eq!(select(&cluster, require.addr().port(), &verified).ok(), "1");
    let mut plain = Raw::connect(require.addr());
    plain.send(&startup(PROTOCOL_3_0, SUPERUSER));
    let refusal = plain.frame();
    assert_eq!(
        (refusal.sqlstate().as_str(), refusal.message().as_str()),
        ("28000", "connection is not encrypted")
    );
    assert_eq!(plain.until_end(), []);
    let none = Proxy::start(&cluster);
    assert_eq!(select(&cluster, none.addr().port(), "sslmode=prefer").ok(), "1");
    let refused = select(&cluster, none.addr().port(), "sslmode=require");
    assert!(refused.stderr.contains("server does not support SSL"), "{refused:?}");
}

#[test]
fn client_certificates_are_verified() {
    let (authority, other, cluster) = (Authority::new(), Authority::new(), cluster());
    Raw::session(cluster.addr()).query("CREATE ROLE alice LOGIN");
    let shown = authority.server("proxy");
    let proxy = |sslmode: &str| {
        let setup = listen_tls(Setup::new(&cluster.addr()), &shown, sslmode);
        setup.config(&format!("client_ca = {:?}", authority.root())).start()
    };
    let come = |proxy: &Proxy, user: &str, own: Option<&Issued>| {
        let own = own.map_or("sslcert=/nowhere sslkey=/nowhere".into(), |own| {
            format!("sslcert={} sslkey={}", own.certificate.display(), own.key.display())
        });
        select(&cluster, proxy.addr().port(), &format!("sslmode=require user={user} {own}"))
    };
    let (alice, stranger) = (authority.client("alice"), other.client("alice"));
    let verify_ca = proxy("verify-ca");
    assert_eq!(come(&verify_ca, "postgres", Some(&alice)).ok(), "1");
    assert_ne!(come(&verify_ca, "alice", Some(&stranger)).code, 0);
    assert_ne!(come(&verify_ca, "alice", None).code, 0);
    let verify_full = proxy("verify-full");
    assert_eq!(come(&verify_full, "alice", Some(&alice)).ok(), "1");
    let refused = come(&verify_full, "postgres", Some(&alice));
    assert!(refused.stderr.contains("certificate authentication failed"), "{refused:?}");
    assert_ne!(come(&verify_full, "alice", Some(&stranger)).code, 0);
}

/// As in Postgres, whose `local` lines know of no TLS: the socket's permissions say who may connect.
#[test]
fn sockets_have_no_tls_whatever_is_demanded() {
    let (authority, cluster) = (Authority::new(), cluster());
    for sslmode in ["require", "verify-ca", "verify-full"] {
        let folder = tempfile::tempdir().expect("temporary folder");
        let setup = listen_tls(Setup::new(&cluster.addr()), &authority.server("proxy"), sslmode);
        let setup = setup.config(&format!("client_ca = {:?}", authority.root()));
        let listen = format!("unix:{}", folder.path().display());
        let proxy = setup.argument("--listen").argument(&listen).start();
        let socket = socket_in(folder.path());
        let mut plain = Raw::connect_unix(&socket);
        assert_eq!(plain.start(SUPERUSER).last().map(|frame| frame.tag), Some(b'Z'), "{sslmode}");
        let mut asking = Raw::connect_unix(&socket);
        asking.send(&ssl_request());
        assert_eq!(asking.bytes(1), b"N", "{sslmode}");
        assert_eq!(asking.start(SUPERUSER).last().map(|frame| frame.tag), Some(b'Z'), "{sslmode}");
        let mut direct = Raw::connect_unix(&socket);
        direct.send(&[22, 3, 1, 0, 200, 1, 0, 0, 196]);
        assert_eq!(direct.bytes_to_end(), b"", "{sslmode}");
        let mut by_tcp = Raw::connect(proxy.addr());
        by_tcp.send(&startup(PROTOCOL_3_0, SUPERUSER));
        assert_eq!(by_tcp.frame().sqlstate(), "28000", "{sslmode}");
    }
}

#[test]
fn direct_tls_needs_the_protocols_name() {
    let (authority, cluster) = (Authority::new(), cluster());
    let proxy = listen_tls(Setup::new(&cluster.addr()), &authority.server("proxy"), "require").start();
    let mut direct = TlsClient::handshake(proxy.addr(), &[b"postgresql"], First::Hello).expect("handshake");
    assert_eq!(direct.0.conn.alpn_protocol(), Some(&b"postgresql"[..]));
    direct.0.write_all(&startup(PROTOCOL_3_0, SUPERUSER)).expect("write");
    assert_eq!(direct.byte(), Some(b'R'));
    for names in [&[][..], &[&b"http/1.1"[..]]] {
        let refusal = TlsClient::handshake(proxy.addr(), names, First::Hello).err().expect("no handshake");
        assert!(refusal.contains("NoApplicationProtocol"), "{refusal}");
    }
    // Behind an SSLRequest the name may be left out, but must not be another.
    let asked = TlsClient::handshake(proxy.addr(), &[], First::SslRequest).expect("handshake");
    assert_eq!(asked.0.conn.alpn_protocol(), None);
    let asked = TlsClient::handshake(proxy.addr(), &[b"http/1.1", b"postgresql"], First::SslRequest);
    assert_eq!(asked.expect("handshake").0.conn.alpn_protocol(), Some(&b"postgresql"[..]));
    let refusal = TlsClient::handshake(proxy.addr(), &[b"http/1.1"], First::SslRequest).err();
    assert!(refusal.expect("no handshake").contains("NoApplicationProtocol"));
}

#[test]
fn nothing_in_front_of_the_handshake_is_taken_for_the_session() {
    let (authority, cluster) = (Authority::new(), cluster());
    let with_tls = listen_tls(Setup::new(&cluster.addr()), &authority.server("proxy"), "allow").start();
    let without = Proxy::start(&cluster);
    let gss = gss_request();
    for proxy in [&with_tls, &without] {
        for request in [&ssl_request(), &gss] {
            let session = [startup(PROTOCOL_3_0, SUPERUSER), query("CREATE TABLE stuffed ()")].concat();
            let mut client = Raw::connect(proxy.addr());
            client.send(&[request, &session[..]].concat());
            let frames = client.until_end();
            assert_eq!(frames.len(), 1, "{frames:?}");
            assert_eq!(frames[0].sqlstate(), "08P01");
        }
    }
    let mut admin = Raw::session(cluster.addr());
    assert_eq!(admin.rows("SELECT 1 FROM pg_class WHERE relname = 'stuffed'").len(), 0);
}

#[test]
fn encryption_is_asked_for_once() {
    let (authority, cluster) = (Authority::new(), cluster());
    let proxy = Proxy::start(&cluster);
    // Each kind once, in either order, then a session.
    for (one, other) in [(ssl_request(), gss_request()), (gss_request(), ssl_request())] {
        let mut client = Raw::connect(proxy.addr());
        client.send(&one);
        assert_eq!(client.bytes(1), b"N");
        client.send(&other);
        assert_eq!(client.bytes(1), b"N");
        assert_eq!(client.start(SUPERUSER).last().map(|frame| frame.tag), Some(b'Z'));
    }
    for request in [ssl_request(), gss_request()] {
        let mut client = Raw::connect(proxy.addr());
        client.send(&request);
        assert_eq!(client.bytes(1), b"N");
        client.send(&request);
        assert_eq!(client.frame().sqlstate(), "0A000");
        assert_eq!(client.until_end(), []);
    }
    // Inside TLS there is nothing more to ask for, however it began.
    let proxy = listen_tls(Setup::new(&cluster.addr()), &authority.server("proxy"), "allow").start();
    for first in [First::Hello, First::SslRequest] {
        for request in [ssl_request(), gss_request()] {
            let mut client = TlsClient::handshake(proxy.addr(), &[b"postgresql"], first).expect("handshake");
            client.0.write_all(&request).expect("write");
            let said = client.rest();
            assert!(said.starts_with(b"E") && contains(&said, b"0A000"), "{}", said.escape_ascii());
        }
    }
}

#[test]
fn old_tls_is_refused() {
    let (authority, cluster) = (Authority::new(), cluster());
    let proxy = listen_tls(Setup::new(&cluster.addr()), &authority.server("proxy"), "allow").start();
    let mut client = Raw::connect(proxy.addr());
    client.send(&ssl_request());
    assert_eq!(client.bytes(1), b"S");
    // A ClientHello of TLS 1.1 with one cipher suite and no extension.
    let hello = [&[3, 2][..], &[7; 32], &[0], &[0, 2, 0xc0, 0x13], &[1, 0]].concat();
    let length = u8::try_from(hello.len()).expect("short");
    client.send(&[&[22, 3, 1, 0, length + 4, 1, 0, 0, length][..], &hello].concat());
    // An alert of level fatal.
    let alert = client.bytes(7);
    assert_eq!((alert[0], alert[5]), (21, 2), "{alert:?}");
}

#[test]
fn certificates_are_read_again_at_a_reload() {
    let (authority, cluster) = (Authority::new(), cluster());
    let (old, new) = (authority.server("proxy"), authority.server("renewed"));
    let proxy = listen_tls(Setup::new(&cluster.addr()), &old, "require").start();
    let shown =
        || TlsClient::handshake(proxy.addr(), &[], First::SslRequest).expect("handshake").certificate();
    assert_eq!(shown(), old.for_rustls().0[0]);
    let mut before = TlsClient::handshake(proxy.addr(), &[], First::SslRequest).expect("handshake");
    std::fs::copy(&new.certificate, &old.certificate).expect("copy");
    std::fs::copy(&new.key, &old.key).expect("copy");
    proxy.signal(Signal::HUP);
    let expected = new.for_rustls().0[0].clone();
    eventually("the new certificate is shown", || (shown() == expected).then_some(()));
    // Who has come before goes on.
    before.0.write_all(&startup(PROTOCOL_3_0, SUPERUSER)).expect("write");
    assert_eq!(before.byte(), Some(b'R'));
}

#[test]
fn the_servers_leg_is_encrypted_as_libpq_would() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = authority.server("server");
    let with_tls = cluster_with(&Options::new().tls(server.for_cluster(None)));
    let without = cluster();
    let start = |cluster: &Cluster, sslmode: &str, root: Option<&Authority>| {
        let upstream = format!("localhost:{}", cluster.port());
        let setup = Setup::new(&upstream).config("[upstream]").config(&format!("sslmode = '{sslmode}'"));
        match root {
            None => setup.start(),
            Some(root) => setup.config(&format!("sslrootcert = {:?}", root.root())).start(),
        }
    };
    for (sslmode, root, encrypted) in [
        ("disable", None, "f"),
        ("allow", None, "f"),
        ("prefer", None, "t"),
        ("require", None, "t"),
        ("require", Some(&authority), "t"),
        ("verify-ca", Some(&authority), "t"),
        ("verify-full", Some(&authority), "t"),
    ] {
        assert_eq!(server_leg(&with_tls, &start(&with_tls, sslmode, root)), encrypted, "{sslmode}");
    }
    for sslmode in ["allow", "prefer"] {
        assert_eq!(server_leg(&without, &start(&without, sslmode, None)), "f", "{sslmode}");
    }
    for (cluster, sslmode, root, why) in [
        (&without, "require", None, "does not support TLS"),
        (&with_tls, "require", Some(&other), "handshake"),
        (&with_tls, "verify-ca", Some(&other), "handshake"),
        (&with_tls, "verify-full", Some(&other), "handshake"),
        (&with_tls, "verify-full", None, "handshake"),
    ] {
        let proxy = start(cluster, sslmode, root);
        let mut client = Raw::connect(proxy.addr());
        client.send(&startup(PROTOCOL_3_0, SUPERUSER));
        let refusal = client.frame();
        assert_eq!(refusal.sqlstate(), "08006", "{sslmode}");
        assert!(refusal.message().contains(why), "{sslmode}: {}", refusal.message());
        assert_eq!(client.until_end(), []);
    }
}

#[test]
fn the_name_in_the_certificate_counts_for_verify_full_only() {
    let authority = Authority::new();
    let server = authority.client("not-this-host");
    let cluster = cluster_with(&Options::new().tls(server.for_cluster(None)));
    let start = |sslmode: &str| {
        let setup = Setup::new(&format!("localhost:{}", cluster.port())).config("[upstream]");
        let setup = setup.config(&format!("sslmode = '{sslmode}'"));
        setup.config(&format!("sslrootcert = {:?}", authority.root())).start()
    };
    assert_eq!(server_leg(&cluster, &start("verify-ca")), "t");
    let refused = select(&cluster, start("verify-full").addr().port(), "");
    assert!(refused.stderr.contains("handshake"), "{refused:?}");
}

#[test]
fn a_server_that_turns_one_kind_down_is_asked_for_the_other() {
    let authority = Authority::new();
    let server = authority.server("server");
    for (rule, sslmode, encrypted) in [("hostssl", "allow", "t"), ("hostnossl", "prefer", "f")] {
        let options = Options::new().tls(server.for_cluster(None));
        let other = if rule == "hostssl" { "hostnossl" } else { "hostssl" };
        let cluster = cluster_with(
            &options
                .hba(format!("{other} all bob 127.0.0.1/32 reject"))
                .hba("host all carol 127.0.0.1/32 reject"),
        );
        Raw::session(cluster.addr()).query("CREATE ROLE bob LOGIN");
        let setup = Setup::new(&cluster.addr()).config("[upstream]");
        let proxy = setup.config(&format!("sslmode = '{sslmode}'")).start();
        let mut client = Raw::connect(proxy.addr());
        client.start(&[("user", "bob"), ("database", "postgres")]);
        let rows = client.rows("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()");
        assert_eq!(rows[0][0].as_deref(), Some(encrypted), "{rule}");
        // Where neither kind will do, the server's own words say so.
        let mut carol = Raw::connect(proxy.addr());
        carol.send(&startup(PROTOCOL_3_0, &[("user", "carol"), ("database", "postgres")]));
        let refusal = carol.frame();
        assert_eq!(refusal.sqlstate(), "28000");
        assert!(refusal.message().contains("pg_hba.conf rejects"), "{refusal:?}");
    }
}

#[test]
fn what_a_server_says_before_its_handshake_is_not_its_word() {
    for (answer, why) in [
        (&b"S\x52\0\0\0\x08\0\0\0\0"[..], "unencrypted data after agreeing"),
        (b"E\0\0\0\x30SFATAL\0C28000\0Mpay me at evil.example", "answered the request for TLS with an error"),
        (b"N", "does not support TLS"),
        (b"X", "unknown message"),
    ] {
        let server = fake_server(move |mut socket| {
            let mut request = [0; 8];
            socket.read_exact(&mut request).expect("SSLRequest");
            socket.write_all(answer).expect("answer");
            let _ = socket.read(&mut request);
        });
        let proxy = Setup::new(&server).config("[upstream]").config("sslmode = 'require'").start();
        let mut client = Raw::connect(proxy.addr());
        client.send(&startup(PROTOCOL_3_0, SUPERUSER));
        let refusal = client.frame();
        assert_eq!(refusal.sqlstate(), "08006");
        assert!(refusal.message().contains(why), "{}", refusal.message());
        assert!(!format!("{refusal:?}").contains("evil"), "{refusal:?}");
        assert_eq!(client.until_end(), []);
    }
}

#[test]
fn a_server_that_lies_in_scram_gets_nowhere() {
    let (authority, cluster) = (Authority::new(), cluster());
    let (own, shown) = (authority.server("server"), authority.server("proxy"));
    let salt = "A".repeat(64 << 10);
    let nonce = "n".repeat(64 << 10);
    for challenge in [
        "r={r}x,s=c2FsdA==,i=2147483647".to_owned(),
        "r={r}x,s=c2FsdA==".to_owned(),
        format!("r={{r}}x,s={salt},i=4096"),
        format!("r={{r}}{nonce},s=c2FsdA==,i=4096"),
        "r=another,s=c2FsdA==,i=4096".to_owned(),
        // Let in without any proof.
        String::new(),
    ] {
        let server = fake_tls_server(&own, move |stream| {
            let mut first = [0; 4096];
            let _ = stream.read(&mut first).expect("start-up packet");
            let offer = b"R\0\0\0\x2a\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0";
            let mut offer = offer.to_vec();
            offer[4] = u8::try_from(offer.len() - 1).expect("short");
            stream.write_all(&offer).expect("mechanisms");
            let read = stream.read(&mut first).unwrap_or(0);
            let said = String::from_utf8_lossy(&first[..read]).into_owned();
            let nonce = said.rsplit_once("r=").map_or("", |(_, nonce)| nonce);
            let answer = if challenge.is_empty() {
                b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I".to_vec()
            } else {
                let body = challenge.replace("{r}", nonce);
                let length = u32::try_from(body.len() + 8).expect("bounded").to_be_bytes();
                [b"R", &length[..], &[0, 0, 0, 11], body.as_bytes()].concat()
            };
            let _ = stream.write_all(&answer);
            let _ = stream.read(&mut first);
        });
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = folder.path().join("users.txt");
        std::fs::write(&file, "").expect("verifier file");
        let setup = listen_tls(Setup::new(&server), &shown, "require");
        let setup = setup.config("[upstream]").config("sslmode = 'require'").config("[auth]");
        let proxy = setup.config(&format!("verifier_file = {file:?}")).start();
        let more = "sslmode=require password=secret channel_binding=prefer";
        let refused = select(&cluster, proxy.addr().port(), more);
        assert!(refused.stderr.contains("the server"), "{refused:?}");
        assert_ne!(refused.code, 0);
    }
}

#[test]
fn slow_beginnings_end() {
    let (authority, cluster) = (Authority::new(), cluster());
    let setup = Setup::new(&cluster.addr()).config("[listen]").config("startup_timeout = '300ms'");
    let proxy = listen_tls(setup, &authority.server("proxy"), "allow").start();
    let mut half: Vec<Raw> = (0..200).map(|_| Raw::connect(proxy.addr())).collect();
    for (index, client) in half.iter_mut().enumerate() {
        let hello = [22, 3, 1, 0, 200, 1, 0];
        match index % 3 {
            0 => client.send(&ssl_request()[..index % 8]),
            1 => client.send(&hello[..=index % 6]),
            _ => client.send(&ssl_request()),
        }
    }
    // Nobody else waits for them.
    assert_eq!(Raw::session(proxy.addr()).rows("SELECT 1").len(), 1);
    for mut client in half {
        let said = client.bytes_to_end();
        assert!(said.is_empty() || said == b"S", "{said:?}");
    }
}

#[test]
fn the_first_host_that_answers_is_taken() {
    let cluster = cluster();
    let nobody = TcpListener::bind("127.0.0.1:0").expect("bind").local_addr().expect("address");
    let hosts = format!("hosts = ['{nobody}', '127.0.0.1:{}']", cluster.port());
    let proxy = Setup::without_upstream().config("[upstream]").config(&hosts).start();
    assert_eq!(select(&cluster, proxy.addr().port(), "").ok(), "1");
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let nobody = TcpListener::bind("127.0.0.1:0").expect("bind").local_addr().expect("address");
    let proxy = Setup::new(&nobody).start();
    let mut client = Raw::connect(proxy.addr());
    client.send(&startup(PROTOCOL_3_0, SUPERUSER));
    let refusal = client.frame();
    assert_eq!((refusal.tag, refusal.sqlstate().as_str()), (b'E', "08006"));
    assert_eq!(refusal.field(b'S').as_deref(), Some("FATAL"));
    assert!(refusal.message().contains(&nobody.to_string()), "{}", refusal.message());
    assert!(refusal.message().contains("connection refused"), "{}", refusal.message());
    assert!(refusal.field(b'H').is_some());
    assert_eq!(client.until_end(), []);
}

#[test]
fn a_host_in_the_wrong_role_is_passed_over() {
    let reads = cluster_with(&Options::new().conf("default_transaction_read_only = on"));
    let writes = cluster();
    let hosts = format!("hosts = ['127.0.0.1:{}', '127.0.0.1:{}']", reads.port(), writes.port());
    for (target, port) in [
        ("any", reads.port()),
        ("read-write", writes.port()),
        ("read-only", reads.port()),
        ("primary", reads.port()),
        ("prefer-standby", reads.port()),
    ] {
        let setup = Setup::without_upstream().config("[upstream]").config(&hosts);
        let setup = setup.config(&format!("target_session_attrs = '{target}'")).config("[control]");
        let proxy = setup.config("url = 'postgresql://postgres@localhost/postgres'").start();
        let rows = Raw::session(proxy.addr()).rows("SHOW port");
        assert_eq!(rows[0][0].as_deref(), Some(port.to_string().as_str()), "{target}");
    }
    let setup = Setup::without_upstream().config("[upstream]").config(&hosts);
    let setup = setup.config("target_session_attrs = 'standby'").config("[control]");
    let proxy = setup.config("url = 'postgresql://postgres@localhost/postgres'").start();
    let mut client = Raw::connect(proxy.addr());
    client.send(&startup(PROTOCOL_3_0, SUPERUSER));
    let refusal = client.frame();
    assert_eq!(refusal.message(), "none of the 2 servers takes the login");
    assert!(refusal.field(b'D').expect("a detail").contains("target_session_attrs"));
}

/// How a client of TLS begins.
#[derive(Debug, Clone, Copy)]
pub(crate) enum First {
    SslRequest,
    Hello,
}

/// A client that trusts everybody.
pub(crate) struct TlsClient(pub(crate) StreamOwned<ClientConnection, TcpStream>);

impl TlsClient {
    pub(crate) fn handshake(addr: SocketAddr, alpn: &[&[u8]], first: First) -> Result<Self, String> {
        let provider = Arc::new(ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(TrustsAll(provider)))
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        let mut socket = TcpStream::connect(addr).expect("connect");
        socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
        if matches!(first, First::SslRequest) {
            socket.write_all(&ssl_request()).expect("write");
            let mut answer = [0];
            socket.read_exact(&mut answer).expect("read");
            assert_eq!(&answer, b"S");
        }
        let name = ServerName::try_from("localhost").expect("a name");
        let mut connection = ClientConnection::new(Arc::new(config), name).expect("connection");
        while connection.is_handshaking() {
            connection.complete_io(&mut socket).map_err(|error| error.to_string())?;
        }
        Ok(Self(StreamOwned::new(connection, socket)))
    }

    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        self.0.conn.peer_certificates().expect("certificates")[0].clone().into_owned()
    }

    fn byte(&mut self) -> Option<u8> {
        let mut byte = [0];
        self.0.read(&mut byte).is_ok_and(|read| read == 1).then_some(byte[0])
    }

    fn rest(&mut self) -> Vec<u8> {
        std::iter::from_fn(|| self.byte()).collect()
    }
}

#[derive(Debug)]
struct TrustsAll(Arc<CryptoProvider>);

impl ServerCertVerifier for TrustsAll {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// A server that does as it is told with each connection; it ends with the test's process.
pub(crate) fn fake_server(serve: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let addr = listener.local_addr().expect("address");
    thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
            serve(socket);
        }
    });
    addr
}

/// The same behind a handshake.
pub(crate) fn fake_tls_server(
    own: &Issued,
    serve: impl Fn(&mut StreamOwned<ServerConnection, TcpStream>) + Send + 'static,
) -> SocketAddr {
    let (chain, key) = own.for_rustls();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("certificate");
    let config = Arc::new(config);
    fake_server(move |mut socket| {
        let mut request = [0; 8];
        match socket.read_exact(&mut request) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return,
            outcome => outcome.expect("SSLRequest"),
        }
        socket.write_all(b"S").expect("answer");
        let connection = ServerConnection::new(Arc::clone(&config)).expect("connection");
        serve(&mut StreamOwned::new(connection, socket));
    })
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
