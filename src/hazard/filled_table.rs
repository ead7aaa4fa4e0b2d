//! The table that gets a column with a value for each row: whether it can be filled while others work.

use super::Subject;
use super::filled_column::is_key;
use crate::base::name::written;
use crate::base::{LockMode, RelationName};
use crate::effects::Cause;
use crate::effects::facts::{PartitionFacts, Relation, RelationKind, TableFacts, TypeKind};
use crate::plan::backfill::{self, Filled, Leaves, Left};
use crate::plan::by_hand::spelled;
use crate::plan::{Ranges, Target};
use crate::sql::Encoding;
use crate::sql::form::{AlterTable, Column, Constraint, Form};

/// The work that the plan does in another way.
const DONE_OTHERWISE: [Cause; 6] = [
    Cause::VolatileDefault,
    Cause::Serial,
    Cause::Identity,
    Cause::ColumnCheck,
    Cause::ColumnUnique,
    Cause::ColumnReference,
];

/// Since then a partitioned table may have an identity column.
const VERSION_IDENTITY_OF_PARTITIONED: u32 = 170_000;

/// Why it is not filled where its statement cannot be split.
pub(super) const BESIDE_OTHERS: &str = "It could be filled in batches, but it stands beside parts that lockkeeper cannot carry out apart \
                                        from it. Send each part by itself.";

/// A table that gets a column.
#[derive(Clone, Copy)]
pub(super) struct FilledTable<'a> {
    pub(super) name: &'a RelationName,
    pub(super) relation: &'a Relation,
    facts: &'a TableFacts,
}

impl<'a> Subject<'a> {
    /// The table that gets the column; `None` where nobody knows it, where the server refuses the statement itself, or beside other
    /// statements.
    pub(super) fn filled_table(&self, column: &Column) -> Option<FilledTable<'a>> {
        let Form::AlterTable(alter) = &self.statement.form else { return None };
        let relation = self.facts.relation(&alter.target)?;
        let table = FilledTable { name: &alter.target, relation, facts: relation.table.as_deref()? };
        let alone = self.script.statements.len() == 1 && self.is_exposed(table.name);
        (alone && !table.is_refused_for(alter) && !self.is_refused_as(table, column)).then_some(table)
    }

    /// Whether the server does not take the column as it is described (`transformColumnDefinition` in `parse_utilcmd.c`).
    fn is_refused_as(&self, table: FilledTable<'_>, column: &Column) -> bool {
        let values = [
            column.default.is_some(),
            column.identity.is_some(),
            column.generated.is_some(),
            column.ty.is_serial(),
        ];
        let counts = ["int2", "int4", "int8"].into_iter().any(|name| column.ty.is_built_in(name));
        let of = |is: fn(&Constraint) -> bool| column.constraints.iter().any(is);
        // A key has the columns of the partition key in it.
        let for_whole = table.is_partitioned()
            && (of(|it| is_key(it.kind))
                || (column.identity.is_some() && self.facts.is_older_than(VERSION_IDENTITY_OF_PARTITIONED)));
        values.into_iter().filter(|has| *has).count() > 1
            || table.facts.column(&column.name).is_some()
            || (column.identity.is_some() && !counts)
            || of(|it| is_key(it.kind) && it.not_enforced)
            || column.constraints.iter().any(|it| self.is_refused_anyway(table.name, it))
            || for_whole
    }

    /// Why it cannot be filled while others work, or not without doing more than the statement does; a sentence.
    pub(super) fn why_not_filled(&self, table: &FilledTable<'_>, column: &Column) -> Option<String> {
        if self.facts.ty(&column.ty).is_some_and(|ty| ty.kind == TypeKind::ConstrainedDomain) {
            return Some(format!(
                "Its type {} is a domain with constraints, for which the table is written again whatever its default.",
                column.ty
            ));
        }
        let could = "It could be filled in batches, but";
        if let Some(heir) = table.facts.heirs.first() {
            return Some(format!(
                "{could} lockkeeper does that for one table at a time, and {} inherits from {}.",
                heir.name, table.name
            ));
        }
        if self.all_parts().len() > 1 && !self.splits {
            return Some(BESIDE_OTHERS.to_owned());
        }
        if self.script.dialect.encoding != Encoding::Utf8 {
            return Some(format!("{could} lockkeeper does that only where client_encoding is UTF8."));
        }
        if self.facts.corrupts_concurrent_builds() && column.constraints.iter().any(|it| is_key(it.kind)) {
            return Some(format!(
                "{could} Postgres 14.0 to 14.3 may leave rows out of the index that is built for it while others write."
            ));
        }
        if !self.work.iter().all(|work| DONE_OTHERWISE.contains(&work.cause)) {
            return Some(format!("{could} it asks for more than that."));
        }
        self.why_not_referring(table, column).or_else(|| table.in_the_way())
    }

    /// Why a foreign key of the column cannot be proved while others work.
    fn why_not_referring(&self, table: &FilledTable<'_>, column: &Column) -> Option<String> {
        let key =
            column.constraints.iter().filter(|it| !it.not_enforced).find_map(|it| it.references.as_ref());
        let key = key.filter(|_| table.is_partitioned())?;
        if self.target().is_some_and(|target| self.takes_no_unproved_key(target)) {
            return Some(
                "It could be filled in batches, but before Postgres 18 a partitioned table takes no foreign key that is NOT VALID. Add \
                 the column without it, then the foreign key."
                    .to_owned(),
            );
        }
        let plain = self.facts.relation(&key.table).is_none_or(|it| it.kind == RelationKind::Table);
        (!plain).then(|| {
            format!(
                "It could be filled in batches, but {} is partitioned, too. Add the column without its foreign key, then that.",
                key.table
            )
        })
    }
}

