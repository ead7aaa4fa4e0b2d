//! Runs an online plan step by step; what a failed step leaves behind is taken away.

use tracing::Instrument as _;

use crate::base::{Notice, RelationName, Severity, SqlState};
use crate::effects::facts::Oid;
use crate::event::PlanCutOff;
use crate::event::clock::Moment;
use crate::judge::{Guard, Retry};
use crate::live::queue::Work;
use crate::plan::{Context, Inverse, LeftCheck, Pace, Plan, Probe, Scope, Step, Target, Violated, up_front};
use crate::upstream::call::{Failed, Item};
use crate::upstream::link::Reading;
use crate::upstream::{Link, Lost};
use crate::wire::fields::{field, sqlstate};

use super::attempt::is_lock_timeout;
use super::backfill;
use super::catalogue::{self, InvalidIndex};
use super::detach;
use super::guard;
use super::outcome::Outcome;
use super::progress::Watch;
use super::queue::{self, Turn};
use super::summary;
use super::take_back::{insist, take_back, undone_by};
use super::tell::tell;
use super::unhurried::{WhenAlone, unhurried};
use super::{Place, Run};

/// Runs a plan to its end or undoes what it can.
pub async fn run(run: &mut Run<'_>, plan: &Plan) -> Result<Outcome, Lost> {
    let mut at = 0;
    let ended = steps(run, plan, &mut at).await;
    if ended.is_err() {
        cut_off(run, plan, at);
    }
    ended
}

/// The session is lost, and with it the way to take anything back: says what there is to be done.
fn cut_off(run: &Run<'_>, plan: &Plan, at: usize) {
    let undos = plan.steps.iter().take(at).rev().flat_map(|step| &step.undo);
    let undos: Vec<_> = undos.map(|undo| String::from_utf8_lossy(&undo.sql).into_owned()).collect();
    let Place { database, pid, .. } = &run.surroundings.place;
    let (step, take_back) = ((at + 1, plan.steps.len()), undos.join("; "));
    PlanCutOff { database, pid: *pid, hazard: plan.hazard, step, take_back: &take_back }.emit();
    run.surroundings.live.left_overs().ask_again(database);
}

async fn steps(run: &mut Run<'_>, plan: &Plan, reached: &mut usize) -> Result<Outcome, Lost> {
    for (at, step) in plan.steps.iter().enumerate() {
        *reached = at;
        let span = summary::span(run, step, (at + 1, plan.steps.len()));
        run.record.step(at + 1, plan.steps.len());
        let stopped = if at > 0 { run.stopped() } else { None };
        let settled = match &step.pace {
            Pace::Tidy(targets) => tidy(run, &step.sql, targets).instrument(span).await?,
            Pace::TidyCheck(left) => tidy_check(run, left).instrument(span).await?,
            _ if let Some(why) = &stopped => Settled::Failed(Outcome::own_error(why)),
            _ if at > 0 && (run.take_cancel() || run.link.client_reading == Reading::Closed) => {
                Settled::Failed(cancelled())
            }
            Pace::Unhurried | Pace::Ladder(_) | Pace::Together(_) => {
                in_turn(run, step).instrument(span).await?
            }
            Pace::Ranges(ranges) => backfill::run(run, ranges).instrument(span).await?,
        };
        if let Settled::Failed(outcome) = settled {
            if let Inverse::Finish(rest) = &step.inverse {
                return Ok(unfinished(run, outcome, rest));
            }
            let done = plan.steps.get(..at).unwrap_or_default();
            return take_back(run, done, outcome).await;
        }
    }
    Ok(Outcome::Complete(format!("{}\0", plan.tag).into_bytes()))
}

/// How a step has ended.
pub(super) enum Settled {
    Complete,
    Failed(Outcome),
}

/// What stays of a plan that cannot be taken back, and how it is finished.
fn unfinished(run: &Run<'_>, outcome: Outcome, rest: &str) -> Outcome {
    run.take_cancel();
    let detail = "The steps before it stay, since they cannot be taken back without rewriting the table: new rows are checked, those \
                  that were there are not yet.";
    outcome.amended(Some(detail), Some(&format!("Finish it by hand: {rest}.")))
}

/// The client has asked for it, or is gone.
pub(super) fn cancelled() -> Outcome {
    Outcome::own_error(&Notice::error(SqlState::QUERY_CANCELED, "canceling statement due to user request"))
}

/// Runs a step when no build of another session works on its tables, and keeps the next one from them.
async fn in_turn(run: &mut Run<'_>, step: &Step) -> Result<Settled, Lost> {
    let brief_on = match &step.pace {
        Pace::Ladder(targets) => Some((targets.as_slice(), Vec::new())),
        Pace::Together(targets) => Some((targets.as_slice(), up_front::locks(targets))),
        _ => None,
    };
    let (tables, work) = match &brief_on {
        Some((targets, _)) => (targets.iter().filter_map(|target| target.oid).collect(), Work::Brief),
        None => (step.relation.into_iter().collect(), Work::Build),
    };
    let _permit = match queue::turn(run, tables, work).await? {
        Turn::Come(permit) => permit,
        Turn::Ended(outcome) => return Ok(Settled::Failed(outcome)),
    };
    match brief_on {
        Some(on) => brief(run, step, on).await,
        None => step_until_settled(run, step).await,
    }
}

