//! The first packets of a connection, up to the start-up packet or a `CancelRequest`.
//!
//! Invariant: nothing that arrived before the TLS handshake is ever taken for something that was said inside it.
//! Invariant: memory and time of a connection that has not asked for anything yet are bounded.
//! What the server can judge is left to it: the start-up packet is handed on as it came, well-formed or not.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::StartHandshake;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::server::{Accepted, Acceptor};
use tokio_rustls::server::TlsStream;

use crate::base::{Notice, SqlState};
use crate::upstream::{Stream, certificate, tls::ALPN};
use crate::wire::startup::{CANCEL_LENGTHS, LENGTH_MAX, LENGTH_MIN, Request, Startup};

use super::refuse::refuse;
use super::tls::{ClientSslMode, ClientTls};

/// The content type of a TLS handshake record, by which a client begins that does not ask first.
const TLS_HANDSHAKE: u8 = 0x16;

/// A fatal `no_application_protocol` alert.
const NO_APPLICATION_PROTOCOL: [u8; 7] = [21, 3, 3, 0, 2, 2, 120];

/// Room for the usual start-up packet.
const PACKET_BYTES: usize = 512;

/// What a connection turned out to be.
#[derive(Debug)]
pub enum Greeting {
    /// A client that wants a session.
    Session(Greeted),
    /// A `CancelRequest`, to be passed on as it is; the connection is to be closed when the server has closed its own.
    Cancel {
        /// The connection, on which nothing is answered.
        client: Stream,
        /// The request as sent, 16 to 268 bytes.
        packet: Vec<u8>,
    },
    /// Nobody any more.
    Gone(Farewell),
}

/// A client that has said what it wants and waits for an answer.
#[derive(Debug)]
pub struct Greeted {
    /// Its connection, encrypted if it asked for that.
    pub client: Stream,
    /// The start-up packet as sent.
    pub packet: Vec<u8>,
    /// What it sent behind the packet without waiting.
    pub leftover: Vec<u8>,
    /// The TLS setup that it was greeted with, which may be an old one by now.
    pub tls: Arc<ClientTls>,
}

impl Greeted {
    /// The start-up packet, if it is one that Postgres would take.
    pub fn startup(&self) -> Option<Startup<'_>> {
        Startup::parse(&self.packet).ok()
    }
}

/// Why a connection ended before it asked for a session.
#[derive(Debug, Error)]
pub enum Farewell {
    /// It was closed with at most part of a packet sent, as health checks do.
    #[error("the client left without a word")]
    Silent,
    /// It took too long.
    #[error("the client did not finish its start-up in time")]
    Timeout,
    /// The first packet's length is impossible; Postgres too says nothing then.
    #[error("invalid length of startup packet")]
    Length,
    /// Bytes came in plain text behind a request for encryption.
    #[error("received unencrypted data after a request for encryption")]
    Stuffed,
    /// A request for encryption where there can be none any more.
    #[error("unsupported frontend protocol 1234.{0}: server supports 3.0 to 3.2")]
    Unsupported(u16),
    /// The TLS handshake failed.
    #[error("the TLS handshake with the client failed: {0}")]
    Handshake(io::Error),
    /// Direct TLS without the protocol that is spoken here.
    #[error("the client began TLS without asking for the protocol \"postgresql\"")]
    Alpn,
    /// Plain text where the configuration demands TLS.
    #[error("connection is not encrypted")]
    NotEncrypted,
    /// The client's certificate is somebody else's.
    #[error("certificate authentication failed: the client certificate is not made out to the user")]
    WrongCertificate,
    /// The connection broke.
    #[error("the connection to the client was lost")]
    Broken(#[source] io::Error),
}

impl Farewell {
    /// Whether it is the daily noise of health checks, not worth a line in the log.
    pub fn is_noise(&self) -> bool {
        matches!(self, Self::Silent)
    }

