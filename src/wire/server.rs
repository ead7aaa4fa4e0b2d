//! Messages from the server: views of the few that are read, and those that we write in its place.

use super::frame::{put, put_string, take_string};
use super::kind::server as kind;

/// The transaction status of a `ReadyForQuery`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Status {
    /// `I`: no transaction block.
    #[default]
    Idle,
    /// `T`: in a transaction block.
    InTransaction,
    /// `E`: in a failed one.
    Failed,
}

impl Status {
    /// Reads the byte of a `ReadyForQuery`.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            b'I' => Some(Self::Idle),
            b'T' => Some(Self::InTransaction),
            b'E' => Some(Self::Failed),
            _ => None,
        }
    }

    /// The byte on the wire.
    pub const fn byte(self) -> u8 {
        match self {
            Self::Idle => b'I',
            Self::InTransaction => b'T',
            Self::Failed => b'E',
        }
    }
}

/// Name and value of a `ParameterStatus`.
pub fn parameter(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, rest) = take_string(body)?;
    let (value, _) = take_string(rest)?;
    Some((name, value))
}

/// The columns of a `DataRow`; `None` for NULL. Empty when the row is malformed.
pub fn columns(body: &[u8]) -> Vec<Option<&[u8]>> {
    let Some((count, mut rest)) = body.split_first_chunk::<2>() else { return Vec::new() };
    let mut columns = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let Some((length, after)) = rest.split_first_chunk::<4>() else { return Vec::new() };
        let length = i32::from_be_bytes(*length);
        let Ok(length) = usize::try_from(length) else {
            columns.push(None);
            rest = after;
            continue;
        };
        let Some((value, after)) = after.split_at_checked(length) else { return Vec::new() };
        columns.push(Some(value));
        rest = after;
    }
    columns
}

/// Appends a `ReadyForQuery`.
pub fn ready(out: &mut Vec<u8>, status: Status) {
    put(out, kind::READY, |out| out.push(status.byte()));
}

/// Appends a `CommandComplete`.
pub fn command_complete(out: &mut Vec<u8>, tag: &str) {
    put(out, kind::COMMAND_COMPLETE, |out| put_string(out, tag.as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_and_bad_ones_are_empty() {
        assert_eq!(columns(b"\0\x02\0\0\0\x01a\xff\xff\xff\xff"), vec![Some(&b"a"[..]), None]);
        assert_eq!(columns(b"\0\x02\0\0\0\x09a"), Vec::<Option<&[u8]>>::new());
        assert_eq!(columns(b""), Vec::<Option<&[u8]>>::new());
    }

    #[test]
    fn parameters_are_split() {
        assert_eq!(parameter(b"client_encoding\0UTF8\0"), Some((&b"client_encoding"[..], &b"UTF8"[..])));
        assert_eq!(parameter(b"client_encoding"), None);
    }
}
