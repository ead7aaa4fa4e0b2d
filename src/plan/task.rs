//! A deferred task: which statement its text may be, and how to tell that what it asks for is there already.
//!
//! Whoever may write into a database's queue decides what stands there, so that its text is read again before it is run.

use thiserror::Error;

use crate::base::RelationName;
use crate::base::name::choose;
use crate::base::relation::quote_literal;
use crate::effects::facts::Oid;
use crate::sql::form::{
    Action, AlterTable, Column, Constraint, ConstraintKind, DroppedObject, Form, Part, Rename, Renamed,
};
use crate::sql::statement::{Readable, Statement};
use crate::sql::{Dialect, parse};

/// What may be deferred: it changes the schema or reads the whole of a table, and leaves no trace in the session.
const DEFERRABLE: &[&str] = &[
    "ALTER DOMAIN",
    "ALTER FOREIGN TABLE",
    "ALTER INDEX",
    "ALTER MATERIALIZED VIEW",
    "ALTER POLICY",
    "ALTER SEQUENCE",
    "ALTER TABLE",
    "ALTER TRIGGER",
    "ALTER TYPE",
    "ALTER VIEW",
    "ANALYZE",
    "COMMENT",
    "CREATE INDEX",
    "CREATE MATERIALIZED VIEW",
    "CREATE POLICY",
    "CREATE STATISTICS",
    "CREATE TABLE",
    "CREATE TRIGGER",
    "CREATE VIEW",
    "DELETE",
    "DROP INDEX",
    "DROP MATERIALIZED VIEW",
    "DROP POLICY",
    "DROP SEQUENCE",
    "DROP STATISTICS",
    "DROP TABLE",
    "DROP TRIGGER",
    "DROP VIEW",
    "REFRESH MATERIALIZED VIEW",
    "REINDEX",
    "UPDATE",
];

/// Why a text is not run.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unfit {
    /// It is no single statement that can be read.
    #[error("its text is not one statement that can be read")]
    NotOne,
    /// It is a statement that no transaction defers.
    #[error("{0} is nothing that is deferred")]
    Kind(&'static str),
}

/// The one statement that a task may be.
pub fn statement(sql: &str, dialect: Dialect) -> Result<Statement, Unfit> {
    let mut script = parse(sql.as_bytes(), dialect);
    let only = script.statements.pop().filter(|_| script.statements.is_empty());
    match only {
        Some(statement) if script.readable == Readable::Whole => {
            if is_deferrable(&statement) {
                Ok(statement)
            } else {
                Err(Unfit::Kind(statement.tag))
            }
        }
        _ => Err(Unfit::NotOne),
    }
}

/// The text that is sent for a task: rows are written in batches however few are left of them, so that none is written twice.
pub fn to_run(sql: &[u8], tag: &str) -> Vec<u8> {
    let before: &[u8] = if matches!(tag, "UPDATE" | "DELETE") { GO_ON.as_bytes() } else { b"" };
    [before, sql].concat()
}

/// What stands before the text of a task that writes rows.
pub const GO_ON: &str = "/* lockkeeper: bulk_rows = 1 */ ";

/// Whether a statement is one that may be deferred.
pub fn is_deferrable(statement: &Statement) -> bool {
    DEFERRABLE.contains(&statement.tag)
}

/// A relation that a statement of a queue names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// As it is written there.
    pub name: RelationName,
    /// Its oid when the statement was queued; that of its table for an index, which may be built again meanwhile.
    pub oid: Oid,
}

/// What each name of an object of JSON means now, and whether what it meant is still there; its values are oids, for an index that of
/// its table.
pub const MEANT: &str = "SELECT a.key, a.value, coalesce(i.indrelid, c.oid)::pg_catalog.text, \
     EXISTS (SELECT 1 FROM pg_catalog.pg_class o WHERE o.oid OPERATOR(pg_catalog.=) a.value::pg_catalog.oid)::pg_catalog.text \
     FROM pg_catalog.jsonb_each_text($1::pg_catalog.text::pg_catalog.jsonb) a \
     LEFT JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(a.key)::pg_catalog.oid \
     LEFT JOIN pg_catalog.pg_index i ON i.indexrelid OPERATOR(pg_catalog.=) c.oid";

