//! What is dropped, renamed, written to; domains and enums.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    AExprKind, AlterDomainStmt, AlterEnumStmt, AlterObjectSchemaStmt, BoolExprType, ConstrType, DeleteStmt,
    DropBehavior, DropStmt, InsertStmt, MergeStmt, Node, ObjectType as Object, RenameStmt, TruncateStmt,
    UpdateStmt, WithClause,
};

use super::{named_type, relation, relation_from, relation_of};
use crate::base::RelationName;
use crate::sql::form::{
    AlterDomain, Change, Dropped, DroppedObject, EnumChange, Form, Rename, Renamed, Write, WriteVerb,
};
use crate::sql::parse::names::{string, strings};

/// `DROP`
pub(super) fn drop(statement: &DropStmt) -> Dropped {
    let object = match statement.remove_type() {
        Object::ObjectTable | Object::ObjectForeignTable => DroppedObject::Table,
        Object::ObjectIndex => DroppedObject::Index,
        Object::ObjectSequence => DroppedObject::Sequence,
        Object::ObjectView => DroppedObject::View,
        Object::ObjectMatview => DroppedObject::MaterializedView,
        Object::ObjectSchema => DroppedObject::Schema,
        _ => DroppedObject::Other,
    };
    let hangs_on_table =
        matches!(statement.remove_type(), Object::ObjectTrigger | Object::ObjectRule | Object::ObjectPolicy);
    let name = |node: &Node| {
        let mut parts = strings(node);
        if hangs_on_table {
            parts.pop();
        }
        relation_from(&parts)
    };
    Dropped {
        object,
        names: statement.objects.iter().filter_map(name).collect(),
        cascade: statement.behavior() == DropBehavior::DropCascade,
        if_exists: statement.missing_ok,
        concurrently: statement.concurrent,
    }
}

/// `ALTER .. RENAME`
pub(super) fn rename(statement: &RenameStmt) -> Option<Rename> {
    let what = match (statement.rename_type(), statement.relation_type()) {
        (
            Object::ObjectTable | Object::ObjectView | Object::ObjectMatview | Object::ObjectForeignTable,
            _,
        ) => Renamed::Table,
        (Object::ObjectColumn, _) => Renamed::Column,
        (Object::ObjectSchema, _) => Renamed::Schema,
        (Object::ObjectIndex | Object::ObjectTabconstraint | Object::ObjectSequence, _) => Renamed::Quiet,
        _ => return None,
    };
    let target = match what {
        Renamed::Schema => RelationName::bare(&statement.subname),
        _ => relation(statement.relation.as_ref()?),
    };
    let from = if statement.subname.is_empty() { target.name.clone() } else { statement.subname.clone() };
    Some(Rename { what, target, from, to: statement.newname.clone() })
}

/// `ALTER .. SET SCHEMA`
pub(super) fn set_schema(statement: &AlterObjectSchemaStmt) -> Option<Rename> {
    let target = relation(statement.relation.as_ref()?);
    let from = target.name.clone();
    Some(Rename { what: Renamed::TableSchema, target, from, to: statement.newschema.clone() })
}

/// `TRUNCATE`
pub(super) fn truncate(statement: &TruncateStmt) -> Form {
    Form::Truncate {
        tables: statement.relations.iter().filter_map(relation_of).collect(),
        cascade: statement.behavior() == DropBehavior::DropCascade,
    }
}

/// Whether one of the constraints of a domain restricts its values.
pub(super) fn is_constrained(constraints: &[Node]) -> bool {
    constraints.iter().any(|node| {
        matches!(&node.node, Some(NodeEnum::Constraint(it))
            if matches!(it.contype(), ConstrType::ConstrCheck | ConstrType::ConstrNotnull))
    })
}

/// `ALTER DOMAIN`; the letters are those of `AlterDomainStmt` in `parsenodes.h`.
pub(super) fn alter_domain(statement: &AlterDomainStmt) -> AlterDomain {
    let later = matches!(
        statement.def.as_ref().and_then(|node| node.node.as_ref()),
        Some(NodeEnum::Constraint(it)) if it.skip_validation
    );
    let change = match statement.subtype.as_str() {
        "C" if later => Change::ChecksLater,
        "C" | "V" | "O" => Change::Checks,
        _ => Change::Quiet,
    };
    AlterDomain { domain: named_type(&statement.type_name), change }
}

/// `ALTER TYPE .. ADD VALUE`, `RENAME VALUE`
pub(super) fn alter_enum(statement: &AlterEnumStmt) -> EnumChange {
    EnumChange {
        ty: named_type(&statement.type_name),
        rename: !statement.old_val.is_empty(),
        placed: !statement.new_val_neighbor.is_empty(),
    }
}