/// A step behind the one that counts: what cannot be done is left with a warning.
async fn tidy(run: &mut Run<'_>, sql: &[u8], targets: &[Target]) -> Result<Settled, Lost> {
    if !insist(run, sql, targets).await? {
        let by_hand = format!("Run by hand: {}.", String::from_utf8_lossy(sql));
        let what = "what the statement asked for is done, but something of the way there is left";
        let notice = Notice::new(Severity::Warning, SqlState::WARNING, what).hint(by_hand);
        tell(run.link, &[notice]).await;
    }
    run.take_cancel();
    Ok(Settled::Complete)
}

/// The CHECK that a detached partition has kept goes.
async fn tidy_check(run: &mut Run<'_>, left: &LeftCheck) -> Result<Settled, Lost> {
    for sql in detach::drops(run.link, left).await? {
        tidy(run, &sql, std::slice::from_ref(&left.table)).await?;
    }
    run.take_cancel();
    Ok(Settled::Complete)
}

/// A step that locks strongly for a moment.
async fn brief(
    run: &mut Run<'_>,
    step: &Step,
    (targets, first): (&[Target], Vec<String>),
) -> Result<Settled, Lost> {
    let guard = Guard { targets: targets.to_vec(), retry: Retry::Transaction, first };
    let all: Vec<&[u8]> = std::iter::once(&step.sql).chain(&step.also).map(Vec::as_slice).collect();
    Ok(match guard::run(run, guard::Work::Together(&all), &guard).await? {
        Outcome::Complete(_) | Outcome::Answered => match &step.probe {
            Probe::Valid(index) => put_together(run, index).await?,
            Probe::Tag | Probe::NoNewInvalidIndex(_) | Probe::Gone(_) => Settled::Complete,
        },
        failed @ Outcome::Failed(_) => Settled::Failed(failed),
    })
}

/// Runs one step, again after a deadlock, until it is done or has failed for good.
async fn step_until_settled(run: &mut Run<'_>, step: &Step) -> Result<Settled, Lost> {
    let began = Moment::now();
    if step.context == Context::OutsideTransaction
        && let Some(notice) = Watch::new(run.surroundings, step.relation).ahead().await
    {
        tell(run.link, &[notice]).await;
    }
    loop {
        let before = match invalid_before(run.link, step).await? {
            Ok(before) => before,
            Err(failed) => return Ok(Settled::Failed(Outcome::server_error(&failed, None, None))),
        };
        let answer = unhurried(run, Item::client(&step.sql), WhenAlone::Cancelled, step.relation).await?;
        let Some(failed) = answer.failed else {
            return verify(run, step, &before).await;
        };
        if let Inverse::FinishDetach(half) = &step.inverse {
            return Ok(match detach::settle(run, half, &failed).await? {
                detach::Settled::Detached => Settled::Complete,
                detach::Settled::Failed(outcome) => Settled::Failed(outcome),
            });
        }
        let left = clean_up(run, step, &before).await?;
        if !left.is_empty() {
            // The client is told, if it is still there; the operator too.
            run.surroundings.live.left_overs().ask_again(&run.surroundings.place.database);
        }
        let again = is_lock_timeout(&failed) && left.is_empty() && began.elapsed() < run.policy.retry_for;
        if !again || run.link.client_reading == Reading::Closed {
            return Ok(Settled::Failed(explain(step, &failed, &left)));
        }
        let notice = Notice::info("the server chose this statement to end a deadlock; it is tried again");
        tell(run.link, &[notice]).await;
    }
}

const fn left_behind(step: &Step) -> Option<Scope> {
    match step.inverse {
        Inverse::DropNewInvalidIndexes(scope) => Some(scope),
        Inverse::Nothing | Inverse::Finish(_) | Inverse::FinishDrop(_) | Inverse::FinishDetach(_) => None,
    }
}

async fn invalid_before(link: &mut Link, step: &Step) -> Result<Result<Vec<InvalidIndex>, Failed>, Lost> {
    match left_behind(step) {
        Some(scope) => catalogue::invalid_indexes(link, scope).await,
        None => Ok(Ok(Vec::new())),
    }
}

/// Invalid indexes that were not there before.
async fn new_invalid(
    link: &mut Link,
    scope: Scope,
    before: &[InvalidIndex],
) -> Result<Vec<InvalidIndex>, Lost> {
    let mut now = catalogue::invalid_indexes(link, scope).await?;
    if now.is_err() {
        // A cancel request that came late strikes the first statement after the one it was meant for.
        now = catalogue::invalid_indexes(link, scope).await?;
    }
    let now = now.unwrap_or_default();
    Ok(now.into_iter().filter(|index| !before.iter().any(|old| old.oid == index.oid)).collect())
}

