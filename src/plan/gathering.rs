//! The plan for a foreign key of a partitioned table that takes none that is NOT VALID (before 18): proved on each leaf, then
//! added to the parent, which finds those of its leaves and reads nothing (`tryAttachPartitionForeignKey` in `tablecmds.c`).

use super::by_hand::{HandStep, add_then_validate, spelled};
use super::constraint::{self, TAG, brief, undo};
use super::{Pace, Plan, Step, Target, up_front};
use crate::base::name::written;
use crate::base::relation::quote_literal;
use crate::base::{LockMode, RelationName};
use crate::effects::facts::Oid;

/// What every leaf must have before the parent gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gathering {
    /// The partitioned table, then all that is below it.
    pub tree: Vec<Target>,
    /// The leaves that have it, or get it in an earlier step.
    pub known: Vec<Oid>,
    /// The name of the foreign key.
    pub name: String,
    /// It in full, from `CONSTRAINT` on.
    pub definition: String,
    /// The table that it refers to, then that one's partitions.
    pub others: Vec<Target>,
}

impl Gathering {
    /// The plan: each of these leaves in turn, then the parent.
    pub fn plan(self, hazard: &'static str, lacking: &[Target], last: &HandStep) -> Plan {
        let mut steps: Vec<Step> = lacking.iter().flat_map(|leaf| self.on_leaf(leaf)).collect();
        steps.push(self.last(last));
        Plan { hazard, steps, tag: TAG }
    }

    fn last(self, hand: &HandStep) -> Step {
        Step { pace: Pace::Gathered(Box::new(self.clone())), ..brief(hand, self.locks(), None) }
    }

    /// The steps for one leaf. Where it is gone when that is taken back, there is nothing to be done.
    pub fn on_leaf(&self, leaf: &Target) -> Vec<Step> {
        let hand = add_then_validate(&leaf.name, &self.name, &self.definition);
        let others: Vec<Target> = self.others.iter().filter(|it| it.oid != leaf.oid).cloned().collect();
        let own = std::slice::from_ref(leaf);
        let plan = constraint::key("", &self.name, &hand, (&others, own));
        let mut steps = plan.map(|plan| plan.steps).unwrap_or_default();
        let (table, name) = (spelled(&leaf.name), written(&self.name));
        let away =
            HandStep::anywhere(format!("ALTER TABLE IF EXISTS {table} DROP CONSTRAINT IF EXISTS {name}"));
        if let Some(added) = steps.first_mut() {
            let locks: Vec<Target> = others.into_iter().chain([leaf.clone()]).collect();
            added.undo = vec![undo(&away, &locks)];
        }
        steps
    }

    /// What the last step locks: the triggers of the leaves' own keys go from the table that they refer to.
    pub fn locks(&self) -> Vec<Target> {
        let others = self.others.iter().map(|it| Target { mode: LockMode::AccessExclusive, ..it.clone() });
        let is_other = |target: &&Target| self.others.iter().any(|it| it.oid == target.oid);
        others.chain(self.tree.iter().filter(|it| !is_other(it)).cloned()).collect()
    }

    /// The statements that take these locks up front, whatever the trees consist of by then.
    pub fn first(&self) -> Vec<String> {
        let locks = self.locks();
        let other = locks.first().map(|other| up_front::tree(other, self.others.len() > 1));
        let table = self.tree.first().filter(|table| locks.iter().any(|it| it == *table));
        other.into_iter().chain(table.map(|table| up_front::tree(table, true))).collect()
    }

    /// Asks for the leaves that are not known: number, schema and name of each, and whether it has a key to the same table, or
    /// one of that name.
    pub fn newcomers(&self) -> String {
        let oid = |target: Option<&Target>| target.and_then(|it| it.oid).unwrap_or_default();
        let known: Vec<String> = self.known.iter().map(ToString::to_string).collect();
        format!(
            "SELECT c.oid, s.nspname, c.relname, EXISTS (SELECT 1 FROM pg_catalog.pg_constraint k \
             WHERE k.conrelid OPERATOR(pg_catalog.=) c.oid AND (k.conname OPERATOR(pg_catalog.=) {} \
             OR (k.contype OPERATOR(pg_catalog.=) 'f' AND k.confrelid OPERATOR(pg_catalog.=) {}::pg_catalog.oid))) \
             FROM pg_catalog.pg_partition_tree('{}'::pg_catalog.regclass) p \
             JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) p.relid::pg_catalog.oid \
             JOIN pg_catalog.pg_namespace s ON s.oid OPERATOR(pg_catalog.=) c.relnamespace \
             WHERE p.isleaf AND c.relkind OPERATOR(pg_catalog.=) 'r' \
             AND c.oid OPERATOR(pg_catalog.<>) ALL ('{{{}}}'::pg_catalog.oid[]) ORDER BY c.oid",
            quote_literal(&self.name),
            oid(self.others.first()),
            oid(self.tree.first()),
            known.join(",")
        )
    }

    /// The same with a leaf more, which is not known before; the steps that it needs come first.
    pub fn with(&mut self, name: RelationName, oid: Oid) -> Vec<Step> {
        let leaf = Target { name, oid: Some(oid), mode: LockMode::ShareRowExclusive };
        let steps = self.on_leaf(&leaf);
        self.known.push(oid);
        self.tree.push(leaf);
        steps
    }
}
