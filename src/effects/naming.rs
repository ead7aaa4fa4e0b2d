//! The names that Postgres picks where none is given, so that what is taken back, or made in steps, is called the same.

use super::facts::{Facts, TableIndex};
use crate::base::RelationName;
use crate::base::name::choose;
use crate::sql::form::{Action, Column, Constraint, ConstraintKind, Index, Part};

/// What decides about names: those that are taken, and the statement's own.
#[derive(Debug, Clone, Copy)]
pub struct Naming<'a> {
    /// What is known.
    pub facts: &'a Facts,
    /// Every part of the `ALTER TABLE`; none of any other statement.
    pub parts: &'a [Part],
}

impl<'a> Naming<'a> {
    /// The name that Postgres picks for a constraint without an index: no constraint of the schema may have it
    /// (`ChooseConstraintName` in `pg_constraint.c`).
    /// `also` are names that the statement itself takes.
    pub fn constraint_name(&self, table: &RelationName, parts: &[&str], also: &[String]) -> String {
        let taken = self.constraints_taken(table);
        let taken: Vec<&str> = taken.into_iter().chain(also.iter().map(String::as_str)).collect();
        self.choose(parts, taken)
    }

    /// A name that is not taken, or that an earlier pass of the same statement gives free.
    fn choose(&self, parts: &[&str], mut taken: Vec<&str>) -> String {
        for part in self.parts {
            if let Action::DropConstraint { name, .. } = &part.action {
                taken.retain(|it| it != name);
            }
        }
        choose(parts, &taken)
    }

    /// The name that Postgres picks for the sequence of a column: no relation of the schema may have it (`ChooseRelationName` in
    /// `indexcmds.c`). `label` is `seq` there.
    pub fn sequence_name(&self, table: &RelationName, column: &str, label: &str) -> String {
        let beside = self.facts.taken(table).map(|it| it.relations.as_slice()).unwrap_or_default();
        choose(&[&table.name, column, label], &beside.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// The names of the constraints that the parts add; an empty one for any other part.
    ///
    /// Of a thousand parts and more none is named, so that the time does not grow with the square of their number.
    pub fn of_parts(&self, table: &RelationName) -> Vec<String> {
        const PARTS_MAX: usize = 1000;
        let mut names = Vec::new();
        for part in self.parts.iter().filter(|_| self.parts.len() <= PARTS_MAX) {
            names.push(match &part.action {
                Action::AddConstraint(it) => it.name.clone().unwrap_or_else(|| self.pick(table, it, &names)),
                _ => String::new(),
            });
        }
        names
    }

    /// The name that Postgres picks for a constraint; `also` are names that the statement itself takes.
    pub fn pick(&self, table: &RelationName, constraint: &Constraint, also: &[String]) -> String {
        // Its own name is kept.
        if let Some(index) = &constraint.using_index {
            return index.clone();
        }
        let with_columns = |last| {
            let columns = constraint.columns.iter().map(String::as_str);
            [table.name.as_str()].into_iter().chain(columns).chain([last]).collect::<Vec<_>>()
        };
        match constraint.kind {
            ConstraintKind::Check => self.check_name(table, constraint, also),
            ConstraintKind::Foreign => self.constraint_name(table, &with_columns("fkey"), also),
            ConstraintKind::NotNull => self.constraint_name(table, &with_columns("not_null"), also),
            ConstraintKind::PrimaryKey | ConstraintKind::Unique | ConstraintKind::Exclusion => {
                self.key_name(table, constraint, also)
            }
        }
    }

    /// The name that Postgres picks for the index of a constraint: nothing of the schema may have it
    /// (`ChooseIndexName` in `indexcmds.c`).
    pub fn key_name(&self, table: &RelationName, constraint: &Constraint, also: &[String]) -> String {
        self.key_name_of(&table.name, table, constraint, also)
    }

    /// The same for a partition of that name of a table.
    pub fn key_name_of(
        &self,
        partition: &str,
        table: &RelationName,
        constraint: &Constraint,
        also: &[String],
    ) -> String {
        let mut taken = self.taken(table);
        taken.extend(also.iter().map(String::as_str));
        let beside = self.facts.taken(table);
        taken.extend(
            beside.iter().flat_map(|it| it.relations.iter().chain(&it.constraints)).map(String::as_str),
        );
        if constraint.kind == ConstraintKind::PrimaryKey {
            return self.choose(&[partition, "pkey"], taken);
        }
        let label = if constraint.kind == ConstraintKind::Exclusion { "excl" } else { "key" };
        let columns = constraint.columns.iter().chain(&constraint.include).map(String::as_str);
        let parts: Vec<&str> = [partition].into_iter().chain(columns).chain([label]).collect();
        self.choose(&parts, taken)
    }

    /// The name that Postgres picks for a table's copy of an index of its parent, or of one that backs a constraint of that kind
    /// (`generateClonedIndexStmt` in `parse_utilcmd.c`, `ChooseIndexName` in `indexcmds.c`).
    pub fn copy_name(
        &self,
        table: &RelationName,
        index: &TableIndex,
        backs: Option<ConstraintKind>,
        also: &[String],
    ) -> String {
        let beside = self.facts.taken(table);
        let relations = beside.into_iter().flat_map(|it| &it.relations);
        let constraints = beside.into_iter().flat_map(|it| &it.constraints).filter(|_| backs.is_some());
        let taken = relations.chain(constraints).chain(also).map(String::as_str);
        let taken: Vec<&str> = taken.chain(self.taken(table)).collect();
        let label = match backs {
            Some(ConstraintKind::PrimaryKey) => return self.choose(&[&table.name, "pkey"], taken),
            Some(_) => "key",
            None => "idx",
        };
        let columns = index.labels.iter().map(String::as_str);
        let parts: Vec<&str> = [table.name.as_str()].into_iter().chain(columns).chain([label]).collect();
        self.choose(&parts, taken)
    }

    /// The names of constraints that a new one of a table does not get without being asked.
    pub fn constraints_taken(&self, table: &RelationName) -> Vec<&'a str> {
        let own = self.facts.table(table).map(|facts| facts.constraints.as_slice()).unwrap_or_default();
        let beside = self.facts.taken(table).map(|it| it.constraints.as_slice()).unwrap_or_default();
        own.iter().map(|it| it.name.as_str()).chain(beside.iter().map(String::as_str)).collect()
    }

    /// The names of a table's constraints and indexes, which a new one may not have.
    pub fn taken(&self, table: &RelationName) -> Vec<&'a str> {
        let Some(table) = self.facts.table(table) else { return Vec::new() };
        let constraints = table.constraints.iter().map(|constraint| constraint.name.as_str());
        constraints.chain(table.indexes.iter().map(|index| index.name.name.as_str())).collect()
    }

