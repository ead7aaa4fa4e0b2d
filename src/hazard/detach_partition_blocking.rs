#![doc = include_str!("detach_partition_blocking.md")]

use super::attach_partition_scan::READ_IN_NO_TIME_BYTES;
use super::{Finding, HazardSetting, Subject};
use crate::base::RelationName;
use crate::base::name::written;
use crate::effects::facts::{Reference, TableFacts};
use crate::effects::{Cause, Work};
use crate::plan::by_hand::{add_then_validate, alter, spelled};
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

/// Finds a partition that is detached in one transaction, or from a parent that others refer to.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let target = subject.target().filter(|target| subject.is_exposed(target))?;
    let (part, child, concurrently) = subject.parts().iter().find_map(|part| match &part.action {
        Action::Detach { child, concurrently, finalize: false } => Some((part, child, *concurrently)),
        _ => None,
    })?;
    let searched = subject.work.iter().filter(|it| it.cause == Cause::Detach && takes_time(it));
    if let Some(work) = searched.max_by_key(|it| it.bytes.unwrap_or(u64::MAX)) {
        return Some(referred_to(subject, (target, child, part), work));
    }
    if concurrently {
        return None;
    }
    if let Some((steps, plan)) = online(subject, target, child) {
        let form = if steps.len() == 1 {
            "DETACH PARTITION .. FINALIZE, since it is half detached already"
        } else {
            "DETACH PARTITION .. CONCURRENTLY"
        };
        return Some(found(target, part).by_hand(steps).online(plan, form));
    }
    Some(found(target, part).by_hand(in_words(subject, target, child)))
}

fn in_words(subject: &Subject<'_>, target: &RelationName, child: &RelationName) -> Vec<HandStep> {
    let has_default = subject.facts.table(target).and_then(TableFacts::default_partition).is_some();
    let old = subject.facts.server_version != 0 && subject.facts.is_older_than(VERSION_CONCURRENTLY);
    if has_default || old {
        return vec![HandStep::words(
            "CONCURRENTLY needs Postgres 14 and a table without a default partition: do it in a quiet moment",
        )];
    }
    let (own, parent) = (spelled(child), spelled(target));
    vec![HandStep::outside(format!("ALTER TABLE {parent} DETACH PARTITION {own} CONCURRENTLY"))]
}

/// A table that can be searched in no time is no reason to wait.
fn takes_time(work: &Work) -> bool {
    work.exposed && work.bytes.is_none_or(|bytes| bytes > READ_IN_NO_TIME_BYTES)
}

/// What refers to the parent is searched under the locks, in either form: there is no plan, since without the foreign key others may
/// write what it forbids.
fn referred_to(
    subject: &Subject<'_>,
    (target, child, part): (&RelationName, &RelationName, &Part),
    work: &Work,
) -> Finding {
    let keys = subject.facts.table(target).map(|facts| facts.referenced_by.as_slice()).unwrap_or_default();
    // Those of its partitions go and come with its own.
    let keys: Vec<&Reference> = keys.iter().filter(|key| key.own).collect();
    let words = format!(
        "make sure that no row refers to one of {}, and that none will before the last of these steps: nothing checks it meanwhile",
        spelled(child)
    );
    let mut steps = vec![HandStep::words(&words)];
    if keys.is_empty() {
        steps.push(HandStep::words(
            "drop the foreign keys that refer to it; add them again, NOT VALID, in the end",
        ));
    }
    let named = |key: &Reference| written(&key.constraint);
    steps.extend(keys.iter().map(|key| alter(&key.table, &format!("DROP CONSTRAINT {}", named(key)))));
    steps.push(alter(target, &format!("DETACH PARTITION {}", spelled(child))));
    for key in keys {
        let definition = format!("CONSTRAINT {} {}", named(key), key.definition);
        steps.extend(add_then_validate(&key.table, &key.constraint, &definition));
    }
    let why = format!(
        "Rows that refer to the partition are searched for in {}, which is read while it, the partition and their parent {target} are \
         locked.",
        spelled(&work.relation)
    );
    Finding::warning(ID, "detaching a partition reads the tables that refer to its parent, under locks", why)
        .about(&work.relation)
        .at(part.span.clone())
        .by_hand(steps)
        .refused_since("There is no online way: without the foreign key others may write what it forbids.")
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
