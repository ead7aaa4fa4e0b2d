//! What the parts of an `ALTER TABLE` do.
//!
//! Source: `src/backend/commands/tablecmds.c`, measured by `tests/it/oracle.rs`.

use super::Past;
use super::facts::{ConstraintFacts, TableFacts, TableIndex, TypeKind, Volatility};
use super::reader::Reader;
use super::type_change::{self, TypeChange};
use super::work::{Cause, Loss, Task, Work};
use crate::base::LockMode::{AccessExclusive, RowShare, ShareRowExclusive, ShareUpdateExclusive};
use crate::base::{LockMode, RelationName};
use crate::sql::form::{
    Action, AlterConstraint, AlterTable, Altered, Column, Constraint, ConstraintKind, Generated, Using,
};

/// `DETACH PARTITION` takes an `AccessExclusiveLock` on the partition since it can do so concurrently (14).
const VERSION_DETACH_CONCURRENTLY: u32 = 140_000;

/// The effects of every part.
pub(super) fn read(alter: &AlterTable, reader: &mut Reader<'_>) {
    for (part, asked) in alter.parts.iter().enumerate() {
        let one = Part { target: &alter.target, part };
        if alter.object != Altered::Table {
            if matches!(alter.object, Altered::Index | Altered::MaterializedView) && moves(&asked.action) {
                one.read(&asked.action, reader);
            }
            continue;
        }
        one.read(&asked.action, reader);
        if !alter.only && goes_down(&asked.action) {
            let foreign =
                matches!(&asked.action, Action::AddConstraint(it) if it.kind == ConstraintKind::Foreign);
            let mode = if foreign { ShareRowExclusive } else { AccessExclusive };
            reader.lock_partitions(&alter.target, mode);
        }
    }
}

/// Whether a part stores a relation in another way, whatever it is.
const fn moves(action: &Action) -> bool {
    matches!(action, Action::SetTablespace(_) | Action::SetLogged(_) | Action::SetAccessMethod(_))
}

/// Whether a part is carried out on partitions and heirs too.
const fn goes_down(action: &Action) -> bool {
    !matches!(
        action,
        Action::Attach { .. } | Action::Detach { .. } | Action::Brief | Action::ValidateConstraint(_)
    )
}

/// One part of the statement.
struct Part<'a> {
    target: &'a RelationName,
    part: usize,
}

