//! Puts effects together, with what is known of each relation.

use super::facts::{ConstraintFacts, Facts, Relation, RelationKind, Seen, TableFacts};
use super::work::{Cause, Loss, Task, Work};
use super::{Effects, Past, Touched};
use crate::base::{LockMode, RelationName};
use crate::effects::facts::Oid;
use crate::sql::form::{Read, Reading, Write, WriteVerb};

/// `GRANT` locks the tables that it is about since 18.
const VERSION_LOCKS_FOR_RIGHTS: u32 = 180_000;

/// What is read in a few milliseconds.
const LITTLE_BYTES: u64 = 1 << 20;

/// The effects of a statement while they are read.
pub(super) struct Reader<'a> {
    pub(super) facts: &'a Facts,
    pub(super) past: &'a Past,
    pub(super) effects: &'a mut Effects,
}

impl<'a> Reader<'a> {
    /// Work on a relation, unless there is no such relation.
    pub(super) fn work(
        &mut self,
        (task, cause): (Task, Cause),
        on: &RelationName,
        under: LockMode,
        part: usize,
    ) {
        let (exposed, bytes) = match self.facts.see(on) {
            Seen::Known(relation) => (is_exposed(relation), relation.bytes),
            _ if self.past.is_new(on) => (false, None),
            Seen::Absent if self.past.is_young(on) => (true, Some(0)),
            Seen::Absent => return,
            Seen::Unknown => (true, None),
        };
        self.effects.work.push(Work { task, cause, relation: on.clone(), under, part, exposed, bytes });
    }

    /// Work on something that the catalogue led to, with its size.
    pub(super) fn work_on_other(&mut self, work: Work) {
        self.effects.work.push(work);
    }

    /// A lock on a relation that the statement does not name.
    pub(super) fn lock(&mut self, name: &RelationName, oid: Option<Oid>, mode: LockMode) {
        let known =
            self.effects.touched.iter_mut().find(|it| it.name == *name || (oid.is_some() && it.oid == oid));
        match known {
            Some(touched) => touched.mode = touched.mode.max(mode),
            None => self.effects.touched.push(Touched { name: name.clone(), oid, mode, exposed: true }),
        }
    }

    /// The lock under which the table of an index is looked at.
    pub(super) fn look_at_table_of(&mut self, index: &RelationName) {
        let known = self.facts.relation(index).and_then(|relation| relation.index.as_ref());
        if let Some((name, oid)) = known.and_then(|index| Some((index.table_name.as_ref()?, index.table))) {
            self.lock(name, Some(oid), LockMode::AccessShare);
        }
    }

    /// The lock under which rows are written.
    pub(super) fn write(&mut self, write: &Write) {
        let mode = LockMode::RowExclusive;
        self.touch(&write.table, mode);
        // Where new rows go, only they tell.
        if !write.only && matches!(write.verb, WriteVerb::Update | WriteVerb::Delete | WriteVerb::Merge) {
            self.lock_partitions(&write.table, mode);
            self.lock_heirs(&write.table, mode);
        }
    }

    /// The lock under which a table is looked at.
    pub(super) fn read(&mut self, read: &Read) {
        let mode = match read.how {
            Reading::LockedRows => LockMode::RowShare,
            Reading::Explained => LockMode::RowExclusive,
            Reading::Rights if self.facts.is_older_than(VERSION_LOCKS_FOR_RIGHTS) => return,
            Reading::Rows | Reading::Definition | Reading::Rights => LockMode::AccessShare,
        };
        self.touch(&read.table, mode);
        if matches!(read.how, Reading::Rows | Reading::LockedRows | Reading::Explained) {
            self.lock_partitions(&read.table, mode);
            self.lock_heirs(&read.table, mode);
            let view = self.facts.relation(&read.table).is_some_and(|it| it.kind == RelationKind::View);
            if view {
                self.lock_sources(&read.table, mode);
            }
        }
    }

    /// A lock on every relation that a view reads.
    pub(super) fn lock_sources(&mut self, of: &RelationName, mode: LockMode) {
        for (source, oid) in self.facts.table(of).map(|view| &view.reads).into_iter().flatten() {
            self.lock(source, Some(*oid), mode);
        }
    }

