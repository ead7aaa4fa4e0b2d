//! The rows that a statement writes, wherever in it that stands: itself, in its `WITH`, in what it explains, prepares or copies.

use std::cmp::Ordering;

use pg_query::NodeEnum;
use pg_query::protobuf::{
    AExprKind, BoolExprType, DeleteStmt, InsertStmt, MergeStmt, Node, RangeVar, UpdateStmt, WithClause,
    a_const,
};

use super::relation;
use crate::sql::form::{Write, WriteVerb};
use crate::sql::parse::names::{option_is_on, string};
use crate::sql::parse::outline::Outline;

/// Everything that a statement writes, its own first.
///
/// The server takes a `WITH` that writes only at the top of a statement (`parse_cte.c`).
pub(in crate::sql::parse) fn of(node: &NodeEnum) -> Vec<Write> {
    let mut writes: Vec<Write> = own(node).into_iter().collect();
    match node {
        NodeEnum::ExplainStmt(it) if !option_is_on(&it.options, "analyze").unwrap_or(false) => {}
        NodeEnum::ExplainStmt(it) => within(it.query.as_deref(), &mut writes),
        NodeEnum::PrepareStmt(it) => within(it.query.as_deref(), &mut writes),
        NodeEnum::CopyStmt(it) => within(it.query.as_deref(), &mut writes),
        NodeEnum::CreateTableAsStmt(it) => within(it.query.as_deref(), &mut writes),
        _ => {}
    }
    let queries = with(node).into_iter().flat_map(|with| &with.ctes).filter_map(|node| match &node.node {
        Some(NodeEnum::CommonTableExpr(it)) => it.ctequery.as_ref()?.node.as_ref(),
        _ => None,
    });
    writes.extend(queries.filter_map(own));
    writes
}

fn within(node: Option<&Node>, writes: &mut Vec<Write>) {
    // The decoder bounds the depth of trees, and so of this recursion.
    writes.extend(node.and_then(|node| node.node.as_ref()).map(of).unwrap_or_default());
}

fn with(node: &NodeEnum) -> Option<&WithClause> {
    match node {
        NodeEnum::SelectStmt(it) => it.with_clause.as_ref(),
        NodeEnum::InsertStmt(it) => it.with_clause.as_ref().or_else(|| {
            let select = it.select_stmt.as_deref()?.node.as_ref()?;
            with(select)
        }),
        NodeEnum::UpdateStmt(it) => it.with_clause.as_ref(),
        NodeEnum::DeleteStmt(it) => it.with_clause.as_ref(),
        NodeEnum::MergeStmt(it) => it.with_clause.as_ref(),
        _ => None,
    }
}

fn own(node: &NodeEnum) -> Option<Write> {
    match node {
        NodeEnum::UpdateStmt(it) => update(it),
        NodeEnum::DeleteStmt(it) => delete(it),
        NodeEnum::MergeStmt(it) => merge(it),
        NodeEnum::InsertStmt(it) => insert(it),
        NodeEnum::CopyStmt(it) if it.is_from => write(WriteVerb::Copy, it.relation.as_ref(), None),
        _ => None,
    }
}

fn update(statement: &UpdateStmt) -> Option<Write> {
    let columns = statement.target_list.iter().filter_map(target).collect();
    let found = write(WriteVerb::Update, statement.relation.as_ref(), statement.where_clause.as_deref())?;
    Some(Write { columns, ..found })
}

fn delete(statement: &DeleteStmt) -> Option<Write> {
    write(WriteVerb::Delete, statement.relation.as_ref(), statement.where_clause.as_deref())
}

/// Its join condition filters.
fn merge(statement: &MergeStmt) -> Option<Write> {
    let found = write(WriteVerb::Merge, statement.relation.as_ref(), statement.join_condition.as_deref())?;
    // Rows that match nothing may be put in, however many they are.
    Some(Write { pinned: Vec::new(), ..found })
}

fn insert(statement: &InsertStmt) -> Option<Write> {
    let selects = match statement.select_stmt.as_ref().and_then(|node| node.node.as_ref()) {
        Some(NodeEnum::SelectStmt(select)) => {
            // A function that is called there may bring many rows.
            let calls =
                |node: &Node| node.node.as_ref().is_some_and(|node| Outline::of(node).has("FuncCall"));
            !select.from_clause.is_empty() || select.larg.is_some() || select.target_list.iter().any(calls)
        }
        _ => false,
    };
    let verb = if selects { WriteVerb::InsertSelect } else { WriteVerb::Insert };
    write(verb, statement.relation.as_ref(), None)
}

