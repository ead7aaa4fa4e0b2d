//! A client that costs next to nothing: it frames what the server sends and throws it away.
//!
//! pgbench keeps whole results and can't send COPY data, and a thousand of its sessions can't be made to wait.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use lockkeeper::cluster::SUPERUSER;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

/// Nothing measured here is ever silent for so long.
const PATIENCE: Duration = Duration::from_mins(1);

/// As much as is read at once.
const CHUNK: usize = 64 * 1024;

/// The body of an error is kept up to here.
const ERROR_BYTES: usize = 512;

/// One session.
#[derive(Debug)]
pub(crate) struct Client {
    stream: Stream,
    frames: Frames,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Client {
    /// Connects as the superuser, to the database `postgres`.
    pub(crate) fn connect(addr: SocketAddr, tls: Option<&Arc<ClientConfig>>) -> anyhow::Result<Self> {
        let mut socket = TcpStream::connect_timeout(&addr, PATIENCE)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let stream = match tls {
            None => Stream::Plain(socket),
            Some(config) => {
                // SSLRequest; the answer is one byte.
                socket.write_all(&[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f])?;
                let mut answer = [0];
                socket.read_exact(&mut answer)?;
                ensure!(answer == *b"S", "TLS is refused");
                let name = ServerName::try_from("localhost")?;
                let tls = ClientConnection::new(Arc::clone(config), name)?;
                Stream::Tls(Box::new(StreamOwned::new(tls, socket)))
            }
        };
        let mut client = Self { stream, frames: Frames::default() };
        let startup = format!("\0\u{3}\0\0user\0{SUPERUSER}\0database\0postgres\0\0");
        client.send(&[&length(startup.len())?, startup.as_bytes()].concat())?;
        client.wait_for(b'Z')?;
        Ok(client)
    }

    /// Sends a query and doesn't wait.
    pub(crate) fn ask(&mut self, sql: &str) -> anyhow::Result<()> {
        self.send(&frame(b'Q', &[sql.as_bytes(), b"\0"].concat())?)
    }

    /// Reads until the server is ready; the answer is how many bytes came.
    pub(crate) fn finish(&mut self) -> anyhow::Result<u64> {
        self.wait_for(b'Z')
    }

    /// Runs a query to its end.
    pub(crate) fn run(&mut self, sql: &str) -> anyhow::Result<u64> {
        self.ask(sql)?;
        self.finish()
    }

    /// Sends `data` `times` times by one COPY, in messages as libpq makes them; the answer is how many bytes went.
    pub(crate) fn copy_in(&mut self, sql: &str, data: &[u8], times: u32) -> anyhow::Result<u64> {
        self.ask(sql)?;
        self.wait_for(b'G')?;
        let message = frame(b'd', data)?;
        let mut sent = 0;
        for _ in 0..times {
            self.send(&message)?;
            sent += u64::try_from(message.len())?;
        }
        self.send(&frame(b'c', b"")?)?;
        self.finish()?;
        Ok(sent)
    }

    fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        match &mut self.stream {
            Stream::Plain(socket) => socket.write_all(bytes)?,
            Stream::Tls(tls) => {
                tls.write_all(bytes)?;
                tls.flush()?;
            }
        }
        Ok(())
    }

    /// Throws away what comes, up to and with a message of this type, which must be the last for now.
    fn wait_for(&mut self, kind: u8) -> anyhow::Result<u64> {
        // Not kept: a thousand idle clients would hold one each.
        let mut chunk = vec![0; CHUNK];
        let mut came = 0;
        self.frames.ended_with = None;
        while self.frames.ended_with != Some(kind) {
            let count = match &mut self.stream {
                Stream::Plain(socket) => socket.read(&mut chunk)?,
                Stream::Tls(tls) => tls.read(&mut chunk)?,
            };
            ensure!(count > 0, "the connection was closed");
            came += u64::try_from(count)?;
            self.frames.read(chunk.get(..count).unwrap_or_default());
            if let Some(error) = &self.frames.error {
                bail!("the server says: {}", String::from_utf8_lossy(error).replace('\0', " "));
            }
        }
        Ok(came)
    }
}

/// A message with this type and body.
fn frame(kind: u8, body: &[u8]) -> anyhow::Result<Vec<u8>> {
    Ok([&[kind][..], &length(body.len())?, body].concat())
}

/// The length field of a body.
fn length(body: usize) -> anyhow::Result<[u8; 4]> {
    Ok(u32::try_from(body + 4).context("too long for one message")?.to_be_bytes())
}

/// Where the stream of messages stands.
#[derive(Debug, Default)]
struct Frames {
    /// Bytes of a header that is not yet complete.
    header: Vec<u8>,
    /// Bytes of the body that are still to come.
    body: usize,
    kind: u8,
    /// The type of the message that ended with the last byte read.
    ended_with: Option<u8>,
    /// The beginning of an `ErrorResponse`.
    error: Option<Vec<u8>>,
}

impl Frames {
    fn read(&mut self, mut bytes: &[u8]) {
        self.ended_with = None;
        while !bytes.is_empty() {
            if self.body == 0 {
                let missing = 5_usize.saturating_sub(self.header.len()).min(bytes.len());
                let (header, rest) = bytes.split_at_checked(missing).unwrap_or((bytes, &[]));
                self.header.extend_from_slice(header);
                bytes = rest;
                let Some((&kind, &length)) =
                    self.header.split_first().and_then(|(kind, rest)| Some((kind, rest.first_chunk()?)))
                else {
                    continue;
                };
                self.kind = kind;
                self.body = usize::try_from(u32::from_be_bytes(length)).unwrap_or(0).saturating_sub(4);
                self.header.clear();
            }
            let (body, rest) = bytes.split_at_checked(self.body).unwrap_or((bytes, &[]));
            if self.kind == b'E' {
                let error = self.error.get_or_insert_default();
                let room = ERROR_BYTES.saturating_sub(error.len()).min(body.len());
                error.extend_from_slice(body.get(..room).unwrap_or_default());
            }
            self.body -= body.len();
            bytes = rest;
            self.ended_with = (self.body == 0 && bytes.is_empty()).then_some(self.kind);
        }
    }
}
