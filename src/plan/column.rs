//! The plan for a new column with constraints: added bare, then proved while others work.

use super::by_hand::{HandStep, alter};
use super::constraint::{TAG, brief, index_steps, long};
use super::{Plan, Target};
use crate::base::RelationName;
use crate::base::name::written;
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
    // A CHECK of the column that reads other columns alone would outlive it.
    let away = new.proved.iter().map(|(name, _)| format!("DROP CONSTRAINT IF EXISTS {}", written(name)));
    let parts: Vec<String> = away.chain([format!("DROP COLUMN {}", written(new.column))]).collect();
    let back = alter(&table.name, &parts.join(", "));
    let mut steps = vec![brief(new.add, new.locks.to_vec(), Some(&back))];
    steps.extend(new.proved.iter().map(|(_, step)| long(step, Some(table))));
    if let Some((index, hand)) = &new.unique {
        steps.extend(index_steps((table, new.oid), index, hand));
    }
    Plan { hazard, steps, tag: TAG }
}