    /// The name that Postgres picks for a CHECK: with the column in it where the condition reads just one
    /// (`AddRelationNewConstraints` in `heap.c`).
    pub fn check_name(&self, table: &RelationName, constraint: &Constraint, also: &[String]) -> String {
        let words = constraint.expression.as_ref().map(|it| it.columns.as_slice()).unwrap_or_default();
        let is_read = |name: &str| {
            words.iter().any(|(of, word)| word == name && of.as_ref().is_none_or(|of| *of == table.name))
        };
        let known = self.facts.table(table).map(|table| table.columns.as_slice()).unwrap_or_default();
        // One that is there, and that `IF NOT EXISTS` leaves alone, is one column.
        let is_known = |name: &&str| known.iter().any(|it| it.name == *name);
        let fresh = self.new_columns().map(|column| column.name.as_str()).filter(|name| !is_known(name));
        let mut read = known.iter().map(|it| it.name.as_str()).chain(fresh).filter(|it| is_read(it));
        match (read.next(), read.next()) {
            (Some(column), None) => self.constraint_name(table, &[&table.name, column, "check"], also),
            _ => self.constraint_name(table, &[&table.name, "check"], also),
        }
    }

    fn new_columns(&self) -> impl Iterator<Item = &'a Column> {
        self.parts.iter().filter_map(|part| match &part.action {
            Action::AddColumn { column, .. } => Some(&**column),
            _ => None,
        })
    }

    /// The name that Postgres picks for an index (`ChooseIndexName` in `indexcmds.c`).
    pub fn index_name(&self, index: &Index) -> String {
        let beside = self.facts.taken(&index.table);
        let mut taken = self.taken(&index.table);
        taken.extend(beside.into_iter().flat_map(|it| &it.relations).map(String::as_str));
        choose(&[&index.table.name, &columns_in_name(index), "idx"], &taken)
    }
}

/// What the names of an index and of those on its partitions say of its columns, those of INCLUDE too
/// (`ChooseIndexColumnNames` in `indexcmds.c`).
pub fn columns_in_name(index: &Index) -> String {
    /// `INDEX_MAX_KEYS`: the server refuses more.
    const COLUMNS_MAX: usize = 32;
    let labels = index.columns.iter().map(|column| column.label.as_str());
    let mut columns: Vec<String> = Vec::new();
    for label in labels.chain(index.include.iter().map(String::as_str)).take(COLUMNS_MAX) {
        let taken: Vec<&str> = columns.iter().map(String::as_str).collect();
        columns.push(choose(&[label], &taken));
    }
    columns.join("_")
}
