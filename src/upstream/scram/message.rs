//! SCRAM's four messages, read strictly and within bounds. Source: `auth-scram.c` and `fe-auth-scram.c`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use super::proof::{Key, Proof};

/// The longest nonce, of either side or both together.
const NONCE_BYTES_MAX: usize = 1024;
/// The longest salt; Postgres makes 16 bytes.
pub(super) const SALT_BYTES_MAX: usize = 1024;
/// The highest count; the client has to do the work, whoever asked for it.
pub(super) const ITERATIONS_MAX: u32 = 1_000_000;

/// Why a message is none of SCRAM's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Malformed {
    /// Not UTF-8 or too long.
    #[error("malformed SCRAM message")]
    Text,
    /// An attribute is missing, in the wrong place or not what it must be.
    #[error("malformed SCRAM message: attribute \"{0}\" is missing or wrong")]
    Attribute(char),
    /// An authorization identity, which Postgres does not know.
    #[error("client uses authorization identity, but it is not supported")]
    AuthorizationIdentity,
    /// A channel binding other than `tls-server-end-point`.
    #[error("unsupported SCRAM channel-binding type")]
    BindingType,
    /// A mandatory extension.
    #[error("client requires an unsupported SCRAM extension")]
    Extension,
}

/// What a client says about channel binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flag {
    /// `n`: it does not do it.
    Without,
    /// `y`: it could, but believes that the server cannot.
    ServerCannot,
    /// `p=tls-server-end-point`: it does it.
    EndPoint,
}

/// The client's first message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFirst {
    flag: Flag,
    nonce: String,
    /// Without the flag, as it goes into the proof.
    bare: String,
}

impl ClientFirst {
    /// Reads one. The user name in it is ignored, as Postgres does: the start-up packet's counts.
    pub fn parse(message: &[u8]) -> Result<Self, Malformed> {
        let text = text(message)?;
        let (flag, rest) = text.split_once(',').ok_or(Malformed::Attribute('n'))?;
        let flag = match flag {
            "n" => Flag::Without,
            "y" => Flag::ServerCannot,
            "p=tls-server-end-point" => Flag::EndPoint,
            other if other.starts_with("p=") => return Err(Malformed::BindingType),
            _ => return Err(Malformed::Attribute('n')),
        };
        let Some(("", bare)) = rest.split_once(',') else { return Err(Malformed::AuthorizationIdentity) };
        if bare.starts_with("m=") {
            return Err(Malformed::Extension);
        }
        let mut attributes = bare.split(',');
        attribute(attributes.next(), 'n')?;
        let nonce = checked_nonce(attribute(attributes.next(), 'r')?)?;
        Ok(Self { flag, nonce, bare: bare.to_owned() })
    }

    /// One of ours, with an empty user name as libpq sends it.
    pub(super) fn of_ours(flag: Flag, nonce: &str) -> Self {
        Self { flag, nonce: nonce.to_owned(), bare: format!("n=,r={nonce}") }
    }

    /// What the client says about channel binding.
    pub fn flag(&self) -> Flag {
        self.flag
    }

    pub(super) fn nonce(&self) -> &str {
        &self.nonce
    }

    pub(super) fn bare(&self) -> &str {
        &self.bare
    }

    /// The message as sent.
    pub(super) fn text(&self) -> String {
        format!("{}{}", header(self.flag), self.bare)
    }
}

/// What stands before the bare message, and, encoded, before the binding data in the final one.
pub(super) fn header(flag: Flag) -> &'static str {
    match flag {
        Flag::Without => "n,,",
        Flag::ServerCannot => "y,,",
        Flag::EndPoint => "p=tls-server-end-point,,",
    }
}

/// What Postgres makes verifiers with (`SCRAM_SHA_256_DEFAULT_ITERATIONS`).
const ITERATIONS_USUAL: u32 = 4096;

/// The server's first message: the salt and the count that the role's verifier was made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFirst {
    nonce: String,
    salt: Vec<u8>,
    iterations: u32,
    text: String,
}

