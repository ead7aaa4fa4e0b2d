//! The console: psql on the database `lockkeeper` speaks to the proxy itself. Users of its own log in by SCRAM-SHA-256; it takes
//! simple queries and knows `SHOW`, `FREEZE`, `THAW`, and orders for what runs.
//!
//! It needs no server, and takes no seat of a session: it is there when everything else is full or broken.

mod command;
mod login;
mod table;

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::base::{Notice, SqlState};
use crate::event::clock;
use crate::live::Stop;
use crate::upstream::Stream;
use crate::wire::frame::{HEADER_BYTES, take_string};
use crate::wire::kind::{client, server as kind};
use crate::wire::server::{self, Status};
use crate::wire::{Frame, frame, notice};

use super::greet::Greeted;
use super::login::VerifierSource;
use super::operate::Desk;
use super::orders;
use super::refuse::{close, refuse};
use super::settings::{Ready, Serving};
use super::status::Process;
use command::Command;

/// The database that is meant.
pub const DATABASE: &str = "lockkeeper";

/// So many may be there at once.
pub const CONSOLES_MAX: usize = 16;

/// A longer message is none of a person's.
const FRAME_BYTES_MAX: usize = 64 << 10;

/// Bytes read at once.
const READ_BYTES: usize = 4 << 10;

/// Serves a client to its end that asks for the console; gives others back.
pub async fn unless_meant(greeted: Greeted, serving: &Arc<Serving>, ready: &Ready) -> Option<Greeted> {
    if !is_meant(&greeted, ready) {
        return Some(greeted);
    }
    Box::pin(serve(greeted, serving, ready)).await;
    None
}

/// Whether a client asks for the console, where there is one.
fn is_meant(greeted: &Greeted, ready: &Ready) -> bool {
    let named = || greeted.startup().and_then(|startup| startup.text("database"));
    !matches!(ready.console_users, VerifierSource::None) && named().as_deref() == Some(DATABASE)
}

async fn serve(greeted: Greeted, serving: &Arc<Serving>, ready: &Ready) {
    let user = greeted.startup().and_then(|startup| startup.text("user")).unwrap_or_default();
    let Ok(_seat) = serving.consoles.try_acquire() else {
        let why =
            Notice::fatal(SqlState::TOO_MANY_CONNECTIONS, "sorry, too many clients of the console already");
        return refuse(greeted.client, &why).await;
    };
    let Greeted { client, packet, leftover, tls } = greeted;
    let binding = if client.is_tls() { tls.binding() } else { None };
    let mut talk = Talk { client, held: leftover };
    let entrance = login::Entrance {
        user: &user,
        users: &ready.console_users,
        binding,
        secret: &serving.console_secret,
        packet: &packet,
    };
    let entering = clock::within(ready.settings.startup_timeout, login::log_in(&mut talk, &entrance));
    match entering.await.unwrap_or(Err(Ended::Gone)) {
        Ok(()) => {
            let desk = Desk { serving: Arc::clone(serving), process: Process { addresses: Vec::new() } };
            let ended = converse(&mut talk, &desk, &user).await;
            talk.part(ended.err()).await;
        }
        Err(ended) => talk.part(Some(ended)).await,
    }
}

/// Why a conversation is over.
#[derive(Debug)]
enum Ended {
    /// The client has gone, or breaks the protocol.
    Gone,
    /// It is told why.
    Told(Box<Notice>),
}

impl From<Notice> for Ended {
    fn from(why: Notice) -> Self {
        Self::Told(Box::new(why))
    }
}

/// The client's socket, and what it has sent and nobody has read yet.
struct Talk {
    client: Stream,
    held: Vec<u8>,
}

