//! Plans for columns of a partitioned table that become NOT NULL, with those of all that is below it.
//!
//! Invariant: what a partition had before is not taken from it. Since 18 the server keeps that in mind by itself
//! (`dropconstraint_internal` in `tablecmds.c`); before, `DROP NOT NULL` reaches every partition, so that `SET NOT NULL` is
//! either the last step, or is followed by what gives it back to them, while the CHECK still proves it.

use super::by_hand::{HandStep, alter};
use super::constraint::{TAG, brief, long, undo};
use super::{Plan, Step, Target, Undo, Violated};
use crate::base::name::written;
use crate::base::{LockMode, RelationName};
use crate::effects::facts::PartitionFacts;

/// A partitioned table and all below it.
#[derive(Debug, Clone, Copy)]
pub struct Tree<'a> {
    /// The table first, and how strongly they are locked.
    pub locks: &'a [Target],
    /// What is below it, parents before children.
    pub partitions: &'a [PartitionFacts],
}

/// A column that becomes NOT NULL, and how a person does it (`by_hand::set_not_null`).
pub type Nullable = (String, Vec<HandStep>);

/// The column is made NOT NULL: by a constraint that is validated, added before where there is none (18); or by way of a CHECK,
/// which goes in the same moment.
pub fn not_null(hazard: &'static str, tree: Tree<'_>, (column, hand): &Nullable) -> Plan {
    let mut steps = tree.proved(column, hand);
    if let [_, _, set, drop] = hand.as_slice() {
        steps.push(Step { also: vec![drop.sql.clone().into_bytes()], ..tree.brief(set) });
    }
    Plan { hazard, steps, tag: TAG }
}

/// A primary key that is made partition by partition, once its columns are NOT NULL.
pub fn primary_key(key: Plan, tree: Tree<'_>, nullable: &[Nullable]) -> Plan {
    let mut steps = Vec::new();
    let mut last = Vec::new();
    for (column, hand) in nullable {
        let from = steps.len();
        steps.extend(tree.proved(column, hand));
        match hand.as_slice() {
            [_, _, set, drop] => {
                steps.push(Step { undo: tree.given_back(column), ..tree.brief(set) });
                last.push(tree.brief(drop));
            }
            _ => {
                if let Some(add) = steps.get_mut(from) {
                    add.undo.extend(tree.taken_from_leaves(column));
                }
            }
        }
    }
    steps.extend(key.steps);
    steps.extend(last);
    Plan { steps, ..key }
}

impl Tree<'_> {
    /// What adds the proof and reads the leaves for it.
    fn proved(self, column: &str, hand: &[HandStep]) -> Vec<Step> {
        let table = self.locks.first();
        let read =
            |validate| Step { violated: Some(Violated::Null(column.to_owned())), ..long(validate, table) };
        match hand {
            [validate] => vec![read(validate)],
            [add, validate] => {
                let back = table.map(|table| taken(&table.name, column));
                vec![brief(add, self.locks.to_vec(), back.as_ref()), read(validate)]
            }
            [add, validate, _, drop] => {
                let away = drop.sql.replacen("DROP CONSTRAINT", "DROP CONSTRAINT IF EXISTS", 1);
                let away = HandStep::anywhere(away);
                vec![brief(add, self.locks.to_vec(), Some(&away)), read(validate)]
            }
            _ => Vec::new(),
        }
    }

    fn brief(self, step: &HandStep) -> Step {
        brief(step, self.locks.to_vec(), None)
    }

    /// Takes `NOT NULL` from all, and gives it back to those that had it by themselves, which reads nothing as long as a CHECK
    /// proves it.
    fn given_back(self, column: &str) -> Vec<Undo> {
        let table = self.locks.first();
        let mut undos: Vec<Undo> =
            table.map(|table| undo(&taken(&table.name, column), self.locks)).into_iter().collect();
        let has = |it: &PartitionFacts| it.not_null.iter().any(|own| own == column);
        let held: Vec<&RelationName> =
            self.partitions.iter().filter(|it| has(it)).map(|it| &it.name).collect();
        for top in self.partitions.iter().filter(|it| has(it) && !held.contains(&&it.parent)) {
            let given = alter(&top.name, &format!("ALTER COLUMN {} SET NOT NULL", written(column)));
            undos.push(undo(&given, &self.below(top)));
        }
        undos
    }

    /// Since 18 the key of a leaf makes the `NOT NULL` that it has from its parent its own (`transformIndexConstraint` in
    /// `parse_utilcmd.c`), so that it stays when that of the parent goes.
    fn taken_from_leaves(self, column: &str) -> impl Iterator<Item = Undo> {
        let had = move |it: &PartitionFacts| it.not_null.iter().any(|own| own == column);
        let leaves = self.partitions.iter().filter(move |it| it.leaf && !had(it));
        leaves.map(|leaf| undo(&taken(&leaf.name, column), &[target(leaf)]))
    }

    /// A partition and what is below it.
    fn below(self, top: &PartitionFacts) -> Vec<Target> {
        let mut names = vec![&top.name];
        let mut locks = vec![target(top)];
        for partition in self.partitions {
            if names.contains(&&partition.parent) {
                names.push(&partition.name);
                locks.push(target(partition));
            }
        }
        locks
    }
}

fn target(partition: &PartitionFacts) -> Target {
    let (name, oid) = (partition.name.clone(), Some(partition.oid));
    Target { name, oid, mode: LockMode::AccessExclusive }
}

fn taken(table: &RelationName, column: &str) -> HandStep {
    alter(table, &format!("ALTER COLUMN {} DROP NOT NULL", written(column)))
}
