//! Whether a statement hangs on what its transaction has only queued: it never runs against a state that is not there yet.
//!
//! Names are compared without their schemas where one of them has none, and texts are searched for names: what only looks alike
//! counts as the same.

use crate::base::{LockMode, Notice, RelationName, SqlState};
use crate::effects::Effects;
use crate::plan::by_hand::spelled;
use crate::plan::{Pending, Sight, deferral};
use crate::sql::form::{
    Action, Body, Constraint, ConstraintKind, Dropped, DroppedObject, Form, Inner, Read, Reading, Rename,
    Renamed, Runs,
};
use crate::sql::statement::{Kind, Opaque, Script, Setting, Statement, Transaction};

/// The tag of what asks for checks at once, or later: nothing has to be done about constraints that are only queued.
pub(super) const SET_CONSTRAINTS: &str = "SET CONSTRAINTS";

/// What queued statements mean for one that comes after them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Dependence {
    /// Nothing.
    #[default]
    None,
    /// It has to be queued behind them.
    Behind,
    /// It cannot be run.
    Refused(Box<Notice>),
}

/// What `queued` means for the statement of a message that is the only one in it; `effects` where they are known.
pub(super) fn on(queued: &[Pending], script: &Script, effects: Option<&Effects>) -> Dependence {
    let [statement] = script.statements.as_slice() else { return Dependence::None };
    let read_only =
        [Kind::Setting(Setting::ReadOnly), Kind::Transaction(Transaction::Begin { read_only: true })];
    if !queued.is_empty() && read_only.contains(&statement.kind) {
        return Dependence::Refused(Box::new(would_write_nothing(statement)));
    }
    if queued.is_empty() || matches!(statement.kind, Kind::Transaction(_) | Kind::Setting(_)) {
        return Dependence::None;
    }
    if let Some(name) = made_twice(queued, statement) {
        let message = format!("relation \"{name}\" already exists");
        let error = Notice::error(SqlState::DUPLICATE_TABLE, message)
            .detail("It is queued in this transaction and made when that is committed.");
        return Dependence::Refused(Box::new(error));
    }
    let case = Case { script, statement, effects };
    if let Form::Body(Body { runs: Runs::Now, inner, unseen: None, .. }) = &statement.form {
        return within(queued, &case, inner);
    }
    if let Some(name) = shadowed(queued, statement) {
        return Dependence::Refused(Box::new(shadows(statement, &name)));
    }
    if let Some(column) = case.column_to_come(queued) {
        return Dependence::Refused(Box::new(only_to_come(statement, &column)));
    }
    if statement.tag == SET_CONSTRAINTS {
        let named = queued.iter().any(|pending| case.names_something_of(pending));
        return if named { Dependence::Behind } else { Dependence::None };
    }
    let worst = queued.iter().filter(|pending| case.hangs_on(pending)).map(|pending| pending.sight).max();
    match worst {
        None => Dependence::None,
        Some(_) if deferral::may_be_queued_behind(script) && !case.writes_into_columns_to_come(queued) => {
            Dependence::Behind
        }
        Some(sight) => Dependence::Refused(Box::new(refusal(statement, sight, queued, &case))),
    }
}

/// What becomes of a message of ordinary statements behind what is queued: `None`, it may run; otherwise the error, or `Some(None)`
/// where it has to be judged like one that is not ordinary.
pub fn before(queued: &[Pending], script: &Script) -> Option<Option<Notice>> {
    let each = script.statements.iter().map(|statement| {
        let alone = Script { statements: vec![statement.clone()], ..script.clone() };
        on(queued, &alone, None)
    });
    each.fold(None, |worst, one| match (worst, one) {
        (Some(Some(why)), _) => Some(Some(why)),
        (_, Dependence::Refused(why)) => Some(Some(*why)),
        (_, Dependence::Behind) => Some(None),
        (worst, Dependence::None) => worst,
    })
}

/// The same for a block that has been looked into.
fn within(queued: &[Pending], case: &Case<'_>, inner: &[Inner]) -> Dependence {
    let hangs = |one: &Inner| on(queued, &one.script, None) != Dependence::None;
    // What only reads in it is not told apart.
    let mut rows =
        queued.iter().filter(|pending| pending.sight == Sight::Rows).flat_map(|pending| &pending.names);
    if !inner.iter().any(hangs) && !rows.any(|name| case.mentions(&name.name)) {
        return Dependence::None;
    }
    let message = format!("{} hangs on what this transaction has only queued", case.statement.tag);
    let why = "A statement in it is about something that is queued and is not there before the COMMIT.";
    Dependence::Refused(Box::new(
        Notice::error(SqlState::FEATURE_NOT_SUPPORTED, message).detail(why).hint(WAY_OUT),
    ))
}

