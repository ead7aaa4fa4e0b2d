#![doc = include_str!("add_foreign_key_scan.md")]

use super::leaves::{Key, VERSION_NOT_VALID};
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

const MODE: LockMode = LockMode::ShareRowExclusive;

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
    let key = Key { constraint, name: &name, definition: &definition };
    let by_leaves = partitioned && subject.facts.may_be_older_than(VERSION_NOT_VALID);
    let steps = if by_leaves {
        subject.key_by_hand(target, key)
    } else {
        by_hand::add_then_validate(target, &name, &definition)
    };
    let (plan, form) = if by_leaves {
        let form = "ADD CONSTRAINT .. NOT VALID and VALIDATE CONSTRAINT on each partition, then ADD CONSTRAINT on their parent";
        (subject.key_by_leaves(ID, key, &steps), form)
    } else {
        let locks =
            if partitioned { locks_of_tree(subject, constraint, &name) } else { locks(subject, constraint) };
        let plan = locks.and_then(|(others, own)| constraint::key(ID, &name, &steps, (&others, &own)));
        (plan, "ADD CONSTRAINT .. NOT VALID, then VALIDATE CONSTRAINT")
    };
    let plan = plan.filter(|_| !subject.is_refused_anyway(target, constraint));
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
            .online(plan, form),
    )
}

/// The other table, unless it is the same, and the key's own, with what is below it.
type Locks = (Vec<Target>, Vec<Target>);

/// Both tables, where the statement can be replaced.
fn locks(subject: &Subject<'_>, key: &Constraint) -> Option<Locks> {
    let own = subject.replaceable(MODE)?;
    let others = subject.others(key)?.into_iter().filter(|it| it.oid != own.oid).collect();
    Some((others, vec![own]))
}

/// A partitioned table, what is below it, and the other table, where a NOT VALID key of the whole can be taken back.
fn locks_of_tree(subject: &Subject<'_>, key: &Constraint, name: &str) -> Option<Locks> {
    let (own, partitions) = subject.replaceable_tree(MODE, name)?;
    let others = subject.others(key)?;
    let is_plain =
        |it: &Target| subject.facts.relation(&it.name).is_some_and(|it| it.kind == RelationKind::Table);
    let possible = others.first().is_some_and(is_plain)
        && partitions
            .iter()
            .all(|it| it.own_keys.is_empty() && others.iter().all(|other| other.oid != Some(it.oid)));
    possible.then_some((others, own))
}
