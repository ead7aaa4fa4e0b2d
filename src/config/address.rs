//! Addresses as written: `host:port`, `[v6]:port`, `unix:/directory`.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::str::FromStr;

use super::value::{Setting, plain_setting};

/// Where to listen or connect; the port may be left to another key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Address {
    /// A host name or an IP address; `*` stands for every address of the machine.
    Tcp {
        /// Without brackets.
        host: String,
        /// `None` when not written.
        port: Option<u16>,
    },
    /// A directory that holds `.s.PGSQL.<port>`.
    Unix {
        /// An absolute path.
        directory: PathBuf,
        /// `None` when not written.
        port: Option<u16>,
    },
}

const EXPECTED: &str = "expected \"host:port\", \"[v6 address]:port\" or \"unix:/directory\"";

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let directory = text.strip_prefix("unix:").or_else(|| text.starts_with('/').then_some(text));
        match directory {
            Some(directory) => unix(directory),
            None => tcp(text),
        }
    }
}

fn unix(text: &str) -> Result<Address, String> {
    let (directory, port) = match text.rsplit_once(':') {
        Some((directory, port)) => (directory, Some(number(port)?)),
        None => (text, None),
    };
    if !directory.starts_with('/') {
        return Err("expected an absolute path after \"unix:\"".into());
    }
    Ok(Address::Unix { directory: directory.into(), port })
}

fn tcp(text: &str) -> Result<Address, String> {
    if text.parse::<Ipv6Addr>().is_ok() {
        return Ok(Address::Tcp { host: text.into(), port: None });
    }
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) if host.parse::<Ipv6Addr>().is_ok() => match rest.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if rest.is_empty() => (host, None),
            None => return Err(EXPECTED.into()),
        },
        Some(_) => return Err("expected an IPv6 address between the brackets".into()),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/') {
        return Err(EXPECTED.into());
    }
    Ok(Address::Tcp { host: host.into(), port: port.map(number).transpose()? })
}

fn number(port: &str) -> Result<u16, String> {
    port.parse().map_err(|_| format!("{port:?} is not a port: expected a number from 0 to 65535"))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = match self {
            Self::Tcp { host, port } if host.contains(':') => {
                write!(f, "[{host}]")?;
                port
            }
            Self::Tcp { host, port } => {
                f.write_str(host)?;
                port
            }
            Self::Unix { directory, port } => {
                write!(f, "unix:{}", directory.display())?;
                port
            }
        };
        port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

plain_setting!(Address, "\"host\", \"host:port\" or \"unix:/directory\"", |why| why);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_round_trip() {
        let said: Vec<_> = [
            "127.0.0.1:6432",
            "localhost",
            "*:0",
            "[::1]:6432",
            "::1",
            "[::1]",
            "unix:/run/lockkeeper",
            "/var/run/postgresql",
            "/var/run/postgresql:5433",
            "unix:run",
            "host:port",
            "host:70000",
            "[nope]:1",
            "[::1]x",
            ":5432",
            "a b:1",
            "",
        ]
        .into_iter()
        .map(|text| {
            let read = text.parse::<Address>();
            if let Ok(address) = &read {
                assert_eq!(address.to_string().parse(), read);
            }
            format!("{text:?} -> {}", read.map_or_else(|why| why, |address| address.to_string()))
        })
        .collect();
        insta::assert_snapshot!(said.join("\n"), @r#"
        "127.0.0.1:6432" -> 127.0.0.1:6432
        "localhost" -> localhost
        "*:0" -> *:0
        "[::1]:6432" -> [::1]:6432
        "::1" -> [::1]
        "[::1]" -> [::1]
        "unix:/run/lockkeeper" -> unix:/run/lockkeeper
        "/var/run/postgresql" -> unix:/var/run/postgresql
        "/var/run/postgresql:5433" -> unix:/var/run/postgresql:5433
        "unix:run" -> expected an absolute path after "unix:"
        "host:port" -> "port" is not a port: expected a number from 0 to 65535
        "host:70000" -> "70000" is not a port: expected a number from 0 to 65535
        "[nope]:1" -> expected an IPv6 address between the brackets
        "[::1]x" -> expected "host:port", "[v6 address]:port" or "unix:/directory"
        ":5432" -> expected "host:port", "[v6 address]:port" or "unix:/directory"
        "a b:1" -> expected "host:port", "[v6 address]:port" or "unix:/directory"
        "" -> expected "host:port", "[v6 address]:port" or "unix:/directory"
        "#);
    }
}