    fn touch(&mut self, table: &RelationName, mode: LockMode) {
        let (oid, exposed) = match self.facts.see(table) {
            Seen::Known(relation) => (Some(relation.oid), is_exposed(relation)),
            _ => (None, !self.past.is_new(table)),
        };
        self.effects.touched.push(Touched { name: table.clone(), oid, mode, exposed });
    }

    /// A weaker lock than the text tells, on a server of this version.
    pub(super) fn lower(&mut self, name: &RelationName, mode: LockMode) {
        for touched in self.effects.touched.iter_mut().filter(|touched| touched.name == *name) {
            touched.mode = mode;
        }
    }

    /// A lock on every partition of a table, as commands that go down the tree take it.
    pub(super) fn lock_partitions(&mut self, of: &RelationName, mode: LockMode) {
        let facts = self.facts;
        let exposed = facts.relation(of).is_some_and(is_exposed);
        for partition in
            facts.table(of).map(|table| &table.partitions).into_iter().flatten().filter(|_| exposed)
        {
            self.lock(&partition.name, Some(partition.oid), mode);
        }
    }

    /// The lock under which a foreign key's triggers go from the partitions of the table that it refers to, and from the
    /// table itself.
    pub(super) fn lock_referenced(&mut self, key: &ConstraintFacts, itself: bool) {
        if let Some(other) = key.references.as_ref().filter(|_| itself) {
            self.lock(other, key.references_oid, LockMode::AccessExclusive);
        }
        for (partition, oid) in &key.reference_partitions {
            self.lock(partition, Some(*oid), LockMode::AccessExclusive);
        }
    }

    /// A lock on every table that inherits from a table.
    pub(super) fn lock_heirs(&mut self, of: &RelationName, mode: LockMode) {
        for heir in self.facts.table(of).map(|table| &table.heirs).into_iter().flatten() {
            self.lock(&heir.name, Some(heir.oid), mode);
        }
    }

    /// The views that need what is dropped go with it.
    pub(super) fn drop_views(&mut self, of: &RelationName, column: Option<&str>, cascade: bool) {
        let Some(table) = self.facts.table(of).filter(|_| cascade) else { return };
        for view in table.views_of(column) {
            self.lock(&view.name, Some(view.oid), LockMode::AccessExclusive);
            self.breaks(format!("statements that name {} fail", view.name));
        }
    }

    /// What is known of a table's parts.
    pub(super) fn table(&self, name: &RelationName) -> Option<&'a TableFacts> {
        self.facts.table(name)
    }

    /// From a relation of which nothing is known a command may get to others, which are locked strongly too.
    pub(super) fn may_reach_beyond(&mut self, from: &RelationName) {
        self.effects.beyond |= self.is_unknown(from) && !self.past.is_new(from);
    }

    /// Whether nobody knows anything of the relation.
    pub(super) fn is_unknown(&self, name: &RelationName) -> bool {
        self.facts.see(name) == Seen::Unknown
    }

    /// Whether a relation was made in this transaction and has hardly any rows.
    pub(super) fn is_new_and_little(&self, name: &RelationName) -> bool {
        match self.facts.see(name) {
            Seen::Known(relation) => {
                relation.new_in_transaction && relation.bytes.is_some_and(|bytes| bytes <= LITTLE_BYTES)
            }
            _ => self.past.is_new(name),
        }
    }

    /// Data that is gone, if others could see it.
    pub(super) fn loses(&mut self, relation: &RelationName, loss: Loss) {
        let lost = match self.facts.see(relation) {
            Seen::Known(relation) => is_exposed(relation),
            _ if self.past.is_new(relation) => false,
            Seen::Absent => self.past.is_young(relation),
            Seen::Unknown => true,
        };
        if lost {
            self.effects.losses.push(loss);
        }
    }

    /// Why an older application may fail.
    pub(super) fn breaks(&mut self, why: String) {
        self.effects.breaks.push(why);
    }
}

pub(super) const fn is_exposed(relation: &Relation) -> bool {
    !relation.temporary && !relation.new_in_transaction
}
