//! What is dropped and renamed; domains and enums.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    AlterDomainStmt, AlterEnumStmt, AlterObjectSchemaStmt, ConstrType, DropBehavior, DropStmt, Node,
    ObjectType as Object, RenameStmt, TruncateStmt,
};

use super::{named_type, relation, relation_from, relation_of};
use crate::base::RelationName;
use crate::sql::form::{AlterDomain, Change, Dropped, DroppedObject, EnumChange, Form, Rename, Renamed};
use crate::sql::parse::names::strings;

/// `DROP`
pub(super) fn drop(statement: &DropStmt) -> Dropped {
    let object = match statement.remove_type() {
        Object::ObjectTable | Object::ObjectForeignTable => DroppedObject::Table,
        Object::ObjectIndex => DroppedObject::Index,
        Object::ObjectSequence => DroppedObject::Sequence,
        Object::ObjectView => DroppedObject::View,
        Object::ObjectMatview => DroppedObject::MaterializedView,
        Object::ObjectSchema => DroppedObject::Schema,
        Object::ObjectType | Object::ObjectDomain => DroppedObject::Type,
        Object::ObjectExtension => DroppedObject::Extension,
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
        (Object::ObjectAttribute, _) => Renamed::Attribute,
        (Object::ObjectSchema, _) => Renamed::Schema,
        (Object::ObjectIndex, _) => Renamed::Index,
        (Object::ObjectTabconstraint, _) => Renamed::Constraint,
        (Object::ObjectSequence, _) => Renamed::Sequence,
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
    let alone = |node: &&Node| matches!(&node.node, Some(NodeEnum::RangeVar(it)) if !it.inh);
    Form::Truncate {
        tables: statement.relations.iter().filter_map(relation_of).collect(),
        only: statement.relations.iter().filter(alone).filter_map(relation_of).collect(),
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
        value: statement.new_val.clone(),
        rename: !statement.old_val.is_empty(),
        placed: !statement.new_val_neighbor.is_empty(),
    }
}
