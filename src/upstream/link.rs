//! Both sockets of a session, what has been read and not yet passed on, and the session's bookkeeping.
//!
//! The relay drives a link chunk by chunk; while a statement is being looked after, the same link is driven frame by frame.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::base::Severity;
use crate::session::Tracker;
use crate::wire::{Frame, Malformed};

pub use super::batch::Batch;

use super::Stream;
use super::brake::Braking;
use super::debt::{LastWords, Owed};
use super::directives::Directives;
use super::kept::Kept;

/// While a statement is looked after, at most so many bytes of the client's are taken in advance.
pub const AHEAD_MAX: usize = 64 << 10;

/// Bytes read at once while frames are taken one by one.
const READ_BYTES: usize = 16 << 10;

/// Why a session cannot go on.
#[derive(Debug, Error)]
pub enum Lost {
    /// The server closed the connection or it broke.
    #[error("connection to the server was lost")]
    Upstream(#[source] Option<io::Error>),
    /// The server sent what is no message.
    #[error("the server sent what cannot be read")]
    UpstreamMalformed(#[source] Malformed),
    /// The client sent what is no message.
    #[error("the client sent what cannot be read")]
    ClientMalformed(#[source] Malformed),
    /// The client's connection broke.
    #[error("connection to the client was lost")]
    Client(#[source] Option<io::Error>),
}

/// Whether a peer will send more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// It may.
    Open,
    /// It has closed its half.
    Closed,
}

/// Bytes that a socket has not taken yet.
#[derive(Debug, Default)]
struct Backlog {
    bytes: Vec<u8>,
    at: usize,
    flush: Flush,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Flush {
    #[default]
    Done,
    Due,
}

impl Backlog {
    /// Writes what it can of `fresh`, behind what waits already, and keeps the rest.
    fn offer(&mut self, stream: &mut Stream, cx: &mut Context<'_>, fresh: &[u8]) -> io::Result<()> {
        if fresh.is_empty() {
            return Ok(());
        }
        let mut written = 0;
        if self.bytes.is_empty() {
            match Pin::new(&mut *stream).poll_write(cx, fresh) {
                Poll::Ready(outcome) => written = outcome?,
                Poll::Pending => {}
            }
        }
        self.bytes.extend_from_slice(fresh.get(written..).unwrap_or_default());
        self.flush = Flush::Due;
        match self.poll_drain(stream, cx) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => Ok(()),
        }
    }

    fn poll_drain(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.bytes.get(self.at..).filter(|rest| !rest.is_empty()) {
            let written = ready!(Pin::new(&mut *stream).poll_write(cx, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.at += written;
        }
        if !self.bytes.is_empty() {
            *self = Self { flush: self.flush, ..Self::default() };
        }
        if self.flush == Flush::Due {
            ready!(Pin::new(stream).poll_flush(cx))?;
            self.flush = Flush::Done;
        }
        Poll::Ready(Ok(()))
    }
}

/// Both sockets of a session.
#[derive(Debug)]
pub struct Link {
    client: Stream,
    upstream: Stream,
    to_client: Backlog,
    to_upstream: Backlog,
    /// What the client has sent and nobody has passed on yet.
    pub held: Vec<u8>,
    /// What the server has sent and nobody has passed on yet; empty while relaying.
    arrived: Vec<u8>,
    /// Whether the client may send more.
    pub client_reading: Reading,
    upstream_writing: Reading,
    /// Whether statements of ours would be part of a batch of the client's.
    pub batch: Batch,
    /// A setting of ours that could not be put back yet, because a transaction of the client's was in the way.
    pub owed: Option<Box<Owed>>,
    /// What is told behind the last words of a server that is lost.
    pub last_words: LastWords,
    /// What the session has set of ours.
    pub directives: Directives,
    /// The least grave message of ours that the client wants to hear: its `client_min_messages`, as last seen.
    pub least: Severity,
    /// Questions of ours that the server keeps.
    pub kept: Kept,
    /// Whether the rows of the COPY that is under way are held back; `None` where nobody has asked, as in a session that copies nothing.
    pub braking: Option<Box<Braking>>,
    /// The bookkeeping of frames.
    pub tracker: Tracker,
}

/// What happened while a server's message was awaited.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrival {
    /// A whole message: its type and body.
    Frame(u8, Vec<u8>),
    /// The client closed its connection.
    ClientGone,
}

impl Link {
    /// Joins two authenticated sockets. `held`: what the client sent ahead.
    pub fn new(client: Stream, upstream: Stream, tracker: Tracker, held: Vec<u8>) -> Self {
        Self {
            client,
            upstream,
            to_client: Backlog::default(),
            to_upstream: Backlog::default(),
            held,
            arrived: Vec::new(),
            client_reading: Reading::Open,
            upstream_writing: Reading::Open,
            batch: Batch::None,
            owed: None,
            last_words: LastWords::default(),
            directives: Directives::Unasked,
            least: Severity::Notice,
            kept: Kept::default(),
            braking: None,
            tracker,
        }
    }

    /// Leaves bytes of the server's, which somebody else has read, for the client.
    pub fn pass_on(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        if !bytes.is_empty() {
            self.tracker.server(bytes)?;
            self.to_client.bytes.extend_from_slice(bytes);
            self.to_client.flush = Flush::Due;
        }
        Ok(())
    }

    /// Reads from the client; `Ok(0)` is its end.
    #[inline]
    pub fn poll_read_client(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize, Lost>> {
        let n = ready!(poll_read(&mut self.client, cx, buffer)).map_err(|error| Lost::Client(Some(error)))?;
        if n == 0 {
            self.client_reading = Reading::Closed;
        }
        Poll::Ready(Ok(n))
    }

    /// Reads from the server; `Ok(0)` is its end.
    #[inline]
    pub fn poll_read_upstream(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<Result<usize, Lost>> {
        poll_read(&mut self.upstream, cx, buffer).map_err(|error| Lost::Upstream(Some(error)))
    }

    /// Passes bytes to the server, keeping what it does not take at once.
    ///
    /// A server that takes no more is no error here: what it said last is still to be read, and its end comes with it.
    #[inline]
    pub fn offer_upstream(&mut self, cx: &mut Context<'_>, bytes: &[u8]) {
        if self.upstream_writing == Reading::Open
            && let Err(error) = self.to_upstream.offer(&mut self.upstream, cx, bytes)
        {
            self.stop_upstream(&error);
        }
    }

    /// Passes bytes to the client, keeping what it does not take at once.
    #[inline]
    pub fn offer_client(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Result<(), Lost> {
        self.tracker.told(bytes);
        self.to_client.offer(&mut self.client, cx, bytes).map_err(|error| Lost::Client(Some(error)))
    }

    /// Ready when the server has taken everything that it will take.
    #[inline]
    pub fn poll_drain_upstream(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.upstream_writing == Reading::Open
            && let Err(error) = ready!(self.to_upstream.poll_drain(&mut self.upstream, cx))
        {
            self.stop_upstream(&error);
        }
        Poll::Ready(())
    }

    /// Ready when the client has taken everything.
    #[inline]
    pub fn poll_drain_client(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        self.to_client.poll_drain(&mut self.client, cx).map_err(|error| Lost::Client(Some(error)))
    }

    /// Passes the client's end of stream on.
    pub fn poll_finish_upstream(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Err(error) = ready!(Pin::new(&mut self.upstream).poll_shutdown(cx)) {
            self.stop_upstream(&error);
        }
        Poll::Ready(())
    }

    fn stop_upstream(&mut self, error: &io::Error) {
        tracing::debug!(%error, "the server takes no more");
        self.upstream_writing = Reading::Closed;
        self.to_upstream = Backlog::default();
    }

    /// Sends bytes of ours, or held ones, to the server.
    pub async fn send(&mut self, bytes: &[u8]) {
        self.offer(bytes).await;
        poll_fn(|cx| self.poll_drain_upstream(cx)).await;
    }

    /// The same, without waiting until the server has taken them: it may have to answer first.
    pub async fn offer(&mut self, bytes: &[u8]) {
        poll_fn(|cx| {
            self.offer_upstream(cx, bytes);
            Poll::Ready(())
        })
        .await;
    }

    /// Sends the held message of `total` bytes on to the server, as its client's own.
    pub async fn forward_held(&mut self, total: usize) {
        let rest = self.held.split_off(total.min(self.held.len()));
        let frame = std::mem::replace(&mut self.held, rest);
        self.tracker.forwarded(&frame);
        self.send(&frame).await;
    }

    /// Sends bytes to the client; a client that has gone away is no error here, its end is noticed when reading.
    pub async fn tell(&mut self, bytes: &[u8]) {
        let sent = async {
            poll_fn(|cx| Poll::Ready(self.offer_client(cx, bytes))).await?;
            poll_fn(|cx| self.poll_drain_client(cx)).await
        };
        if let Err(lost) = sent.await {
            tracing::debug!(error = ?lost, "client did not take a message");
            self.client_reading = Reading::Closed;
        }
    }

    /// Says the last words to the client and closes its side without losing them.
    pub async fn farewell(&mut self, bytes: &[u8]) {
        self.tell(bytes).await;
        if let Err(error) = poll_fn(|cx| Pin::new(&mut self.client).poll_shutdown(cx)).await {
            tracing::debug!(%error, "client went first");
        }
    }

    /// The next whole message from the server. Safe to drop and call again.
    ///
    /// Reads the client's bytes ahead meanwhile, up to a bound, so that its end is noticed.
    pub async fn next(&mut self) -> Result<Arrival, Lost> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Leaves the streams as the relay finds them: what the server has said unasked behind the last answer goes to the client.
    pub async fn settle(&mut self) -> Result<(), Lost> {
        let unasked = std::mem::take(&mut self.arrived);
        if !unasked.is_empty() {
            self.tracker.server(&unasked).map_err(Lost::UpstreamMalformed)?;
            self.tell(&unasked).await;
        }
        Ok(())
    }

    /// What has been read from the server behind the last whole message.
    pub fn take_unasked(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.arrived)
    }

    /// Waits until the client has sent more; false when it will not.
    pub async fn more_from_client(&mut self) -> bool {
        let before = self.held.len();
        poll_fn(|cx| {
            self.poll_ahead(cx);
            if self.held.len() > before || self.client_reading == Reading::Closed {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        self.held.len() > before
    }

    /// Waits until the client has closed its connection, and takes its bytes ahead meanwhile. Safe to drop and call again.
    pub async fn client_gone(&mut self) {
        poll_fn(|cx| {
            self.poll_ahead(cx);
            if self.client_reading == Reading::Closed { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Takes the client's bytes ahead, up to a bound.
    pub fn poll_ahead(&mut self, cx: &mut Context<'_>) {
        while self.client_reading == Reading::Open && self.held.len() < AHEAD_MAX {
            let mut buffer = [0; 4096];
            match self.poll_read_client(cx, &mut buffer) {
                Poll::Ready(Ok(n)) => self.held.extend_from_slice(buffer.get(..n).unwrap_or_default()),
                Poll::Ready(Err(_)) => self.client_reading = Reading::Closed,
                Poll::Pending => return,
            }
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Arrival, Lost>> {
        // What the server has not taken yet may be what it is to answer.
        let _ = self.poll_drain_upstream(cx);
        loop {
            if let Some(frame) = self.take_arrived()? {
                return Poll::Ready(Ok(frame));
            }
            let mut buffer = [0; READ_BYTES];
            match self.poll_read_upstream(cx, &mut buffer) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(Lost::Upstream(None))),
                Poll::Ready(Ok(n)) => self.arrived.extend_from_slice(buffer.get(..n).unwrap_or_default()),
                Poll::Ready(Err(lost)) => return Poll::Ready(Err(lost)),
                Poll::Pending => break,
            }
        }
        if self.client_reading == Reading::Open {
            self.poll_ahead(cx);
            if self.client_reading == Reading::Closed {
                return Poll::Ready(Ok(Arrival::ClientGone));
            }
        }
        Poll::Pending
    }

    fn take_arrived(&mut self) -> Result<Option<Arrival>, Lost> {
        let Some(frame) = Frame::peek(&self.arrived).map_err(Lost::UpstreamMalformed)? else {
            return Ok(None);
        };
        let arrival = Arrival::Frame(frame.kind, frame.body.to_vec());
        let total = crate::wire::frame::HEADER_BYTES + frame.body.len();
        self.arrived.drain(..total);
        if self.arrived.is_empty() {
            self.arrived = Vec::new();
        }
        Ok(Some(arrival))
    }
}

#[inline]
fn poll_read(stream: &mut Stream, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
    let mut read = ReadBuf::new(buffer);
    ready!(Pin::new(stream).poll_read(cx, &mut read))?;
    Poll::Ready(Ok(read.filled().len()))
}
