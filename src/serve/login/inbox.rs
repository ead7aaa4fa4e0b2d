//! What one side has sent during the login and nobody has passed on yet.

use std::io;

use tokio::io::AsyncReadExt;

use crate::upstream::Stream;
use crate::wire::frame::HEADER_BYTES;
use crate::wire::{Frame, Header, Malformed};

/// Bytes read at once.
const CHUNK_BYTES: usize = 2048;

/// Frames as they arrive.
pub(super) struct Inbox {
    bytes: Vec<u8>,
    /// Where what was not taken yet begins.
    at: usize,
}

impl Inbox {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, at: 0 }
    }

    /// What was not taken yet.
    pub(super) fn rest(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    pub(super) fn into_rest(mut self) -> Vec<u8> {
        self.compact();
        self.bytes
    }

    /// The next frame and its bytes; see [`peek`].
    pub(super) fn peek(&self, limit: usize) -> Result<Option<(Frame<'_>, &[u8])>, Malformed> {
        peek(self.rest(), limit)
    }

    /// So many bytes were taken.
    pub(super) fn advance(&mut self, bytes: usize) {
        self.at = self.bytes.len().min(self.at + bytes);
    }

    /// Waits for more; zero is the end. Nothing is lost when the wait is given up.
    pub(super) async fn fill(&mut self, stream: &mut Stream) -> io::Result<usize> {
        self.compact();
        self.bytes.reserve(CHUNK_BYTES);
        stream.read_buf(&mut self.bytes).await
    }

    fn compact(&mut self) {
        self.bytes.drain(..self.at);
        self.at = 0;
    }
}

/// The frame at the start of `bytes` and all its bytes, header included; `None` while it is not complete. One of more than
/// `limit` bytes is malformed.
pub(super) fn peek(bytes: &[u8], limit: usize) -> Result<Option<(Frame<'_>, &[u8])>, Malformed> {
    let Some(header) = Header::peek(bytes)? else { return Ok(None) };
    if header.total() > limit {
        let length = u32::try_from(header.body + 4).unwrap_or(u32::MAX);
        return Err(Malformed::Length { kind: header.kind, length });
    }
    Ok(bytes.get(..header.total()).map(|whole| {
        let body = whole.get(HEADER_BYTES..).unwrap_or_default();
        (Frame { kind: header.kind, body }, whole)
    }))
}
