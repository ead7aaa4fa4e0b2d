#![doc = include_str!("attach_partition_scan.md")]

use super::{Finding, HazardSetting, Subject, bounds};
use crate::base::name::{choose, written};
use crate::base::{LockMode, RelationName};
use crate::effects::Cause;
use crate::effects::facts::{ConstraintFacts, Relation, RelationKind, TableFacts, TableIndex};
use crate::plan::by_hand::{alter, validate};
use crate::plan::{HandStep, Plan, Target, attach};
use crate::sql::form::{Action, ConstraintKind, Part};

/// The hazard's id.
pub const ID: &str = "attach-partition-scan";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Plan;

/// Finds a partition whose rows are checked while it is attached.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let work = subject.work(&[Cause::Attach])?;
    let why = format!(
        "Every row of {} is read under an {}, so that all reads and writes wait until it is done.",
        work.relation, work.under
    );
    let part = subject.part(work)?;
    let told = in_steps(subject, part);
    let (steps, plan) = told.unwrap_or_else(|| {
        let words = "add a CHECK that says the partition's bounds and NOT NULL of its key, NOT VALID, to the table; \
            VALIDATE it; if there is a default partition, the opposite CHECK there; then ATTACH reads nothing; then drop the CHECKs";
        (vec![HandStep::words(words)], None)
    });
    Some(
        Finding::warning(ID, "attaching the partition reads it under its lock", why)
            .about(&work.relation)
            .at(part.span.clone())
            .by_hand(steps)
            .online(plan, "steps that prove the partition's bounds before it is attached"),
    )
}

/// The steps where the condition is known beyond doubt, and the plan where it may run.
fn in_steps(subject: &Subject<'_>, part: &Part) -> Option<(Vec<HandStep>, Option<Plan>)> {
    let Action::Attach { child, bound, .. } = &part.action else { return None };
    let target = subject.target()?;
    let (parent, partition) = (subject.facts.table(target)?, subject.facts.table(child)?);
    let key = parent.partition_key.as_ref()?;
    let column = parent.column(&key.column)?;
    // Above a parent that is a partition itself there is more to prove; a default partition would have to refuse rows
    // meanwhile that it takes until then.
    if parent.parent.is_some() || parent.default_partition().is_some() {
        return None;
    }
    if partition.column(&key.column).is_none_or(|own| own.base != column.base) {
        return None;
    }
    let condition = bounds::condition(key, column, bound)?;
    let name = choose(&[&child.name, "bounds", "check"], &subject.naming().taken(child));
    let quoted = written(&name);
    let attach = subject.text(part.span.as_ref()?);
    let mut steps = vec![
        alter(child, &format!("ADD CONSTRAINT {quoted} CHECK ({condition}) NOT VALID")),
        validate(child, &name),
        alter(target, &attach),
        alter(child, &format!("DROP CONSTRAINT {quoted}")),
    ];
    if lacks_something(parent, partition) {
        let words = "make the parent's indexes and foreign keys on the table, which are made under the lock otherwise";
        steps.insert(0, HandStep::words(words));
        return Some((steps, None));
    }
    let plan = locks(subject, target, child)
        .and_then(|(parent, child)| attach::proved(ID, (&parent, &child), &name, &steps));
    Some((steps, plan))
}

/// Whether the table would get indexes or foreign keys while it is attached (`AttachPartitionEnsureIndexes`,
/// `CloneForeignKeyConstraints`): then it is the making that takes long.
fn lacks_something(parent: &TableFacts, partition: &TableFacts) -> bool {
    let indexed = |index: &TableIndex| {
        partition.indexes.iter().any(|own| {
            let same = own.columns == index.columns && own.method == index.method;
            let kind = own.unique == index.unique && own.constraint.is_some() == index.constraint.is_some();
            same && kind && own.valid && !own.expressions && !index.expressions
        })
    };
    let keyed = |key: &ConstraintFacts| {
        partition.constraints.iter().any(|own| {
            own.kind == key.kind
                && own.columns == key.columns
                && own.references == key.references
                && own.validated
        })
    };
    let keys = parent.constraints.iter().filter(|key| key.kind == ConstraintKind::Foreign);
    !parent.indexes.iter().all(indexed) || !keys.into_iter().all(keyed)
}

/// Parent and child, where a plan may take the place of the statement.
fn locks(subject: &Subject<'_>, target: &RelationName, child: &RelationName) -> Option<(Target, Target)> {
    let [Part { action: Action::Attach { .. }, .. }] = subject.all_parts() else { return None };
    let (parent, partition) = (subject.facts.relation(target)?, subject.facts.relation(child)?);
    let facts = partition.table.as_deref()?;
    let plain = partition.kind == RelationKind::Table && !partition.system && !parent.system;
    let free = facts.parent.is_none() && !facts.has_kin && subject.is_exposed(child);
    let at = |name: &RelationName, relation: &Relation, mode| Target {
        name: name.clone(),
        oid: Some(relation.oid),
        mode,
    };
    let whole = parent.kind == RelationKind::PartitionedTable && subject.is_exposed(target);
    (subject.is_alone_and_readable() && plain && free && whole).then(|| {
        let parent = at(target, parent, LockMode::ShareUpdateExclusive);
        (parent, at(child, partition, LockMode::AccessExclusive))
    })
}
