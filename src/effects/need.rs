//! Which relations the analysis wants to know about.

use crate::base::RelationName;
use crate::sql::statement::{Kind, Script, Statement};

/// The names to look up, each once; empty when nothing in the script can hurt.
pub fn need(script: &Script) -> Vec<RelationName> {
    let mut names = Vec::new();
    for statement in script.statements.iter().filter(|statement| matters(statement)) {
        let locked = statement.locks.iter().filter(|lock| lock.resolvable).map(|lock| &lock.name);
        for name in locked.chain(unless_exists(statement)) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
    }
    names
}

/// The index that stands in the way of the same index, if it is there.
fn unless_exists(statement: &Statement) -> Option<&RelationName> {
    match &statement.kind {
        Kind::CreateIndex(create) => create.unless_exists.as_ref(),
        _ => None,
    }
}

/// Index work matters even when it is sent in its concurrent form: it is verified and cleaned up.
fn matters(statement: &Statement) -> bool {
    let index_work = matches!(statement.kind, Kind::CreateIndex(_) | Kind::DropIndex(_) | Kind::Reindex(_));
    index_work || statement.is_strong()
}
