//! What a server keeps of a password: `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use super::message::{ITERATIONS_MAX, SALT_BYTES_MAX, ServerFirst};
use super::proof::{KEY_BYTES, Key};

/// A role's verifier.
#[derive(Clone)]
pub struct Verifier {
    iterations: u32,
    salt: Vec<u8>,
    pub(super) stored_key: Key,
    pub(super) server_key: Key,
}

/// Why a text is no verifier. The text itself is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unusable {
    /// A password in plain text, an MD5 digest, or something else.
    #[error("it is not a SCRAM-SHA-256 verifier")]
    OtherKind,
    /// It begins like one.
    #[error("the SCRAM-SHA-256 verifier is malformed")]
    Malformed,
}

impl Verifier {
    /// One that no proof fits.
    pub(super) fn of_nobody() -> Self {
        Self { iterations: 1, salt: Vec::new(), stored_key: [0; KEY_BYTES], server_key: [0; KEY_BYTES] }
    }

    /// What a client is challenged with by whoever has only this.
    pub fn challenge(&self) -> ServerFirst {
        ServerFirst::made_with(self.iterations, &self.salt)
    }

    /// Whether it was made with the salt and the count that the server names now; if not, the password has been changed since.
    pub fn matches(&self, challenge: &ServerFirst) -> bool {
        self.iterations == challenge.iterations() && self.salt == challenge.salt()
    }
}

impl FromStr for Verifier {
    type Err = Unusable;

    fn from_str(text: &str) -> Result<Self, Unusable> {
        let rest = text.strip_prefix("SCRAM-SHA-256$").ok_or(Unusable::OtherKind)?;
        let (made_with, keys) = rest.split_once('$').ok_or(Unusable::Malformed)?;
        let (iterations, salt) = made_with.split_once(':').ok_or(Unusable::Malformed)?;
        let (stored_key, server_key) = keys.split_once(':').ok_or(Unusable::Malformed)?;
        let iterations = iterations.parse().ok().filter(|count| (1..=ITERATIONS_MAX).contains(count));
        let salt = STANDARD.decode(salt).ok().filter(|salt| (1..=SALT_BYTES_MAX).contains(&salt.len()));
        let key = |text| STANDARD.decode(text).ok().and_then(|bytes| Key::try_from(bytes).ok());
        match (iterations, salt, key(stored_key), key(server_key)) {
            (Some(iterations), Some(salt), Some(stored_key), Some(server_key)) => {
                Ok(Self { iterations, salt, stored_key, server_key })
            }
            _ => Err(Unusable::Malformed),
        }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_verifiers_are_taken() {
        let key = STANDARD.encode([7; 32]);
        let good = format!("SCRAM-SHA-256$4096:c2FsdA==${key}:{key}");
        assert!(good.parse::<Verifier>().is_ok());
        for (text, why) in [
            (String::new(), Unusable::OtherKind),
            ("secret".into(), Unusable::OtherKind),
            ("md5d41d8cd98f00b204e9800998ecf8427e".into(), Unusable::OtherKind),
            (good.replace("4096", "0"), Unusable::Malformed),
            (good.replace("4096", "2147483647"), Unusable::Malformed),
            (good.replace("c2FsdA==", ""), Unusable::Malformed),
            (good.replace("c2FsdA==", "*"), Unusable::Malformed),
            (good.replace(&key, "c2FsdA=="), Unusable::Malformed),
            (good.replace('$', ""), Unusable::OtherKind),
            ("SCRAM-SHA-256$4096:c2FsdA==".into(), Unusable::Malformed),
        ] {
            assert_eq!(text.parse::<Verifier>().unwrap_err(), why, "{text}");
        }
        assert_eq!(format!("{:?}", good.parse::<Verifier>().unwrap()), "Verifier");
    }
}
