//! `DROP`, and what changes names, schemas and owners.

use pg_query::protobuf::{
    AlterObjectSchemaStmt, DropBehavior, DropStmt, Node, ObjectType as Object, RenameStmt,
};

use super::found::Found;
use super::names::{Names, strings};
use crate::base::LockMode::{AccessExclusive, AccessShare, ShareUpdateExclusive};
use crate::sql::statement::{DropIndex, Kind, Lock};

/// `DROP` of anything that `DropStmt` covers.
pub(super) fn drop(statement: &DropStmt, names: &Names) -> Found {
    let object = statement.remove_type();
    let cascade = statement.behavior() == DropBehavior::DropCascade;
    match object {
        Object::ObjectIndex => {
            let mode = if statement.concurrent { ShareUpdateExclusive } else { AccessExclusive };
            let kind = Kind::DropIndex(DropIndex { concurrently: statement.concurrent, cascade });
            let locks = statement.objects.iter().filter_map(|node| names.lock_list(&strings(node), mode));
            Found::new("DROP INDEX", kind).locks(locks).outside_only(statement.concurrent)
        }
        Object::ObjectTable
        | Object::ObjectSequence
        | Object::ObjectView
        | Object::ObjectMatview
        | Object::ObjectForeignTable => {
            let locks =
                statement.objects.iter().filter_map(|node| names.lock_list(&strings(node), AccessExclusive));
            // Columns of other tables lose the default that reads a sequence.
            let beyond = object == Object::ObjectSequence && cascade;
            Found::locking(drop_tag(object)).locks(locks).beyond(beyond)
        }
        Object::ObjectTrigger | Object::ObjectRule | Object::ObjectPolicy => {
            let locks = statement.objects.iter().filter_map(|node| owner_of(node, names));
            Found::locking(drop_tag(object)).locks(locks)
        }
        // What else is dropped takes relations with it only by CASCADE; an extension owns its tables.
        Object::ObjectExtension => Found::locking("DROP EXTENSION").beyond(true),
        _ if cascade => Found::locking(drop_tag(object)).beyond(true),
        _ => Found::ordinary(drop_tag(object)),
    }
}

/// The table of `trigger ON table`: the list without its last name.
fn owner_of(node: &Node, names: &Names) -> Option<Lock> {
    let parts = strings(node);
    let (_, table) = parts.split_last()?;
    names.lock_list(table, AccessExclusive)
}

fn drop_tag(object: Object) -> &'static str {
    match object {
        Object::ObjectTable => "DROP TABLE",
        Object::ObjectSequence => "DROP SEQUENCE",
        Object::ObjectView => "DROP VIEW",
        Object::ObjectMatview => "DROP MATERIALIZED VIEW",
        Object::ObjectForeignTable => "DROP FOREIGN TABLE",
        Object::ObjectTrigger => "DROP TRIGGER",
        Object::ObjectRule => "DROP RULE",
        Object::ObjectPolicy => "DROP POLICY",
        Object::ObjectSchema => "DROP SCHEMA",
        Object::ObjectType => "DROP TYPE",
        Object::ObjectDomain => "DROP DOMAIN",
        Object::ObjectFunction => "DROP FUNCTION",
        _ => "DROP",
    }
}

/// `ALTER .. RENAME`
pub(super) fn rename(statement: &RenameStmt, names: &Names) -> Found {
    let mode =
        if statement.rename_type() == Object::ObjectIndex { ShareUpdateExclusive } else { AccessExclusive };
    // ALTER TYPE .. RENAME ATTRIBUTE .. CASCADE goes on to the tables of that type.
    let beyond = statement.rename_type() == Object::ObjectAttribute
        && statement.behavior() == DropBehavior::DropCascade;
    let tag = match (statement.rename_type(), statement.relation_type()) {
        (Object::ObjectIndex, _) => "ALTER INDEX",
        (Object::ObjectTrigger, _) => "ALTER TRIGGER",
        (Object::ObjectPolicy, _) => "ALTER POLICY",
        (Object::ObjectRule, _) => "ALTER RULE",
        (Object::ObjectView, _) | (_, Object::ObjectView) => "ALTER VIEW",
        (Object::ObjectMatview, _) | (_, Object::ObjectMatview) => "ALTER MATERIALIZED VIEW",
        (Object::ObjectSequence, _) => "ALTER SEQUENCE",
        (Object::ObjectForeignTable, _) | (_, Object::ObjectForeignTable) => "ALTER FOREIGN TABLE",
        (Object::ObjectTable | Object::ObjectColumn | Object::ObjectTabconstraint, _) => "ALTER TABLE",
        _ => "ALTER",
    };
    // Only relations carry a range variable; a schema's or a type's new name stops nobody.
    locking_if_named(tag, names.lock(statement.relation.as_ref(), mode)).beyond(beyond)
}

/// `ALTER .. SET SCHEMA`
pub(super) fn set_schema(statement: &AlterObjectSchemaStmt, names: &Names) -> Found {
    let tag = match statement.object_type() {
        Object::ObjectTable => "ALTER TABLE",
        Object::ObjectView => "ALTER VIEW",
        Object::ObjectMatview => "ALTER MATERIALIZED VIEW",
        Object::ObjectSequence => "ALTER SEQUENCE",
        Object::ObjectForeignTable => "ALTER FOREIGN TABLE",
        Object::ObjectExtension => return Found::locking("ALTER EXTENSION").beyond(true),
        _ => "ALTER",
    };
    locking_if_named(tag, names.lock(statement.relation.as_ref(), AccessExclusive))
}

/// A statement that locks the relation if it names one.
pub(super) fn locking_if_named(tag: &'static str, lock: Option<Lock>) -> Found {
    if lock.is_none() { Found::ordinary(tag) } else { Found::locking(tag).locks(lock) }
}

/// The relation of what is named behind it: the list without its last name.
fn owner(parts: &[String]) -> &[String] {
    parts.split_last().map(|(_, relation)| relation).unwrap_or_default()
}

/// `COMMENT`, `SECURITY LABEL`: SHARE UPDATE EXCLUSIVE where they are about a relation or a column.
pub(super) fn remark(tag: &'static str, object: Object, name: Option<&Node>, names: &Names) -> Found {
    let parts = name.map(strings).unwrap_or_default();
    let relation = match object {
        Object::ObjectTable
        | Object::ObjectView
        | Object::ObjectMatview
        | Object::ObjectSequence
        | Object::ObjectIndex
        | Object::ObjectForeignTable => parts.as_slice(),
        Object::ObjectColumn => owner(&parts),
        // `get_object_address_relobject` in `objectaddress.c`
        Object::ObjectTabconstraint | Object::ObjectTrigger | Object::ObjectRule | Object::ObjectPolicy => {
            return locking_if_named(tag, names.lock_list(owner(&parts), AccessShare));
        }
        _ => &[],
    };
    locking_if_named(tag, names.lock_list(relation, ShareUpdateExclusive))
}