/// Whether a statement of a queue still means what it meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// It does, as far as is known.
    Same,
    /// What it is about is gone, and nothing has taken its name.
    Gone,
    /// Something else has this name by now.
    Other(String),
}

impl Meaning {
    /// Of the rows of `MEANT`.
    pub fn of(rows: &[[Option<String>; 4]]) -> Self {
        let other =
            |row: &&[Option<String>; 4]| matches!(row, [_, then, now, _] if now.is_some() && now != then);
        let gone = |row: &[Option<String>; 4]| matches!(row, [.., None, Some(there)] if there == "false");
        if let Some([Some(name), ..]) = rows.iter().find(other) {
            return Self::Other(name.clone());
        }
        if !rows.is_empty() && rows.iter().all(gone) { Self::Gone } else { Self::Same }
    }
}

/// A question whose answer is true where what the statement asks for is there already; `None` where that cannot be told, or where
/// running it again does no harm.
///
/// To be asked only of a task that was begun before: what somebody else has made under the same name is no answer.
pub fn done(statement: &Statement) -> Option<String> {
    let condition = match &statement.form {
        Form::AlterTable(alter) => altered(alter)?,
        Form::CreateIndex(index) if !index.if_not_exists => format!(
            "EXISTS (SELECT FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid \
             WHERE i.indrelid = {} AND c.relname = {} AND i.indisvalid)",
            number(&index.table),
            quote_literal(index.name.as_ref()?)
        ),
        Form::CreateTable(table) if !table.if_not_exists => format!("{} IS NOT NULL", number(&table.name)),
        Form::Drop(drop) if !drop.if_exists && is_relation(drop.object) => {
            let gone = |name| format!("{} IS NULL", number(name));
            drop.names.iter().map(gone).collect::<Vec<_>>().join(" AND ")
        }
        Form::Rename(rename) => renamed(rename)?,
        Form::Make { relation: Some(name), .. } | Form::CreateTableAs { name, if_not_exists: false, .. } => {
            format!("{} IS NOT NULL", number(name))
        }
        _ => return None,
    };
    Some(format!("SELECT ({condition}) IS TRUE"))
}

/// What a session that was cut off may have left of such a statement, and what is done about it before it is run again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mend {
    /// A question whose rows are statements that mend it, if there is anything to mend.
    pub question: String,
    /// How it goes on.
    pub then: Then,
}

/// How it goes on once something was mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// What the statement asks for is there.
    Finished,
    /// The statement is run again.
    Again,
}

/// To be asked only where the session that ran the statement is gone: what stands in the way then is its own work.
pub fn mend(statement: &Statement) -> Option<Mend> {
    let (question, then) = match &statement.form {
        Form::AlterTable(alter) => match alter.parts.as_slice() {
            [Part { action: Action::AddConstraint(constraint), .. }] => added_in_part(alter, constraint)?,
            [Part { action: Action::AddColumn { column, .. }, .. }] => {
                (filled_in_part(&alter.target, &column.name), Then::Again)
            }
            _ => return None,
        },
        // With IF NOT EXISTS Postgres is content with one that is invalid.
        Form::CreateIndex(index) => {
            let name = quote_literal(index.name.as_ref()?);
            (index_away(&index.table, &name, "NOT i.indisvalid"), Then::Again)
        }
        _ => return None,
    };
    Some(Mend { question, then })
}

