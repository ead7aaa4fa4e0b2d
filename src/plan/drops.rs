//! Plans for what is dropped: what can be taken off while others work goes first, so that the drop itself locks one table.
//!
//! Each part that goes before is put back when a later step fails: a foreign key is added NOT VALID and validated, an index is
//! built again while others write.

use super::by_hand::{HandStep, add_then_validate, alter, spelled};
use super::concurrent_index;
use super::constraint::brief;
use super::{Inverse, Pace, Plan, Probe, Step, Target, Undo};
use crate::base::name::written;
use crate::effects::facts::{Oid, TableIndex};

/// A foreign key that goes first.
#[derive(Debug, Clone)]
pub struct Key<'a> {
    /// Its name.
    pub name: &'a str,
    /// As `pg_get_constraintdef` writes it.
    pub definition: &'a str,
    /// False while it is NOT VALID.
    pub validated: bool,
    /// Its table, then the table that it refers to, with that one's partitions.
    pub locks: Vec<Target>,
}

impl Key<'_> {
    /// Takes it off.
    fn off(&self) -> Option<Step> {
        let table = &self.locks.first()?.name;
        let hand = self.by_hand()?;
        let definition = format!("CONSTRAINT {} {}", written(self.name), self.definition);
        let back = if self.validated {
            add_then_validate(table, self.name, &definition)
        } else {
            // NOT VALID, or not enforced, is part of the definition.
            vec![alter(table, &format!("ADD {definition}"))]
        };
        let pace = |at| if at == 0 { Pace::Ladder(self.locks.clone()) } else { Pace::Unhurried };
        let undo = back.into_iter().enumerate();
        let undo = undo.map(|(at, back)| Undo { sql: back.sql.into_bytes(), pace: pace(at) }).collect();
        Some(Step { undo, ..brief(&hand, self.locks.clone(), None) })
    }

    /// The same in words for people.
    fn by_hand(&self) -> Option<HandStep> {
        Some(alter(&self.locks.first()?.name, &format!("DROP CONSTRAINT {}", written(self.name))))
    }
}

/// What goes before a drop.
#[derive(Debug, Clone, Default)]
pub struct Before<'a> {
    /// Foreign keys, each in a transaction of its own.
    pub keys: Vec<Key<'a>>,
    /// Indexes of the table, which are dropped while others work.
    pub indexes: Vec<&'a TableIndex>,
}

impl Before<'_> {
    /// Whether nothing is to be gained.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.indexes.is_empty()
    }

    /// The steps, of which none has happened where one fails.
    fn steps(&self, table: Oid) -> Vec<Step> {
        let keys = self.keys.iter().filter_map(Key::off);
        keys.chain(self.indexes.iter().map(|index| index_off(index, table))).collect()
    }

    /// Those, and then the statement itself, which locks `locks`.
    pub fn then(&self, hazard: &'static str, tag: &'static str, sql: &[u8], locks: &[Target]) -> Plan {
        let table = locks.first().and_then(|table| table.oid).unwrap_or_default();
        let mut steps = self.steps(table);
        steps.push(itself(sql, locks));
        Plan { hazard, steps, tag }
    }
}

/// The statement itself, as it was sent.
fn itself(sql: &[u8], locks: &[Target]) -> Step {
    Step { sql: sql.to_vec(), ..brief(&HandStep::words("itself"), locks.to_vec(), None) }
}

fn index_off(index: &TableIndex, table: Oid) -> Step {
    let sql = format!("DROP INDEX CONCURRENTLY {}", spelled(&index.name)).into_bytes();
    let (probe, inverse) = (Probe::Gone(index.oid), Inverse::FinishDrop(index.oid));
    // What is left of it goes first.
    let away = format!("DROP INDEX CONCURRENTLY IF EXISTS {}", spelled(&index.name));
    let back = [Some(away), again(&index.definition)].into_iter().flatten();
    let undo = back.map(|sql| Undo { sql: sql.into_bytes(), pace: Pace::Unhurried }).collect();
    Step { undo, ..concurrent_index::step(sql, Some(table), probe, inverse) }
}

/// The definition as it is built while others write.
fn again(definition: &str) -> Option<String> {
    let (head, rest) = definition.split_once(" INDEX ")?;
    Some(format!("{head} INDEX CONCURRENTLY {rest}"))
}
