#![doc = include_str!("different_index.md")]

use super::{Finding, HazardSetting, Subject};
use crate::effects::facts::TableIndex;
use crate::sql::form::{Form, Index};
use crate::sql::statement::Kind;

/// The hazard's id.
pub const ID: &str = "different-index";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Warn;

/// Finds `CREATE INDEX IF NOT EXISTS` whose name is taken by something else.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let (Kind::CreateIndex(create), Form::CreateIndex(asked)) =
        (&subject.statement.kind, &subject.statement.form)
    else {
        return None;
    };
    let name = create.unless_exists.as_ref()?;
    let there = subject.facts.relation(name)?;
    let why = match (&there.index, subject.facts.relation(&asked.table)) {
        (None, _) => {
            format!("{name} is no index; Postgres only says that the name is taken, and makes none.")
        }
        (Some(index), Some(table)) if index.table != table.oid => {
            let owner =
                index.table_name.as_ref().map_or_else(|| "another table".to_owned(), ToString::to_string);
            format!("{name} belongs to {owner}; Postgres only says that the name is taken, and makes none.")
        }
        // It is built again, or is about to become valid.
        (Some(index), _) if !index.valid => return None,
        (Some(index), _) => {
            let table = subject.facts.table(&asked.table)?;
            let known = table.indexes.iter().find(|known| known.name.name == name.name)?;
            if !differs(asked, known) {
                return None;
            }
            format!(
                "What is there is \"{}\"; Postgres compares the name only, and makes no other.",
                index.definition
            )
        }
    };
    Some(Finding::warning(ID, format!("{} exists, and is not what the statement asks for", name.name), why))
}

/// Whether the two are two indexes for sure: operator classes, expressions and predicates are not compared.
fn differs(asked: &Index, known: &TableIndex) -> bool {
    let names: Vec<&String> = asked.columns.iter().filter_map(|column| column.name.as_ref()).collect();
    let expressions = names.len() < asked.columns.len() || asked.partial;
    asked.unique != known.unique
        || asked.method != known.method
        || asked.partial != known.partial
        || expressions != known.expressions
        || names != known.columns.iter().collect::<Vec<_>>()
}