fn added_in_part(alter: &AlterTable, constraint: &Constraint) -> Option<(String, Then)> {
    let table = number(&alter.target);
    match (constraint.kind, &constraint.name) {
        (ConstraintKind::Unique | ConstraintKind::PrimaryKey, name) if constraint.using_index.is_none() => {
            let key = constraint.kind == ConstraintKind::PrimaryKey;
            let chosen = || key.then(|| choose(&[&alter.target.name, "pkey"], &[]));
            let name = quote_literal(&name.clone().or_else(chosen)?);
            let columns: Vec<_> = constraint.columns.iter().map(|column| quote_literal(column)).collect();
            let same = format!(
                "i.indisunique AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conindid = i.indexrelid) \
                 AND ARRAY[{}]::text[] = (SELECT pg_catalog.array_agg(a.attname::text ORDER BY o.n) \
                 FROM pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY o (k, n) \
                 JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = o.k WHERE o.n <= i.indnkeyatts)",
                columns.join(", ")
            );
            Some((index_away(&alter.target, &name, &same), Then::Again))
        }
        (ConstraintKind::Check | ConstraintKind::Foreign | ConstraintKind::NotNull, Some(name))
            if !constraint.not_valid && !constraint.not_enforced =>
        {
            let question = format!(
                "SELECT pg_catalog.format('ALTER TABLE %s VALIDATE CONSTRAINT %I', k.conrelid::pg_catalog.regclass, k.conname) \
                 FROM pg_catalog.pg_constraint k WHERE k.conrelid = {table} AND k.conname = {} AND NOT k.convalidated",
                quote_literal(name)
            );
            Some((question, Then::Finished))
        }
        _ => None,
    }
}

fn index_away(table: &RelationName, name: &str, condition: &str) -> String {
    format!(
        "SELECT pg_catalog.format('DROP INDEX CONCURRENTLY IF EXISTS %s', i.indexrelid::pg_catalog.regclass) \
         FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid \
         WHERE i.indrelid = {} AND c.relname = {name} AND {condition}",
        number(table)
    )
}

/// By its comment a column that was being filled is known beyond doubt.
fn filled_in_part(table: &RelationName, column: &str) -> String {
    format!(
        "SELECT pg_catalog.format('/* lockkeeper: allow drop-column because it was never filled */ ALTER TABLE %s DROP COLUMN %I', \
         a.attrelid::pg_catalog.regclass, a.attname) FROM pg_catalog.pg_attribute a \
         JOIN pg_catalog.pg_description d ON d.objoid = a.attrelid AND d.objsubid = a.attnum \
         WHERE a.attrelid = {} AND a.attname = {} AND d.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass \
         AND d.description ~ '^lockkeeper fills this column, process [0-9]+$'",
        number(table),
        quote_literal(column)
    )
}

const fn is_relation(object: DroppedObject) -> bool {
    matches!(
        object,
        DroppedObject::Table
            | DroppedObject::Index
            | DroppedObject::Sequence
            | DroppedObject::View
            | DroppedObject::MaterializedView
    )
}

/// The old name is gone, and the new one is there.
fn renamed(rename: &Rename) -> Option<String> {
    let Rename { what, target, from, to } = rename;
    let table = number(target);
    let (old, new) = match what {
        Renamed::Table | Renamed::Index | Renamed::Sequence => {
            let new = RelationName { name: to.clone(), ..target.clone() };
            (format!("{table} IS NOT NULL"), format!("{} IS NOT NULL", number(&new)))
        }
        Renamed::Column => (has_column(&table, from, ""), has_column(&table, to, "")),
        Renamed::Constraint => (has_constraint(&table, from, ""), has_constraint(&table, to, "")),
        Renamed::Attribute | Renamed::TableSchema | Renamed::Schema => return None,
    };
    Some(format!("NOT {old} AND {new}"))
}

fn altered(alter: &AlterTable) -> Option<String> {
    let table = number(&alter.target);
    let of = |part: &Part| part_done(&table, &part.action);
    let parts = alter.parts.iter().map(of).collect::<Option<Vec<_>>>()?;
    (!parts.is_empty()).then(|| parts.join(" AND "))
}

