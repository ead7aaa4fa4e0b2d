//! Messages that are too long to be judged and hold something that must be.

use std::future::poll_fn;

use crate::base::{Notice, SqlState};
use crate::execute::outcome::Outcome;
use crate::execute::tell::tell;
use crate::judge::Mode;
use crate::upstream::link::{Batch, Link, Lost};
use crate::wire::Header;
use crate::wire::kind::client;
use crate::wire::server::Status;
use crate::wire::startup::Replication;

use super::consider::policy_now;
use super::engage::{Desk, Way, come_to_rest, drop_held, finish};
use super::portal;
use super::relay::poll_server;

/// The way out, for people.
const SMALLER: &str = "Send its statements one by one, or raise limits.statement_inspect_max, or set limits.oversize = \"pass\".";

/// Deals with a message of which nothing has been sent on yet: refused, its bytes thrown away as they come.
pub async fn refuse(desk: &mut Desk<'_>) -> Result<(), Lost> {
    come_to_rest(desk.link, desk.scratch).await?;
    let tracker = &desk.link.tracker;
    if tracker.expected.is_skipping() || tracker.expected.is_copying_in() {
        // The server ignores it, or refuses it in words of its own.
        return pass(desk.link).await;
    }
    let Some(header) = Header::peek(&desk.link.held).map_err(Lost::ClientMalformed)? else { return Ok(()) };
    if header.kind == client::BIND && portal::has_room(desk.link) {
        return pass(desk.link).await;
    }
    let tracker = &desk.link.tracker;
    if tracker.ran_in_batch() && tracker.status() == Status::Idle {
        desk.link.batch = Batch::Clients;
    }
    let failed = desk.link.tracker.status() == Status::Failed;
    let may_ask = !failed && desk.replication == Replication::No;
    let mode = if may_ask { policy_now(desk).await?.mode } else { desk.policy.mode };
    if mode != Mode::Enforce {
        observed(desk.link, mode).await;
        desk.link.batch = Batch::None;
        return pass(desk.link).await;
    }
    throw_away(desk.link, header.total()).await?;
    desk.fail_transaction().await?;
    let error = match header.kind {
        client::BIND => portal::too_many(),
        _ if failed => aborted(),
        _ => too_long(header),
    };
    let way = if header.kind == client::QUERY { Way::Simple } else { Way::Extended };
    finish(desk.link, way, Outcome::own_error(&error)).await
}

/// Sends a message that is too long to be looked at on as it is.
pub async fn pass(link: &mut Link) -> Result<(), Lost> {
    let Some(header) = Header::peek(&link.held).map_err(Lost::ClientMalformed)? else { return Ok(()) };
    let rest = link.held.split_off(header.total().min(link.held.len()));
    let held = std::mem::replace(&mut link.held, rest);
    link.tracker.pass_unseen(header, held.len());
    link.send(&held).await;
    Ok(())
}

/// Deals with a message whose beginning has been sent on: what has gone cannot be taken back, but the server runs nothing
/// of a message before its end. So the session is cut off there; the words for its client are returned.
pub async fn cut_off(desk: &mut Desk<'_>) -> Result<Option<Notice>, Lost> {
    let link = &mut *desk.link;
    if desk.policy.mode != Mode::Enforce || link.tracker.expected.is_skipping() {
        observed(link, desk.policy.mode).await;
        link.tracker.look_away();
        return Ok(None);
    }
    poll_fn(|cx| link.poll_finish_upstream(cx)).await;
    // A client that is still sending would not read.
    throw_away(link, link.tracker.passing()).await?;
    // What came before in the pipeline is done and answered, then the server finds the end and goes.
    match poll_fn(|cx| poll_server(link, cx, desk.scratch)).await {
        Err(lost @ (Lost::Client(_) | Lost::ClientMalformed(_))) => Err(lost),
        Ok(()) | Err(Lost::Upstream(_) | Lost::UpstreamMalformed(_)) => Ok(Some(hidden())),
    }
}

/// Throws bytes of the client's away as they come.
async fn throw_away(link: &mut Link, mut left: usize) -> Result<(), Lost> {
    loop {
        let here = left.min(link.held.len());
        drop_held(link, here);
        left -= here;
        if left == 0 {
            return Ok(());
        }
        if !link.more_from_client().await {
            return Err(Lost::Client(None));
        }
    }
}

/// Says, where nothing is refused, what would have been.
async fn observed(link: &mut Link, mode: Mode) {
    if mode == Mode::Observe && link.tracker.at_boundary() {
        let notice = Notice::info("statement would be refused: it is too long to be judged");
        tell(link, &[notice.hint("lockkeeper only observes here and sends it as it is.")]).await;
    }
}

fn too_long(header: Header) -> Notice {
    Notice::error(SqlState::PROGRAM_LIMIT_EXCEEDED, "statement is too long to be judged")
        .detail(format!(
            "Its message is {} bytes long and holds a statement that may lock tables.",
            header.total()
        ))
        .hint(SMALLER)
}

/// What Postgres says of whatever comes in a failed transaction.
fn aborted() -> Notice {
    Notice::error(
        SqlState::IN_FAILED_TRANSACTION,
        "current transaction is aborted, commands ignored until end of transaction block",
    )
}

fn hidden() -> Notice {
    Notice::fatal(SqlState::PROGRAM_LIMIT_EXCEEDED, "statement is too long to be judged")
        .detail(
            "Behind a semicolon its message holds a statement that may lock tables, so far from the beginning that a \
             part of it was on its way to the server already. Nothing of it was run; an open transaction is rolled back.",
        )
        .hint(SMALLER)
}
