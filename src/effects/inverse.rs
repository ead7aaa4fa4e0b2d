//! The statement that takes another back, where text and facts tell it.

use super::Naming;
use super::facts::{ConstraintFacts, Facts, RelationKind, Seen, TableFacts};
use super::type_change::{self, TypeChange};
use crate::base::RelationName;
use crate::base::relation::quote_identifier;
use crate::sql::form::{
    Action, AlterTable, Altered, Constraint, ConstraintKind, DroppedObject, Form, Index, Rename, Renamed,
    Using,
};
use crate::sql::statement::Statement;

/// The inverse of a statement; `None` where something is lost or not known.
pub(super) fn of(statement: &Statement, facts: &Facts) -> Option<String> {
    match &statement.form {
        Form::CreateIndex(index) if !index.if_not_exists => of_index(index, facts),
        Form::CreateTable(table) if !table.if_not_exists || is_absent(&table.name, facts) => {
            Some(format!("DROP TABLE {}", table.name))
        }
        Form::CreateTableAs { name, if_not_exists, .. } if !if_not_exists || is_absent(name, facts) => {
            let what =
                if statement.tag == "CREATE MATERIALIZED VIEW" { "MATERIALIZED VIEW" } else { "TABLE" };
            Some(format!("DROP {what} {name}"))
        }
        Form::CreateEnum(name) => Some(format!("DROP TYPE {name}")),
        Form::CreateDomain { name, .. } => Some(format!("DROP DOMAIN {name}")),
        Form::Make { back, .. } => back.clone(),
        Form::AlterTable(alter) => of_alter(alter, facts),
        Form::Rename(rename) => Some(of_rename(rename)),
        Form::Drop(dropped) if dropped.object == DroppedObject::Index => match dropped.names.as_slice() {
            [name] => definition_of_index(name, facts),
            _ => None,
        },
        _ => None,
    }
}

/// An index is dropped by its name, which Postgres may pick.
fn of_index(index: &Index, facts: &Facts) -> Option<String> {
    let known = facts.taken(&index.table).is_some();
    let name =
        index.name.clone().or_else(|| known.then(|| Naming { facts, parts: &[] }.index_name(index)))?;
    let kind = facts.relation(&index.table).map(|relation| relation.kind);
    // A partition's own index may have become part of it, and would go with it.
    let alone = kind != Some(RelationKind::PartitionedTable);
    alone.then(|| {
        let name = RelationName { schema: index.table.schema.clone(), name };
        format!("DROP INDEX CONCURRENTLY {name}")
    })
}

/// Whether there is no such relation for sure, so that `IF NOT EXISTS` makes it.
fn is_absent(name: &RelationName, facts: &Facts) -> bool {
    facts.see(name) == Seen::Absent
}

fn definition_of_index(name: &RelationName, facts: &Facts) -> Option<String> {
    let relation = facts.relation(name)?;
    // Without its parts it would be made ON ONLY its table, and stay invalid.
    let whole = relation.kind != RelationKind::PartitionedIndex;
    Some(relation.index.as_ref()?.definition.clone()).filter(|definition| whole && !definition.is_empty())
}

fn of_rename(rename: &Rename) -> String {
    let Rename { what, target, from, to } = rename;
    let renamed = RelationName { schema: target.schema.clone(), name: to.clone() };
    match what {
        Renamed::Column => {
            format!(
                "ALTER TABLE {target} RENAME COLUMN {} TO {}",
                quote_identifier(to),
                quote_identifier(from)
            )
        }
        Renamed::Attribute => {
            let (to, from) = (quote_identifier(to), quote_identifier(from));
            format!("ALTER TYPE {target} RENAME ATTRIBUTE {to} TO {from}")
        }
        Renamed::TableSchema => {
            let moved = RelationName::qualified(to, &target.name);
            let schema = target.schema.as_deref().unwrap_or("public");
            format!("ALTER TABLE {moved} SET SCHEMA {}", quote_identifier(schema))
        }
        Renamed::Schema => {
            format!("ALTER SCHEMA {} RENAME TO {}", quote_identifier(to), quote_identifier(from))
        }
        Renamed::Constraint => {
            let (to, from) = (quote_identifier(to), quote_identifier(from));
            format!("ALTER TABLE {target} RENAME CONSTRAINT {to} TO {from}")
        }
        Renamed::Table => format!("ALTER TABLE {renamed} RENAME TO {}", quote_identifier(from)),
        Renamed::Index => format!("ALTER INDEX {renamed} RENAME TO {}", quote_identifier(from)),
        Renamed::Sequence => format!("ALTER SEQUENCE {renamed} RENAME TO {}", quote_identifier(from)),
    }
}