fn part_done(table: &str, action: &Action) -> Option<String> {
    match action {
        Action::AddColumn { column, .. } => Some(column_added(table, column)),
        Action::DropColumn { column, .. } => {
            Some(format!("{table} IS NOT NULL AND NOT {}", has_column(table, column, "")))
        }
        Action::SetNotNull(column) => Some(has_column(table, column, " AND a.attnotnull")),
        Action::AddConstraint(constraint) => constraint_added(table, constraint),
        Action::ValidateConstraint(name) => Some(has_constraint(table, name, " AND k.convalidated")),
        Action::DropConstraint { name, .. } => {
            Some(format!("{table} IS NOT NULL AND NOT {}", has_constraint(table, name, "")))
        }
        Action::Attach { child, .. } => Some(is_part(table, child)),
        Action::Detach { child, .. } => {
            Some(format!("{} IS NOT NULL AND NOT {}", number(child), is_part(table, child)))
        }
        _ => None,
    }
}

/// The column is there with all that is said of it, and nobody is filling it.
fn column_added(table: &str, column: &Column) -> String {
    let filled = "d.description ~ '^lockkeeper fills this column'";
    let mut all = vec![
        has_column(table, &column.name, ""),
        format!(
            "NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a \
             JOIN pg_catalog.pg_description d ON d.objoid = a.attrelid AND d.objsubid = a.attnum \
             WHERE a.attrelid = {table} AND a.attname = {name} AND d.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND {filled}) \
             AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_attribute a \
             ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey) \
             WHERE k.conrelid = {table} AND a.attname = {name} AND NOT k.convalidated)",
            name = quote_literal(&column.name)
        ),
    ];
    for constraint in &column.constraints {
        all.push(match (constraint.kind, &constraint.name) {
            (ConstraintKind::NotNull, _) => has_column(table, &column.name, " AND a.attnotnull"),
            (_, Some(name)) => has_constraint(table, name, ""),
            (kind, None) => format!(
                "EXISTS (SELECT FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_attribute a \
                 ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey) \
                 WHERE k.conrelid = {table} AND a.attname = {} AND k.contype = '{}')",
                quote_literal(&column.name),
                letter(kind)
            ),
        });
    }
    all.join(" AND ")
}

/// `contype` in `pg_constraint`.
const fn letter(kind: ConstraintKind) -> char {
    match kind {
        ConstraintKind::NotNull => 'n',
        ConstraintKind::Check => 'c',
        ConstraintKind::Unique => 'u',
        ConstraintKind::PrimaryKey => 'p',
        ConstraintKind::Foreign => 'f',
        ConstraintKind::Exclusion => 'x',
    }
}

fn constraint_added(table: &str, constraint: &Constraint) -> Option<String> {
    let name = constraint.name.as_ref().or(constraint.using_index.as_ref());
    let valid = if constraint.not_valid || constraint.not_enforced { "" } else { " AND k.convalidated" };
    match (constraint.kind, name) {
        (_, Some(name)) => Some(has_constraint(table, name, valid)),
        // There is one at most.
        (ConstraintKind::PrimaryKey, None) => Some(format!(
            "EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conrelid = {table} AND k.contype = 'p')"
        )),
        _ => None,
    }
}

fn number(name: &RelationName) -> String {
    format!("pg_catalog.to_regclass({})", quote_literal(&name.to_string()))
}

fn has_column(table: &str, column: &str, more: &str) -> String {
    format!(
        "EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = {table} AND a.attname = {} AND NOT a.attisdropped{more})",
        quote_literal(column)
    )
}

fn has_constraint(table: &str, name: &str, more: &str) -> String {
    format!(
        "EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conrelid = {table} AND k.conname = {}{more})",
        quote_literal(name)
    )
}

