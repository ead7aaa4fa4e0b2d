//! Other objects as statements name them: what is dropped, renamed, written to, and bodies of code.

use super::TypeName;
use crate::base::RelationName;
use crate::sql::directive::Directive;
use crate::sql::statement::Script;

/// `DROP`
#[expect(clippy::struct_excessive_bools, reason = "words of the statement, independent of each other")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// What kind of thing.
    pub object: DroppedObject,
    /// Their names, in the order of the text; for a trigger, rule or policy, its table's.
    pub names: Vec<RelationName>,
    /// With `CASCADE`.
    pub cascade: bool,
    /// With `IF EXISTS`.
    pub if_exists: bool,
    /// With `CONCURRENTLY`.
    pub concurrently: bool,
}

/// What kind of thing is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DroppedObject {
    /// `DROP TABLE`, `DROP FOREIGN TABLE`
    Table,
    /// `DROP INDEX`
    Index,
    /// `DROP SEQUENCE`
    Sequence,
    /// `DROP VIEW`
    View,
    /// `DROP MATERIALIZED VIEW`
    MaterializedView,
    /// `DROP SCHEMA`: the names are those of schemas.
    Schema,
    /// `DROP TYPE`, `DROP DOMAIN`
    Type,
    /// `DROP EXTENSION`
    Extension,
    /// Anything else
    Other,
}

/// `RENAME`, `SET SCHEMA`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rename {
    /// What is renamed.
    pub what: Renamed,
    /// The relation that it is or belongs to; for a schema or type, its name.
    pub target: RelationName,
    /// What it is called now: a column, a constraint; the relation's own name otherwise.
    pub from: String,
    /// What it is to be called; the schema for `SET SCHEMA`.
    pub to: String,
}

/// What is renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renamed {
    /// `RENAME TO`
    Table,
    /// `RENAME COLUMN`
    Column,
    /// `ALTER TYPE .. RENAME ATTRIBUTE`
    Attribute,
    /// `ALTER TABLE .. SET SCHEMA`
    TableSchema,
    /// `ALTER SCHEMA .. RENAME`
    Schema,
    /// An index: nothing that queries name.
    Index,
    /// A constraint, likewise.
    Constraint,
    /// A sequence.
    Sequence,
}

/// `ALTER DOMAIN`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlterDomain {
    /// The domain.
    pub domain: TypeName,
    /// What it asks for.
    pub change: Change,
}

/// What an `ALTER DOMAIN` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// `ADD CONSTRAINT`, `VALIDATE CONSTRAINT`, `SET NOT NULL`: every user of the domain is read.
    Checks,
    /// `ADD CONSTRAINT .. NOT VALID`
    ChecksLater,
    /// Nothing is read.
    Quiet,
}

/// `ALTER TYPE .. ADD VALUE`, `RENAME VALUE`
#[expect(clippy::struct_excessive_bools, reason = "words of the statement, independent of each other")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnumChange {
    /// The type.
    pub ty: TypeName,
    /// The value that is new.
    pub value: String,
    /// `RENAME VALUE` rather than `ADD VALUE`
    pub rename: bool,
    /// With `BEFORE` or `AFTER`.
    pub placed: bool,
}

/// A table that a statement only looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// The table.
    pub table: RelationName,
    /// How.
    pub how: Reading,
}

/// How a table is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// A query reads its rows.
    Rows,
    /// A query reads its rows with `FOR UPDATE`, `FOR SHARE` and the like.
    LockedRows,
    /// What would be written by a statement that is only explained.
    Explained,
    /// Its definition: `LIKE`, `OWNED BY`.
    Definition,
    /// `GRANT`, `REVOKE`
    Rights,
}

/// `UPDATE`, `DELETE`, `MERGE`, `INSERT .. SELECT`
#[expect(clippy::struct_excessive_bools, reason = "words of the statement, independent of each other")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The word.
    pub verb: WriteVerb,
    /// The table.
    pub table: RelationName,
    /// `ONLY`: its partitions and heirs are left alone.
    pub only: bool,
    /// With a condition.
    pub filtered: bool,
    /// The columns that an UPDATE sets.
    pub columns: Vec<String>,
    /// Columns that the condition pins by `column = value`, joined by AND.
    pub pinned: Vec<String>,
}

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteVerb {
    /// `INSERT .. VALUES`
    Insert,
    /// `INSERT .. SELECT`
    InsertSelect,
    /// `COPY .. FROM`
    Copy,
    /// `UPDATE`
    Update,
    /// `DELETE`
    Delete,
    /// `MERGE`
    Merge,
}

impl WriteVerb {
    /// The word itself.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Insert | Self::InsertSelect => "INSERT",
            Self::Copy => "COPY",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Merge => "MERGE",
        }
    }
}

/// A body of code: a `DO` block, a function, a procedure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// When it runs.
    pub runs: Runs,
    /// The statements in it that could be read; those of PL/pgSQL control flow left out.
    pub inner: Vec<Inner>,
    /// What comments in it ask of lockkeeper.
    pub directives: Vec<Directive>,
    /// Why it may do more than `inner` says; `None` when all of it was seen.
    pub unseen: Option<Unseen>,
}

/// When a body of code runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runs {
    /// `DO`: now.
    Now,
    /// A function or procedure: whenever it is called.
    WhenCalled,
}

/// One statement in a body of code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inner {
    /// The place of its text in the text around it; `None` where the body is a string with escapes.
    pub at: Option<usize>,
    /// It stands behind a branch or a loop, so that nobody knows whether it runs.
    pub conditional: bool,
    /// The statement, by itself.
    pub script: Script,
}

/// Why nobody can tell what a body of code does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unseen {
    /// `EXECUTE`: text that is put together when it runs.
    Dynamic,
    /// A language that is not looked into.
    Language,
    /// A statement in it begins with a word of DDL and cannot be read.
    Unreadable,
}
