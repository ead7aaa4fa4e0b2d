#![doc = include_str!("attach_partition_scan.md")]

use super::{Finding, HazardSetting, Subject, bounds};
use crate::base::name::choose;
use crate::base::{LockMode, RelationName};
use crate::effects::facts::{ConstraintFacts, Oid, RelationKind, TableFacts, TableIndex};
use crate::effects::{Cause, Work};
use crate::plan::attach::{self, Proof};
use crate::plan::by_hand::{alter, spelled};
use crate::plan::{HandStep, Plan, Target};
use crate::sql::form::{Action, ConstraintKind, Part};

/// The hazard's id.
pub const ID: &str = "attach-partition-scan";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Plan;

/// A default partition of this size is read in no time: proving it would only refuse rows meanwhile.
pub(super) const READ_IN_NO_TIME_BYTES: u64 = 64 << 10;

/// Finds a partition whose rows, or those of the default partition beside it, are checked while it is attached.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let own = subject.work(&[Cause::Attach]);
    let beside = subject
        .work(&[Cause::DefaultPartition])
        .filter(|work| work.bytes.is_none_or(|bytes| bytes > READ_IN_NO_TIME_BYTES));
    let longer = |beside: &&Work| own.is_none_or(|own| own.bytes < beside.bytes);
    let work = beside.filter(longer).or(own)?;
    let part = subject.part(work).filter(|part| matches!(part.action, Action::Attach { .. }))?;
    let read: Vec<String> = [own, beside].into_iter().flatten().map(|it| spelled(&it.relation)).collect();
    let why = format!(
        "Every row of {} is read under an {}, so that all reads and writes wait until it is done.",
        read.join(" and "),
        work.under
    );
    let told = in_steps(subject, part, beside.is_some());
    let (steps, plan) = told.unwrap_or_else(|| {
        let words = "add a CHECK that says the partition's bounds and NOT NULL of its key, NOT VALID, to the table; \
            VALIDATE it; if there is a default partition, the opposite CHECK there; then ATTACH reads nothing; then drop the CHECKs";
        (vec![HandStep::words(words)], None)
    });
    let (what, form) = if beside.is_some() {
        (
            "attaching the partition reads it and the default partition under their locks",
            "steps that prove the partition's bounds before it is attached; until then rows within them are refused",
        )
    } else {
        (
            "attaching the partition reads it under its lock",
            "steps that prove the partition's bounds before it is attached",
        )
    };
    Some(
        Finding::warning(ID, what, why)
            .about(&work.relation)
            .at(part.span.clone())
            .by_hand(steps)
            .online(plan, form),
    )
}

/// The steps where the condition is known beyond doubt, and the plan where it may run.
fn in_steps(subject: &Subject<'_>, part: &Part, beside: bool) -> Option<(Vec<HandStep>, Option<Plan>)> {
    let Action::Attach { child, bound, .. } = &part.action else { return None };
    let target = subject.target()?;
    let (parent, partition) = (subject.facts.table(target)?, subject.facts.table(child)?);
    let key = parent.partition_key.as_ref()?;
    let column = parent.column(&key.column)?;
    // Above a parent that is a partition itself there is more to prove.
    if parent.parent.is_some() || partition.column(&key.column).is_none_or(|own| own.base != column.base) {
        return None;
    }
    let condition = bounds::condition(key, column, bound)?;
    let name_in = |table: &RelationName, taken: &[&str]| choose(&[&table.name, "bounds", "check"], taken);
    let mut proofs = Vec::new();
    if subject.work(&[Cause::Attach]).is_some() {
        let name = name_in(child, &subject.naming().taken(child));
        proofs.push(Proof::within(child, name, &condition));
    }
    // Last, since from then on it refuses rows that nobody else takes yet.
    let default = parent.default_partition();
    if let Some(default) = default.filter(|_| beside) {
        let taken: Vec<&str> = default.constraints.iter().map(String::as_str).collect();
        proofs.push(Proof::outside(&default.name, name_in(&default.name, &taken), &condition));
    }
    let attach = alter(target, &subject.text(part.span.as_ref()?));
    let mut steps = attach::by_hand(&proofs, &attach);
    if lacks_something(parent, partition) {
        let words = "make the parent's indexes and foreign keys on the table, which are made under the lock otherwise";
        steps.insert(0, HandStep::words(words));
        return Some((steps, None));
    }
    // What is no leaf is proved leaf by leaf.
    let provable = default.is_none_or(|default| default.leaf && !default.foreign);
    let locks = locks(subject, target, child).filter(|_| provable);
    let plan = locks.and_then(|mut locks| {
        locks.extend(default.map(|it| at(&it.name, it.oid, LockMode::AccessExclusive)));
        attach::proved(ID, &proofs, &attach, &locks)
    });
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

/// Child and parent, where a plan may take the place of the statement.
fn locks(subject: &Subject<'_>, target: &RelationName, child: &RelationName) -> Option<Vec<Target>> {
    let [Part { action: Action::Attach { .. }, .. }] = subject.all_parts() else { return None };
    let (parent, partition) = (subject.facts.relation(target)?, subject.facts.relation(child)?);
    let facts = partition.table.as_deref()?;
    let plain = partition.kind == RelationKind::Table && !partition.system && !parent.system;
    let free = facts.parent.is_none() && !facts.has_kin && subject.is_exposed(child);
    let whole = parent.kind == RelationKind::PartitionedTable && subject.is_exposed(target);
    (subject.is_alone_and_readable() && plain && free && whole).then(|| {
        let parent = at(target, parent.oid, LockMode::ShareUpdateExclusive);
        vec![at(child, partition.oid, LockMode::AccessExclusive), parent]
    })
}

fn at(name: &RelationName, oid: Oid, mode: LockMode) -> Target {
    Target { name: name.clone(), oid: Some(oid), mode }
}
