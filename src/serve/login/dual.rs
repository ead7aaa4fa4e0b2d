//! The login in which the proxy takes part: both legs are encrypted, each shows its own certificate, and the client binds its
//! proof to the one that it saw.
//!
//! The server is asked first, so salt and count are its own: nothing can be stale, and a user who does not exist is answered as
//! one who does. A proof that proves nothing is answered by sending the server one of the same kind: the refusal that the client
//! reads is the server's own.
//!
//! Invariant: a client whose proof was not good is never let in, whatever the server says.
//! Invariant: a client that does not bind (`n`) is relayed untouched; one that was led to believe that the server cannot (`y`)
//! is refused by the server itself.

use crate::upstream::Upstream;
use crate::upstream::scram::{
    ClientFirst, ClientSide, Confirmed, Flag, Judged, MECHANISM, MECHANISM_PLUS, Proof, ServerFirst,
    ServerSide, Verifier, nonce,
};
use crate::wire::Malformed;
use crate::wire::kind::server::{ERROR, NOTICE};
use crate::wire::login::{
    AUTHENTICATION, Demand, InitialResponse, NEGOTIATE, PASSWORD, put_continue, put_final,
    put_initial_response, put_mechanisms, put_response,
};

use super::exchange::{ANSWER_BYTES_MAX, ClientEnd, Exchange, Owed, send, tell};
use super::source::VerifierSource;
use super::{Ended, SERVER_FRAME_BYTES_MAX};

/// What stands between a client's offer of binding and the server's.
pub(super) enum Binding<'a> {
    /// Nothing: the list of mechanisms passes as it is.
    Passes,
    /// The server's leg is encrypted and the client's is not. libpq takes an offer of binding in plain text for an attack, so
    /// the offer is left out; without TLS no client says that it could have bound, so the server has nothing to object to.
    NotForClient,
    /// Both legs are encrypted, with different certificates.
    Differs(Dual<'a>),
}

/// What taking part needs to know.
pub(super) struct Dual<'a> {
    /// The hash of the certificate that the client was shown.
    pub(super) ours: Option<&'a [u8]>,
    /// The hash of the certificate that the server has shown.
    pub(super) theirs: Option<Vec<u8>>,
    pub(super) source: &'a VerifierSource,
    pub(super) upstream: &'a Upstream,
    pub(super) host: usize,
    pub(super) user: &'a str,
}

