//! Takes the steps of a plan back that were done before one failed, under the same ladder as they were done.

use std::time::Duration;

use crate::base::SqlState;
use crate::event::clock;
use crate::judge::{Guard, Retry};
use crate::pace::blocker::Blocker;
use crate::pace::ladder::Next;
use crate::plan::{Step, Undo};
use crate::upstream::Lost;
use crate::upstream::link::Reading;
use crate::wire::fields::sqlstate;

use super::Run;
use super::attempt::{self, Attempt};
use super::guard::Wait;
use super::outcome::Outcome;
use super::tell::tell;

/// However short the client's patience: what is left behind has to be taken back by hand.
const INSIST_AT_LEAST: Duration = Duration::from_secs(5);

/// Takes the steps back, the last first; says so in the error's DETAIL.
pub async fn take_back(run: &mut Run<'_>, done: &[Step], outcome: Outcome) -> Result<Outcome, Lost> {
    let undos: Vec<&Undo> = done.iter().rev().filter_map(|step| step.undo.as_ref()).collect();
    let (mut undone, mut left) = (0, Vec::new());
    for undo in undos {
        if insist(run, undo).await? {
            undone += 1;
        } else {
            left.push(String::from_utf8_lossy(&undo.sql).into_owned());
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

/// Runs a statement that should succeed, whether or not the client is still there; false when it cannot, or when the time
/// for waiting is over.
///
/// It waits here and not in the server: a cancel request ends what the client asked for, not what is owed to others.
pub async fn insist(run: &mut Run<'_>, undo: &Undo) -> Result<bool, Lost> {
    let guard = Guard { targets: undo.locks.clone(), retry: Retry::Transaction };
    let time = run.policy.retry_for.max(INSIST_AT_LEAST);
    let mut wait = Wait::within(run, &guard, time);
    loop {
        let blockers = wait.look(run).await;
        match wait.next(&blockers) {
            Next::Try { patience } => {
                match attempt::statement(run, &undo.sql, Retry::Transaction, patience).await? {
                    Attempt::Complete(_) => return Ok(true),
                    Attempt::LockTimeout(failed) => wait.missed(failed),
                    // A cancel request that came late strikes the first statement after the one it was meant for.
                    Attempt::Failed(failed) if sqlstate(&failed.body) == SqlState::QUERY_CANCELED => {
                        wait.missed(failed);
                    }
                    Attempt::Failed(_) => return Ok(false),
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
