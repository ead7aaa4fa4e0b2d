//! Partitioned tables whose constraints can be added in steps.

use super::Subject;
use crate::base::{LockMode, RelationName};
use crate::effects::facts::{PartitionFacts, RelationKind};
use crate::plan::by_hand::{self, HandStep};
use crate::plan::tree::{self, Nullable, Tree};
use crate::plan::{Plan, Target};
use crate::sql::form::{Constraint, Form};

/// Since that version a NOT NULL is a constraint with a name.
const VERSION_NOT_NULL_NAMED: u32 = 180_000;

impl<'a> Subject<'a> {
    /// The partitioned table of an `ALTER TABLE` and all below it, where a plan may add a constraint of that name.
    ///
    /// A constraint that a partition has would be made part of the new one (`MergeWithExistingConstraint` in `heap.c`,
    /// `tryAttachPartitionForeignKey` in `tablecmds.c`), and be lost with it where the plan is taken back.
    pub fn replaceable_tree(&self, mode: LockMode, name: &str) -> Option<(Vec<Target>, &[PartitionFacts])> {
        let named = |it: &PartitionFacts| it.constraints.iter().any(|known| known == name);
        self.tree(mode).filter(|(_, partitions)| !partitions.iter().any(named))
    }

    /// The partitioned table of an `ALTER TABLE` and all below it, where a plan may take the place of that.
    pub fn tree(&self, mode: LockMode) -> Option<(Vec<Target>, &[PartitionFacts])> {
        let target = self.target()?;
        let whole = matches!(&self.statement.form, Form::AlterTable(alter) if !alter.only);
        let relation = self.facts.relation(target)?;
        let partitions = relation.table.as_ref()?.partitions.as_slice();
        let possible = relation.kind == RelationKind::PartitionedTable
            && !relation.system
            && self.is_exposed(target)
            && self.is_alone_and_readable()
            && !partitions.iter().any(|it| it.foreign);
        let top = Target { name: target.clone(), oid: Some(relation.oid), mode };
        let below = partitions.iter().map(|it| Target { name: it.name.clone(), oid: Some(it.oid), mode });
        (possible && whole).then(|| ([top].into_iter().chain(below).collect(), partitions))
    }

    /// The leaves below a table, as far as they are known.
    pub fn leaves(&self, table: &RelationName) -> impl Iterator<Item = &RelationName> {
        let all = self.facts.table(table).map(|facts| facts.partitions.as_slice()).unwrap_or_default();
        all.iter().filter(|it| it.leaf).map(|it| &it.name)
    }

    /// The way by hand to a column that is NOT NULL.
    pub fn set_not_null(&self, table: &RelationName, column: &str) -> Vec<HandStep> {
        let mut taken = self.naming().constraints_taken(table);
        // A CHECK may not meet one of a partition; a NOT NULL (18) has the name that the server picks, which does not look there.
        if self.facts.may_be_older_than(VERSION_NOT_NULL_NAMED) {
            let below = self.facts.table(table).map(|facts| facts.partitions.as_slice()).unwrap_or_default();
            taken.extend(below.iter().flat_map(|it| &it.constraints).map(String::as_str));
        }
        by_hand::set_not_null(table, column, &taken, self.facts.server_version)
    }

    /// The plan that makes a column of a partitioned table NOT NULL.
    pub fn not_null_in_tree(&self, hazard: &'static str, nullable: &Nullable) -> Option<Plan> {
        let (locks, partitions) = self.tree(LockMode::AccessExclusive)?;
        let (column, hand) = nullable;
        let validated = hand.len() == 1;
        let possible = validated || are_ordinary(partitions, std::slice::from_ref(column));
        possible.then(|| tree::not_null(hazard, Tree { locks: &locks, partitions }, nullable))
    }

    /// The plan for the primary key of a partitioned table, of which these columns may be null.
    pub fn primary_key_in_tree(
        &self,
        hazard: &'static str,
        (name, constraint): (&str, &'a Constraint),
        nullable: &[Nullable],
    ) -> Option<Plan> {
        let key = self.key_plan(hazard, self.target()?, name, constraint)?;
        let (locks, partitions) = self.tree(LockMode::AccessExclusive)?;
        are_ordinary(partitions, &constraint.columns)
            .then(|| tree::primary_key(key, Tree { locks: &locks, partitions }, nullable))
    }
}

/// Whether no partition has a `NOT NULL` of these columns that a new one of its parent cannot be joined with as it is.
fn are_ordinary(partitions: &[PartitionFacts], columns: &[String]) -> bool {
    !partitions.iter().flat_map(|it| &it.odd_not_null).any(|odd| columns.contains(odd))
}
