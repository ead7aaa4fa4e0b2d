//! The first packet of a connection: what it asks for, read without changing it.
//!
//! The packet itself is forwarded byte for byte; this module only looks. Source: `ProcessStartupPacket` in
//! `backend_startup.c` (`postmaster.c` before 17).

use super::frame::take_string;

/// The shortest first packet, its length included.
pub const LENGTH_MIN: usize = 8;
/// The longest first packet, its length included; Postgres' own `MAX_STARTUP_PACKET_LENGTH` leaves the length word out.
pub const LENGTH_MAX: usize = 10_004;
/// The lengths that a `CancelRequest` may have: a key of 4 to 256 bytes.
pub const CANCEL_LENGTHS: std::ops::RangeInclusive<usize> = 16..=268;

pub(crate) const CANCEL: u32 = special(5678);
const SSL: u32 = special(5679);
const GSSENC: u32 = special(5680);

/// Requests that are no protocol version have an impossible major one.
const fn special(minor: u32) -> u32 {
    1234 * 0x1_0000 + minor
}

/// What a first packet asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// TLS, please.
    Ssl,
    /// GSSAPI encryption, please.
    GssEnc,
    /// Cancel somebody's statement.
    Cancel,
    /// A session; whether its version and parameters are any good is for the server to say.
    Startup,
}

impl Request {
    /// Reads the code of a packet of at least eight bytes.
    pub fn of(packet: &[u8]) -> Option<Self> {
        Some(match u32::from_be_bytes(*packet.get(4..8)?.first_chunk()?) {
            SSL => Self::Ssl,
            GSSENC => Self::GssEnc,
            CANCEL => Self::Cancel,
            _ => Self::Startup,
        })
    }
}

/// Whether a session is a walsender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replication {
    /// An ordinary session.
    No,
    /// A walsender without a database: replication commands only.
    Physical,
    /// A walsender in a database: SQL too, by the simple protocol.
    Logical,
}

/// Why a start-up packet cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Shorter than eight bytes, longer than the limit, or its length word says something else.
    #[error("invalid length of startup packet")]
    Length,
    /// Not protocol 3.
    #[error("unsupported frontend protocol")]
    Version,
    /// A parameter without value, no terminator, or bytes after it.
    #[error("invalid startup packet layout: expected terminator as last byte")]
    Layout,
    /// No user.
    #[error("no user name specified in startup packet")]
    NoUser,
}

/// A well-formed start-up packet of protocol 3, seen in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Startup<'a> {
    minor: u16,
    /// Name, NUL, value, NUL, and so on, without the last NUL.
    parameters: &'a [u8],
}

impl<'a> Startup<'a> {
    /// Checks a whole packet, length word included.
    pub fn parse(packet: &'a [u8]) -> Result<Self, Malformed> {
        let length =
            packet.first_chunk::<4>().map(|word| u32::from_be_bytes(*word)).ok_or(Malformed::Length)?;
        let agrees = usize::try_from(length).is_ok_and(|length| length == packet.len());
        if !agrees || !(LENGTH_MIN..=LENGTH_MAX).contains(&packet.len()) {
            return Err(Malformed::Length);
        }
        let major = packet.get(4..6).and_then(<[u8]>::first_chunk).map(|word| u16::from_be_bytes(*word));
        let minor = packet.get(6..8).and_then(<[u8]>::first_chunk).map(|word| u16::from_be_bytes(*word));
        let (Some(3), Some(minor)) = (major, minor) else { return Err(Malformed::Version) };
        let parameters = packet.get(8..).and_then(|rest| rest.strip_suffix(&[0])).ok_or(Malformed::Layout)?;
        let startup = Self { minor, parameters };
        startup.check_layout()?;
        if startup.get(b"user").is_none_or(<[u8]>::is_empty) {
            return Err(Malformed::NoUser);
        }
        Ok(startup)
    }

