//! What came before a statement: in its transaction, and in its file.
//!
//! Folded over the statements in their order, each in a time that does not hang on how many came before. Where it is not sure,
//! it is careful: what a part has locked or written that was rolled back to a savepoint still counts, what such a part may have
//! made does not.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Effects;
use super::names::Names;
use crate::base::{LockMode, RelationName};
use crate::sql::bookkeeping;
use crate::sql::form::{Action, AlterTable, Altered, ConstraintKind, Dropped, DroppedObject, Form, TypeName};
use crate::sql::statement::{Kind, Opaque, Statement, Transaction};

/// More of one kind is not kept of an open session's transaction, whose statements have no end, and of what must be looked
/// through one by one.
const KEPT_MAX: usize = 256;

/// A constraint that was added.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Made {
    kind: ConstraintKind,
    table: RelationName,
    /// Columns that it proves to hold no null, once it is valid.
    proves: Vec<String>,
    validated: bool,
}

/// What came before.
#[expect(clippy::struct_excessive_bools, reason = "independent of each other")]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Past {
    /// A transaction block is open.
    pub in_transaction: bool,
    /// It is the implicit one of a message of several statements, which ends with it.
    implicit: bool,
    /// Relations made in the open transaction: nobody else sees them.
    made: Names,
    /// Those among them that are temporary and outlast it.
    made_temporary: Names,
    /// Temporary relations made earlier in the same session: nobody else ever sees them.
    temporary: Names,
    /// Relations made earlier in the same file: small, whatever becomes of them later.
    made_before: Names,
    /// Indexes made earlier in the same file, by name, with their columns.
    indexes: BTreeMap<String, Vec<String>>,
    /// Enums that were made earlier in the same file.
    enums: BTreeSet<TypeName>,
    /// Constraints that were added earlier in the same file, by name.
    constraints: BTreeMap<String, Made>,
    /// Columns that were made NOT NULL earlier in the same file.
    not_null: BTreeSet<(RelationName, String)>,
    /// The strongest lock that the open transaction holds.
    strongest: Option<(RelationName, LockMode)>,
    /// It may hold strong locks on what nobody has named.
    beyond: bool,
    /// Tables that the open transaction has written to.
    written: Names,
    /// Values that the open transaction has added to enums.
    enum_values: Vec<String>,
    /// Tables on which the open transaction has added foreign keys, with how many.
    foreign_keys: usize,
    /// Tables that an `ALTER TABLE` of the open transaction has read or rewritten.
    worked: Names,
    /// The last indexes that were dropped, in this file or transaction, with their definitions where they are known.
    dropped_indexes: VecDeque<(RelationName, Option<String>)>,
}

impl Past {
    /// Nothing came before.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// A transaction is open of which nothing more is known.
    pub fn in_transaction() -> Self {
        Self { in_transaction: true, ..Self::default() }
    }

    /// The same, in a transaction that is open.
    #[must_use]
    pub fn within_transaction(&self) -> Self {
        Self { in_transaction: true, ..self.clone() }
    }

    /// Whether nobody else can see a relation, since the open transaction has made one of that very name, or the session a
    /// temporary one.
    pub fn is_new(&self, name: &RelationName) -> bool {
        name.schema.as_deref() == Some("pg_temp") || self.made.hold(name) || self.temporary.hold(name)
    }

    /// Whether a relation of that very name was made earlier in the same file.
    pub fn is_young(&self, name: &RelationName) -> bool {
        self.made_before.hold(name)
    }

    /// Whether the open transaction has written to a table.
    pub fn has_written(&self, name: &RelationName) -> bool {
        self.written.may_hold(name)
    }

    /// Whether an `ALTER TABLE` of the open transaction has read or rewritten a table.
    pub fn worked_on(&self, name: &RelationName) -> bool {
        self.worked.may_hold(name)
    }

    /// Values that the open transaction has added to enums.
    pub fn enum_values(&self) -> &[String] {
        &self.enum_values
    }

    /// How many foreign keys the open transaction has added.
    pub const fn foreign_keys(&self) -> usize {
        self.foreign_keys
    }

    /// The columns of an index that was made earlier in the same file.
    pub fn made_index(&self, name: &str) -> Option<&Vec<String>> {
        self.indexes.get(name)
    }

    /// Whether a type was made earlier in the same file that is no domain.
    pub fn made_type(&self, ty: &TypeName) -> bool {
        self.enums.contains(ty)
    }

    /// What a constraint demands that was added earlier in the same file.
    pub fn made_constraint(&self, name: &str) -> Option<ConstraintKind> {
        self.constraints.get(name).map(|made| made.kind)
    }

