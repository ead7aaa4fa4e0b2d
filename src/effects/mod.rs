//! What a statement would do if it were run as sent.
//!
//! Texts name relations; facts say what they are. Together they tell which locks stand in whose way.

mod alter;
mod attach;
mod alter_column;
mod create;
mod detach;
pub mod facts;
mod inverse;
mod names;
mod naming;
mod need;
mod object;
pub mod past;
mod reader;
pub mod type_change;
pub mod work;

use crate::base::{LockMode, RelationName};
use crate::sql::form::{CreateTable, Form};
use crate::sql::statement::{Kind, Lock, Place, Reach, ReindexObject, Statement};

use self::facts::{Facts, Oid, Seen};
pub use self::naming::{Naming, columns_in_name};
pub use self::need::{Need, need, need_in_full};
pub use self::past::Past;
use self::reader::Reader;
pub use self::work::{Cause, Loss, Task, Work};

/// The effects of one statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effects {
    /// The relations that it locks, as far as they exist or may exist.
    pub touched: Vec<Touched>,
    /// It locks relations strongly that neither its text nor the facts tell.
    pub beyond: bool,
    /// What it reads, rewrites and builds while it holds its locks, in the order of its parts.
    pub work: Vec<Work>,
    /// What nobody gets back without a backup.
    pub losses: Vec<Loss>,
    /// Why an application of the version before may fail after it: clauses.
    pub breaks: Vec<String>,
    /// The statement that takes it back, where one can be told.
    pub inverse: Option<String>,
    /// Whether it may run in a transaction block.
    pub place: Place,
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
    pub fn strong(&self) -> impl DoubleEndedIterator<Item = &Touched> {
        self.touched.iter().filter(|touched| touched.exposed && touched.mode.is_strong())
    }

    /// The strongest of them, the first of equals: what the statement itself names comes first.
    pub fn strongest(&self) -> Option<&Touched> {
        self.strong().rev().max_by_key(|touched| touched.mode)
    }
}

/// What a statement would do, given what is known of the relations that it names, and what came before it.
pub fn of(statement: &Statement, facts: &Facts, past: &Past) -> Effects {
    let mut touched: Vec<Touched> = Vec::new();
    let is_there =
        |table: &CreateTable| table.if_not_exists && matches!(facts.see(&table.name), Seen::Known(_));
    let locks = match &statement.form {
        // Then it ends before it looks at anything else.
        Form::CreateTable(table) if is_there(table) => &[],
        _ => statement.locks.as_slice(),
    };
    for lock in locks {
        let Some(direct) = touch(lock, facts, past) else { continue };
        let table = table_of(statement, lock, facts);
        touched.push(direct);
        touched.extend(table);
    }
    let mut effects = Effects {
        touched,
        beyond: statement.reach == Reach::Beyond || may_drop_from_partitions(statement, facts),
        work: Vec::new(),
        losses: Vec::new(),
        breaks: Vec::new(),
        inverse: inverse::of(statement, facts),
        place: statement.place,
    };
    let mut reader = Reader { facts, past, effects: &mut effects };
    statement.reads.iter().for_each(|read| reader.read(read));
    for write in &statement.writes {
        reader.write(write);
    }
    if matches!(statement.kind, Kind::Lock { .. }) || statement.tag == "CREATE TRIGGER" {
        for lock in statement.locks.iter().filter(|lock| !lock.only) {
            reader.lock_partitions(&lock.name, lock.mode);
            if statement.tag != "CREATE TRIGGER" {
                reader.lock_heirs(&lock.name, lock.mode);
                // `LockViewRecurse` in `lockcmds.c`.
                reader.lock_sources(&lock.name, lock.mode);
            }
        }
    }
    if matches!(statement.kind, Kind::DropIndex(_)) {
        // `RemoveRelations` in `tablecmds.c`
        let indexes = statement.locks.iter().filter_map(|lock| facts.relation(&lock.name)?.index.as_ref());
        for (partition, oid) in indexes.flat_map(|index| &index.below) {
            reader.lock(partition, Some(*oid), LockMode::AccessExclusive);
        }
    }
    if matches!(statement.tag, "ANALYZE" | "VACUUM") {
        for lock in statement.locks.iter().filter(|lock| !lock.only) {
            reader.lock_partitions(&lock.name, lock.mode);
        }
    }
    match &statement.form {
        Form::AlterTable(alter) => alter::read(alter, &mut reader),
        Form::Plain if matches!(statement.kind, Kind::Reindex(_)) => object::reindex(statement, &mut reader),
        Form::CreateIndex(_)
        | Form::CreateTable(_)
        | Form::CreateTableAs { .. }
        | Form::CreateDomain { .. } => {
            create::read(&statement.form, &mut reader);
        }
        other => object::read(other, &mut reader),
    }
    effects.work.sort_by_key(|work| work.part);
    effects
}

/// The lock on the relation itself; `None` when there is no such relation, so that the server will say so.
fn touch(lock: &Lock, facts: &Facts, past: &Past) -> Option<Touched> {
    let seen = if lock.resolvable { facts.see(&lock.name) } else { Seen::Unknown };
    let (oid, exposed) = match seen {
        Seen::Known(relation) => (Some(relation.oid), !relation.temporary && !relation.new_in_transaction),
        // What the catalogue knows is sure; a name that was made may be another relation's.
        Seen::Unknown => (None, !past.is_new(&lock.name)),
        Seen::Absent if past.is_new(&lock.name) => (None, false),
        Seen::Absent if past.is_young(&lock.name) => (None, true),
        Seen::Absent => return None,
    };
    Some(Touched { name: lock.name.clone(), oid, mode: lock.mode, exposed })
}

/// Whether nobody knows the tables of an index that is dropped, which go down to partitions for that of a partitioned table.
fn may_drop_from_partitions(statement: &Statement, facts: &Facts) -> bool {
    let tables_named = statement.locks.iter().any(|lock| lock.mode < LockMode::Share);
    matches!(statement.kind, Kind::DropIndex(_)) && facts.offline && !tables_named
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
    let name = index.table_name.clone().unwrap_or_else(|| lock.name.clone());
    Some(Touched { name, oid: Some(index.table), mode, exposed: !relation.temporary })
}

#[cfg(test)]
mod tests;