    /// The parameters must fill the packet to the terminator: an empty name ends the list early for Postgres.
    fn check_layout(&self) -> Result<(), Malformed> {
        let mut rest = self.parameters;
        while !rest.is_empty() {
            let (name, after) = take_string(rest).ok_or(Malformed::Layout)?;
            let (_, after) = take_string(after).ok_or(Malformed::Layout)?;
            if name.is_empty() {
                return Err(Malformed::Layout);
            }
            rest = after;
        }
        Ok(())
    }

    /// The minor protocol version that the client asks for.
    pub fn minor(&self) -> u16 {
        self.minor
    }

    /// Name and value of each parameter, as sent.
    pub fn parameters(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let mut rest = self.parameters;
        std::iter::from_fn(move || {
            let (name, after) = take_string(rest)?;
            let (value, after) = take_string(after)?;
            rest = after;
            Some((name, value))
        })
    }

    /// The value of a parameter; of several with one name the last counts, as it does for Postgres.
    pub fn get(&self, wanted: &[u8]) -> Option<&'a [u8]> {
        self.parameters().filter(|(name, _)| *name == wanted).last().map(|(_, value)| value)
    }

    /// A parameter as text; what is not UTF-8 is shown by replacement characters.
    pub fn text(&self, wanted: &str) -> Option<String> {
        self.get(wanted.as_bytes()).map(|value| String::from_utf8_lossy(value).into_owned())
    }

    /// Whether the session asks to be a walsender, and of which kind.
    ///
    /// `database` is the logical kind; else Postgres reads a boolean (`parse_bool`), whose refusals count as no. A later
    /// `true` does not take the database away again (`ProcessStartupPacket`).
    pub fn replication(&self) -> Replication {
        match self.get(b"replication") {
            Some(value) if value != b"database" && !is_true(value) => Replication::No,
            Some(_) if self.parameters().any(|pair| pair == (b"replication", b"database")) => {
                Replication::Logical
            }
            Some(_) => Replication::Physical,
            None => Replication::No,
        }
    }
}

/// `parse_bool`: unique prefixes of true, yes, on, and 1, in any case.
fn is_true(value: &[u8]) -> bool {
    let value = value.to_ascii_lowercase();
    let prefix = |word: &[u8], least: usize| value.len() >= least && word.starts_with(&value);
    prefix(b"true", 1) || prefix(b"yes", 1) || value == b"on" || value == b"1"
}

/// The settings that the `options` parameter asks for, in order: `-c name=value`, `-cname=value`, `--name=value`.
///
/// Splits as Postgres does (`pg_split_opts`, `process_postgres_switches`): at white space, a backslash makes the next
/// character literal, dashes in names become underscores. Other switches are left to the server.
pub fn option_settings(options: &str) -> Vec<(String, String)> {
    let mut settings = Vec::new();
    let mut words = words(options).into_iter();
    while let Some(word) = words.next() {
        let assignment = match (word.strip_prefix("--"), word.strip_prefix("-c")) {
            (None, Some("")) => words.next().unwrap_or_default(),
            (Some(rest), _) | (None, Some(rest)) => rest.to_owned(),
            (None, None) => continue,
        };
        if let Some((name, value)) = assignment.split_once('=').filter(|(name, _)| !name.is_empty()) {
            settings.push((name.replace('-', "_"), value.to_owned()));
        }
    }
    settings
}

