//! Concurrent index work that the user asked for: run as it is, verified and cleaned up.

use crate::effects::facts::{Facts, RelationKind};
use crate::hazard::{create_index_blocking, drop_index_blocking, reindex_blocking};
use crate::plan::{Plan, Scope, concurrent_index};
use crate::sql::statement::{DropIndex, Kind, ReindexObject, Script, Statement};

/// The plan around a statement that says CONCURRENTLY itself; `None` when the server will refuse it, or when nobody
/// can tell what it works on. `exposed`: others can see it.
pub(super) fn plan(script: &Script, statement: &Statement, exposed: bool, facts: &Facts) -> Option<Plan> {
    let sql = || script.text.as_bytes().to_vec();
    let relation = match statement.locks.as_slice() {
        [lock] if lock.resolvable => facts.relation(&lock.name),
        _ => None,
    };
    let index_table = relation.and_then(|relation| relation.index.as_ref()).map(|index| index.table);
    match &statement.kind {
        Kind::CreateIndex(create) if create.concurrently => {
            exposed.then_some(())?;
            Some(concurrent_index::build(create_index_blocking::ID, sql(), relation?.oid))
        }
        Kind::DropIndex(DropIndex { concurrently: true, .. }) => {
            Some(concurrent_index::drop(drop_index_blocking::ID, sql(), relation?.oid, index_table))
        }
        Kind::Reindex(reindex) if reindex.concurrently == Some(true) => {
            let scope = match (&reindex.object, relation) {
                (ReindexObject::Schema(_) | ReindexObject::Database, _) => Scope::Database,
                (ReindexObject::Index, Some(_)) => index_table.map_or(Scope::Database, Scope::Table),
                (ReindexObject::Table, Some(table)) if table.kind == RelationKind::PartitionedTable => {
                    Scope::Database
                }
                (ReindexObject::Table, Some(table)) => Scope::Table(table.oid),
                _ => return None,
            };
            Some(concurrent_index::rebuild(reindex_blocking::ID, sql(), scope))
        }
        _ => None,
    }
}
