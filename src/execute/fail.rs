//! Failures of ours that the server must share: a client that gets an error in a transaction must find it failed.

use crate::session::repeat::Unfit;
use crate::upstream::call::{Call, Item, is_fatal, pass_news, until_ready};
use crate::upstream::link::Arrival;
use crate::upstream::{Link, Lost};
use crate::wire::client;
use crate::wire::frame::{put, put_string};
use crate::wire::kind::{client as client_kind, server as kind};
use crate::wire::server::Status;

/// A text that the server refuses; it stands in the server's log beside the error, so it speaks to a person.
const REFUSED: &str = "lockkeeper refused the statement; this failed in its place";

/// Fails the open transaction block, if there is one.
pub async fn transaction(link: &mut Link) -> Result<(), Lost> {
    link.tracker.lose_journal(Unfit::Answered);
    upstream(link).await
}

/// The same where its client may never hear of it, since it is sent once more.
pub async fn upstream(link: &mut Link) -> Result<(), Lost> {
    if link.tracker.status() == Status::InTransaction {
        Call::run(link, &[Item::ours(REFUSED)]).await?;
    }
    Ok(())
}

/// The same where only simple Queries are spoken.
pub async fn transaction_by_query(link: &mut Link) -> Result<(), Lost> {
    link.tracker.lose_journal(Unfit::Answered);
    if link.tracker.status() != Status::InTransaction {
        return Ok(());
    }
    let mut out = Vec::new();
    put(&mut out, client_kind::QUERY, |out| put_string(out, REFUSED.as_bytes()));
    link.send(&out).await;
    until_ready(link).await
}

/// Makes the server ignore everything up to the client's Sync, as it does after an error of its own in an extended batch.
pub async fn batch(link: &mut Link) -> Result<(), Lost> {
    link.tracker.lose_journal(Unfit::Answered);
    let mut out = Vec::new();
    client::execute(&mut out, REFUSED.as_bytes());
    client::flush(&mut out);
    link.send(&out).await;
    loop {
        match link.next().await? {
            Arrival::Frame(kind::ERROR, body) if !is_fatal(&body) => break,
            Arrival::Frame(other, body) => pass_news(link, other, &body).await,
            Arrival::ClientGone => {}
        }
    }
    link.tracker.expected.skip_to_sync();
    Ok(())
}
