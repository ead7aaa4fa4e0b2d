//! The tables that a statement only looks at: those that its query reads, wherever in it they stand, and a few others.

use std::collections::HashSet;

use pg_query::protobuf::{ExplainStmt, Node, ObjectType, RangeVar, SelectStmt};
use pg_query::{Context, NodeEnum, NodeRef};

use super::{relation, relation_from, relation_of, writes};
use crate::base::RelationName;
use crate::sql::form::{Read, Reading};
use crate::sql::parse::names::strings;

/// Every table once.
pub(in crate::sql::parse) fn of(node: &NodeEnum) -> Vec<Read> {
    let query = match node {
        NodeEnum::ExplainStmt(it) => return explained(it),
        NodeEnum::PrepareStmt(it) => it.query.as_deref(),
        NodeEnum::DeclareCursorStmt(it) => it.query.as_deref(),
        NodeEnum::CopyStmt(it) if it.query.is_some() => it.query.as_deref(),
        NodeEnum::CopyStmt(it) if !it.is_from => {
            return looked_at(it.relation.as_ref().map(relation), Reading::Rows);
        }
        NodeEnum::ViewStmt(it) => it.query.as_deref(),
        NodeEnum::CreateTableAsStmt(it) => it.query.as_deref(),
        NodeEnum::SelectStmt(_)
        | NodeEnum::InsertStmt(_)
        | NodeEnum::UpdateStmt(_)
        | NodeEnum::DeleteStmt(_)
        | NodeEnum::MergeStmt(_) => return of_query(node),
        NodeEnum::CreateStmt(it) => {
            return looked_at(it.table_elts.iter().filter_map(like), Reading::Definition);
        }
        NodeEnum::CreateSeqStmt(it) => return looked_at(owner(&it.options), Reading::Definition),
        NodeEnum::AlterSeqStmt(it) => return looked_at(owner(&it.options), Reading::Definition),
        NodeEnum::GrantStmt(it) if it.objtype() == ObjectType::ObjectTable => {
            return looked_at(it.objects.iter().filter_map(relation_of), Reading::Rights);
        }
        _ => None,
    };
    // The decoder bounds the depth of trees, and so of this recursion.
    query.and_then(|node| node.node.as_ref()).map(of).unwrap_or_default()
}

fn looked_at(tables: impl IntoIterator<Item = RelationName>, how: Reading) -> Vec<Read> {
    tables.into_iter().map(|table| Read { table, how }).collect()
}

/// Explaining locks what running would.
fn explained(statement: &ExplainStmt) -> Vec<Read> {
    let query = statement.query.as_deref().and_then(|node| node.node.as_ref());
    let Some(query) = query else { return Vec::new() };
    let written = writes::of(query).into_iter().map(|write| write.table);
    // The decoder bounds the depth of trees, and so of this recursion.
    of(query).into_iter().chain(looked_at(written, Reading::Explained)).collect()
}

/// `LIKE`
fn like(element: &Node) -> Option<RelationName> {
    match &element.node {
        Some(NodeEnum::TableLikeClause(it)) => it.relation.as_ref().map(relation),
        _ => None,
    }
}

/// The table of `OWNED BY table.column`.
fn owner(options: &[Node]) -> Option<RelationName> {
    let parts = options.iter().find_map(|node| match &node.node {
        Some(NodeEnum::DefElem(option)) if option.defname == "owned_by" => option.arg.as_deref().map(strings),
        _ => None,
    })?;
    let (_, table) = parts.split_last()?;
    relation_from(table)
}

fn of_query(node: &NodeEnum) -> Vec<Read> {
    let nodes = node.nodes();
    let with: HashSet<&str> = nodes
        .iter()
        .filter_map(|(node, ..)| match node {
            NodeRef::CommonTableExpr(it) => Some(it.ctename.as_str()),
            _ => None,
        })
        .collect();
    let is_table = |it: &RangeVar| !it.schemaname.is_empty() || !with.contains(it.relname.as_str());
    let mut locked = HashSet::new();
    let mut tables: Vec<RelationName> = Vec::new();
    for (node, _, context, _) in &nodes {
        match node {
            NodeRef::RangeVar(it) if *context == Context::Select && is_table(it) => tables.push(relation(it)),
            NodeRef::SelectStmt(it) => locked.extend(with_locked_rows(it)),
            _ => {}
        }
    }
    let mut before = HashSet::new();
    tables.retain(|table| before.insert(table.clone()));
    let how = |table: &RelationName| {
        if locked.contains(table) { Reading::LockedRows } else { Reading::Rows }
    };
    tables.into_iter().map(|table| Read { how: how(&table), table }).collect()
}

/// The tables of a query's own FROM whose rows it locks.
fn with_locked_rows(select: &SelectStmt) -> Vec<RelationName> {
    let mut from = Vec::new();
    if !select.locking_clause.is_empty() {
        select.from_clause.iter().for_each(|node| joined(node, &mut from));
    }
    let clauses = select.locking_clause.iter().filter_map(|node| match &node.node {
        Some(NodeEnum::LockingClause(it)) => Some(it),
        _ => None,
    });
    let mut tables = Vec::new();
    for clause in clauses {
        let named: Vec<RelationName> = clause.locked_rels.iter().filter_map(relation_of).collect();
        let locked = from.iter().filter(|table| {
            let called = table.alias.as_ref().map_or(&table.relname, |alias| &alias.aliasname);
            named.is_empty() || named.iter().any(|name| name.name == *called)
        });
        tables.extend(locked.map(|table| relation(table)));
    }
    tables
}

fn joined<'a>(node: &'a Node, tables: &mut Vec<&'a RangeVar>) {
    match &node.node {
        Some(NodeEnum::RangeVar(it)) => tables.push(it),
        Some(NodeEnum::JoinExpr(it)) => {
            // The decoder bounds the depth of trees, and so of this recursion.
            [&it.larg, &it.rarg].into_iter().flatten().for_each(|side| joined(side, tables));
        }
        _ => {}
    }
}
