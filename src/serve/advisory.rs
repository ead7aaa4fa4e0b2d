//! Calls that wait for an advisory lock: the session gets the lock first, without waiting in the server's queue; then the client's own
//! call goes on, which has it at once and answers in its own words; then what was taken for it is given back.

use crate::base::SqlState;
use crate::effects::Need;
use crate::execute::Surroundings;
use crate::execute::advisory::{self, Attempt, Had};
use crate::execute::catalogue::{self, Looked};
use crate::execute::outcome::Outcome;
use crate::judge::Mode;
use crate::sql::advisory::{Lasts, Value, Wanted, wanted};
use crate::upstream::link::{Batch, Link, Lost, Reading};
use crate::wire::client::{Bind, Bound, bound};
use crate::wire::fields::sqlstate;
use crate::wire::kind::client;
use crate::wire::server::Status;
use crate::wire::{Frame, Header};

use super::consider::merged;
use super::engage::{Desk, Sent, Way, come_to_rest, drop_held, end_batch, finish};
use super::{portal, statement};

/// Looks after a simple Query that may be such a call.
pub(super) async fn query(desk: &mut Desk<'_>, text: &[u8], total: usize) -> Result<(), Lost> {
    let sent = Sent::query(text, total);
    let conforming = desk.link.tracker.reading().dialect().standard_conforming_strings;
    let wanted = wanted(text, conforming, &[]).filter(|_| !desk.link.tracker.ran_in_batch());
    let Some(wanted) = wanted else { return statement::look_after(desk, sent).await };
    let had = if desk.link.tracker.status() == Status::InTransaction {
        portal::free_before_waiting(desk.link).await?;
        advisory::in_transaction(desk.link, desk.surroundings, &wanted).await?
    } else {
        had_outside(desk, &wanted).await?
    };
    match had {
        Had::AsSent => statement::look_after(desk, sent).await,
        Had::Held => {
            note(desk, &wanted);
            statement::look_after(desk, sent).await?;
            give_back(desk, &wanted).await
        }
        Had::Ended(outcome) => {
            drop_held(desk.link, total);
            finish(desk.link, Way::Simple, outcome).await
        }
    }
}

/// Looks after a Bind: behind it there is a portal with a snapshot, so this is the place to wait.
pub(super) async fn bind(desk: &mut Desk<'_>, body: &[u8], total: usize) -> Result<(), Lost> {
    let Some(wanted) = wanted_by(desk.link, body) else {
        desk.link.forward_held(total).await;
        return Ok(());
    };
    let link = &mut *desk.link;
    let mut batch = None;
    let had = if link.tracker.status() == Status::InTransaction || link.tracker.ran_in_batch() {
        if link.tracker.status() == Status::Idle {
            link.batch = Batch::Clients;
        } else {
            portal::free_before_waiting(link).await?;
        }
        advisory::in_transaction(link, desk.surroundings, &wanted).await?
    } else {
        batch = up_to_sync(link, total).await;
        if batch.is_some() {
            end_batch(link).await?;
            had_outside(desk, &wanted).await?
        } else {
            // What is taken now could not be given back in time.
            Had::AsSent
        }
    };
    match (had, batch) {
        (Had::Held, Some(all)) => {
            note(desk, &wanted);
            forward_all(desk.link, all).await?;
            give_back(desk, &wanted).await
        }
        (Had::Held | Had::AsSent, _) => {
            desk.link.batch = Batch::None;
            desk.link.forward_held(total).await;
            Ok(())
        }
        (Had::Ended(outcome), _) => {
            drop_held(desk.link, total);
            finish(desk.link, Way::Extended, outcome).await
        }
    }
}

fn wanted_by(link: &Link, body: &[u8]) -> Option<Wanted> {
    let text = link.tracker.prepared.waits(Bind::read(body)?.statement)?;
    let bound = bound(body)?;
    let values = bound.into_iter().map(|value| match value {
        Bound::Null => Some(None),
        Bound::Text(bytes) => std::str::from_utf8(bytes).ok().map(|text| Some(Value::Text(text))),
        Bound::Binary(bytes) => Some(Some(Value::Binary(bytes))),
    });
    let values = values.collect::<Option<Vec<_>>>()?;
    wanted(&text, link.tracker.reading().dialect().standard_conforming_strings, &values)
}

/// Gets the lock where no transaction is open.
async fn had_outside(desk: &mut Desk<'_>, wanted: &Wanted) -> Result<Had, Lost> {
    match advisory::attempt(desk.link, wanted).await? {
        Attempt::Had => return Ok(Had::Held),
        Attempt::Missed => {}
        Attempt::Failed(failed) if sqlstate(&failed.body) == SqlState::QUERY_CANCELED => {
            return Ok(Had::Ended(Outcome::server_error(&failed, None, None)));
        }
        // In its own words, which the client's call will bring.
        Attempt::Failed(_) => return Ok(Had::AsSent),
    }
    let settings = match catalogue::look_up(desk.link, &Need::default()).await? {
        Looked::Known(settings, _) => settings,
        Looked::Stopped(failed) => return Ok(Had::Ended(Outcome::server_error(&failed, None, None))),
    };
    if merged(desk.policy, &settings).is_ok_and(|policy| policy.mode != Mode::Enforce) {
        return Ok(Had::AsSent);
    }
    advisory::outside(desk.link, desk.surroundings, (wanted, &settings)).await
}

/// Before its client knows that it has the lock, so that whoever waits for it from then on knows of it.
fn note(desk: &Desk<'_>, wanted: &Wanted) {
    if let (Lasts::Session, Some(key)) = (wanted.lasts(), wanted.key()) {
        let Surroundings { live, place, .. } = desk.surroundings;
        live.takers().note(&place.database, key, place.pid);
    }
}

async fn give_back(desk: &mut Desk<'_>, wanted: &Wanted) -> Result<(), Lost> {
    come_to_rest(desk.link, desk.scratch).await?;
    desk.link.batch = Batch::None;
    advisory::give_back(desk.link, wanted).await
}

/// More messages than these are not looked over for a Sync.
const LOOKED_OVER_MAX: usize = 16;

/// They are short: names, and a row limit.
const LENGTH_MAX: usize = 1 << 10;

/// The bytes from the Bind at the front of `link.held` to its Sync, if nothing but its own Execute stands in between.
async fn up_to_sync(link: &mut Link, total: usize) -> Option<usize> {
    let mut at = total;
    for _ in 0..LOOKED_OVER_MAX {
        let (kind, length) = loop {
            match link.held.get(at..).map(Frame::peek) {
                Some(Ok(Some(frame))) => break (frame.kind, frame.body.len()),
                Some(Err(_)) => return None,
                _ if link.held.len() > at + LENGTH_MAX || link.client_reading == Reading::Closed => {
                    return None;
                }
                _ => {}
            }
            link.more_from_client().await;
        };
        at += crate::wire::frame::HEADER_BYTES + length;
        match kind {
            client::SYNC => return Some(at),
            client::DESCRIBE | client::EXECUTE | client::CLOSE => {}
            _ => return None,
        }
    }
    None
}

/// Sends so many bytes of whole messages on.
async fn forward_all(link: &mut Link, mut left: usize) -> Result<(), Lost> {
    while left > 0 {
        let Some(header) = Header::peek(&link.held).map_err(Lost::ClientMalformed)? else { return Ok(()) };
        link.forward_held(header.total()).await;
        left = left.saturating_sub(header.total());
    }
    Ok(())
}
