//! Which relations the analysis wants to know about.

use crate::base::RelationName;
use crate::sql::statement::{Kind, Script, Statement};

/// The names to look up, each once; empty when nothing in the script can hurt.
pub fn need(script: &Script) -> Vec<RelationName> {
    let mut names = Vec::new();
    for lock in script.statements.iter().filter(|statement| matters(statement)).flat_map(|it| &it.locks) {
        if lock.resolvable && !names.contains(&lock.name) {
            names.push(lock.name.clone());
        }
    }
    names
}

/// Index work matters even when it is sent in its concurrent form: it is verified and cleaned up.
fn matters(statement: &Statement) -> bool {
    let index_work = matches!(statement.kind, Kind::CreateIndex(_) | Kind::DropIndex(_) | Kind::Reindex(_));
    index_work || statement.is_strong()
}
