//! Messages that must be looked at and are too long for it.

use crate::base::{Notice, SqlState};
use crate::execute::fail;
use crate::execute::outcome::Outcome;
use crate::upstream::link::{Batch, Link, Lost};
use crate::wire::Header;
use crate::wire::kind::client;
use crate::wire::server::Status;

use super::engage::{Desk, Way, come_to_rest, drop_held, finish};

/// Deals with a message that must be looked at and is too long for it: refused, its bytes thrown away as they come.
pub async fn refuse(desk: &mut Desk<'_>) -> Result<(), Lost> {
    come_to_rest(desk.link, desk.scratch).await?;
    let tracker = &desk.link.tracker;
    let expected = &tracker.expected;
    if expected.is_skipping() || expected.is_copying_in() || tracker.status() == Status::Failed {
        // The server ignores it, or refuses it in words of its own.
        return pass(desk.link).await;
    }
    if tracker.ran_in_batch() && tracker.status() == Status::Idle {
        desk.link.batch = Batch::Clients;
    }
    let Some(header) = Header::peek(&desk.link.held).map_err(Lost::ClientMalformed)? else { return Ok(()) };
    let mut left = header.total();
    loop {
        let here = left.min(desk.link.held.len());
        drop_held(desk.link, here);
        left -= here;
        if left == 0 {
            break;
        }
        if !desk.link.more_from_client().await {
            return Err(Lost::Client(None));
        }
    }
    fail::transaction(desk.link).await?;
    let error = Notice::error(SqlState::PROGRAM_LIMIT_EXCEEDED, "statement is too long to be judged")
        .detail(format!("Its message is {} bytes long and does not begin as an ordinary statement.", header.total()))
        .hint("Send it in smaller parts, or raise limits.statement_inspect_max, or set limits.oversize = \"pass\".");
    let way = if header.kind == client::QUERY { Way::Simple } else { Way::Extended };
    finish(desk.link, way, Outcome::own_error(&error)).await
}

/// Sends a message that is too long to be looked at on as it is.
pub async fn pass(link: &mut Link) -> Result<(), Lost> {
    let Some(header) = Header::peek(&link.held).map_err(Lost::ClientMalformed)? else { return Ok(()) };
    let held = std::mem::take(&mut link.held);
    link.tracker.pass_unseen(header, held.len());
    link.send(&held).await;
    Ok(())
}