impl FilledTable<'_> {
    /// Whether the server adds no column to it.
    fn is_refused_for(&self, alter: &AlterTable) -> bool {
        let has_rows = matches!(self.relation.kind, RelationKind::Table | RelationKind::PartitionedTable);
        let below = !self.facts.heirs.is_empty() || !self.facts.partitions.is_empty();
        !has_rows || self.relation.system || self.facts.parent.is_some() || (alter.only && below)
    }

    fn is_partitioned(&self) -> bool {
        self.relation.kind == RelationKind::PartitionedTable
    }

    /// The table and its partitions, as they are locked.
    pub(super) fn targets(&self, mode: LockMode) -> Vec<Target> {
        let own = Target { name: self.name.clone(), oid: Some(self.relation.oid), mode };
        let below = self.facts.partitions.iter();
        let below = below.map(|it| Target { name: it.name.clone(), oid: Some(it.oid), mode });
        [own].into_iter().chain(below).collect()
    }

    /// Why a constraint of one of these names cannot be added in steps: one that a partition has would be made part of it
    /// (`MergeWithExistingConstraint` in `heap.c`), and be lost with it where the plan is taken back.
    pub(super) fn why_not_named(&self, names: &[&str]) -> Option<String> {
        let has =
            |it: &PartitionFacts| it.constraints.iter().find(|own| names.contains(&own.as_str())).cloned();
        let (partition, name) = self.facts.partitions.iter().find_map(|it| Some((&it.name, has(it)?)))?;
        Some(format!(
            "It could be filled in batches, but its partition {partition} has a constraint {} already.",
            written(&name)
        ))
    }

    /// What is in the way of an UPDATE of every row.
    fn in_the_way(&self) -> Option<String> {
        if !self.is_partitioned() {
            return backfill::in_the_way(self.name, false, &self.facts.fill);
        }
        let leaves = self.facts.partitions.iter().filter(|it| it.leaf);
        leaves.into_iter().find_map(|it| backfill::in_the_way(&it.name, it.foreign, &it.fill))
    }

    /// What fills the column.
    pub(super) fn filled(&self, column: &str) -> Filled {
        let (name, rows) = (written(column), self.facts.rows);
        let (set, condition) = (format!("SET {name} = DEFAULT"), format!("{name} IS NULL"));
        let (table, left) = (self.name.clone(), Left::LookedFor);
        if self.is_partitioned() {
            return Filled::Leaves(Leaves { table, oid: self.relation.oid, set, condition, left, rows });
        }
        let verb = format!("UPDATE {} {set}", spelled(&table));
        let key = self.facts.fill.key.clone();
        Filled::Table(Ranges { table, key, verb, condition, left, rows })
    }
}
