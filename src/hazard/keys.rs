//! Unique constraints and primary keys: their indexes are built apart, those of a partitioned table leaf by leaf.

use super::Subject;
use crate::base::RelationName;
use crate::effects::facts::{PartitionFacts, Relation, RelationKind};
use crate::plan::by_hand::unique_using_index;
use crate::plan::partitions::{Made, OnPartitions};
use crate::plan::{HandStep, Plan};
use crate::sql::form::{Constraint, Form};

impl<'a> Subject<'a> {
    /// Whether the index of a unique constraint can be built by itself.
    pub const fn can_be_built_apart(&self, constraint: &Constraint) -> bool {
        constraint.using_index.is_none()
            && !constraint.without_overlaps
            && constraint.span.is_some()
            && !self.facts.corrupts_concurrent_builds()
    }

    /// The way by hand to the index of a unique constraint, and to the constraint.
    pub fn built_apart(
        &self,
        table: &'a RelationName,
        name: &str,
        constraint: &'a Constraint,
    ) -> Vec<HandStep> {
        match self.key_on_partitions(table, name, constraint) {
            Some((way, _)) => way.by_hand(),
            None => unique_using_index(table, name, constraint),
        }
    }

    /// The plan for a key of a partitioned table.
    pub fn key_plan(
        &self,
        id: &'static str,
        table: &'a RelationName,
        name: &str,
        constraint: &'a Constraint,
    ) -> Option<Plan> {
        let (way, relation) = self.key_on_partitions(table, name, constraint)?;
        let columns: Vec<&str> = constraint.columns.iter().map(String::as_str).collect();
        let whole = matches!(&self.statement.form, Form::AlterTable(alter) if !alter.only);
        let can = whole
            && self.is_alone_and_readable()
            && self.can_be_put_together(relation, &columns)
            && self.can_be_built_apart(constraint)
            && !self.is_refused_anyway(table, constraint);
        can.then(|| way.plan(id, relation.oid))
    }

    /// A key of a partitioned table, made partition by partition; `None` for any other table.
    pub fn key_on_partitions(
        &self,
        table: &'a RelationName,
        name: &str,
        constraint: &'a Constraint,
    ) -> Option<(OnPartitions<'a>, &'a Relation)> {
        let relation = self.facts.relation(table).filter(|it| it.kind == RelationKind::PartitionedTable)?;
        let facts = relation.table.as_ref()?;
        let mut taken = vec![name.to_owned()];
        let names = facts.partitions.iter().map(|partition| {
            let own = self.naming().key_name_of(&partition.name.name, table, constraint, &taken);
            taken.push(own.clone());
            own
        });
        let names = names.collect();
        let index = self.beside(table, name);
        let made = Made::Key(constraint);
        Some((OnPartitions { table, index, made, partitions: &facts.partitions, names }, relation))
    }

    /// Whether an index with these key columns can be made partition by partition, and ends as if it were made at once.
    pub fn can_be_put_together(&self, relation: &Relation, columns: &[&str]) -> bool {
        // The server would take such an index of a partition rather than build one.
        let has_alike = |partition: &PartitionFacts| partition.indexes.iter().any(|own| *own == columns);
        let partitions = relation.table.as_ref().map(|table| table.partitions.as_slice()).unwrap_or_default();
        !relation.temporary
            && !relation.new_in_transaction
            && !self.facts.corrupts_concurrent_builds()
            && !partitions.iter().any(|it| it.foreign || has_alike(it))
            && partitions.iter().any(|it| it.leaf)
    }
}
