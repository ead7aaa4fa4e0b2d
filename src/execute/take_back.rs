//! Takes the steps of a plan back that were done before one failed, under the same ladder as they were done.

use std::time::Duration;

use crate::base::SqlState;
use crate::event::clock;
use crate::judge::{Guard, Retry, Waits};
use crate::pace::blocker::Blocker;
use crate::pace::ladder::Next;
use crate::plan::{Pace, Step, Target, Undo, up_front};
use crate::upstream::Lost;
use crate::upstream::call::{Item, Voice};
use crate::upstream::link::Reading;
use crate::wire::fields::sqlstate;

use super::Run;
use super::attempt::{self, Attempt, Terms, is_lock_timeout};
use super::detach;
use super::guard::Wait;
use super::outcome::Outcome;
use super::stall::StallWatch;
use super::tell::tell;
use super::unhurried::{WhenAlone, unhurried};

/// However short the client's patience: what is left behind has to be taken back by hand.
const INSIST_AT_LEAST: Duration = Duration::from_secs(5);

/// So often a statement is run that a cancel request or the deadlock detector has struck.
const TRIES_MAX: u32 = 10;

/// Takes the steps back, the last first; says so in the error's DETAIL.
pub async fn take_back(run: &mut Run<'_>, done: &[Step], outcome: Outcome) -> Result<Outcome, Lost> {
    let (mut undone, mut left) = (0, Vec::new());
    for (at, step) in done.iter().enumerate().rev() {
        let before = left.len();
        for undo in &step.undo {
            if undone_by(run, undo).await? {
                undone += 1;
            } else {
                left.push(String::from_utf8_lossy(&undo.sql).into_owned());
            }
        }
        if !step.undo.is_empty() && before == left.len() {
            run.record.taken_back(at);
        }
    }
    // Whatever the client wanted to cancel is over.
    run.take_cancel();
    Ok(if left.is_empty() {
        let told = if undone == 0 {
            None
        } else {
            Some("The steps before it were taken back: nothing is left behind.")
        };
        outcome.amended(told, None)
    } else {
        run.surroundings.live.left_overs().ask_again(&run.surroundings.place.database);
        let detail = "Some of the steps before it could not be taken back.";
        let hint = format!("Take back by hand what is left: {}.", left.join("; "));
        outcome.amended(Some(detail), Some(&hint))
    })
}

/// Runs one of the statements that take a step back; false when it cannot be done.
pub async fn undone_by(run: &mut Run<'_>, undo: &Undo) -> Result<bool, Lost> {
    match &undo.pace {
        Pace::Ladder(targets) | Pace::Together(targets) | Pace::Tidy(targets) => {
            insist(run, &undo.sql, targets).await
        }
        Pace::Gathered(key) => insist(run, &undo.sql, &key.locks()).await,
        // What a range was filled with goes with its column.
        Pace::Ranges(_) | Pace::Leaves(_) | Pace::Bulk(_) => Ok(true),
        Pace::Unhurried => at_leisure(run, &undo.sql).await,
        Pace::TidyCheck(left) => {
            for sql in detach::drops(run.link, left).await? {
                if !insist(run, &sql, std::slice::from_ref(&left.table)).await? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
    }
}

/// Runs a statement that should succeed, for as long as it takes.
async fn at_leisure(run: &mut Run<'_>, sql: &[u8]) -> Result<bool, Lost> {
    for _ in 0..TRIES_MAX {
        let item = Item { voice: Voice::Ours, ..Item::client(sql) };
        match unhurried(run, (item, None), WhenAlone::GoesOn).await?.failed {
            None => return Ok(true),
            // A cancel request that came late strikes the first statement after the one it was meant for.
            Some(failed) if sqlstate(&failed.body) == SqlState::QUERY_CANCELED => {}
            Some(failed) if is_lock_timeout(&failed) => {}
            Some(_) => return Ok(false),
        }
    }
    Ok(false)
}

/// Runs a statement that should succeed, whether or not the client is still there; false when it cannot, or when the time
/// for waiting is over.
///
/// It waits here and not in the server: a cancel request ends what the client asked for, not what is owed to others.
pub async fn insist(run: &mut Run<'_>, sql: &[u8], targets: &[Target]) -> Result<bool, Lost> {
    let retry = Retry::Transaction;
    let guard =
        Guard { targets: targets.to_vec(), retry, waits: Waits::Briefly, first: up_front::locks(targets) };
    let mut first = guard.first.as_slice();
    let time = run.policy.retry_for.max(INSIST_AT_LEAST);
    let mut wait = Wait::within(run, &guard, time);
    loop {
        let blockers = wait.look(run).await;
        match wait.next(&blockers) {
            Next::Try { patience } => {
                let watch = StallWatch::new(run, guard.retry);
                let terms = Terms { retry: guard.retry, first, patience: Some(patience), watch: &watch };
                let attempt = watch.over(attempt::statement(run, sql, terms)).await?;
                run.record.stalled(watch.longest());
                match attempt {
                    Attempt::Complete(_) => return Ok(true),
                    Attempt::Stalled => wait.missed(None),
                    Attempt::Unready => first = &[],
                    Attempt::LockTimeout(failed) => wait.missed(Some(failed)),
                    // A cancel request that came late strikes the first statement after the one it was meant for.
                    Attempt::Failed(failed) if sqlstate(&failed.body) == SqlState::QUERY_CANCELED => {
                        wait.missed(Some(failed));
                    }
                    Attempt::Failed(_) | Attempt::Overtaken => return Ok(false),
                }
            }
            Next::WaitOutside { sleep } => {
                say(run, &mut wait, &blockers).await;
                clock::pause(sleep).await;
            }
            Next::GiveUp => return Ok(false),
        }
    }
}

async fn say(run: &mut Run<'_>, wait: &mut Wait<'_>, blockers: &[Blocker]) {
    if run.link.client_reading == Reading::Closed {
        return;
    }
    if let Some(words) = wait.words(blockers) {
        tell(run.link, &[words]).await;
    }
}
