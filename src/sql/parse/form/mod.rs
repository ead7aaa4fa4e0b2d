//! From one statement's tree to its form: what it says in detail.

mod body;
mod bound;
mod flow;
mod made;
mod object;
mod places;
mod reads;
mod table;
mod write_places;
mod writes;

use pg_query::NodeEnum;
use pg_query::protobuf::{IntoClause, Node, OnCommitAction, RangeVar, RoleSpecType, TypeName as TypeNode};

pub(super) use self::places::Places;
pub(super) use self::reads::of as reads;
pub(super) use self::write_places::Parts;
pub(super) use self::writes::of as writes;
use super::names::{option_is_on, range_var, string};
use crate::base::RelationName;
use crate::sql::form::{Form, TypeName};

/// What a statement says in detail.
pub(super) fn form(node: &NodeEnum, places: &Places<'_>) -> Form {
    match node {
        NodeEnum::IndexStmt(it) => {
            table::create_index(it).map_or(Form::Plain, |it| Form::CreateIndex(Box::new(it)))
        }
        NodeEnum::AlterTableStmt(it) => table::alter(it, places).map_or(Form::Plain, Form::AlterTable),
        NodeEnum::CreateStmt(it) => {
            table::create(it, places).map_or(Form::Plain, |it| Form::CreateTable(Box::new(it)))
        }
        NodeEnum::CreateForeignTableStmt(it) => it
            .base_stmt
            .as_ref()
            .and_then(|base| table::create(base, places))
            .map_or(Form::Plain, |it| Form::CreateTable(Box::new(it))),
        NodeEnum::CreateTableAsStmt(it) => create_as(it.into.as_deref(), it.if_not_exists),
        NodeEnum::SelectStmt(it) => create_as(it.into_clause.as_deref(), false),
        NodeEnum::DropStmt(it) => Form::Drop(object::drop(it)),
        NodeEnum::DropdbStmt(it) => Form::DropDatabase(it.dbname.clone()),
        NodeEnum::RenameStmt(it) => object::rename(it).map_or(Form::Plain, Form::Rename),
        NodeEnum::AlterObjectSchemaStmt(it) => object::set_schema(it).map_or(Form::Plain, Form::Rename),
        NodeEnum::TruncateStmt(it) => object::truncate(it),
        NodeEnum::VacuumStmt(it) if it.is_vacuumcmd && option_is_on(&it.options, "full").unwrap_or(false) => {
            Form::VacuumFull(it.rels.iter().filter_map(vacuumed).collect())
        }
        NodeEnum::ClusterStmt(it) => Form::Cluster(it.relation.as_ref().map(relation)),
        NodeEnum::RefreshMatViewStmt(it) => it.relation.as_ref().map_or(Form::Plain, |view| Form::Refresh {
            view: relation(view),
            concurrently: it.concurrent,
            data: !it.skip_data,
        }),
        other => rare(other, places),
    }
}

fn rare(node: &NodeEnum, places: &Places<'_>) -> Form {
    match node {
        NodeEnum::AlterTableMoveAllStmt(it) => Form::MoveAll(it.orig_tablespacename.clone()),
        NodeEnum::DropOwnedStmt(it) => Form::DropOwned(it.roles.iter().map(role).collect()),
        NodeEnum::CreateDomainStmt(it) => {
            let constrained = object::is_constrained(&it.constraints);
            Form::CreateDomain { name: named_type(&it.domainname), constrained }
        }
        NodeEnum::AlterDomainStmt(it) => Form::AlterDomain(object::alter_domain(it)),
        NodeEnum::CreateEnumStmt(it) => Form::CreateEnum(named_type(&it.type_name)),
        NodeEnum::AlterEnumStmt(it) => Form::AlterEnum(object::alter_enum(it)),
        NodeEnum::DoStmt(it) => Form::Body(body::block(&it.args, places)),
        NodeEnum::CreateFunctionStmt(it) => Form::Body(body::function(it, places)),
        NodeEnum::TransactionStmt(it) if !it.savepoint_name.is_empty() => {
            Form::Savepoint(it.savepoint_name.clone())
        }
        NodeEnum::ConstraintsSetStmt(it) if !it.deferred => Form::ConstraintsImmediate,
        other => made::of(other).unwrap_or_default(),
    }
}

fn create_as(into: Option<&IntoClause>, if_not_exists: bool) -> Form {
    let made = into.and_then(|into| Some((into, into.rel.as_ref()?)));
    made.map_or(Form::Plain, |(into, made)| Form::CreateTableAs {
        name: relation(made),
        if_not_exists,
        temporary: table::is_temporary(made),
        empty: into.skip_data,
        until_commit: into.on_commit() == OnCommitAction::OncommitDrop,
    })
}

/// A role by its name, or by the word that stands for it.
fn role(node: &Node) -> String {
    match &node.node {
        Some(NodeEnum::RoleSpec(it)) if !it.rolename.is_empty() => it.rolename.clone(),
        Some(NodeEnum::RoleSpec(it)) if it.roletype() == RoleSpecType::RolespecSessionUser => {
            "SESSION_USER".to_owned()
        }
        _ => "CURRENT_USER".to_owned(),
    }
}

fn vacuumed(node: &Node) -> Option<RelationName> {
    match &node.node {
        Some(NodeEnum::VacuumRelation(it)) => it.relation.as_ref().map(relation),
        _ => None,
    }
}

/// The name of a range variable.
fn relation(relation: &RangeVar) -> RelationName {
    let schema = Some(relation.schemaname.clone()).filter(|schema| !schema.is_empty());
    RelationName { schema, name: relation.relname.clone() }
}

/// The name of a range variable node.
fn relation_of(node: &Node) -> Option<RelationName> {
    range_var(node).map(relation)
}

/// The name that a list of strings spells.
fn relation_from(parts: &[String]) -> Option<RelationName> {
    match parts {
        [name] => Some(RelationName::bare(name)),
        [.., schema, name] => Some(RelationName::qualified(schema, name)),
        [] => None,
    }
}

/// A type of the tree.
fn type_name(node: &TypeNode) -> TypeName {
    let modifiers = node.typmods.iter().filter_map(integer).collect();
    TypeName { modifiers, array: !node.array_bounds.is_empty(), ..named_type(&node.names) }
}

/// A type that is given by its name alone.
fn named_type(parts: &[Node]) -> TypeName {
    let parts: Vec<String> = parts.iter().filter_map(string).collect();
    let (schema, name) = match parts.as_slice() {
        [.., schema, name] => (Some(schema.clone()), name.clone()),
        [name] => (None, name.clone()),
        [] => (None, String::new()),
    };
    TypeName { schema, name, modifiers: Vec::new(), array: false }
}

fn integer(node: &Node) -> Option<i32> {
    match &node.node {
        Some(NodeEnum::AConst(constant)) => match constant.val {
            Some(pg_query::protobuf::a_const::Val::Ival(ref number)) => Some(number.ival),
            _ => None,
        },
        _ => None,
    }
}
