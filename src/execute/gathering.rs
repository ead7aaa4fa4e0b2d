//! The step that puts a foreign key together of those that each leaf has. A leaf that came meanwhile gets its own first: under
//! the lock it would be read.

use crate::base::{Notice, SqlState};
use crate::judge::{Guard, Retry, Waits};
use crate::live::queue::{On, Work};
use crate::plan::by_hand::spelled;
use crate::plan::{Gathering, Pace, Step};
use crate::upstream::Lost;

use super::Run;
use super::catalogue::{self, Newcomer};
use super::guard;
use super::outcome::Outcome;
use super::plan::Settled;
use super::queue::{self, Turn};
use super::tell::tell;

/// Runs the step when no leaf lacks its part, or gives the steps that come before it.
pub(super) async fn gathered(run: &mut Run<'_>, step: &Step, key: &Gathering) -> Result<Settled, Lost> {
    let locks = key.locks();
    let on = On::Tables(locks.iter().filter_map(|target| target.oid).collect());
    let _permit = match queue::turn(run, on, Work::Brief).await? {
        Turn::Come(permit) => permit,
        Turn::Ended(outcome) => return Ok(Settled::Failed(outcome)),
    };
    let question = key.newcomers();
    let guard =
        Guard { targets: locks, retry: Retry::Transaction, waits: Waits::Briefly, first: key.first() };
    match guard::run(run, guard::Work::Unless(&step.sql, &question), &guard).await? {
        Outcome::Complete(_) | Outcome::Answered => return Ok(Settled::Complete),
        failed @ Outcome::Failed(_) => return Ok(Settled::Failed(failed)),
        Outcome::Overtaken => {}
    }
    let newcomers = match catalogue::newcomers(run.link, &question).await? {
        Ok(newcomers) => newcomers,
        Err(failed) => return Ok(Settled::Failed(Outcome::server_error(&failed, None, None))),
    };
    if let Some(ready) = newcomers.iter().find(|newcomer| newcomer.ready) {
        return Ok(Settled::Failed(Outcome::own_error(&in_the_way(ready))));
    }
    let mut key = key.clone();
    let mut steps = Vec::new();
    for Newcomer { name, oid, .. } in newcomers {
        let notice = format!("partition {} came meanwhile, and gets its foreign key first", spelled(&name));
        tell(run.link, &[Notice::info(notice)]).await;
        steps.extend(key.with(name, oid));
    }
    steps.push(Step { pace: Pace::Gathered(Box::new(key)), ..step.clone() });
    Ok(Settled::Overtaken(steps))
}

fn in_the_way(newcomer: &Newcomer) -> Notice {
    let message =
        format!("partition {} came meanwhile, and has a foreign key of its own", spelled(&newcomer.name));
    Notice::error(SqlState::NOT_IN_PREREQUISITE_STATE, message)
        .hint("Try again: a key that is the same then becomes part of the new one.")
}
