//! What the parts of an `ALTER TABLE` that are about one column do.

use super::alter::{Asked, is_proved_not_null};
use super::facts::{ConstraintFacts, TableFacts, TableIndex};
use super::reader::Reader;
use super::type_change::{self, TypeChange};
use super::work::{Cause, Loss, Task, Work};
use crate::base::LockMode::AccessExclusive;
use crate::sql::form::{Action, ConstraintKind, Using};

impl Asked<'_> {
    /// The parts that are about one column; nothing of others.
    pub(super) fn read_column(&self, action: &Action, reader: &mut Reader<'_>) {
        match action {
            Action::DropColumn { column, cascade, .. } => self.drop_column(column, *cascade, reader),
            Action::SetType { column, to, collate, using } => {
                let change = match (*using, reader.table(self.target).and_then(|table| table.column(column)))
                {
                    (Using::Expression, _) => TypeChange::Rewrite,
                    (_, None) if reader.is_unknown(self.target) => TypeChange::Rewrite,
                    (_, None) => return,
                    (_, Some(old)) => type_change::of(old, to, reader.facts),
                };
                self.set_type(column, change, *collate, reader);
            }
            Action::SetNotNull(column) => {
                let table = reader.table(self.target);
                // Since 18 a NOT NULL may be NOT VALID.
                let is_already = |table: &TableFacts| {
                    table.column(column).is_some_and(|it| it.not_null)
                        && table.not_null(column).is_none_or(|it| it.validated)
                };
                if table.is_some_and(is_already) {
                    return;
                }
                let proved = table.is_some_and(|table| is_proved_not_null(table, column));
                if !proved && !reader.past.is_not_null(self.target, column) {
                    self.work(Task::Scan, Cause::NotNull, reader);
                }
                reader.breaks(format!("writes that leave out or empty {column} fail"));
            }
            Action::DropNotNull(column) if !self.is_nullable(column, reader) => {
                reader.breaks(format!("{column} may be null, which readers may not expect"));
            }
            Action::DropDefault(column) => {
                reader.breaks(format!("writes that leave out {column} store null, or fail"));
            }
            Action::SetExpression(column) => {
                let stored =
                    reader.table(self.target).and_then(|table| table.column(column)).map(|it| it.stored);
                if stored != Some(false) {
                    self.work(Task::Rewrite, Cause::Expression, reader);
                }
            }
            _ => {}
        }
    }

    /// Whether a column is known to allow nulls already.
    fn is_nullable(&self, column: &str, reader: &Reader<'_>) -> bool {
        reader.table(self.target).and_then(|table| table.column(column)).is_some_and(|it| !it.not_null)
    }

    fn set_type(&self, column: &str, change: TypeChange, collate: bool, reader: &mut Reader<'_>) {
        if change == TypeChange::Rewrite {
            self.work(Task::Rewrite, Cause::TypeChange, reader);
            reader.breaks(format!("{column} has another type"));
        }
        let Some(table) = reader.table(self.target) else { return };
        if change != TypeChange::Rewrite {
            let checked = |kind| kind == ConstraintKind::Check;
            let of_column = |it: &&ConstraintFacts| it.columns.iter().any(|it| it == column);
            if table
                .constraints
                .iter()
                .filter(of_column)
                .any(|it| checked(it.kind) && it.validated && !self.drops(&it.name))
            {
                self.work(Task::Scan, Cause::TypeCheck, reader);
            }
            let again = |index: &TableIndex| {
                collate || change == TypeChange::Reindex || index.reads_in_expressions(column)
            };
            if table.indexes_on(column).any(again) {
                self.work(Task::BuildIndex, Cause::TypeIndex, reader);
            }
        }
        let own = table.constraints.iter().filter(|it| it.columns.iter().any(|it| it == column));
        let own = own.filter_map(|key| Some((key.references.as_ref()?, key.references_oid, key.validated)));
        let others = table.referenced_by.iter().filter(|key| key.columns.iter().any(|it| it == column));
        for (other, oid, checked) in own.chain(others.map(|key| (&key.table, Some(key.oid), true))) {
            reader.lock(other, oid, AccessExclusive);
            if checked && change == TypeChange::Rewrite {
                reader.work_on_other(Work {
                    task: Task::Scan,
                    cause: Cause::TypeReference,
                    relation: other.clone(),
                    under: AccessExclusive,
                    part: self.part,
                    exposed: true,
                    bytes: None,
                });
            }
        }
    }

    fn drop_column(&self, column: &str, cascade: bool, reader: &mut Reader<'_>) {
        let known = reader.table(self.target);
        if known.is_some_and(|table| table.column(column).is_none()) {
            return;
        }
        self.may_reach_others(reader);
        let lost = Loss::Column { table: self.target.clone(), column: column.to_owned() };
        reader.loses(self.target, lost);
        reader.breaks(format!("statements that name {column} fail"));
        // Foreign keys on the column go with it, and their other tables are locked.
        let table = reader.table(self.target);
        let keys = table.map(|table| &table.constraints).into_iter().flatten();
        for (other, oid) in keys
            .filter(|key| key.columns.iter().any(|it| it == column))
            .filter_map(|key| Some((key.references.as_ref()?, key.references_oid)))
        {
            reader.lock(other, oid, AccessExclusive);
        }
        let Some(table) = table.filter(|_| cascade) else { return };
        for key in table.referenced_by.iter().filter(|key| key.columns.iter().any(|it| it == column)) {
            reader.lock(&key.table, Some(key.oid), AccessExclusive);
        }
        reader.drop_views(self.target, Some(column), cascade);
    }
}
