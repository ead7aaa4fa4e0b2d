//! Portals of statements that are looked after: the server knows best whether one is there, and since such a statement
//! runs in the portal's place, nobody but us knows that it has run.

use crate::base::{Notice, SqlState};
use crate::event::PortalFreed;
use crate::execute::outcome::Outcome;
use crate::execute::{catalogue, fail};
use crate::upstream::call::{Call, Item, pass, pass_news, until_ready};
use crate::upstream::link::{Arrival, Batch, Link, Lost};
use crate::wire::client::{self, Bind, Parse};
use crate::wire::frame::HEADER_BYTES;
use crate::wire::kind::server;
use crate::wire::server::Status;

/// What became of a portal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It can be run and returns no rows.
    Fresh,
    /// It can be run and returns rows, so that the Execute itself must go upstream.
    Rows,
    /// It has run; Postgres runs a portal once.
    Run,
    /// There is none; the client has the server's error, and its batch has failed.
    Missing,
}

/// Whether a portal that has found no room among the watched ones has some now, when what it waited for is over.
/// `link.held` begins with its Bind, as far as both names at least.
pub(super) fn has_room(link: &mut Link) -> bool {
    let body = link.held.get(HEADER_BYTES..).unwrap_or_default();
    Bind::read(body).is_none_or(|bind| link.tracker.prepared.bind(bind.portal, bind.statement))
}

/// Whether one more statement can be watched, once those are forgotten that the client has closed: a Close that the
/// server ignores looks like any other, so it is not believed.
pub(super) async fn has_room_for(link: &mut Link, parse: Parse<'_>) -> Result<bool, Lost> {
    if !link.tracker.prepared.has_room(parse.name, parse.sql) {
        if link.tracker.status() == Status::Idle {
            link.batch = Batch::Clients;
        }
        let names = catalogue::prepared_statements(link).await?;
        link.batch = Batch::None;
        if let Some(names) = names {
            link.tracker.prepared.keep(&names);
        }
    }
    Ok(link.tracker.prepared.has_room(parse.name, parse.sql))
}

/// What a client hears that makes more of them than are watched.
pub(super) fn too_many() -> Notice {
    Notice::error(SqlState::PROGRAM_LIMIT_EXCEEDED, "too many portals of statements that change the schema")
        .hint("They last until their transaction ends. Use one name again and again, or the unnamed portal.")
}

/// What a client hears behind work that is queued, of a portal that was made before it.
pub(super) fn unknown(name: &[u8]) -> Notice {
    let name = String::from_utf8_lossy(name);
    Notice::error(SqlState::FEATURE_NOT_SUPPORTED, format!("portal \"{name}\" cannot be run behind work that is deferred"))
        .detail("It was made before, from a statement that lockkeeper has not kept; it may hang on that work, or be the COMMIT.")
        .hint("Parse and bind its statement again.")
}

/// Asks the server about a portal.
pub(super) async fn look(link: &mut Link, name: &[u8]) -> Result<State, Lost> {
    Ok(match described(link, name).await? {
        Described::Missing => State::Missing,
        _ if link.tracker.prepared.has_run(name) => State::Run,
        Described::Nothing => State::Fresh,
        Described::Rows(_) => State::Rows,
    })
}

/// What the server says of a portal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Described {
    /// It brings no rows.
    Nothing,
    /// The body of its `RowDescription`.
    Rows(Vec<u8>),
    /// There is none; the client has the server's error, and its batch has failed.
    Missing,
}

/// Asks the server what a portal brings.
pub(super) async fn described(link: &mut Link, name: &[u8]) -> Result<Described, Lost> {
    let mut out = Vec::new();
    client::describe(&mut out, b'P', name);
    client::flush(&mut out);
    link.send(&out).await;
    loop {
        match link.next().await? {
            Arrival::Frame(server::NO_DATA, _) => return Ok(Described::Nothing),
            Arrival::Frame(server::ROW_DESCRIPTION, body) => return Ok(Described::Rows(body)),
            Arrival::Frame(server::ERROR, body) => {
                refused(link, &body).await;
                return Ok(Described::Missing);
            }
            Arrival::Frame(kind, body) => pass_news(link, kind, &body).await,
            Arrival::ClientGone => {}
        }
    }
}

/// Makes a portal again that has gone with its batch, from a text that needs no values; its rows come in these formats, their count in
/// front. What it brings now.
pub(super) async fn make_again(
    link: &mut Link,
    name: &[u8],
    (text, formats): (&[u8], &[u8]),
) -> Result<Described, Lost> {
    const STATEMENT: &[u8] = b"lockkeeper";
    let mut out = Vec::new();
    client::parse(&mut out, STATEMENT, text);
    client::bind_for(&mut out, (name, STATEMENT), &[], formats);
    client::close(&mut out, b'S', STATEMENT);
    client::flush(&mut out);
    link.send(&out).await;
    link.batch = Batch::Clients;
    loop {
        match link.next().await? {
            Arrival::Frame(server::CLOSE_COMPLETE, _) => break,
            Arrival::Frame(server::ERROR, body) => {
                refused(link, &body).await;
                return Ok(Described::Missing);
            }
            Arrival::Frame(kind, body) => pass_news(link, kind, &body).await,
            Arrival::ClientGone => {}
        }
    }
    described(link, name).await
}

