//! What a failed step of index work leaves in the database, and how it is taken away.

use crate::base::{Notice, SqlState};
use crate::effects::facts::Oid;
use crate::plan::{Inverse, Scope, Step};
use crate::upstream::call::Item;
use crate::upstream::{Link, Lost};
use crate::wire::fields::sqlstate;

use super::Run;
use super::catalogue;
use super::invalid::{self, InvalidIndex};
use super::take_back::undone_by;
use super::tell::tell;
use super::unhurried::{WhenAlone, unhurried};

/// Invalid indexes that were not there before.
pub(super) async fn new_invalid(
    link: &mut Link,
    scope: Scope,
    before: &[InvalidIndex],
) -> Result<Vec<InvalidIndex>, Lost> {
    let mut now = invalid::invalid_indexes(link, scope).await?;
    if now.is_err() {
        // A cancel request that came late strikes the first statement after the one it was meant for.
        now = invalid::invalid_indexes(link, scope).await?;
    }
    let now = now.unwrap_or_default();
    Ok(now.into_iter().filter(|index| !before.iter().any(|old| old.oid == index.oid)).collect())
}

/// What became of what a failed step had begun.
pub(super) enum Cleaned {
    /// It is done all the same.
    Done,
    /// So many of what there was to be taken away are gone, and these are not.
    Off { gone: usize, left: Vec<InvalidIndex> },
}

/// Takes away what the failed step left.
pub(super) async fn clean_up(
    run: &mut Run<'_>,
    step: &Step,
    before: &[InvalidIndex],
) -> Result<Cleaned, Lost> {
    match step.inverse {
        Inverse::Nothing | Inverse::Finish(_) | Inverse::FinishDetach(_) => {
            Ok(Cleaned::Off { gone: 0, left: Vec::new() })
        }
        Inverse::DropNewInvalidIndexes(scope) => {
            let (mut gone, mut left) = (0, Vec::new());
            for index in new_invalid(run.link, scope, before).await? {
                let what = format!("removing {}, which the failed build left invalid", index.name);
                if drop_index(run, &index, what).await? {
                    gone += 1;
                } else {
                    left.push(index);
                }
            }
            Ok(Cleaned::Off { gone, left })
        }
        Inverse::FinishDrop(oid) => {
            let left = half_dropped(run, oid).await?;
            match left.as_slice() {
                [index] if step.undo.is_empty() => {
                    let what =
                        format!("{} is half dropped, which cannot be taken back: it is finished", index.name);
                    let done = drop_index(run, index, what).await?;
                    return Ok(if done { Cleaned::Done } else { Cleaned::Off { gone: 0, left } });
                }
                _ => {}
            }
            for undo in step.undo.iter().filter(|_| !left.is_empty()) {
                if !undone_by(run, undo).await? {
                    return Ok(Cleaned::Off { gone: 0, left });
                }
            }
            Ok(Cleaned::Off { gone: left.len(), left: Vec::new() })
        }
    }
}

/// Drops an index that is of no use any more, and says so before. False when that failed too.
async fn drop_index(run: &mut Run<'_>, index: &InvalidIndex, what: String) -> Result<bool, Lost> {
    if catalogue::is_garbled(&index.name) {
        return Ok(false);
    }
    let notice = Notice::info(what)
        .detail("This waits for transactions that have the table in use; that stops nobody else.")
        .hint("Cancelling this leaves the index behind, invalid.");
    tell(run.link, &[notice]).await;
    let sql = format!("DROP INDEX CONCURRENTLY IF EXISTS {}", index.name);
    // From here on whoever cancels means this.
    run.take_cancel();
    let mut failed = unhurried(run, (Item::ours(&sql), None), WhenAlone::GoesOn).await?.failed;
    let struck = failed.as_ref().is_some_and(|it| sqlstate(&it.body) == SqlState::QUERY_CANCELED);
    if struck && !run.take_cancel() {
        // What came late was meant for what has failed.
        failed = unhurried(run, (Item::ours(&sql), None), WhenAlone::GoesOn).await?.failed;
    }
    Ok(failed.is_none())
}

/// A `DROP INDEX CONCURRENTLY` that was cut short may have made its index invalid already.
async fn half_dropped(run: &mut Run<'_>, oid: Oid) -> Result<Vec<InvalidIndex>, Lost> {
    let all = invalid::invalid_indexes(run.link, Scope::Database).await?.unwrap_or_default();
    Ok(all.into_iter().filter(|index| index.oid == oid).collect())
}