/// The tag alone is no proof: `IF NOT EXISTS` over an invalid index is answered as if all were well.
async fn verify(run: &mut Run<'_>, step: &Step, before: &[InvalidIndex]) -> Result<Settled, Lost> {
    if let Probe::NoNewInvalidIndex(scope) = step.probe {
        let left = new_invalid(run.link, scope, before).await?;
        if let Some(index) = left.first() {
            let error = Notice::error(
                SqlState::NOT_IN_PREREQUISITE_STATE,
                format!("index {} was built but is not valid", index.name),
            )
            .hint(format!("Drop it with DROP INDEX CONCURRENTLY {} and try again.", index.name));
            return Ok(Settled::Failed(Outcome::own_error(&error)));
        }
    }
    Ok(Settled::Complete)
}

/// What the last step has put together: a partition that came meanwhile may lack its part.
async fn put_together(run: &mut Run<'_>, index: &RelationName) -> Result<Settled, Lost> {
    if catalogue::is_valid(run.link, index).await? {
        return Ok(Settled::Complete);
    }
    let message = format!("index {index} was put together but is not valid");
    let error = Notice::error(SqlState::NOT_IN_PREREQUISITE_STATE, message)
        .hint("A partition without such an index may have been attached meanwhile. Try again.");
    Ok(Settled::Failed(Outcome::own_error(&error)))
}

/// Takes away what the failed step left; returns what could not be taken away.
async fn clean_up(
    run: &mut Run<'_>,
    step: &Step,
    before: &[InvalidIndex],
) -> Result<Vec<InvalidIndex>, Lost> {
    match step.inverse {
        Inverse::Nothing | Inverse::Finish(_) | Inverse::FinishDetach(_) => Ok(Vec::new()),
        Inverse::DropNewInvalidIndexes(scope) => {
            let mut left = Vec::new();
            for index in new_invalid(run.link, scope, before).await? {
                if !drop_index(run, &index).await? {
                    left.push(index);
                }
            }
            Ok(left)
        }
        Inverse::FinishDrop(oid) => {
            let left = half_dropped(run, oid).await?;
            for undo in step.undo.iter().filter(|_| !left.is_empty()) {
                if !undone_by(run, undo).await? {
                    return Ok(left);
                }
            }
            Ok(if step.undo.is_empty() { left } else { Vec::new() })
        }
    }
}

/// Drops an index that a failed build left. False when that failed too.
async fn drop_index(run: &mut Run<'_>, index: &InvalidIndex) -> Result<bool, Lost> {
    let notice = Notice::info(format!("removing {}, which the failed build left invalid", index.name))
        .detail("This waits for transactions that have the table in use; that stops nobody else.")
        .hint("Cancelling this leaves the index behind, invalid.");
    tell(run.link, &[notice]).await;
    let sql = format!("DROP INDEX CONCURRENTLY IF EXISTS {}", index.name);
    Ok(unhurried(run, Item::ours(&sql), WhenAlone::Cancelled, None).await?.failed.is_none())
}

/// A `DROP INDEX CONCURRENTLY` that was cut short may have made its index invalid already.
async fn half_dropped(run: &mut Run<'_>, oid: Oid) -> Result<Vec<InvalidIndex>, Lost> {
    let all = catalogue::invalid_indexes(run.link, Scope::Database).await?.unwrap_or_default();
    Ok(all.into_iter().filter(|index| index.oid == oid).collect())
}

fn explain(step: &Step, failed: &Failed, left: &[InvalidIndex]) -> Outcome {
    if let Some(violated) =
        step.violated.as_ref().filter(|_| sqlstate(&failed.body).as_str().starts_with("23"))
    {
        return Outcome::own_error(&said(violated, failed));
    }
    if let Some(index) = left.first() {
        let detail = format!(
            "Index {} is left behind and invalid: no query uses it, every write pays for it.",
            index.name
        );
        let hint = format!("Remove it with DROP INDEX CONCURRENTLY {}.", index.name);
        return Outcome::server_error(failed, Some(&detail), Some(&hint));
    }
    let detail = match step.inverse {
        Inverse::DropNewInvalidIndexes(_) => {
            Some("Nothing is left behind: the unfinished index was removed.")
        }
        Inverse::Nothing | Inverse::Finish(_) | Inverse::FinishDrop(_) | Inverse::FinishDetach(_) => None,
    };
    tracing::debug!(code = %sqlstate(&failed.body), "a step failed");
    Outcome::server_error(failed, detail, None)
}

/// What the plain statement says of a row that may not be.
fn said(violated: &Violated, failed: &Failed) -> Notice {
    match violated {
        Violated::Says(notice) => notice.clone(),
        Violated::Null(column) => {
            let table = String::from_utf8_lossy(field(&failed.body, b't').unwrap_or_default());
            // `ATRewriteTable` in `tablecmds.c`.
            let message = format!("column \"{column}\" of relation \"{table}\" contains null values");
            Notice::error(SqlState::NOT_NULL_VIOLATION, message)
        }
    }
}
