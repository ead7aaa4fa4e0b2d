//! What a statement says in detail, as far as the analysis of its effects asks for it: names and words, no tree.
//!
//! `Kind` tells the data plane how to treat a statement; its form tells the analysis what it would do.

mod bound;
mod expression;
mod object;
mod table;

use crate::base::RelationName;

pub use self::bound::Bound;
pub use self::expression::{Expression, FunctionName, TypeName};
pub use self::object::{
    AlterDomain, Body, Change, Dropped, DroppedObject, EnumChange, Inner, Read, Reading, Rename, Renamed,
    Runs, Unseen, Write, WriteVerb,
};
pub use self::table::{
    Action, AlterConstraint, AlterTable, Altered, Column, Constraint, ConstraintKind, CreateTable, Generated,
    Identity, Index, IndexColumn, Part, References, Using,
};

/// What a statement says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Form {
    /// Nothing that the analysis asks for beyond the kind and the locks.
    #[default]
    Plain,
    /// `CREATE INDEX`
    CreateIndex(Box<Index>),
    /// `ALTER TABLE` and its like
    AlterTable(AlterTable),
    /// `CREATE TABLE`
    CreateTable(Box<CreateTable>),
    /// `CREATE TABLE AS`, `SELECT INTO`, `CREATE MATERIALIZED VIEW`
    CreateTableAs {
        /// The relation made.
        name: RelationName,
        /// With `IF NOT EXISTS`.
        if_not_exists: bool,
        /// `TEMPORARY`
        temporary: bool,
        /// `ON COMMIT DROP`
        until_commit: bool,
        /// `WITH NO DATA`
        empty: bool,
    },
    /// `DROP`
    Drop(Dropped),
    /// `DROP DATABASE`
    DropDatabase(String),
    /// `DROP OWNED BY`: the roles.
    DropOwned(Vec<String>),
    /// `RENAME`, `SET SCHEMA`
    Rename(Rename),
    /// `TRUNCATE`
    Truncate {
        /// In the order of the text.
        tables: Vec<RelationName>,
        /// Those of them with `ONLY`, whose heirs are left alone.
        only: Vec<RelationName>,
        /// With `CASCADE`.
        cascade: bool,
    },
    /// `VACUUM FULL`; empty for the whole database.
    VacuumFull(Vec<RelationName>),
    /// `ALTER TABLE ALL IN TABLESPACE .. SET TABLESPACE`, and the same of indexes and materialized views: from where.
    MoveAll(String),
    /// `CLUSTER`
    Cluster(Option<RelationName>),
    /// `REFRESH MATERIALIZED VIEW`
    Refresh {
        /// The view.
        view: RelationName,
        /// With `CONCURRENTLY`.
        concurrently: bool,
        /// False with `WITH NO DATA`.
        data: bool,
    },
    /// `CREATE DOMAIN`
    CreateDomain {
        /// What is made.
        name: TypeName,
        /// With a CHECK or NOT NULL.
        constrained: bool,
    },
    /// `ALTER DOMAIN`
    AlterDomain(AlterDomain),
    /// `CREATE TYPE .. AS ENUM`
    CreateEnum(TypeName),
    /// `ALTER TYPE .. ADD VALUE`, `RENAME VALUE`
    AlterEnum(EnumChange),
    /// `DO`, `CREATE FUNCTION`, `CREATE PROCEDURE`
    Body(Body),
    /// `SAVEPOINT`, `RELEASE`, `ROLLBACK TO`: the savepoint's name.
    Savepoint(String),
    /// `SET CONSTRAINTS ALL IMMEDIATE` and the like: pending trigger events are done with.
    ConstraintsImmediate,
    /// `CREATE SEQUENCE`, `CREATE VIEW`, `CREATE SCHEMA`, `CREATE TRIGGER`, ..
    Make {
        /// What it makes for sure, if that is a relation.
        relation: Option<RelationName>,
        /// The statement that takes away what it makes for sure.
        back: Option<String>,
    },
}

impl Form {
    /// Whether it takes a name away from applications, or a database, without a table's lock that would tell.
    pub fn breaks_names(&self) -> bool {
        match self {
            Self::DropDatabase(_) => true,
            Self::AlterEnum(change) => change.rename,
            Self::Rename(rename) => rename.what == Renamed::Schema,
            _ => false,
        }
    }

    /// Whether it reads a whole table under a weak lock, which matters where a strong one is held already.
    pub fn validates(&self) -> bool {
        match self {
            Self::AlterTable(alter) => {
                alter.parts.iter().any(|part| matches!(part.action, Action::ValidateConstraint(_)))
            }
            _ => false,
        }
    }
}
