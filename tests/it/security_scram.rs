//! Logins in which the proxy takes part: a server that is none learns nothing, a client that was lied to is refused, and who
//! does not exist is answered as one who does.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use postgres_protocol::password::scram_sha_256;
use rustls::{ClientConnection, StreamOwned};
use sha2::{Digest as _, Sha256};

use crate::auth::Pairing;
use crate::support::certificates::{Authority, Issued};
use crate::support::programs::{psql, run};
use crate::support::proxy::{Proxy, Setup};
use crate::support::raw::{Frame, PROTOCOL_3_0, Raw, Socket, framed, startup, tags};
use crate::support::{PATIENCE, cluster, eventually};
use crate::tls::{First, TlsClient, fake_server, fake_tls_server, listen_tls};
use crate::wire::errors;

impl Socket for StreamOwned<ClientConnection, TcpStream> {
    fn half_close(&self) {
        self.sock.shutdown(Shutdown::Write).expect("shut down");
    }
}

const PLUS: &str = "SCRAM-SHA-256-PLUS";
const SCRAM: &str = "SCRAM-SHA-256";

/// A client that has asked for a session over TLS, and the hash of the certificate that it saw.
fn ask(addr: SocketAddr, user: &str) -> (Raw, Vec<u8>) {
    let tls = TlsClient::handshake(addr, &[], First::SslRequest).expect("handshake");
    let hash = Sha256::digest(tls.certificate().as_ref()).to_vec();
    let mut client = Raw::over(tls.0);
    client.send(&startup(PROTOCOL_3_0, &[("user", user), ("database", "postgres")]));
    (client, hash)
}

/// A demand of the server's: its code and what follows.
fn demand(code: u32, data: &[u8]) -> Vec<u8> {
    framed(b'R', &[&code.to_be_bytes(), data].concat())
}

fn offer(mechanisms: &[&str]) -> Vec<u8> {
    demand(10, [mechanisms.join("\0").as_bytes(), b"\0\0"].concat().as_slice())
}

fn initial_response(mechanism: &str, data: &[u8]) -> Vec<u8> {
    let length = i32::try_from(data.len()).expect("short").to_be_bytes();
    framed(b'p', &[mechanism.as_bytes(), b"\0", &length, data].concat())
}

/// One step of a server that is none.
#[derive(Clone)]
enum Step {
    /// Says just this.
    Say(Vec<u8>),
    /// Challenges with the salt and the count of this verifier.
    Challenge(String),
}

/// A server behind TLS that says one step after each message that it hears, and tells what it heard.
fn server(own: &Issued, steps: Vec<Step>) -> (SocketAddr, Receiver<Vec<u8>>) {
    let (tell, told) = channel();
    let addr = fake_tls_server(own, move |stream| play(stream, &steps, &tell));
    (addr, told)
}

fn play(stream: &mut (impl Read + Write), steps: &[Step], tell: &Sender<Vec<u8>>) {
    let mut steps = steps.iter();
    let mut chunk = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut chunk) {
        let heard = &chunk[..read];
        let _ = tell.send(heard.to_vec());
        let said = match steps.next() {
            None => continue,
            Some(Step::Say(bytes)) => bytes.clone(),
            Some(Step::Challenge(verifier)) => {
                let text = String::from_utf8_lossy(heard);
                let nonce = text.rsplit_once("r=").map_or("", |(_, nonce)| nonce);
                let (count, salt) =
                    verifier.split('$').nth(1).and_then(|of| of.split_once(':')).expect("a verifier");
                demand(11, format!("r={nonce}x,s={salt},i={count}").as_bytes())
            }
        };
        let _ = stream.write_all(&said);
    }
    let _ = tell.send(Vec::new());
}

/// What a server has heard up to the end of the connection.
fn heard(told: &Receiver<Vec<u8>>) -> Vec<Vec<u8>> {
    let next = || told.recv_timeout(PATIENCE).expect("the server hears the end");
    std::iter::from_fn(|| Some(next()).filter(|chunk| !chunk.is_empty())).collect()
}

