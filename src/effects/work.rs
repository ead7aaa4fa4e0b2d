//! What a statement does while it holds its locks, and what it takes away.

use crate::base::{LockMode, RelationName};

/// One piece of work whose time grows with the size of a relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// What is done.
    pub task: Task,
    /// What asks for it.
    pub cause: Cause,
    /// What is read or written, as the statement or the catalogue names it.
    pub relation: RelationName,
    /// The lock that is held on it meanwhile.
    pub under: LockMode,
    /// Which part of an `ALTER TABLE` it is, counted from 0.
    pub part: usize,
    /// Whether other sessions can meet the lock.
    pub exposed: bool,
    /// The size of what is read, in bytes; `None` when unknown.
    pub bytes: Option<u64>,
}

/// What is done with a relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    /// Every row is read.
    Scan,
    /// Every row is read, and an index is made of it.
    BuildIndex,
    /// Every row is written again, and every index built again.
    Rewrite,
}

/// What asks for work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// `CREATE INDEX`
    Index,
    /// `REINDEX`
    Reindex,
    /// `ADD CHECK`
    Check,
    /// `ADD COLUMN .. CHECK`
    ColumnCheck,
    /// `ADD FOREIGN KEY`
    ForeignKey,
    /// `ADD COLUMN .. REFERENCES` with a default
    ColumnReference,
    /// `ADD UNIQUE`
    Unique,
    /// `ADD COLUMN .. UNIQUE`, `ADD COLUMN .. PRIMARY KEY`
    ColumnUnique,
    /// `ADD PRIMARY KEY`
    PrimaryKey,
    /// `PRIMARY KEY USING INDEX` on columns that may be null
    NullableKey,
    /// `ADD EXCLUDE`
    Exclusion,
    /// `SET NOT NULL`
    NotNull,
    /// `VALIDATE CONSTRAINT`
    Validation,
    /// `ALTER CONSTRAINT .. ENFORCED`
    Enforcement,
    /// `ADD COLUMN .. DEFAULT random()`
    VolatileDefault,
    /// `ADD COLUMN .. serial`
    Serial,
    /// `ADD COLUMN .. GENERATED AS IDENTITY`
    Identity,
    /// `ADD COLUMN .. GENERATED ALWAYS AS (..) STORED`
    Stored,
    /// `ADD COLUMN` of a domain with constraints
    ConstrainedDomain,
    /// `ALTER COLUMN .. TYPE`
    TypeChange,
    /// a CHECK on a column whose type changes
    TypeCheck,
    /// an index on a column whose type changes
    TypeIndex,
    /// a foreign key that refers to a column whose type changes
    TypeReference,
    /// `SET EXPRESSION`
    Expression,
    /// `SET TABLESPACE`, `SET LOGGED`, `SET ACCESS METHOD`
    Storage,
    /// `ATTACH PARTITION`
    Attach,
    /// `DETACH PARTITION` from a parent that others refer to
    Detach,
    /// the default partition beside a new one
    DefaultPartition,
    /// `ALTER DOMAIN .. ADD CONSTRAINT`
    Domain,
    /// `VACUUM FULL`
    VacuumFull,
    /// `CLUSTER`
    Cluster,
    /// `REFRESH MATERIALIZED VIEW`
    Refresh,
}

/// What a statement destroys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loss {
    /// A table with its rows.
    Table(RelationName),
    /// A column.
    Column {
        /// Its table.
        table: RelationName,
        /// Its name.
        column: String,
    },
    /// All rows of a table.
    Rows(RelationName),
    /// Whatever needs a type or an extension, columns among it.
    Needing(RelationName),
    /// A schema and what is in it.
    Schema(RelationName),
    /// All that some roles own, by name.
    Owned(String),
    /// A database.
    Database(String),
}