fn write(verb: WriteVerb, table: Option<&RangeVar>, condition: Option<&Node>) -> Option<Write> {
    let table = table?;
    let called = table.alias.as_ref().map_or(table.relname.as_str(), |alias| alias.aliasname.as_str());
    let mut pinned = Vec::new();
    if let Some(condition) = condition {
        let schema = Some(&table.schemaname).filter(|it| !it.is_empty() && table.alias.is_none());
        pins(condition, (called, schema.map(String::as_str)), &mut pinned);
    }
    let filtered = condition.is_some_and(|condition| !is_always_true(condition));
    Some(Write { verb, table: relation(table), only: !table.inh, filtered, columns: Vec::new(), pinned })
}

fn target(node: &Node) -> Option<String> {
    match &node.node {
        Some(NodeEnum::ResTarget(target)) => Some(target.name.clone()),
        _ => None,
    }
}

/// `true`, `1 = 1`, `2 > 1`, `NOT false`, and such joined by AND and OR.
fn is_always_true(condition: &Node) -> bool {
    match &condition.node {
        Some(NodeEnum::AConst(it)) => matches!(&it.val, Some(a_const::Val::Boolval(it)) if it.boolval),
        Some(NodeEnum::AExpr(it)) if it.kind() == AExprKind::AexprOp => {
            let (left, right) =
                (it.lexpr.as_deref().and_then(constant), it.rexpr.as_deref().and_then(constant));
            let (Some(left), Some(right)) = (left, right) else { return false };
            let numbers = match (left, right) {
                (a_const::Val::Ival(left), a_const::Val::Ival(right)) => Some(left.ival.cmp(&right.ival)),
                _ => None,
            };
            match it.name.last().and_then(string).as_deref() {
                Some("=") => left == right,
                Some("<") => numbers == Some(Ordering::Less),
                Some(">") => numbers == Some(Ordering::Greater),
                Some("<=") => numbers.is_some_and(Ordering::is_le),
                Some(">=") => numbers.is_some_and(Ordering::is_ge),
                Some("<>") => numbers.is_some_and(Ordering::is_ne),
                _ => false,
            }
        }
        // The decoder bounds the depth of trees, and so of this recursion.
        Some(NodeEnum::BoolExpr(it)) => match it.boolop() {
            BoolExprType::AndExpr => it.args.iter().all(is_always_true),
            BoolExprType::OrExpr => it.args.iter().any(is_always_true),
            BoolExprType::NotExpr => it.args.iter().all(is_false),
            BoolExprType::Undefined => false,
        },
        _ => false,
    }
}

fn is_false(condition: &Node) -> bool {
    matches!(constant(condition), Some(a_const::Val::Boolval(it)) if !it.boolval)
}

fn constant(node: &Node) -> Option<&a_const::Val> {
    match &node.node {
        Some(NodeEnum::AConst(it)) => it.val.as_ref(),
        _ => None,
    }
}

/// The columns of the table that is called so, in its schema where columns may be named with that, which a condition compares with one
/// value each, through AND alone.
fn pins(condition: &Node, called: (&str, Option<&str>), pinned: &mut Vec<String>) {
    match &condition.node {
        Some(NodeEnum::BoolExpr(it)) if it.boolop() == BoolExprType::AndExpr => {
            // The decoder bounds the depth of trees, and so of this recursion.
            it.args.iter().for_each(|node| pins(node, called, pinned));
        }
        Some(NodeEnum::AExpr(it)) if it.kind() == AExprKind::AexprOp => {
            let operator = it.name.last().and_then(string);
            if operator.as_deref() != Some("=") {
                return;
            }
            let (left, right) = (it.lexpr.as_deref(), it.rexpr.as_deref());
            let column = |node| column(node, called);
            let column = match (left.and_then(column), right.and_then(column)) {
                (Some(column), None) if right.is_some_and(is_value) => Some(column),
                (None, Some(column)) if left.is_some_and(is_value) => Some(column),
                _ => None,
            };
            pinned.extend(column);
        }
        _ => {}
    }
}

/// A column of that table, called so in its schema; one without a table's name before it is its own, or it is no column of its.
fn column(node: &Node, (called, schema): (&str, Option<&str>)) -> Option<String> {
    let Some(NodeEnum::ColumnRef(it)) = &node.node else { return None };
    let (name, before) = it.fields.split_last()?;
    let own = match before {
        [] => true,
        [table] => string(table).as_deref() == Some(called),
        [.., of, table] => {
            string(table).as_deref() == Some(called) && string(of).as_deref() == schema && schema.is_some()
        }
    };
    string(name).filter(|_| own)
}

/// A literal or parameter, cast or not.
fn is_value(node: &Node) -> bool {
    match &node.node {
        Some(NodeEnum::AConst(_) | NodeEnum::ParamRef(_)) => true,
        Some(NodeEnum::TypeCast(it)) => it.arg.as_deref().is_some_and(is_value),
        _ => false,
    }
}
