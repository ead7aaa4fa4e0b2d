//! The tables in which migration tools keep their own books: nobody's business, whatever is done with them.

use crate::base::RelationName;
use crate::sql::form::{Action, ConstraintKind, Form, Part};
use crate::sql::statement::{Kind, Statement};

/// Their names, by tool: Alembic, Django, Rails and others, Flyway, Prisma, EF Core, Knex, sqlx, Diesel, goose and `Sequelize`.
const TABLES: [&str; 16] = [
    "alembic_version",
    "django_migrations",
    "schema_migrations",
    "ar_internal_metadata",
    "flyway_schema_history",
    "_prisma_migrations",
    "__EFMigrationsHistory",
    "databasechangelog",
    "databasechangeloglock",
    "knex_migrations",
    "knex_migrations_lock",
    "_sqlx_migrations",
    "__diesel_schema_migrations",
    "goose_db_version",
    "pgmigrations",
    "SequelizeMeta",
];

/// Whether a statement is what a tool does with such tables, and does nothing else: makes them, widens them, keeps its books in
/// them, locks them against other runs. Taking them away is as grave as with any table, and may take others with it.
pub(super) fn is_about(statement: &Statement) -> bool {
    let named: Option<&RelationName> = match &statement.form {
        Form::CreateTable(table) => Some(&table.name),
        Form::CreateIndex(index) => Some(&index.table),
        Form::AlterTable(alter) if alter.parts.iter().all(is_kept) => Some(&alter.target),
        Form::Plain if !statement.writes.is_empty() || matches!(statement.kind, Kind::Lock { .. }) => None,
        _ => return false,
    };
    let locked = statement.locks.iter().map(|lock| &lock.name);
    let written = statement.writes.iter().map(|write| &write.table);
    let mut all = named.into_iter().chain(locked).chain(written).peekable();
    all.peek().is_some() && all.all(|name| TABLES.contains(&name.name.as_str()))
}

/// Whether a part of an `ALTER TABLE` is one of those that tools need.
fn is_kept(part: &Part) -> bool {
    match &part.action {
        Action::AddColumn { .. } | Action::SetType { .. } | Action::SetDefault { .. } => true,
        Action::AddConstraint(constraint) => constraint.kind != ConstraintKind::Foreign,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Encoding, parse};

    #[test]
    fn books_are_told_from_tables() {
        for (sql, expected) in [
            ("CREATE TABLE alembic_version (version_num varchar(32))", true),
            ("UPDATE app.alembic_version SET version_num = 'b'", true),
            ("ALTER TABLE \"__EFMigrationsHistory\" ADD COLUMN a int", true),
            ("LOCK TABLE schema_migrations IN SHARE UPDATE EXCLUSIVE MODE", true),
            ("DELETE FROM alembic_version", true),
            ("INSERT INTO schema_migrations VALUES (1)", true),
            ("TRUNCATE schema_migrations, orders", false),
            ("TRUNCATE schema_migrations CASCADE", false),
            ("DROP TABLE alembic_version CASCADE", false),
            ("WITH d AS (DELETE FROM orders RETURNING a) INSERT INTO alembic_version SELECT a FROM d", false),
            ("WITH d AS (SELECT 'b') INSERT INTO alembic_version SELECT * FROM d", true),
            ("WITH d AS (DELETE FROM orders) UPDATE alembic_version SET version_num = 'b'", false),
            ("ALTER TABLE alembic_version ADD FOREIGN KEY (a) REFERENCES orders", false),
            ("ALTER TABLE alembic_version ALTER COLUMN version_num TYPE varchar(128)", true),
            ("ALTER TABLE alembic_version RENAME TO orders", false),
            ("DROP TABLE orders", false),
            ("SELECT 1", false),
        ] {
            let script = parse(sql.as_bytes(), Encoding::Utf8);
            assert_eq!(is_about(&script.statements[0]), expected, "{sql}");
        }
    }
}
