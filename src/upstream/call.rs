//! Statements of ours on the client's own connection, unseen by the client.
//!
//! Each statement travels by the extended protocol under a name of ours and is closed behind itself, since a simple
//! Query would destroy the client's unnamed statement. One call is one batch with one Sync: where no transaction block
//! is open, it is one implicit transaction. Where the client's own batch is open (`Link::batch`), the call is part of
//! it: no Sync of ours may end the client's implicit transaction, so the call ends with Flush.

use crate::base::SqlState;
use crate::wire::client::{self, Values};
use crate::wire::fields::{amend, field, sqlstate};
use crate::wire::frame::put;
use crate::wire::kind::server as kind;
use crate::wire::server::{Status, columns};

use super::kept::{Kept, Topic};
use super::link::{Arrival, Batch, Link, Lost};

/// The name under which statements and portals of ours live while they run.
const NAME: &[u8] = b"lockkeeper";

/// Whose statement it is: what it says goes to the client, or nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voice {
    /// A helper of ours: its notices are swallowed.
    Ours,
    /// The client's own: its notices go to the client as they come.
    Client,
}

/// One statement of a call.
#[derive(Debug, Clone)]
pub struct Item<'a> {
    /// Its text, in the client's encoding.
    pub sql: &'a [u8],
    /// Text parameters.
    pub values: Vec<&'a str>,
    /// Parameters as a client has sent them, with the oids of their types, instead of those.
    pub sent: Option<(&'a Values, &'a [u32])>,
    /// Whose it is.
    pub voice: Voice,
    /// The formats, their count in front, of rows that are kept as they come.
    pub rows: Option<&'a [u8]>,
    /// As what the server keeps it.
    pub kept: Option<Topic>,
}

impl<'a> Item<'a> {
    /// A statement of ours without parameters.
    pub fn ours(sql: &'a str) -> Self {
        Self {
            sql: sql.as_bytes(),
            values: Vec::new(),
            sent: None,
            voice: Voice::Ours,
            rows: None,
            kept: None,
        }
    }

    /// The client's own statement.
    pub fn client(sql: &'a [u8]) -> Self {
        Self { sql, values: Vec::new(), sent: None, voice: Voice::Client, rows: None, kept: None }
    }

    /// The same with text parameters.
    #[must_use]
    pub fn with(self, values: Vec<&'a str>) -> Self {
        Self { values, ..self }
    }

    /// The same, to be asked again in the same transaction: for a statement of ours behind a savepoint.
    #[must_use]
    pub fn kept(self, topic: Topic) -> Self {
        Self { kept: Some(topic), ..self }
    }
}

/// A row as text, `None` for NULL.
pub type Row = Vec<Option<String>>;

/// What a call brought.
#[derive(Debug, Default)]
pub struct Answer {
    /// Rows, each with the index of its statement in the call.
    pub rows: Vec<(usize, Row)>,
    /// The rows of statements that wanted them as they come: bodies of `DataRow`.
    pub raw: Vec<Vec<u8>>,
    /// The body of the `RowDescription` of such a statement.
    pub described: Option<Vec<u8>>,
    /// The body of the `CommandComplete` of each statement that finished.
    pub tags: Vec<Vec<u8>>,
    /// The statement that failed, and the server's own words.
    pub failed: Option<Failed>,
    /// The transaction status at the end.
    pub status: Status,
}

/// The server's refusal of one statement of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// Index in the call.
    pub item: usize,
    /// Body of the `ErrorResponse`.
    pub body: Vec<u8>,
}

impl Answer {
    /// The rows of one statement.
    pub fn rows_of(&self, item: usize) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |(of, _)| *of == item).map(|(_, row)| row)
    }

    /// The first row of one statement.
    pub fn row(&self, item: usize) -> Option<&Row> {
        self.rows_of(item).next()
    }
}

/// A call under way.
#[derive(Debug)]
pub struct Call {
    voices: Vec<(Voice, Keep)>,
    /// What the server kept when it was sent.
    before: Kept,
    answer: Answer,
    phase: Phase,
    /// `CloseComplete`s still to come.
    closes_due: usize,
}

/// How rows are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keep {
    AsText,
    AsTheyCome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    /// A failed statement left its name behind, and its portal lives until its transaction ends; both are being closed.
    Closing,
}

/// Why waiting for a call was interrupted.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// The call is over.
    Done,
    /// The client has closed its connection; the call goes on.
    ClientGone,
}

