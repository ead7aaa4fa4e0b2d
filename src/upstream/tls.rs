//! TLS towards Postgres: what libpq's `sslmode` makes of a server's certificate.

use std::sync::Arc;

use rustls_platform_verifier::Verifier;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{
    Resumption, verify_server_cert_signed_by_trust_anchor, verify_server_name,
};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature, verify_tls13_signature_with_raw_key,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use super::Problem;
use super::certificate::{self, Chain};
use super::settings::{Roots, SslMode, UpstreamSettings};

/// The protocol name of ALPN, for both legs.
pub const ALPN: &[u8] = b"postgresql";

/// How TLS towards the servers begins; `None` when the settings never want it.
pub fn connector(settings: &UpstreamSettings) -> Result<Option<TlsConnector>, Problem> {
    if settings.ssl_mode == SslMode::Disable {
        return Ok(None);
    }
    let provider = Arc::new(ring::default_provider());
    let verifier = verifier(settings, &provider)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match &settings.client_certificate {
        Some(pair) => {
            let (chain, key) = certificate::load_pair(pair)?;
            builder.with_client_auth_cert(chain, key)?
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    // Postgres resumes no session, so remembering them is only memory.
    config.resumption = Resumption::disabled();
    Ok(Some(TlsConnector::from(Arc::new(config))))
}

fn verifier(
    settings: &UpstreamSettings,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, Problem> {
    let check = match (settings.ssl_mode, &settings.roots) {
        (SslMode::VerifyFull, Roots::System | Roots::Unset) => {
            return Ok(Arc::new(Verifier::new(Arc::clone(provider))?));
        }
        (SslMode::VerifyCa, Roots::Unset) => return Err(Problem::NoRoots),
        (SslMode::VerifyCa | SslMode::Require, Roots::System) => return Err(Problem::SystemRootsNeedFull),
        (SslMode::VerifyFull, Roots::File(path)) => Check::SignedAndNamed(Anchors::load(path)?),
        (SslMode::VerifyCa | SslMode::Require, Roots::File(path)) => Check::Signed(Anchors::load(path)?),
        (SslMode::Disable | SslMode::Allow | SslMode::Prefer, _) | (SslMode::Require, Roots::Unset) => {
            Check::Nothing
        }
    };
    Ok(Arc::new(LibpqVerifier { provider: Arc::clone(provider), check }))
}

/// What a certificate may be trusted by: a signature of one of the roots, or by being one of them itself.
#[derive(Debug)]
struct Anchors {
    roots: RootCertStore,
    /// A self-signed server certificate that is its own root: OpenSSL takes it, webpki does not.
    itself: Chain,
}

impl Anchors {
    fn load(path: &std::path::Path) -> Result<Self, Problem> {
        let (roots, itself) = certificate::load_roots("root certificate", path)?;
        Ok(Self { roots, itself })
    }
}

#[derive(Debug)]
enum Check {
    Nothing,
    Signed(Anchors),
    SignedAndNamed(Anchors),
}

#[derive(Debug)]
struct LibpqVerifier {
    provider: Arc<CryptoProvider>,
    check: Check,
}

impl LibpqVerifier {
    fn signed(
        &self,
        anchors: &Anchors,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        if anchors.itself.contains(end_entity) {
            let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
            return if certificate::is_in_its_dates(end_entity, now) {
                Ok(())
            } else {
                Err(CertificateError::Expired.into())
            };
        }
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(end_entity)?,
            &anchors.roots,
            intermediates,
            now,
            self.provider.signature_verification_algorithms.all,
        )
    }
}

fn named(end_entity: &CertificateDer<'_>, host: &ServerName<'_>) -> Result<(), Error> {
    let parsed = ParsedCertificate::try_from(end_entity);
    let verified = parsed.and_then(|parsed| verify_server_name(&parsed, host));
    match verified {
        Err(_) if certificate::common_name_is(end_entity, &host.to_str()) => Ok(()),
        verified => verified,
    }
}

impl ServerCertVerifier for LibpqVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.check {
            Check::Nothing => {}
            Check::Signed(anchors) => self.signed(anchors, end_entity, intermediates, now)?,
            Check::SignedAndNamed(anchors) => {
                self.signed(anchors, end_entity, intermediates, now)?;
                named(end_entity, server_name)?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        let verified = verify_tls13_signature(message, certificate, signed, algorithms);
        // webpki reads no certificate of version 1, which `openssl x509 -req` long made by default; its key is good all the same.
        match (verified, certificate::public_key(certificate)) {
            (Err(Error::InvalidCertificate(_)), Some(key)) => {
                let key = SubjectPublicKeyInfoDer::from(key);
                verify_tls13_signature_with_raw_key(message, &key, signed, algorithms)
            }
            (verified, _) => verified,
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
