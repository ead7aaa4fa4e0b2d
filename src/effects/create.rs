//! What it does to others that something is created.

use super::facts::{PartitionFacts, RelationKind, Seen, TableFacts};
use super::reader::Reader;
use super::work::{Cause, Task, Work};
use crate::base::LockMode::{AccessExclusive, Share, ShareUpdateExclusive};
use crate::base::RelationName;
use crate::sql::form::{CreateTable, Form, Index};

/// The effects of `CREATE`.
pub(super) fn read(form: &Form, reader: &mut Reader<'_>) {
    match form {
        Form::CreateIndex(index) => create_index(index, reader),
        Form::CreateTable(table) => create_table(table, reader),
        _ => {}
    }
}

fn create_index(index: &Index, reader: &mut Reader<'_>) {
    let name = index
        .name
        .as_ref()
        .map(|name| RelationName { schema: index.table.schema.clone(), name: name.clone() });
    let there = name.is_some_and(|name| matches!(reader.facts.see(&name), Seen::Known(_)));
    if there && index.if_not_exists {
        return;
    }
    let mode = if index.concurrently { ShareUpdateExclusive } else { Share };
    let partitioned = reader
        .facts
        .relation(&index.table)
        .is_some_and(|relation| relation.kind == RelationKind::PartitionedTable);
    if partitioned && index.only {
        return;
    }
    reader.work((Task::BuildIndex, Cause::Index), &index.table, mode, 0);
    if partitioned {
        reader.lock_partitions(&index.table, mode);
    }
}

/// A new partition locks its parent; the default partition is read for rows that belong to it.
fn create_table(table: &CreateTable, reader: &mut Reader<'_>) {
    let Some(parent) = &table.partition_of else { return };
    reader.may_reach_beyond(parent);
    let parent = reader.table(parent);
    let default = parent.and_then(|it| Some((it, it.default_partition()?)));
    if let Some((parent, default)) = default.filter(|_| !table.default_partition) {
        read_default(parent, default, 0, reader);
    }
}

/// The default partition, with what is below it, is read for rows that belong to a new one.
pub(super) fn read_default(
    parent: &TableFacts,
    default: &PartitionFacts,
    part: usize,
    reader: &mut Reader<'_>,
) {
    for partition in parent.tree(default) {
        reader.lock(&partition.name, Some(partition.oid), AccessExclusive);
    }
    reader.work_on_other(Work {
        task: Task::Scan,
        cause: Cause::DefaultPartition,
        relation: default.name.clone(),
        under: AccessExclusive,
        part,
        exposed: true,
        bytes: parent.tree_bytes(default),
    });
}