impl Call {
    /// Sends the statements. The server must be quiet.
    ///
    /// A statement that is not kept is closed before its portal is run, which outlives it: in a batch of the client's that fails, nothing
    /// could be closed until the client's Sync. What a failed Bind has left all the same is closed first.
    pub async fn start(link: &mut Link, items: &[Item<'_>]) -> Self {
        let (mut out, before) = (Vec::new(), link.kept);
        client::close(&mut out, b'S', NAME);
        let mut closes_due = 1;
        for item in items {
            let statement = item.kept.map_or(NAME, Topic::statement);
            let there = item.kept.is_some_and(|topic| link.kept.has(topic));
            if let Some(topic) = item.kept.filter(|_| !there) {
                client::close(&mut out, b'S', statement);
                link.kept.put(topic);
            }
            if let Some((values, types)) = item.sent {
                client::parse_typed(&mut out, statement, item.sql, types);
                client::bind_as_sent(&mut out, NAME, statement, values);
            } else {
                let results = item.rows.unwrap_or(&[0, 0]);
                if !there {
                    client::parse(&mut out, statement, item.sql);
                }
                client::bind_for(&mut out, (NAME, statement), &item.values, results);
            }
            if item.kept.is_none() {
                client::close(&mut out, b'S', statement);
            }
            if item.rows.is_some() {
                client::describe(&mut out, b'P', NAME);
            }
            client::execute(&mut out, NAME);
            client::close(&mut out, b'P', NAME);
            closes_due += if there { 1 } else { 2 };
        }
        match link.batch {
            Batch::None => client::sync(&mut out),
            Batch::Clients => client::flush(&mut out),
        }
        link.send(&out).await;
        let keep = |item: &Item<'_>| if item.rows.is_some() { Keep::AsTheyCome } else { Keep::AsText };
        let voices = items.iter().map(|item| (item.voice, keep(item))).collect();
        Self { voices, before, answer: Answer::default(), phase: Phase::Running, closes_due }
    }

    /// Sends the statements and waits for their end.
    pub async fn run(link: &mut Link, items: &[Item<'_>]) -> Result<Answer, Lost> {
        let mut call = Self::start(link, items).await;
        while call.step(link).await? != Progress::Done {}
        Ok(call.answer)
    }

    /// Waits for the end or for the client's. Safe to drop and call again.
    pub async fn step(&mut self, link: &mut Link) -> Result<Progress, Lost> {
        loop {
            match link.next().await? {
                Arrival::ClientGone => return Ok(Progress::ClientGone),
                Arrival::Frame(kind::READY, body) => {
                    link.tracker.received(kind::READY, &body);
                    self.answer.status = link.tracker.status();
                    if self.phase == Phase::Closing || self.answer.failed.is_none() {
                        return Ok(Progress::Done);
                    }
                    self.phase = Phase::Closing;
                    let mut out = Vec::new();
                    client::close(&mut out, b'P', NAME);
                    client::close(&mut out, b'S', NAME);
                    client::sync(&mut out);
                    link.send(&out).await;
                }
                Arrival::Frame(kind, body) => self.frame(link, kind, body).await,
            }
            if link.batch == Batch::Clients {
                if self.answer.failed.is_some() {
                    link.tracker.expected.skip_to_sync();
                    return Ok(Progress::Done);
                }
                if self.closes_due == 0 {
                    return Ok(Progress::Done);
                }
            }
        }
    }

    /// What the call brought, once it is done.
    pub fn into_answer(self) -> Answer {
        self.answer
    }

    async fn frame(&mut self, link: &mut Link, kind: u8, body: Vec<u8>) {
        let item = self.answer.tags.len();
        match kind {
            kind::DATA_ROW if self.voices.get(item).is_some_and(|(_, keep)| *keep == Keep::AsTheyCome) => {
                self.answer.raw.push(body);
            }
            kind::DATA_ROW => self.answer.rows.push((item, text_row(&body))),
            kind::ROW_DESCRIPTION => self.answer.described = Some(body),
            kind::COMMAND_COMPLETE | kind::EMPTY_QUERY => self.answer.tags.push(body),
            kind::CLOSE_COMPLETE => self.closes_due = self.closes_due.saturating_sub(1),
            kind::ERROR if self.phase == Phase::Running && !is_fatal(&body) => {
                let is_gone = sqlstate(&body) == SqlState::INVALID_STATEMENT_NAME;
                link.kept.doubt(self.before, is_gone);
                self.answer.failed = Some(Failed { item, body });
            }
            kind::NOTICE if self.voices.get(item).is_some_and(|(voice, _)| *voice == Voice::Client) => {
                pass(link, kind, &body).await;
            }
            _ => pass_news(link, kind, &body).await,
        }
    }
}

/// Waits until the server is ready, and passes on what concerns the client.
pub async fn until_ready(link: &mut Link) -> Result<(), Lost> {
    loop {
        match link.next().await? {
            Arrival::Frame(kind::READY, body) => {
                link.tracker.received(kind::READY, &body);
                return Ok(());
            }
            Arrival::Frame(kind, body) => pass_news(link, kind, &body).await,
            Arrival::ClientGone => {}
        }
    }
}

/// Passes on what concerns the client whatever is going on: changed parameters, notifications, the server's last words with what
/// stays behind them.
pub async fn pass_news(link: &mut Link, kind: u8, body: &[u8]) {
    match kind {
        kind::NOTIFICATION => {}
        kind::PARAMETER_STATUS => link.tracker.received(kind, body),
        kind::ERROR if is_fatal(body) => {
            link.tracker.received(kind, body);
            if let Some(left) = link.last_words.take() {
                let mut out = Vec::new();
                amend(&mut out, kind, body, Some(&left.detail), Some(&left.hint));
                return link.tell(&out).await;
            }
        }
        _ => return,
    }
    pass(link, kind, body).await;
}

/// Passes one message on to the client as it came.
pub async fn pass(link: &mut Link, kind: u8, body: &[u8]) {
    let mut out = Vec::with_capacity(body.len() + 5);
    put(&mut out, kind, |out| out.extend_from_slice(body));
    link.tell(&out).await;
}

/// Whether the connection ends with this error, so that the client must hear it whatever it was for.
pub fn is_fatal(body: &[u8]) -> bool {
    matches!(field(body, b'V').or_else(|| field(body, b'S')), Some(b"FATAL" | b"PANIC"))
}

fn text_row(body: &[u8]) -> Row {
    columns(body)
        .into_iter()
        .map(|value| value.map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
        .collect()
}
