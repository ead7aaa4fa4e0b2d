//! Statements that join or part two tables: both are locked up front, before either is touched.

use crate::effects::facts::Facts;
use crate::plan::{Target, up_front};
use crate::sql::Encoding;
use crate::sql::form::{Action, ConstraintKind, Form};
use crate::sql::statement::Script;

/// The statements that take all locks of a foreign key's coming or going first: none for anything else.
///
/// The other table comes first, as an application writes it before what refers to it.
pub(super) fn first(script: &Script, facts: &Facts, targets: &[Target]) -> Vec<String> {
    let [statement] = script.statements.as_slice() else { return Vec::new() };
    let Form::AlterTable(alter) = &statement.form else { return Vec::new() };
    let readable = script.dialect.encoding == Encoding::Utf8 || script.text.as_bytes().is_ascii();
    let table = facts.table(&alter.target);
    let is_key = |action: &Action| match action {
        Action::AddConstraint(key) => key.kind == ConstraintKind::Foreign,
        Action::DropConstraint { name, .. } => table
            .and_then(|table| table.constraint(name))
            .is_some_and(|key| key.kind == ConstraintKind::Foreign),
        _ => false,
    };
    if !readable || !alter.parts.iter().any(|part| is_key(&part.action)) {
        return Vec::new();
    }
    let own = facts.relation(&alter.target).map(|relation| relation.oid);
    let below = table.map(|table| table.partitions.as_slice()).unwrap_or_default();
    let is_own = |target: &&Target| {
        target.oid == own || below.iter().any(|partition| Some(partition.oid) == target.oid)
    };
    let (mine, others): (Vec<&Target>, Vec<&Target>) = targets.iter().partition(is_own);
    let ordered: Vec<Target> = others.into_iter().chain(mine).cloned().collect();
    up_front::locks(&ordered)
}
