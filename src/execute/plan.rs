//! Runs an online plan step by step; what a failed step leaves behind is taken away.

use tracing::Instrument as _;

use crate::base::{Notice, RelationName, Severity, SqlState};
use crate::event::PlanCutOff;
use crate::event::clock::Moment;
use crate::judge::{Guard, Retry, Waits};
use crate::live::ledger::State;
use crate::live::queue::{On, Work};
use crate::plan::attach::outside;
use crate::plan::{
    Context, Inverse, LeftCheck, Pace, Plan, Probe, Scope, Step, Target, Violated, WayOut, cut_off, up_front,
};
use crate::upstream::call::{Failed, Item};
use crate::upstream::link::Reading;
use crate::upstream::{IfLost, Link, Lost, Of};
use crate::wire::fields::{field, sqlstate};

use super::attempt::is_lock_timeout;
use super::backfill;
use super::bulk;
use super::catalogue;
use super::clean_up::{Cleaned, clean_up, new_invalid};
use super::detach;
use super::gathering::gathered;
use super::guard;
use super::invalid::{self, InvalidIndex};
use super::outcome::Outcome;
use super::progress::Watch;
use super::queue::{self, Turn};
use super::summary;
use super::take_back::{insist, take_back};
use super::tell::tell;
use super::unhurried::{WhenAlone, unhurried};
use super::waiter;
use super::{Place, Run, Surroundings};

/// Runs a plan to its end or undoes what it can.
pub async fn run(run: &mut Run<'_>, plan: &Plan) -> Result<Outcome, Lost> {
    let surroundings = run.surroundings;
    let mut course =
        Course { hazard: plan.hazard, steps: plan.steps.clone(), at: 0, over: false, surroundings };
    let ended = steps(run, plan.tag, &mut course).await;
    course.over = ended.is_ok();
    if course.over {
        run.link.last_words.put(Of::Plan, None);
    }
    ended
}

/// A plan that is being carried out: its steps, which may become more on the way, and the place of the one that it is at. When it is
/// dropped before its end the session is lost, or the process ends, and with it the way to take anything back: it says what there is
/// to be done.
struct Course<'a> {
    hazard: &'static str,
    steps: Vec<Step>,
    at: usize,
    over: bool,
    surroundings: &'a Surroundings<'a>,
}

impl Course<'_> {
    fn done(&self) -> &[Step] {
        self.steps.get(..self.at).unwrap_or_default()
    }

    fn left(&self) -> &[Step] {
        self.steps.get(self.at..).unwrap_or_default()
    }

    fn way_out(&self) -> WayOut {
        WayOut::between(self.done(), self.left())
    }

    fn if_lost(&self) -> Option<IfLost> {
        cut_off::told(self.done(), self.left()).map(|(detail, hint)| IfLost { detail, hint })
    }
}

impl Drop for Course<'_> {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let Place { database, pid, .. } = &self.surroundings.place;
        let step = (self.at + 1, self.steps.len());
        PlanCutOff { database, pid: *pid, hazard: self.hazard, step, way_out: &self.way_out() }.emit();
        self.surroundings.live.left_overs().ask_again(database);
    }
}

async fn steps(run: &mut Run<'_>, tag: &str, course: &mut Course<'_>) -> Result<Outcome, Lost> {
    while let Some(step) = &course.steps.get(course.at).cloned() {
        let (at, of) = (course.at, course.steps.len());
        let name = summary::name(run, step);
        let span = summary::span(name, step, (at + 1, of));
        run.record.step((at + 1, of), name, step.lock);
        run.link.last_words.put(Of::Plan, course.if_lost());
        let stopped = if at > 0 { run.stopped() } else { None };
        let done = at > 0 && is_done(run.link, step).await?;
        let settled = match &step.pace {
            _ if done => Settled::Complete,
            Pace::Tidy(targets) => tidy(run, &step.sql, targets).instrument(span).await?,
            Pace::TidyCheck(left) => tidy_check(run, left).instrument(span).await?,
            _ if let Some(why) = &stopped => Settled::Failed(Outcome::own_error(why)),
            _ if run.take_cancel() || at > 0 && run.link.client_reading == Reading::Closed => {
                Settled::Failed(cancelled())
            }
            Pace::Unhurried | Pace::Ladder(_) | Pace::Together(_) => {
                in_turn(run, step).instrument(span).await?
            }
            Pace::Gathered(key) => gathered(run, step, key).instrument(span).await?,
            Pace::Ranges(ranges) => backfill::run(run, ranges).instrument(span).await?,
            Pace::Leaves(leaves) => backfill::run_leaves(run, leaves).instrument(span).await?,
            Pace::Bulk(bulk) => Box::pin(bulk::run(run, bulk)).instrument(span).await?,
        };
        match settled {
            Settled::Counted(rows) => {
                run.record.step_ended(State::Done);
                return Ok(Outcome::Complete(format!("{tag} {rows}\0").into_bytes()));
            }
            Settled::Complete => {
                run.record.step_ended(State::Done);
                course.at += 1;
                run.record.way_out(course.way_out());
            }
            Settled::Overtaken(instead) => {
                run.record.step_overtaken();
                course.steps.splice(at..=at, instead);
            }
            Settled::Failed(outcome) => {
                run.record.step_ended(State::Failed);
                if let Inverse::Finish(rest) = &step.inverse {
                    return Ok(unfinished(run, outcome, rest));
                }
                return take_back(run, course.done(), outcome).await;
            }
        }
    }
    Ok(Outcome::Complete(format!("{tag}\0").into_bytes()))
}