    /// What the client is told, where Postgres would say something.
    fn notice(&self) -> Option<Notice> {
        let notice = |code| Notice::fatal(code, self.to_string());
        match self {
            Self::Stuffed => Some(notice(SqlState::PROTOCOL_VIOLATION).detail(
                "This could be either a client-software bug or evidence of an attempted man-in-the-middle attack.",
            )),
            Self::Unsupported(_) => Some(notice(SqlState::FEATURE_NOT_SUPPORTED)),
            Self::NotEncrypted => Some(
                notice(SqlState::INVALID_AUTHORIZATION)
                    .detail("The proxy accepts only connections with TLS.")
                    .hint("Connect with sslmode=require or stricter."),
            ),
            Self::WrongCertificate => Some(
                notice(SqlState::INVALID_AUTHORIZATION)
                    .hint("Log in as the user whom the certificate names, or with that user's certificate."),
            ),
            Self::Silent | Self::Timeout | Self::Length | Self::Handshake(_) | Self::Alpn | Self::Broken(_) => {
                None
            }
        }
    }
}

/// Talks with a connection that was just accepted until it is clear what it wants.
pub async fn greet(client: Stream, tls: &Arc<ClientTls>, limit: Duration) -> Greeting {
    let reception = Reception {
        client,
        tls: Arc::clone(tls),
        inbox: Vec::with_capacity(PACKET_BYTES),
        ssl: Negotiation::Possible,
        gss: Negotiation::Possible,
    };
    // On the heap, so that the task that goes on to serve the session does not keep room for all of this.
    match timeout(limit, Box::pin(reception.run())).await {
        Ok(Ok(greeting)) => greeting,
        Ok(Err(farewell)) => Greeting::Gone(farewell),
        Err(_) => Greeting::Gone(Farewell::Timeout),
    }
}

/// Whether a kind of encryption may still be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Negotiation {
    Possible,
    Over,
}

struct Reception {
    client: Stream,
    tls: Arc<ClientTls>,
    /// Read and not yet understood; at most one packet and what came with it.
    inbox: Vec<u8>,
    ssl: Negotiation,
    gss: Negotiation,
}

impl Reception {
    async fn run(mut self) -> Result<Greeting, Farewell> {
        self.read_some().await?;
        if self.inbox.first() == Some(&TLS_HANDSHAKE) {
            self = self.encrypt(Alpn::Demanded).await?;
        }
        loop {
            let packet = self.packet().await?;
            match (Request::of(&packet), self.ssl, self.gss) {
                (Some(Request::Ssl), Negotiation::Possible, _) => self = self.answer_ssl().await?,
                (Some(Request::GssEnc), _, Negotiation::Possible) => self = self.answer_gss().await?,
                (Some(Request::Ssl), ..) => return Err(self.turn_away(Farewell::Unsupported(5679)).await),
                (Some(Request::GssEnc), ..) => return Err(self.turn_away(Farewell::Unsupported(5680)).await),
                (Some(Request::Cancel), ..) if CANCEL_LENGTHS.contains(&packet.len()) => {
                    return Ok(Greeting::Cancel { client: self.client, packet });
                }
                (Some(Request::Cancel) | None, ..) => return Err(Farewell::Length),
                (Some(Request::Startup), ..) => return self.admit(packet).await,
            }
        }
    }

    /// The next packet, whole.
    async fn packet(&mut self) -> Result<Vec<u8>, Farewell> {
        loop {
            if let Some(word) = self.inbox.first_chunk::<4>() {
                let length = usize::try_from(u32::from_be_bytes(*word)).unwrap_or(usize::MAX);
                if !(LENGTH_MIN..=LENGTH_MAX).contains(&length) {
                    return Err(Farewell::Length);
                }
                if self.inbox.len() >= length {
                    let rest = self.inbox.split_off(length);
                    return Ok(std::mem::replace(&mut self.inbox, rest));
                }
            }
            self.read_some().await?;
        }
    }

    async fn read_some(&mut self) -> Result<(), Farewell> {
        self.inbox.reserve(PACKET_BYTES);
        match self.client.read_buf(&mut self.inbox).await {
            Ok(0) => Err(Farewell::Silent),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Err(Farewell::Silent),
            Err(error) => Err(Farewell::Broken(error)),
        }
    }

    async fn answer_ssl(mut self) -> Result<Self, Farewell> {
        if !self.inbox.is_empty() {
            return Err(self.turn_away(Farewell::Stuffed).await);
        }
        self.ssl = Negotiation::Over;
        if self.tls.config().is_none() || self.client.is_local() {
            self.say(b'N').await?;
            return Ok(self);
        }
        self.say(b'S').await?;
        self.encrypt(Alpn::Welcome).await
    }

