//! Tables, columns, constraints and indexes as statements describe them.

use std::ops::Range;

use super::{Bound, Expression, TypeName};
use crate::base::RelationName;

/// `ALTER TABLE`
#[expect(clippy::struct_excessive_bools, reason = "words of the statement, independent of each other")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlterTable {
    /// What is altered.
    pub target: RelationName,
    /// What the statement calls it.
    pub object: Altered,
    /// With `ONLY`: its partitions and heirs are left alone.
    pub only: bool,
    /// With `IF EXISTS`.
    pub if_exists: bool,
    /// In the order of the text.
    pub parts: Vec<Part>,
}

/// What an `ALTER` is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Altered {
    /// `ALTER TABLE`, `ALTER FOREIGN TABLE`
    Table,
    /// `ALTER MATERIALIZED VIEW`
    MaterializedView,
    /// `ALTER INDEX`
    Index,
    /// `ALTER TYPE`: a composite type
    Type,
    /// `ALTER VIEW`, `ALTER SEQUENCE`, ..
    Other,
}

/// One part of an `ALTER TABLE`, as commas separate them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its place in the message's text; `None` when it cannot be told beyond doubt.
    pub span: Option<Range<usize>>,
    /// What it asks for.
    pub action: Action,
}

/// What one part asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// `ADD COLUMN`
    AddColumn {
        /// The column.
        column: Box<Column>,
        /// With `IF NOT EXISTS`.
        if_not_exists: bool,
    },
    /// `DROP COLUMN`
    DropColumn {
        /// Its name.
        column: String,
        /// With `CASCADE`.
        cascade: bool,
        /// With `IF EXISTS`.
        if_exists: bool,
    },
    /// `ALTER COLUMN .. TYPE`
    SetType {
        /// The column.
        column: String,
        /// Its new type.
        to: TypeName,
        /// With `COLLATE`.
        collate: bool,
        /// How values are carried over.
        using: Using,
    },
    /// `SET NOT NULL`
    SetNotNull(String),
    /// `DROP NOT NULL`
    DropNotNull(String),
    /// `SET DEFAULT`
    SetDefault(String),
    /// `DROP DEFAULT`
    DropDefault(String),
    /// `ADD CONSTRAINT`
    AddConstraint(Box<Constraint>),
    /// `VALIDATE CONSTRAINT`
    ValidateConstraint(String),
    /// `DROP CONSTRAINT`
    DropConstraint {
        /// Its name.
        name: String,
        /// With `CASCADE`.
        cascade: bool,
        /// With `IF EXISTS`.
        if_exists: bool,
    },
    /// `ALTER CONSTRAINT`
    AlterConstraint(AlterConstraint),
    /// `ALTER COLUMN .. SET EXPRESSION`
    SetExpression(String),
    /// `ALTER COLUMN .. DROP EXPRESSION`
    DropExpression(String),
    /// `ATTACH PARTITION`
    Attach {
        /// The table that becomes a partition.
        child: RelationName,
        /// What it is to hold.
        bound: Bound,
        /// `DEFAULT`
        default: bool,
    },
    /// `DETACH PARTITION`
    Detach {
        /// The partition.
        child: RelationName,
        /// With `CONCURRENTLY`.
        concurrently: bool,
        /// With `FINALIZE`.
        finalize: bool,
    },
    /// `SET TABLESPACE`
    SetTablespace(String),
    /// `SET LOGGED` (true), `SET UNLOGGED` (false)
    SetLogged(bool),
    /// `SET ACCESS METHOD`; `None` for DEFAULT
    SetAccessMethod(Option<String>),
    /// Anything that only the catalogue's own rows feel.
    Brief,
}

/// How `ALTER COLUMN .. TYPE` carries values over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Using {
    /// By the cast of the two types.
    Cast,
    /// `USING column`: the same.
    SameColumn,
    /// By an expression, which always rewrites (`ATColumnChangeRequiresRewrite` in `tablecmds.c`).
    Expression,
}

/// `ALTER CONSTRAINT`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlterConstraint {
    /// Its name.
    pub name: String,
    /// `ENFORCED` (true), `NOT ENFORCED` (false), or nothing said about it.
    pub enforced: Option<bool>,
}