/// The name under which something new would be found in place of what a queued statement is about.
fn shadowed(queued: &[Pending], statement: &Statement) -> Option<String> {
    let name = match &statement.form {
        Form::CreateTable(table) => &table.name.name,
        Form::CreateTableAs { name, .. } | Form::Make { relation: Some(name), .. } => &name.name,
        Form::Rename(Rename { what: Renamed::Table, to, .. }) => to,
        Form::Rename(Rename { what: Renamed::TableSchema, target, .. }) => &target.name,
        _ => return None,
    };
    let unqualified = |known: &&RelationName| known.schema.is_none() && known.name == *name;
    queued.iter().flat_map(|pending| &pending.names).find(unqualified).map(|known| known.name.clone())
}

/// What is done about a transaction that could not write down what it has queued.
pub const STAYS_READ_WRITE: &str = "A transaction with deferred work stays READ WRITE to its end: make it READ ONLY before anything is \
     deferred, or not at all.";

fn would_write_nothing(statement: &Statement) -> Notice {
    let message = format!("{} makes a transaction with deferred work read-only", statement.tag);
    Notice::error(SqlState::FEATURE_NOT_SUPPORTED, message)
        .detail("What it has deferred is written down in it, right before its COMMIT.")
        .hint(STAYS_READ_WRITE)
}

fn shadows(statement: &Statement, name: &str) -> Notice {
    let message = format!(
        "{} makes another {name:?} than the one that this transaction has queued work for",
        statement.tag
    );
    Notice::error(SqlState::FEATURE_NOT_SUPPORTED, message)
        .detail("Behind the COMMIT that name would be looked for again, and found elsewhere.")
        .hint(format!("Write the schema before {name:?} in what comes before it. {WAY_OUT}"))
}

fn only_to_come(statement: &Statement, column: &str) -> Notice {
    let message =
        format!("{} changes column {column:?}, which this transaction has only queued", statement.tag);
    Notice::error(SqlState::FEATURE_NOT_SUPPORTED, message).hint(WAY_OUT)
}

/// The name of an index or constraint that is made although it is queued already.
fn made_twice(queued: &[Pending], statement: &Statement) -> Option<String> {
    let names: Vec<&String> = match &statement.form {
        Form::CreateIndex(index) if !index.if_not_exists => index.name.iter().collect(),
        Form::AlterTable(alter) => {
            let added = alter.parts.iter().filter_map(|part| match &part.action {
                Action::AddConstraint(constraint) if constraint.using_index.is_none() => {
                    constraint.name.as_ref()
                }
                _ => None,
            });
            added.collect()
        }
        Form::CreateTable(table) if !table.if_not_exists => vec![&table.name.name],
        Form::CreateTableAs { name, if_not_exists: false, .. } | Form::Make { relation: Some(name), .. } => {
            vec![&name.name]
        }
        Form::Rename(Rename { what: Renamed::Table | Renamed::Index | Renamed::Sequence, to, .. }) => {
            vec![to]
        }
        _ => return None,
    };
    let twice = |name: &String| {
        let last =
            queued.iter().rev().find(|pending| pending.made.contains(name) || pending.gone.contains(name));
        last.is_some_and(|pending| pending.made.contains(name))
    };
    names.into_iter().find(|name| twice(name)).cloned()
}

struct Case<'a> {
    script: &'a Script,
    statement: &'a Statement,
    effects: Option<&'a Effects>,
}