    async fn answer_gss(mut self) -> Result<Self, Farewell> {
        if !self.inbox.is_empty() {
            return Err(self.turn_away(Farewell::Stuffed).await);
        }
        self.gss = Negotiation::Over;
        self.say(b'N').await?;
        Ok(self)
    }

    async fn say(&mut self, answer: u8) -> Result<(), Farewell> {
        self.client.write_all(&[answer]).await.map_err(Farewell::Broken)?;
        self.client.flush().await.map_err(Farewell::Broken)
    }

    /// Hands the socket to TLS, with what has been read of the handshake already; nothing else can be in the inbox.
    async fn encrypt(self, alpn: Alpn) -> Result<Self, Farewell> {
        let (Stream::Tcp(socket), Some(config)) = (self.client, self.tls.config()) else {
            return Err(Farewell::Length);
        };
        let stream = handshake(socket, &self.inbox, config, alpn).await?;
        let client = Stream::ServedTls(Box::new(stream));
        let (ssl, gss) = (Negotiation::Over, Negotiation::Over);
        Ok(Self { client, tls: self.tls, inbox: Vec::with_capacity(PACKET_BYTES), ssl, gss })
    }

    async fn admit(self, packet: Vec<u8>) -> Result<Greeting, Farewell> {
        let ssl_mode = self.tls.ssl_mode();
        let demanded = !matches!(ssl_mode, ClientSslMode::Disable | ClientSslMode::Allow);
        if demanded && !self.client.is_tls() && !self.client.is_local() {
            return Err(self.turn_away(Farewell::NotEncrypted).await);
        }
        if ssl_mode == ClientSslMode::VerifyFull && !self.client.is_local() {
            let user = Startup::parse(&packet).ok().and_then(|startup| startup.get(b"user"));
            let shown = self.client.peer_certificate();
            let good = user.zip(shown).is_some_and(|(user, shown)| certificate::is_for_user(shown, user));
            if !good {
                return Err(self.turn_away(Farewell::WrongCertificate).await);
            }
        }
        let Self { client, tls, inbox: leftover, .. } = self;
        Ok(Greeting::Session(Greeted { client, packet, leftover, tls }))
    }

    async fn turn_away(self, farewell: Farewell) -> Farewell {
        if let Some(notice) = farewell.notice() {
            refuse(self.client, &notice).await;
        }
        farewell
    }
}

/// Whether a client must name the protocol in the handshake; naming only others fails always (ALPACA).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Alpn {
    Welcome,
    Demanded,
}

async fn handshake(
    mut socket: TcpStream,
    first: &[u8],
    config: &Arc<ServerConfig>,
    alpn: Alpn,
) -> Result<TlsStream<TcpStream>, Farewell> {
    let accepted = client_hello(&mut socket, first).await?;
    let named = accepted.client_hello().alpn().is_some_and(|mut names| names.any(|name| name == ALPN));
    if alpn == Alpn::Demanded && !named {
        socket.write_all(&NO_APPLICATION_PROTOCOL).await.map_err(Farewell::Broken)?;
        return Err(Farewell::Alpn);
    }
    let start = StartHandshake::from_parts(accepted, socket);
    start.into_stream(Arc::clone(config)).await.map_err(Farewell::Handshake)
}

async fn client_hello(socket: &mut TcpStream, mut first: &[u8]) -> Result<Accepted, Farewell> {
    let mut acceptor = Acceptor::default();
    let mut chunk = [0; 2048];
    loop {
        let mut bytes = if first.is_empty() {
            let read = socket.read(&mut chunk).await.map_err(Farewell::Handshake)?;
            chunk.get(..read).unwrap_or_default()
        } else {
            std::mem::take(&mut first)
        };
        if bytes.is_empty() {
            return Err(Farewell::Silent);
        }
        while !bytes.is_empty() {
            acceptor.read_tls(&mut bytes).map_err(Farewell::Handshake)?;
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => return Ok(accepted),
            Ok(None) => {}
            Err((error, mut alert)) => {
                let mut last_words = Vec::new();
                let _ = alert.write_all(&mut last_words);
                let _ = socket.write_all(&last_words).await;
                return Err(Farewell::Handshake(io::Error::new(io::ErrorKind::InvalidData, error)));
            }
        }
    }
}
