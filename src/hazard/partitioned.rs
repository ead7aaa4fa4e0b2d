//! Partitioned tables whose constraints can be added in steps.

use super::Subject;
use crate::base::{LockMode, RelationName};
use crate::effects::facts::{PartitionFacts, RelationKind};
use crate::plan::Target;
use crate::sql::form::Form;

impl Subject<'_> {
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
}
