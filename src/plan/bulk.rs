//! An `UPDATE` or `DELETE` of many rows as batches: ranges of a key, each a short transaction, which together write the rows that
//! the statement would have written, each once.
//!
//! What cannot be cut so that the same comes out is told with the reason.

mod obstacle;

use super::backfill::{Begun, Left, Ranges};
use super::by_hand::{HandStep, spelled};
use super::constraint::long;
use super::{Pace, Plan, Step, Target};
use crate::base::name::written;
use crate::base::{LockMode, RelationName};
use crate::effects::facts::{Facts, FillFacts, Leaf, Oid, RelationKind};
use crate::sql::Pieces;

use obstacle::{barred, cascades, differs, isolated, moves, not_a_table, odd, of_the_whole, reads_itself};

/// A statement that is carried out in batches.
#[derive(Clone, PartialEq, Eq)]
pub struct Bulk {
    /// The statement in pieces.
    pub pieces: Pieces,
    /// All of it, as it may be sent again: nothing in it means something else at another time.
    pub text: String,
    /// The oid of its table.
    pub oid: Oid,
    /// Where its rows are.
    pub extent: Extent,
    /// The planner's estimate of how many rows it writes.
    pub rows: u64,
    /// How many rows there are in the table, as far as the catalogue knows.
    pub of: Option<u64>,
    /// The temporary table that it reads, which no other session sees.
    pub of_session: Option<RelationName>,
}

impl std::fmt::Debug for Bulk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The text may hold what is nobody's business.
        f.debug_struct("Bulk")
            .field("pieces", &self.pieces)
            .field("extent", &self.extent)
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

/// Where the rows of a statement are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extent {
    /// In one table.
    Table(Batches),
    /// In the leaves of a partitioned one, which come and go.
    Leaves,
    /// They are few, and written at once.
    Whole,
}

/// One table that is gone through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batches {
    /// The table and its key.
    pub ranges: Ranges,
    /// Its rows can be locked before they are written.
    pub lockable: bool,
}

impl Bulk {
    /// `UPDATE` or `DELETE`
    pub const fn tag(&self) -> &'static str {
        self.pieces.verb.name()
    }

    /// Whether the client gets rows.
    pub const fn returns_rows(&self) -> bool {
        self.pieces.returning.is_some()
    }

    /// Whether it writes few of the rows that are there, so that those are looked for that it is for.
    pub fn is_selective(&self) -> bool {
        const FEW: u64 = 10;
        self.pieces.condition.is_some()
            && self.pieces.others.is_none()
            && self.of.is_some_and(|all| self.rows.saturating_mul(FEW) < all)
    }

    /// The same in one leaf; where it cannot be carried out there, a sentence that says why.
    pub fn in_leaf(&self, leaf: &Leaf) -> Result<Batches, String> {
        if leaf.foreign {
            return Err(format!("the partition {} is a foreign table.", leaf.name));
        }
        let why = moves(&self.pieces, &leaf.own)
            .or_else(|| cascades(&self.pieces, &Facts::default(), (&leaf.name, &leaf.own)));
        if let Some(why) = why {
            return Err(format!("in the partition {}, {why}", leaf.name));
        }
        batches(&self.pieces, &leaf.name, &leaf.fill)
    }

    /// The step that carries it out.
    pub fn plan(self, hazard: &'static str) -> Plan {
        let tag = self.tag();
        let target =
            Target { name: self.pieces.table.clone(), oid: Some(self.oid), mode: LockMode::RowExclusive };
        let whole = HandStep::anywhere(self.title());
        let pace = Pace::Bulk(Box::new(self));
        let step = Step { pace, lock: LockMode::RowExclusive, ..long(&whole, Some(&target)) };
        Plan { hazard, steps: vec![step], tag }
    }

    /// What people are shown of it: nothing that may be secret.
    pub fn title(&self) -> String {
        format!("{} {}", self.tag(), spelled(&self.pieces.table))
    }
}

impl Batches {
    /// The key of the row at which a range ends that holds `rows`, if there are so many: of all, or of those that it is for.
    pub fn end_of_range(&self, bulk: &Bulk, begun: Begun, rows: u64) -> String {
        if !bulk.is_selective() {
            return self.ranges.end_of_range(begun, rows);
        }
        let called = self.called(&bulk.pieces);
        let within = self.ranges.within_of(begun, &called);
        bulk.pieces.ahead((&self.table(&bulk.pieces), &called), &within, (&self.ranges.key, rows))
    }

