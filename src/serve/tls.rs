//! TLS towards clients: which certificate they are shown, and which they must show.

use std::path::PathBuf;
use std::sync::Arc;

use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};

use crate::upstream::settings::KeyPair;
use crate::upstream::{Problem, certificate, tls};

/// How clients may come, in the words of pgbouncer's `client_tls_sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientSslMode {
    /// Plain text only.
    Disable,
    /// As the client likes.
    Allow,
    /// TLS only.
    Require,
    /// TLS only, with a certificate that `client_roots` have signed.
    VerifyCa,
    /// And that is made out to the user who logs in.
    VerifyFull,
}

/// TLS towards clients, as configured.
#[derive(Debug, Clone)]
pub struct ClientTlsSettings {
    /// How clients may come.
    pub ssl_mode: ClientSslMode,
    /// The certificate that they are shown, and its key.
    pub pair: Option<KeyPair>,
    /// Who signs clients' certificates, as a PEM file.
    pub client_roots: Option<PathBuf>,
}

/// TLS towards clients, ready for use; replaced as a whole when the configuration is read again.
#[derive(Debug)]
pub struct ClientTls {
    ssl_mode: ClientSslMode,
    shown: Option<Shown>,
}

#[derive(Debug)]
struct Shown {
    config: Arc<ServerConfig>,
    certificate: CertificateDer<'static>,
    binding: Option<Vec<u8>>,
}

impl ClientTls {
    /// No TLS.
    pub fn disabled() -> Self {
        Self { ssl_mode: ClientSslMode::Disable, shown: None }
    }

    /// Reads and checks the files.
    pub fn load(settings: &ClientTlsSettings) -> Result<Self, Problem> {
        let ssl_mode = settings.ssl_mode;
        if ssl_mode == ClientSslMode::Disable {
            return Ok(Self::disabled());
        }
        let pair = settings.pair.as_ref().ok_or(Problem::NoServerCertificate)?;
        let provider = Arc::new(ring::default_provider());
        let certified = certified_key(pair, &provider)?;
        let certificate = certified.end_entity_cert()?.clone().into_owned();
        let verifier = verifier(settings, &provider)?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.alpn_protocols = vec![tls::ALPN.to_vec()];
        // Postgres' clients resume nothing, so tickets and remembered sessions would only cost a round of work and memory.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        let binding = certificate::end_point_hash(&certificate);
        Ok(Self { ssl_mode, shown: Some(Shown { config: Arc::new(config), certificate, binding }) })
    }

    /// How clients may come.
    pub fn ssl_mode(&self) -> ClientSslMode {
        self.ssl_mode
    }

    /// What a handshake needs; `None` when there is no TLS.
    pub fn config(&self) -> Option<&Arc<ServerConfig>> {
        self.shown.as_ref().map(|shown| &shown.config)
    }

    /// The certificate that clients are shown.
    pub fn certificate(&self) -> Option<&CertificateDer<'static>> {
        self.shown.as_ref().map(|shown| &shown.certificate)
    }

    /// Its hash for channel binding; `None` for one that has none (Ed25519).
    pub fn binding(&self) -> Option<&[u8]> {
        self.shown.as_ref()?.binding.as_deref()
    }
}

/// Certificate and key as one; not rustls' own check, which reads no certificate of version 1.
fn certified_key(pair: &KeyPair, provider: &CryptoProvider) -> Result<CertifiedKey, Problem> {
    let (chain, key) = certificate::load_pair(pair)?;
    let unusable = |why: String| Problem::Unusable { what: "private key", path: pair.key.clone(), why };
    let key = provider.key_provider.load_private_key(key).map_err(|error| unusable(error.to_string()))?;
    let certified = CertifiedKey::new(chain, key);
    let belongs = certified.key.public_key().map(|key| key.to_vec());
    match (belongs, certificate::public_key(certified.end_entity_cert()?)) {
        (Some(own), Some(of_certificate)) if own != of_certificate => {
            Err(unusable("it does not belong to the certificate".into()))
        }
        _ => Ok(certified),
    }
}

fn verifier(
    settings: &ClientTlsSettings,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, Problem> {
    match settings.ssl_mode {
        ClientSslMode::Disable | ClientSslMode::Allow | ClientSslMode::Require => {
            Ok(WebPkiClientVerifier::no_client_auth())
        }
        ClientSslMode::VerifyCa | ClientSslMode::VerifyFull => {
            let path = settings.client_roots.as_ref().ok_or(Problem::NoClientRoots)?;
            let what = "client root certificate";
            let (roots, _) = certificate::load_roots(what, path)?;
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
                .build()
                .map_err(|error| Problem::Unusable { what, path: path.clone(), why: error.to_string() })
        }
    }
}
