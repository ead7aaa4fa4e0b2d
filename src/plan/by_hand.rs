//! The way by hand: the statements that reach a state online, as a person would write them.
//!
//! Texts for people: names are quoted only where they must be.

use crate::base::RelationName;
use crate::base::name::{choose, written};
use crate::sql::form::{Constraint, ConstraintKind};

/// One step of the way by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandStep {
    /// A statement; what to do in words where it begins with `--`.
    pub sql: String,
    /// It must run outside a transaction block.
    pub outside: bool,
}

impl HandStep {
    /// A step that may run anywhere.
    pub fn anywhere(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), outside: false }
    }

    /// A step that may not run in a transaction block.
    pub fn outside(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), outside: true }
    }

    /// What to do, in words.
    pub fn words(words: &str) -> Self {
        Self::anywhere(format!("-- {words}"))
    }
}

/// `ALTER TABLE` with one action.
pub fn alter(table: &RelationName, action: &str) -> HandStep {
    HandStep::anywhere(format!("ALTER TABLE {} {action}", spelled(table)))
}

/// A relation's name as people write it.
pub fn spelled(name: &RelationName) -> String {
    let own = written(&name.name);
    name.schema.as_ref().map_or_else(|| own.clone(), |schema| format!("{}.{own}", written(schema)))
}

/// A string as SQL writes it.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Adds a constraint without reading the table, then reads it while others write.
///
/// `definition` begins with `CONSTRAINT name`.
pub fn add_then_validate(table: &RelationName, name: &str, definition: &str) -> Vec<HandStep> {
    vec![alter(table, &format!("ADD {definition} NOT VALID")), validate(table, name)]
}

/// Adds a foreign key to a partitioned table that takes none that is NOT VALID (before 18): each leaf gets its own, and the parent's
/// attaches them.
pub fn key_on_leaves<'a>(
    leaves: impl Iterator<Item = &'a RelationName>,
    table: &RelationName,
    name: &str,
    definition: &str,
) -> Vec<HandStep> {
    let mut steps: Vec<HandStep> =
        leaves.flat_map(|leaf| add_then_validate(leaf, name, definition)).collect();
    steps.push(HandStep::words(
        "the parent's foreign key then finds those of its partitions, and reads nothing",
    ));
    steps.push(alter(table, &format!("ADD {definition}")));
    steps
}

/// Reads a table for a constraint that is NOT VALID, while others write.
pub fn validate(table: &RelationName, name: &str) -> HandStep {
    alter(table, &format!("VALIDATE CONSTRAINT {}", written(name)))
}

/// Fills a column of the rows that are there, a range of the key at a time.
pub fn backfill(table: &str, column: &str, value: &str) -> Vec<HandStep> {
    vec![HandStep::words(&format!(
        "in batches by key, until no row is left: UPDATE {table} SET {column} = {value} WHERE {column} IS NULL AND <key range>"
    ))]
}

/// Since that version a NOT NULL is a constraint with a name, and may be NOT VALID at first.
const VERSION_NOT_NULL_NOT_VALID: u32 = 180_000;

/// Makes a column NOT NULL: by a constraint of that kind, or by way of a CHECK, which `SET NOT NULL` takes as proof (12 and
/// later). `taken` are the names of the table's constraints.
pub fn set_not_null(
    table: &RelationName,
    column: &str,
    taken: &[&str],
    server_version: u32,
) -> Vec<HandStep> {
    set_not_null_called(table, column, &choose(&[&table.name, column, "not_null"], taken), server_version)
}

/// The same with a name for the constraint.
pub fn set_not_null_called(
    table: &RelationName,
    column: &str,
    proof: &str,
    server_version: u32,
) -> Vec<HandStep> {
    let (column, quoted) = (written(column), written(proof));
    if server_version >= VERSION_NOT_NULL_NOT_VALID {
        return add_then_validate(table, proof, &format!("CONSTRAINT {quoted} NOT NULL {column}"));
    }
    let mut steps =
        add_then_validate(table, proof, &format!("CONSTRAINT {quoted} CHECK ({column} IS NOT NULL)"));
    steps.push(alter(table, &format!("ALTER COLUMN {column} SET NOT NULL")));
    steps.push(alter(table, &format!("DROP CONSTRAINT {quoted}")));
    steps
}

