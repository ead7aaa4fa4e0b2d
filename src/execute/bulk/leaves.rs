//! The leaves of a partitioned table, which come and go while a statement goes through them.

use crate::effects::facts::{Leaf, answer};
use crate::execute::Run;
use crate::execute::batch::{BEGIN, ask, first};
use crate::execute::course::At;
use crate::execute::outcome::Outcome;
use crate::plan::Bulk;
use crate::upstream::Lost;

use super::{Ended, words};

/// Notes which there are that have rows, and which is the last of each: what comes later is left alone.
pub(super) async fn begin(run: &mut Run<'_>, bulk: &Bulk, at: &mut At) -> Result<Ended<()>, Lost> {
    let all = match now(run, bulk).await? {
        Ok(all) => all,
        Err(outcome) => return Ok(Err(outcome)),
    };
    for leaf in &all {
        let batches = match bulk.in_leaf(leaf) {
            Ok(batches) => batches,
            Err(why) => return Ok(Err(words::uncut(bulk, &why))),
        };
        match ask(run, &batches.ranges.last_key(), &[]).await? {
            Ok(answer) => {
                at.bounds.extend(first(&answer).map(|bound| (leaf.oid, [batches.ranges.key.clone(), bound])));
            }
            Err(failed) => return Ok(Err(Outcome::server_error(&failed, None, None))),
        }
    }
    at.leaves = at.bounds.keys().copied().collect();
    Ok(Ok(()))
}

/// The leaves of a partitioned table as they are now.
pub(super) async fn now(run: &mut Run<'_>, bulk: &Bulk) -> Result<Ended<Vec<Leaf>>, Lost> {
    let answer = match ask(run, &answer::LEAVES, &[&bulk.oid.to_string()]).await? {
        Ok(answer) => answer,
        Err(failed) => return Ok(Err(Outcome::server_error(&failed, None, None))),
    };
    Ok(Ok(answer.rows_of(BEGIN.len()).filter_map(|row| answer::leaf(row.first()?.as_deref()?)).collect()))
}
