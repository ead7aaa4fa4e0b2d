//! Plain data about the catalogue that the analysis needs.
//!
//! The analysis says which relations it wants to know about; the I/O side looks them up on the client's own
//! connection, under the client's own search path, and hands the answers back in this form.

pub mod answer;
mod filling;
mod lacking;
mod source;
mod table;
mod types;

pub use self::filling::{FillFacts, Leaf, Unpublishable, WriteTrigger};
pub use self::lacking::Lacking;
pub use self::source::{Cached, Offline, Source};
pub use self::table::{
    ColumnFacts, ConstraintFacts, Heir, NeededBy, OwnKey, PartitionFacts, PartitionKey, Reference,
    TableFacts, TableIndex, TakenNames, ViewFacts,
};
pub use self::types::{TypeFacts, TypeKind, TypedColumn, Volatility};

use std::collections::BTreeMap;

use crate::base::RelationName;
use crate::sql::Calls;
use crate::sql::form::{FunctionName, TypeName};

/// `pg_class.oid`.
pub type Oid = u32;

/// What is known about the server, the session and the relations that a statement names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// `server_version_num`, such as 150018; 0 when unknown.
    pub server_version: u32,
    /// Whether the session's `TimeZone` is UTC, so that `timestamp` and `timestamptz` are the same bytes.
    pub utc: Option<bool>,
    /// Nobody asked a catalogue: what is not listed here is unknown rather than absent.
    pub offline: bool,
    /// Whether its names and texts are those of the catalogue.
    pub texts: Texts,
    /// The isolation of the transaction, or else of those to come, unless both are READ COMMITTED.
    pub isolation: Option<String>,
    /// How many rows the statements of the message write, as far as somebody has asked the planner.
    pub estimates: Vec<Estimate>,
    /// What the text calls of what may lock.
    pub calls: Calls,
    /// One entry per relation that was asked for and exists.
    pub relations: BTreeMap<RelationName, Relation>,
    /// One entry per type that was asked for and exists.
    pub types: Vec<(TypeName, TypeFacts)>,
    /// The worst of the functions of each name that was asked for.
    pub functions: Vec<(FunctionName, Volatility)>,
    /// The names beside each table that was asked for, which one that Postgres picks may not have.
    pub taken: Vec<(RelationName, TakenNames)>,
}

/// How many rows a statement writes, as the planner sees it.
#[expect(clippy::struct_excessive_bools, reason = "what is said of it, independent of each other")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// Where the statement begins in its message.
    pub at: usize,
    /// Rows.
    pub rows: u64,
    /// They are more than are written at once.
    pub many: bool,
    /// The statement was begun in batches before, and goes on.
    pub goes_on: bool,
}

/// What is known about a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen<'a> {
    /// It exists.
    Known(&'a Relation),
    /// There is no such relation: the server will say so.
    Absent,
    /// Nobody looked.
    Unknown,
}