/// Builds a unique index while others write, and makes it a constraint.
pub fn unique_using_index(table: &RelationName, name: &str, constraint: &Constraint) -> Vec<HandStep> {
    if constraint.without_overlaps {
        return vec![HandStep::words(
            "there is no way to build the index of WITHOUT OVERLAPS while others write: do it in a quiet hour",
        )];
    }
    let list =
        |columns: &[String]| columns.iter().map(|column| written(column)).collect::<Vec<_>>().join(", ");
    let name = written(name);
    let mut index = format!(
        "CREATE UNIQUE INDEX CONCURRENTLY {name} ON {} ({})",
        spelled(table),
        list(&constraint.columns)
    );
    if !constraint.include.is_empty() {
        index = format!("{index} INCLUDE ({})", list(&constraint.include));
    }
    if constraint.nulls_not_distinct {
        index.push_str(" NULLS NOT DISTINCT");
    }
    if let Some(storage) = &constraint.storage {
        index = format!("{index} WITH ({storage})");
    }
    if let Some(tablespace) = &constraint.tablespace {
        index = format!("{index} TABLESPACE {}", written(tablespace));
    }
    let keyword = if constraint.kind == ConstraintKind::PrimaryKey { "PRIMARY KEY" } else { "UNIQUE" };
    let add = format!("ADD CONSTRAINT {name} {keyword} USING INDEX {name}{}", deferring(constraint));
    vec![HandStep::outside(index), alter(table, &add)]
}

/// A unique constraint or primary key as its table's definition has it, without its name.
pub fn key_definition(constraint: &Constraint) -> String {
    let list =
        |columns: &[String]| columns.iter().map(|column| written(column)).collect::<Vec<_>>().join(", ");
    let mut definition =
        if constraint.kind == ConstraintKind::PrimaryKey { "PRIMARY KEY" } else { "UNIQUE" }.to_owned();
    if constraint.nulls_not_distinct {
        definition.push_str(" NULLS NOT DISTINCT");
    }
    definition = format!("{definition} ({})", list(&constraint.columns));
    if !constraint.include.is_empty() {
        definition = format!("{definition} INCLUDE ({})", list(&constraint.include));
    }
    if let Some(storage) = &constraint.storage {
        definition = format!("{definition} WITH ({storage})");
    }
    if let Some(tablespace) = &constraint.tablespace {
        definition = format!("{definition} USING INDEX TABLESPACE {}", written(tablespace));
    }
    definition + deferring(constraint)
}

const fn deferring(constraint: &Constraint) -> &'static str {
    match (constraint.deferrable, constraint.initially_deferred) {
        (_, true) => " DEFERRABLE INITIALLY DEFERRED",
        (true, false) => " DEFERRABLE",
        (false, false) => "",
    }
}

/// A column that gets another type.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// Its table.
    pub table: &'a RelationName,
    /// Its name.
    pub column: &'a str,
    /// Its new type.
    pub ty: &'a str,
    /// `USING` with an expression.
    pub computed: bool,
}

/// A new column beside the old one takes its place: kept equal by a trigger, filled in batches, swapped in a moment.
pub fn through_a_new_column(change: &Change<'_>) -> Vec<HandStep> {
    let Change { table, column, ty, computed } = *change;
    let of = |last| written(&choose(&[column, last], &[]));
    let (old, new, before) = (written(column), of("new"), of("old"));
    let copy = written(&choose(&[&table.name, column, "copy"], &[]));
    let function = spelled(&RelationName {
        schema: table.schema.clone(),
        name: choose(&[&table.name, column, "copy"], &[]),
    });
    let name = spelled(table);
    let value = if computed { "<the expression of USING>".to_owned() } else { format!("{old}::{ty}") };
    // One for each: psql sends them one by one.
    let allowed = "/* lockkeeper: allow rename-column because the new one takes its name */";
    let keep = |value: &str| {
        format!(
            "CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.{new} := {value}; RETURN NEW; END $$"
        )
    };
    vec![
        alter(table, &format!("ADD COLUMN {new} {ty}")),
        if computed {
            HandStep::words(&keep("<the expression, of NEW>"))
        } else {
            HandStep::anywhere(keep(&format!("NEW.{old}")))
        },
        HandStep::anywhere(format!(
            "CREATE TRIGGER {copy} BEFORE INSERT OR UPDATE ON {name} FOR EACH ROW EXECUTE FUNCTION {function}()"
        )),
        HandStep::words(&format!(
            "in batches by key, until no row is left: UPDATE {name} SET {new} = {value} WHERE {new} IS NULL AND {old} IS \
             NOT NULL AND <key range>"
        )),
        HandStep::words(&format!(
            "build the indexes of {old} on {new} too, CONCURRENTLY; add its constraints NOT VALID and validate them; set its \
             default"
        )),
        HandStep::anywhere(format!(
            "BEGIN; DROP TRIGGER {copy} ON {name}; {allowed} ALTER TABLE {name} RENAME COLUMN {old} TO {before}; {allowed} ALTER \
             TABLE {name} RENAME COLUMN {new} TO {old}; COMMIT"
        )),
        HandStep::words(&format!(
            "when no application needs the old values: ALTER TABLE {name} DROP COLUMN {before}; DROP FUNCTION {function}()"
        )),
    ]
}