/// A proxy between `upstream` and clients, with a certificate of its own and the verifier of user `app`.
struct Bridge {
    proxy: Proxy,
    _folder: tempfile::TempDir,
}

fn bridge(upstream: SocketAddr, shown: &Issued, verifier: &str) -> Bridge {
    let folder = tempfile::tempdir().expect("temporary folder");
    let file = folder.path().join("users.txt");
    std::fs::write(&file, format!("\"app\" \"{verifier}\"\n")).expect("verifier file");
    let setup = listen_tls(Setup::new(&upstream), shown, "require");
    let setup = setup.config("[upstream]").config("sslmode = 'require'");
    let setup = setup.config("[auth]").config(&format!("verifier_file = {file:?}"));
    Bridge { proxy: setup.config("[control]").config("enabled = false").start(), _folder: folder }
}

/// Asks for a weaker login: clear text, MD5, another mechanism, none at all.
fn weaker() -> Vec<Vec<u8>> {
    vec![demand(3, b""), demand(5, b"salt"), offer(&["PLAIN"]), offer(&[SCRAM]), demand(0, b"")]
}

#[test]
fn a_server_that_asks_for_less_in_between_learns_nothing() {
    let authority = Authority::new();
    let (own, shown) = (authority.server("server"), authority.server("proxy"));
    let verifier = scram_sha_256(b"secret");
    let listed = Step::Say(offer(&[PLUS, SCRAM]));
    let challenge = Step::Challenge(verifier.clone());
    // A signature that only somebody could make who has the verifier.
    let untrue = demand(12, b"v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    let instead_of_challenge = weaker().into_iter().map(|said| (2, vec![listed.clone(), Step::Say(said)]));
    let said_last = weaker().into_iter().chain([untrue]);
    let instead_of_signature =
        said_last.map(|said| (3, vec![listed.clone(), challenge.clone(), Step::Say(said)]));
    for (messages, steps) in instead_of_challenge.chain(instead_of_signature) {
        let (addr, told) = server(&own, steps);
        let bridge = bridge(addr, &shown, &verifier);
        let (mut client, hash) = ask(bridge.proxy.addr(), "app");
        assert_eq!(client.frame().body, offer(&[PLUS, SCRAM])[5..]);
        let mut scram = ScramSha256::new(b"secret", ChannelBinding::tls_server_end_point(hash));
        client.send(&initial_response(PLUS, scram.message()));
        let mut answer = client.frame();
        if messages == 3 {
            scram.update(&answer.body[4..]).expect("the proxy's challenge is a good one");
            client.send(&framed(b'p', scram.message()));
            answer = client.frame();
        }
        assert_eq!((answer.tag, answer.sqlstate().as_str()), (b'E', "08006"), "{answer:?}");
        assert_eq!(answer.message(), "the server did not keep to the login's rules");
        assert_eq!(client.until_end(), []);
        drop(client);
        // The start-up packet and the proxy's own part of SCRAM, and no secret in it.
        let heard = heard(&told);
        assert_eq!(heard.len(), messages, "{heard:?}");
        let all = String::from_utf8_lossy(&heard.concat()).into_owned();
        assert!(all.contains(PLUS) && !all.contains("secret"), "{all}");
        assert!(verifier.split(['$', ':']).skip(3).all(|key| !all.contains(key)), "{all}");
        assert!(!bridge.proxy.log().contains("secret"));
    }
}

/// What a server asks for first is the client's to judge, as it would be straight; the proxy answers nothing in its place.
#[test]
fn a_server_that_asks_for_less_at_first_gets_no_answer_from_the_proxy() {
    let authority = Authority::new();
    let (own, shown) = (authority.server("server"), authority.server("proxy"));
    let (installed, verifier) = (cluster(), scram_sha_256(b"secret"));
    for first in weaker().into_iter().filter(|first| *first != demand(0, b"")) {
        let (addr, told) = server(&own, vec![Step::Say(first.clone())]);
        let bridge = bridge(addr, &shown, &verifier);
        let (mut client, _) = ask(bridge.proxy.addr(), "app");
        assert_eq!(client.frame().body, first[5..]);
        drop(client);
        assert_eq!(heard(&told).len(), 1, "more than the start-up packet");
        // A client that insists on the strong way refuses by itself, and says why.
        let port = bridge.proxy.addr().port();
        let conninfo = format!(
            "host=localhost hostaddr=127.0.0.1 port={port} dbname=postgres user=app password=secret sslmode=require"
        );
        let ran = run(psql(&installed, &format!("{conninfo} channel_binding=require")));
        let says = |why: &str| ran.stderr.contains(why);
        assert!(says("channel binding") || says("SASL authentication mechanisms"), "{ran:?}");
        assert_eq!(heard(&told).len(), 1, "more than the start-up packet");
    }
}

#[test]
fn a_client_that_was_told_of_no_binding_is_refused() {
    let pairing = Pairing::new();
    let shown = pairing.authority.server("proxy");
    let proxy = pairing.with_query(pairing.proxy(&shown, "require")).start();
    let refused = |addr| {
        let (mut client, _) = ask(addr, "app");
        let offered = client.frame();
        assert_eq!(offered.body, offer(&[PLUS, SCRAM])[5..]);
        // As if somebody had taken the better mechanism off the list.
        let scram = ScramSha256::new(b"right", ChannelBinding::unrequested());
        assert!(scram.message().starts_with(b"y,,"));
        client.send(&initial_response(SCRAM, scram.message()));
        client.until_end()
    };
    let (through, straight) = (refused(proxy.addr()), refused(pairing.cluster.addr()));
    assert_eq!(errors(&through), ["28000"]);
    assert_eq!(through, straight);
    assert!(through[0].message().contains("channel binding"), "{through:?}");
}

/// How a login with a wrong password goes: salt and count of the challenge, and every message.
fn fail(addr: SocketAddr, user: &str) -> (String, Vec<Frame>) {
    let (mut client, hash) = ask(addr, user);
    let mut frames = vec![client.frame()];
    let mut scram = ScramSha256::new(b"wrong", ChannelBinding::tls_server_end_point(hash));
    client.send(&initial_response(PLUS, scram.message()));
    let challenge = client.frame();
    let text = String::from_utf8_lossy(&challenge.body[4..]).into_owned();
    scram.update(text.as_bytes()).expect("a challenge");
    client.send(&framed(b'p', scram.message()));
    frames.push(challenge);
    frames.extend(client.until_end());
    (text.split_once(",s=").expect("a salt").1.to_owned(), frames)
}

/// That it takes as long cannot be measured on a machine that does other things too. What is asserted instead is that the same
/// things are done for both: a question for the verifier, a challenge of the server's own, a proof that is judged
/// (`ServerSide::judge` does the same arithmetic without a verifier), and one sent to the server for it to refuse. What is
/// secret is compared by the `subtle` crate.
#[test]
fn a_user_who_does_not_exist_is_answered_as_one_who_does() {
    let pairing = Pairing::new();
    Raw::session(pairing.cluster.addr()).query("ALTER SYSTEM SET log_statement = 'all'");
    pairing.cluster.reload();
    let shown = pairing.authority.server("proxy");
    let by_query = || pairing.with_query(pairing.proxy(&shown, "require")).start();
    let folder = tempfile::tempdir().expect("temporary folder");
    let file = folder.path().join("users.txt");
    let sql = "SELECT rolpassword FROM pg_authid WHERE rolname = 'app'";
    let verifier = Raw::session(pairing.cluster.addr()).rows(sql)[0][0].clone().expect("a verifier");
    std::fs::write(&file, format!("\"app\" \"{verifier}\"\n")).expect("verifier file");
    let setup = pairing.proxy(&shown, "require").config("[auth]");
    let by_file = setup.config(&format!("verifier_file = {file:?}")).start();
    eventually("statements are logged", || {
        Raw::session(pairing.cluster.addr()).rows("SELECT 'logged'");
        pairing.cluster.log().contains("SELECT 'logged'").then_some(())
    });

    let (one, other) = (by_query(), by_query());
    let (known, answered) = fail(one.addr(), "app");
    assert_eq!((tags(&answered).as_str(), errors(&answered)), ("RRE", vec!["28P01".to_owned()]));
    let mut salts = vec![known.clone()];
    for user in ["nobody", "nobody_else"] {
        let before = asked(&pairing);
        let (salt, frames) = fail(one.addr(), user);
        assert_eq!(asked(&pairing) - before, 1, "questions for the verifier of {user}");
        assert_eq!(tags(&frames), tags(&answered));
        assert_eq!(frames[0], answered[0]);
        assert_eq!(frames[1].body.len(), answered[1].body.len());
        // But for the name, the server's words are the same to the letter.
        let last = frames[2].message();
        assert_eq!(last.replace(user, "app"), answered[2].message());
        // The count is the same, and the salt is the same each time, also of another process.
        assert_eq!(salt.rsplit_once(',').map(|(_, count)| count), Some("i=4096"));
        for proxy in [&one, &other, &by_file] {
            assert_eq!(fail(proxy.addr(), user).0, salt, "{user}");
        }
        salts.push(salt);
    }
    let before = asked(&pairing);
    assert_eq!(fail(other.addr(), "app").0, known);
    assert_eq!(asked(&pairing) - before, 1, "questions for the verifier of app");
    salts.sort();
    salts.dedup();
    assert_eq!(salts.len(), 3, "every name has a salt of its own");
    // The server has judged a proof of each.
    let log = pairing.cluster.log();
    for user in ["app", "nobody", "nobody_else"] {
        assert!(log.contains(&format!("password authentication failed for user \"{user}\"")), "{user}");
    }
}

/// How often a verifier has been asked for.
fn asked(pairing: &Pairing) -> usize {
    pairing.cluster.log().matches("SELECT rolpassword FROM pg_catalog.pg_authid").count()
}

#[test]
fn the_proxys_own_password_is_not_for_whoever_asks() {
    for asks in [demand(3, b""), demand(5, b"salt")] {
        let (tell, told) = channel();
        let server = fake_server(move |mut socket| {
            let _ = socket.set_read_timeout(Some(Duration::from_secs(5)));
            play(&mut socket, &[Step::Say(asks.clone())], &tell);
        });
        let url = format!("postgresql://control:secret@{server}/postgres?channel_binding=require");
        let setup = Setup::new(&server).config("[upstream]").config("sslmode = 'disable'");
        let setup = setup.config("target_session_attrs = 'primary'").config("[control]");
        let proxy = setup.config(&format!("url = '{url}'")).start();
        let mut client = Raw::connect(proxy.addr());
        client.send(&startup(PROTOCOL_3_0, &[("user", "app"), ("database", "postgres")]));
        assert_eq!(errors(&client.until_end()), ["08006"]);
        let heard = heard(&told);
        assert_eq!(heard.len(), 1, "more than the start-up packet: {heard:?}");
        assert!(!proxy.log().contains("secret"));
    }
    // A server that is one, and can prove it, gets it proven in turn.
    let pairing = Pairing::new();
    let setup = pairing.proxy(&pairing.authority.server("proxy"), "require");
    let url = format!("postgresql://app:right@{}/postgres?channel_binding=require", pairing.cluster.addr());
    let setup = setup.config("target_session_attrs = 'primary'").config("[control]");
    let proxy = setup.config(&format!("url = '{url}'")).start();
    assert_eq!(Raw::session(proxy.addr()).rows("SELECT 1").len(), 1);
}
