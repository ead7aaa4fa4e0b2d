//! From a client that has asked for a session to a session that is ready.
//!
//! The start-up packet goes to the server as it came, and so does every message of the authentication, in both directions: the
//! server alone decides who may come in. The one exception is channel binding over two encrypted legs (`dual`).

mod attempt;
mod dual;
mod ended;
mod exchange;
mod inbox;
pub mod source;

pub use ended::Ended;
pub use source::{VerifierSource, Verifiers};

use crate::upstream::{Stream, Upstream, certificate};
use crate::wire::login::CancelKey;
use crate::wire::server::Status;
use crate::wire::startup::{Replication, Startup};

use super::greet::Greeted;
use super::listener::Peer;
use super::refuse::{close, refuse};
use super::tls::ClientTls;
use attempt::Opened;
use dual::{Binding, Dual};
use exchange::{ClientEnd, Exchange, Learned, Owed, Pause, StopAtSasl};
use inbox::Inbox;

/// The longest message of a server's before the session is ready; its longest are notices.
const SERVER_FRAME_BYTES_MAX: usize = 1 << 20;

/// Who a session is, in the start-up packet's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The role that logged in.
    pub user: String,
    /// The database, which is the user's name when none was given.
    pub database: String,
    /// As given, or empty.
    pub application_name: String,
    /// The `options` parameter, or empty.
    pub options: String,
    /// Whether it is a walsender.
    pub replication: Replication,
    /// Where the client connects from.
    pub peer: Peer,
}

impl Identity {
    /// Reads it from a start-up packet.
    pub fn of(startup: &Startup<'_>, peer: Peer) -> Self {
        let user = startup.text("user").unwrap_or_default();
        let database = startup.text("database").filter(|name| !name.is_empty());
        Self {
            database: database.unwrap_or_else(|| user.clone()),
            user,
            application_name: startup.text("application_name").unwrap_or_default(),
            options: startup.text("options").unwrap_or_default(),
            replication: startup.replication(),
            peer,
        }
    }
}

/// A session that is ready. The client has been sent everything up to and including the first `ReadyForQuery`.
#[derive(Debug)]
pub struct Session {
    /// The client.
    pub client: Stream,
    /// Its own connection to the server.
    pub upstream: Stream,
    /// The server's place in the list of hosts.
    pub host: usize,
    /// Who it is.
    pub identity: Identity,
    /// What cancels its statements; not every server gives one.
    pub key: Option<CancelKey>,
    /// As the server reported it.
    pub client_encoding: String,
    /// As `server_version_num`; 0 when the server did not say.
    pub server_version: u32,
    /// As the first `ReadyForQuery` has it.
    pub status: Status,
    /// What the client has sent in advance, to be judged and sent on.
    pub from_client: Vec<u8>,
    /// What the server has sent behind `ReadyForQuery`, to be passed on.
    pub from_server: Vec<u8>,
}

/// What a login goes by.
#[derive(Clone, Copy)]
pub struct Way<'a> {
    /// The servers.
    pub upstream: &'a Upstream,
    /// Where verifiers come from.
    pub verifiers: &'a VerifierSource,
}

/// Logs a client in. When that fails the client has been told and its connection is closed.
pub async fn login(greeted: Greeted, peer: Peer, way: Way<'_>) -> Result<Session, Ended> {
    // On the heap, so that the task that goes on to serve the session does not keep room for all of this.
    Box::pin(log_in(greeted, peer, way)).await
}

async fn log_in(greeted: Greeted, peer: Peer, way: Way<'_>) -> Result<Session, Ended> {
    let identity = greeted.startup().map(|startup| Identity::of(&startup, peer));
    let Greeted { mut client, packet, leftover, tls } = greeted;
    let mut opened = match attempt::open(way.upstream, &packet).await {
        Ok(opened) => opened,
        Err(failures) => return Err(turn_away(client, Ended::NoServer(failures)).await),
    };
    let mut from_client = Inbox::new(leftover);
    let user = identity.as_ref().map_or("", |identity| identity.user.as_str());
    let binding = binding(&client, &opened, &tls, (user, way));
    let exchange = Exchange {
        client: &mut client,
        upstream: &mut opened.upstream,
        from_client: &mut from_client,
        from_server: &mut opened.inbox,
        learned: Learned::default(),
        owed: Owed::Nothing,
        client_end: ClientEnd::Open,
    };
    let outcome = converse(exchange, &binding, Version::of(&packet)).await;
    match (outcome, identity) {
        (Ok((learned, status)), Some(identity)) => Ok(Session {
            client,
            upstream: opened.upstream,
            host: opened.host,
            identity,
            key: learned.key,
            client_encoding: learned.client_encoding,
            server_version: learned.server_version,
            status,
            from_client: from_client.into_rest(),
            from_server: opened.inbox.into_rest(),
        }),
        (Ok(_), None) => Err(turn_away(client, Ended::Unreadable).await),
        (Err(ended), _) => Err(turn_away(client, ended).await),
    }
}

/// What becomes of channel binding between these two legs.
fn binding<'a>(
    client: &Stream,
    opened: &Opened,
    tls: &'a ClientTls,
    (user, way): (&'a str, Way<'a>),
) -> Binding<'a> {
    let theirs = opened.upstream.peer_certificate();
    match (client.is_tls(), opened.upstream.is_tls()) {
        (_, false) => Binding::Passes,
        (false, true) => Binding::NotForClient,
        (true, true) if tls.certificate() == theirs => Binding::Passes,
        (true, true) => Binding::Differs(Dual {
            ours: tls.binding(),
            theirs: theirs.and_then(certificate::end_point_hash),
            source: way.verifiers,
            upstream: way.upstream,
            host: opened.host,
            user,
        }),
    }
}

/// Whether the server can be expected to answer in messages of protocol 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Three,
    Other,
}

impl Version {
    fn of(packet: &[u8]) -> Self {
        if packet.get(4..6) == Some(&[0, 3]) { Self::Three } else { Self::Other }
    }
}

async fn converse(
    mut exchange: Exchange<'_>,
    binding: &Binding<'_>,
    version: Version,
) -> Result<(Learned, Status), Ended> {
    let old_style = exchange.from_server.peek(SERVER_FRAME_BYTES_MAX).is_err();
    if version == Version::Other || old_style {
        return Err(exchange.pass_old_error().await);
    }
    let stop = if matches!(binding, Binding::Passes) { StopAtSasl::No } else { StopAtSasl::Yes };
    let mut pause = exchange.run(stop).await?;
    if pause == Pause::Sasl {
        dual::take_part(&mut exchange, binding).await?;
        pause = exchange.run(StopAtSasl::No).await?;
    }
    match pause {
        Pause::Ready(status) => Ok((exchange.learned, status)),
        Pause::Sasl | Pause::Waiting => Err(Ended::UpstreamUntrue),
    }
}

async fn turn_away(client: Stream, ended: Ended) -> Ended {
    match ended.notice() {
        Some(notice) => refuse(client, &notice).await,
        None => close(client).await,
    }
    ended
}

/// What an operator should know at the start when logins with channel binding, libpq's default, will not pass: both legs may be
/// encrypted, and there is nothing to authenticate by.
pub fn binding_warning(tls: &ClientTls, way: Way<'_>) -> Option<String> {
    let both = tls.config().is_some() && way.upstream.connector().is_some();
    (both && matches!(way.verifiers, VerifierSource::None)).then(|| {
        "TLS on both legs without auth.verifier_query or auth.verifier_file: clients that bind SCRAM to the channel, as libpq \
         does by default, are refused unless the proxy shows the server's own certificate"
            .to_owned()
    })
}
