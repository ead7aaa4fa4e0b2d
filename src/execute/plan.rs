//! Runs an online plan step by step; what a failed step leaves behind is taken away.

use std::time::Duration;

use crate::base::relation::quote_literal;
use crate::base::{Notice, RelationName, Severity, SqlState};
use crate::effects::facts::Oid;
use crate::event::clock::Moment;
use crate::event::{self, ClientLeft};
use crate::judge::{Guard, Retry};
use crate::live::queue::Work;
use crate::pace::blocker;
use crate::plan::{Context, Inverse, Pace, Plan, Probe, Scope, Step, Target, Undo};
use crate::sql;
use crate::upstream::call::{Answer, Call, Failed, Item, Progress};
use crate::upstream::link::Reading;
use crate::upstream::{Link, Lost};
use crate::wire::fields::sqlstate;

use tracing::Instrument as _;

use super::Run;
use super::attempt::{is_lock_timeout, restore};
use super::catalogue::{self, InvalidIndex};
use super::guard;
use super::outcome::Outcome;
use super::progress::Watch;
use super::queue::{self, Turn};
use super::take_back::{insist, take_back};
use super::tell::tell;

/// Runs a plan to its end or undoes what it can.
pub async fn run(run: &mut Run<'_>, plan: &Plan) -> Result<Outcome, Lost> {
    for (at, step) in plan.steps.iter().enumerate() {
        let span = span(run, step, (at + 1, plan.steps.len()));
        run.record.step(at + 1, plan.steps.len());
        let stopped = if at > 0 { run.stopped() } else { None };
        let settled = match &step.pace {
            Pace::Tidy(targets) => tidy(run, step, targets).instrument(span).await?,
            _ if let Some(why) = &stopped => Settled::Failed(Outcome::own_error(why)),
            _ if at > 0 && (run.take_cancel() || run.link.client_reading == Reading::Closed) => {
                Settled::Failed(cancelled())
            }
            Pace::Unhurried | Pace::Ladder(_) => in_turn(run, step).instrument(span).await?,
        };
        if let Settled::Failed(outcome) = settled {
            let done = plan.steps.get(..at).unwrap_or_default();
            return take_back(run, done, outcome).await;
        }
    }
    Ok(Outcome::Complete(format!("{}\0", plan.tag).into_bytes()))
}

/// What is said when all is done.
pub fn summary(run: &Run<'_>, plan: &Plan, took: Duration) -> Notice {
    let steps = match plan.steps.len() {
        1 => String::new(),
        several => format!(" in {several} steps"),
    };
    let stall = run.record.stall();
    let felt = if stall.is_zero() {
        "it stopped neither reads nor writes".to_owned()
    } else if run.surroundings.control.is_configured() {
        format!("nobody waited for it longer than {} ms", stall.as_millis().max(1))
    } else {
        format!(
            "it held or awaited its locks for {} ms at most; without a control connection nobody saw who waited",
            stall.as_millis().max(1)
        )
    };
    Notice::info(format!("{} took {}{steps}: {felt}", plan.tag, blocker::age(took)))
}

/// The span of a step in the log; nothing that anybody has sent.
fn span(run: &Run<'_>, step: &Step, (at, of): (usize, usize)) -> tracing::Span {
    let script = sql::parse(&step.sql, run.link.tracker.reading().dialect());
    let name = script.statements.first().map_or("", |statement| statement.tag);
    event::step(name, (at, of), step.lock, step.relation)
}

enum Settled {
    Complete,
    Failed(Outcome),
}

fn cancelled() -> Outcome {
    Outcome::own_error(&Notice::error(SqlState::QUERY_CANCELED, "canceling statement due to user request"))
}

/// Runs a step when no build of another session works on its tables, and keeps the next one from them.
async fn in_turn(run: &mut Run<'_>, step: &Step) -> Result<Settled, Lost> {
    let (tables, work) = match &step.pace {
        Pace::Unhurried => (step.relation.into_iter().collect(), Work::Build),
        Pace::Ladder(targets) | Pace::Tidy(targets) => {
            (targets.iter().filter_map(|target| target.oid).collect(), Work::Brief)
        }
    };
    let _permit = match queue::turn(run, tables, work).await? {
        Turn::Come(permit) => permit,
        Turn::Ended(outcome) => return Ok(Settled::Failed(outcome)),
    };
    match &step.pace {
        Pace::Unhurried => step_until_settled(run, step).await,
        Pace::Ladder(targets) | Pace::Tidy(targets) => brief(run, step, targets).await,
    }
}

