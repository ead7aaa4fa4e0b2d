//! What is said of a plan when all is done, and of each step in the log.

use std::time::Duration;

use crate::base::Notice;
use crate::event;
use crate::pace::blocker;
use crate::plan::{Plan, Step};
use crate::sql;

use super::Run;

/// What is said when all of a plan is done.
pub fn of(run: &Run<'_>, plan: &Plan, took: Duration) -> Notice {
    let steps = match plan.steps.len() {
        1 => String::new(),
        several => format!(" in {several} steps"),
    };
    of_all(run, plan.tag, took, &steps)
}

/// What is said when a statement that writes many rows at once is done.
pub fn of_whole(run: &Run<'_>, tag: &str, took: Duration) -> Notice {
    of_all(run, tag, took, " as sent")
}

fn of_all(run: &Run<'_>, tag: &str, took: Duration, how: &str) -> Notice {
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
    Notice::info(format!("{tag} took {}{how}: {felt}", blocker::age(took)))
}

/// What a step is called; nothing that anybody has sent.
pub fn name(run: &Run<'_>, step: &Step) -> &'static str {
    let script = sql::parse(&step.sql, run.link.tracker.reading().dialect());
    script.statements.first().map_or("", |statement| statement.tag)
}

/// The span of a step in the log.
pub fn span(name: &str, step: &Step, place: (usize, usize)) -> tracing::Span {
    event::step(name, place, step.lock, step.relation)
}
