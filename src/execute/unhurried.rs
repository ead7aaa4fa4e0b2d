//! Statements that take as long as they take, since their locks stop neither reads nor writes.

use crate::base::relation::quote_literal;
use crate::effects::facts::Oid;
use crate::event::ClientLeft;
use crate::upstream::Lost;
use crate::upstream::call::{Answer, Call, Item, Progress};

use super::Run;
use super::attempt::restore;
use super::progress::Watch;
use super::tell::tell;

/// What becomes of a statement whose client goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenAlone {
    /// Nobody wants it any more.
    Cancelled,
    /// It is owed to others.
    GoesOn,
}

/// Runs a statement with no time-out in force: a concurrent step that is cut short only leaves an invalid index. `table` is what
/// it works on, if that is known.
pub async fn unhurried(
    run: &mut Run<'_>,
    item: Item<'_>,
    alone: WhenAlone,
    table: Option<Oid>,
) -> Result<Answer, Lost> {
    let lift = ["SET SESSION lock_timeout = 0", "SET SESSION statement_timeout = 0"].map(Item::ours);
    let lifted = Call::run(run.link, &lift).await?;
    let answer = if lifted.failed.is_some() { lifted } else { watched(run, (item, table), alone).await? };
    let lock = format!("SET SESSION lock_timeout = {}", quote_literal(&run.session.lock_timeout));
    let statement =
        format!("SET SESSION statement_timeout = {}", quote_literal(&run.session.statement_timeout));
    restore(run.link, &[&lock, &statement]).await?;
    Ok(answer)
}

/// Runs a statement while telling how far it is.
async fn watched(
    run: &mut Run<'_>,
    (item, table): (Item<'_>, Option<Oid>),
    alone: WhenAlone,
) -> Result<Answer, Lost> {
    let mut watch = Watch::new(run.surroundings, table);
    let mut call = Call::start(run.link, &[item]).await;
    loop {
        match watch.until_due(call.step(run.link)).await {
            Some(step) => match step? {
                Progress::Done => return Ok(call.into_answer()),
                Progress::ClientGone if alone == WhenAlone::Cancelled => {
                    ClientLeft { statement: "is cancelled", pid: run.surroundings.place.pid }.emit();
                    run.surroundings.canceller.cancel().await;
                }
                Progress::ClientGone => {}
            },
            None => {
                if let Some(notice) = watch.look().await {
                    run.record.is_at(Some(notice.message.clone()));
                    tell(run.link, &[notice]).await;
                }
            }
        }
    }
}
