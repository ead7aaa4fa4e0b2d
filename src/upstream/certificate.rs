//! Certificates: read from files, and the three things that Postgres does with them: the hash for channel binding, the
//! names of a client, and trust in one that is its own root.

use std::path::Path;

use sha2::{Digest, Sha256, Sha384, Sha512};
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::oid_registry::{
    OID_HASH_SHA1, OID_MD5_WITH_RSA, OID_NIST_HASH_SHA256, OID_NIST_HASH_SHA384, OID_NIST_HASH_SHA512,
    OID_PKCS1_RSASSAPSS, OID_PKCS1_SHA1WITHRSA, OID_PKCS1_SHA256WITHRSA, OID_PKCS1_SHA384WITHRSA,
    OID_PKCS1_SHA512WITHRSA, OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ECDSA_WITH_SHA384, OID_SIG_ECDSA_WITH_SHA512,
    Oid,
};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use x509_parser::signature_algorithm::SignatureAlgorithm;

use super::Problem;
use super::settings::KeyPair;

/// A certificate chain, end entity first.
pub type Chain = Vec<CertificateDer<'static>>;

/// Reads a certificate chain and its key.
pub fn load_pair(pair: &KeyPair) -> Result<(Chain, PrivateKeyDer<'static>), Problem> {
    let chain = load_certificates("certificate", &pair.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&pair.key)
        .map_err(|error| unreadable("private key", &pair.key, error))?;
    Ok((chain, key))
}

/// Reads the certificates that a peer's certificate may be signed by.
pub fn load_roots(what: &'static str, path: &Path) -> Result<(RootCertStore, Chain), Problem> {
    let certificates = load_certificates(what, path)?;
    let mut roots = RootCertStore::empty();
    for certificate in &certificates {
        // A self-signed server certificate of version 1 cannot be an authority, but it can be trusted as itself.
        let _ = roots.add(certificate.clone());
    }
    Ok((roots, certificates))
}

fn load_certificates(what: &'static str, path: &Path) -> Result<Chain, Problem> {
    let certificates: Chain = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| unreadable(what, path, error))?;
    if certificates.is_empty() {
        return Err(Problem::Missing { what, path: path.to_owned() });
    }
    Ok(certificates)
}

fn unreadable(what: &'static str, path: &Path, error: pem::Error) -> Problem {
    let path = path.to_owned();
    match error {
        pem::Error::Io(source) => Problem::Unreadable { what, path, source },
        pem::Error::NoItemsFound => Problem::Missing { what, path },
        other => Problem::Unusable { what, path, why: other.to_string() },
    }
}

/// The channel binding `tls-server-end-point` (RFC 5929 section 4.1): the certificate's hash by the algorithm of its own
/// signature, MD5 and SHA-1 replaced by SHA-256. `None` where the signature names no hash (Ed25519), as in Postgres.
pub fn end_point_hash(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let algorithm = &parsed.signature_algorithm;
    let pss;
    let by: &Oid<'_> = if algorithm.algorithm == OID_PKCS1_RSASSAPSS {
        pss = SignatureAlgorithm::try_from(algorithm).ok()?;
        match &pss {
            SignatureAlgorithm::RSASSA_PSS(parameters) => parameters.hash_algorithm_oid(),
            SignatureAlgorithm::RSA
            | SignatureAlgorithm::RSAAES_OAEP(_)
            | SignatureAlgorithm::DSA
            | SignatureAlgorithm::ECDSA
            | SignatureAlgorithm::ED25519 => return None,
        }
    } else {
        &algorithm.algorithm
    };
    let is = |known: &[Oid<'_>]| known.contains(by);
    if is(&[OID_PKCS1_SHA256WITHRSA, OID_SIG_ECDSA_WITH_SHA256, OID_NIST_HASH_SHA256])
        || is(&[OID_MD5_WITH_RSA, OID_PKCS1_SHA1WITHRSA, OID_HASH_SHA1, ecdsa_with_sha1()])
    {
        Some(Sha256::digest(certificate).to_vec())
    } else if is(&[OID_PKCS1_SHA384WITHRSA, OID_SIG_ECDSA_WITH_SHA384, OID_NIST_HASH_SHA384]) {
        Some(Sha384::digest(certificate).to_vec())
    } else if is(&[OID_PKCS1_SHA512WITHRSA, OID_SIG_ECDSA_WITH_SHA512, OID_NIST_HASH_SHA512]) {
        Some(Sha512::digest(certificate).to_vec())
    } else {
        None
    }
}

/// 1.2.840.10045.4.1, which the registry does not name.
fn ecdsa_with_sha1() -> Oid<'static> {
    const DER: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01];
    Oid::new(DER.into())
}

/// Whether a client's certificate is made out to `user`: by its first common name, as Postgres reads it, or by an alternative
/// name that is a DNS name or a mail address. Compared byte by byte.
pub fn is_for_user(certificate: &CertificateDer<'_>, user: &[u8]) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return false };
    let common_name = parsed.subject().iter_common_name().next();
    if common_name.is_some_and(|name| name.as_slice() == user) {
        return true;
    }
    alternative_names(&parsed).iter().any(|name| match name {
        GeneralName::DNSName(name) | GeneralName::RFC822Name(name) => name.as_bytes() == user,
        _ => false,
    })
}

/// Whether a certificate without any alternative DNS name is for `host` by its common name, which libpq still accepts.
pub fn common_name_is(certificate: &CertificateDer<'_>, host: &str) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return false };
    if alternative_names(&parsed).iter().any(|name| matches!(name, GeneralName::DNSName(_))) {
        return false;
    }
    let name = parsed.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
    name.is_some_and(|name| name_matches(name, host))
}

/// libpq's rule (`wildcard_certificate_match`): a star stands for the whole first label, and nothing else.
fn name_matches(pattern: &str, host: &str) -> bool {
    if pattern.eq_ignore_ascii_case(host) {
        return true;
    }
    match (pattern.strip_prefix("*."), host.split_once('.')) {
        (Some(domain), Some((label, rest))) => {
            !label.is_empty() && domain.contains('.') && domain.eq_ignore_ascii_case(rest)
        }
        _ => false,
    }
}

/// Whether today lies within the certificate's dates.
pub fn is_in_its_dates(certificate: &CertificateDer<'_>, unix_seconds: i64) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return false };
    let validity = parsed.validity();
    (validity.not_before.timestamp()..=validity.not_after.timestamp()).contains(&unix_seconds)
}

/// The certificate's public key as it stands in it.
pub fn public_key(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    Some(parsed.public_key().raw.to_vec())
}

fn alternative_names<'a>(parsed: &'a X509Certificate<'_>) -> &'a [GeneralName<'a>] {
    match parsed.subject_alternative_name() {
        Ok(Some(extension)) => &extension.value.general_names,
        Ok(None) | Err(_) => &[],
    }
}
