//! SCRAM-SHA-256 on both sides at once (RFC 5802, RFC 7677, as Postgres speaks it).
//!
//! With two TLS legs that show different certificates, channel binding cannot be relayed. The proxy is then a server to the
//! client and a client to the server. It knows no password: from the client's proof and the role's verifier it recovers the
//! client's key, and with that it answers the server's own challenge.
//!
//! Everything here is plain computing over bytes; lengths and counts from either peer are bounded before they are used.
//!
//! Invariant: proofs and keys are compared in constant time and have no `Debug`.

mod challenge;
mod message;
mod proof;
mod verifier;

pub use challenge::{ClientSide, Confirmed, Judged, ServerSide};
pub use message::{ClientFirst, Flag, Malformed, ServerFirst};
pub use proof::{ClientKey, Proof};
pub use verifier::{Unusable, Verifier};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The mechanism without channel binding.
pub const MECHANISM: &str = "SCRAM-SHA-256";
/// The mechanism with channel binding.
pub const MECHANISM_PLUS: &str = "SCRAM-SHA-256-PLUS";

/// Random bytes of a nonce, as many as Postgres takes (`SCRAM_RAW_NONCE_LEN`).
const NONCE_BYTES: usize = 18;

/// A fresh nonce.
pub fn nonce() -> Result<String, getrandom::Error> {
    let mut bytes = [0; NONCE_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(STANDARD.encode(bytes))
}
