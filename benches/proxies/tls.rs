//! One certificate for everybody who ends TLS here, and what our own client needs to trust it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lockkeeper::cluster::Tls;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::crypto::ring::default_provider;

/// The certificate, in memory and as files.
#[derive(Debug)]
pub(crate) struct Certificate {
    /// The chain in PEM.
    pub(crate) chain_file: PathBuf,
    /// Its key in PEM.
    pub(crate) key_file: PathBuf,
    /// For our own client.
    pub(crate) client: Arc<ClientConfig>,
    /// For Postgres.
    pub(crate) server: Tls,
}

impl Certificate {
    /// Makes one, with its files in `folder`.
    pub(crate) fn make(folder: &Path) -> anyhow::Result<Self> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()])?;
        let (chain_file, key_file) = (folder.join("server.crt"), folder.join("server.key"));
        let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        fs::write(&chain_file, &chain)?;
        fs::write(&key_file, &key)?;
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone())?;
        let client = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let server = Tls { certificate: chain, key, client_authority: None };
        Ok(Self { chain_file, key_file, client: Arc::new(client), server })
    }
}
