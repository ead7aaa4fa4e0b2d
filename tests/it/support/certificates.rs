//! Certificates for tests: an authority, and what it has signed, as files.

use std::path::{Path, PathBuf};

use lockkeeper::cluster::Tls;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519,
    SignatureAlgorithm,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;

/// An authority whose certificates nobody trusts who was not told to.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    folder: TempDir,
}

/// A certificate, signed by an authority, and its key.
pub(crate) struct Issued {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, "authority of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("key");
        let pem = params.self_signed(&key).expect("certificate").pem();
        let folder = tempfile::tempdir().expect("temporary folder");
        std::fs::write(folder.path().join("root.crt"), &pem).expect("root certificate");
        Self { issuer: Issuer::new(params, key), pem, folder }
    }

    /// Where its own certificate is.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("root.crt")
    }

    /// Its own certificate.
    pub(crate) fn pem(&self) -> String {
        self.pem.clone()
    }

    /// A certificate for localhost, under a file name.
    pub(crate) fn server(&self, name: &str) -> Issued {
        self.issue(name, &["localhost".into(), "127.0.0.1".into()], name, &PKCS_ECDSA_P256_SHA256)
    }

    /// A certificate for localhost that has no hash for channel binding.
    pub(crate) fn server_without_binding(&self, name: &str) -> Issued {
        self.issue(name, &["localhost".into(), "127.0.0.1".into()], name, &PKCS_ED25519)
    }

    /// A certificate made out to a user.
    pub(crate) fn client(&self, user: &str) -> Issued {
        self.issue(&format!("client-{user}"), &[], user, &PKCS_ECDSA_P256_SHA256)
    }

    fn issue(
        &self,
        file: &str,
        names: &[String],
        common_name: &str,
        algorithm: &'static SignatureAlgorithm,
    ) -> Issued {
        let mut params = CertificateParams::new(names.to_vec()).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, common_name);
        let key = KeyPair::generate_for(algorithm).expect("key");
        let certificate = params.signed_by(&key, &self.issuer).expect("certificate").pem();
        let issued = Issued {
            certificate: self.folder.path().join(format!("{file}.crt")),
            key: self.folder.path().join(format!("{file}.key")),
        };
        std::fs::write(&issued.certificate, certificate).expect("certificate");
        write_private(&issued.key, &key.serialize_pem());
        issued
    }
}

impl Issued {
    /// The same for a cluster, which asks clients for certificates of `authority` if there is one.
    pub(crate) fn for_cluster(&self, authority: Option<&Authority>) -> Tls {
        Tls {
            certificate: read(&self.certificate),
            key: read(&self.key),
            client_authority: authority.map(Authority::pem),
        }
    }

    /// The same for rustls.
    pub(crate) fn for_rustls(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let certificates = CertificateDer::pem_file_iter(&self.certificate).expect("certificate");
        (
            certificates.collect::<Result<_, _>>().expect("certificates"),
            PrivateKeyDer::from_pem_file(&self.key).expect("key"),
        )
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("certificate")
}

/// libpq refuses a key that others can read.
fn write_private(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text).expect("key");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("permissions");
}
