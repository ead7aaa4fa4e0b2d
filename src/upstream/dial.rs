//! One connection to one host, up to where the start-up packet may be sent.

use std::io;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

use super::settings::{Host, Liveness, SslMode, SslNegotiation};
use super::tls::ALPN;
use super::{Stream, Upstream, socket};

const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// Whether one attempt is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// Plain text.
    Plain,
    /// TLS or nothing.
    Tls,
    /// TLS, or plain text on the same connection when the server says that it has none.
    TlsIfOffered,
}

/// The attempts that `sslmode` allows on one host, in order; the later ones come when the server turns the earlier down.
pub fn encryptions(mode: SslMode, host: &Host) -> &'static [Encryption] {
    match (mode, host) {
        // As for libpq, a Unix-domain socket is as safe as it gets whatever the mode.
        (_, Host::Unix { .. }) | (SslMode::Disable, _) => &[Encryption::Plain],
        (SslMode::Allow, _) => &[Encryption::Plain, Encryption::Tls],
        (SslMode::Prefer, _) => &[Encryption::TlsIfOffered, Encryption::Plain],
        (SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull, _) => &[Encryption::Tls],
    }
}

/// Why a host cannot be reached.
#[derive(Debug, Error)]
pub enum Unreachable {
    /// No connection.
    #[error("{}", plain_words(.0))]
    Connect(io::Error),
    /// No connection in time.
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// TLS is demanded and the server has none.
    #[error("the server does not support TLS, but the proxy's configuration demands it")]
    NoTls,
    /// The server answered the request for TLS with an error; its text comes unencrypted and unbounded, so nobody is shown it.
    #[error("the server answered the request for TLS with an error")]
    TlsRefused,
    /// Neither yes nor no.
    #[error("the server answered the request for TLS with an unknown message")]
    TlsAnswer,
    /// Bytes between the yes and the handshake: somebody may have put them there.
    #[error("the server sent unencrypted data after agreeing to TLS")]
    Stuffed,
    /// The handshake failed.
    #[error("the TLS handshake with the server failed: {0}")]
    Handshake(io::Error),
    /// Direct TLS with something that does not say it is Postgres.
    #[error("the server did not confirm the protocol \"postgresql\" in the TLS handshake")]
    Alpn,
    /// A name that no certificate can be for.
    #[error("the host name cannot be used for TLS")]
    Name,
}

impl Unreachable {
    /// Whether the host is there and only TLS failed, so that an attempt without TLS, where allowed, makes sense.
    pub fn is_about_tls(&self) -> bool {
        !matches!(self, Self::Connect(_) | Self::Timeout(_))
    }
}

/// What an error of a socket means to a person.
pub fn plain_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused: is the server running there?".into(),
        io::ErrorKind::NotFound => "there is no such socket: is the server running there?".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::TimedOut => "no answer".into(),
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => "no route to the host".into(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
            "the server closed the connection".into()
        }
        _ => error.to_string(),
    }
}

impl Upstream {
    /// Connects to a host, within `connect_timeout`.
    pub async fn dial(&self, host: &Host, encryption: Encryption) -> Result<Stream, Unreachable> {
        let limit = self.settings().connect_timeout;
        let dialling = Box::pin(self.dial_slowly(host, encryption));
        timeout(limit, dialling).await.unwrap_or(Err(Unreachable::Timeout(limit)))
    }

    async fn dial_slowly(&self, host: &Host, encryption: Encryption) -> Result<Stream, Unreachable> {
        let (name, port) = match host {
            Host::Tcp { name, port } => (name.as_str(), *port),
            Host::Unix { directory, port } => {
                let path = directory.join(format!(".s.PGSQL.{port}"));
                return UnixStream::connect(path).await.map(Stream::Unix).map_err(Unreachable::Connect);
            }
        };
        let socket = connect(name, port, &self.settings().liveness).await.map_err(Unreachable::Connect)?;
        match (encryption, self.connector()) {
            (Encryption::Plain, _) | (Encryption::TlsIfOffered, None) => Ok(Stream::Tcp(socket)),
            (Encryption::Tls, None) => Err(Unreachable::NoTls),
            (Encryption::Tls | Encryption::TlsIfOffered, Some(connector)) => {
                self.encrypt(socket, connector, name, encryption).await
            }
        }
    }

    async fn encrypt(
        &self,
        mut socket: TcpStream,
        connector: &TlsConnector,
        name: &str,
        encryption: Encryption,
    ) -> Result<Stream, Unreachable> {
        if self.settings().ssl_negotiation == SslNegotiation::Direct {
            let stream = handshake(socket, connector, name).await?;
            return match stream.get_ref().1.alpn_protocol() {
                Some(ALPN) => Ok(Stream::DialledTls(Box::new(stream))),
                Some(_) | None => Err(Unreachable::Alpn),
            };
        }
        match (ask_for_tls(&mut socket).await?, encryption) {
            (Answer::Yes, _) => Ok(Stream::DialledTls(Box::new(handshake(socket, connector, name).await?))),
            (Answer::No, Encryption::TlsIfOffered) => Ok(Stream::Tcp(socket)),
            (Answer::No, Encryption::Tls | Encryption::Plain) => Err(Unreachable::NoTls),
        }
    }
}

async fn connect(name: &str, port: u16, liveness: &Liveness) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((name, port)).await?;
    socket::tune(&stream, liveness)?;
    Ok(stream)
}

enum Answer {
    Yes,
    No,
}

async fn ask_for_tls(socket: &mut TcpStream) -> Result<Answer, Unreachable> {
    socket.write_all(&SSL_REQUEST).await.map_err(Unreachable::Connect)?;
    match socket.read_u8().await.map_err(Unreachable::Connect)? {
        // The server must wait for our handshake now: anything that is here already is not its word (CVE-2021-23222).
        b'S' => match socket.try_read(&mut [0]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Answer::Yes),
            Ok(_) => Err(Unreachable::Stuffed),
            Err(error) => Err(Unreachable::Connect(error)),
        },
        b'N' => Ok(Answer::No),
        b'E' => Err(Unreachable::TlsRefused),
        _ => Err(Unreachable::TlsAnswer),
    }
}

async fn handshake(
    socket: TcpStream,
    connector: &TlsConnector,
    name: &str,
) -> Result<TlsStream<TcpStream>, Unreachable> {
    let server = ServerName::try_from(name.to_owned()).map_err(|_| Unreachable::Name)?;
    connector.connect(server, socket).await.map_err(Unreachable::Handshake)
}
