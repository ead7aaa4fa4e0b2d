//! What can be wrong with the settings of either side's TLS, found before any session is served.

use std::io;
use std::path::PathBuf;

use thiserror::Error;
use tokio_rustls::rustls;

/// Why settings cannot be used.
#[derive(Debug, Error)]
pub enum Problem {
    /// No host at all.
    #[error("no upstream host is given")]
    NoHost,
    /// A file cannot be read.
    #[error("cannot read {what} from {}", path.display())]
    Unreadable {
        /// What the file is for.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file holds nothing of what it is for.
    #[error("found no {what} in {}", path.display())]
    Missing {
        /// What was looked for.
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// A file holds something unusable.
    #[error("cannot use {what} in {}: {why}", path.display())]
    Unusable {
        /// What the file is for.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// rustls refuses the whole.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
    /// `verify-ca` without roots.
    #[error("sslmode verify-ca needs the certificate authorities to verify against (sslrootcert)")]
    NoRoots,
    /// The system's roots with a mode that lets any of their customers in.
    #[error("the system's certificate authorities are good for sslmode verify-full only")]
    SystemRootsNeedFull,
    /// `direct` with a mode that may end up in plain text.
    #[error("direct TLS negotiation needs sslmode require, verify-ca or verify-full")]
    DirectNeedsRequire,
    /// Choosing a host needs a login of the proxy's own.
    #[error(
        "target_session_attrs other than \"any\" needs a control connection to ask the hosts for their role"
    )]
    TargetNeedsControl,
    /// TLS towards clients without certificate or key.
    #[error("TLS for clients needs a certificate and its key")]
    NoServerCertificate,
    /// Verifying clients without the authority to verify against.
    #[error("verifying clients' certificates needs the certificate authorities that sign them (client_ca)")]
    NoClientRoots,
}
