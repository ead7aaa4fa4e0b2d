#![doc = include_str!("add_foreign_key_scan.md")]

use super::{Finding, HazardSetting, Subject};
use crate::base::LockMode;
use crate::effects::Cause;
use crate::effects::facts::RelationKind;
use crate::plan::by_hand;
use crate::plan::{Target, constraint};
use crate::sql::form::Action;
use crate::sql::form::Constraint;

/// The hazard's id.
pub const ID: &str = "add-foreign-key-scan";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Plan;

/// Finds a foreign key whose rows are checked at once.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let work = subject.work(&[Cause::ForeignKey])?;
    let part = subject.part(work)?;
    let Action::AddConstraint(constraint) = &part.action else { return None };
    let target = subject.target()?;
    let name = subject.name_for(target, constraint);
    let definition = subject.constraint(constraint, &name)?;
    let partitioned =
        subject.facts.relation(target).is_some_and(|it| it.kind == RelationKind::PartitionedTable);
    let steps = if partitioned && subject.facts.may_be_older_than(180_000) {
        by_hand::key_on_leaves(subject.leaves(target), target, &name, &definition)
    } else {
        by_hand::add_then_validate(target, &name, &definition)
    };
    let locks =
        if partitioned { locks_of_tree(subject, constraint, &name) } else { locks(subject, constraint) };
    let locks = locks.filter(|_| !subject.is_refused_anyway(target, constraint));
    let plan = locks.and_then(|(other, own)| constraint::key(ID, &name, &steps, (other.as_ref(), &own)));
    let why = format!(
        "Every row of {} is looked up in the other table under a {} on both, so that all writes to both \
         wait until it is done.",
        target, work.under
    );
    Some(
        Finding::warning(ID, "adding the foreign key checks every row while both tables are locked", why)
            .about(target)
            .at(part.span.clone())
            .by_hand(steps)
            .online(plan, "ADD CONSTRAINT .. NOT VALID, then VALIDATE CONSTRAINT"),
    )
}

/// The other table, unless it is the same, and the key's own, with what is below it.
type Locks = (Option<Target>, Vec<Target>);

/// Both tables, where the statement can be replaced.
fn locks(subject: &Subject<'_>, key: &Constraint) -> Option<Locks> {
    let own = subject.replaceable(LockMode::ShareRowExclusive)?;
    let name = &key.references.as_ref()?.table;
    let other = subject.facts.relation(name)?;
    let other = Target { name: name.clone(), oid: Some(other.oid), mode: LockMode::ShareRowExclusive };
    Some(((other.oid != own.oid).then_some(other), vec![own]))
}

/// A partitioned table, what is below it, and the other table, where the server takes a NOT VALID key of the whole.
fn locks_of_tree(subject: &Subject<'_>, key: &Constraint, name: &str) -> Option<Locks> {
    let mode = LockMode::ShareRowExclusive;
    let (own, partitions) = subject.replaceable_tree(mode, name)?;
    let referenced = &key.references.as_ref()?.table;
    let other = subject.facts.relation(referenced)?;
    let possible = other.kind == RelationKind::Table
        && !partitions.iter().any(|it| it.own_keys || it.oid == other.oid)
        && !subject.facts.may_be_older_than(180_000);
    let other = Target { name: referenced.clone(), oid: Some(other.oid), mode };
    possible.then_some((Some(other), own))
}
