//! What happens to others when something is dropped, renamed, emptied or made anew.

use super::facts::Seen;
use super::reader::{Reader, is_exposed};
use super::work::{Cause, Loss, Task, Work};
use crate::base::LockMode::{AccessExclusive, AccessShare, Exclusive, Share};
use crate::base::RelationName;
use crate::sql::form::{Change, Dropped, DroppedObject, Form, Rename, Renamed, TypeName};
use crate::sql::statement::Statement;

/// Foreign keys have triggers on partitioned tables themselves since 15.
const VERSION_PARENTS_HAVE_TRIGGERS: u32 = 150_000;

/// The effects of everything that neither alters a table nor creates.
pub(super) fn read(form: &Form, reader: &mut Reader<'_>) {
    match form {
        Form::Drop(dropped) => drop(dropped, reader),
        Form::DropOwned(roles) => reader.effects.losses.push(Loss::Owned(roles.join(", "))),
        Form::DropDatabase(name) => reader.effects.losses.push(Loss::Database(name.clone())),
        Form::Rename(rename) => renames(rename, reader),
        Form::Truncate { tables, only, cascade } => truncate((tables, only), *cascade, reader),
        Form::VacuumFull(tables) => {
            for table in tables {
                reader.work((Task::Rewrite, Cause::VacuumFull), table, AccessExclusive, 0);
            }
        }
        Form::Cluster(Some(table)) => {
            reader.work((Task::Rewrite, Cause::Cluster), table, AccessExclusive, 0);
        }
        Form::Refresh { view, concurrently, data: true } => {
            let (task, mode) =
                if *concurrently { (Task::Scan, Exclusive) } else { (Task::Rewrite, AccessExclusive) };
            reader.work((task, Cause::Refresh), view, mode, 0);
            reader.lock_sources(view, AccessShare);
        }
        Form::AlterDomain(alter) if alter.change == Change::Checks => {
            let users = reader.facts.ty(&alter.domain).map(|ty| ty.users.as_slice()).unwrap_or_default();
            for (user, bytes) in users {
                reader.lock(user, None, Share);
                reader.work_on_other(Work {
                    task: Task::Scan,
                    cause: Cause::Domain,
                    relation: user.clone(),
                    under: Share,
                    part: 0,
                    exposed: true,
                    bytes: Some(*bytes),
                });
            }
        }
        _ => {}
    }
}

/// `REINDEX` of a table or an index reads the table.
pub(super) fn reindex(statement: &Statement, reader: &mut Reader<'_>) {
    for lock in statement.locks.iter().filter(|lock| lock.resolvable) {
        let index = reader.facts.relation(&lock.name).and_then(|relation| relation.index.as_ref());
        let table = index.and_then(|index| index.table_name.clone());
        let bytes = reader.facts.relation(&lock.name).and_then(|relation| relation.bytes);
        match table {
            Some(relation) => reader.work_on_other(Work {
                task: Task::BuildIndex,
                cause: Cause::Reindex,
                relation,
                under: lock.mode,
                part: 0,
                exposed: reader.facts.relation(&lock.name).is_some_and(is_exposed),
                bytes,
            }),
            None => reader.work((Task::BuildIndex, Cause::Reindex), &lock.name, lock.mode, 0),
        }
    }
}

fn drop(dropped: &Dropped, reader: &mut Reader<'_>) {
    for name in &dropped.names {
        match dropped.object {
            DroppedObject::Table => drop_table(name, dropped.cascade, reader),
            DroppedObject::Schema => reader.effects.losses.push(Loss::Schema(name.clone())),
            DroppedObject::View | DroppedObject::MaterializedView => {
                reader.breaks(format!("statements that name {name} fail"));
                reader.drop_views(name, None, dropped.cascade);
            }
            DroppedObject::Type if dropped.cascade => drop_type(name, reader),
            DroppedObject::Extension if dropped.cascade => {
                reader.effects.losses.push(Loss::Needing(name.clone()));
            }
            DroppedObject::Type
            | DroppedObject::Extension
            | DroppedObject::Index
            | DroppedObject::Sequence
            | DroppedObject::Other => {}
        }
    }
}

