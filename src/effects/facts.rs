//! Plain data about the catalogue that the analysis needs.
//!
//! The analysis says which relations it wants to know about; the I/O side looks them up on the client's own
//! connection, under the client's own search path, and hands the answers back in this form.

use crate::base::RelationName;

/// `pg_class.oid`.
pub type Oid = u32;

/// What is known about the server, the session and the relations that a statement names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// `server_version_num`, such as 150018; 0 when unknown.
    pub server_version: u32,
    /// One entry per relation that was asked for and exists.
    pub relations: Vec<(RelationName, Relation)>,
}

impl Facts {
    /// Whether the server leaves rows out of indexes that it builds concurrently (14.0 to 14.3).
    pub const fn corrupts_concurrent_builds(&self) -> bool {
        self.server_version >= 140_000 && self.server_version < 140_004
    }

    /// Whether the server is known to be older than that version.
    pub const fn is_older_than(&self, version: u32) -> bool {
        self.server_version != 0 && self.server_version < version
    }

    /// What is known about a relation; `None` when it does not exist or was not looked up.
    pub fn relation(&self, name: &RelationName) -> Option<&Relation> {
        self.relations.iter().find(|(known, _)| known == name).map(|(_, relation)| relation)
    }
}

/// `pg_class.relkind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelationKind {
    /// `r`
    Table,
    /// `p`
    PartitionedTable,
    /// `i`
    Index,
    /// `I`
    PartitionedIndex,
    /// `S`
    Sequence,
    /// `v`
    View,
    /// `m`
    MaterializedView,
    /// `f`
    ForeignTable,
    /// `c`, `t` and whatever comes
    Other,
}

/// One relation of the catalogue.
#[expect(clippy::struct_excessive_bools, reason = "facts as the catalogue has them, one column each")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// Its oid.
    pub oid: Oid,
    /// What it is.
    pub kind: RelationKind,
    /// Temporary relations are nobody else's business.
    pub temporary: bool,
    /// Created in the transaction that is open now, so that nobody else can see it.
    pub new_in_transaction: bool,
    /// Lives in `pg_catalog`, `information_schema` or a toast schema.
    pub system: bool,
    /// `REINDEX CONCURRENTLY` would refuse or skip something of it: for an index, that it enforces an EXCLUDE
    /// constraint (`indisexclusion`); for a table, that one of its indexes does or is invalid.
    pub plain_reindex_only: bool,
    /// For an index only.
    pub index: Option<IndexFacts>,
}

/// What is known of an index beyond its `pg_class` row.
#[expect(clippy::struct_excessive_bools, reason = "facts as the catalogue has them, one column each")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexFacts {
    /// The table that it belongs to.
    pub table: Oid,
    /// `pg_index.indisvalid`
    pub valid: bool,
    /// It is invalid because somebody is building it at this moment, or may be.
    pub in_the_making: bool,
    /// A constraint owns it (`pg_depend`), so that DROP INDEX would be refused.
    pub backs_constraint: bool,
    /// It is a partition of a partitioned index, or has partitions itself.
    pub partitioned: bool,
}
