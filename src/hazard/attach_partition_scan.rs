#![doc = include_str!("attach_partition_scan.md")]

use super::{Finding, HazardSetting, Subject, bounds, copies, outside};
use crate::base::name::choose;
use crate::base::{LockMode, RelationName};
use crate::effects::facts::{Oid, RelationKind};
use crate::effects::{Cause, Work};
use crate::plan::attach::{Proof, Way};
use crate::plan::by_hand::{alter, spelled};
use crate::plan::{HandStep, Plan, Target};
use crate::sql::form::{Action, Part};

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
    let (what, form) = words(subject, part, beside.is_some());
    Some(
        Finding::warning(ID, what, why)
            .about(&work.relation)
            .at(part.span.clone())
            .by_hand(steps)
            .online(plan, form),
    )
}

/// What it is, and what is done instead.
fn words(subject: &Subject<'_>, part: &Part, beside: bool) -> (&'static str, &'static str) {
    let lacks = || {
        let Action::Attach { child, .. } = &part.action else { return None };
        let (parent, partition) = (subject.facts.table(subject.target()?)?, subject.facts.table(child)?);
        Some(!partition.lacking(parent).is_nothing())
    };
    match (lacks().unwrap_or(false), beside) {
        (true, true) => (
            "attaching the partition builds what it lacks of its parent, and reads the default partition, under their locks",
            "steps that build what the table lacks of its parent and prove its bounds before it is attached; in the end rows \
             within them are refused for a while",
        ),
        (true, false) => (
            "attaching the partition builds what it lacks of its parent under its lock",
            "steps that build what the table lacks of its parent and prove its bounds before it is attached",
        ),
        (false, true) => (
            "attaching the partition reads it and the default partition under their locks",
            "steps that prove the partition's bounds before it is attached; until then rows within them are refused",
        ),
        (false, false) => (
            "attaching the partition reads it under its lock",
            "steps that prove the partition's bounds before it is attached",
        ),
    }
}

/// The steps where the condition is known beyond doubt, and the plan where it may run.
fn in_steps(subject: &Subject<'_>, part: &Part, beside: bool) -> Option<(Vec<HandStep>, Option<Plan>)> {
    let Action::Attach { child, bound, .. } = &part.action else { return None };
    let target = subject.target()?;
    let (parent, partition) = (subject.facts.table(target)?, subject.facts.table(child)?);
    let own = at(child, subject.facts.relation(child)?.oid, LockMode::AccessExclusive);
    let key = parent.partition_key.as_ref()?;
    let column = parent.column(&key.column)?;
    if partition.column(&key.column).is_none_or(|own| own.base != column.base) || partition.is_laxer(parent) {
        return None;
    }
    let condition = bounds::condition(key, column, bound)?;
    // Of a parent that is a partition itself its own bounds are to be proved as well.
    let within = match &parent.parent {
        Some(_) => format!("({condition}) AND {}", parent.bound_condition.as_ref()?),
        None => condition.clone(),
    };
    let lacking = partition.lacking(parent);
    let copied = copies::of(subject, (child, parent), &lacking);
    let mut way = Way::default();
    for index in copied.iter().flat_map(|copies| &copies.indexes) {
        way.index(&own, index);
    }
    if subject.work(&[Cause::Attach]).is_some() {
        let name = choose(&[&child.name, "bounds", "check"], &subject.naming().taken(child));
        way.proof(&Proof::within(own.clone(), name, &within));
    }
    for key in copied.iter().flat_map(|copies| &copies.keys) {
        way.key(&own, (key.name, key.definition), &key.others);
    }
    // Last, since from then on it refuses rows that nobody else takes yet.
    let default = parent.default_partition();
    let proof = default.filter(|_| beside).map(|default| outside::proof(parent, default, &condition));
    if let Some(proof) = &proof {
        way.proof(proof);
    }
    let attach = alter(target, &subject.text(part.span.as_ref()?));
    let locks = locks(subject, target, child);
    let mut all: Vec<Target> = copied.iter().flat_map(|copies| copies.locks.clone()).collect();
    // What refers to the parent refers to the table from then on.
    let others = parent.referenced_by.iter();
    all.extend(others.map(|key| at(&key.table, key.oid, LockMode::ShareRowExclusive)));
    let alone = all.is_empty();
    all.extend(locks.iter().flatten().cloned());
    all.extend(default.into_iter().flat_map(|default| outside::locks(parent, default)));
    if alone {
        way.last(attach, &all);
    } else {
        way.last_together(attach, &all);
    }
    let mut steps = way.by_hand();
    if copied.is_none() {
        let words = "make the parent's indexes and foreign keys on the table, which are made under the lock otherwise";
        steps.insert(0, HandStep::words(words));
        return Some((steps, None));
    }
    let provable = default.is_none_or(|default| outside::is_provable(parent, default));
    Some((steps, (locks.is_some() && provable).then(|| way.plan(ID, "ALTER TABLE"))))
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