/// Offers the mechanisms to the client and takes part if its choice makes that necessary. Everything else may pass as it comes.
pub(super) async fn take_part(exchange: &mut Exchange<'_>, binding: &Binding<'_>) -> Result<(), Ended> {
    let dual = match binding {
        Binding::Passes => return Ok(()),
        Binding::NotForClient => return offer(exchange, None).await.map(|_| ()),
        Binding::Differs(dual) => dual,
    };
    if offer(exchange, dual.ours).await? == Offered::WithoutBinding {
        return Ok(());
    }
    let answer = client_answer(exchange).await?;
    let Some(first) = binding_first(&answer, dual) else {
        let mut message = Vec::new();
        put_response(&mut message, &answer);
        send(exchange.upstream, &message).await;
        exchange.owed = Owed::Nothing;
        return Ok(());
    };
    if matches!(dual.source, VerifierSource::None) {
        return Err(Ended::NoVerifiers);
    }
    authenticate(exchange, dual, first).await
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Offered {
    /// The client has the list.
    WithBinding,
    /// The server offers no binding, so there is nothing to take part in; the list is not passed on yet.
    WithoutBinding,
}

/// Passes the list on, without binding where the client has nothing to bind to.
async fn offer(exchange: &mut Exchange<'_>, bound_to: Option<&[u8]>) -> Result<Offered, Ended> {
    let found = exchange.from_server.peek(SERVER_FRAME_BYTES_MAX).map_err(Ended::UpstreamMalformed)?;
    let Some((frame, whole)) = found else { return Ok(Offered::WithoutBinding) };
    let Some(Demand::Sasl(mechanisms)) = Demand::parse(frame.body) else {
        return Ok(Offered::WithoutBinding);
    };
    if !mechanisms.offer(MECHANISM_PLUS) {
        return Ok(Offered::WithoutBinding);
    }
    let mut message = Vec::new();
    if bound_to.is_some() {
        message.extend_from_slice(whole);
    } else {
        let others = mechanisms.names().filter(|name| *name != MECHANISM_PLUS.as_bytes());
        put_mechanisms(&mut message, others);
    }
    let taken = whole.len();
    exchange.from_server.advance(taken);
    exchange.owed = Owed::Answer;
    tell(exchange.client, &message).await?;
    Ok(Offered::WithBinding)
}

/// The client's first message if it is one that cannot be relayed.
fn binding_first(answer: &[u8], dual: &Dual<'_>) -> Option<ClientFirst> {
    let response = InitialResponse::parse(answer)?;
    let first = ClientFirst::parse(response.data?).ok()?;
    let chosen = |mechanism: &str| response.mechanism == mechanism.as_bytes();
    let ours = match dual.ours {
        Some(_) => chosen(MECHANISM_PLUS) && first.flag() == Flag::EndPoint,
        None => chosen(MECHANISM) && first.flag() == Flag::ServerCannot,
    };
    ours.then_some(first)
}

async fn authenticate(exchange: &mut Exchange<'_>, dual: &Dual<'_>, first: ClientFirst) -> Result<(), Ended> {
    let our_nonce = nonce().map_err(Ended::NoRandomness)?;
    let as_client = ClientSide::begin(&our_nonce, dual.theirs.as_deref());
    let mut message = Vec::new();
    put_initial_response(&mut message, as_client.mechanism(), as_client.text().as_bytes());
    send(exchange.upstream, &message).await;
    let found =
        dual.source.find(dual.user, dual.upstream, dual.host).await.map_err(Ended::VerifierNotFound)?;
    let challenge = match Demand::parse(&server_demand(exchange).await?) {
        Some(Demand::SaslContinue(data)) => as_client.challenged(data).map_err(Ended::UpstreamScram)?,
        _ => return Err(Ended::UpstreamUntrue),
    };
    let verifier = current(found, &challenge, dual).await?;

    let fresh = nonce().map_err(Ended::NoRandomness)?;
    let as_server = ServerSide::challenge(first, &fresh, &challenge);
    message.clear();
    put_continue(&mut message, as_server.text().as_bytes());
    exchange.owed = Owed::Answer;
    tell(exchange.client, &message).await?;
    let answer = client_answer(exchange).await?;
    let judged = as_server.judge(&answer, dual.ours, verifier.as_ref()).map_err(Ended::ClientScram)?;

    let proven = match (judged, verifier) {
        (Judged::BindingMismatch, _) => return Err(Ended::BindingMismatch),
        (Judged::Proven { key, last }, Some(verifier)) => {
            answer_server(exchange, &as_client.answer(&challenge, &key)).await;
            Some((last, verifier))
        }
        (Judged::Proven { .. } | Judged::NotProven, _) => {
            let proof = Proof::of_nothing().map_err(Ended::NoRandomness)?;
            answer_server(exchange, &as_client.answer_with(&challenge, &proof)).await;
            None
        }
    };
    let demand = server_demand(exchange).await?;
    match (Demand::parse(&demand), proven) {
        (Some(Demand::SaslFinal(data)), Some((last, verifier))) => {
            let confirmed = as_client.confirm(&challenge, data, &verifier).map_err(Ended::UpstreamScram)?;
            if confirmed == Confirmed::No {
                return Err(Ended::UpstreamUntrue);
            }
            message.clear();
            put_final(&mut message, last.as_bytes());
            tell(exchange.client, &message).await
        }
        _ => Err(Ended::UpstreamUntrue),
    }
}

/// The verifier if it is the one that the server goes by; a file may have been written anew since it was read.
async fn current(
    found: Option<Verifier>,
    challenge: &ServerFirst,
    dual: &Dual<'_>,
) -> Result<Option<Verifier>, Ended> {
    let Some(verifier) = found else { return Ok(None) };
    if verifier.matches(challenge) {
        return Ok(Some(verifier));
    }
    let again = dual.source.find_again(dual.user).await.map_err(Ended::VerifierNotFound)?;
    Ok(again.filter(|verifier| verifier.matches(challenge)))
}

async fn answer_server(exchange: &mut Exchange<'_>, text: &str) {
    let mut message = Vec::new();
    put_response(&mut message, text.as_bytes());
    send(exchange.upstream, &message).await;
}

/// The body of the client's next answer.
async fn client_answer(exchange: &mut Exchange<'_>) -> Result<Vec<u8>, Ended> {
    loop {
        if let Some(kind) = exchange.from_client.rest().first().filter(|kind| **kind != PASSWORD) {
            return Err(Ended::ClientUnexpected(*kind));
        }
        let found = exchange.from_client.peek(ANSWER_BYTES_MAX).map_err(Ended::ClientMalformed)?;
        if let Some((frame, whole)) = found {
            let (body, taken) = (frame.body.to_vec(), whole.len());
            exchange.from_client.advance(taken);
            exchange.owed = Owed::Nothing;
            return Ok(body);
        }
        if exchange.client_end == ClientEnd::Closed {
            return Err(Ended::ClientGone(None));
        }
        exchange.wait().await?;
        if next_demand(exchange).await?.is_some() {
            return Err(Ended::UpstreamUntrue);
        }
    }
}

/// The body of the server's next demand.
async fn server_demand(exchange: &mut Exchange<'_>) -> Result<Vec<u8>, Ended> {
    loop {
        if let Some(body) = next_demand(exchange).await? {
            return Ok(body);
        }
        exchange.wait().await?;
    }
}

/// The body of the server's next demand, if it is here; notices are passed on, and so is a refusal, which is the end.
async fn next_demand(exchange: &mut Exchange<'_>) -> Result<Option<Vec<u8>>, Ended> {
    loop {
        let found = exchange.from_server.peek(SERVER_FRAME_BYTES_MAX).map_err(Ended::UpstreamMalformed)?;
        let Some((frame, whole)) = found else { return Ok(None) };
        let taken = whole.len();
        match frame.kind {
            AUTHENTICATION => {
                let body = frame.body.to_vec();
                exchange.from_server.advance(taken);
                return Ok(Some(body));
            }
            ERROR => {
                let code = crate::wire::fields::sqlstate(frame.body);
                tell(exchange.client, whole).await?;
                return Err(Ended::Refused(code));
            }
            NOTICE | NEGOTIATE => {
                tell(exchange.client, whole).await?;
                exchange.from_server.advance(taken);
            }
            kind => return Err(Ended::UpstreamMalformed(Malformed::Short { kind })),
        }
    }
}