fn words(options: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = options.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => word.get_or_insert_default().extend(characters.next()),
            _ if character.is_ascii_whitespace() || character == '\u{b}' => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(version: u32, body: &[u8]) -> Vec<u8> {
        let mut packet = u32::try_from(body.len() + 8).unwrap().to_be_bytes().to_vec();
        packet.extend(version.to_be_bytes());
        packet.extend(body);
        packet
    }

    #[test]
    fn the_last_of_equal_names_counts() {
        let packet = packet(3 << 16, b"user\0a\0database\0d\0user\0b\0replication\0TR\0\0");
        let startup = Startup::parse(&packet).unwrap();
        assert_eq!(startup.text("user").as_deref(), Some("b"));
        assert_eq!(startup.text("database").as_deref(), Some("d"));
        assert_eq!(startup.parameters().count(), 4);
        assert_eq!(startup.replication(), Replication::Physical);
    }

    #[test]
    fn what_postgres_refuses_is_malformed() {
        let check = |version, body: &[u8]| Startup::parse(&packet(version, body)).map(|_| ()).unwrap_err();
        assert_eq!(check(2 << 16, b"user\0a\0\0"), Malformed::Version);
        assert_eq!(check(3 << 16, b"user\0a\0"), Malformed::Layout);
        assert_eq!(check(3 << 16, b""), Malformed::Layout);
        assert_eq!(check(3 << 16, b"user\0a\0\0more\0"), Malformed::Layout);
        assert_eq!(check(3 << 16, b"user\0\0\0"), Malformed::NoUser);
        assert_eq!(check(3 << 16, b"\0"), Malformed::NoUser);
        assert_eq!(Startup::parse(&[0, 0, 0, 9, 0, 3, 0, 0]).unwrap_err(), Malformed::Length);
    }

    #[test]
    fn requests_are_told_by_their_code() {
        assert_eq!(Request::of(&packet(80_877_103, b"")), Some(Request::Ssl));
        assert_eq!(Request::of(&packet(80_877_104, b"")), Some(Request::GssEnc));
        assert_eq!(Request::of(&packet(80_877_102, b"")), Some(Request::Cancel));
        assert_eq!(Request::of(&packet(0x0003_0002, b"")), Some(Request::Startup));
        assert_eq!(Request::of(&[0; 7]), None);
    }

    #[test]
    fn options_split_as_postgres_splits_them() {
        let check = |options, expected: &[(&str, &str)]| {
            let settings = option_settings(options);
            let found: Vec<_> =
                settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!(found, expected, "{options}");
        };
        check("-c a=b --lock-timeout=5s -cx.y=1", &[("a", "b"), ("lock_timeout", "5s"), ("x.y", "1")]);
        check(r"-c search_path=a\ b -c q=\\", &[("search_path", "a b"), ("q", "\\")]);
        check("-c= -c -- \\", &[]);
        check("-e -c", &[]);
        check("", &[]);
    }

    #[test]
    fn replication_is_a_boolean_or_database() {
        let check = |value: &str| {
            let packet = packet(3 << 16, format!("user\0u\0replication\0{value}\0\0").as_bytes());
            Startup::parse(&packet).unwrap().replication()
        };
        assert_eq!(check("database\0replication\0on"), Replication::Logical);
        assert_eq!(check("database\0replication\0off"), Replication::No);
        assert_eq!(check("database"), Replication::Logical);
        for value in ["true", "t", "YES", "on", "1"] {
            assert_eq!(check(value), Replication::Physical, "{value}");
        }
        for value in ["", "false", "off", "0", "o", "trues", "Database"] {
            assert_eq!(check(value), Replication::No, "{value}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), options in ".*") {
            let _ = Startup::parse(&bytes);
            let _ = Startup::parse(&packet(3 << 16, &bytes));
            let _ = Request::of(&bytes);
            let _ = option_settings(&options);
        }

        #[test]
        fn what_is_written_is_read(pairs in prop::collection::vec(("[a-z_.]{1,9}", "[^\0]{0,9}"), 0..9)) {
            let mut body = b"user\0me\0".to_vec();
            for (name, value) in &pairs {
                body.extend(format!("x{name}\0{value}\0").bytes());
            }
            body.push(0);
            let packet = packet(3 << 16, &body);
            let startup = Startup::parse(&packet).unwrap();
            for (name, _) in &pairs {
                let name = format!("x{name}");
                let last = pairs.iter().rfind(|(other, _)| format!("x{other}") == name).unwrap();
                prop_assert_eq!(startup.text(&name), Some(last.1.clone()));
            }
        }
    }
}
