//! Plans for new columns: added bare, filled where each row gets a value of its own, then proved, all while others work.

use super::backfill;
use super::by_hand::{HandStep, alter, spelled};
use super::constraint::{TAG, brief, index_steps, long, not_null_steps, undo};
use super::{Pace, Plan, Step, Target};
use crate::base::name::written;
use crate::base::relation::quote_literal;
use crate::base::{LockMode, RelationName};
use crate::effects::facts::Oid;

/// What is to be done.
#[derive(Debug)]
pub struct NewColumn<'a> {
    /// The column.
    pub column: &'a str,
    /// Adds it, with constraints that are NOT VALID.
    pub add: &'a HandStep,
    /// What that locks for a moment: the table first.
    pub locks: &'a [Target],
    /// The names of those constraints, and what validates each.
    pub proved: &'a [(String, HandStep)],
    /// The table.
    pub oid: Oid,
    /// The index of its unique constraint, and how that is made (`by_hand::unique_using_index`).
    pub unique: Option<(RelationName, &'a [HandStep])>,
}

/// Adds the column, then proves what is said of it; what fails takes the column away again.
pub fn added(hazard: &'static str, new: &NewColumn<'_>) -> Plan {
    let Some(table) = new.locks.first() else { return Plan { hazard, steps: Vec::new(), tag: TAG } };
    let back = away(&table.name, new.column, new.proved.iter().map(|(name, _)| name.as_str()));
    let mut steps = vec![brief(new.add, new.locks.to_vec(), Some(&back))];
    steps.extend(new.proved.iter().map(|(_, step)| long(step, Some(table))));
    if let Some((index, hand)) = &new.unique {
        steps.extend(index_steps((table, new.oid), index, hand));
    }
    Plan { hazard, steps, tag: TAG }
}

/// What is to be done where each row gets a value of its own.
#[derive(Debug)]
pub struct Filled<'a> {
    /// The table and what is below it, and how strongly they are locked when the column is added.
    pub tables: &'a [Target],
    /// The table's number.
    pub oid: Oid,
    /// The column.
    pub column: &'a str,
    /// Adds it without a value for the rows that are there, but with its default, all in one transaction.
    pub add: &'a [HandStep],
    /// Gives those rows their values.
    pub ranges: backfill::Filled,
    /// Its constraints.
    pub proved: &'a [Proved],
    /// Makes it NOT NULL (`by_hand::set_not_null`).
    pub not_null: &'a [HandStep],
    /// The index of its unique constraint or primary key, and how that is made (`by_hand::unique_using_index`).
    pub unique: Option<(RelationName, &'a [HandStep])>,
    /// What comes last, all in one transaction.
    pub last: &'a [HandStep],
}

/// A constraint that is added NOT VALID and validated.
#[derive(Debug)]
pub struct Proved {
    /// Its name.
    pub name: String,
    /// What adding it locks for a moment: the table first.
    pub locks: Vec<Target>,
    /// Adds it.
    pub add: HandStep,
    /// Reads the table for it.
    pub validate: HandStep,
}

/// Adds the column, fills it, proves what is said of it; what fails takes the column away again, and all that hangs on it.
pub fn filled(hazard: &'static str, new: Filled<'_>) -> Plan {
    let Some(table) = new.tables.first() else { return Plan { hazard, steps: Vec::new(), tag: TAG } };
    let mut locks = new.tables.to_vec();
    for lock in new.proved.iter().flat_map(|it| &it.locks) {
        if !locks.iter().any(|known| known.oid == lock.oid) {
            locks.push(lock.clone());
        }
    }
    let back = away(&table.name, new.column, new.proved.iter().map(|it| it.name.as_str()));
    let mut steps: Vec<Step> = together(new.add, new.tables).into_iter().collect();
    if let Some(first) = steps.first_mut() {
        first.undo = vec![undo(&back, &locks)];
        first.also.push(mark(&table.name, new.column));
    }
    let rest = steps.len();
    steps.push(backfill::step(new.ranges, table));
    for constraint in new.proved {
        steps.push(brief(&constraint.add, constraint.locks.clone(), None));
        steps.push(long(&constraint.validate, Some(table)));
    }
    steps.extend(not_null_steps(new.tables, new.column, new.not_null));
    if let Some((index, hand)) = &new.unique {
        steps.extend(index_steps((table, new.oid), index, hand));
    }
    steps.extend(together(new.last, new.tables));
    steps.push(unmarked(table, new.column));
    // Whatever they have made goes with the column.
    for step in steps.iter_mut().skip(rest) {
        step.undo.clear();
    }
    Plan { hazard, steps, tag: TAG }
}

/// The beginning of the comment that a column has while it is filled; the server process that fills it comes behind.
const MARK: &str = "lockkeeper fills this column, process ";

/// Marks a column, so that whoever finds it knows what it is (`control/left_overs.sql`): where the proxy was killed nothing else
/// tells a column that is half filled from others.
fn mark(table: &RelationName, column: &str) -> Vec<u8> {
    let comment = format!("COMMENT ON COLUMN {}.{} IS '{MARK}", spelled(table), written(column));
    let comment = quote_literal(&comment);
    let process = "pg_catalog.pg_backend_pid()::pg_catalog.text || ''''";
    format!("DO $lockkeeper$ BEGIN EXECUTE {comment} || {process}; END $lockkeeper$").into_bytes()
}

/// The step that takes the mark away.
fn unmarked(table: &Target, column: &str) -> Step {
    let target = Target { mode: LockMode::ShareUpdateExclusive, ..table.clone() };
    let comment = format!("COMMENT ON COLUMN {}.{} IS NULL", spelled(&table.name), written(column));
    let step = brief(&HandStep::anywhere(comment), vec![target.clone()], None);
    Step { pace: Pace::Tidy(vec![target]), ..step }
}

/// Takes the column away; a CHECK of the column that reads other columns alone would outlive it.
fn away<'a>(table: &RelationName, column: &str, constraints: impl Iterator<Item = &'a str>) -> HandStep {
    let away = constraints.map(|name| format!("DROP CONSTRAINT IF EXISTS {}", written(name)));
    let parts: Vec<String> = away.chain([format!("DROP COLUMN {}", written(column))]).collect();
    alter(table, &parts.join(", "))
}

/// One step of several statements.
fn together(all: &[HandStep], tables: &[Target]) -> Option<Step> {
    let (first, others) = all.split_first()?;
    let also = others.iter().map(|step| step.sql.clone().into_bytes()).collect();
    Some(Step { also, ..brief(first, tables.to_vec(), None) })
}