fn is_part(table: &str, child: &RelationName) -> String {
    format!(
        "EXISTS (SELECT FROM pg_catalog.pg_inherits h WHERE h.inhrelid = {} AND h.inhparent = {table})",
        number(child)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(sql: &str) -> Result<Statement, Unfit> {
        statement(sql, Dialect::default())
    }

    #[test]
    fn one_statement_that_may_be_deferred() {
        for sql in [
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a)",
            "ALTER TABLE t VALIDATE CONSTRAINT c;",
            "REINDEX INDEX CONCURRENTLY i",
            "DROP INDEX CONCURRENTLY IF EXISTS i",
            "REFRESH MATERIALIZED VIEW CONCURRENTLY v",
        ] {
            assert!(read(sql).is_ok(), "{sql}");
        }
        for sql in [
            "SET ROLE postgres",
            "RESET ROLE",
            "DO $$BEGIN END$$",
            "CALL p()",
            "SELECT f()",
            "COPY t TO PROGRAM 'sh'",
            "COMMIT",
            "LOCK TABLE t",
            "SET lockkeeper.mode = 'off'",
            "DISCARD ALL",
            "ALTER SYSTEM SET fsync = off",
            "CREATE EXTENSION x",
            "ALTER ROLE a SUPERUSER",
        ] {
            assert!(matches!(read(sql), Err(Unfit::Kind(_))), "{sql}: {:?}", read(sql));
        }
        for sql in ["", ";", "nonsense", "DROP INDEX i; RESET ROLE", "DROP INDEX i; DROP INDEX i"] {
            assert_eq!(read(sql), Err(Unfit::NotOne), "{sql}");
        }
        let escaped = "COMMENT ON TABLE t IS 'a\\'; RESET ROLE; --'";
        assert_eq!(read(escaped), Err(Unfit::NotOne));
        let dialect = Dialect { standard_conforming_strings: false, ..Dialect::default() };
        assert!(statement(escaped, dialect).is_ok());
    }

    #[test]
    fn only_what_the_catalogue_can_tell_is_asked() {
        let asked = |sql: &str| done(&read(sql).expect("deferrable")).is_some();
        for sql in [
            "ALTER TABLE t ADD CONSTRAINT c UNIQUE (a)",
            "ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0), VALIDATE CONSTRAINT d",
            "ALTER TABLE t ADD PRIMARY KEY (a)",
            "ALTER TABLE t ADD COLUMN c serial UNIQUE",
            "CREATE INDEX i ON t (a)",
            "DROP INDEX CONCURRENTLY i",
            "ALTER INDEX i RENAME TO j",
            "CREATE VIEW v AS SELECT 1",
            "CREATE MATERIALIZED VIEW v AS SELECT 1",
            "ALTER TABLE t RENAME CONSTRAINT c TO d",
        ] {
            assert!(asked(sql), "{sql}");
        }
        for sql in [
            "ALTER TABLE t ADD UNIQUE (a)",
            "ALTER TABLE t ADD CONSTRAINT c UNIQUE (a), ALTER a SET DEFAULT 1",
            "CREATE INDEX ON t (a)",
            "CREATE INDEX IF NOT EXISTS i ON t (a)",
            "DROP INDEX IF EXISTS i",
            "CREATE OR REPLACE VIEW v AS SELECT 1",
            "REINDEX TABLE t",
        ] {
            assert!(!asked(sql), "{sql}");
        }
    }

    #[test]
    fn what_is_left_in_part_is_mended() {
        let mended = |sql: &str| mend(&read(sql).expect("deferrable")).map(|it| it.then);
        for (sql, then) in [
            ("ALTER TABLE t ADD CONSTRAINT c UNIQUE (a)", Some(Then::Again)),
            ("ALTER TABLE t ADD PRIMARY KEY (a)", Some(Then::Again)),
            ("ALTER TABLE t ADD COLUMN c serial", Some(Then::Again)),
            ("CREATE INDEX i ON t (a)", Some(Then::Again)),
            ("ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0)", Some(Then::Finished)),
            ("ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0) NOT VALID", None),
            ("ALTER TABLE t ADD UNIQUE (a)", None),
            ("ALTER TABLE t ADD CONSTRAINT c UNIQUE USING INDEX i", None),
            ("ALTER TABLE t VALIDATE CONSTRAINT c", None),
            ("CREATE INDEX IF NOT EXISTS i ON t (a)", Some(Then::Again)),
            ("CREATE INDEX ON t (a)", None),
        ] {
            assert_eq!(mended(sql), then, "{sql}");
        }
    }
}