/// The columns of a type go with it.
fn drop_type(name: &RelationName, reader: &mut Reader<'_>) {
    let ty = TypeName { schema: name.schema.clone(), name: name.name.clone(), ..TypeName::default() };
    let Some(known) = reader.facts.ty(&ty) else {
        // Where somebody was asked, there is no such type, as the server will say.
        if reader.facts.offline && !reader.past.made_type(&ty) {
            reader.effects.losses.push(Loss::Needing(name.clone()));
        }
        return;
    };
    for it in &known.columns {
        reader.lock(&it.table, Some(it.oid), AccessExclusive);
        reader.effects.losses.push(Loss::Column { table: it.table.clone(), column: it.column.clone() });
        reader.breaks(format!("statements that name {} fail", it.column));
    }
}

/// Tables at the other end of its foreign keys lose their triggers, and are locked for it.
fn drop_table(name: &RelationName, cascade: bool, reader: &mut Reader<'_>) {
    if reader.facts.see(name) == Seen::Absent && !reader.past.is_young(name) {
        return;
    }
    reader.loses(name, Loss::Table(name.clone()));
    reader.breaks(format!("statements that name {name} fail"));
    // Foreign keys lead to tables that only a catalogue can name.
    reader.may_reach_beyond(name);
    let Some(table) = reader.table(name) else { return };
    for key in &table.constraints {
        // Of a foreign key to a partitioned table only the partitions had triggers before.
        let parts_alone =
            reader.facts.is_older_than(VERSION_PARENTS_HAVE_TRIGGERS) && !key.reference_partitions.is_empty();
        reader.lock_referenced(key, !parts_alone);
    }
    for key in table.referenced_by.iter().filter(|_| cascade) {
        reader.lock(&key.table, Some(key.oid), AccessExclusive);
    }
    reader.drop_views(name, None, cascade);
    for heir in table.heirs.iter().filter(|_| cascade) {
        reader.lock(&heir.name, Some(heir.oid), AccessExclusive);
        reader.loses(&heir.name, Loss::Table(heir.name.clone()));
    }
    for beside in table.parent.iter().chain(&table.default_beside) {
        reader.lock(beside, None, AccessExclusive);
    }
    reader.lock_partitions(name, AccessExclusive);
}

fn renames(rename: &Rename, reader: &mut Reader<'_>) {
    let Rename { what, target, from, .. } = rename;
    match what {
        Renamed::Table | Renamed::TableSchema => reader.breaks(format!("statements that name {target} fail")),
        Renamed::Column => {
            reader.breaks(format!("statements that name {from} fail"));
            reader.lock_partitions(target, AccessExclusive);
            reader.lock_heirs(target, AccessExclusive);
        }
        Renamed::Attribute => reader.breaks(format!("statements that name {from} fail")),
        Renamed::Schema => reader.breaks(format!("statements that name something in {from} fail")),
        Renamed::Index | Renamed::Constraint | Renamed::Sequence => {}
    }
}

fn truncate((tables, only): (&[RelationName], &[RelationName]), cascade: bool, reader: &mut Reader<'_>) {
    for name in tables {
        reader.loses(name, Loss::Rows(name.clone()));
        if cascade {
            reader.may_reach_beyond(name);
        }
        let Some(table) = reader.table(name) else { continue };
        if !only.contains(name) {
            reader.lock_partitions(name, AccessExclusive);
            reader.lock_heirs(name, AccessExclusive);
            table.heirs.iter().for_each(|heir| reader.loses(&heir.name, Loss::Rows(heir.name.clone())));
        }
        for (other, oid) in table.truncated_with.iter().filter(|_| cascade) {
            reader.lock(other, Some(*oid), AccessExclusive);
            reader.effects.losses.push(Loss::Rows(other.clone()));
        }
    }
}