    /// Locks the rows of a range in the order of the key.
    pub fn lock(&self, pieces: &Pieces, begun: Begun) -> String {
        let called = self.called(pieces);
        pieces.lock(
            &self.table(pieces),
            &self.ranges.within_of(begun, &called),
            &self.ranges.order_of(&called),
        )
    }

    /// The statement for the rows of a range.
    pub fn write(&self, pieces: &Pieces, begun: Begun) -> String {
        let within = self.ranges.within_of(begun, &self.called(pieces));
        pieces.put_together(&self.table(pieces), Some(&within))
    }

    /// The table under the name by which the statement calls it: an alias that nobody has given would hide its schema.
    fn table(&self, pieces: &Pieces) -> String {
        let table = format!("ONLY {}", spelled(&self.ranges.table));
        if self.has_its_name(pieces) { table } else { format!("{table} AS {}", written(&pieces.called)) }
    }

    /// What stands before its columns.
    fn called(&self, pieces: &Pieces) -> String {
        if self.has_its_name(pieces) { spelled(&self.ranges.table) } else { written(&pieces.called) }
    }

    /// Whether the statement calls it by its own name, which no partition has.
    fn has_its_name(&self, pieces: &Pieces) -> bool {
        !pieces.aliased && self.ranges.table.name == pieces.called && pieces.table.name == pieces.called
    }
}

/// Cuts a statement; where that cannot be done so that the same comes out, a sentence that says why.
pub fn cut(pieces: Pieces, text: String, facts: &Facts, rows: u64) -> Result<Bulk, String> {
    let relation = facts.relation(&pieces.table).ok_or("its table is not known.")?;
    let table = relation.table.as_deref().ok_or("its table is not known.")?;
    let name = table.name.clone().unwrap_or_else(|| pieces.table.clone());
    let why = not_a_table(relation, &pieces)
        .or_else(|| facts.isolation.as_deref().map(isolated))
        .or_else(|| pieces.odd.first().map(odd))
        .or_else(|| reads_itself(&pieces, facts, relation))
        .or_else(|| differs(&pieces.functions, facts))
        .or_else(|| moves(&pieces, table))
        .or_else(|| cascades(&pieces, facts, (&name, table)));
    if let Some(why) = why {
        return Err(why);
    }
    let extent = match relation.kind {
        RelationKind::PartitionedTable => {
            of_the_whole(&pieces, &name, table).map_or(Ok(()), Err)?;
            for leaf in table.partitions.iter().filter(|partition| partition.leaf) {
                if leaf.foreign {
                    return Err(format!("the partition {} is a foreign table.", leaf.name));
                }
                batches(&pieces, &leaf.name, &leaf.fill)?;
            }
            Extent::Leaves
        }
        _ => Extent::Table(batches(&pieces, &name, &table.fill)?),
    };
    let is_temporary = |read: &&RelationName| facts.relation(read).is_some_and(|it| it.temporary);
    let of_session = pieces.reads.iter().find(is_temporary).cloned();
    Ok(Bulk { oid: relation.oid, of: table.rows, pieces, text, extent, rows, of_session })
}

/// A statement of few rows that is to be noted as done with its own transaction.
pub fn whole(pieces: Pieces, text: String, facts: &Facts, rows: u64) -> Option<Bulk> {
    let relation = facts.relation(&pieces.table)?;
    let extent = Extent::Whole;
    Some(Bulk { oid: relation.oid, of: None, pieces, text, extent, rows, of_session: None })
}

fn batches(pieces: &Pieces, table: &RelationName, fill: &FillFacts) -> Result<Batches, String> {
    if let Some(why) = barred(pieces, table, fill) {
        return Err(why);
    }
    if let Some(right) = fill.rights_missing.iter().find(|right| *right != "UPDATE") {
        return Err(format!(
            "going through the key of {table} takes the right {right}, which this role has not."
        ));
    }
    if fill.key.is_empty() {
        return Err(format!(
            "{table} has no unique index on columns that are NOT NULL to cut it by, of types whose values are the same when they are \
             read as they are written. Add a primary key first."
        ));
    }
    if let Some(column) = fill.key.iter().find(|column| pieces.columns.contains(column)) {
        return Err(format!(
            "it changes {}, a column of the key by which {table} would be cut, so that a row could be met twice.",
            written(column)
        ));
    }
    let ranges = Ranges {
        table: table.clone(),
        key: fill.key.clone(),
        verb: String::new(),
        condition: String::new(),
        left: Left::Stay,
        rows: None,
    };
    Ok(Batches { ranges, lockable: fill.lockable })
}