/// Whether names and texts are those of the catalogue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Texts {
    /// To the letter.
    #[default]
    Faithful,
    /// Some came in an encoding that is not read, and none of them may be said again to the server.
    Garbled,
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

    /// Whether the server leaves parts of a foreign key to a partitioned table behind when it attaches that to another one's (before
    /// 13.17, 14.14, 15.9, 16.5 and 17.1).
    pub const fn attaches_keys_in_part(&self) -> bool {
        let fixed = match self.server_version / 10_000 {
            13 => 17,
            14 => 14,
            15 => 9,
            16 => 5,
            17 => 1,
            _ => 0,
        };
        self.server_version % 10_000 < fixed
    }

    /// Whether the server may be older than that version: an unknown one may.
    pub const fn may_be_older_than(&self, version: u32) -> bool {
        self.server_version < version
    }

    /// What is known about a name.
    pub fn see(&self, name: &RelationName) -> Seen<'_> {
        match self.relation(name) {
            Some(relation) => Seen::Known(relation),
            None if self.offline => Seen::Unknown,
            None => Seen::Absent,
        }
    }

    /// What is known about a relation of that oid.
    pub fn relation_of(&self, oid: Oid) -> Option<&Relation> {
        self.relations.values().find(|relation| relation.oid == oid)
    }

    /// What is known about a table's parts.
    pub fn table(&self, name: &RelationName) -> Option<&TableFacts> {
        self.relation(name)?.table.as_deref()
    }

    /// What is known about a partition that nobody has named, from the table above it.
    pub fn partition(&self, name: &RelationName) -> Option<&PartitionFacts> {
        let tables = self.relations.values().filter_map(|relation| relation.table.as_deref());
        tables.flat_map(|table| &table.partitions).find(|partition| partition.name == *name)
    }

    /// The names beside a table that one picked for an object of it could meet.
    pub fn taken(&self, table: &RelationName) -> Option<&TakenNames> {
        self.taken.iter().find(|(known, _)| known == table).map(|(_, names)| names)
    }

    /// What is known about a type.
    pub fn ty(&self, name: &TypeName) -> Option<&TypeFacts> {
        self.types.iter().find(|(known, _)| known == name).map(|(_, facts)| facts)
    }

    /// The volatility of a function; unknown ones count as volatile.
    pub fn volatility(&self, name: &FunctionName) -> Volatility {
        let asked = self.functions.iter().find(|(known, _)| known == name).map(|(_, volatility)| *volatility);
        asked.or_else(|| types::built_in(name)).unwrap_or(Volatility::Volatile)
    }

    /// What is known about a relation; `None` when it does not exist or was not looked up.
    pub fn relation(&self, name: &RelationName) -> Option<&Relation> {
        self.relations.get(name)
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
    /// `pg_table_size` of it and of its partitions, for an index that of its table, in bytes; `None` when unknown.
    pub bytes: Option<u64>,
    /// How it is stored.
    pub storage: Storage,
    /// For tables, views and materialized views: their parts.
    pub table: Option<Box<TableFacts>>,
}

impl Relation {
    /// A relation of which no more is known.
    pub const fn new(oid: Oid, kind: RelationKind) -> Self {
        Self {
            oid,
            kind,
            temporary: false,
            new_in_transaction: false,
            system: false,
            plain_reindex_only: false,
            index: None,
            bytes: None,
            storage: Storage { tablespace: None, method: None, unlogged: false },
            table: None,
        }
    }

    /// How much there is of it with all that inherits from it, in bytes; `None` when that is not known of one of them.
    pub fn bytes_of_all(&self) -> Option<u64> {
        let heirs = self.table.iter().flat_map(|table| &table.heirs).map(|heir| heir.bytes);
        heirs.fold(self.bytes, |sum, heir| Some(sum?.saturating_add(heir?)))
    }
}

/// How a relation is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Storage {
    /// Its tablespace, by name; `None` when unknown.
    pub tablespace: Option<String>,
    /// Its access method, likewise.
    pub method: Option<String>,
    /// `UNLOGGED`
    pub unlogged: bool,
}

/// What is known of an index beyond its `pg_class` row.
#[expect(clippy::struct_excessive_bools, reason = "facts as the catalogue has them, one column each")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexFacts {
    /// The table that it belongs to.
    pub table: Oid,
    /// Its name with its schema.
    pub table_name: Option<RelationName>,
    /// For that of a partitioned table: the partitions, the whole tree.
    pub below: Vec<(RelationName, Oid)>,
    /// `pg_index.indisvalid`
    pub valid: bool,
    /// It is invalid because somebody is building it at this moment, or may be.
    pub in_the_making: bool,
    /// A constraint owns it (`pg_depend`), so that DROP INDEX would be refused.
    pub backs_constraint: bool,
    /// It is a partition of a partitioned index, or has partitions itself.
    pub partitioned: bool,
    /// As `pg_get_indexdef` writes it.
    pub definition: String,
}
