//! The tables in which migration tools keep their own books: nobody's business, whatever is done with them.

use super::form::{Action, ConstraintKind, Form, Part};
use super::statement::{Kind, Statement};
use crate::base::RelationName;

/// Their names as the tools choose them, in whatever schema. Names that people may have given to tables of their own are not
/// among them, but for `migrations` and `schema_version`.
const TABLES: [&str; 49] = [
    // Alembic, Aerich, Django, yoyo and peewee.
    "alembic_version",
    "aerich",
    "django_migrations",
    "_yoyo_migration",
    "_yoyo_log",
    "_yoyo_version",
    "yoyo_lock",
    "migratehistory",
    // Rails, Ecto, dbmate, golang-migrate, migratus and others share the first.
    "schema_migrations",
    "schema_migrations_lock",
    "ar_internal_metadata",
    "data_migrations",
    // Flyway (the second until its fifth version, and tern), Liquibase, Play.
    "flyway_schema_history",
    "schema_version",
    "databasechangelog",
    "databasechangeloglock",
    "play_evolutions",
    "play_evolutions_lock",
    // Prisma, TypeORM, Laravel and db-migrate, Sequelize, Knex, node-pg-migrate, Drizzle, MikroORM, Kysely.
    "_prisma_migrations",
    "migrations",
    "migrations_lock",
    "migrations_state",
    "typeorm_metadata",
    "SequelizeMeta",
    "SequelizeData",
    "knex_migrations",
    "knex_migrations_lock",
    "pgmigrations",
    "__drizzle_migrations",
    "mikro_orm_migrations",
    "kysely_migration",
    "kysely_migration_lock",
    "directus_migrations",
    "strapi_migrations",
    "payload_migrations",
    // EF Core, EF, DbUp, FluentMigrator.
    "__EFMigrationsHistory",
    "__EFMigrationsLock",
    "__MigrationHistory",
    "schemaversions",
    "VersionInfo",
    // sqlx, Diesel, refinery, SeaORM.
    "_sqlx_migrations",
    "__diesel_schema_migrations",
    "refinery_schema_history",
    "seaql_migrations",
    // goose, sql-migrate, bun, Atlas.
    "goose_db_version",
    "gorp_migrations",
    "bun_migrations",
    "bun_migration_locks",
    "atlas_schema_revisions",
];

/// Names that count only in the schema that the tool makes for itself: sqitch, graphile-migrate, pgroll.
const IN_SCHEMAS: [(&str, &[&str]); 3] = [
    ("sqitch", &["changes", "dependencies", "events", "projects", "releases", "tags"]),
    ("graphile_migrate", &["migrations", "current"]),
    ("pgroll", &["migrations", "pgroll_version"]),
];

/// All of these tables, each with its schema where it counts only there.
pub fn tables() -> impl Iterator<Item = (Option<&'static str>, &'static str)> {
    let in_schemas = IN_SCHEMAS.iter().flat_map(|(schema, tables)| {
        let of_schema = |table: &&'static str| (Some(*schema), *table);
        tables.iter().map(of_schema)
    });
    TABLES.iter().map(|table| (None, *table)).chain(in_schemas)
}

/// Whether a statement is what a tool does with such tables, and does nothing else: makes them, widens them, keeps its books in
/// them, locks them against other runs. Taking them away is as grave as with any table, and may take others with it.
pub fn is_about(statement: &Statement) -> bool {
    let named: Option<&RelationName> = match &statement.form {
        Form::CreateTable(table) => Some(&table.name),
        Form::CreateIndex(index) => Some(&index.table),
        Form::AlterTable(alter) if alter.parts.iter().all(is_kept) => Some(&alter.target),
        // In the course of it everything that refers to such a table may go too.
        Form::Truncate { cascade: false, .. } => None,
        Form::Plain if !statement.writes.is_empty() || matches!(statement.kind, Kind::Lock { .. }) => None,
        _ => return false,
    };
    let locked = statement.locks.iter().map(|lock| &lock.name);
    let written = statement.writes.iter().map(|write| &write.table);
    let mut all = named.into_iter().chain(locked).chain(written).peekable();
    all.peek().is_some() && all.all(is_book)
}

/// Whether a name is that of such a table.
pub fn is_book(name: &RelationName) -> bool {
    let of_tool = |(schema, tables): &(&str, &[&str])| {
        name.schema.as_deref() == Some(*schema) && tables.contains(&name.name.as_str())
    };
    TABLES.contains(&name.name.as_str()) || IN_SCHEMAS.iter().any(of_tool)
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
            ("TRUNCATE \"public\".\"schema_migrations\"", true),
            ("LOCK \"app\".\"__EFMigrationsHistory\" IN ACCESS EXCLUSIVE MODE", true),
            ("LOCK TABLE __EFMigrationsHistory", false),
            (
                "UPDATE databasechangeloglock SET locked = true, lockedby = 'me' WHERE id = 1 AND locked = false",
                true,
            ),
            (
                "CREATE TABLE IF NOT EXISTS \"drizzle\".\"__drizzle_migrations\" (id serial PRIMARY KEY, hash text)",
                true,
            ),
            ("CREATE INDEX flyway_schema_history_s_idx ON public.flyway_schema_history (success)", true),
            ("LOCK TABLE sqitch.changes IN EXCLUSIVE MODE", true),
            ("LOCK TABLE changes IN EXCLUSIVE MODE", false),
            ("DELETE FROM graphile_migrate.migrations", true),
            ("DELETE FROM current", false),
            ("DELETE FROM other.current", false),
        ] {
            let script = parse(sql.as_bytes(), Encoding::Utf8);
            assert_eq!(is_about(&script.statements[0]), expected, "{sql}");
        }
    }
}
