//! Waiting outside the queue of a lock, inside the server; and what the server has to know where that is not possible.

use std::time::Duration;

use crate::base::Notice;
use crate::event::clock::{self, Moment};
use crate::pace::blocker::Blocker;
use crate::upstream::call::{Call, Failed, Item, Progress};
use crate::upstream::{Link, Lost};
use crate::wire::client;

use super::Run;
use super::guard::Wait;
use super::tell::tell;

/// How a nap ended.
pub(super) enum Nap {
    /// It was slept out; who was in the way just before, if there was time to look.
    Over(Option<Vec<Blocker>>),
    /// Something ended it, a cancel request most likely; the server's words.
    Ended(Failed),
}

/// So long a nap has gone on before the client is told, so that the server is at it even on a busy machine.
const TELL_AFTER: Duration = Duration::from_millis(15);

/// The last part of a nap, in which it is looked who is in the way.
const LOOK_BEFORE_END: Duration = Duration::from_millis(20);

/// Sleeps inside the server, so that a cancel request ends it whichever way it comes.
///
/// The server forgets a cancel request that finds it idle: so the client is told once the server is at it, and the next
/// look is taken while it still sleeps.
pub(super) async fn nap(
    run: &mut Run<'_>,
    wait: &Wait<'_>,
    sleep: Duration,
    words: Option<Notice>,
) -> Result<Nap, Lost> {
    let seconds = sleep.as_secs_f64().to_string();
    let item = Item::ours("SELECT pg_catalog.pg_sleep($1::pg_catalog.float8)").with(vec![&seconds]);
    let mut call = Call::start(run.link, &[item]).await;
    let began = Moment::now();
    let mut words = words;
    let mut blockers = None;
    loop {
        let until = if words.is_some() { TELL_AFTER } else { sleep.saturating_sub(LOOK_BEFORE_END) };
        let left = until.saturating_sub(began.elapsed());
        let step = if words.is_some() || blockers.is_none() {
            clock::within(left, call.step(run.link)).await
        } else {
            Some(call.step(run.link).await)
        };
        match (step.transpose()?, words.take()) {
            (None, Some(words)) => tell(run.link, &[words]).await,
            (None, None) => blockers = Some(wait.look(run).await),
            (Some(Progress::Done), _) => break,
            (Some(Progress::ClientGone), _) => {}
        }
    }
    Ok(match call.into_answer().failed {
        Some(failed) => Nap::Ended(failed),
        None => Nap::Over(blockers),
    })
}

/// Tells the server that its session does not idle, though nothing is asked of it: its client waits. Any message ends the time of
/// `idle_in_transaction_session_timeout` until the next `ReadyForQuery` (`PostgresMain` in `postgres.c`), and a Flush does nothing else.
pub(super) async fn does_not_idle(link: &mut Link) {
    let mut out = Vec::new();
    client::flush(&mut out);
    link.send(&out).await;
}
