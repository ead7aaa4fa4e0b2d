//! What came before a statement: in its transaction, and in its file.
//!
//! Folded over the statements in their order. Savepoints are not undone: what a rolled back part has made or locked
//! only makes the answer more careful.

use super::Effects;
use crate::base::{LockMode, RelationName};
use crate::sql::form::{Action, AlterTable, Altered, ConstraintKind, DroppedObject, Form, Runs, TypeName};
use crate::sql::statement::{Kind, Script, Statement, Transaction};

/// What came before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Past {
    /// A transaction block is open.
    pub in_transaction: bool,
    /// Relations made in the open transaction: nobody else sees them.
    pub made: Vec<RelationName>,
    /// Relations made earlier in the same file: small, whatever becomes of them later.
    pub made_before: Vec<RelationName>,
    /// Types that were made, in this file or transaction.
    pub types: Vec<TypeName>,
    /// Strong locks that the open transaction holds.
    pub locked: Vec<(RelationName, LockMode)>,
    /// Tables that the open transaction has written to.
    pub written: Vec<RelationName>,
    /// Constraints that the open transaction has added NOT VALID.
    pub unvalidated: Vec<(RelationName, String)>,
    /// Tables on which the open transaction has added foreign keys.
    pub foreign_keys: Vec<RelationName>,
    /// Tables that an `ALTER TABLE` of the open transaction has read or rewritten.
    pub worked: Vec<RelationName>,
    /// Indexes that were dropped, in this file or transaction, with their definitions where they are known.
    pub dropped_indexes: Vec<(RelationName, Option<String>)>,
    /// Types to which the open transaction has added values.
    pub enums: Vec<TypeName>,
    /// How many statements came before.
    pub statements: usize,
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

    /// Whether nobody else can see a relation, since the open transaction has made it.
    pub fn is_new(&self, name: &RelationName) -> bool {
        self.made.iter().any(|made| is_same(made, name))
    }

    /// Whether a relation was made earlier in the same file.
    pub fn is_young(&self, name: &RelationName) -> bool {
        self.made_before.iter().any(|made| is_same(made, name))
    }

    /// Whether the open transaction has written to a table.
    pub fn has_written(&self, name: &RelationName) -> bool {
        self.written.iter().any(|written| is_same(written, name))
    }

    /// Whether an `ALTER TABLE` of the open transaction has read or rewritten a table.
    pub fn worked_on(&self, name: &RelationName) -> bool {
        self.worked.iter().any(|worked| is_same(worked, name))
    }

    /// The strongest lock of the open transaction that stops others' reads or writes.
    pub fn strongest(&self) -> Option<&(RelationName, LockMode)> {
        self.locked.iter().max_by_key(|(_, mode)| *mode)
    }

    /// Goes on to the next statement.
    pub fn after(&mut self, statement: &Statement, effects: &Effects) {
        self.statements += 1;
        if let Kind::Transaction(control) = statement.kind {
            self.control(control);
            return;
        }
        self.make(&statement.form);
        self.drop_indexes(&statement.form, effects);
        if !self.in_transaction {
            self.made_before.append(&mut self.made);
            self.keep_only_what_lasts();
            return;
        }
        let strong = effects.strong().map(|touched| (touched.name.clone(), touched.mode));
        self.locked.extend(strong);
        match &statement.form {
            Form::Write(write) => self.written.push(write.table.clone()),
            Form::AlterTable(alter) if alter.object == Altered::Table => self.alter(alter, effects),
            Form::ConstraintsImmediate => self.written.clear(),
            _ => {}
        }
    }

    /// Goes on behind a message, whose statements and those within their bodies of code have these effects.
    pub fn after_script(&mut self, script: &Script, effects: &mut dyn Iterator<Item = Effects>) {
        for statement in &script.statements {
            let Some(own) = effects.next() else { return };
            self.after(statement, &own);
            let Form::Body(body) = &statement.form else { continue };
            let mut later = Self::nothing();
            let past = if body.runs == Runs::Now { &mut *self } else { &mut later };
            let own = past.enter_block();
            for inner in &body.inner {
                past.after_script(&inner.script, effects);
            }
            past.leave_block(own);
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
            Transaction::Begin => self.in_transaction = true,
            Transaction::Commit | Transaction::Prepare => {
                self.in_transaction = false;
                self.made_before.append(&mut self.made);
                self.keep_only_what_lasts();
            }
            Transaction::Rollback => {
                self.in_transaction = false;
                self.made.clear();
                self.keep_only_what_lasts();
            }
            Transaction::Savepoint
            | Transaction::Release
            | Transaction::RollbackTo
            | Transaction::FinishPrepared => {}
        }
    }

    /// Forgets what ends with a transaction.
    fn keep_only_what_lasts(&mut self) {
        self.locked.clear();
        self.written.clear();
        self.unvalidated.clear();
        self.foreign_keys.clear();
        self.worked.clear();
        self.enums.clear();
    }

    fn make(&mut self, form: &Form) {
        match form {
            Form::CreateTable(table) => self.made.push(table.name.clone()),
            Form::CreateTableAs(name) | Form::Make(Some(name)) => self.made.push(name.clone()),
            Form::CreateEnum(ty) => self.types.push(ty.clone()),
            Form::AlterEnum(change) if !change.rename => self.enums.push(change.ty.clone()),
            Form::Rename(rename) if self.is_new(&rename.target) => {
                self.made.push(RelationName { name: rename.to.clone(), ..rename.target.clone() });
            }
            _ => {}
        }
    }

    fn drop_indexes(&mut self, form: &Form, effects: &Effects) {
        let Form::Drop(dropped) = form else { return };
        if dropped.object == DroppedObject::Index {
            let named = dropped.names.iter().map(|name| (name.clone(), effects.inverse.clone()));
            self.dropped_indexes.extend(named);
        }
    }

    fn alter(&mut self, alter: &AlterTable, effects: &Effects) {
        if effects.work.iter().any(|work| work.exposed) {
            self.worked.push(alter.target.clone());
        }
        for part in &alter.parts {
            let Action::AddConstraint(constraint) = &part.action else { continue };
            if constraint.kind == ConstraintKind::Foreign {
                self.foreign_keys.push(alter.target.clone());
            }
            if let (true, Some(name)) = (constraint.not_valid, &constraint.name) {
                self.unvalidated.push((alter.target.clone(), name.clone()));
            }
        }
    }
}

/// Whether two names can mean one relation: a name without a schema may mean any.
fn is_same(a: &RelationName, b: &RelationName) -> bool {
    a.name == b.name && (a.schema == b.schema || a.schema.is_none() || b.schema.is_none())
}
