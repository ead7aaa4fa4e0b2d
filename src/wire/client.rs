//! Messages from the client: views of the few that are read, and those that we send upstream ourselves.

use super::frame::{put, put_string, take_string};
use super::kind::client as kind;

/// `Parse`, without its parameter types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parse<'a> {
    /// The statement's name; empty for the unnamed one.
    pub name: &'a [u8],
    /// Its text.
    pub sql: &'a [u8],
}

impl<'a> Parse<'a> {
    /// Reads the body of a `Parse`; `None` when a string does not end.
    pub fn read(body: &'a [u8]) -> Option<Self> {
        let (name, rest) = take_string(body)?;
        let (sql, _) = take_string(rest)?;
        Some(Self { name, sql })
    }
}

/// `Bind`, without its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bind<'a> {
    /// The portal's name.
    pub portal: &'a [u8],
    /// The statement's name.
    pub statement: &'a [u8],
}

impl<'a> Bind<'a> {
    /// Reads the head of a `Bind`; `None` when a name does not end within `body`.
    pub fn read(body: &'a [u8]) -> Option<Self> {
        let (portal, rest) = take_string(body)?;
        let (statement, _) = take_string(rest)?;
        Some(Self { portal, statement })
    }
}

/// One value of a `Bind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound<'a> {
    /// NULL
    Null,
    /// In text, in the client's encoding.
    Text(&'a [u8]),
    /// In the binary format of its type.
    Binary(&'a [u8]),
}

/// The values of a `Bind`; `None` when it is malformed.
pub fn bound(body: &[u8]) -> Option<Vec<Bound<'_>>> {
    let (_, rest) = take_string(body)?;
    let (_, rest) = take_string(rest)?;
    let (count, rest) = rest.split_first_chunk::<2>()?;
    let (formats, rest) = rest.split_at_checked(2 * usize::from(u16::from_be_bytes(*count)))?;
    let (count, mut rest) = rest.split_first_chunk::<2>()?;
    let mut all = Vec::new();
    for at in 0..usize::from(u16::from_be_bytes(*count)) {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
            all.push(Bound::Null);
            rest = after;
            continue;
        };
        let (value, after) = after.split_at_checked(length)?;
        // One format counts for all, none is text.
        let format = formats.chunks_exact(2).nth(if formats.len() == 2 { 0 } else { at });
        all.push(match format {
            None | Some([0, 0]) => Bound::Text(value),
            Some(_) => Bound::Binary(value),
        });
        rest = after;
    }
    Some(all)
}

/// The values of a `Bind` as they were sent, and in which formats its client wants the rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Values {
    /// From the count of their formats to the last value.
    pub values: Vec<u8>,
    /// How many there are.
    pub count: usize,
    /// The formats of the results, with their count in front.
    pub results: Vec<u8>,
}

impl Values {
    /// Reads them out of the body of a `Bind`; `None` when it is malformed.
    pub fn read(body: &[u8]) -> Option<Self> {
        let (_, rest) = take_string(body)?;
        let (_, all) = take_string(rest)?;
        let bound = bound(body)?;
        let formats = usize::from(u16::from_be_bytes(*all.first_chunk::<2>()?));
        let length = |value: &Bound<'_>| match value {
            Bound::Null => 0,
            Bound::Text(bytes) | Bound::Binary(bytes) => bytes.len(),
        };
        let end = 4 + 2 * formats + bound.iter().map(|value| 4 + length(value)).sum::<usize>();
        let (values, results) = all.split_at_checked(end)?;
        Some(Self { values: values.to_vec(), count: bound.len(), results: results.to_vec() })
    }
}

/// The text of a `Query` body, without the terminating NUL and whatever a broken client put behind it.
pub fn query_text(body: &[u8]) -> Option<&[u8]> {
    take_string(body).map(|(text, _)| text)
}

/// Appends a `Parse` without parameter types.
pub fn parse(out: &mut Vec<u8>, name: &[u8], sql: &[u8]) {
    parse_typed(out, name, sql, &[]);
}

/// Appends a `Parse` with the oids of its parameters' types.
pub fn parse_typed(out: &mut Vec<u8>, name: &[u8], sql: &[u8], types: &[u32]) {
    put(out, kind::PARSE, |out| {
        put_string(out, name);
        put_string(out, sql);
        out.extend_from_slice(&u16::try_from(types.len()).unwrap_or(u16::MAX).to_be_bytes());
        for oid in types {
            out.extend_from_slice(&oid.to_be_bytes());
        }
    });
}