/// A column as `CREATE TABLE` and `ADD COLUMN` define it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: TypeName,
    /// `DEFAULT`
    pub default: Option<Expression>,
    /// `GENERATED ALWAYS AS (..)`
    pub generated: Option<Generated>,
    /// `GENERATED .. AS IDENTITY`
    pub identity: bool,
    /// `NOT NULL` and whatever else is said about it.
    pub constraints: Vec<Constraint>,
}

/// How a generated column comes by its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generated {
    /// Written to disk.
    Stored,
    /// Computed when read (18).
    Virtual,
}

/// What a constraint demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConstraintKind {
    /// `NOT NULL`
    NotNull,
    /// `CHECK`
    Check,
    /// `UNIQUE`
    Unique,
    /// `PRIMARY KEY`
    PrimaryKey,
    /// `REFERENCES`, `FOREIGN KEY`
    Foreign,
    /// `EXCLUDE`
    Exclusion,
}

/// A constraint of a table or of a column.
#[expect(clippy::struct_excessive_bools, reason = "words of the statement, independent of each other")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constraint {
    /// The name given, if any.
    pub name: Option<String>,
    /// What it demands.
    pub kind: ConstraintKind,
    /// The columns that it names; that of the column it stands at; of an EXCLUDE, what its elements are called.
    pub columns: Vec<String>,
    /// For a foreign key.
    pub references: Option<References>,
    /// `USING INDEX`
    pub using_index: Option<String>,
    /// `INCLUDE`
    pub include: Vec<String>,
    /// `NOT VALID`
    pub not_valid: bool,
    /// `NOT ENFORCED` (18)
    pub not_enforced: bool,
    /// `DEFERRABLE`
    pub deferrable: bool,
    /// `INITIALLY DEFERRED`
    pub initially_deferred: bool,
    /// `NULLS NOT DISTINCT` (15)
    pub nulls_not_distinct: bool,
    /// `WITHOUT OVERLAPS` (18)
    pub without_overlaps: bool,
    /// What stands between the parentheses of `WITH` for its index.
    pub storage: Option<String>,
    /// `USING INDEX TABLESPACE`
    pub tablespace: Option<String>,
    /// Its place in the message's text, from `CONSTRAINT` or its first word to its last; `None` when it cannot be told.
    pub span: Option<Range<usize>>,
    /// The expression of a CHECK, without the parentheses.
    pub expression: Option<Expression>,
    /// The columns that it proves to hold no null: those of a NOT NULL, those of `c IS NOT NULL` in a CHECK.
    pub proves: Vec<String>,
}

/// What a foreign key refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct References {
    /// The table.
    pub table: RelationName,
    /// Its columns; empty for its primary key.
    pub columns: Vec<String>,
}

/// `CREATE TABLE`
#[expect(clippy::struct_excessive_bools, reason = "words of the statement, independent of each other")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateTable {
    /// What is made.
    pub name: RelationName,
    /// `TEMPORARY`
    pub temporary: bool,
    /// `ON COMMIT DROP`
    pub until_commit: bool,
    /// With `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// `PARTITION OF`
    pub partition_of: Option<RelationName>,
    /// `PARTITION OF .. DEFAULT`
    pub default_partition: bool,
    /// `PARTITION BY`
    pub partitioned: bool,
    /// In the order of the text.
    pub columns: Vec<Column>,
    /// Those of the table as a whole.
    pub constraints: Vec<Constraint>,
}

/// `CREATE INDEX`
#[expect(clippy::struct_excessive_bools, reason = "words of the statement, independent of each other")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// The name given, if any.
    pub name: Option<String>,
    /// The table.
    pub table: RelationName,
    /// `UNIQUE`
    pub unique: bool,
    /// `CONCURRENTLY`
    pub concurrently: bool,
    /// `IF NOT EXISTS`
    pub if_not_exists: bool,
    /// `ON ONLY`
    pub only: bool,
    /// `btree` when nothing is said.
    pub method: String,
    /// In the order of the text, without those of INCLUDE.
    pub columns: Vec<IndexColumn>,
    /// `INCLUDE`
    pub include: Vec<String>,
    /// With `WHERE`.
    pub partial: bool,
}

/// One column of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexColumn {
    /// `None` for an expression.
    pub name: Option<String>,
    /// What Postgres calls it in the names that it picks.
    pub label: String,
    /// Without operator class, collation, order: what a constraint can use.
    pub plain: bool,
}
