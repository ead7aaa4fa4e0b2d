//! Parse: the statement is judged when it is run, so its text is remembered until then.

use crate::base::{Notice, SqlState};
use crate::execute::catalogue;
use crate::execute::outcome::Outcome;
use crate::sql;
use crate::upstream::link::{Arrival, Batch, Link, Lost};
use crate::wire::client::Parse;
use crate::wire::kind::server as from_server;
use crate::wire::server::Status;

use super::engage::{Desk, Way, drop_held, finish};
use super::eye::dialect;

/// A Parse goes upstream as it is; its text is remembered for the Execute once the server has taken it.
pub(super) async fn prepare(desk: &mut Desk<'_>, body: &[u8], total: usize) -> Result<(), Lost> {
    let link = &mut *desk.link;
    let Some(parse) = Parse::read(body) else {
        link.forward_held(total).await;
        return Ok(());
    };
    let watch = !sql::parse(parse.sql, dialect(link.tracker.reading())).is_ordinary();
    if watch && !has_room(link, parse).await? {
        let error = Notice::error(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            "too many prepared statements that change the schema",
        )
        .hint("Close or DEALLOCATE those that are done with.");
        drop_held(link, total);
        return finish(link, Way::Extended, Outcome::own_error(&error)).await;
    }
    link.forward_held(total).await;
    let mut flush = Vec::new();
    crate::wire::client::flush(&mut flush);
    link.send(&flush).await;
    loop {
        let Arrival::Frame(kind, answer) = link.next().await? else { continue };
        link.tracker.received(kind, &answer);
        crate::upstream::call::pass(link, kind, &answer).await;
        match kind {
            from_server::PARSE_COMPLETE if watch => link.tracker.prepared.watch(parse.name, parse.sql),
            from_server::PARSE_COMPLETE => link.tracker.prepared.forget(parse.name),
            from_server::ERROR => {}
            _ => continue,
        }
        return Ok(());
    }
}

/// Whether one more statement can be watched, once those are forgotten that the client has closed: a Close that the
/// server ignores looks like any other, so it is not believed.
async fn has_room(link: &mut Link, parse: Parse<'_>) -> Result<bool, Lost> {
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
