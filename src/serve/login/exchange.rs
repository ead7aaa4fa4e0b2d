//! The login itself: messages in both directions, as they come, until the server is ready or has refused.
//!
//! Invariant: nothing of the client's is sent on but answers that the server has asked for, one for each demand; what it sends
//! in advance waits for the login's end, so that no statement passes unseen.
//! Invariant: a client's answer is never logged, kept or looked at (SASL's first is, where the proxy must take part).

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::base::SqlState;
use crate::upstream::Stream;
use crate::wire::kind::server::{ERROR, NOTICE, PARAMETER_STATUS, READY};
use crate::wire::login::{
    AUTHENTICATION, BACKEND_KEY, CancelKey, Demand, NEGOTIATE, PASSWORD, version_number,
};
use crate::wire::server::{Status, parameter};
use crate::wire::{Frame, Malformed, fields};

use super::inbox::Inbox;
use super::{Ended, SERVER_FRAME_BYTES_MAX};

/// The longest answer to a demand that Postgres takes (`PG_MAX_AUTH_TOKEN_LENGTH`), with its header.
pub(super) const ANSWER_BYTES_MAX: usize = 65_535 + 5;

/// At most so much is taken of what a client sends before it is asked.
const AHEAD_BYTES_MAX: usize = 16 << 10;

/// The longest message in the style of protocol 2 (`MAX_ERRLEN` of libpq).
const OLD_ERROR_BYTES_MAX: usize = 30_000;

/// How long the rest of such a message may take.
const OLD_ERROR_WITHIN: Duration = Duration::from_secs(5);

/// Both sides of a login, and what was learned from it.
pub(super) struct Exchange<'a> {
    pub(super) client: &'a mut Stream,
    pub(super) upstream: &'a mut Stream,
    pub(super) from_client: &'a mut Inbox,
    pub(super) from_server: &'a mut Inbox,
    pub(super) learned: Learned,
    pub(super) owed: Owed,
    pub(super) client_end: ClientEnd,
}

/// Whether the server waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owed {
    Answer,
    Nothing,
}

/// Whether the client may send more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientEnd {
    Open,
    Closed,
}

/// What the server has said about the session.
#[derive(Debug, Default)]
pub(super) struct Learned {
    pub(super) key: Option<CancelKey>,
    pub(super) client_encoding: String,
    pub(super) server_version: u32,
    pub(super) accepted: bool,
}

impl Learned {
    fn parameter(&mut self, body: &[u8]) {
        match parameter(body) {
            Some((b"client_encoding", value)) => {
                self.client_encoding = String::from_utf8_lossy(value).into_owned();
            }
            Some((b"server_version", value)) => {
                self.server_version = version_number(&String::from_utf8_lossy(value));
            }
            Some(_) | None => {}
        }
    }
}

/// Why the frames at hand are all passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pause {
    /// More must come, from either side.
    Waiting,
    /// The next frame, not passed on yet, offers SASL mechanisms.
    Sasl,
    /// The login is over.
    Ready(Status),
}