/// The parts' inverses in reverse order; `None` as soon as one has none.
fn of_alter(alter: &AlterTable, facts: &Facts) -> Option<String> {
    let what = match alter.object {
        Altered::Table => "TABLE",
        Altered::Index => "INDEX",
        Altered::MaterializedView => "MATERIALIZED VIEW",
        Altered::Type | Altered::Other => return None,
    };
    if is_absent(&alter.target, facts) {
        return None;
    }
    // A name that Postgres picks is known where the names beside it are.
    let picks = facts.taken(&alter.target).is_some();
    let naming = Naming { facts, parts: &alter.parts };
    let picked = if picks { naming.of_parts(&alter.target) } else { Vec::new() };
    let parts: Option<Vec<String>> = alter
        .parts
        .iter()
        .enumerate()
        .rev()
        .map(|(part, it)| of_part(&it.action, picked.get(part), &alter.target, facts))
        .collect();
    let mut parts = parts?;
    // SET DEFAULT and DROP DEFAULT of one column have the same inverse.
    parts.dedup();
    Some(format!("ALTER {what} {} {}", alter.target, parts.join(", ")))
}

fn of_part(action: &Action, picked: Option<&String>, target: &RelationName, facts: &Facts) -> Option<String> {
    let table = facts.table(target);
    match action {
        Action::AddConstraint(constraint) => of_constraint(constraint, picked, table),
        // What goes with it is not told.
        Action::DropConstraint { name, cascade, .. }
            if !cascade || table.is_some_and(|table| !is_referred_to(table)) =>
        {
            let definition = Some(&table?.constraint(name)?.definition).filter(|it| !it.is_empty())?;
            Some(format!("ADD CONSTRAINT {} {definition}", quote_identifier(name)))
        }
        // The partition keeps the indexes and keys that it got.
        Action::Attach { child, .. } => {
            let plain = |table: &TableFacts| table.indexes.is_empty() && table.constraints.is_empty();
            table.is_some_and(plain).then(|| format!("DETACH PARTITION {child}"))
        }
        Action::SetTablespace(_) | Action::SetLogged(_) | Action::SetAccessMethod(_) => {
            of_storage(action, target, facts)
        }
        Action::SetType { column, to, collate: false, using: Using::Cast | Using::SameColumn } => {
            let old = table?.column(column)?;
            // To xml there is no cast that is taken without being asked for.
            let kept = type_change::of(old, to, facts) != TypeChange::Rewrite && old.base.0 != "xml";
            kept.then(|| format!("ALTER COLUMN {} TYPE {}", quote_identifier(column), old.ty))
        }
        other => of_column(other, table),
    }
}

/// Whether foreign keys refer to the table, its own among them.
fn is_referred_to(table: &TableFacts) -> bool {
    let to_itself = |key: &ConstraintFacts| key.references.is_some() && key.references == table.name;
    !table.referenced_by.is_empty() || table.constraints.iter().any(to_itself)
}

/// A constraint goes, and so does the NOT NULL that a primary key brought; an index that it took over would go with it.
fn of_constraint(
    constraint: &Constraint,
    picked: Option<&String>,
    table: Option<&TableFacts>,
) -> Option<String> {
    let name = constraint.name.as_ref().or(picked).filter(|_| constraint.using_index.is_none())?;
    let mut back = vec![format!("DROP CONSTRAINT {}", quote_identifier(name))];
    if constraint.kind == ConstraintKind::PrimaryKey {
        for column in &constraint.columns {
            if !table?.column(column).is_some_and(|known| known.not_null) {
                back.push(format!("ALTER COLUMN {} DROP NOT NULL", quote_identifier(column)));
            }
        }
    }
    Some(back.join(", "))
}

/// How the relation was stored before.
fn of_storage(action: &Action, target: &RelationName, facts: &Facts) -> Option<String> {
    let relation = facts.relation(target)?;
    let before = |name: &Option<String>| name.as_deref().map(quote_identifier);
    match action {
        Action::SetTablespace(_) => Some(format!("SET TABLESPACE {}", before(&relation.storage.tablespace)?)),
        Action::SetAccessMethod(_) => {
            Some(format!("SET ACCESS METHOD {}", before(&relation.storage.method)?))
        }
        _ => Some(if relation.storage.unlogged { "SET UNLOGGED" } else { "SET LOGGED" }.to_owned()),
    }
}

fn of_column(action: &Action, table: Option<&TableFacts>) -> Option<String> {
    let column = |name: &str| table.and_then(|table| table.column(name));
    let alter = |name: &str, what: &str| Some(format!("ALTER COLUMN {} {what}", quote_identifier(name)));
    match action {
        Action::AddColumn { column: new, if_not_exists } => {
            let made = !if_not_exists || (table.is_some() && column(&new.name).is_none());
            made.then(|| format!("DROP COLUMN {}", quote_identifier(&new.name)))
        }
        Action::SetNotNull(name) if !column(name).is_some_and(|it| it.not_null) => {
            alter(name, "DROP NOT NULL")
        }
        Action::DropNotNull(name) if column(name).is_none_or(|it| it.not_null) => alter(name, "SET NOT NULL"),
        Action::SetDefault(name) | Action::DropDefault(name) => match &column(name)?.default {
            Some(default) => alter(name, &format!("SET DEFAULT {default}")),
            None => alter(name, "DROP DEFAULT"),
        },
        _ => None,
    }
}
