#![doc = include_str!("detach_partition_blocking.md")]

use super::{Finding, HazardSetting, Subject};
use crate::effects::facts::TableFacts;
use crate::plan::HandStep;
use crate::plan::by_hand::spelled;
use crate::sql::form::Action;

/// The hazard's id.
pub const ID: &str = "detach-partition-blocking";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Warn;

/// Finds a partition that is detached in one transaction.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let target = subject.target().filter(|target| subject.is_exposed(target))?;
    let (part, child) = subject.parts().iter().find_map(|part| match &part.action {
        Action::Detach { child, concurrently: false, finalize: false } => Some((part, child)),
        _ => None,
    })?;
    let has_default = subject.facts.table(target).and_then(TableFacts::default_partition).is_some();
    let (own, parent) = (spelled(child), spelled(target));
    let steps = if has_default || (subject.facts.server_version != 0 && subject.facts.is_older_than(140_000))
    {
        vec![HandStep::words(
            "CONCURRENTLY needs Postgres 14 and a table without a default partition: do it in a quiet moment",
        )]
    } else {
        vec![HandStep::outside(format!("ALTER TABLE {parent} DETACH PARTITION {own} CONCURRENTLY"))]
    };
    let why = format!(
        "{target} and the partition are locked with an AccessExclusiveLock until the transaction ends."
    );
    Some(
        Finding::warning(ID, "detaching without CONCURRENTLY stops all reads and writes of the parent", why)
            .about(target)
            .at(part.span.clone())
            .by_hand(steps),
    )
}
