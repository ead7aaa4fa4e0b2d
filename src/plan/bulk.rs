//! An `UPDATE` or `DELETE` of many rows as batches: ranges of a key, each a short transaction, which together write the rows that
//! the statement would have written, each once.
//!
//! What cannot be cut so that the same comes out is told with the reason.

use super::backfill::{Begun, Left, Ranges};
use super::by_hand::{HandStep, spelled};
use super::constraint::long;
use super::{Pace, Plan, Step, Target};
use crate::base::name::written;
use crate::base::{LockMode, RelationName};
use crate::effects::facts::{
    ConstraintFacts, Facts, FillFacts, Leaf, Oid, Relation, RelationKind, TableFacts, Volatility,
};
use crate::sql::Pieces;
use crate::sql::form::{ConstraintKind, FunctionName, WriteVerb};
use crate::sql::pieces::Odd;

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
        let called = written(&bulk.pieces.called);
        bulk.pieces.ahead(&self.table(), &self.ranges.within_of(begun, &called), (&self.ranges.key, rows))
    }

    /// Locks the rows of a range in the order of the key.
    pub fn lock(&self, pieces: &Pieces, begun: Begun) -> String {
        let called = written(&pieces.called);
        pieces.lock(&self.table(), &self.ranges.within_of(begun, &called), &self.ranges.order_of(&called))
    }

    /// The statement for the rows of a range.
    pub fn write(&self, pieces: &Pieces, begun: Begun) -> String {
        let within = self.ranges.within_of(begun, &written(&pieces.called));
        pieces.put_together(&self.table(), Some(&within))
    }

    /// The statement for no rows at all.
    pub fn nothing(&self, pieces: &Pieces) -> String {
        pieces.put_together(&self.table(), Some("false"))
    }

    fn table(&self) -> String {
        format!("ONLY {}", spelled(&self.ranges.table))
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
        .or_else(|| cascades(&pieces, &name, table));
    if let Some(why) = why {
        return Err(why);
    }
    let extent = match relation.kind {
        RelationKind::PartitionedTable => {
            statement_triggers(&pieces, &name, &table.fill).map_or(Ok(()), Err)?;
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
    Ok(Bulk { oid: relation.oid, of: table.rows, pieces, text, extent, rows })
}

/// A statement of few rows that is to be noted as done with its own transaction.
pub fn whole(pieces: Pieces, text: String, facts: &Facts, rows: u64) -> Option<Bulk> {
    let relation = facts.relation(&pieces.table)?;
    Some(Bulk { oid: relation.oid, of: None, pieces, text, extent: Extent::Whole, rows })
}

fn batches(pieces: &Pieces, table: &RelationName, fill: &FillFacts) -> Result<Batches, String> {
    let rules = if pieces.verb == WriteVerb::Delete { &fill.delete_rules } else { &fill.rules };
    if let Some(rule) = rules.first() {
        return Err(format!(
            "the rule {} of {table} stands in for each {}.",
            written(rule),
            pieces.verb.name()
        ));
    }
    if let Some(why) = statement_triggers(pieces, table, fill) {
        return Err(why);
    }
    if fill.row_security {
        return Err(format!("the row security of {table} hides rows from this role."));
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

fn not_a_table(relation: &Relation, pieces: &Pieces) -> Option<String> {
    let name = &pieces.table;
    let kin = relation.table.as_deref().is_some_and(|table| !table.heirs.is_empty() || table.has_kin);
    match relation.kind {
        RelationKind::View | RelationKind::MaterializedView => {
            Some(format!("{name} is a view, whose rows have no key of their own."))
        }
        RelationKind::ForeignTable => Some(format!("{name} is a foreign table.")),
        RelationKind::Table if kin => {
            Some(format!("{name} inherits or is inherited from, so that no key tells its rows apart."))
        }
        RelationKind::PartitionedTable if pieces.only => {
            Some(format!("{name} is partitioned, and with ONLY there is nothing in it."))
        }
        RelationKind::Table | RelationKind::PartitionedTable => None,
        _ => Some(format!("{name} is no table.")),
    }
}

fn isolated(level: &str) -> String {
    format!(
        "it is asked for at isolation level {}, where all rows are seen as of one moment, which those of batches are not.",
        level.to_uppercase()
    )
}

fn odd(odd: &Odd) -> String {
    match odd {
        Odd::WritesInWith => "a query in its WITH writes, too, and would do so with each batch.".to_owned(),
        Odd::Cursor => "it is for the row of a cursor.".to_owned(),
        Odd::SystemColumn(column) => {
            format!("it looks at {column}, which changes while rows are written.")
        }
        Odd::Moment => {
            "it names a moment as 'now' or 'today', which would be another one with each batch.".to_owned()
        }
        Odd::Default => "it sets a column to its DEFAULT, which may differ from batch to batch.".to_owned(),
    }
}

/// Whether it reads its own table, or may: what an earlier batch has written would be seen by a later one.
fn reads_itself(pieces: &Pieces, facts: &Facts, relation: &Relation) -> Option<String> {
    let mut family = vec![relation.oid];
    if let Some(table) = relation.table.as_deref() {
        family.extend(table.partitions.iter().map(|partition| partition.oid));
        family.extend(table.parent_oid);
    }
    pieces.reads.iter().find_map(|read| match facts.relation(read) {
        Some(other) if family.contains(&other.oid) => Some(format!(
            "it reads {read} besides, so that a later batch would see what an earlier one has done."
        )),
        Some(other) if other.kind == RelationKind::View => Some(format!(
            "it reads the view {read}, in which a later batch may see what an earlier one has done."
        )),
        Some(_) => None,
        None => Some(format!("it reads {read}, of which nothing is known.")),
    })
}

/// Functions that give something else from batch to batch.
fn differs(functions: &[FunctionName], facts: &Facts) -> Option<String> {
    functions.iter().find_map(|function| match facts.volatility(function) {
        Volatility::Immutable => None,
        Volatility::Stable if is_of_settings(function) => None,
        Volatility::Stable => Some(format!(
            "it calls {function}, which is STABLE: it may read what an earlier batch has written, or the time."
        )),
        Volatility::Volatile => Some(format!(
            "it calls {function}, which is VOLATILE or not known: how often and when it is called makes a difference."
        )),
    })
}

/// Functions of Postgres' own that are `STABLE` since they depend on the session's settings, which are the same for all batches.
fn is_of_settings(function: &FunctionName) -> bool {
    const NAMES: [&str; 21] = [
        "array_to_string",
        "concat",
        "concat_ws",
        "current_setting",
        "date_part",
        "date_trunc",
        "extract",
        "format",
        "json_build_array",
        "json_build_object",
        "jsonb_build_array",
        "jsonb_build_object",
        "row_to_json",
        "timezone",
        "to_char",
        "to_date",
        "to_json",
        "to_jsonb",
        "to_number",
        "to_timestamp",
        "to_tsvector",
    ];
    let of_postgres = function.schema.as_deref().is_none_or(|schema| schema == "pg_catalog");
    of_postgres && NAMES.contains(&function.name.as_str())
}

/// Columns whose change means more than the row itself.
fn moves(pieces: &Pieces, table: &TableFacts) -> Option<String> {
    let set = |column: &String| pieces.columns.contains(column);
    if pieces.columns.is_empty() {
        return None;
    }
    let parted = table.partition_columns.iter().find_map(|column| match column {
        Some(column) if set(column) => Some(format!(
            "it changes {}, by which rows find their partitions, so that a row could be met twice.",
            written(column)
        )),
        None => Some("rows find their partitions by an expression, whose columns it may change.".to_owned()),
        Some(_) => None,
    });
    let referenced = || {
        let key = table.referenced_by.iter().find(|key| key.columns.iter().any(set))?;
        Some(format!("it changes a column to which {} refers ({}).", key.table, written(&key.constraint)))
    };
    let later = || {
        let waits = |it: &&ConstraintFacts| {
            let unique = matches!(
                it.kind,
                ConstraintKind::Unique | ConstraintKind::PrimaryKey | ConstraintKind::Exclusion
            );
            unique && it.definition.contains(" DEFERRABLE") && it.columns.iter().any(set)
        };
        let constraint = table.constraints.iter().find(waits)?;
        Some(format!(
            "it changes a column of {}, which is DEFERRABLE: what one statement may do, its batches may not.",
            written(&constraint.name)
        ))
    };
    parted.or_else(referenced).or_else(later)
}

/// What a DELETE does to other tables, or to other rows of its own.
fn cascades(pieces: &Pieces, name: &RelationName, table: &TableFacts) -> Option<String> {
    const IN_NO_TIME_BYTES: u64 = 1 << 20;
    if pieces.verb != WriteVerb::Delete {
        return None;
    }
    let own = |it: &&ConstraintFacts| {
        it.kind == ConstraintKind::Foreign && it.references.as_ref().is_some_and(|of| of == name)
    };
    if let Some(constraint) = table.constraints.iter().find(own) {
        return Some(format!(
            "its rows refer to each other ({}): what may be deleted together may not be deleted one batch after the other.",
            written(&constraint.name)
        ));
    }
    table.referenced_by.iter().find_map(|key| {
        let acts = ["ON DELETE CASCADE", "ON DELETE SET NULL", "ON DELETE SET DEFAULT"]
            .into_iter()
            .find(|action| key.definition.contains(action));
        let constraint = written(&key.constraint);
        let small = key.bytes.is_some_and(|bytes| bytes <= IN_NO_TIME_BYTES);
        let acts = acts.filter(|_| !small)?;
        Some(format!(
            "with each row go those of {} that refer to it ({constraint}, {acts}), of which nobody knows how many there are. Delete \
             those first.",
            key.table
        ))
    })
}

fn statement_triggers(pieces: &Pieces, table: &RelationName, fill: &FillFacts) -> Option<String> {
    let trigger = fill.statement_triggers.iter().find(|trigger| match pieces.verb {
        WriteVerb::Delete => trigger.delete,
        _ => trigger.update,
    })?;
    Some(format!(
        "the trigger {} of {table} fires once for a statement, or sees all its rows together.",
        written(&trigger.name)
    ))
}
