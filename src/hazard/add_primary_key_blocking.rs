#![doc = include_str!("add_primary_key_blocking.md")]

use super::{Finding, HazardSetting, Subject};
use crate::base::LockMode;
use crate::base::RelationName;
use crate::effects::Cause;
use crate::effects::facts::RelationKind;
use crate::plan::HandStep;
use crate::plan::constraint;
use crate::sql::form::Action;

/// The hazard's id.
pub const ID: &str = "add-primary-key-blocking";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Plan;

/// Finds a primary key whose index is built under the lock.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let work = subject.work(&[Cause::PrimaryKey])?;
    let part = subject.part(work)?;
    let Action::AddConstraint(constraint) = &part.action else { return None };
    let target = subject.target()?;
    let name = subject.name_for(target, constraint);
    let nullable = nullable(subject, target, &constraint.columns);
    let built = subject.built_apart(target, &name, constraint);
    let locked = subject
        .replaceable(LockMode::AccessExclusive)
        .filter(|_| !subject.is_refused_anyway(target, constraint) && !subject.has_kin(target))
        .filter(|_| !has_unproved(subject, target, &constraint.columns))
        .filter(|_| subject.can_be_built_apart(constraint));
    let on_partitions = || {
        subject
            .primary_key_in_tree(ID, (&name, constraint), &nullable)
            .filter(|_| !has_unproved(subject, target, &constraint.columns))
    };
    let plan = locked
        .and_then(|locked| {
            Some(constraint::of_index(
                ID,
                (&locked, locked.oid?),
                &nullable,
                &subject.beside(target, &name),
                &built,
            ))
        })
        .or_else(on_partitions);
    // Since 18 the key of a partition makes the NOT NULL that it has from its parent its own.
    let partitioned =
        subject.facts.relation(target).map(|it| it.kind) == Some(RelationKind::PartitionedTable);
    let form = if partitioned && !subject.facts.is_older_than(180_000) {
        "CREATE UNIQUE INDEX CONCURRENTLY, then ADD CONSTRAINT .. USING INDEX, which also makes the NOT NULL of each partition its own"
    } else {
        "CREATE UNIQUE INDEX CONCURRENTLY, then ADD CONSTRAINT .. USING INDEX"
    };
    let steps: Vec<HandStep> = nullable.into_iter().flat_map(|(_, steps)| steps).chain(built).collect();
    let why = format!(
        "Its index is built under an {} on {target}, so that all reads and writes wait until it is done.",
        work.under
    );
    Some(
        Finding::warning(ID, "adding the primary key builds its index under the table's lock", why)
            .about(target)
            .at(part.span.clone())
            .by_hand(steps)
            .online(plan, form),
    )
}

/// Whether a column's NOT NULL is NOT VALID, so that the server refuses the key (18).
pub(super) fn has_unproved(subject: &Subject<'_>, target: &RelationName, columns: &[String]) -> bool {
    let not_null = |column: &String| subject.facts.table(target)?.not_null(column);
    columns.iter().filter_map(not_null).any(|known| !known.validated)
}

/// Columns that may be null are proved not to be first, or the last step would read the table.
pub(super) fn nullable(
    subject: &Subject<'_>,
    target: &RelationName,
    columns: &[String],
) -> Vec<(String, Vec<HandStep>)> {
    let table = subject.facts.table(target);
    let known =
        |column: &String| table.and_then(|table| table.column(column)).is_some_and(|column| column.not_null);
    let steps = |column: &String| (column.clone(), subject.set_not_null(target, column));
    columns.iter().filter(|column| !known(column)).map(steps).collect()
}