impl Exchange<'_> {
    /// Passes messages on until the login is over or SASL mechanisms are offered.
    pub(super) async fn run(&mut self, stop_at_sasl: StopAtSasl) -> Result<Pause, Ended> {
        loop {
            match self.pass_server_frames(stop_at_sasl).await? {
                Pause::Waiting => {}
                pause => return Ok(pause),
            }
            if self.owed == Owed::Answer && self.pass_answer().await? == Passed::No {
                self.give_up_on_silence().await?;
            }
            self.wait().await?;
        }
    }

    /// The server waits for an answer and the client will not send any more.
    async fn give_up_on_silence(&mut self) -> Result<(), Ended> {
        if self.client_end == ClientEnd::Open {
            return Ok(());
        }
        let _ = self.upstream.shutdown().await;
        Err(Ended::ClientGone(None))
    }

    /// Passes on the server's frames that are complete.
    async fn pass_server_frames(&mut self, stop_at_sasl: StopAtSasl) -> Result<Pause, Ended> {
        let mut taken = 0;
        let mut pause = Pause::Waiting;
        let mut end = None;
        let rest = self.from_server.rest();
        loop {
            let (frame, whole) = match frame_at(rest, taken) {
                Ok(Some(found)) => found,
                Ok(None) => break,
                Err(malformed) => {
                    end = Some(Ended::UpstreamMalformed(malformed));
                    break;
                }
            };
            match hear(&mut self.learned, frame) {
                Heard::Sasl if stop_at_sasl == StopAtSasl::Yes => {
                    pause = Pause::Sasl;
                    break;
                }
                Heard::Demand | Heard::Sasl => self.owed = Owed::Answer,
                Heard::Accepted => self.owed = Owed::Nothing,
                Heard::Word => {}
                Heard::Ready(status) => pause = Pause::Ready(status),
                Heard::Refusal(code) => end = Some(Ended::Refused(code)),
                Heard::Nonsense(ended) => {
                    end = Some(ended);
                    break;
                }
            }
            taken += whole.len();
            if pause != Pause::Waiting || end.is_some() {
                break;
            }
        }
        let told = tell(self.client, rest.get(..taken).unwrap_or_default()).await;
        self.from_server.advance(taken);
        match (end, told) {
            (Some(end), _) => Err(end),
            (None, Err(gone)) => Err(gone),
            (None, Ok(())) => Ok(pause),
        }
    }

    /// Sends the client's answer on, if it is there. What is no answer is sent on too, as far as it has come: a server that
    /// waits for an answer refuses it by its type.
    async fn pass_answer(&mut self) -> Result<Passed, Ended> {
        let rest = self.from_client.rest();
        let length = match rest.first() {
            None => return Ok(Passed::No),
            Some(&PASSWORD) => {
                match self.from_client.peek(ANSWER_BYTES_MAX).map_err(Ended::ClientMalformed)? {
                    None => return Ok(Passed::No),
                    Some((_, whole)) => whole.len(),
                }
            }
            Some(_) => rest.len(),
        };
        send(self.upstream, rest.get(..length).unwrap_or_default()).await;
        self.from_client.advance(length);
        self.owed = Owed::Nothing;
        Ok(Passed::Yes)
    }

    /// Waits until either side has sent something.
    pub(super) async fn wait(&mut self) -> Result<(), Ended> {
        let room = match self.owed {
            Owed::Answer => ANSWER_BYTES_MAX,
            Owed::Nothing => AHEAD_BYTES_MAX,
        };
        let listen = self.client_end == ClientEnd::Open && self.from_client.rest().len() < room;
        tokio::select! {
            biased;
            read = self.from_server.fill(self.upstream) => match read {
                Ok(0) => Err(Ended::UpstreamLost(None)),
                Ok(_) => Ok(()),
                Err(error) => Err(Ended::UpstreamLost(Some(error))),
            },
            read = self.from_client.fill(self.client), if listen => match read {
                Ok(0) => {
                    self.client_end = ClientEnd::Closed;
                    Ok(())
                }
                Ok(_) => Ok(()),
                Err(error) => Err(Ended::ClientGone(Some(error))),
            },
        }
    }

    /// Passes on the end of a connection whose messages are not those of protocol 3: an error in the old style, as a server of
    /// any age sends when it is asked for a protocol that it does not know or cannot start a backend.
    pub(super) async fn pass_old_error(&mut self) -> Ended {
        let reading = async {
            while self.from_server.rest().len() < OLD_ERROR_BYTES_MAX {
                if !matches!(self.from_server.fill(self.upstream).await, Ok(1..)) {
                    break;
                }
            }
        };
        // What has come until then is all there is to tell.
        let _ = timeout(OLD_ERROR_WITHIN, reading).await;
        let rest = self.from_server.rest();
        match rest.first() {
            Some(&ERROR) => {}
            Some(kind) => return Ended::UpstreamUnexpected(*kind),
            None => return Ended::UpstreamLost(None),
        }
        let bounded = rest.get(..OLD_ERROR_BYTES_MAX.min(rest.len())).unwrap_or_default();
        match tell(self.client, bounded).await {
            Ok(()) => Ended::Refused(SqlState::INTERNAL_ERROR),
            Err(gone) => gone,
        }
    }
}

/// Whether the proxy may have to take part in SASL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StopAtSasl {
    Yes,
    No,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passed {
    Yes,
    No,
}

/// What a frame means for the login.
enum Heard {
    /// Nothing that the proxy has to act on.
    Word,
    Demand,
    Sasl,
    Accepted,
    Ready(Status),
    Refusal(SqlState),
    Nonsense(Ended),
}

fn hear(learned: &mut Learned, frame: Frame<'_>) -> Heard {
    let nonsense = || Heard::Nonsense(Ended::UpstreamMalformed(Malformed::Short { kind: frame.kind }));
    match frame.kind {
        AUTHENTICATION => match Demand::parse(frame.body) {
            Some(Demand::Nothing) => {
                learned.accepted = true;
                Heard::Accepted
            }
            Some(Demand::Sasl(_)) => Heard::Sasl,
            Some(demand) if demand.wants_answer() => Heard::Demand,
            Some(_) => Heard::Word,
            None => nonsense(),
        },
        ERROR => Heard::Refusal(fields::sqlstate(frame.body)),
        READY if learned.accepted => {
            frame.body.first().and_then(|byte| Status::from_byte(*byte)).map_or_else(nonsense, Heard::Ready)
        }
        BACKEND_KEY => {
            learned.key = CancelKey::of_backend(frame.body);
            Heard::Word
        }
        PARAMETER_STATUS => {
            learned.parameter(frame.body);
            Heard::Word
        }
        NOTICE | NEGOTIATE => Heard::Word,
        kind => Heard::Nonsense(Ended::UpstreamUnexpected(kind)),
    }
}

fn frame_at(rest: &[u8], at: usize) -> Result<Option<(Frame<'_>, &[u8])>, Malformed> {
    super::inbox::peek(rest.get(at..).unwrap_or_default(), SERVER_FRAME_BYTES_MAX)
}

/// Writes to the client, all of it and at once.
pub(super) async fn tell(client: &mut Stream, bytes: &[u8]) -> Result<(), Ended> {
    if bytes.is_empty() {
        return Ok(());
    }
    let telling = async {
        client.write_all(bytes).await?;
        client.flush().await
    };
    telling.await.map_err(|error| Ended::ClientGone(Some(error)))
}

/// Writes to the server. That it does not listen any more will show when it is read from: it may have said why.
pub(super) async fn send(upstream: &mut Stream, bytes: &[u8]) {
    let sending = async {
        upstream.write_all(bytes).await?;
        upstream.flush().await
    };
    let _ = sending.await;
}
