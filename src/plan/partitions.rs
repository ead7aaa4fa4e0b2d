//! Plans for indexes and keys of a partitioned table: made on the parents alone, built on each leaf while others write, put
//! together.

use super::by_hand::{HandStep, alter, key_definition, spelled, unique_using_index};
use super::concurrent_index;
use super::constraint::brief;
use super::{Inverse, Pace, Plan, Probe, Scope, Step, Target, Undo};
use crate::base::name::written;
use crate::base::{LockMode, RelationName};
use crate::effects::facts::{Oid, PartitionFacts};
use crate::sql::form::Constraint;

/// What is made of all partitions.
#[derive(Debug, Clone)]
pub struct OnPartitions<'a> {
    /// The table.
    pub table: &'a RelationName,
    /// The index, or that of the key, in the schema of the table.
    pub index: RelationName,
    /// What it is.
    pub made: Made<'a>,
    /// The whole tree below the table, parents before children.
    pub partitions: &'a [PartitionFacts],
    /// The name of each partition's index.
    pub names: Vec<String>,
}

/// What is made.
#[derive(Debug, Clone, Copy)]
pub enum Made<'a> {
    /// An index.
    Index {
        /// `UNIQUE`
        unique: bool,
        /// What stands behind the table's name.
        definition: &'a str,
    },
    /// A unique constraint or a primary key, with its index.
    Key(&'a Constraint),
}

