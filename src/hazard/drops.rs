//! What goes before a table or a column that is dropped.

use std::collections::HashSet;

use super::Subject;
use crate::base::{LockMode, RelationName};
use crate::effects::facts::{ConstraintFacts, Oid, Reference, Relation, RelationKind, TableFacts};
use crate::plan::detach::Leaving;
use crate::plan::drops::{Before, Key};
use crate::plan::{Plan, Target};
use crate::sql::form::{ConstraintKind, DroppedObject, Form};

/// `DETACH PARTITION .. CONCURRENTLY` came with it.
const VERSION_DETACH_CONCURRENTLY: u32 = 140_000;

impl<'a> Subject<'a> {
    /// The plan for dropping tables; `None` where nothing can go before, or where the server will refuse it.
    pub fn table_drop(&self, id: &'static str) -> Option<Plan> {
        let Form::Drop(dropped) = &self.statement.form else { return None };
        if dropped.object != DroppedObject::Table || !self.is_readable_alone() {
            return None;
        }
        if let [name] = dropped.names.as_slice()
            && let Some(plan) = self.partition_drop(id, name)
        {
            return Some(plan);
        }
        let mut before = Before::default();
        for name in &dropped.names {
            let relation = self.facts.relation(name)?;
            let table = self.droppable(name)?;
            if !dropped.cascade && table.is_needed(None) {
                return None;
            }
            before.keys.extend(keys((name, relation), table, None));
            if dropped.cascade {
                before.keys.extend(keys_of_others((name, relation), table, None));
            }
        }
        // One between two of them is found at both ends.
        let mut known = HashSet::new();
        before.keys.retain(|key| known.insert((key.name, key.locks.first().and_then(|table| table.oid))));
        self.behind(&before, id, "DROP TABLE")
    }

    /// The plan for dropping a column, likewise.
    pub fn column_drop(&self, id: &'static str, column: &'a str, cascade: bool) -> Option<Plan> {
        let target = self.target()?;
        self.replaceable(LockMode::AccessExclusive)?;
        let (relation, table) = (self.facts.relation(target)?, self.droppable(target)?);
        table.column(column)?;
        if !cascade && table.is_needed(Some(column)) {
            return None;
        }
        let mut before = Before { keys: keys((target, relation), table, Some(column)), indexes: Vec::new() };
        if cascade {
            before.keys.extend(keys_of_others((target, relation), table, Some(column)));
        }
        let goes = table.indexes.iter().filter(|index| index.needs.iter().any(|it| it == column));
        before.indexes = goes.filter(|index| index.restorable && !index.definition.is_empty()).collect();
        self.behind(&before, id, "ALTER TABLE")
    }

    /// A partition leaves its parent before it is dropped.
    fn partition_drop(&self, id: &'static str, name: &RelationName) -> Option<Plan> {
        let table = self.facts.table(name)?;
        let leaving = self.leaving(table.parent.as_ref()?, name)?;
        if !table.detachable || !table.owned || table.is_needed(None) {
            return None;
        }
        let own = Before { keys: keys((name, self.facts.relation(name)?), table, None), indexes: Vec::new() };
        let locks = std::slice::from_ref(&leaving.partition);
        let Plan { steps, tag, .. } = own.then(id, "DROP TABLE", self.script.text.as_bytes(), locks);
        Some(Plan { hazard: id, steps: [leaving.off()].into_iter().chain(steps).collect(), tag })
    }

