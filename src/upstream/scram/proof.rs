//! The arithmetic of SCRAM-SHA-256.

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The size of every key, signature and proof.
pub(super) const KEY_BYTES: usize = 32;

/// A key, a signature or a proof.
pub(super) type Key = [u8; KEY_BYTES];

/// What proves to know the password: as good as the password itself for one role on one server.
pub struct ClientKey(Key);

/// What a client sends to prove that it knows its key.
pub struct Proof(pub(super) Key);

impl Proof {
    /// A proof of nothing, which no server accepts.
    pub fn of_nothing() -> Result<Self, getrandom::Error> {
        let mut proof = [0; KEY_BYTES];
        getrandom::fill(&mut proof)?;
        Ok(Self(proof))
    }
}

impl ClientKey {
    /// Takes the key out of a proof: `ClientProof XOR HMAC(StoredKey, AuthMessage)`. `None` when its hash is not the stored
    /// key, that is, when the proof proves nothing.
    pub(super) fn recover(proof: &Proof, stored_key: &Key, auth_message: &[u8]) -> Option<Self> {
        let key = xor(&proof.0, &signature(stored_key, auth_message));
        equal(&hash(&key), stored_key).then_some(Self(key))
    }

    /// The proof for another exchange.
    pub(super) fn prove(&self, auth_message: &[u8]) -> Proof {
        Proof(xor(&self.0, &signature(&hash(&self.0), auth_message)))
    }
}

/// `HMAC(key, message)`.
pub(super) fn signature(key: &[u8], message: &[u8]) -> Key {
    // HMAC takes keys of any length, so there is nothing to fail; a wrong signature would be the safe answer anyway.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; KEY_BYTES] };
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// Compares without telling by time how much is equal.
pub(super) fn equal(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}

fn hash(bytes: &[u8]) -> Key {
    Sha256::digest(bytes).into()
}

fn xor(one: &Key, other: &Key) -> Key {
    let mut out = *one;
    for (byte, other) in out.iter_mut().zip(other) {
        *byte ^= other;
    }
    out
}
