//! The messages of a login: what the server demands, and SASL's four messages, read and written.

use std::fmt;

use super::frame::{put, put_string, take_string};

/// The type byte of an authentication request.
pub const AUTHENTICATION: u8 = b'R';
/// The type byte of every answer to one.
pub const PASSWORD: u8 = b'p';
/// The type byte of `BackendKeyData`.
pub const BACKEND_KEY: u8 = b'K';
/// The type byte of `NegotiateProtocolVersion`.
pub const NEGOTIATE: u8 = b'v';

/// What the server demands next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand<'a> {
    /// Nothing any more.
    Nothing,
    /// One of these mechanisms.
    Sasl(Mechanisms<'a>),
    /// The next step of the mechanism.
    SaslContinue(&'a [u8]),
    /// Nothing more for SASL, and the server's proof.
    SaslFinal(&'a [u8]),
    /// A password, a digest, a ticket, or what may come; the client knows.
    Other(u32),
}

impl<'a> Demand<'a> {
    /// Reads the body of an authentication request.
    pub fn parse(body: &'a [u8]) -> Option<Self> {
        let (code, rest) = body.split_first_chunk::<4>()?;
        Some(match u32::from_be_bytes(*code) {
            0 => Self::Nothing,
            10 => Self::Sasl(Mechanisms(rest)),
            11 => Self::SaslContinue(rest),
            12 => Self::SaslFinal(rest),
            other => Self::Other(other),
        })
    }

    /// Whether the client is to answer.
    pub fn wants_answer(self) -> bool {
        match self {
            Self::Nothing | Self::SaslFinal(_) => false,
            Self::Sasl(_) | Self::SaslContinue(_) | Self::Other(_) => true,
        }
    }
}

/// Names of SASL mechanisms, each ended by NUL, the list by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mechanisms<'a>(&'a [u8]);

impl<'a> Mechanisms<'a> {
    /// The names, in the server's order of preference.
    pub fn names(self) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (name, after) = take_string(rest)?;
            rest = after;
            (!name.is_empty()).then_some(name)
        })
    }

    /// Whether one of them is `name`.
    pub fn offer(self, name: &str) -> bool {
        self.names().any(|offered| offered == name.as_bytes())
    }
}

/// A client's choice of mechanism and its first words.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct InitialResponse<'a> {
    /// The mechanism's name.
    pub mechanism: &'a [u8],
    /// What the client says first; it may wait for the server to speak.
    pub data: Option<&'a [u8]>,
}

impl<'a> InitialResponse<'a> {
    /// Reads the body of a `SASLInitialResponse`; lengths that do not agree with each other are refused.
    pub fn parse(body: &'a [u8]) -> Option<Self> {
        let (mechanism, rest) = take_string(body)?;
        let (length, data) = rest.split_first_chunk::<4>()?;
        match i32::from_be_bytes(*length) {
            -1 => data.is_empty().then_some(Self { mechanism, data: None }),
            length => {
                let agrees = usize::try_from(length).is_ok_and(|length| length == data.len());
                agrees.then_some(Self { mechanism, data: Some(data) })
            }
        }
    }
}

/// Appends the server's list of mechanisms.
pub fn put_mechanisms<'a>(out: &mut Vec<u8>, names: impl Iterator<Item = &'a [u8]>) {
    put(out, AUTHENTICATION, |out| {
        out.extend_from_slice(&10u32.to_be_bytes());
        names.for_each(|name| put_string(out, name));
        out.push(0);
    });
}

/// Appends the server's next step.
pub fn put_continue(out: &mut Vec<u8>, data: &[u8]) {
    put(out, AUTHENTICATION, |out| {
        out.extend_from_slice(&11u32.to_be_bytes());
        out.extend_from_slice(data);
    });
}

/// Appends the server's proof.
pub fn put_final(out: &mut Vec<u8>, data: &[u8]) {
    put(out, AUTHENTICATION, |out| {
        out.extend_from_slice(&12u32.to_be_bytes());
        out.extend_from_slice(data);
    });
}

/// Appends a client's choice and first words.
pub fn put_initial_response(out: &mut Vec<u8>, mechanism: &str, data: &[u8]) {
    put(out, PASSWORD, |out| {
        put_string(out, mechanism.as_bytes());
        // Words of ours are some hundred bytes.
        out.extend_from_slice(&i32::try_from(data.len()).unwrap_or(i32::MAX).to_be_bytes());
        out.extend_from_slice(data);
    });
}

/// Appends a client's next step.
pub fn put_response(out: &mut Vec<u8>, data: &[u8]) {
    put(out, PASSWORD, |out| out.extend_from_slice(data));
}

/// What allows to cancel a session's statements: the backend's process id and a secret of 4 to 256 bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct CancelKey {
    /// The backend's process id.
    pub pid: u32,
    /// The secret.
    pub secret: Box<[u8]>,
}

