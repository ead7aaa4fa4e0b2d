//! The two exchanges: as the server of a client, and as a client of the server.

use super::message::{
    ClientFinal, ClientFirst, Flag, Malformed, ServerFirst, header, server_final, server_signature,
};
use super::proof::{ClientKey, Proof, equal, signature};
use super::verifier::Verifier;
use super::{MECHANISM, MECHANISM_PLUS};

/// An exchange with a client, in the server's part.
pub struct ServerSide {
    first: ClientFirst,
    challenge: ServerFirst,
}

/// What a client's proof is worth.
pub enum Judged {
    /// It knows the password. The text is the final message, by which it sees that its server knows it too.
    Proven {
        /// The key that goes on to the server.
        key: ClientKey,
        /// The final message.
        last: String,
    },
    /// It does not, or there is nothing to judge it by.
    NotProven,
    /// It has seen another certificate than ours: somebody stands between it and the proxy.
    BindingMismatch,
}

impl ServerSide {
    /// Challenges a client with the salt and count of the server.
    pub fn challenge(first: ClientFirst, fresh_nonce: &str, of_server: &ServerFirst) -> Self {
        let challenge = of_server.for_nonce(format!("{}{fresh_nonce}", first.nonce()));
        Self { first, challenge }
    }

    /// The message to the client.
    pub fn text(&self) -> &str {
        self.challenge.text()
    }

    /// Judges the client's final message; `binding` is the hash of the certificate that it was shown.
    pub fn judge(
        &self,
        message: &[u8],
        binding: Option<&[u8]>,
        verifier: Option<&Verifier>,
    ) -> Result<Judged, Malformed> {
        let last = ClientFinal::parse(message)?;
        if last.nonce != self.challenge.nonce() {
            return Err(Malformed::Attribute('r'));
        }
        if !equal(&last.binding, &binding_data(self.first.flag(), binding)) {
            return Ok(Judged::BindingMismatch);
        }
        let auth_message = auth_message(&self.first, &self.challenge, &last.without_proof);
        // The same work whether there is a verifier or not: how long it takes must not tell who exists.
        let nobody = Verifier::of_nobody();
        let stored_key = &verifier.unwrap_or(&nobody).stored_key;
        let recovered = ClientKey::recover(&last.proof, stored_key, auth_message.as_bytes());
        Ok(match (recovered, verifier) {
            (Some(key), Some(verifier)) => {
                let signature = signature(&verifier.server_key, auth_message.as_bytes());
                Judged::Proven { key, last: server_final(&signature) }
            }
            _ => Judged::NotProven,
        })
    }
}

/// An exchange with a server, in the client's part.
pub struct ClientSide<'a> {
    first: ClientFirst,
    binding: Option<&'a [u8]>,
}

/// What a server's final message is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmed {
    /// It knows the verifier.
    Yes,
    /// It does not.
    No,
}

impl<'a> ClientSide<'a> {
    /// Begins an exchange, with channel binding if there is a hash of the server's certificate.
    pub fn begin(nonce: &str, binding: Option<&'a [u8]>) -> Self {
        let flag = if binding.is_some() { Flag::EndPoint } else { Flag::Without };
        Self { first: ClientFirst::of_ours(flag, nonce), binding }
    }

