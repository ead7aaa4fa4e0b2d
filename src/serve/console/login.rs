//! Logging in to the console: SCRAM-SHA-256 against verifiers of its own, with channel binding over TLS.

use super::{Ended, Talk, violation};
use crate::base::{Notice, SqlState};
use crate::event::LoginFailed;
use crate::serve::login::VerifierSource;
use crate::upstream::scram::{
    ClientFirst, Flag, Judged, MECHANISM, MECHANISM_PLUS, ServerFirst, ServerSide, nonce,
};
use crate::wire::frame::{put, put_string};
use crate::wire::kind::server as kind;
use crate::wire::login::{
    AUTHENTICATION, InitialResponse, NEGOTIATE, PASSWORD, put_continue, put_final, put_mechanisms,
};
use crate::wire::server::{self, Status};

/// Protocol 3.0, as a start-up packet writes it.
const PROTOCOL_3_0: [u8; 4] = [0, 3, 0, 0];

/// What clients want to know before they ask.
const PARAMETERS: [(&str, &str); 6] = [
    ("server_version", "16.0 (lockkeeper)"),
    ("server_encoding", "UTF8"),
    ("client_encoding", "UTF8"),
    ("standard_conforming_strings", "on"),
    ("DateStyle", "ISO, MDY"),
    ("TimeZone", "UTC"),
];

/// Who wants to come in, and by what it is judged.
pub(super) struct Entrance<'a> {
    pub(super) user: &'a str,
    pub(super) users: &'a VerifierSource,
    /// The hash of the certificate that the client was shown.
    pub(super) binding: Option<&'a [u8]>,
    /// What the salts of users are made of who do not exist.
    pub(super) secret: &'a str,
    /// The start-up packet.
    pub(super) packet: &'a [u8],
}

/// Lets a client in up to its first `ReadyForQuery`, or says why not.
pub(super) async fn log_in(talk: &mut Talk, entrance: &Entrance<'_>) -> Result<(), Ended> {
    let mut out = Vec::new();
    if entrance.packet.get(4..8) != Some(&PROTOCOL_3_0) {
        put(&mut out, NEGOTIATE, |out| {
            out.extend_from_slice(&PROTOCOL_3_0);
            out.extend_from_slice(&[0; 4]);
        });
    }
    let names: &[&str] = if entrance.binding.is_some() { &[MECHANISM_PLUS, MECHANISM] } else { &[MECHANISM] };
    put_mechanisms(&mut out, names.iter().map(|name| name.as_bytes()));
    talk.send(&out).await?;
    let last = authenticate(talk, entrance).await?;
    let mut out = Vec::new();
    put_final(&mut out, last.as_bytes());
    put(&mut out, AUTHENTICATION, |out| out.extend_from_slice(&[0; 4]));
    for (name, value) in PARAMETERS {
        put(&mut out, kind::PARAMETER_STATUS, |out| {
            put_string(out, name.as_bytes());
            put_string(out, value.as_bytes());
        });
    }
    server::ready(&mut out, Status::Idle);
    talk.send(&out).await
}

/// The final message for a client that knows the password.
async fn authenticate(talk: &mut Talk, entrance: &Entrance<'_>) -> Result<String, Ended> {
    let answer = password_message(talk).await?;
    let malformed = || violation("malformed SCRAM message");
    let response = InitialResponse::parse(&answer).ok_or_else(malformed)?;
    let first = ClientFirst::parse(response.data.unwrap_or_default()).map_err(|_| malformed())?;
    let bound = entrance.binding.is_some();
    let agrees = match first.flag() {
        Flag::EndPoint => bound && response.mechanism == MECHANISM_PLUS.as_bytes(),
        Flag::Without => response.mechanism == MECHANISM.as_bytes(),
        // It could bind and thinks that we cannot: somebody has changed the list on its way.
        Flag::ServerCannot => !bound && response.mechanism == MECHANISM.as_bytes(),
    };
    if !agrees {
        return Err(violation("SCRAM channel binding negotiation error").into());
    }
    // Read anew each time, so that a user who was taken out stays out.
    let verifier = entrance.users.find_again(entrance.user).await.map_err(|why| {
        LoginFailed { why: &why, user: entrance.user }.emit();
        refused(entrance.user)
    })?;
    let challenge = verifier.as_ref().map_or_else(
        || ServerFirst::of_unknown(entrance.user, entrance.secret),
        crate::upstream::scram::Verifier::challenge,
    );
    let fresh = nonce().map_err(|_| Ended::Gone)?;
    let side = ServerSide::challenge(first, &fresh, &challenge);
    let mut out = Vec::new();
    put_continue(&mut out, side.text().as_bytes());
    talk.send(&out).await?;
    let answer = password_message(talk).await?;
    match side.judge(&answer, entrance.binding, verifier.as_ref()).map_err(|_| malformed())? {
        Judged::Proven { last, .. } => Ok(last),
        Judged::BindingMismatch => Err(violation("SCRAM channel binding check failed").into()),
        Judged::NotProven => Err(refused(entrance.user).into()),
    }
}

async fn password_message(talk: &mut Talk) -> Result<Vec<u8>, Ended> {
    match talk.frame().await? {
        (PASSWORD, body) => Ok(body),
        _ => Err(violation("expected a SASL response").into()),
    }
}

fn refused(user: &str) -> Notice {
    let message = format!("password authentication failed for user \"{user}\"");
    Notice::fatal(SqlState::INVALID_PASSWORD, message)
}