    /// Whether the file has made a column NOT NULL, or proved it by a valid constraint.
    pub fn is_not_null(&self, table: &RelationName, column: &str) -> bool {
        let proves = |made: &Made| {
            made.validated && made.table == *table && made.proves.iter().any(|proved| proved == column)
        };
        self.not_null.contains(&(table.clone(), column.to_owned())) || self.constraints.values().any(proves)
    }

    /// Indexes that were dropped, with their definitions where they are known.
    pub fn dropped_indexes(&self) -> impl Iterator<Item = &(RelationName, Option<String>)> {
        self.dropped_indexes.iter()
    }

    /// The strongest lock of the open transaction that stops others' reads or writes.
    pub const fn strongest(&self) -> Option<&(RelationName, LockMode)> {
        self.strongest.as_ref()
    }

    /// Whether the open transaction holds strong locks, as far as anybody can tell.
    pub const fn may_hold_strong(&self) -> bool {
        self.strongest.is_some() || self.beyond
    }

    /// Notes strong locks on what nobody has named.
    pub const fn hold_beyond(&mut self) {
        self.beyond = true;
    }

    /// Goes on behind a statement.
    pub fn after(&mut self, statement: &Statement, effects: &Effects) {
        if !matches!(statement.kind, Kind::Transaction(_)) {
            self.make(&statement.form);
            self.make_index(&statement.form);
            self.make_constraints(&statement.form);
            self.drop_indexes(&statement.form, effects);
        }
        self.after_perhaps(statement, effects);
    }

    /// Goes on behind a statement that may not have run: what it locks counts, what it makes or drops does not.
    pub fn after_perhaps(&mut self, statement: &Statement, effects: &Effects) {
        if let Kind::Transaction(control) = statement.kind {
            self.control(control);
            return;
        }
        if !self.in_transaction {
            self.let_made_last();
            self.keep_only_what_lasts();
            return;
        }
        self.lock(statement, effects);
        statement.writes.iter().for_each(|write| self.written.add(&write.table));
        match &statement.form {
            Form::AlterTable(alter) if alter.object == Altered::Table => self.alter(alter, effects),
            Form::ConstraintsImmediate => self.written.clear(),
            Form::AlterEnum(change) if !change.rename && self.enum_values.len() < KEPT_MAX => {
                self.enum_values.push(change.value.clone());
            }
            _ => {}
        }
    }

    /// What of it a session keeps for the next message of its transaction.
    ///
    /// The catalogue says what the transaction has made, and is not wrong behind a savepoint that was rolled back to.
    #[must_use]
    pub fn of_session(mut self) -> Self {
        (self.made, self.made_before) = (Names::default(), Names::default());
        (self.made_temporary, self.temporary) = (Names::default(), Names::default());
        self.indexes.clear();
        self.constraints.clear();
        self.not_null.clear();
        self.enums.clear();
        for names in [&mut self.written, &mut self.worked] {
            if names.len() > KEPT_MAX {
                names.clear();
            }
        }
        self
    }

    /// Begins the transaction around several statements that nobody has begun; nothing where one is open.
    pub fn enter_implicit(&mut self) {
        self.implicit |= !self.in_transaction;
        self.in_transaction = true;
    }

    /// Ends it, unless a `BEGIN` has made it one of the client's own.
    pub fn leave_implicit(&mut self) {
        if self.implicit {
            self.control(Transaction::Commit);
        }
    }

    /// Goes into a body of code, which is one transaction; says whether it is one of its own.
    pub fn enter_block(&mut self) -> bool {
        !std::mem::replace(&mut self.in_transaction, true)
    }

    /// Leaves it.
    pub fn leave_block(&mut self, own: bool) {
        if own {
            self.control(Transaction::Commit);
        }
    }

    fn control(&mut self, control: Transaction) {
        match control {
            Transaction::Begin { .. } => (self.in_transaction, self.implicit) = (true, false),
            Transaction::Commit | Transaction::Prepare => self.end(true),
            Transaction::CommitAndChain => {
                self.end(true);
                self.in_transaction = true;
            }
            Transaction::Rollback => self.end(false),
            Transaction::RollbackAndChain => {
                self.end(false);
                self.in_transaction = true;
            }
            Transaction::RollbackTo => self.forget_made(),
            Transaction::Savepoint | Transaction::Release | Transaction::FinishPrepared => {}
        }
    }