impl ServerFirst {
    /// Reads a server's answer to a client's nonce, which its own must continue.
    pub fn parse(message: &[u8], client_nonce: &str) -> Result<Self, Malformed> {
        let text = text(message)?;
        let mut attributes = text.split(',');
        let nonce = checked_nonce(attribute(attributes.next(), 'r')?)?;
        if !nonce.starts_with(client_nonce) || nonce.len() == client_nonce.len() {
            return Err(Malformed::Attribute('r'));
        }
        let salt =
            STANDARD.decode(attribute(attributes.next(), 's')?).map_err(|_| Malformed::Attribute('s'))?;
        if salt.is_empty() || salt.len() > SALT_BYTES_MAX {
            return Err(Malformed::Attribute('s'));
        }
        let count = attribute(attributes.next(), 'i')?;
        let digits = count.len() <= 10 && count.bytes().all(|byte| byte.is_ascii_digit());
        let iterations = count
            .parse()
            .ok()
            .filter(|count| digits && (1..=ITERATIONS_MAX).contains(count))
            .ok_or(Malformed::Attribute('i'))?;
        if attributes.next().is_some() {
            return Err(Malformed::Extension);
        }
        Ok(Self { nonce, salt, iterations, text: text.to_owned() })
    }

    /// What a verifier was made with, for an exchange that has no nonce yet.
    pub(super) fn made_with(iterations: u32, salt: &[u8]) -> Self {
        Self { nonce: String::new(), salt: salt.to_vec(), iterations, text: String::new() }
    }

    /// The challenge of a user who does not exist: it looks like any other, and is always the same.
    pub fn of_unknown(user: &str, secret: &str) -> Self {
        let salt = super::proof::signature(secret.as_bytes(), user.as_bytes());
        Self::made_with(ITERATIONS_USUAL, salt.get(..16).unwrap_or_default())
    }

    /// The same salt and count for another exchange.
    pub(super) fn for_nonce(&self, nonce: String) -> Self {
        let text = format!("r={nonce},s={},i={}", STANDARD.encode(&self.salt), self.iterations);
        Self { nonce, salt: self.salt.clone(), iterations: self.iterations, text }
    }

    /// The salt.
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// The count.
    pub fn iterations(&self) -> u32 {
        self.iterations
    }

    pub(super) fn nonce(&self) -> &str {
        &self.nonce
    }

    /// The message as sent.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// The client's final message.
pub(super) struct ClientFinal {
    pub(super) binding: Vec<u8>,
    pub(super) nonce: String,
    pub(super) proof: Proof,
    /// What stands before the proof, as it goes into it.
    pub(super) without_proof: String,
}

impl ClientFinal {
    pub(super) fn parse(message: &[u8]) -> Result<Self, Malformed> {
        let text = text(message)?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(Malformed::Attribute('p'))?;
        let mut attributes = without_proof.split(',');
        let binding =
            STANDARD.decode(attribute(attributes.next(), 'c')?).map_err(|_| Malformed::Attribute('c'))?;
        let nonce = checked_nonce(attribute(attributes.next(), 'r')?)?;
        let proof = STANDARD.decode(proof).ok().and_then(|proof| Key::try_from(proof).ok());
        Ok(Self {
            binding,
            nonce,
            proof: Proof(proof.ok_or(Malformed::Attribute('p'))?),
            without_proof: without_proof.to_owned(),
        })
    }

    /// The message as sent.
    pub(super) fn text(without_proof: &str, proof: &Proof) -> String {
        format!("{without_proof},p={}", STANDARD.encode(proof.0))
    }

