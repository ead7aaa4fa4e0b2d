//! Who is measured.

/// A way to Postgres.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Contender {
    /// No proxy at all.
    Direct,
    /// HAProxy in TCP mode: it reads nothing of the protocol.
    Haproxy,
    /// pgbouncer in session mode: a connection of its own for each session.
    Pgbouncer,
    /// This build.
    Lockkeeper,
    /// Another build of lockkeeper.
    Against,
    /// `tokio::io::copy_bidirectional` in a loop.
    Forwarder,
}

impl Contender {
    /// The heading of its column.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Haproxy => "HAProxy",
            Self::Pgbouncer => "pgbouncer",
            Self::Lockkeeper => "lockkeeper",
            Self::Against => "lockkeeper (other build)",
            Self::Forwarder => "plain forwarder",
        }
    }

    /// Whether there is a process whose costs can be read.
    pub(crate) const fn is_proxy(self) -> bool {
        !matches!(self, Self::Direct)
    }

    /// Whether it can end TLS of Postgres clients. HAProxy can't: it doesn't know the `SSLRequest` that comes first.
    pub(crate) const fn speaks_tls(self) -> bool {
        !matches!(self, Self::Haproxy | Self::Forwarder)
    }
}
