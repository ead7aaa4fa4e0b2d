//! How to reach Postgres, in libpq's words.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Everything about the way to the servers. [`super::Upstream::load`] checks it as a whole.
#[derive(Clone)]
pub struct UpstreamSettings {
    /// Tried in this order.
    pub hosts: Vec<Host>,
    /// Whether to encrypt, and what to verify.
    pub ssl_mode: SslMode,
    /// How TLS begins.
    pub ssl_negotiation: SslNegotiation,
    /// Who may sign the server's certificate.
    pub roots: Roots,
    /// A certificate to show to the server.
    pub client_certificate: Option<KeyPair>,
    /// Which of the hosts will do.
    pub target: TargetSessionAttrs,
    /// How long connecting to one host may take, TLS included.
    pub connect_timeout: Duration,
    /// What the kernel does about peers that vanish.
    pub liveness: Liveness,
    /// How the proxy itself logs in, for the questions that it has on its own behalf; host and port in it are not used.
    pub control: Option<tokio_postgres::Config>,
}

impl UpstreamSettings {
    /// The settings for these hosts with everything else as libpq would have it.
    pub fn new(hosts: Vec<Host>) -> Self {
        Self {
            hosts,
            ssl_mode: SslMode::Prefer,
            ssl_negotiation: SslNegotiation::Postgres,
            roots: Roots::Unset,
            client_certificate: None,
            target: TargetSessionAttrs::Any,
            connect_timeout: Duration::from_secs(10),
            liveness: Liveness::default(),
            control: None,
        }
    }
}

/// One server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// By name or address.
    Tcp {
        /// Without brackets.
        name: String,
        /// 1 to 65535.
        port: u16,
    },
    /// By the socket `.s.PGSQL.<port>` in a directory.
    Unix {
        /// An absolute path.
        directory: PathBuf,
        /// Part of the socket's name.
        port: u16,
    },
}

impl Host {
    /// A server by name or address.
    pub fn tcp(name: impl Into<String>, port: u16) -> Self {
        Self::Tcp { name: name.into(), port }
    }

    /// A server by the directory of its socket.
    pub fn unix(directory: impl Into<PathBuf>, port: u16) -> Self {
        Self::Unix { directory: directory.into(), port }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { name, port } if name.contains(':') => write!(f, "[{name}]:{port}"),
            Self::Tcp { name, port } => write!(f, "{name}:{port}"),
            Self::Unix { directory, port } => write!(f, "{}/.s.PGSQL.{port}", directory.display()),
        }
    }
}

/// libpq's `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// Never TLS.
    Disable,
    /// Plain first; TLS if the server refuses that.
    Allow,
    /// TLS first; plain if the server has none or refuses it.
    Prefer,
    /// TLS or nothing; the certificate is verified only if roots are given, as libpq does.
    Require,
    /// TLS, and the certificate must be signed by one of the roots.
    VerifyCa,
    /// And it must be for the host's name.
    VerifyFull,
}

/// libpq's `sslnegotiation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslNegotiation {
    /// Ask first.
    Postgres,
    /// Begin at once (Postgres 17 and later).
    Direct,
}

/// libpq's `sslrootcert`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Roots {
    /// Not given: `verify-full` then trusts what the system trusts, and `verify-ca` has nothing to verify against.
    Unset,
    /// A PEM file.
    File(PathBuf),
    /// What the system trusts.
    System,
}

/// A certificate and its private key, as PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPair {
    /// The certificate and its chain.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// libpq's `target_session_attrs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetSessionAttrs {
    /// The first host that answers.
    Any,
    /// Not in recovery and not read-only by default.
    ReadWrite,
    /// The opposite of read-write.
    ReadOnly,
    /// Not in recovery.
    Primary,
    /// In recovery.
    Standby,
    /// In recovery; if there is none, any.
    PreferStandby,
}

/// What the kernel does about peers that vanish without a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Liveness {
    /// Idle time before the first probe.
    pub keepalive_idle: Duration,
    /// Time between probes.
    pub keepalive_interval: Duration,
    /// Unanswered probes after which the peer counts as gone.
    pub keepalive_count: u32,
    /// How long sent bytes may stay unacknowledged; the kernel's own choice when not given.
    pub tcp_user_timeout: Option<Duration>,
}

impl Default for Liveness {
    fn default() -> Self {
        Self {
            keepalive_idle: Duration::from_mins(2),
            keepalive_interval: Duration::from_secs(15),
            keepalive_count: 4,
            tcp_user_timeout: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_read_as_people_write_them() {
        assert_eq!(Host::tcp("db1", 5432).to_string(), "db1:5432");
        assert_eq!(Host::tcp("::1", 5432).to_string(), "[::1]:5432");
        assert_eq!(Host::unix("/run/pg", 5433).to_string(), "/run/pg/.s.PGSQL.5433");
    }
}
