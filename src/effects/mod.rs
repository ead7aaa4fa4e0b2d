//! What a statement would do if it were run as sent.
//!
//! Texts name relations; facts say what they are. Together they tell which locks stand in whose way.

pub mod facts;
mod need;

use crate::base::{LockMode, RelationName};
use crate::sql::statement::{Kind, Lock, Reach, ReindexObject, Statement};

use self::facts::{Facts, Oid};
pub use self::need::need;

/// The effects of one statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effects {
    /// The relations that it locks, as far as they exist or may exist.
    pub touched: Vec<Touched>,
    /// It locks relations strongly that neither its text nor the facts tell.
    pub beyond: bool,
}

/// A lock on one relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    /// As the statement names it; for the table of a named index, the index's name.
    pub name: RelationName,
    /// `None` when the name could not be read.
    pub oid: Option<Oid>,
    /// The mode asked for.
    pub mode: LockMode,
    /// Whether other sessions can meet the lock: not so for temporary relations and those made in this transaction.
    pub exposed: bool,
}

impl Effects {
    /// Whether it can stop other sessions' reads or writes.
    pub fn is_strong(&self) -> bool {
        self.beyond || self.strong().next().is_some()
    }

    /// The strong locks that other sessions can meet.
    pub fn strong(&self) -> impl Iterator<Item = &Touched> {
        self.touched.iter().filter(|touched| touched.exposed && touched.mode.is_strong())
    }

    /// The strongest of them.
    pub fn strongest(&self) -> Option<&Touched> {
        self.strong().max_by_key(|touched| touched.mode)
    }
}

/// What a statement would do, given what is known of the relations that it names.
pub fn of(statement: &Statement, facts: &Facts) -> Effects {
    let mut touched: Vec<Touched> = Vec::new();
    for lock in &statement.locks {
        let Some(direct) = touch(lock, facts) else { continue };
        let table = table_of(statement, lock, facts);
        touched.push(direct);
        touched.extend(table);
    }
    Effects { touched, beyond: statement.reach == Reach::Beyond }
}

/// The lock on the relation itself; `None` when there is no such relation, so that the server will say so.
fn touch(lock: &Lock, facts: &Facts) -> Option<Touched> {
    let (oid, exposed) = if lock.resolvable {
        let relation = facts.relation(&lock.name)?;
        (Some(relation.oid), !relation.temporary && !relation.new_in_transaction)
    } else {
        (None, true)
    };
    Some(Touched { name: lock.name.clone(), oid, mode: lock.mode, exposed })
}

/// The lock that index work takes on the index's table, which the statement does not name.
///
/// An index made in this transaction may belong to an old table, so that only temporary ones are nobody's business.
fn table_of(statement: &Statement, lock: &Lock, facts: &Facts) -> Option<Touched> {
    let mode = match &statement.kind {
        Kind::DropIndex(_) => lock.mode,
        Kind::Reindex(reindex) if reindex.object == ReindexObject::Index => lock.mode.min(LockMode::Share),
        _ => return None,
    };
    let relation = facts.relation(&lock.name).filter(|_| lock.resolvable)?;
    let index = relation.index.as_ref()?;
    Some(Touched { name: lock.name.clone(), oid: Some(index.table), mode, exposed: !relation.temporary })
}

#[cfg(test)]
mod tests;
