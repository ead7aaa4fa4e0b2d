//! Online plans as data: ordered steps, each with its lock, its probe and its inverse.

pub mod attach;
pub mod backfill;
pub mod bulk;
pub mod by_hand;
pub mod column;
pub mod concurrent_index;
pub mod constraint;
pub mod cut_off;
pub mod deferral;
pub mod detach;
pub mod drops;
pub mod gathering;
pub mod partitions;
pub mod parts;
pub mod refresh;
pub mod task;
pub mod tree;
pub mod type_change;
pub mod up_front;

pub use self::backfill::{Leaves, Ranges};
pub use self::bulk::Bulk;
pub use self::by_hand::HandStep;
pub use self::cut_off::WayOut;
pub use self::deferral::{Deferral, Later, Pending, Sight};
pub use self::gathering::Gathering;
use crate::base::{LockMode, Notice, RelationName};
use crate::effects::facts::Oid;

/// The ordered steps that reach the state that a statement asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The hazard that asked for the plan, `create-index-blocking`.
    pub hazard: &'static str,
    /// None when the state is reached already.
    pub steps: Vec<Step>,
    /// The command tag that the client expects, `CREATE INDEX`.
    pub tag: &'static str,
}

/// One statement of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The statement, in the client's encoding.
    pub sql: Vec<u8>,
    /// What is run behind it in the same transaction; only of a step under the ladder.
    pub also: Vec<Vec<u8>>,
    /// The strongest lock that it takes on `relation`.
    pub lock: LockMode,
    /// The relation whose queue it joins; `None` when not known.
    pub relation: Option<Oid>,
    /// Whether it may run in a transaction block.
    pub context: Context,
    /// How to tell that it is done.
    pub probe: Probe,
    /// What to clean up when it fails.
    pub inverse: Inverse,
    /// How it may wait for its locks.
    pub pace: Pace,
    /// The statements that take it back once it is done, run in this order when a later step fails.
    pub undo: Vec<Undo>,
    /// What the plain statement says where the step finds a row that may not be (SQLSTATE class 23), if that differs.
    pub violated: Option<Violated>,
}

/// What the plain statement says of such a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violated {
    /// This.
    Says(Notice),
    /// That this column of the table where the row was found holds a null.
    Null(String),
    /// That it belongs into a new partition, while it is in that part of the default one where it was found.
    Elsewhere,
}

impl Step {
    /// Whether it only takes away what the way to the state that was asked for has left.
    pub const fn is_tidy(&self) -> bool {
        matches!(self.pace, Pace::Tidy(_) | Pace::TidyCheck(_))
    }

    /// All its statements, as people read them.
    pub fn text(&self) -> String {
        let all = std::iter::once(&self.sql).chain(&self.also);
        all.map(|sql| String::from_utf8_lossy(sql).trim().to_owned()).collect::<Vec<_>>().join("; ")
    }
}

/// A statement that takes a step back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undo {
    /// The statement, in the client's encoding.
    pub sql: Vec<u8>,
    /// How it may wait for its locks.
    pub pace: Pace,
}

/// How a step may wait for its locks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pace {
    /// As long as it takes: its locks stop neither reads nor writes.
    Unhurried,
    /// Under the ladder of patience: these relations are locked strongly, for a moment.
    Ladder(Vec<Target>),
    /// The same, all of them locked up front in this order (`up_front`).
    Together(Vec<Target>),
    /// The same once every leaf has its part: those that came meanwhile get theirs first.
    Gathered(Box<Gathering>),
    /// The same, but the state that was asked for is reached: it only tidies up, is not cancelled, and where it cannot be done
    /// that is only told.
    Tidy(Vec<Target>),
    /// The same for a CHECK whose name only the server knows.
    TidyCheck(LeftCheck),
    /// Range after range of a key, each a short transaction of its own.
    Ranges(Box<Ranges>),
    /// The same in each leaf of a partitioned table.
    Leaves(Box<Leaves>),
    /// A statement of the client's, batch after batch, at the pace that the database takes.
    Bulk(Box<Bulk>),
}

/// The CHECK that `DETACH PARTITION .. CONCURRENTLY` leaves behind (`DetachAddConstraintIfNeeded` in `tablecmds.c`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftCheck {
    /// Its table.
    pub table: Target,
    /// What it says, as the server writes it.
    pub condition: String,
    /// The constraints that the table had before.
    pub known: Vec<String>,
}

/// One relation that is locked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// As the statement names it.
    pub name: RelationName,
    /// `None` when it could not be resolved.
    pub oid: Option<Oid>,
    /// The strongest mode asked for.
    pub mode: LockMode,
}

/// Where a step may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    /// In a transaction block or outside.
    Anywhere,
    /// Postgres refuses it in a transaction block (25001).
    OutsideTransaction,
}

/// How to tell that a step has reached its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// The server's command tag is proof enough.
    Tag,
    /// No index of the table is invalid that was valid or absent before.
    NoNewInvalidIndex(Scope),
    /// The index is gone.
    Gone(Oid),
    /// The index is valid, which is put together of others.
    Valid(RelationName),
}

/// What a failed step leaves behind and must be taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inverse {
    /// Postgres itself undoes the step.
    Nothing,
    /// Drop, concurrently, invalid indexes that were not there before and that nobody is building.
    DropNewInvalidIndexes(Scope),
    /// A failed `DROP INDEX CONCURRENTLY` may leave the index invalid: finish the drop, or say how.
    FinishDrop(Oid),
    /// Nothing, but what was done before it stays: this statement finishes the work.
    Finish(String),
    /// A failed `DETACH PARTITION .. CONCURRENTLY` may leave the partition half detached, which cannot be taken back: finish
    /// it, or say how.
    FinishDetach(Box<HalfDetached>),
}

/// A partition that may be half detached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HalfDetached {
    /// The partition.
    pub partition: Target,
    /// Its parent.
    pub parent: Target,
    /// What finishes it.
    pub finalize: Undo,
}

/// Which indexes a concurrent step may leave behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Indexes of one table.
    Table(Oid),
    /// Any index of the database (`REINDEX SCHEMA`, `REINDEX DATABASE`).
    Database,
}
