//! Statements that take as long as they take, since their locks stop neither reads nor writes.

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

/// Runs a statement with no time-out in force: a concurrent step that is cut short only leaves an invalid index. With it comes the
/// table that it works on, if that is known.
pub async fn unhurried(
    run: &mut Run<'_>,
    work: (Item<'_>, Option<Oid>),
    alone: WhenAlone,
) -> Result<Answer, Lost> {
    let session = run.session;
    let mut own =
        vec![("lock_timeout", &session.lock_timeout), ("statement_timeout", &session.statement_timeout)];
    own.extend(session.transaction_timeout.as_ref().map(|value| ("transaction_timeout", value)));
    let lift: Vec<String> = own.iter().map(|(name, _)| format!("SET SESSION {name} = 0")).collect();
    let lift: Vec<Item<'_>> = lift.iter().map(|sql| Item::ours(sql)).collect();
    let lifted = Call::run(run.link, &lift).await?;
    let answer = if lifted.failed.is_some() { lifted } else { watched(run, work, alone).await? };
    let back: Vec<String> = own.iter().map(|(name, value)| session.back(name, value)).collect();
    restore(run.link, &back.iter().map(String::as_str).collect::<Vec<_>>()).await?;
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
