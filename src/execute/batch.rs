//! Ranges of a key, each a short transaction of its own: what is asked for them, and what it means when one fails.

use std::time::Duration;

use crate::base::{Notice, SqlState};
use crate::pace::range::{Key, Range, Walk};
use crate::plan::Ranges;
use crate::plan::backfill::Begun;
use crate::upstream::Lost;
use crate::upstream::call::{Answer, Call, Failed, Item};
use crate::wire::fields::sqlstate;
use crate::wire::server::Status;

use super::Run;
use super::attempt::{client_timeout, is_lock_timeout, restore};
use super::outcome::Outcome;
use super::stall::StallWatch;

/// The pause before a range is tried again.
pub(super) const HELD_UP_PAUSE: Duration = Duration::from_millis(100);

/// Each transaction of ours sees what was committed just before, and is not ended by a time-out that means the whole; nothing in it
/// is worth being compiled.
pub(super) const BEGIN: [&str; 3] = [
    "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
    "SET LOCAL statement_timeout = 0",
    "SET LOCAL jit = off",
];

/// Why a range is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeldUp {
    /// Somebody holds a row of it.
    Row,
    /// Somebody has waited for a row of it for too long.
    Others,
    /// The server asks for it.
    Conflict,
}

impl HeldUp {
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Row => "waiting for a row that another transaction has locked",
            Self::Others => "making way for others who wait for its rows",
            Self::Conflict => "trying again after a conflict with another transaction",
        }
    }
}

/// How a range has ended.
pub(super) enum Tried {
    Done,
    /// It was rolled back, and may go again; the outcome where there is no time left for that.
    HeldUp(HeldUp, Outcome),
    Failed(Failed),
}

pub(super) async fn next_range(
    run: &mut Run<'_>,
    ranges: &Ranges,
    walk: &Walk,
) -> Result<Result<Range, Failed>, Lost> {
    let ahead = walk.ahead();
    let sql = ranges.end_of_range(begun(&ahead), walk.rows());
    let found = ask(run, &sql, &values(&ahead)).await?;
    Ok(found.map(|answer| walk.next(first(&answer))))
}

/// A question of ours in a transaction of its own, which no time-out of the client ends.
pub(super) async fn ask(
    run: &mut Run<'_>,
    sql: &str,
    values: &[&str],
) -> Result<Result<Answer, Failed>, Lost> {
    let [begin, lift, uncompiled] = BEGIN.map(Item::ours);
    let items = [begin, lift, uncompiled, Item::ours(sql).with(values.to_vec()), Item::ours("COMMIT")];
    let mut answer = finished(run, &items).await?;
    Ok(match answer.failed.take() {
        Some(failed) => Err(failed),
        None => Ok(answer),
    })
}

/// Runs a transaction; where it fails it is rolled back.
pub(super) async fn finished(run: &mut Run<'_>, items: &[Item<'_>]) -> Result<Answer, Lost> {
    let answer = Call::run(run.link, items).await?;
    if answer.status != Status::Idle {
        restore(run.link, &["ROLLBACK"]).await?;
    }
    Ok(answer)
}

/// Sleeps inside the server, so that a cancel request ends it whichever way it comes.
pub(super) async fn sleep(run: &mut Run<'_>, pause: Duration) -> Result<Result<(), Failed>, Lost> {
    let seconds = pause.as_secs_f64().to_string();
    ask(run, "SELECT pg_catalog.pg_sleep($1::pg_catalog.float8)", &[&seconds]).await.map(|it| it.map(drop))
}

/// What a failed range means.
pub(super) fn tried(failed: Failed, watch: &StallWatch<'_>) -> Tried {
    if watch.has_struck(&failed) {
        let message = "canceling statement because others waited behind it";
        let detail = format!(
            "{} Its rows were tried again and again, in the end one by one.",
            watch.story().unwrap_or_default()
        );
        let error = Notice::error(SqlState::LOCK_NOT_AVAILABLE, message).detail(detail).hint(
            "Run it when nobody uses the table. SET lockkeeper.max_stall = '1s' lets others wait longer, SET \
             lockkeeper.retry_for = '1h' lets it try longer.",
        );
        return Tried::HeldUp(HeldUp::Others, Outcome::own_error(&error));
    }
    let why = match sqlstate(&failed.body) {
        SqlState::SERIALIZATION_FAILURE | SqlState::DEADLOCK_DETECTED => HeldUp::Conflict,
        _ if is_lock_timeout(&failed) => HeldUp::Row,
        _ => return Tried::Failed(failed),
    };
    Tried::HeldUp(why, Outcome::server_error(&failed, None, None))
}

pub(super) fn half(time: Duration) -> Duration {
    time / 2
}

/// How long a range may stand in a lock queue, in milliseconds: no longer than the client itself would.
pub(super) fn patience(run: &Run<'_>) -> u128 {
    let patience = half(run.policy.max_stall);
    client_timeout(&run.session.lock_timeout).map_or(patience, |own| own.min(patience)).as_millis().max(1)
}

pub(super) const fn begun(range: &Range) -> Begun {
    if range.behind.is_some() { Begun::Behind } else { Begun::AtTheFirst }
}

/// The parameters that say which range it is.
pub(super) fn values(range: &Range) -> Vec<&str> {
    range.to.iter().chain(range.behind.iter().flatten()).map(String::as_str).collect()
}

/// The first row of what was asked, unless there is a null in it.
pub(super) fn first(answer: &Answer) -> Option<Key> {
    answer.row(BEGIN.len())?.iter().cloned().collect()
}

pub(super) fn count(text: Option<&str>) -> u64 {
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}
