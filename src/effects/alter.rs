//! What the parts of an `ALTER TABLE` do.
//!
//! Source: `src/backend/commands/tablecmds.c`, measured by `tests/it/oracle.rs`.

use super::Past;
use super::attach;
use super::create;
use super::detach;
use super::facts::{TableFacts, TypeKind, Volatility};
use super::reader::Reader;
use super::work::{Cause, Loss, Task, Work};
use crate::base::LockMode::{AccessExclusive, RowShare, Share, ShareRowExclusive, ShareUpdateExclusive};
use crate::base::{LockMode, RelationName};
use crate::sql::form::{
    Action, AlterConstraint, AlterTable, Altered, Bound, Column, Constraint, ConstraintKind, Generated, Part,
};

/// A key or foreign key of one table looks at the heirs of it since 18.
const VERSION_KEYS_GO_DOWN: u32 = 180_000;

/// `ATTACH PARTITION` locks the tables that refer to the parent against writes since then (`CloneFkReferenced`).
const VERSION_REFERRING: u32 = 150_000;

/// The effects of every part.
pub(super) fn read(alter: &AlterTable, reader: &mut Reader<'_>) {
    for (part, asked) in alter.parts.iter().enumerate() {
        let one = Asked { target: &alter.target, part, only: alter.only, parts: &alter.parts };
        if alter.object != Altered::Table {
            if matches!(alter.object, Altered::Index | Altered::MaterializedView) && moves(&asked.action) {
                one.read(&asked.action, reader);
            }
            if let (Altered::Type, Action::DropColumn { column, .. }) = (alter.object, &asked.action) {
                let (table, column) = (alter.target.clone(), column.clone());
                reader.breaks(format!("statements that name {column} fail"));
                reader.loses(&alter.target, Loss::Column { table, column });
            }
            if let Action::Attach { child, .. } = &asked.action {
                reader.look_at_table_of(&alter.target);
                reader.look_at_table_of(child);
            }
            continue;
        }
        one.read(&asked.action, reader);
        if let (Action::BriefBelow(mode), false) = (&asked.action, alter.only) {
            reader.lock_partitions(&alter.target, *mode);
            reader.lock_heirs(&alter.target, *mode);
        }
        if !alter.only && goes_down(&asked.action) {
            let key = match &asked.action {
                Action::AddConstraint(it) => Some(it.kind),
                _ => None,
            };
            lock_below(key, &alter.target, reader);
        }
    }
}

/// The locks on partitions and heirs of a part that is carried out there too; of one that adds a constraint, by its kind.
fn lock_below(constraint: Option<ConstraintKind>, target: &RelationName, reader: &mut Reader<'_>) {
    let before = reader.facts.is_older_than(VERSION_KEYS_GO_DOWN);
    let key = matches!(constraint, Some(ConstraintKind::Unique | ConstraintKind::Exclusion));
    let foreign = constraint == Some(ConstraintKind::Foreign);
    let mode = match constraint {
        _ if foreign => ShareRowExclusive,
        _ if key && before => Share,
        _ => AccessExclusive,
    };
    reader.lock_partitions(target, mode);
    if !(before && (key || foreign)) {
        reader.lock_heirs(target, mode);
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
        Action::Attach { .. }
            | Action::Detach { .. }
            | Action::Brief
            | Action::BriefBelow(_)
            | Action::ValidateConstraint(_)
    )
}

/// One part of the statement.
pub(super) struct Asked<'a> {
    pub(super) target: &'a RelationName,
    pub(super) part: usize,
    /// Without its heirs.
    only: bool,
    /// All parts of the statement.
    parts: &'a [Part],
}