/// Appends a `Bind` of values as a client has sent them, with text results.
pub fn bind_as_sent(out: &mut Vec<u8>, portal: &[u8], statement: &[u8], values: &Values) {
    put(out, kind::BIND, |out| {
        put_string(out, portal);
        put_string(out, statement);
        out.extend_from_slice(&values.values);
        out.extend_from_slice(&0u16.to_be_bytes());
    });
}

/// Appends a `Bind` of text parameters with text results.
pub fn bind(out: &mut Vec<u8>, portal: &[u8], statement: &[u8], values: &[&str]) {
    bind_for(out, (portal, statement), values, &0u16.to_be_bytes());
}

/// Appends a `Bind` of text parameters with results in these formats, their count in front.
pub fn bind_for(out: &mut Vec<u8>, (portal, statement): (&[u8], &[u8]), values: &[&str], results: &[u8]) {
    put(out, kind::BIND, |out| {
        put_string(out, portal);
        put_string(out, statement);
        out.extend_from_slice(&0u16.to_be_bytes());
        out.extend_from_slice(&u16::try_from(values.len()).unwrap_or(u16::MAX).to_be_bytes());
        for value in values {
            out.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes());
            out.extend_from_slice(value.as_bytes());
        }
        out.extend_from_slice(results);
    });
}

/// Appends an `Execute` without a row limit.
pub fn execute(out: &mut Vec<u8>, portal: &[u8]) {
    put(out, kind::EXECUTE, |out| {
        put_string(out, portal);
        out.extend_from_slice(&0u32.to_be_bytes());
    });
}

/// Appends a `Describe` of a statement (`b'S'`) or portal (`b'P'`).
pub fn describe(out: &mut Vec<u8>, what: u8, name: &[u8]) {
    put(out, kind::DESCRIBE, |out| {
        out.push(what);
        put_string(out, name);
    });
}

/// Appends a `Close` of a statement (`b'S'`) or portal (`b'P'`).
pub fn close(out: &mut Vec<u8>, what: u8, name: &[u8]) {
    put(out, kind::CLOSE, |out| {
        out.push(what);
        put_string(out, name);
    });
}

/// Appends a `Sync`.
pub fn sync(out: &mut Vec<u8>) {
    put(out, kind::SYNC, |_| ());
}

/// Appends a `Flush`.
pub fn flush(out: &mut Vec<u8>) {
    put(out, kind::FLUSH, |_| ());
}

/// Appends a `Terminate`.
pub fn terminate(out: &mut Vec<u8>) {
    put(out, kind::TERMINATE, |_| ());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Frame;

    #[test]
    fn what_is_written_is_read_back() {
        let mut out = Vec::new();
        parse(&mut out, b"s1", b"select $1");
        let frame = Frame::peek(&out).unwrap().unwrap();
        assert_eq!(Parse::read(frame.body), Some(Parse { name: b"s1", sql: b"select $1" }));
        out.clear();
        bind(&mut out, b"p", b"s1", &["x"]);
        let frame = Frame::peek(&out).unwrap().unwrap();
        assert_eq!(Bind::read(frame.body), Some(Bind { portal: b"p", statement: b"s1" }));
        assert_eq!(&frame.body[5..], b"\0\0\0\x01\0\0\0\x01x\0\0");
        assert_eq!(bound(frame.body), Some(vec![Bound::Text(b"x")]));
        let mixed = b"p\0s\0\0\x01\0\x01\0\x02\0\0\0\x01y\xff\xff\xff\xff\0\0";
        assert_eq!(bound(mixed), Some(vec![Bound::Binary(b"y"), Bound::Null]));
        assert_eq!(bound(&mixed[..12]), None);
        let values = Values::read(mixed).unwrap();
        assert_eq!((values.count, values.results.as_slice()), (2, &b"\0\0"[..]));
        assert_eq!(values.values, b"\0\x01\0\x01\0\x02\0\0\0\x01y\xff\xff\xff\xff");
        assert_eq!(Values::read(&mixed[..12]), None);
    }

    #[test]
    fn strings_that_do_not_end_are_refused() {
        assert_eq!(Parse::read(b"s1\0select"), None);
        assert_eq!(Bind::read(b"p"), None);
        assert_eq!(query_text(b"select"), None);
        assert_eq!(query_text(b"select\0rest"), Some(&b"select"[..]));
    }
}