    /// The mechanism to name.
    pub fn mechanism(&self) -> &'static str {
        if self.binding.is_some() { MECHANISM_PLUS } else { MECHANISM }
    }

    /// The first message.
    pub fn text(&self) -> String {
        self.first.text()
    }

    /// Reads the server's challenge.
    pub fn challenged(&self, message: &[u8]) -> Result<ServerFirst, Malformed> {
        ServerFirst::parse(message, self.first.nonce())
    }

    /// The final message for one who knows the key.
    pub fn answer(&self, challenge: &ServerFirst, key: &ClientKey) -> String {
        let without_proof = self.without_proof(challenge);
        let proof = key.prove(auth_message(&self.first, challenge, &without_proof).as_bytes());
        ClientFinal::text(&without_proof, &proof)
    }

    /// The final message for one who does not: it looks like any other and fails like any other.
    pub fn answer_with(&self, challenge: &ServerFirst, proof: &Proof) -> String {
        ClientFinal::text(&self.without_proof(challenge), proof)
    }

    /// Checks the server's final message.
    pub fn confirm(
        &self,
        challenge: &ServerFirst,
        message: &[u8],
        verifier: &Verifier,
    ) -> Result<Confirmed, Malformed> {
        let auth_message = auth_message(&self.first, challenge, &self.without_proof(challenge));
        let expected = signature(&verifier.server_key, auth_message.as_bytes());
        let signed = server_signature(message)?.is_some_and(|found| equal(&found, &expected));
        Ok(if signed { Confirmed::Yes } else { Confirmed::No })
    }

    fn without_proof(&self, challenge: &ServerFirst) -> String {
        ClientFinal::before_proof(&binding_data(self.first.flag(), self.binding), challenge.nonce())
    }
}

fn binding_data(flag: Flag, hash: Option<&[u8]>) -> Vec<u8> {
    let hash = hash.filter(|_| flag == Flag::EndPoint).unwrap_or_default();
    [header(flag).as_bytes(), hash].concat()
}

