//! The tables in which migration tools keep their own books: nobody's business, whatever is done with them.

use crate::base::RelationName;
use crate::sql::form::Form;
use crate::sql::statement::Statement;

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

/// Whether a statement is about such tables and nothing else.
pub(super) fn is_about(statement: &Statement) -> bool {
    let named: Option<&RelationName> = match &statement.form {
        Form::CreateTable(table) => Some(&table.name),
        Form::CreateIndex(index) => Some(&index.table),
        Form::AlterTable(alter) => Some(&alter.target),
        Form::Write(write) => Some(&write.table),
        _ => None,
    };
    let locked = statement.locks.iter().map(|lock| &lock.name);
    let mut all = named.into_iter().chain(locked).peekable();
    all.peek().is_some() && all.all(|name| TABLES.contains(&name.name.as_str()))
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
            ("TRUNCATE schema_migrations, orders", false),
            ("DROP TABLE orders", false),
            ("SELECT 1", false),
        ] {
            let script = parse(sql.as_bytes(), Encoding::Utf8);
            assert_eq!(is_about(&script.statements[0]), expected, "{sql}");
        }
    }
}