impl Talk {
    /// The next message. Safe to drop and call again.
    async fn frame(&mut self) -> Result<(u8, Vec<u8>), Ended> {
        loop {
            let found = Frame::peek(&self.held).map_err(|malformed| violation(malformed.to_string()))?;
            if let Some(frame) = found {
                let (kind, body) = (frame.kind, frame.body.to_vec());
                self.held.drain(..HEADER_BYTES + body.len());
                return Ok((kind, body));
            }
            if self.held.len() > FRAME_BYTES_MAX {
                return Err(violation("the message is too long for the console").into());
            }
            let mut buffer = [0; READ_BYTES];
            let read = self.client.read(&mut buffer).await.map_err(|_| Ended::Gone)?;
            if read == 0 {
                return Err(Ended::Gone);
            }
            self.held.extend_from_slice(buffer.get(..read).unwrap_or_default());
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Ended> {
        self.client.write_all(bytes).await.map_err(|_| Ended::Gone)?;
        self.client.flush().await.map_err(|_| Ended::Gone)
    }

    async fn part(self, ended: Option<Ended>) {
        match ended {
            Some(Ended::Told(why)) => refuse(self.client, &why).await,
            Some(Ended::Gone) | None => close(self.client).await,
        }
    }
}

fn violation(why: impl Into<String>) -> Notice {
    Notice::fatal(SqlState::PROTOCOL_VIOLATION, why)
}

/// Whether messages are ignored up to the next Sync, as behind an error in the extended protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Listening,
    Skipping,
}

async fn converse(talk: &mut Talk, desk: &Desk, user: &str) -> Result<(), Ended> {
    let mut stop = desk.serving.live.stop();
    let mut mood = Mood::Listening;
    loop {
        if *stop.borrow_and_update() == Stop::Now {
            let why = "terminating connection due to administrator command";
            return Err(Notice::fatal(SqlState::ADMIN_SHUTDOWN, why).into());
        }
        let (kind, body) = tokio::select! {
            frame = talk.frame() => frame?,
            _ = stop.changed() => continue,
        };
        let mut out = Vec::new();
        match kind {
            client::TERMINATE => return Ok(()),
            client::SYNC => {
                mood = Mood::Listening;
                server::ready(&mut out, Status::Idle);
            }
            client::QUERY => {
                let text = take_string(&body).map(|(text, _)| String::from_utf8_lossy(text).into_owned());
                answer(&text.unwrap_or_default(), desk, user, &mut out).await;
                server::ready(&mut out, Status::Idle);
            }
            client::FLUSH => {}
            _ if mood == Mood::Skipping => {}
            _ => {
                mood = Mood::Skipping;
                let why =
                    Notice::error(SqlState::FEATURE_NOT_SUPPORTED, "the console takes simple queries only");
                notice::encode(&why.hint("Use psql, or a driver's simple query protocol."), &mut out);
            }
        }
        talk.send(&out).await?;
    }
}

/// Carries the commands of a line out, up to one that fails, and puts their whole answers into `out`.
async fn answer(text: &str, desk: &Desk, user: &str, out: &mut Vec<u8>) {
    let commands = match command::parse(text) {
        Ok(commands) if commands.is_empty() => return frame::put(out, kind::EMPTY_QUERY, |_| {}),
        Ok(commands) => commands,
        Err(why) => return notice::encode(&why, out),
    };
    for command in commands {
        match carry_out(&command, desk, user).await {
            Ok(Done { table, said, tag }) => {
                if let Some(table) = table {
                    table.encode(out);
                }
                if let Some(said) = said {
                    notice::encode(&Notice::info(said), out);
                }
                server::command_complete(out, &tag);
            }
            Err(why) => return notice::encode(&why, out),
        }
    }
}

/// What has come of a command.
struct Done {
    table: Option<table::Table>,
    said: Option<String>,
    tag: String,
}

impl Done {
    fn shown(table: table::Table) -> Self {
        Self { table: Some(table), ..Self::with("SHOW") }
    }

    fn with(tag: &str) -> Self {
        Self { table: None, said: None, tag: tag.to_owned() }
    }

    /// What the answer to an order says.
    fn said(tag: &str, answer: &Value) -> Self {
        let said = answer.pointer("/ok/said").and_then(Value::as_str).map(str::to_owned);
        Self { said, ..Self::with(tag) }
    }
}

async fn carry_out(command: &Command, desk: &Desk, user: &str) -> Result<Done, Notice> {
    let ask = |question| async move {
        let answer = desk.answer(&question).await;
        answer.map_err(|why| Notice::error(SqlState::INVALID_PARAMETER_VALUE, why))
    };
    let status = || ask(json!({ "ask": "status" }));
    Ok(match command {
        Command::Help => Done::shown(table::help()),
        Command::Steps => Done::shown(table::steps(&status().await?)),
        Command::Status => Done::shown(table::statements(&status().await?)),
        Command::Bulk => Done::shown(table::bulk(&status().await?)),
        Command::ShownFreeze => Done::shown(table::freeze(&status().await?)),
        Command::Peak => Done::shown(table::peak(&status().await?)),
        Command::Order { id, order } => {
            let answer = ask(orders::question(*id, order, user)).await?;
            Done::said(&order.word().to_uppercase(), &answer)
        }
        Command::Cancel { id } => Done::said("CANCEL", &ask(orders::cancel_question(*id, user)).await?),
        Command::Freeze { reason, time, running } => {
            let question = json!({
                "ask": "freeze",
                "reason": reason,
                "for_ms": time.map(|time| u64::try_from(time.duration().as_millis()).unwrap_or(u64::MAX)),
                "cancel_running": *running == command::Running::Cancelled,
                "by": user,
            });
            ask(question).await?;
            Done::with("FREEZE")
        }
        Command::Thaw => {
            ask(json!({ "ask": "thaw", "by": user })).await?;
            Done::with("THAW")
        }
    })
}