impl OnPartitions<'_> {
    /// The way by hand; of many partitions the first ones stand for all.
    pub fn by_hand(&self) -> Vec<HandStep> {
        const PARTITIONS_SHOWN: usize = 6;
        let shown = self.partitions.len().min(PARTITIONS_SHOWN);
        let mut steps = vec![self.only(self.table, &self.index)];
        for at in 0..shown {
            steps.extend(self.of_partition(at).unwrap_or_default());
            steps.extend(self.attach(at));
        }
        let more = self.partitions.len() - shown;
        if more > 0 {
            steps.push(HandStep::words(&format!("the same for each of the other {more} partitions, too")));
        }
        steps
    }

    /// All parents first, so that the server refuses at once what it must; the indexes of the leaves next, then their keys; what
    /// is put together last is taken back by dropping the whole.
    pub fn plan(&self, hazard: &'static str, oid: Oid) -> Plan {
        let (tag, mode) = match self.made {
            Made::Index { .. } => ("CREATE INDEX", LockMode::Share),
            Made::Key(_) => ("ALTER TABLE", LockMode::AccessExclusive),
        };
        let on = |name: &RelationName, oid, mode| Target { name: name.clone(), oid: Some(oid), mode };
        let back = self.back(self.table, &self.index);
        let mut steps =
            vec![brief(&self.only(self.table, &self.index), vec![on(self.table, oid, mode)], Some(&back))];
        let (leaves, parents): (Vec<usize>, Vec<usize>) =
            (0..self.partitions.len()).partition(|at| self.partitions.get(*at).is_some_and(|it| it.leaf));
        // What a key makes of its index comes when all are built, since it cannot be taken back without a trace on 18.
        let mut keys = Vec::new();
        for at in parents.iter().chain(&leaves) {
            let (Some(partition), Some(index), Some(hand)) =
                (self.partitions.get(*at), self.index_of(*at), self.of_partition(*at))
            else {
                continue;
            };
            let back = self.back(&partition.name, &index);
            let locks = vec![on(&partition.name, partition.oid, mode)];
            match hand.as_slice() {
                [only] if !partition.leaf => steps.push(brief(only, locks, Some(&back))),
                [built, key @ ..] => {
                    steps.push(build(built, &on(&partition.name, partition.oid, mode), &index));
                    keys.extend(key.iter().map(|key| brief(key, locks.clone(), Some(&back))));
                }
                [] => {}
            }
        }
        steps.extend(keys);
        let built = steps.len();
        for at in parents.iter().chain(&leaves) {
            let (Some(partition), Some(hand)) = (self.partitions.get(*at), self.attach(*at)) else {
                continue;
            };
            // Of the parent only its index is locked, and weakly.
            let child = on(&partition.name, partition.oid, LockMode::AccessExclusive);
            steps.push(brief(&hand, vec![child], None));
        }
        let all = self.partitions.iter().map(|it| on(&it.name, it.oid, LockMode::AccessExclusive));
        let locks = [on(self.table, oid, LockMode::AccessExclusive)].into_iter().chain(all).collect();
        if let Some(first) = steps.get_mut(built) {
            first.undo = vec![Undo { sql: back.sql.into_bytes(), pace: Pace::Ladder(locks) }];
        }
        if let Some(last) = steps.last_mut() {
            last.probe = Probe::Valid(self.index.clone());
        }
        Plan { hazard, steps, tag }
    }

    /// The index of a partition.
    fn index_of(&self, at: usize) -> Option<RelationName> {
        let schema = self.partitions.get(at)?.name.schema.clone();
        Some(RelationName { schema, name: self.names.get(at)?.clone() })
    }

    /// Makes it on a parent alone.
    fn only(&self, table: &RelationName, index: &RelationName) -> HandStep {
        let (index, table) = (written(&index.name), spelled(table));
        HandStep::anywhere(match self.made {
            Made::Index { unique, definition } => {
                format!("CREATE {}INDEX {index} ON ONLY {table} {definition}", word(unique))
            }
            Made::Key(key) => {
                format!("ALTER TABLE ONLY {table} ADD CONSTRAINT {index} {}", key_definition(key))
            }
        })
    }

    /// Takes it away again, with what was put together.
    fn back(&self, table: &RelationName, index: &RelationName) -> HandStep {
        match self.made {
            Made::Index { .. } => drop_index(index),
            Made::Key(_) => alter(table, &format!("DROP CONSTRAINT IF EXISTS {}", written(&index.name))),
        }
    }

    /// Makes that of a partition.
    fn of_partition(&self, at: usize) -> Option<Vec<HandStep>> {
        let (partition, index) = (self.partitions.get(at)?, self.index_of(at)?);
        Some(match self.made {
            _ if !partition.leaf => vec![self.only(&partition.name, &index)],
            Made::Index { unique, definition } => {
                let (index, table) = (written(&index.name), spelled(&partition.name));
                let unique = word(unique);
                vec![HandStep::outside(format!(
                    "CREATE {unique}INDEX CONCURRENTLY {index} ON {table} {definition}"
                ))]
            }
            Made::Key(key) => unique_using_index(&partition.name, &index.name, key),
        })
    }

    fn attach(&self, at: usize) -> Option<HandStep> {
        let (partition, child) = (self.partitions.get(at)?, self.index_of(at)?);
        let above = self.partitions.iter().position(|it| it.name == partition.parent);
        let parent = match above {
            Some(above) => self.index_of(above)?,
            None => RelationName { schema: partition.parent.schema.clone(), name: self.index.name.clone() },
        };
        let (parent, child) = (spelled(&parent), spelled(&child));
        Some(HandStep::anywhere(format!("ALTER INDEX {parent} ATTACH PARTITION {child}")))
    }
}

const fn word(unique: bool) -> &'static str {
    if unique { "UNIQUE " } else { "" }
}

fn drop_index(index: &RelationName) -> HandStep {
    HandStep::anywhere(format!("DROP INDEX IF EXISTS {}", spelled(index)))
}

/// An index of one table, built while others write.
pub(super) fn build(hand: &HandStep, table: &Target, index: &RelationName) -> Step {
    let scope = Scope::Table(table.oid.unwrap_or_default());
    let (probe, inverse) = (Probe::NoNewInvalidIndex(scope), Inverse::DropNewInvalidIndexes(scope));
    let locks = vec![Target { mode: LockMode::AccessExclusive, ..table.clone() }];
    Step {
        undo: vec![Undo { sql: drop_index(index).sql.into_bytes(), pace: Pace::Ladder(locks) }],
        ..concurrent_index::step(hand.sql.clone().into_bytes(), table.oid, probe, inverse)
    }
}