/// A step behind the one that counts: what cannot be done is left with a warning.
async fn tidy(run: &mut Run<'_>, step: &Step, targets: &[Target]) -> Result<Settled, Lost> {
    let work = Undo { sql: step.sql.clone(), locks: targets.to_vec() };
    if !insist(run, &work).await? {
        let by_hand = format!("Run by hand: {}.", String::from_utf8_lossy(&step.sql));
        let what = "what the statement asked for is done, but something of the way there is left";
        let notice = Notice::new(Severity::Warning, SqlState::WARNING, what).hint(by_hand);
        tell(run.link, &[notice]).await;
    }
    run.take_cancel();
    Ok(Settled::Complete)
}

/// A step that locks strongly for a moment.
async fn brief(run: &mut Run<'_>, step: &Step, targets: &[Target]) -> Result<Settled, Lost> {
    let guard = Guard { targets: targets.to_vec(), retry: Retry::Transaction };
    Ok(match guard::run(run, guard::Work::Statement(&step.sql), &guard).await? {
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
        let answer = unhurried(run, Item::client(&step.sql), step.relation).await?;
        let Some(failed) = answer.failed else {
            return verify(run, step, &before).await;
        };
        let left = clean_up(run, step, &before).await?;
        let again = is_lock_timeout(&failed) && left.is_empty() && began.elapsed() < run.policy.retry_for;
        if !again || run.link.client_reading == Reading::Closed {
            return Ok(Settled::Failed(explain(step, &failed, &left)));
        }
        let notice = Notice::info("the server chose this statement to end a deadlock; it is tried again");
        tell(run.link, &[notice]).await;
    }
}

/// Runs a statement with no time-out in force: a concurrent step that is cut short only leaves an invalid index.
async fn unhurried(run: &mut Run<'_>, item: Item<'_>, table: Option<Oid>) -> Result<Answer, Lost> {
    let lift = ["SET SESSION lock_timeout = 0", "SET SESSION statement_timeout = 0"].map(Item::ours);
    let lifted = Call::run(run.link, &lift).await?;
    let answer = if lifted.failed.is_some() { lifted } else { watched(run, item, table).await? };
    let lock = format!("SET SESSION lock_timeout = {}", quote_literal(&run.session.lock_timeout));
    let statement =
        format!("SET SESSION statement_timeout = {}", quote_literal(&run.session.statement_timeout));
    restore(run.link, &[&lock, &statement]).await?;
    Ok(answer)
}

/// Runs a statement while telling how far it is; a client that goes away cancels it.
async fn watched(run: &mut Run<'_>, item: Item<'_>, table: Option<Oid>) -> Result<Answer, Lost> {
    let mut watch = Watch::new(run.surroundings, table);
    let mut call = Call::start(run.link, &[item]).await;
    loop {
        match watch.until_due(call.step(run.link)).await {
            Some(step) => match step? {
                Progress::Done => return Ok(call.into_answer()),
                Progress::ClientGone => {
                    ClientLeft { statement: "is cancelled", pid: run.surroundings.place.pid }.emit();
                    run.surroundings.canceller.cancel().await;
                }
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

const fn left_behind(step: &Step) -> Option<Scope> {
    match step.inverse {
        Inverse::DropNewInvalidIndexes(scope) => Some(scope),
        Inverse::Nothing | Inverse::FinishDrop(_) => None,
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
        Inverse::Nothing => Ok(Vec::new()),
        Inverse::DropNewInvalidIndexes(scope) => {
            let mut left = Vec::new();
            for index in new_invalid(run.link, scope, before).await? {
                if !drop_index(run, &index).await? {
                    left.push(index);
                }
            }
            Ok(left)
        }
        Inverse::FinishDrop(oid) => half_dropped(run, oid).await,
    }
}

/// Drops an index that a failed build left. False when that failed too.
async fn drop_index(run: &mut Run<'_>, index: &InvalidIndex) -> Result<bool, Lost> {
    let notice = Notice::info(format!("removing {}, which the failed build left invalid", index.name))
        .detail("This waits for transactions that have the table in use; that stops nobody else.")
        .hint("Cancelling this leaves the index behind, invalid.");
    tell(run.link, &[notice]).await;
    let sql = format!("DROP INDEX CONCURRENTLY IF EXISTS {}", index.name);
    Ok(unhurried(run, Item::ours(&sql), None).await?.failed.is_none())
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
        return Outcome::own_error(violated);
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
        Inverse::Nothing | Inverse::FinishDrop(_) => None,
    };
    tracing::debug!(code = %sqlstate(&failed.body), "a step failed");
    Outcome::server_error(failed, detail, None)
}