    /// What stands before the proof.
    pub(super) fn before_proof(binding: &[u8], nonce: &str) -> String {
        format!("c={},r={nonce}", STANDARD.encode(binding))
    }
}

/// The signature of a server's final message; `None` for a server's `e=`.
pub(super) fn server_signature(message: &[u8]) -> Result<Option<Key>, Malformed> {
    let text = text(message)?;
    if text.starts_with("e=") {
        return Ok(None);
    }
    let signature = text.strip_prefix("v=").and_then(|text| STANDARD.decode(text).ok());
    signature.and_then(|bytes| Key::try_from(bytes).ok()).map(Some).ok_or(Malformed::Attribute('v'))
}

/// A server's final message.
pub(super) fn server_final(signature: &Key) -> String {
    format!("v={}", STANDARD.encode(signature))
}

fn text(message: &[u8]) -> Result<&str, Malformed> {
    if message.len() > 8 * NONCE_BYTES_MAX || message.contains(&0) {
        return Err(Malformed::Text);
    }
    std::str::from_utf8(message).map_err(|_| Malformed::Text)
}

fn attribute(found: Option<&str>, name: char) -> Result<&str, Malformed> {
    found
        .and_then(|text| text.strip_prefix(name))
        .and_then(|text| text.strip_prefix('='))
        .ok_or(Malformed::Attribute(name))
}

fn checked_nonce(nonce: &str) -> Result<String, Malformed> {
    let printable = nonce.bytes().all(|byte| byte.is_ascii_graphic());
    if printable && (1..=NONCE_BYTES_MAX).contains(&nonce.len()) {
        Ok(nonce.to_owned())
    } else {
        Err(Malformed::Attribute('r'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn first_messages_are_read_as_postgres_reads_them() {
        let check = |text: &str| ClientFirst::parse(text.as_bytes()).map(|first| (first.flag, first.nonce));
        assert_eq!(check("n,,n=,r=abc"), Ok((Flag::Without, "abc".into())));
        assert_eq!(check("y,,n=user,r=abc,x=ignored"), Ok((Flag::ServerCannot, "abc".into())));
        assert_eq!(check("p=tls-server-end-point,,n=,r=abc"), Ok((Flag::EndPoint, "abc".into())));
        assert_eq!(check("p=tls-unique,,n=,r=abc"), Err(Malformed::BindingType));
        assert_eq!(check("n,a=other,n=,r=abc"), Err(Malformed::AuthorizationIdentity));
        assert_eq!(check("n,,m=x,n=,r=abc"), Err(Malformed::Extension));
        assert_eq!(check("n,,n=,r="), Err(Malformed::Attribute('r')));
        assert_eq!(check("n,,n=,r=a\u{1}"), Err(Malformed::Attribute('r')));
        assert_eq!(check("n,,r=abc"), Err(Malformed::Attribute('n')));
        assert_eq!(check(""), Err(Malformed::Attribute('n')));
        assert_eq!(check(&format!("n,,n=,r={}", "a".repeat(65_536))), Err(Malformed::Text));
        assert_eq!(check(&format!("n,,n=,r={}", "a".repeat(1025))), Err(Malformed::Attribute('r')));
    }

    #[test]
    fn challenges_are_bounded() {
        let check = |text: &str| ServerFirst::parse(text.as_bytes(), "abc").map(|first| first.iterations);
        assert_eq!(check("r=abcdef,s=c2FsdA==,i=4096"), Ok(4096));
        assert_eq!(check("r=abc,s=c2FsdA==,i=4096"), Err(Malformed::Attribute('r')));
        assert_eq!(check("r=xyzdef,s=c2FsdA==,i=4096"), Err(Malformed::Attribute('r')));
        assert_eq!(check("r=abcdef,s=c2FsdA==,i=0"), Err(Malformed::Attribute('i')));
        assert_eq!(check("r=abcdef,s=c2FsdA==,i=2147483647"), Err(Malformed::Attribute('i')));
        assert_eq!(check("r=abcdef,s=c2FsdA==,i=+1"), Err(Malformed::Attribute('i')));
        assert_eq!(check("r=abcdef,s=c2FsdA=="), Err(Malformed::Attribute('i')));
        assert_eq!(check("r=abcdef,s=,i=4096"), Err(Malformed::Attribute('s')));
        let salt = STANDARD.encode(vec![0; 65_536]);
        assert_eq!(check(&format!("r=abcdef,s={salt},i=4096")), Err(Malformed::Text));
        let salt = STANDARD.encode(vec![0; 1025]);
        assert_eq!(check(&format!("r=abcdef,s={salt},i=4096")), Err(Malformed::Attribute('s')));
    }

    proptest! {
        #[test]
        fn reading_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..80), text in "[nyprcsive=,a-z0-9]{0,60}") {
            for message in [&bytes[..], text.as_bytes()] {
                let _ = ClientFirst::parse(message);
                let _ = ServerFirst::parse(message, "a");
                let _ = ClientFinal::parse(message).is_ok();
                let _ = server_signature(message);
            }
        }
    }
}