fn auth_message(first: &ClientFirst, challenge: &ServerFirst, without_proof: &str) -> String {
    format!("{},{},{without_proof}", first.bare(), challenge.text())
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use sha2::{Digest, Sha256};

    // The example of RFC 7677 section 3: user "user", password "pencil".
    const CLIENT_NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
    const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const SERVER_FIRST: &str =
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    const CLIENT_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                                p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    const SERVER_FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

    fn verifier(password: &[u8], salt: &str, iterations: u32) -> Verifier {
        let salted = salted(password, &STANDARD.decode(salt).unwrap(), iterations);
        let stored = STANDARD.encode(Sha256::digest(signature(&salted, b"Client Key")));
        let server = STANDARD.encode(signature(&salted, b"Server Key"));
        format!("SCRAM-SHA-256${iterations}:{salt}${stored}:{server}").parse().unwrap()
    }

    /// PBKDF2 with one block.
    fn salted(password: &[u8], salt: &[u8], iterations: u32) -> [u8; 32] {
        let mut last = signature(password, &[salt, &[0, 0, 0, 1]].concat());
        let mut sum = last;
        for _ in 1..iterations {
            last = signature(password, &last);
            sum.iter_mut().zip(last).for_each(|(byte, other)| *byte ^= other);
        }
        sum
    }

    fn rfc_verifier() -> Verifier {
        verifier(b"pencil", "W22ZaJ0SNY7soEsUEjb6gQ==", 4096)
    }

    fn rfc_server_side() -> ServerSide {
        let first = ClientFirst::parse(format!("n,,n=user,r={CLIENT_NONCE}").as_bytes()).unwrap();
        let of_server = ServerFirst::parse(b"r=other1,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", "other").unwrap();
        ServerSide::challenge(first, SERVER_NONCE, &of_server)
    }

    #[test]
    fn the_rfc_example_holds_as_a_server() {
        let side = rfc_server_side();
        assert_eq!(side.text(), SERVER_FIRST);
        let judged = side.judge(CLIENT_FINAL.as_bytes(), None, Some(&rfc_verifier())).unwrap();
        let Judged::Proven { last, .. } = judged else { unreachable!("the proof is good") };
        assert_eq!(last, SERVER_FINAL);
    }

    #[test]
    fn a_proof_from_one_exchange_makes_one_for_another() {
        let judged = rfc_server_side().judge(CLIENT_FINAL.as_bytes(), None, Some(&rfc_verifier())).unwrap();
        let Judged::Proven { key, .. } = judged else { unreachable!("the proof is good") };
        for hash in [None, Some(&b"hash of the server's certificate"[..])] {
            let ours = ClientSide::begin("ours", hash);
            // The server, as this very code would be one, with the same verifier.
            let first = ClientFirst::parse(ours.text().as_bytes()).unwrap();
            let made_with = ServerFirst::parse(b"r=xy,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", "x").unwrap();
            let server = ServerSide::challenge(first, "theirs", &made_with);
            let challenge = ours.challenged(server.text().as_bytes()).unwrap();
            let answer = ours.answer(&challenge, &key);
            let Judged::Proven { last, .. } =
                server.judge(answer.as_bytes(), hash, Some(&rfc_verifier())).unwrap()
            else {
                unreachable!("the server accepts")
            };
            let confirm = |last: &str| ours.confirm(&challenge, last.as_bytes(), &rfc_verifier());
            assert_eq!(confirm(&last), Ok(Confirmed::Yes));
            assert_eq!(confirm(SERVER_FINAL), Ok(Confirmed::No));
            assert_eq!(confirm("e=other-error"), Ok(Confirmed::No));
            assert_eq!(confirm("v="), Err(Malformed::Attribute('v')));
            let nonsense = ours.answer_with(&challenge, &Proof::of_nothing().unwrap());
            let judged = server.judge(nonsense.as_bytes(), hash, Some(&rfc_verifier())).unwrap();
            assert!(matches!(judged, Judged::NotProven));
        }
    }

    #[test]
    fn what_is_wrong_is_not_proven() {
        let side = rfc_server_side();
        let rfc = rfc_verifier();
        let judge = |message: &str, verifier| side.judge(message.as_bytes(), None, verifier);
        let other = verifier(b"pencils", "W22ZaJ0SNY7soEsUEjb6gQ==", 4096);
        assert!(matches!(judge(CLIENT_FINAL, Some(&other)), Ok(Judged::NotProven)));
        assert!(matches!(judge(CLIENT_FINAL, None), Ok(Judged::NotProven)));
        let bound = CLIENT_FINAL.replace("c=biws", "c=eSws");
        assert!(matches!(judge(&bound, Some(&rfc)), Ok(Judged::BindingMismatch)));
        let replayed = CLIENT_FINAL.replace("k0,", "k1,");
        assert!(matches!(judge(&replayed, Some(&rfc)), Err(Malformed::Attribute('r'))));
        assert!(matches!(judge("c=biws,r=x", None), Err(Malformed::Attribute('p'))));
    }

    #[test]
    fn the_binding_must_be_of_the_certificate_shown() {
        let first = ClientFirst::parse(b"p=tls-server-end-point,,n=,r=abc").unwrap();
        let made_with = ServerFirst::parse(b"r=xy,s=c2FsdA==,i=1", "x").unwrap();
        let side = ServerSide::challenge(first, "def", &made_with);
        let binding = STANDARD.encode(b"p=tls-server-end-point,,hash");
        let last = format!("c={binding},r=abcdef,p={}", STANDARD.encode([0; 32]));
        assert!(matches!(side.judge(last.as_bytes(), Some(b"hash"), None), Ok(Judged::NotProven)));
        assert!(matches!(side.judge(last.as_bytes(), Some(b"other"), None), Ok(Judged::BindingMismatch)));
        assert!(matches!(side.judge(last.as_bytes(), None, None), Ok(Judged::BindingMismatch)));
    }

    #[test]
    fn verifiers_match_their_challenge() {
        let challenge = |text: &[u8]| ServerFirst::parse(text, "x").unwrap();
        let verifier = rfc_verifier();
        assert!(verifier.matches(&challenge(b"r=xy,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")));
        assert!(!verifier.matches(&challenge(b"r=xy,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4097")));
        assert!(!verifier.matches(&challenge(b"r=xy,s=c2FsdA==,i=4096")));
    }
}