impl Case<'_> {
    fn hangs_on(&self, pending: &Pending) -> bool {
        if self.is_opaque() {
            return pending.sight == Sight::Rows;
        }
        let touches = self.touches(pending);
        let changes = self.changes_schema();
        if changes && (self.names_something_of(pending) || self.is_like(pending)) {
            return true;
        }
        match pending.sight {
            Sight::Rows => touches && !self.only_refers(pending),
            Sight::Writes if !changes => touches && !self.statement.writes.is_empty(),
            Sight::Key if !changes => touches && self.mentions("conflict"),
            Sight::Key if self.refers_to(pending) => true,
            Sight::Hidden | Sight::Key | Sight::Writes => changes && touches && !self.is_harmless(pending),
        }
    }

    /// Whether it writes rows that get a column only then: the server would not prepare it now.
    fn writes_into_columns_to_come(&self, queued: &[Pending]) -> bool {
        let hangs = |pending: &&Pending| self.hangs_on(pending);
        !self.statement.writes.is_empty() && queued.iter().filter(hangs).any(|it| !it.columns.is_empty())
    }

    /// Nobody sees what it does.
    fn is_opaque(&self) -> bool {
        matches!(self.statement.kind, Kind::Opaque(Opaque::Block { .. } | Opaque::Call | Opaque::Unread))
            || self.statement.tag == "EXECUTE"
    }

    fn changes_schema(&self) -> bool {
        deferral::may_be_queued(self.script)
    }

    fn touches(&self, pending: &Pending) -> bool {
        let statement = self.statement;
        let known = self.effects.is_some_and(|effects| {
            effects.touched.iter().any(|touched| {
                touched.oid.is_some_and(|oid| pending.oids.contains(&oid))
                    || is_among(&touched.name, &pending.names)
            })
        });
        known
            || statement.reads.iter().any(|read| looks_at(read.how) && is_among(&read.table, &pending.names))
            || statement.writes.iter().any(|write| is_among(&write.table, &pending.names))
            || statement.locks.iter().any(|lock| is_among(&lock.name, &pending.names))
    }

    /// Whether it makes a table with keys to the relation: neither rows that change there nor columns that come are anything to it.
    fn only_refers(&self, pending: &Pending) -> bool {
        let Form::CreateTable(table) = &self.statement.form else { return false };
        let on_it = |name| is_among(name, &pending.names);
        let mut locks = self.statement.locks.iter().filter(|lock| on_it(&lock.name));
        !on_it(&table.name)
            && locks.all(|lock| lock.mode == LockMode::ShareRowExclusive)
            && !self.statement.reads.iter().any(|read| on_it(&read.table))
            && !pending.columns.iter().any(|column| self.mentions(column))
    }

    /// A column that is changed, taken away or added although it is only to come.
    fn column_to_come(&self, queued: &[Pending]) -> Option<String> {
        let changed: Vec<&String> = match &self.statement.form {
            Form::AlterTable(alter) => {
                let columns = alter.parts.iter().filter_map(|part| match &part.action {
                    Action::DropColumn { column, .. } | Action::SetType { column, .. } => Some(column),
                    Action::AddColumn { column, if_not_exists: false } => Some(&column.name),
                    _ => None,
                });
                columns.collect()
            }
            Form::Rename(Rename { what: Renamed::Column, from, .. }) => vec![from],
            _ => return None,
        };
        let here = queued.iter().filter(|pending| self.touches(pending));
        let to_come: Vec<&String> = here.flat_map(|pending| &pending.columns).collect();
        changed.into_iter().find(|column| to_come.contains(column)).cloned()
    }

    /// Whether it names an index or constraint that is queued.
    fn names_something_of(&self, pending: &Pending) -> bool {
        let named = |name: &String| {
            self.statement.locks.iter().any(|lock| lock.name.name == *name) || self.is_about(name)
        };
        pending.made.iter().chain(&pending.gone).any(|name| named(name) || self.mentions(name))
    }

    /// Whether a part of it is about a constraint of that name, however that is written.
    fn is_about(&self, name: &str) -> bool {
        match &self.statement.form {
            Form::Rename(rename) => rename.from == name,
            Form::AlterTable(alter) => alter.parts.iter().any(|part| match &part.action {
                Action::DropConstraint { name: own, .. } | Action::ValidateConstraint(own) => own == name,
                Action::AlterConstraint(constraint) => constraint.name == name,
                _ => false,
            }),
            _ => false,
        }
    }

    /// Whether it makes something like the relation.
    fn is_like(&self, pending: &Pending) -> bool {
        let like = |read: &Read| read.how == Reading::Definition && is_among(&read.table, &pending.names);
        self.statement.reads.iter().any(like)
    }

    /// Whether a name stands somewhere in the text, in whatever case.
    fn mentions(&self, name: &str) -> bool {
        let text = String::from_utf8_lossy(self.script.text.as_bytes()).to_lowercase();
        let is_part = |character: char| character.is_alphanumeric() || character == '_';
        text.match_indices(&name.to_lowercase()).any(|(at, found)| {
            let before = text.get(..at).and_then(|before| before.chars().next_back());
            let behind = text.get(at + found.len()..).and_then(|behind| behind.chars().next());
            !before.is_some_and(is_part) && !behind.is_some_and(is_part)
        })
    }

    /// Whether it makes a foreign key to a table whose key is queued.
    fn refers_to(&self, pending: &Pending) -> bool {
        let constraints: Vec<&Constraint> = match &self.statement.form {
            Form::AlterTable(alter) => alter.parts.iter().flat_map(|part| added(&part.action)).collect(),
            Form::CreateTable(table) => table
                .columns
                .iter()
                .flat_map(|column| &column.constraints)
                .chain(&table.constraints)
                .collect(),
            _ => return false,
        };
        let mut keys =
            constraints.into_iter().filter(|constraint| constraint.kind == ConstraintKind::Foreign);
        keys.any(|key| key.references.as_ref().is_some_and(|it| is_among(&it.table, &pending.names)))
    }

    /// Whether it leaves alone what is queued for a relation, so that what is queued for that runs as it would have before.
    fn is_harmless(&self, pending: &Pending) -> bool {
        match &self.statement.form {
            // With a table goes what was queued for it.
            Form::CreateIndex(_)
            | Form::Drop(Dropped { object: DroppedObject::Table, cascade: false, .. }) => true,
            Form::AlterTable(alter) => alter.parts.iter().all(|part| match &part.action {
                Action::AddColumn { .. }
                | Action::SetDefault(_)
                | Action::DropDefault(_)
                | Action::AddConstraint(_)
                | Action::ValidateConstraint(_)
                | Action::SetNotNull(_)
                // One that is queued is told by its name.
                | Action::DropConstraint { cascade: false, .. }
                | Action::Brief
                | Action::BriefBelow(_) => true,
                Action::DropColumn { column, cascade: false, .. } | Action::DropNotNull(column) => {
                    !pending.may_name(column)
                }
                // An index that is to go is still there, and would be rebuilt.
                Action::SetType { column, .. } => pending.gone.is_empty() && !pending.may_name(column),
                _ => false,
            }),
            _ => !matches!(self.statement.tag.split(' ').next(), Some("ALTER" | "DROP" | "REFRESH")),
        }
    }
}

