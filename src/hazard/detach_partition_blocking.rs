#![doc = include_str!("detach_partition_blocking.md")]

use super::{Finding, HazardSetting, Subject};
use crate::base::RelationName;
use crate::effects::facts::TableFacts;
use crate::plan::by_hand::spelled;
use crate::plan::{HandStep, Plan};
use crate::sql::form::{Action, Part};

/// The hazard's id.
pub const ID: &str = "detach-partition-blocking";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Plan;

/// `DETACH PARTITION .. CONCURRENTLY` came with it.
const VERSION_CONCURRENTLY: u32 = 140_000;

/// Finds a partition that is detached in one transaction.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let target = subject.target().filter(|target| subject.is_exposed(target))?;
    let (part, child) = subject.parts().iter().find_map(|part| match &part.action {
        Action::Detach { child, concurrently: false, finalize: false } => Some((part, child)),
        _ => None,
    })?;
    if let Some((steps, plan)) = online(subject, target, child) {
        let form = if steps.len() == 1 {
            "DETACH PARTITION .. FINALIZE, since it is half detached already"
        } else {
            "DETACH PARTITION .. CONCURRENTLY"
        };
        return Some(found(target, part).by_hand(steps).online(plan, form));
    }
    let has_default = subject.facts.table(target).and_then(TableFacts::default_partition).is_some();
    let (own, parent) = (spelled(child), spelled(target));
    let steps = if has_default
        || (subject.facts.server_version != 0 && subject.facts.is_older_than(VERSION_CONCURRENTLY))
    {
        vec![HandStep::words(
            "CONCURRENTLY needs Postgres 14 and a table without a default partition: do it in a quiet moment",
        )]
    } else {
        vec![HandStep::outside(format!("ALTER TABLE {parent} DETACH PARTITION {own} CONCURRENTLY"))]
    };
    Some(found(target, part).by_hand(steps))
}

fn found(target: &RelationName, part: &Part) -> Finding {
    let why = format!(
        "{target} and the partition are locked with an AccessExclusiveLock until the transaction ends."
    );
    Finding::warning(ID, "detaching without CONCURRENTLY stops all reads and writes of the parent", why)
        .about(target)
        .at(part.span.clone())
}

/// The steps where the partition can be detached concurrently, and the plan where it may run.
fn online(
    subject: &Subject<'_>,
    target: &RelationName,
    child: &RelationName,
) -> Option<(Vec<HandStep>, Option<Plan>)> {
    let leaving = subject.leaving(target, child)?;
    let alone = subject.is_alone_and_readable();
    let half = subject.facts.table(target)?.pending == subject.facts.table(child)?.name;
    if half {
        let plan = leaving.finished(ID);
        let hand = plan.steps.iter().map(|step| HandStep::anywhere(String::from_utf8_lossy(&step.sql)));
        return Some((hand.collect(), alone.then_some(plan)));
    }
    let can = subject.facts.table(child)?.detachable;
    can.then(|| (leaving.by_hand(), alone.then(|| leaving.detached(ID))))
}