/// As Postgres has it of a plan that brings other rows than it has told of.
pub(super) fn other_columns() -> Notice {
    let message = "the rows of a statement that was held are not like those that its client was told of";
    Notice::error(SqlState::FEATURE_NOT_SUPPORTED, message)
        .detail("Its table was changed while it was held. Nothing was written.")
        .hint("Prepare it anew.")
}

/// The client hears the server's error, and its batch has failed.
async fn refused(link: &mut Link, error: &[u8]) {
    link.tracker.received(server::ERROR, error);
    link.tracker.expected.skip_to_sync();
    pass(link, server::ERROR, error).await;
}

const THERE: &str =
    "SELECT 1 FROM pg_catalog.pg_prepared_statements s WHERE s.name OPERATOR(pg_catalog.=) $1";

/// The types of the parameters of a statement that is there; `None` where that cannot be told without a risk.
pub(super) async fn types(link: &mut Link, statement: &[u8]) -> Result<Option<Vec<u32>>, Lost> {
    if !statement.is_empty() {
        let Ok(name) = std::str::from_utf8(statement) else { return Ok(None) };
        // A question that fails would fail the client's batch.
        let answer = Call::run(link, &[Item::ours(THERE).with(vec![name])]).await?;
        if answer.row(0).is_none() {
            return Ok(None);
        }
    }
    let mut out = Vec::new();
    client::describe(&mut out, b'S', statement);
    client::flush(&mut out);
    link.send(&out).await;
    let mut types = Vec::new();
    loop {
        match link.next().await? {
            Arrival::Frame(server::PARAMETER_DESCRIPTION, body) => types = oids(&body),
            Arrival::Frame(server::NO_DATA | server::ROW_DESCRIPTION, _) => return Ok(Some(types)),
            Arrival::Frame(server::ERROR, body) => {
                refused(link, &body).await;
                return Ok(None);
            }
            Arrival::Frame(kind, body) => pass_news(link, kind, &body).await,
            Arrival::ClientGone => {}
        }
    }
}

/// Those of a `ParameterDescription`.
fn oids(body: &[u8]) -> Vec<u32> {
    let four = |chunk: &[u8]| chunk.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes));
    body.get(2..).unwrap_or_default().chunks_exact(4).filter_map(four).collect()
}

/// Closes the unnamed portal of a session that idles in a transaction, unseen by its client: with it goes the snapshot that
/// others wait for. A client that has spoken meanwhile takes its place itself. The same for what is kept for a transaction that is over.
pub(super) async fn free(link: &mut Link, pid: u32) -> Result<(), Lost> {
    if link.keeps_in_vain() {
        return link.forget_kept().await;
    }
    if !link.held.is_empty() {
        return Ok(());
    }
    PortalFreed { pid }.emit();
    close_unnamed(link).await
}

/// Lets go of a finished portal before what takes its place has to wait.
pub(super) async fn free_before_waiting(link: &mut Link) -> Result<(), Lost> {
    if link.tracker.keeps_finished_portal() { close_unnamed(link).await } else { Ok(()) }
}

async fn close_unnamed(link: &mut Link) -> Result<(), Lost> {
    let mut out = Vec::new();
    client::close(&mut out, b'P', b"");
    client::sync(&mut out);
    link.send(&out).await;
    until_ready(link).await?;
    link.tracker.portal_closed();
    Ok(())
}

/// Closes the unnamed statement and portal, as a simple Query does before anything else (`exec_simple_query` in `postgres.c`): what
/// takes its place by the extended protocol leaves them alone, and a portal that is open keeps its tables from being altered.
pub(super) async fn give_way(link: &mut Link) -> Result<(), Lost> {
    let mut out = Vec::new();
    client::close(&mut out, b'S', b"");
    client::close(&mut out, b'P', b"");
    client::sync(&mut out);
    link.send(&out).await;
    until_ready(link).await?;
    link.tracker.portal_closed();
    link.tracker.prepared.forget(b"");
    Ok(())
}

/// What Postgres says of a portal that has run.
pub(super) async fn second_run(link: &mut Link, name: &[u8]) -> Result<Outcome, Lost> {
    fail::transaction(link).await?;
    link.batch = Batch::None;
    let name = String::from_utf8_lossy(name);
    Ok(Outcome::own_error(&Notice::error(
        SqlState::NOT_IN_PREREQUISITE_STATE,
        format!("portal \"{name}\" cannot be run"),
    )))
}
