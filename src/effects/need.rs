//! What the analysis wants to know about a script.

use std::collections::HashSet;

use crate::base::RelationName;
use crate::sql::form::{
    Action, Change, Column, ConstraintKind, Dropped, DroppedObject, Form, FunctionName, TypeName, WriteVerb,
};
use crate::sql::statement::{Kind, Script, Statement};

/// What is to be looked up, each name once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Need {
    /// Relations that are locked strongly, or that index work is about.
    pub relations: Vec<RelationName>,
    /// Types that are not the grammar's own.
    pub types: Vec<TypeName>,
    /// Functions that defaults of new columns call.
    pub functions: Vec<FunctionName>,
    /// Tables that get something whose name Postgres picks: the names that are taken beside them.
    pub names_beside: Vec<RelationName>,
}

impl Need {
    /// Whether nothing in the script can hurt, as far as its text tells.
    pub const fn is_empty(&self) -> bool {
        self.relations.is_empty()
            && self.types.is_empty()
            && self.functions.is_empty()
            && self.names_beside.is_empty()
    }
}

/// What must be known to judge a script; nothing when nothing in it can hurt.
pub fn need(script: &Script) -> Need {
    let mut need = Need::default();
    of_script(script, &mut need);
    // Each name once, in the order in which they come.
    let mut before = HashSet::new();
    need.relations.retain(|name| before.insert(name.clone()));
    need
}

/// The same, with what is only looked at: for whoever tells all locks, not just those that hurt.
pub fn need_in_full(script: &Script) -> Need {
    let mut need = need(script);
    let mut known: HashSet<RelationName> = need.relations.iter().cloned().collect();
    let read = script.statements.iter().flat_map(|statement| &statement.reads).map(|read| &read.table);
    need.relations.extend(read.filter(|table| known.insert((*table).clone())).cloned());
    need
}

fn of_script(script: &Script, need: &mut Need) {
    for statement in &script.statements {
        if let Form::Body(body) = &statement.form {
            body.inner.iter().for_each(|inner| of_script(&inner.script, need));
        }
        if !matters(statement) {
            continue;
        }
        let locked = statement.locks.iter().filter(|lock| lock.resolvable).map(|lock| &lock.name);
        for name in locked.chain(unless_exists(statement)) {
            need.relations.push(name.clone());
        }
        for write in &statement.writes {
            if !matches!(write.verb, WriteVerb::Insert | WriteVerb::Copy) {
                need.relations.push(write.table.clone());
            }
        }
        of_form(&statement.form, need);
    }
}

/// The index that stands in the way of the same index, if it is there.
fn unless_exists(statement: &Statement) -> Option<&RelationName> {
    match &statement.kind {
        Kind::CreateIndex(create) => create.unless_exists.as_ref(),
        _ => None,
    }
}

/// Index work matters even when it is sent in its concurrent form: it is verified and cleaned up. What an ALTER TABLE
/// reads matters under a weak lock too.
fn matters(statement: &Statement) -> bool {
    let index_work = matches!(statement.kind, Kind::CreateIndex(_) | Kind::DropIndex(_) | Kind::Reindex(_));
    index_work
        || !statement.locks.is_empty()
        || !statement.writes.is_empty()
        || matches!(statement.form, Form::AlterTable(_) | Form::AlterDomain(_) | Form::Drop(_))
}

fn of_form(form: &Form, need: &mut Need) {
    match form {
        Form::AlterTable(alter) => {
            if alter.parts.iter().any(|part| is_unnamed(&part.action)) {
                add(&mut need.names_beside, &alter.target);
            }
            for part in &alter.parts {
                match &part.action {
                    Action::AddColumn { column, .. } => of_column(column, need),
                    Action::SetType { to, .. } => of_type(to, need),
                    // It gets what it lacks of its parent's indexes and foreign keys.
                    Action::Attach { child, .. } => add(&mut need.names_beside, child),
                    _ => {}
                }
            }
        }
        // Whatever it is called, the indexes of partitions get names of their own.
        Form::CreateIndex(index) => add(&mut need.names_beside, &index.table),
        Form::CreateTable(table) if table.if_not_exists || table.partition_of.is_some() => {
            need.relations.push(table.name.clone());
        }
        Form::Drop(Dropped { object: DroppedObject::Type, names, cascade: true, .. }) => {
            for RelationName { schema, name } in names {
                let ty = TypeName { schema: schema.clone(), name: name.clone(), ..TypeName::default() };
                add(&mut need.types, &ty);
            }
        }
        Form::AlterDomain(alter) if alter.change == Change::Checks => add(&mut need.types, &alter.domain),
        _ => {}
    }
}

/// Whether a part makes something whose name Postgres picks, also on a partition.
fn is_unnamed(action: &Action) -> bool {
    match action {
        Action::AddConstraint(constraint) => {
            constraint.name.is_none()
                || matches!(constraint.kind, ConstraintKind::PrimaryKey | ConstraintKind::Unique)
        }
        Action::AddColumn { column, .. } => {
            let numbered = column.identity.is_some() || column.ty.is_serial();
            numbered || column.constraints.iter().any(|it| it.name.is_none())
        }
        Action::SetNotNull(_) => true,
        _ => false,
    }
}

fn of_column(column: &Column, need: &mut Need) {
    of_type(&column.ty, need);
    for function in column.default.iter().flat_map(|default| &default.functions) {
        if !function.name.is_empty() {
            add(&mut need.functions, function);
        }
    }
}

fn of_type(ty: &TypeName, need: &mut Need) {
    if ty.schema.as_deref() != Some("pg_catalog") && !ty.is_serial() {
        add(&mut need.types, ty);
    }
}

fn add<T: Clone + PartialEq>(list: &mut Vec<T>, item: &T) {
    if !list.contains(item) {
        list.push(item.clone());
    }
}
