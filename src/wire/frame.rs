//! One message's bytes: a type, a length, a body.

use thiserror::Error;

/// Bytes before a message's body: its type and its length.
pub const HEADER_BYTES: usize = 5;

/// The longest message that Postgres itself makes or takes (`PQ_LARGE_MESSAGE_LIMIT`, `MaxAllocSize`).
pub const LENGTH_MAX: u32 = 0x3fff_ffff;

/// What cannot be framed; after it the stream has no meaning any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Malformed {
    /// The length field counts itself, so it is at least 4, and at most what Postgres can hold.
    #[error("invalid message length {length} in a message of type {kind:#04x}")]
    Length {
        /// The message's type byte.
        kind: u8,
        /// The length field as sent.
        length: u32,
    },
    /// The body ends before its fields do.
    #[error("message of type {kind:#04x} ends before its fields do")]
    Short {
        /// The message's type byte.
        kind: u8,
    },
}

/// A message's type and the length of its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The type byte.
    pub kind: u8,
    /// Bytes that follow the header.
    pub body: usize,
}

impl Header {
    /// Reads the five bytes of a header.
    #[inline]
    pub fn read(bytes: [u8; HEADER_BYTES]) -> Result<Self, Malformed> {
        let [kind, a, b, c, d] = bytes;
        let length = u32::from_be_bytes([a, b, c, d]);
        if (4..=LENGTH_MAX).contains(&length) {
            Ok(Self { kind, body: length as usize - 4 })
        } else {
            Err(Malformed::Length { kind, length })
        }
    }

    /// The header at the start of `bytes`; `None` while it is not complete.
    #[inline]
    pub fn peek(bytes: &[u8]) -> Result<Option<Self>, Malformed> {
        bytes.first_chunk::<HEADER_BYTES>().map(|head| Self::read(*head)).transpose()
    }

    /// Header and body together.
    #[inline]
    pub const fn total(self) -> usize {
        HEADER_BYTES + self.body
    }
}

/// A whole message, as it stands in a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The type byte.
    pub kind: u8,
    /// What follows the header.
    pub body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The whole message at the start of `bytes`; `None` while it is not complete.
    pub fn peek(bytes: &'a [u8]) -> Result<Option<Self>, Malformed> {
        let Some(header) = Header::peek(bytes)? else { return Ok(None) };
        Ok(bytes.get(HEADER_BYTES..header.total()).map(|body| Self { kind: header.kind, body }))
    }
}

/// Appends a message whose body `fill` writes.
pub fn put(out: &mut Vec<u8>, kind: u8, fill: impl FnOnce(&mut Vec<u8>)) {
    out.push(kind);
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    fill(out);
    let length = u32::try_from(out.len() - at).unwrap_or(u32::MAX);
    if let Some(field) = out.get_mut(at..at + 4) {
        field.copy_from_slice(&length.to_be_bytes());
    }
}

/// Appends a string and its terminating NUL.
pub fn put_string(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(text);
    out.push(0);
}

/// Splits a NUL-terminated string off the front.
pub fn take_string(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = body.iter().position(|byte| *byte == 0)?;
    let (text, rest) = body.split_at_checked(end)?;
    Some((text, rest.get(1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_bounded() {
        for (length, good) in [
            (0u32, false),
            (3, false),
            (4, true),
            (0x3fff_ffff, true),
            (0x4000_0000, false),
            (0x8000_0000, false),
            (u32::MAX, false),
        ] {
            let [a, b, c, d] = length.to_be_bytes();
            assert_eq!(Header::read([b'Q', a, b, c, d]).is_ok(), good, "{length:#x}");
        }
    }

    #[test]
    fn put_then_peek() {
        let mut out = Vec::new();
        put(&mut out, b'Q', |out| put_string(out, b"select 1"));
        assert_eq!(Frame::peek(&out), Ok(Some(Frame { kind: b'Q', body: b"select 1\0" })));
        assert_eq!(Frame::peek(&out[..out.len() - 1]), Ok(None));
    }
}
