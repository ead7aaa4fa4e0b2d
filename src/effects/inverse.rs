//! The statement that takes another back, where text and facts tell it.

use super::facts::{Facts, RelationKind, Seen};
use crate::base::RelationName;
use crate::base::relation::quote_identifier;
use crate::sql::form::{Action, AlterTable, Altered, Form, Rename, Renamed};

/// The inverse of a statement; `None` where something is lost or not known.
pub(super) fn of(form: &Form, facts: &Facts) -> Option<String> {
    match form {
        Form::CreateIndex(index) if !index.if_not_exists => {
            let name = RelationName { schema: index.table.schema.clone(), name: index.name.clone()? };
            Some(format!("DROP INDEX CONCURRENTLY {name}"))
        }
        Form::CreateTable(table) if !table.if_not_exists || is_absent(&table.name, facts) => {
            Some(format!("DROP TABLE {}", table.name))
        }
        Form::AlterTable(alter) if alter.object == Altered::Table => of_alter(alter, facts),
        Form::Rename(rename) => Some(of_rename(rename)),
        Form::Drop(dropped) => match dropped.names.as_slice() {
            [name] => definition_of_index(name, facts),
            _ => None,
        },
        _ => None,
    }
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
    let table = facts.table(&alter.target);
    let parts: Option<Vec<String>> = alter
        .parts
        .iter()
        .rev()
        .map(|part| {
            let column = |name: &str| table.and_then(|table| table.column(name));
            match &part.action {
                Action::AddColumn { column: new, if_not_exists } => {
                    let made = !if_not_exists || (table.is_some() && column(&new.name).is_none());
                    made.then(|| format!("DROP COLUMN {}", quote_identifier(&new.name)))
                }
                Action::SetNotNull(name) if !column(name).is_some_and(|it| it.not_null) => {
                    Some(format!("ALTER COLUMN {} DROP NOT NULL", quote_identifier(name)))
                }
                Action::DropNotNull(name) if column(name).is_none_or(|it| it.not_null) => {
                    Some(format!("ALTER COLUMN {} SET NOT NULL", quote_identifier(name)))
                }
                Action::SetDefault(name) | Action::DropDefault(name) => {
                    Some(match (&column(name)?.default, quote_identifier(name)) {
                        (Some(default), name) => format!("ALTER COLUMN {name} SET DEFAULT {default}"),
                        (None, name) => format!("ALTER COLUMN {name} DROP DEFAULT"),
                    })
                }
                Action::AddConstraint(constraint) => {
                    Some(format!("DROP CONSTRAINT {}", quote_identifier(constraint.name.as_ref()?)))
                }
                Action::DropConstraint { name, .. } => {
                    let definition = Some(&table?.constraint(name)?.definition)
                        .filter(|definition| !definition.is_empty())?;
                    Some(format!("ADD CONSTRAINT {} {definition}", quote_identifier(name)))
                }
                _ => None,
            }
        })
        .collect();
    let mut parts = parts?;
    // SET DEFAULT and DROP DEFAULT of one column have the same inverse.
    parts.dedup();
    Some(format!("ALTER TABLE {} {}", alter.target, parts.join(", ")))
}