impl Asked<'_> {
    /// Whether the same statement drops a constraint: that comes first, whatever the order of the text (`AlterTablePass` in
    /// `tablecmds.c`).
    pub(super) fn drops(&self, constraint: &str) -> bool {
        self.parts
            .iter()
            .any(|part| matches!(&part.action, Action::DropConstraint { name, .. } if name == constraint))
    }

    fn read(&self, action: &Action, reader: &mut Reader<'_>) {
        match action {
            Action::AddColumn { column, if_not_exists } => {
                let there =
                    reader.table(self.target).is_some_and(|table| table.column(&column.name).is_some());
                if !(there && *if_not_exists) {
                    self.add_column(column, reader);
                }
            }
            Action::AddConstraint(constraint) => self.add_constraint(constraint, reader),
            Action::ValidateConstraint(name) => self.validate(name, reader),
            Action::DropConstraint { name, cascade, .. } => self.drop_constraint(name, *cascade, reader),
            Action::AlterConstraint(AlterConstraint { name, enforced: Some(enforced) }) => {
                self.enforce(name, *enforced, reader);
            }
            Action::Attach { child, bound, .. } => self.attach(child, bound, reader),
            Action::Detach { concurrently, finalize: false, child } => {
                if !concurrently {
                    self.may_reach_others(reader);
                    detach::locks(self.target, child, reader);
                }
                detach::search((self.target, child), self.part, reader);
            }
            Action::SetTablespace(_) | Action::SetLogged(_) | Action::SetAccessMethod(_)
                if !self.is_stored_so(action, reader) =>
            {
                self.work(Task::Rewrite, Cause::Storage, reader);
            }
            other => self.read_column(other, reader),
        }
    }

    /// Whether a relation is known to be stored as asked for already.
    fn is_stored_so(&self, action: &Action, reader: &Reader<'_>) -> bool {
        let Some(relation) = reader.facts.relation(self.target) else { return false };
        match action {
            Action::SetTablespace(name) => relation.storage.tablespace.as_ref() == Some(name),
            Action::SetLogged(logged) => relation.storage.unlogged != *logged,
            Action::SetAccessMethod(method) => method.is_some() && relation.storage.method == *method,
            _ => false,
        }
    }

    pub(super) fn work(&self, task: Task, cause: Cause, reader: &mut Reader<'_>) {
        reader.work((task, cause), self.target, AccessExclusive, self.part);
        if task != Task::BuildIndex {
            self.work_on_heirs(task, cause, reader);
        }
    }

    fn work_on_heirs(&self, task: Task, cause: Cause, reader: &mut Reader<'_>) {
        for heir in reader
            .facts
            .table(self.target)
            .map(|table| &table.heirs)
            .into_iter()
            .flatten()
            .filter(|_| !self.only)
        {
            reader.work_on_other(Work {
                task,
                cause,
                relation: heir.name.clone(),
                under: AccessExclusive,
                part: self.part,
                exposed: true,
                bytes: heir.bytes,
            });
        }
    }

    fn add_column(&self, column: &Column, reader: &mut Reader<'_>) {
        let volatile = column.default.as_ref().is_some_and(|default| {
            default.functions.iter().any(|function| reader.facts.volatility(function) == Volatility::Volatile)
        });
        let constrained =
            reader.facts.ty(&column.ty).is_some_and(|ty| ty.kind == TypeKind::ConstrainedDomain);
        let rewrites = [
            (column.ty.is_serial(), Cause::Serial),
            (column.identity.is_some(), Cause::Identity),
            (column.generated == Some(Generated::Stored), Cause::Stored),
            (volatile, Cause::VolatileDefault),
            (constrained, Cause::ConstrainedDomain),
        ];
        if let Some((_, cause)) = rewrites.into_iter().find(|(holds, _)| *holds) {
            self.work(Task::Rewrite, cause, reader);
        }
        for constraint in column.constraints.iter().filter(|it| !it.not_enforced) {
            lock_referenced_partitions(constraint, reader);
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
                let other = constraint.references.as_ref().map(|references| &references.table);
                // The few rows of a table that nobody else can see yet are looked up in no time.
                let other = other.filter(|_| !reader.is_new_and_little(self.target));
                for table in [Some(self.target), other].into_iter().flatten() {
                    reader.work((Task::Scan, Cause::ForeignKey), table, ShareRowExclusive, self.part);
                }
            }
            (ConstraintKind::Unique, None) => self.work(Task::BuildIndex, Cause::Unique, reader),
            (ConstraintKind::PrimaryKey, None) => {
                self.work(Task::BuildIndex, Cause::PrimaryKey, reader);
                // Its columns become NOT NULL in the heirs too.
                let proved =
                    |table| constraint.columns.iter().all(|column| is_proved_not_null(table, column));
                if !reader.table(self.target).is_some_and(proved) {
                    self.work_on_heirs(Task::Scan, Cause::PrimaryKey, reader);
                }
            }
            (ConstraintKind::PrimaryKey, Some(index))
                if reader
                    .table(self.target)
                    .is_none_or(|table| !has_key_without_nulls((self.target, table), index, reader.past)) =>
            {
                self.work(Task::Scan, Cause::NullableKey, reader);
            }
            (ConstraintKind::Exclusion, _) => self.work(Task::BuildIndex, Cause::Exclusion, reader),
            _ => {}
        }
        lock_referenced_partitions(constraint, reader);
    }

    fn validate(&self, name: &str, reader: &mut Reader<'_>) {
        let known = reader.table(self.target).and_then(|table| table.constraint(name));
        if known.is_none_or(|constraint| !constraint.validated) {
            reader.work((Task::Scan, Cause::Validation), self.target, ShareUpdateExclusive, self.part);
            if let Some(other) = known.and_then(|constraint| constraint.references.as_ref()) {
                reader.lock(other, None, RowShare);
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

    fn drop_constraint(&self, name: &str, cascade: bool, reader: &mut Reader<'_>) {
        self.may_reach_others(reader);
        let Some(table) = reader.table(self.target) else { return };
        let Some(constraint) = table.constraint(name) else { return };
        reader.lock_referenced(constraint, true);
        // The foreign keys that need a key go with it.
        for key in table.referenced_by.iter().filter(|key| cascade && key.columns == constraint.columns) {
            reader.lock(&key.table, Some(key.oid), AccessExclusive);
        }
    }

    /// Foreign keys and default partitions are tables that only a catalogue can name.
    pub(super) fn may_reach_others(&self, reader: &mut Reader<'_>) {
        reader.may_reach_beyond(self.target);
    }

    fn attach(&self, child: &RelationName, bound: &Bound, reader: &mut Reader<'_>) {
        let table = reader.table(self.target);
        let known = table.zip(reader.table(child));
        let lacking = known.map(|(parent, child)| child.lacking(parent));
        let whole = lacking.as_ref().is_some_and(|it| it.is_nothing() && !it.doubtful);
        if !(whole && known.is_some_and(|(parent, child)| attach::is_proved(parent, child, bound))) {
            reader.work((Task::Scan, Cause::Attach), child, AccessExclusive, self.part);
        }
        reader.lock_partitions(child, AccessExclusive);
        self.lock_default_partition(reader);
        for key in lacking.iter().flat_map(|it| &it.merged) {
            reader.lock_referenced(key, true);
        }
        // What refers to the parent refers to the new partition as well.
        let mode = if reader.facts.is_older_than(VERSION_REFERRING) {
            LockMode::AccessShare
        } else {
            ShareRowExclusive
        };
        for key in table.map(|table| table.referenced_by.as_slice()).unwrap_or_default() {
            reader.lock(&key.table, Some(key.oid), mode);
        }
        // What the table lacks of the parent's foreign keys is proved.
        for key in lacking.iter().flat_map(|it| &it.keys) {
            let Some(other) = &key.references else { continue };
            reader.lock(other, key.references_oid, ShareRowExclusive);
            self.scan_other(Cause::Attach, other, ShareRowExclusive, reader);
        }
        if let Some((parent, default)) = table.and_then(|it| Some((it, it.default_partition()?))) {
            create::read_default(parent, default, self.part, reader);
        }
    }

    fn lock_default_partition(&self, reader: &mut Reader<'_>) {
        self.may_reach_others(reader);
        let table = reader.table(self.target);
        if let Some(default) = table.and_then(TableFacts::default_partition) {
            reader.lock(&default.name, Some(default.oid), AccessExclusive);
        }
    }
}

/// The partitions of the table that a foreign key refers to get triggers of their own.
fn lock_referenced_partitions(constraint: &Constraint, reader: &mut Reader<'_>) {
    if let Some(references) = constraint.references.as_ref().filter(|_| !constraint.not_enforced) {
        reader.lock_partitions(&references.table, ShareRowExclusive);
    }
}

/// Whether every row gets a value without anybody writing one.
fn fills_itself(column: &Column) -> bool {
    column.identity.is_some() || column.generated.is_some() || column.ty.is_serial()
}

/// Whether Postgres knows already that a column holds no null: `NOT NULL`, or a valid CHECK that says so
/// (`NotNullImpliedByRelConstraints` in `tablecmds.c`), in the form in which `pg_get_constraintdef` writes it.
pub(super) fn is_proved_not_null(table: &TableFacts, column: &str) -> bool {
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
fn has_key_without_nulls((target, table): (&RelationName, &TableFacts), index: &str, past: &Past) -> bool {
    let known = table.indexes.iter().find(|it| it.name.name == index).map(|index| &index.columns);
    // One that the file has made is not among the facts; where there is none, the server will say so.
    let columns = known.or_else(|| past.made_index(index));
    let proved = |column: &String| is_proved_not_null(table, column) || past.is_not_null(target, column);
    columns.is_none_or(|columns| columns.iter().all(proved))
}
