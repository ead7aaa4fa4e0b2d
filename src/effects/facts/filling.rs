//! How the rows of a table can be written one range after the other, and what is in the way of that.

use super::{Oid, TableFacts};
use crate::base::RelationName;

/// A leaf of a partitioned table, as it is at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Its name with its schema.
    pub name: RelationName,
    /// Its oid.
    pub oid: Oid,
    /// A foreign table.
    pub foreign: bool,
    /// How its rows can be written one range after the other.
    pub fill: FillFacts,
    /// Its name, its constraints, and the keys that refer to it and not to the whole; nothing else is filled in.
    pub own: Box<TableFacts>,
}

/// How the rows of a table can be written one range after the other, and what is in the way.
#[expect(clippy::struct_excessive_bools, reason = "facts as the catalogue has them, one column each")]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FillFacts {
    /// The key by which it is gone through; empty where it has none.
    pub key: Vec<String>,
    /// Triggers that an UPDATE of any column fires.
    pub triggers: Vec<String>,
    /// Rules that rewrite an UPDATE.
    pub rules: Vec<String>,
    /// Rules that rewrite a DELETE.
    pub delete_rules: Vec<String>,
    /// Triggers that fire once for a statement, or see all rows of one together.
    pub statement_triggers: Vec<WriteTrigger>,
    /// Those that fire for each row, behind its change.
    pub row_triggers: Vec<WriteTrigger>,
    /// The session's role may lock its rows.
    pub lockable: bool,
    /// Row security hides rows from the session.
    pub row_security: bool,
    /// Rights that the session's role has not: `SELECT` or `UPDATE` of the table, `USAGE` of its schema.
    pub rights_missing: Vec<String>,
    /// Its constraints that are NOT VALID and that an UPDATE of a row checks.
    pub not_valid: Vec<String>,
    /// Publications for which the server refuses each UPDATE.
    pub publications: Vec<(String, Unpublishable)>,
}

/// A trigger, and what fires it.
#[expect(clippy::struct_excessive_bools, reason = "events that fire it, independent of each other")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteTrigger {
    /// Its name.
    pub name: String,
    /// An UPDATE fires it.
    pub update: bool,
    /// A DELETE fires it.
    pub delete: bool,
}

/// Why the server refuses to update a table whose updates are published (`CheckCmdReplicaIdentity` in `execReplication.c`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unpublishable {
    /// Nothing tells a subscriber which row it is.
    NoIdentity,
    /// The row filter reads a column that is not part of that.
    Filter,
    /// The list of columns leaves a part of it out.
    List,
    /// A generated column that is not published is part of it.
    Generated,
}
