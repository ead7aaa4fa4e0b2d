//! What it does to others that a partition leaves its parent.

use super::reader::Reader;
use super::work::{Cause, Task, Work};
use crate::base::LockMode::{AccessExclusive, Share, ShareRowExclusive, ShareUpdateExclusive};
use crate::base::RelationName;

/// `DETACH PARTITION .. CONCURRENTLY` came with it.
const VERSION_DETACH_CONCURRENTLY: u32 = 140_000;

/// The locks of the plain form.
pub(super) fn locks(target: &RelationName, child: &RelationName, reader: &mut Reader<'_>) {
    let referred_to = reader.table(target).is_some_and(|table| !table.referenced_by.is_empty());
    if reader.facts.is_older_than(VERSION_DETACH_CONCURRENTLY) && !referred_to {
        reader.lower(child, ShareUpdateExclusive);
    }
    reader.lock_partitions(child, AccessExclusive);
    let Some(table) = reader.table(target) else { return };
    if let Some(default) = table.default_partition() {
        reader.lock(&default.name, Some(default.oid), AccessExclusive);
    }
    // The triggers of the partition's own foreign keys are made.
    for key in table.constraints.iter().filter(|key| !key.part) {
        if let Some(other) = &key.references {
            reader.lock(other, key.references_oid, ShareRowExclusive);
        }
    }
}

/// What refers to the parent is searched for rows that refer to the partition, in either form (`ATDetachCheckNoForeignKeyRefs` in
/// `tablecmds.c`); an empty partition is referred to by none.
pub(super) fn search((target, child): (&RelationName, &RelationName), part: usize, reader: &mut Reader<'_>) {
    let partition = reader.facts.relation(child);
    let parent = reader.facts.relation(target).map(|it| it.oid);
    // The server refuses what is no partition of it.
    if partition.and_then(|it| it.table.as_ref()?.parent_oid) != parent {
        return;
    }
    let empty = partition.is_some_and(|it| it.bytes == Some(0));
    for key in reader.table(target).into_iter().flat_map(|table| &table.referenced_by) {
        reader.lock(&key.table, Some(key.oid), AccessExclusive);
        if empty {
            continue;
        }
        reader.work_on_other(Work {
            task: Task::Scan,
            cause: Cause::Detach,
            relation: key.table.clone(),
            under: Share,
            part,
            exposed: true,
            bytes: key.bytes,
        });
    }
}
