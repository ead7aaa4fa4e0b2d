//! Partitions that are detached concurrently: what a failure leaves half done is finished, and the CHECK found that is left.

use crate::base::name::written;
use crate::base::{Notice, SqlState};
use crate::effects::facts::Oid;
use crate::judge::Retry;
use crate::plan::by_hand::{alter, spelled};
use crate::plan::{HalfDetached, LeftCheck};
use crate::upstream::call::{Call, Failed, Item, Row};
use crate::upstream::{Link, Lost};

use super::Run;
use super::outcome::Outcome;
use super::stall::StallWatch;
use super::take_back::undone_by;
use super::tell::tell;
use super::unhurried::{WhenAlone, unhurried};

/// Whether a partition is one still, and whether it is half detached.
const STANDING: &str = "SELECT coalesce(pg_catalog.jsonb_extract_path_text(pg_catalog.to_jsonb(h), 'inhdetachpending'), 'false') \
     FROM pg_catalog.pg_inherits h WHERE h.inhrelid OPERATOR(pg_catalog.=) $1::pg_catalog.oid \
     AND h.inhparent OPERATOR(pg_catalog.=) $2::pg_catalog.oid";

/// The CHECKs of a table.
const CHECKS: &str = "SELECT k.conname, pg_catalog.pg_get_constraintdef(k.oid) FROM pg_catalog.pg_constraint k \
     WHERE k.conrelid OPERATOR(pg_catalog.=) $1::pg_catalog.oid AND k.contype OPERATOR(pg_catalog.=) 'c'";

/// How a detach stands.
pub enum Settled {
    /// The partition is detached.
    Detached,
    /// It is not, or not quite; the words for the client.
    Failed(Outcome),
    /// Nothing is done, since others waited behind it.
    GaveWay,
}

/// Detaches a partition. In the end that locks it as strongly as can be, and queues for that: who waits behind it for too long is
/// let go before it.
pub async fn run(
    run: &mut Run<'_>,
    work: (Item<'_>, Option<Oid>),
    half: &HalfDetached,
) -> Result<Settled, Lost> {
    let watch = StallWatch::new(run, Retry::Transaction);
    let answer = watch.over(Box::pin(unhurried(run, work, WhenAlone::Cancelled))).await?;
    run.record.stalled(watch.longest());
    let Some(failed) = answer.failed else { return Ok(Settled::Detached) };
    match settle(run, half, &failed).await? {
        Settled::Failed(_) if watch.has_struck(&failed) => Ok(Settled::GaveWay),
        settled => Ok(settled),
    }
}

/// What the client hears when others waited behind it each time.
pub fn gave_way(half: &HalfDetached) -> Outcome {
    let message = "canceling statement because others waited behind it";
    let detail = format!("Nothing was done. {} is in use all the time.", spelled(&half.partition.name));
    let hint = "Try again when it is less in use, or SET lockkeeper.max_stall to let others wait longer.";
    Outcome::own_error(&Notice::error(SqlState::LOCK_NOT_AVAILABLE, message).detail(detail).hint(hint))
}

/// Finishes what was begun, since it cannot be taken back.
async fn settle(run: &mut Run<'_>, half: &HalfDetached, failed: &Failed) -> Result<Settled, Lost> {
    let oid = |oid: Option<u32>| oid.unwrap_or_default().to_string();
    let values = [oid(half.partition.oid), oid(half.parent.oid)];
    let [partition, parent] = values.each_ref().map(String::as_str);
    let item = || Item::ours(STANDING).with(vec![partition, parent]);
    let mut answer = Call::run(run.link, &[item()]).await?;
    if answer.failed.is_some() {
        // A cancel request that came late strikes the first statement after the one it was meant for.
        answer = Call::run(run.link, &[item()]).await?;
    }
    let pending = answer.row(0).map(|row| row.first().and_then(Option::as_deref) == Some("true"));
    match pending {
        Some(false) => Ok(Settled::Failed(Outcome::server_error(failed, None, None))),
        None if answer.failed.is_some() => Ok(Settled::Failed(half_done(half, failed))),
        None => Ok(Settled::Detached),
        Some(true) => {
            let partition = spelled(&half.partition.name);
            let words = format!("{partition} is half detached, which cannot be taken back: it is finished");
            let notice = Notice::info(words);
            tell(run.link, &[notice]).await;
            if undone_by(run, &half.finalize).await? {
                return Ok(Settled::Detached);
            }
            Ok(Settled::Failed(half_done(half, failed)))
        }
    }
}

fn half_done(half: &HalfDetached, failed: &Failed) -> Outcome {
    let (partition, parent) = (spelled(&half.partition.name), spelled(&half.parent.name));
    let detail = format!(
        "Partition {partition} is half detached: who reads {parent} does not see its rows any more, and until it is finished no \
         other partition of {parent} can be detached concurrently."
    );
    let hint = format!("Finish it with {}.", String::from_utf8_lossy(&half.finalize.sql));
    Outcome::server_error(failed, Some(&detail), Some(&hint))
}

/// The statements that drop the CHECK that is left, if there is one.
pub async fn drops(link: &mut Link, left: &LeftCheck) -> Result<Vec<Vec<u8>>, Lost> {
    let oid = left.table.oid.unwrap_or_default().to_string();
    let item = || Item::ours(CHECKS).with(vec![&oid]);
    let mut answer = Call::run(link, &[item()]).await?;
    if answer.failed.is_some() {
        answer = Call::run(link, &[item()]).await?;
    }
    let text = |row: &Row, at: usize| row.get(at)?.clone();
    let checks = answer.rows_of(0).filter_map(|row| Some((text(row, 0)?, text(row, 1)?)));
    let left_behind = checks.filter(|(name, definition)| left.is(name, definition));
    let drop = |(name, _): (String, String)| {
        alter(&left.table.name, &format!("DROP CONSTRAINT IF EXISTS {}", written(&name))).sql.into_bytes()
    };
    Ok(left_behind.map(drop).collect())
}
