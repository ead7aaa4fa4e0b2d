//! The plan for an index of a partitioned table: made on the parents alone, built on each leaf while others write, put together.

use super::by_hand::{HandStep, spelled};
use super::concurrent_index;
use super::constraint::brief;
use super::{Inverse, Plan, Probe, Scope, Step, Target, Undo};
use crate::base::name::written;
use crate::base::{LockMode, RelationName};
use crate::effects::facts::{Oid, PartitionFacts};

/// The index, and those that it consists of.
#[derive(Debug, Clone)]
pub struct IndexOnPartitions<'a> {
    /// The table.
    pub table: &'a RelationName,
    /// The index, in the schema of the table.
    pub index: RelationName,
    /// `UNIQUE`
    pub unique: bool,
    /// What stands behind the table's name.
    pub definition: &'a str,
    /// The whole tree below the table, parents before children.
    pub partitions: &'a [PartitionFacts],
    /// The name of each partition's index.
    pub names: Vec<String>,
}

impl IndexOnPartitions<'_> {
    /// The way by hand; of many partitions the first ones stand for all.
    pub fn by_hand(&self) -> Vec<HandStep> {
        const PARTITIONS_SHOWN: usize = 6;
        let shown = self.partitions.len().min(PARTITIONS_SHOWN);
        let mut steps = vec![self.only(self.table, &self.index)];
        steps.extend((0..shown).flat_map(|at| [self.build(at), self.attach(at)]).flatten());
        let more = self.partitions.len() - shown;
        if more > 0 {
            steps
                .push(HandStep::words(&format!("the last two for each of the other {more} partitions, too")));
        }
        steps
    }

    /// All parents first, so that the server refuses at once what it must; leaves next; what is put together last is taken
    /// back by dropping the whole.
    pub fn plan(&self, hazard: &'static str, oid: Oid) -> Plan {
        let drop =
            |index: &RelationName| HandStep::anywhere(format!("DROP INDEX IF EXISTS {}", spelled(index)));
        let on = |name: &RelationName, oid, mode| Target { name: name.clone(), oid: Some(oid), mode };
        let top = on(self.table, oid, LockMode::Share);
        let mut steps = vec![brief(&self.only(self.table, &self.index), vec![top], Some(&drop(&self.index)))];
        let (leaves, parents): (Vec<usize>, Vec<usize>) =
            (0..self.partitions.len()).partition(|at| self.partitions.get(*at).is_some_and(|it| it.leaf));
        for at in parents.iter().chain(&leaves) {
            let (Some(partition), Some(index), Some(hand)) =
                (self.partitions.get(*at), self.index_of(*at), self.build(*at))
            else {
                continue;
            };
            let table = on(&partition.name, partition.oid, LockMode::Share);
            steps.push(if partition.leaf {
                build(&hand, &table, &drop(&index))
            } else {
                brief(&hand, vec![table], Some(&drop(&index)))
            });
        }
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
        let whole = Undo { sql: drop(&self.index).sql.into_bytes(), locks };
        let built = 1 + self.partitions.len();
        if let Some(first) = steps.get_mut(built) {
            first.undo = Some(whole);
        }
        if let Some(last) = steps.last_mut() {
            last.probe = Probe::Valid(self.index.clone());
        }
        Plan { hazard, steps, tag: "CREATE INDEX" }
    }

    /// The index of a partition.
    fn index_of(&self, at: usize) -> Option<RelationName> {
        let schema = self.partitions.get(at)?.name.schema.clone();
        Some(RelationName { schema, name: self.names.get(at)?.clone() })
    }

    fn only(&self, table: &RelationName, index: &RelationName) -> HandStep {
        let (unique, definition) = (self.unique_word(), self.definition);
        let (index, table) = (written(&index.name), spelled(table));
        HandStep::anywhere(format!("CREATE {unique}INDEX {index} ON ONLY {table} {definition}"))
    }

    fn build(&self, at: usize) -> Option<HandStep> {
        let (partition, index) = (self.partitions.get(at)?, self.index_of(at)?);
        if !partition.leaf {
            return Some(self.only(&partition.name, &index));
        }
        let (unique, definition) = (self.unique_word(), self.definition);
        let (index, table) = (written(&index.name), spelled(&partition.name));
        Some(HandStep::outside(format!("CREATE {unique}INDEX CONCURRENTLY {index} ON {table} {definition}")))
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

    const fn unique_word(&self) -> &'static str {
        if self.unique { "UNIQUE " } else { "" }
    }
}

/// An index of one leaf, built while others write.
fn build(hand: &HandStep, table: &Target, back: &HandStep) -> Step {
    let scope = Scope::Table(table.oid.unwrap_or_default());
    let (probe, inverse) = (Probe::NoNewInvalidIndex(scope), Inverse::DropNewInvalidIndexes(scope));
    let locks = vec![Target { mode: LockMode::AccessExclusive, ..table.clone() }];
    Step {
        undo: Some(Undo { sql: back.sql.clone().into_bytes(), locks }),
        ..concurrent_index::step(hand.sql.clone().into_bytes(), table.oid, probe, inverse)
    }
}