impl CancelKey {
    /// The whole `CancelRequest` for this session.
    pub fn request(&self) -> Vec<u8> {
        let length = u32::try_from(12 + self.secret.len()).unwrap_or(u32::MAX);
        let mut out = length.to_be_bytes().to_vec();
        out.extend_from_slice(&super::startup::CANCEL.to_be_bytes());
        out.extend_from_slice(&self.pid.to_be_bytes());
        out.extend_from_slice(&self.secret);
        out
    }

    /// Reads the body of a `BackendKeyData`.
    pub fn of_backend(body: &[u8]) -> Option<Self> {
        let (pid, secret) = body.split_first_chunk::<4>()?;
        Some(Self { pid: u32::from_be_bytes(*pid), secret: secret.into() })
    }

    /// Reads a whole `CancelRequest`, whose length was checked.
    pub fn of_request(packet: &[u8]) -> Option<Self> {
        Self::of_backend(packet.get(8..)?)
    }
}

impl fmt::Debug for CancelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CancelKey({})", self.pid)
    }
}

/// `server_version` as a number, as `server_version_num` has it: 15.20 is 150020, 9.6.3 is 90603, 18beta1 is 180000.
pub fn version_number(text: &str) -> u32 {
    let text = text.split(|c: char| c.is_ascii_whitespace()).next().unwrap_or_default();
    let mut parts = text.split('.').map(|part| {
        let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        part.get(..end)
            .and_then(|digits| digits.parse::<u32>().ok())
            .filter(|number| *number < 10_000)
            .unwrap_or(0)
    });
    let (major, second, third) = (parts.next(), parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    match major {
        None | Some(0) => 0,
        Some(major @ 1..=9) => major * 10_000 + second.min(99) * 100 + third.min(99),
        Some(major) => major * 10_000 + second,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Frame;
    use proptest::prelude::*;

    #[test]
    fn mechanisms_round_trip() {
        let mut out = Vec::new();
        put_mechanisms(&mut out, [&b"A"[..], b"B-PLUS"].into_iter());
        let frame = Frame::peek(&out).unwrap().unwrap();
        let Some(Demand::Sasl(mechanisms)) = Demand::parse(frame.body) else { unreachable!() };
        assert_eq!(mechanisms.names().collect::<Vec<_>>(), [&b"A"[..], b"B-PLUS"]);
        assert!(mechanisms.offer("A") && !mechanisms.offer("B"));
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        let check = |length: i32, data: &[u8]| {
            let body = [b"SCRAM-SHA-256\0", &length.to_be_bytes()[..], data].concat();
            InitialResponse::parse(&body).map(|response| response.data.map(<[u8]>::to_vec))
        };
        assert_eq!(check(2, b"ab"), Some(Some(b"ab".to_vec())));
        assert_eq!(check(0, b""), Some(Some(Vec::new())));
        assert_eq!(check(-1, b""), Some(None));
        for (length, data) in
            [(-1, &b"ab"[..]), (-2, b""), (3, b"ab"), (1, b"ab"), (i32::MAX, b"ab"), (i32::MIN, b"")]
        {
            assert_eq!(check(length, data), None, "{length}");
        }
        assert!(InitialResponse::parse(b"SCRAM-SHA-256").is_none());
        assert!(InitialResponse::parse(b"SCRAM-SHA-256\0\0\0").is_none());
    }

    #[test]
    fn initial_response_round_trips() {
        let mut out = Vec::new();
        put_initial_response(&mut out, "M", b"data");
        let response = InitialResponse::parse(Frame::peek(&out).unwrap().unwrap().body).unwrap();
        assert_eq!((response.mechanism, response.data), (&b"M"[..], Some(&b"data"[..])));
    }

    #[test]
    fn keys_are_read_and_not_shown() {
        let key = CancelKey::of_backend(b"\0\0\0\x07secretsecret").unwrap();
        assert_eq!(
            CancelKey::of_request(b"\0\0\0\x14\x04\xd2\x16\x2e\0\0\0\x07secretsecret"),
            Some(key.clone())
        );
        assert_eq!(format!("{key:?}"), "CancelKey(7)");
        assert_eq!(CancelKey::of_backend(b"\0"), None);
    }

    #[test]
    fn versions_are_numbers() {
        for (text, number) in [
            ("15.20 (Debian 15.20-0+deb12u1)", 150_020),
            ("18.4", 180_004),
            ("19beta1", 190_000),
            ("9.6.24", 90_624),
            ("", 0),
            ("x", 0),
            ("99999999999.1", 0),
        ] {
            assert_eq!(version_number(text), number, "{text}");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..64), text in ".*") {
            if let Some(Demand::Sasl(mechanisms)) = Demand::parse(&bytes) {
                let _ = mechanisms.names().count();
            }
            let _ = InitialResponse::parse(&bytes);
            let _ = CancelKey::of_request(&bytes);
            let _ = version_number(&text);
        }
    }
}
