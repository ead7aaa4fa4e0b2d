//! A session's socket, plain or encrypted, towards either side.
//!
//! One type for all of them, matched at each poll: the hot path needs no trait object and no generic session.
//! Writes to an encrypted stream may stay in its buffer until `poll_flush`.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::{client, server};

/// A socket with or without TLS. There is no TLS over Unix-domain sockets, as there is none in Postgres.
#[derive(Debug)]
pub enum Stream {
    /// Plain TCP.
    Tcp(TcpStream),
    /// A Unix-domain socket.
    Unix(UnixStream),
    /// TLS towards a client.
    ServedTls(Box<server::TlsStream<TcpStream>>),
    /// TLS towards a server.
    DialledTls(Box<client::TlsStream<TcpStream>>),
}

impl Stream {
    /// Whether what passes here is encrypted.
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::ServedTls(_) | Self::DialledTls(_))
    }

    /// Whether the peer is reached through a file, on this machine.
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Unix(_))
    }

    /// The certificate that the peer has shown, without its chain.
    pub fn peer_certificate(&self) -> Option<&CertificateDer<'static>> {
        match self {
            Self::Tcp(_) | Self::Unix(_) => None,
            Self::ServedTls(stream) => stream.get_ref().1.peer_certificates()?.first(),
            Self::DialledTls(stream) => stream.get_ref().1.peer_certificates()?.first(),
        }
    }
}

impl AsyncRead for Stream {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::ServedTls(stream) => Pin::new(stream).poll_read(cx, buffer).map(end_of_tls),
            Self::DialledTls(stream) => Pin::new(stream).poll_read(cx, buffer).map(end_of_tls),
        }
    }
}

impl AsyncWrite for Stream {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::ServedTls(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::DialledTls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(_) | Self::Unix(_) => Poll::Ready(Ok(())),
            Self::ServedTls(stream) => Pin::new(stream).poll_flush(cx),
            Self::DialledTls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::ServedTls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::DialledTls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// An end of stream without TLS' own goodbye is an end of stream.
///
/// Postgres never says that goodbye (a backend just exits), and what it cuts short shows in the framing of its messages.
fn end_of_tls(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
        outcome => outcome,
    }
}