impl Part<'_> {
    fn read(&self, action: &Action, reader: &mut Reader<'_>) {
        match action {
            Action::AddColumn { column, if_not_exists } => {
                let there =
                    reader.table(self.target).is_some_and(|table| table.column(&column.name).is_some());
                if !(there && *if_not_exists) {
                    self.add_column(column, reader);
                }
            }
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
                if !table.is_some_and(|table| is_proved_not_null(table, column)) {
                    self.work(Task::Scan, Cause::NotNull, reader);
                }
                reader.breaks(format!("writes that leave out or empty {column} fail"));
            }
            Action::DropNotNull(column) => {
                reader.breaks(format!("{column} may be null, which readers may not expect"));
            }
            Action::DropDefault(column) => {
                reader.breaks(format!("writes that leave out {column} store null, or fail"));
            }
            Action::AddConstraint(constraint) => self.add_constraint(constraint, reader),
            Action::ValidateConstraint(name) => self.validate(name, reader),
            Action::DropConstraint { name, .. } => self.drop_constraint(name, reader),
            Action::AlterConstraint(AlterConstraint { name, enforced: Some(enforced) }) => {
                self.enforce(name, *enforced, reader);
            }
            Action::SetExpression(column) => {
                let stored =
                    reader.table(self.target).and_then(|table| table.column(column)).map(|it| it.stored);
                if stored != Some(false) {
                    self.work(Task::Rewrite, Cause::Expression, reader);
                }
            }
            Action::Attach { child, .. } => self.attach(child, reader),
            Action::Detach { concurrently: false, finalize: false, child } => self.detach(child, reader),
            Action::SetTablespace(_) | Action::SetLogged(_) | Action::SetAccessMethod(_) => {
                self.work(Task::Rewrite, Cause::Storage, reader);
            }
            Action::SetDefault(_)
            | Action::AlterConstraint(_)
            | Action::DropExpression(_)
            | Action::Detach { .. }
            | Action::Brief => {}
        }
    }

    fn work(&self, task: Task, cause: Cause, reader: &mut Reader<'_>) {
        reader.work((task, cause), self.target, AccessExclusive, self.part);
    }

    fn add_column(&self, column: &Column, reader: &mut Reader<'_>) {
        let volatile = column.default.as_ref().is_some_and(|default| {
            default.functions.iter().any(|function| reader.facts.volatility(function) == Volatility::Volatile)
        });
        let constrained =
            reader.facts.ty(&column.ty).is_some_and(|ty| ty.kind == TypeKind::ConstrainedDomain);
        let rewrites = [
            (column.ty.is_serial(), Cause::Serial),
            (column.identity, Cause::Identity),
            (column.generated == Some(Generated::Stored), Cause::Stored),
            (volatile, Cause::VolatileDefault),
            (constrained, Cause::ConstrainedDomain),
        ];
        if let Some((_, cause)) = rewrites.into_iter().find(|(holds, _)| *holds) {
            self.work(Task::Rewrite, cause, reader);
        }
        for constraint in column.constraints.iter().filter(|it| !it.not_enforced) {
            match constraint.kind {
                ConstraintKind::Check => self.work(Task::Scan, Cause::ColumnCheck, reader),
                ConstraintKind::Unique | ConstraintKind::PrimaryKey => {
                    self.work(Task::BuildIndex, Cause::ColumnUnique, reader);
                }
                ConstraintKind::Foreign if column.default.is_some() => {
                    let other = constraint.references.as_ref().map(|references| &references.table);
                    for table in [Some(self.target), other].into_iter().flatten() {
                        reader.work((Task::Scan, Cause::ColumnReference), table, AccessExclusive, self.part);
                    }
                }
                ConstraintKind::NotNull if column.default.is_none() && !fills_itself(column) => {
                    reader.breaks(format!("writes that leave out {} fail", column.name));
                }
                _ => {}
            }
        }
    }

    fn drop_column(&self, column: &str, cascade: bool, reader: &mut Reader<'_>) {
        let lost = Loss::Column { table: self.target.clone(), column: column.to_owned() };
        reader.loses(self.target, lost);
        reader.breaks(format!("statements that name {column} fail"));
        // Foreign keys on the column go with it, and their other tables are locked.
        let table = reader.table(self.target);
        let keys = table.map(|table| &table.constraints).into_iter().flatten();
        for other in keys
            .filter(|key| key.columns.iter().any(|it| it == column))
            .filter_map(|key| key.references.as_ref())
        {
            reader.lock(other, None, AccessExclusive);
        }
        let Some(table) = table.filter(|_| cascade) else { return };
        for key in table.referenced_by.iter().filter(|key| key.columns.iter().any(|it| it == column)) {
            reader.lock(&key.table, Some(key.oid), AccessExclusive);
        }
        reader.drop_views(self.target, Some(column), cascade);
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
            if table.constraints.iter().filter(of_column).any(|it| checked(it.kind) && it.validated) {
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
        let own = own.filter_map(|key| Some((key.references.as_ref()?, None, key.validated)));
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

    fn add_constraint(&self, constraint: &Constraint, reader: &mut Reader<'_>) {
        let idle = constraint.not_valid || constraint.not_enforced;
        match (constraint.kind, &constraint.using_index) {
            (ConstraintKind::Check, _) if !idle => self.work(Task::Scan, Cause::Check, reader),
            (ConstraintKind::NotNull, _) if !idle => {
                let proved =
                    |table| constraint.columns.iter().all(|column| is_proved_not_null(table, column));
                if !reader.table(self.target).is_some_and(proved) {
                    self.work(Task::Scan, Cause::NotNull, reader);
                }
            }
            (ConstraintKind::Foreign, _) if !idle => {
                let both = constraint.references.as_ref().map(|references| &references.table);
                for table in [Some(self.target), both].into_iter().flatten() {
                    reader.work((Task::Scan, Cause::ForeignKey), table, ShareRowExclusive, self.part);
                }
            }
            (ConstraintKind::Unique, None) => self.work(Task::BuildIndex, Cause::Unique, reader),
            (ConstraintKind::PrimaryKey, None) => self.work(Task::BuildIndex, Cause::PrimaryKey, reader),
            (ConstraintKind::PrimaryKey, Some(index))
                if reader
                    .table(self.target)
                    .is_none_or(|table| !has_key_without_nulls(table, index, reader.past)) =>
            {
                self.work(Task::Scan, Cause::NullableKey, reader);
            }
            (ConstraintKind::Exclusion, _) => self.work(Task::BuildIndex, Cause::Exclusion, reader),
            _ => {}
        }
        if constraint.kind == ConstraintKind::Foreign && !constraint.not_enforced {
            // The other table's partitions get triggers of their own.
            if let Some(references) = &constraint.references {
                reader.lock_partitions(&references.table, ShareRowExclusive);
            }
        }
    }

    fn validate(&self, name: &str, reader: &mut Reader<'_>) {
        let known = reader.table(self.target).and_then(|table| table.constraint(name));
        if known.is_none_or(|constraint| !constraint.validated) {
            reader.work((Task::Scan, Cause::Validation), self.target, ShareUpdateExclusive, self.part);
            if let Some(other) = known.and_then(|constraint| constraint.references.as_ref()) {
                self.scan_other(Cause::Validation, other, RowShare, reader);
            }
            reader.lock_partitions(self.target, ShareUpdateExclusive);
        }
    }

    /// Enforcing reads both tables; both ways the other table gains or loses its triggers.
    fn enforce(&self, name: &str, enforced: bool, reader: &mut Reader<'_>) {
        if enforced {
            self.work(Task::Scan, Cause::Enforcement, reader);
        }
        let known = reader.table(self.target).and_then(|table| table.constraint(name));
        let Some(other) = known.and_then(|constraint| constraint.references.as_ref()) else { return };
        let mode = if enforced { ShareRowExclusive } else { AccessExclusive };
        reader.lock(other, None, mode);
        if enforced {
            self.scan_other(Cause::Enforcement, other, mode, reader);
        }
    }

    /// A scan of a table that the statement does not name.
    fn scan_other(&self, cause: Cause, other: &RelationName, under: LockMode, reader: &mut Reader<'_>) {
        let bytes = reader.facts.relation(other).and_then(|relation| relation.bytes);
        let (relation, part) = (other.clone(), self.part);
        reader.work_on_other(Work { task: Task::Scan, cause, relation, under, part, exposed: true, bytes });
    }

    fn drop_constraint(&self, name: &str, reader: &mut Reader<'_>) {
        let Some(table) = reader.table(self.target) else { return };
        if let Some(other) = table.constraint(name).and_then(|it| it.references.as_ref()) {
            reader.lock(other, None, AccessExclusive);
        }
    }

    fn detach(&self, child: &RelationName, reader: &mut Reader<'_>) {
        if reader.facts.is_older_than(VERSION_DETACH_CONCURRENTLY) {
            reader.lower(child, ShareUpdateExclusive);
        }
        self.lock_default_partition(reader);
    }

    fn attach(&self, child: &RelationName, reader: &mut Reader<'_>) {
        reader.work((Task::Scan, Cause::Attach), child, AccessExclusive, self.part);
        reader.lock_partitions(child, AccessExclusive);
        self.lock_default_partition(reader);
        let table = reader.table(self.target);
        if let Some(default) = table.and_then(TableFacts::default_partition) {
            reader.work_on_other(Work {
                task: Task::Scan,
                cause: Cause::DefaultPartition,
                relation: default.name.clone(),
                under: AccessExclusive,
                part: self.part,
                exposed: true,
                bytes: default.bytes,
            });
        }
    }

    fn lock_default_partition(&self, reader: &mut Reader<'_>) {
        let table = reader.table(self.target);
        if let Some(default) = table.and_then(TableFacts::default_partition) {
            reader.lock(&default.name, Some(default.oid), AccessExclusive);
        }
    }
}

/// Whether every row gets a value without anybody writing one.
fn fills_itself(column: &Column) -> bool {
    column.identity || column.generated.is_some() || column.ty.is_serial()
}

/// Whether Postgres knows already that a column holds no null: `NOT NULL`, or a valid CHECK that says so
/// (`NotNullImpliedByRelConstraints` in `tablecmds.c`), in the form in which `pg_get_constraintdef` writes it.
fn is_proved_not_null(table: &TableFacts, column: &str) -> bool {
    let quoted = crate::base::relation::quote_identifier(column);
    // Since 18 a NOT NULL may be NOT VALID.
    let valid = !table.constraints.iter().any(|it| {
        it.kind == ConstraintKind::NotNull && !it.validated && it.columns.iter().any(|name| name == column)
    });
    table.column(column).is_some_and(|column| column.not_null && valid)
        || table.constraints.iter().filter(|it| it.kind == ConstraintKind::Check && it.validated).any(|it| {
            [column, quoted.as_str()].iter().any(|name| {
                let proof = format!("({name} IS NOT NULL)");
                let definition = it.definition.trim_start_matches("CHECK ").trim();
                definition == format!("({proof})")
                    || (definition.contains(&proof)
                        && !definition.contains(" OR ")
                        && definition.contains(" AND "))
            })
        })
}

/// Whether the columns of an index cannot be null; one that does not exist is for the server to speak of.
fn has_key_without_nulls(table: &TableFacts, index: &str, past: &Past) -> bool {
    let known = table.indexes.iter().find(|it| it.name.name == index).map(|index| &index.columns);
    // One that the file has made is not among the facts; where there is none, the server will say so.
    let columns = known.or_else(|| past.made_index(index));
    columns.is_none_or(|columns| columns.iter().all(|column| is_proved_not_null(table, column)))
}