/// How a step has ended.
pub(super) enum Settled {
    Complete,
    /// All of the statement is done, which has written so many rows.
    Counted(u64),
    /// Not done: these steps take its place.
    Overtaken(Vec<Step>),
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
    Outcome::own_error(&super::cancelled())
}

/// Whether what a step is for is there already, as far as that can be asked: somebody else may have done it meanwhile.
async fn is_done(link: &mut Link, step: &Step) -> Result<bool, Lost> {
    match &step.probe {
        Probe::Valid(index) => catalogue::is_valid(link, index).await,
        Probe::Gone(index) => Ok(!catalogue::is_there(link, *index).await?),
        // Their names were free when the plan was made, and each is made once.
        Probe::Tag | Probe::NoNewInvalidIndex(_) => Ok(false),
    }
}

/// Runs a step when no build of another session works on its tables, and keeps the next one from them.
async fn in_turn(run: &mut Run<'_>, step: &Step) -> Result<Settled, Lost> {
    let brief_on = match &step.pace {
        Pace::Ladder(targets) => Some((targets.as_slice(), Vec::new())),
        Pace::Together(targets) => Some((targets.as_slice(), up_front::locks(targets))),
        _ => None,
    };
    let (on, work) = match &brief_on {
        Some((targets, _)) => {
            (On::Tables(targets.iter().filter_map(|target| target.oid).collect()), Work::Brief)
        }
        None if left_behind(step) == Some(Scope::Database) => (On::Database, Work::Build),
        None => (On::Tables(step.relation.into_iter().collect()), Work::Build),
    };
    let _permit = match queue::turn(run, on, work).await? {
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
    let guard = Guard { targets: targets.to_vec(), retry: Retry::Transaction, waits: Waits::Briefly, first };
    let all: Vec<&[u8]> = std::iter::once(&step.sql).chain(&step.also).map(Vec::as_slice).collect();
    Ok(match guard::run(run, guard::Work::Together(&all), &guard).await? {
        Outcome::Complete(_) | Outcome::Answered => match &step.probe {
            Probe::Valid(index) => put_together(run, index).await?,
            Probe::Tag | Probe::NoNewInvalidIndex(_) | Probe::Gone(_) => Settled::Complete,
        },
        failed @ (Outcome::Failed(_) | Outcome::Overtaken) => Settled::Failed(failed),
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
        let work = (Item::client(&step.sql), step.relation);
        if let Inverse::FinishDetach(half) = &step.inverse {
            match detach::run(run, work, half).await? {
                detach::Settled::Detached => return Ok(Settled::Complete),
                detach::Settled::Failed(outcome) => return Ok(Settled::Failed(outcome)),
                detach::Settled::GaveWay if began.elapsed() < run.policy.retry_for => continue,
                detach::Settled::GaveWay => return Ok(Settled::Failed(detach::gave_way(half))),
            }
        }
        let answer = unhurried(run, work, WhenAlone::Cancelled).await?;
        let Some(failed) = answer.failed else {
            return verify(run, step, &before).await;
        };
        let cleaned = clean_up(run, step, &before).await?;
        let Cleaned::Off { left, .. } = &cleaned else { return Ok(Settled::Complete) };
        if !left.is_empty() {
            // The client is told, if it is still there; the operator too.
            run.surroundings.live.left_overs().ask_again(&run.surroundings.place.database);
        }
        let again = is_lock_timeout(&failed) && left.is_empty() && began.elapsed() < run.policy.retry_for;
        if !again || run.link.client_reading == Reading::Closed {
            return Ok(Settled::Failed(explain(step, &failed, &cleaned)));
        }
        if let Some(waiter) = waiter::waiter(run.link).await? {
            let failure = explain(step, &failed, &cleaned);
            return Ok(Settled::Failed(waiter::explained(failure, &waiter)));
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
        Some(scope) => invalid::invalid_indexes(link, scope).await,
        None => Ok(Ok(Vec::new())),
    }
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

fn explain(step: &Step, failed: &Failed, cleaned: &Cleaned) -> Outcome {
    if let Some(violated) =
        step.violated.as_ref().filter(|_| sqlstate(&failed.body).as_str().starts_with("23"))
    {
        return Outcome::own_error(&said(violated, failed));
    }
    let (gone, left) = match cleaned {
        Cleaned::Done => (0, None),
        Cleaned::Off { gone, left } => (*gone, left.first()),
    };
    if let Some(index) = left {
        let detail = format!(
            "Index {} is left behind and invalid: no query uses it, every write pays for it.",
            index.name
        );
        let hint = format!("Remove it with DROP INDEX CONCURRENTLY {}.", index.name);
        return Outcome::server_error(failed, Some(&detail), Some(&hint));
    }
    let built = matches!(step.inverse, Inverse::DropNewInvalidIndexes(_));
    let detail = (gone > 0 && built).then_some("Nothing is left behind: the unfinished index was removed.");
    tracing::debug!(code = %sqlstate(&failed.body), "a step failed");
    Outcome::server_error(failed, detail, None)
}

/// What the plain statement says of a row that may not be.
fn said(violated: &Violated, failed: &Failed) -> Notice {
    let table = String::from_utf8_lossy(field(&failed.body, b't').unwrap_or_default());
    // `ATRewriteTable` in `tablecmds.c`.
    match violated {
        Violated::Says(notice) => notice.clone(),
        Violated::Elsewhere => Notice::error(SqlState::CHECK_VIOLATION, outside(&table)),
        Violated::Null(column) => {
            let message = format!("column \"{column}\" of relation \"{table}\" contains null values");
            Notice::error(SqlState::NOT_NULL_VIOLATION, message)
        }
    }
}
