//! `CREATE INDEX IF NOT EXISTS` where the index is there: Postgres locks the table to say so, and is content with an
//! index that is invalid.

use super::explain;
use crate::base::Notice;
use crate::effects::facts::{Facts, Relation, RelationKind};
use crate::hazard::create_index_blocking::ID;
use crate::plan::{Plan, concurrent_index};
use crate::sql::statement::{CreateIndex, Kind, Lock, Script, Statement};
use crate::sql::{Encoding, edit};

/// What is done in place of the statement, and what is said; `None` when it is for the server to say.
pub(super) fn plan(script: &Script, statement: &Statement, facts: &Facts) -> Option<(Plan, Notice)> {
    let Kind::CreateIndex(CreateIndex { concurrently, unless_exists: Some(name) }) = &statement.kind else {
        return None;
    };
    let [Lock { name: table, resolvable: true, .. }] = statement.locks.as_slice() else { return None };
    let table = facts.relation(table).filter(|table| is_everybodys(table))?;
    let found = facts.relation(name)?;
    let index = found.index.as_ref().filter(|index| index.table == table.oid)?;
    if index.valid {
        return Some((concurrent_index::there(ID), explain::there(&name.name)));
    }
    let is_plain = found.kind == RelationKind::Index && !index.partitioned && !index.backs_constraint;
    let writable = name.to_string().is_ascii() || script.dialect.encoding == Encoding::Utf8;
    if !is_plain || !writable || index.in_the_making || facts.corrupts_concurrent_builds() {
        return None;
    }
    let build = if *concurrently { script.text.as_bytes().to_vec() } else { edit::concurrently(script)? };
    let away = format!("DROP INDEX CONCURRENTLY IF EXISTS {name}").into_bytes();
    let plan = concurrent_index::build_again(ID, away, build, found.oid, table.oid);
    Some((plan, explain::built_again(&name.name, ID)))
}

/// Whether the table is one whose indexes are built online.
fn is_everybodys(table: &Relation) -> bool {
    matches!(table.kind, RelationKind::Table | RelationKind::MaterializedView)
        && !table.temporary
        && !table.new_in_transaction
        && !table.system
}