    fn end(&mut self, committed: bool) {
        (self.in_transaction, self.implicit) = (false, false);
        if committed {
            self.let_made_last();
        }
        self.forget_made();
        self.keep_only_what_lasts();
    }

    fn forget_made(&mut self) {
        self.made.clear();
        self.made_temporary.clear();
    }

    fn let_made_last(&mut self) {
        self.made_before.append(&mut self.made);
        self.temporary.append(&mut self.made_temporary);
    }

    /// Forgets what ends with a transaction.
    fn keep_only_what_lasts(&mut self) {
        self.strongest = None;
        self.beyond = false;
        self.written.clear();
        self.foreign_keys = 0;
        self.enum_values.clear();
        self.worked.clear();
    }

    fn lock(&mut self, statement: &Statement, effects: &Effects) {
        // Who waits for the books of a migration tool waits for its run, as he is to.
        if matches!(statement.kind, Kind::Lock { .. }) && bookkeeping::is_about(statement) {
            return;
        }
        self.beyond |= effects.beyond
            || matches!(
                statement.kind,
                Kind::Opaque(Opaque::Block { .. } | Opaque::Extension | Opaque::Unread)
            );
        let held = self.strongest.as_ref().map(|(_, mode)| *mode);
        if let Some(touched) = effects.strongest().filter(|touched| Some(touched.mode) > held) {
            self.strongest = Some((touched.name.clone(), touched.mode));
        }
    }

    fn make(&mut self, form: &Form) {
        let made = match form {
            // A temporary one is meant whether it was there or not.
            Form::CreateTable(table) if !table.if_not_exists || table.temporary => table.name.clone(),
            Form::CreateTableAs { name, temporary: true, .. }
            | Form::CreateTableAs { name, if_not_exists: false, .. }
            | Form::Make { relation: Some(name), .. } => name.clone(),
            Form::Rename(rename) if self.is_new(&rename.target) => {
                RelationName { name: rename.to.clone(), ..rename.target.clone() }
            }
            _ => return,
        };
        let lasts = match form {
            Form::CreateTable(table) => table.temporary && !table.until_commit,
            Form::CreateTableAs { temporary, until_commit, .. } => *temporary && !until_commit,
            _ => false,
        };
        if lasts {
            self.made_temporary.add(&made);
        }
        self.made.add(&made);
    }

    fn make_index(&mut self, form: &Form) {
        if let Form::CreateEnum(ty) = form {
            self.enums.insert(ty.clone());
        }
        let Form::CreateIndex(index) = form else { return };
        let columns: Option<Vec<String>> = index.columns.iter().map(|column| column.name.clone()).collect();
        if let (Some(name), Some(columns)) = (&index.name, columns) {
            self.indexes.insert(name.clone(), columns);
        }
    }

    fn make_constraints(&mut self, form: &Form) {
        let Form::AlterTable(alter) = form else { return };
        for part in &alter.parts {
            match &part.action {
                Action::AddConstraint(constraint) => {
                    let Some(name) = &constraint.name else { continue };
                    let made = Made {
                        kind: constraint.kind,
                        table: alter.target.clone(),
                        proves: constraint.proves.clone(),
                        validated: !constraint.not_valid,
                    };
                    self.constraints.insert(name.clone(), made);
                }
                Action::ValidateConstraint(name) => {
                    if let Some(made) =
                        self.constraints.get_mut(name).filter(|made| made.table == alter.target)
                    {
                        made.validated = true;
                    }
                }
                Action::DropConstraint { name, .. } => {
                    self.constraints.remove(name);
                }
                Action::SetNotNull(column) => {
                    self.not_null.insert((alter.target.clone(), column.clone()));
                }
                Action::DropNotNull(column) => {
                    self.not_null.remove(&(alter.target.clone(), column.clone()));
                }
                _ => {}
            }
        }
    }

    fn drop_indexes(&mut self, form: &Form, effects: &Effects) {
        let Form::Drop(Dropped { object: DroppedObject::Index, names, .. }) = form else { return };
        for name in names {
            self.dropped_indexes.push_back((name.clone(), effects.inverse.clone()));
            if self.dropped_indexes.len() > KEPT_MAX {
                self.dropped_indexes.pop_front();
            }
        }
    }

    fn alter(&mut self, alter: &AlterTable, effects: &Effects) {
        if effects.work.iter().any(|work| work.exposed) {
            self.worked.add(&alter.target);
        }
        let keys = alter.parts.iter().filter(
            |part| matches!(&part.action, Action::AddConstraint(it) if it.kind == ConstraintKind::Foreign),
        );
        self.foreign_keys += keys.count();
    }
}