/// `UPDATE`
pub(super) fn update(statement: &UpdateStmt) -> Form {
    let columns = statement.target_list.iter().filter_map(target).collect();
    let condition = statement.where_clause.as_deref();
    match statement.relation.as_ref() {
        Some(table) => Form::Write(Write {
            with: statement.with_clause.is_some(),
            ..write(WriteVerb::Update, relation(table), condition, columns)
        }),
        None => Form::Plain,
    }
}

/// `DELETE`
pub(super) fn delete(statement: &DeleteStmt) -> Form {
    let condition = statement.where_clause.as_deref();
    match statement.relation.as_ref() {
        Some(table) => Form::Write(Write {
            with: statement.with_clause.is_some(),
            ..write(WriteVerb::Delete, relation(table), condition, Vec::new())
        }),
        None => Form::Plain,
    }
}

/// `MERGE`; its join condition filters.
pub(super) fn merge(statement: &MergeStmt) -> Form {
    let condition = statement.join_condition.as_deref();
    match statement.relation.as_ref() {
        Some(table) => Form::Write(Write {
            with: statement.with_clause.is_some(),
            ..write(WriteVerb::Merge, relation(table), condition, Vec::new())
        }),
        None => Form::Plain,
    }
}

/// `INSERT`
pub(super) fn insert(statement: &InsertStmt) -> Form {
    let selects = match statement.select_stmt.as_ref().and_then(|node| node.node.as_ref()) {
        Some(NodeEnum::SelectStmt(select)) => select.values_lists.is_empty(),
        _ => false,
    };
    let verb = if selects { WriteVerb::InsertSelect } else { WriteVerb::Insert };
    match statement.relation.as_ref() {
        Some(table) => Form::Write(Write {
            with: statement.with_clause.is_some(),
            ..write(verb, relation(table), None, Vec::new())
        }),
        None => Form::Plain,
    }
}

/// The first statement that writes within `WITH`.
pub(super) fn writes_within(with: Option<&WithClause>) -> Form {
    let queries = with.iter().flat_map(|with| &with.ctes).filter_map(|node| match &node.node {
        Some(NodeEnum::CommonTableExpr(it)) => it.ctequery.as_ref()?.node.as_ref(),
        _ => None,
    });
    queries
        .map(|query| match query {
            NodeEnum::UpdateStmt(it) => update(it),
            NodeEnum::DeleteStmt(it) => delete(it),
            NodeEnum::MergeStmt(it) => merge(it),
            NodeEnum::InsertStmt(it) => insert(it),
            _ => Form::Plain,
        })
        .find(|form| *form != Form::Plain)
        .unwrap_or_default()
}

fn write(verb: WriteVerb, table: RelationName, condition: Option<&Node>, columns: Vec<String>) -> Write {
    let mut pinned = Vec::new();
    if let Some(condition) = condition {
        pins(condition, &mut pinned);
    }
    Write { verb, table, filtered: condition.is_some(), columns, pinned, with: false }
}

fn target(node: &Node) -> Option<String> {
    match &node.node {
        Some(NodeEnum::ResTarget(target)) => Some(target.name.clone()),
        _ => None,
    }
}

/// The columns that a condition compares with one value each, through AND alone.
fn pins(condition: &Node, pinned: &mut Vec<String>) {
    match &condition.node {
        Some(NodeEnum::BoolExpr(it)) if it.boolop() == BoolExprType::AndExpr => {
            // The decoder bounds the depth of trees, and so of this recursion.
            it.args.iter().for_each(|node| pins(node, pinned));
        }
        Some(NodeEnum::AExpr(it)) if it.kind() == AExprKind::AexprOp => {
            let operator = it.name.last().and_then(string);
            if operator.as_deref() != Some("=") {
                return;
            }
            let (left, right) = (it.lexpr.as_deref(), it.rexpr.as_deref());
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

fn column(node: &Node) -> Option<String> {
    match &node.node {
        Some(NodeEnum::ColumnRef(it)) => it.fields.last().and_then(string),
        _ => None,
    }
}

/// A literal or parameter, cast or not.
fn is_value(node: &Node) -> bool {
    match &node.node {
        Some(NodeEnum::AConst(_) | NodeEnum::ParamRef(_)) => true,
        Some(NodeEnum::TypeCast(it)) => it.arg.as_deref().is_some_and(is_value),
        _ => false,
    }
}
