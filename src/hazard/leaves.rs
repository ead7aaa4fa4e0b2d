//! Foreign keys of partitioned tables before 18: which of the leaves lack them, and the plan that gives each its own first.

use super::Subject;
use crate::base::{LockMode, RelationName};
use crate::effects::facts::{OwnKey, PartitionFacts, Relation};
use crate::plan::by_hand::{add_then_validate, alter};
use crate::plan::{Gathering, HandStep, Plan, Target};
use crate::sql::form::{Constraint, ConstraintKind};

/// Since that version a foreign key of a partitioned table may be NOT VALID.
pub(super) const VERSION_NOT_VALID: u32 = 180_000;

const MODE: LockMode = LockMode::ShareRowExclusive;

/// A foreign key that is added to a partitioned table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key<'a> {
    /// As it is written.
    pub(super) constraint: &'a Constraint,
    /// Its name.
    pub(super) name: &'a str,
    /// It in full, from `CONSTRAINT` on.
    pub(super) definition: &'a str,
}

impl Subject<'_> {
    /// The steps by hand: each leaf that lacks the key gets its own, and the parent's attaches them.
    pub(super) fn key_by_hand(&self, target: &RelationName, key: Key<'_>) -> Vec<HandStep> {
        let partitions =
            self.facts.table(target).map(|table| table.partitions.as_slice()).unwrap_or_default();
        let lacking = self.lacking(partitions, key.constraint);
        let leaves = lacking.iter().filter(|it| it.leaf);
        let mut steps: Vec<HandStep> =
            leaves.flat_map(|leaf| add_then_validate(&leaf.name, key.name, key.definition)).collect();
        steps.push(HandStep::words(
            "the parent's foreign key then finds those of its partitions, and reads nothing",
        ));
        steps.push(alter(target, &format!("ADD {}", key.definition)));
        steps
    }

    /// The same as a plan, where the server is known to want it so.
    ///
    /// A partition whose name for it is taken would get another one, which the server picks.
    pub(super) fn key_by_leaves(&self, id: &'static str, key: Key<'_>, hand: &[HandStep]) -> Option<Plan> {
        let (tree, partitions) = self.tree(MODE)?;
        let others = self.others(key.constraint)?;
        let lacking = self.lacking(partitions, key.constraint);
        let named = |it: &PartitionFacts| it.constraints.iter().any(|known| known == key.name);
        // One of its own partitions, which the server has in use by then (`CheckAlterTableIsSafe` in `tablecmds.c`).
        let inside = |it: &PartitionFacts| others.first().is_some_and(|other| other.oid == Some(it.oid));
        let known = self.facts.is_older_than(VERSION_NOT_VALID);
        let whole = others.len() == 1 || !self.facts.attaches_keys_in_part();
        let ready = |it: &&PartitionFacts| !named(it) && it.owned;
        let possible = known && whole && lacking.iter().all(ready) && !partitions.iter().any(inside);
        let on = |it: &&PartitionFacts| Target { name: it.name.clone(), oid: Some(it.oid), mode: MODE };
        let leaves: Vec<Target> = lacking.iter().copied().filter(|it| it.leaf).map(|it| on(&it)).collect();
        let gathering = Gathering {
            tree,
            known: partitions.iter().filter(|it| it.leaf).map(|it| it.oid).collect(),
            name: key.name.to_owned(),
            definition: key.definition.to_owned(),
            others,
        };
        possible.then_some(())?;
        Some(gathering.plan(id, &leaves, hand.last()?))
    }

    /// The table that a foreign key refers to, and its partitions.
    pub(super) fn others(&self, key: &Constraint) -> Option<Vec<Target>> {
        let name = &key.references.as_ref()?.table;
        let other = self.facts.relation(name)?;
        let on = |name: &RelationName, oid| Target { name: name.clone(), oid: Some(oid), mode: MODE };
        let below = other.table.as_ref().map(|table| table.partitions.as_slice()).unwrap_or_default();
        let below = below.iter().map(|it| on(&it.name, it.oid));
        Some([on(name, other.oid)].into_iter().chain(below).collect())
    }

    /// The partitions that have no such key, neither by themselves nor as a part of their parent's
    /// (`tryAttachPartitionForeignKey` in `tablecmds.c`).
    fn lacking<'b>(&self, partitions: &'b [PartitionFacts], key: &Constraint) -> Vec<&'b PartitionFacts> {
        let other = key.references.as_ref().and_then(|it| self.facts.relation(&it.table));
        let wanted = other.and_then(|other| wanted(key, other));
        let mut ready: Vec<&RelationName> = Vec::new();
        let mut lacking = Vec::new();
        for partition in partitions {
            let has = wanted.as_ref().is_some_and(|it| partition.own_keys.contains(it));
            if has || ready.contains(&&partition.parent) {
                ready.push(&partition.name);
            } else {
                lacking.push(partition);
            }
        }
        lacking
    }
}

/// The key as a partition would have it.
fn wanted(key: &Constraint, other: &Relation) -> Option<OwnKey> {
    let references = key.references.as_ref()?;
    let mut keys = other.table.as_ref()?.constraints.iter();
    let primary = || keys.find(|it| it.kind == ConstraintKind::PrimaryKey).map(|it| it.columns.clone());
    let columns = Some(references.columns.clone()).filter(|columns| !columns.is_empty());
    let letter = |yes: bool| if yes { "t" } else { "f" };
    let deferrable = key.deferrable || key.initially_deferred;
    Some(OwnKey {
        columns: key.columns.clone(),
        references: other.oid,
        reference_columns: columns.or_else(primary)?,
        rules: format!("{}{}{}", references.rules, letter(deferrable), letter(key.initially_deferred)),
        validated: true,
    })
}