/// The constraints that a part adds.
fn added(action: &Action) -> &[Constraint] {
    match action {
        Action::AddConstraint(constraint) => std::slice::from_ref(&**constraint),
        Action::AddColumn { column, .. } => column.constraints.as_slice(),
        _ => &[],
    }
}

/// Whether such a look sees rows or columns.
const fn looks_at(how: Reading) -> bool {
    matches!(how, Reading::Rows | Reading::LockedRows | Reading::Definition)
}

fn is_among(name: &RelationName, names: &[RelationName]) -> bool {
    let same_schema = |other: &RelationName| match (&name.schema, &other.schema) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    };
    names.iter().any(|other| other.name == name.name && same_schema(other))
}

fn refusal(statement: &Statement, sight: Sight, queued: &[Pending], case: &Case<'_>) -> Notice {
    let on = queued.iter().find(|pending| pending.sight == sight && case.hangs_on(pending));
    let name = on.and_then(|pending| pending.names.first()).map(spelled).unwrap_or_default();
    let why = match sight {
        Sight::Key => format!(
            "A unique key of {name} is queued in this transaction and is not there before its COMMIT."
        ),
        Sight::Writes => format!(
            "What is taken away from {name} is queued in this transaction, and still there before its COMMIT."
        ),
        Sight::Hidden | Sight::Rows => {
            format!("A change of {name} is queued in this transaction and is made behind its COMMIT.")
        }
    };
    let message = format!("{} hangs on what this transaction has only queued", statement.tag);
    Notice::error(SqlState::FEATURE_NOT_SUPPORTED, message).detail(why).hint(WAY_OUT)
}

/// What people do whose transaction cannot be carried out in this form.
pub const WAY_OUT: &str = "Commit before it. Alembic: \"with op.get_context().autocommit_block():\" around what is queued, or \
     transaction_per_migration=True. Django: a migration of its own, or atomic = False. Rails: disable_ddl_transaction!. Knex: exports.config \
     = { transaction: false }. node-pg-migrate: pgm.noTransaction(). Flyway: executeInTransaction=false. sqlx: \"-- no-transaction\". \
     diesel: run_in_transaction = false. psql: without -1. Others: a migration of its own. To run everything in the transaction as \
     sent: SET lockkeeper.in_transaction = 'warn'.";
