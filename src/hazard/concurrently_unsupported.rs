#![doc = include_str!("concurrently_unsupported.md")]

use super::create_index_blocking::on_partitions;
use super::{Finding, HazardSetting, Subject};
use crate::base::RelationName;
use crate::effects::facts::{RelationKind, TableFacts};
use crate::plan::HandStep;
use crate::sql::form::Action;
use crate::sql::statement::Kind;

/// The hazard's id.
pub const ID: &str = "concurrently-unsupported";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Warn;

/// `DETACH PARTITION .. CONCURRENTLY` came with 14.
const VERSION_DETACH: u32 = 140_000;

/// Finds a concurrent form that the server refuses on what it is asked for.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let first = subject.statement.locks.first().map(|lock| &lock.name)?;
    match &subject.statement.kind {
        Kind::CreateIndex(it) if it.concurrently && is(subject, first, RelationKind::PartitionedTable) => {
            let why = "Postgres refuses it (0A000): an index on a partitioned table is put together from those of its partitions.";
            let what = "no index is built concurrently on a partitioned table";
            Some(
                Finding::warning(ID, what, why)
                    .by_hand(on_partitions(subject).map(|way| way.by_hand()).unwrap_or_default()),
            )
        }
        Kind::DropIndex(it) if it.concurrently && is(subject, first, RelationKind::PartitionedIndex) => {
            let why = "Postgres refuses it (0A000); the plain form locks the table and all its partitions with an AccessExclusiveLock.";
            let way = HandStep::words("DROP INDEX without CONCURRENTLY, in a quiet moment");
            let what = "no index of a partitioned table is dropped concurrently";
            Some(Finding::warning(ID, what, why).by_hand(vec![way]))
        }
        _ => of_part(subject),
    }
}

fn is(subject: &Subject<'_>, name: &RelationName, kind: RelationKind) -> bool {
    subject.facts.relation(name).is_some_and(|relation| relation.kind == kind)
}

fn of_part(subject: &Subject<'_>) -> Option<Finding> {
    let target = subject.target()?;
    let part = subject.parts().first()?;
    let (what, why, way) = match &part.action {
        Action::AddConstraint(it)
            if it.using_index.is_some() && is(subject, target, RelationKind::PartitionedTable) =>
        {
            (
                "no key of a partitioned table is made of an index",
                "Postgres refuses it (0A000): the key of a partitioned table is put together from those of its partitions.",
                "on each partition ADD CONSTRAINT .. USING INDEX; then the constraint on the parent, which finds them and reads nothing",
            )
        }
        Action::Detach { concurrently: true, .. } if subject.facts.is_older_than(VERSION_DETACH) => (
            "no partition is detached concurrently before Postgres 14",
            "This server does not know the word (42601).",
            "DETACH PARTITION without CONCURRENTLY, in a quiet moment",
        ),
        Action::Detach { concurrently: true, .. }
            if subject.facts.table(target).and_then(TableFacts::default_partition).is_some() =>
        {
            (
                "no partition is detached concurrently beside a default partition",
                "Postgres refuses it (55000), since rows could go to the default partition meanwhile.",
                "DETACH PARTITION without CONCURRENTLY, in a quiet moment",
            )
        }
        _ => return None,
    };
    Some(Finding::warning(ID, what, why).at(part.span.clone()).by_hand(vec![HandStep::words(way)]))
}