    /// A partition that can leave its parent, as far as the server can do it concurrently.
    pub fn leaving(&self, parent: &RelationName, child: &RelationName) -> Option<Leaving<'a>> {
        let relation = self.facts.relation(child)?;
        let table = relation.table.as_deref()?;
        let plain = relation.kind == RelationKind::Table && !relation.system && self.is_exposed(child);
        let old = self.facts.may_be_older_than(VERSION_DETACH_CONCURRENTLY);
        let known = |name: &RelationName| {
            self.facts.table(name).map_or(Some(name), |facts| facts.name.as_ref()) == table.parent.as_ref()
        };
        if !plain || old || !known(parent) {
            return None;
        }
        Some(Leaving {
            partition: target(child, Some(relation.oid)),
            parent: Target {
                mode: LockMode::ShareUpdateExclusive,
                ..target(parent, Some(table.parent_oid?))
            },
            bound: table.bound.as_deref()?,
            condition: table.bound_condition.as_deref()?,
            known: table.constraints.iter().map(|it| it.name.clone()).collect(),
        })
    }

    /// A plain table of the session's role that others can see.
    fn droppable(&self, name: &RelationName) -> Option<&'a TableFacts> {
        let relation = self.facts.relation(name)?;
        let table = relation.table.as_deref()?;
        let plain = relation.kind == RelationKind::Table && !relation.system && self.is_exposed(name);
        (plain && table.owned && table.parent.is_none() && !table.has_kin).then_some(table)
    }

    /// The statement itself locks what nothing before it has made free.
    fn behind(&self, before: &Before<'_>, id: &'static str, tag: &'static str) -> Option<Plan> {
        if before.is_empty() {
            return None;
        }
        let taken =
            |name: &RelationName| before.keys.iter().any(|key| key.locks.iter().any(|it| it.name == *name));
        let named = |name: &RelationName| self.statement.locks.iter().any(|lock| lock.name == *name);
        let left: Vec<RelationName> = self.left(before);
        let locks =
            self.effects.strong().filter(|it| named(&it.name) || !taken(&it.name) || left.contains(&it.name));
        let locks: Vec<Target> =
            locks.map(|it| Target { name: it.name.clone(), oid: it.oid, mode: it.mode }).collect();
        Some(before.then(id, tag, self.script.text.as_bytes(), &locks))
    }

    /// The tables at the other end of foreign keys that cannot go before.
    fn left(&self, before: &Before<'_>) -> Vec<RelationName> {
        let tables = self.statement.locks.iter().filter_map(|lock| self.facts.table(&lock.name));
        let stays = |name: &str| !before.keys.iter().any(|key| key.name == name);
        tables
            .flat_map(|table| {
                let own = table.constraints.iter().filter(|key| stays(&key.name));
                let own = own.flat_map(|key| {
                    key.references.iter().chain(key.reference_partitions.iter().map(|(name, _)| name))
                });
                let others = table.referenced_by.iter().filter(|key| stays(&key.constraint));
                own.chain(others.map(|key| &key.table)).cloned()
            })
            .collect()
    }
}

/// Foreign keys of a table, or those on one column of it, to other tables.
fn keys<'a>(
    (name, relation): (&RelationName, &Relation),
    table: &'a TableFacts,
    column: Option<&str>,
) -> Vec<Key<'a>> {
    let goes = |key: &&ConstraintFacts| {
        let on = column.is_none_or(|column| key.columns.iter().any(|it| it == column));
        let elsewhere = key.references_oid.is_some_and(|oid| oid != relation.oid);
        key.kind == ConstraintKind::Foreign && key.restorable && !key.definition.is_empty() && on && elsewhere
    };
    let of = |key: &'a ConstraintFacts| {
        let other = key.references.iter().map(|other| target(other, key.references_oid));
        let parts = key.reference_partitions.iter().map(|(name, oid)| target(name, Some(*oid)));
        Key {
            name: &key.name,
            definition: &key.definition,
            validated: key.validated,
            locks: [target(name, Some(relation.oid))].into_iter().chain(other).chain(parts).collect(),
        }
    };
    table.constraints.iter().filter(goes).map(of).collect()
}

/// Foreign keys of other tables that refer to a table, or to one column of it, and go with `CASCADE`.
fn keys_of_others<'a>(
    (name, relation): (&RelationName, &Relation),
    table: &'a TableFacts,
    column: Option<&str>,
) -> Vec<Key<'a>> {
    let goes = |key: &&Reference| {
        let on = column.is_none_or(|column| key.columns.iter().any(|it| it == column));
        key.restorable && !key.definition.is_empty() && on
    };
    let of = |key: &'a Reference| Key {
        name: &key.constraint,
        definition: &key.definition,
        validated: key.validated,
        locks: vec![target(&key.table, Some(key.oid)), target(name, Some(relation.oid))],
    };
    table.referenced_by.iter().filter(goes).map(of).collect()
}

fn target(name: &RelationName, oid: Option<Oid>) -> Target {
    Target { name: name.clone(), oid, mode: LockMode::AccessExclusive }
}
