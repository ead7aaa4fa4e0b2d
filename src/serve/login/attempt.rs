//! Finding a server that takes the login: hosts in order, each with the kinds of encryption that the policy allows.
//!
//! A server has taken the login when its first message is not an error: from then on the client takes part, and nothing can be
//! tried again. libpq itself goes on to the next kind of encryption after an error, and to the next host after 57P03.

use std::io;

use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::base::SqlState;
use crate::upstream::dial::{Encryption, Unreachable, encryptions};
use crate::upstream::servers::Suits;
use crate::upstream::settings::Host;
use crate::upstream::{Stream, Upstream};
use crate::wire::fields;
use crate::wire::kind::server::ERROR;

use super::SERVER_FRAME_BYTES_MAX;
use super::inbox::Inbox;

/// A server that has answered the start-up packet.
pub(super) struct Opened {
    pub(super) upstream: Stream,
    /// Its place in the list of hosts.
    pub(super) host: usize,
    /// Its answer so far: at least one frame, or what is none.
    pub(super) inbox: Inbox,
}

impl Opened {
    /// The code of the error that is its first message.
    fn refusal(&self) -> Option<SqlState> {
        match self.inbox.peek(SERVER_FRAME_BYTES_MAX) {
            Ok(Some((frame, _))) if frame.kind == ERROR => Some(fields::sqlstate(frame.body)),
            _ => None,
        }
    }
}

/// One host and why it did not take the login.
pub(super) type Failure = (String, String);

/// Sends the start-up packet to the first server that takes it. A server's own refusal is an answer too, if all else fails.
pub(super) async fn open(upstream: &Upstream, packet: &[u8]) -> Result<Opened, Vec<Failure>> {
    let mut failures = Vec::new();
    let mut refused = None;
    for target in upstream.passes() {
        failures.clear();
        for (index, host) in upstream.settings().hosts.iter().enumerate() {
            let mut fail = |why: String| failures.push((host.to_string(), why));
            match upstream.suits(index, *target).await {
                Ok(Suits::Yes) => {}
                Ok(Suits::No) => {
                    fail("it is not in the role that target_session_attrs asks for".into());
                    continue;
                }
                Err(error) => {
                    fail(format!("{error}, so its role is not known"));
                    continue;
                }
            }
            match on_host(upstream, index, host, packet).await {
                Ok(opened) if opened.refusal() == Some(SqlState::CANNOT_CONNECT_NOW) => {
                    refused = Some(opened);
                }
                Ok(opened) => return Ok(opened),
                Err(error) => fail(error.to_string()),
            }
        }
    }
    refused.ok_or(failures)
}

async fn on_host(
    upstream: &Upstream,
    index: usize,
    host: &Host,
    packet: &[u8],
) -> Result<Opened, Unreachable> {
    let mut refused: Option<Opened> = None;
    let mut last = Unreachable::NoTls;
    for encryption in encryptions(upstream.settings().ssl_mode, host) {
        let tried = refused.as_ref().is_some_and(|opened| !opened.upstream.is_tls());
        if tried && *encryption == Encryption::Plain {
            break;
        }
        match once(upstream, (index, host), *encryption, packet).await {
            Ok(opened) => match opened.refusal() {
                None | Some(SqlState::CANNOT_CONNECT_NOW) => return Ok(opened),
                Some(_) => refused = Some(opened),
            },
            Err(error) if error.is_about_tls() => last = error,
            Err(error) => {
                last = error;
                break;
            }
        }
    }
    refused.ok_or(last)
}

async fn once(
    upstream: &Upstream,
    (index, host): (usize, &Host),
    encryption: Encryption,
    packet: &[u8],
) -> Result<Opened, Unreachable> {
    let mut stream = upstream.dial(host, encryption).await?;
    let mut inbox = Inbox::new(Vec::new());
    let limit = upstream.settings().connect_timeout;
    timeout(limit, first_answer(&mut stream, &mut inbox, packet))
        .await
        .unwrap_or(Err(Unreachable::Timeout(limit)))?;
    Ok(Opened { upstream: stream, host: index, inbox })
}

async fn first_answer(stream: &mut Stream, inbox: &mut Inbox, packet: &[u8]) -> Result<(), Unreachable> {
    stream.write_all(packet).await.map_err(broken)?;
    stream.flush().await.map_err(broken)?;
    while matches!(inbox.peek(SERVER_FRAME_BYTES_MAX), Ok(None)) {
        let read = inbox.fill(stream).await.map_err(broken)?;
        if read == 0 {
            return Err(Unreachable::Connect(io::ErrorKind::UnexpectedEof.into()));
        }
    }
    Ok(())
}

/// In TLS 1.3 the server's objections to the client's certificate come only after the handshake.
fn broken(error: io::Error) -> Unreachable {
    if error.kind() == io::ErrorKind::InvalidData {
        Unreachable::Handshake(error)
    } else {
        Unreachable::Connect(error)
    }
}
