//! What of a statement's work is done in the open transaction, and what is left for the time behind its COMMIT.
//!
//! What is left is kept as plain statements: each is judged again when its time has come, by whoever runs it, and nothing is
//! trusted that stood in a queue.

use std::collections::BTreeSet;

use super::by_hand::spelled;
use super::{Context, Pace, Plan, Step, task};
use crate::base::RelationName;
use crate::base::name::{clipped, written};
use crate::effects::facts::Oid;
use crate::sql::fixed::loose;
use crate::sql::form::{Action, AlterTable, ConstraintKind, Form, Part, Renamed};
use crate::sql::parse::pieces;
use crate::sql::statement::{Kind, Script, Statement};
use crate::sql::{Dialect, parse};

/// A statement of an open transaction, divided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deferral {
    /// Brief steps, run at once in the transaction.
    pub now: Vec<Step>,
    /// What is run behind its COMMIT, in this order.
    pub later: Vec<Later>,
    /// The command tag that the client expects.
    pub tag: &'static str,
}

/// A statement that is run behind the COMMIT of a transaction.
#[derive(Clone, PartialEq, Eq)]
pub struct Later {
    /// Its text, in the client's encoding.
    pub sql: Vec<u8>,
    /// What people are shown: no literals.
    pub title: String,
    /// `CREATE INDEX`
    pub tag: &'static str,
    /// What is not there before it has run.
    pub pending: Pending,
}

impl std::fmt::Debug for Later {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The text may hold what is nobody's business.
        f.debug_struct("Later")
            .field("title", &self.title)
            .field("pending", &self.pending)
            .finish_non_exhaustive()
    }
}

/// What a queued statement will have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// The relations that it is about, by name.
    pub names: Vec<RelationName>,
    /// The same by oid, as far as they are known.
    pub oids: Vec<Oid>,
    /// Indexes and constraints that it makes.
    pub made: Vec<String>,
    /// Those that it takes away.
    pub gone: Vec<String>,
    /// Columns that it adds.
    pub columns: Vec<String>,
    /// The words of its text, in lower case; none where it may be about any column.
    pub words: BTreeSet<String>,
    /// Who could tell that it has not run yet.
    pub sight: Sight,
}

/// Who could tell that a queued statement has not run yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sight {
    /// Nobody but who asks the catalogue: an index, a validation.
    Hidden,
    /// Who relies on a key that is to come: `ON CONFLICT`, a foreign key to it.
    Key,
    /// Who writes rows that something on its way out forbids.
    Writes,
    /// Whoever reads or writes the relation.
    Rows,
}

impl Deferral {
    /// Divides a plan; `whole` is the statement itself, for where its steps cannot be told apart so.
    pub fn of_plan(plan: &Plan, dialect: Dialect, whole: Later) -> Self {
        let brief = plan.steps.iter().take_while(|step| is_brief(step)).count();
        let (now, rest) = plan.steps.split_at_checked(brief).unwrap_or_default();
        let later: Option<Vec<Later>> =
            rest.iter().map(|step| in_words(step, dialect, &whole.pending)).collect();
        match later {
            Some(later) => Self { now: now.to_vec(), later, tag: plan.tag },
            None => Self { now: Vec::new(), later: vec![whole], tag: plan.tag },
        }
    }

    /// Nothing is done before the COMMIT.
    pub fn whole(later: Later) -> Self {
        Self { now: Vec::new(), tag: later.tag, later: vec![later] }
    }
}

/// Whether a step belongs into the transaction: it locks for a moment and reads nothing.
const fn is_brief(step: &Step) -> bool {
    matches!(step.pace, Pace::Ladder(_) | Pace::Together(_)) && matches!(step.context, Context::Anywhere)
}

/// A step as a statement that is safe to be run again where nobody knows whether it has run.
fn in_words(step: &Step, dialect: Dialect, whole: &Pending) -> Option<Later> {
    let plain = matches!(step.pace, Pace::Unhurried | Pace::Ladder(_) | Pace::Tidy(_));
    // Only a plan's own words come here.
    let again = String::from_utf8(step.sql.clone()).ok().map(|sql| if_exists(&sql).into_bytes());
    let sql = again.unwrap_or_else(|| step.sql.clone());
    let script = parse(&sql, dialect);
    let [statement] = script.statements.as_slice() else { return None };
    let own = Pending::of(statement);
    let repeatable = match &statement.form {
        Form::CreateIndex(_) => true,
        Form::AlterTable(alter) => {
            matches!(alter.parts.as_slice(), [Part { action, .. }] if is_told_by_name(action))
        }
        _ => {
            matches!(statement.kind, Kind::DropIndex(_) | Kind::Reindex(_))
                || matches!(statement.form, Form::Refresh { .. })
        }
    };
    (plain && repeatable && step.also.is_empty()).then(|| Later {
        title: title(statement),
        tag: statement.tag,
        sql: sql.clone(),
        pending: Pending {
            names: whole.names.clone(),
            oids: whole.oids.clone(),
            words: words(&sql, statement),
            // What a step takes away, the plan has made.
            sight: own.sight.min(whole.sight),
            ..own
        },
    })
}

/// A drop that does nothing where it was done already.
fn if_exists(sql: &str) -> String {
    if sql.contains(" DROP CONSTRAINT IF EXISTS ") {
        return sql.to_owned();
    }
    sql.replacen(" DROP CONSTRAINT ", " DROP CONSTRAINT IF EXISTS ", 1)
}

/// Whether the catalogue says by name whether it was done.
fn is_told_by_name(action: &Action) -> bool {
    match action {
        Action::ValidateConstraint(_) | Action::SetNotNull(_) => true,
        Action::DropConstraint { if_exists, .. } => *if_exists,
        Action::AddConstraint(constraint) => constraint.name.is_some() && constraint.using_index.is_some(),
        _ => false,
    }
}

impl Later {
    /// A statement as it is, about these relations.
    pub fn whole(sql: Vec<u8>, statement: &Statement, about: Vec<(RelationName, Option<Oid>)>) -> Self {
        let mut pending = Pending::of(statement);
        pending.words = words(&sql, statement);
        pending.oids = about.iter().filter_map(|(_, oid)| *oid).collect();
        pending.names.extend(about.into_iter().map(|(name, _)| name));
        Self { sql, title: title(statement), tag: statement.tag, pending }
    }
}

/// The words of a text, in lower case; none where the columns that it is about do not stand in it.
fn words(sql: &[u8], statement: &Statement) -> BTreeSet<String> {
    let named = |part: &Part| match &part.action {
        Action::AddConstraint(constraint) => constraint.using_index.is_none(),
        action => matches!(action, Action::SetNotNull(_)),
    };
    let all_named = match &statement.form {
        Form::CreateIndex(_) => true,
        Form::AlterTable(alter) => alter.parts.iter().all(named),
        _ => matches!(statement.kind, Kind::DropIndex(_)),
    };
    if !all_named {
        return BTreeSet::new();
    }
    let text = String::from_utf8_lossy(sql).to_lowercase();
    text.split(|character: char| !is_of_word(character)).map(str::to_owned).collect()
}

fn is_of_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

impl Pending {
    /// Whether it may be about a column of that name.
    pub fn may_name(&self, column: &str) -> bool {
        self.words.is_empty()
            || !column.chars().all(is_of_word)
            || self.words.contains(&column.to_lowercase())
    }

    /// What a statement changes, as far as its text tells.
    fn of(statement: &Statement) -> Self {
        let mut pending = Self {
            names: statement.locks.iter().map(|lock| lock.name.clone()).collect(),
            oids: Vec::new(),
            made: Vec::new(),
            gone: Vec::new(),
            columns: Vec::new(),
            words: BTreeSet::new(),
            sight: Sight::Rows,
        };
        match &statement.form {
            Form::CreateTable(table) => pending.names.push(table.name.clone()),
            Form::CreateIndex(index) => {
                pending.made.extend(index.name.clone());
                pending.sight = if index.unique { Sight::Key } else { Sight::Hidden };
            }
            Form::AlterTable(alter) => pending.alter(alter),
            _ if matches!(statement.kind, Kind::DropIndex(_)) => {
                pending.gone.extend(statement.locks.iter().map(|lock| lock.name.name.clone()));
                pending.sight = Sight::Writes;
            }
            Form::Rename(rename) => {
                pending.made.push(rename.to.clone());
                pending.gone.push(rename.from.clone());
            }
            _ if matches!(statement.kind, Kind::Reindex(_)) => pending.sight = Sight::Hidden,
            _ => {}
        }
        pending
    }

    fn alter(&mut self, alter: &AlterTable) {
        self.names.push(alter.target.clone());
        self.sight = Sight::Hidden;
        for part in &alter.parts {
            let sight = match &part.action {
                Action::AddConstraint(constraint) => {
                    self.made.extend(constraint.name.clone());
                    self.made.extend(constraint.using_index.clone());
                    match constraint.kind {
                        ConstraintKind::Foreign | ConstraintKind::Check | ConstraintKind::NotNull => {
                            Sight::Hidden
                        }
                        ConstraintKind::Unique | ConstraintKind::PrimaryKey | ConstraintKind::Exclusion => {
                            Sight::Key
                        }
                    }
                }
                Action::ValidateConstraint(name) => {
                    self.made.push(name.clone());
                    Sight::Hidden
                }
                Action::SetNotNull(_) => Sight::Hidden,
                Action::AddColumn { column, .. } => {
                    self.columns.push(column.name.clone());
                    self.made.extend(column.constraints.iter().filter_map(|it| it.name.clone()));
                    Sight::Rows
                }
                Action::DropConstraint { name, .. } => {
                    self.gone.push(name.clone());
                    Sight::Writes
                }
                _ => Sight::Rows,
            };
            self.sight = self.sight.max(sight);
        }
    }
}

/// The same of a text that holds one statement.
pub fn title_of(sql: &[u8], dialect: Dialect) -> String {
    parse(sql, dialect).statements.first().map(title).unwrap_or_default()
}

/// A statement in a few words, without anything that may be secret.
pub fn title(statement: &Statement) -> String {
    const BYTES_MAX: usize = 300;
    let whole = whole_title(statement);
    let cut = clipped(&whole, BYTES_MAX);
    if cut.len() < whole.len() { format!("{cut} ..") } else { whole }
}

fn whole_title(statement: &Statement) -> String {
    match &statement.form {
        Form::CreateIndex(index) => {
            let unique = if index.unique { "UNIQUE " } else { "" };
            let name = index.name.as_deref().map(|name| format!("{} ", written(name))).unwrap_or_default();
            format!("CREATE {unique}INDEX {name}ON {}", spelled(&index.table))
        }
        Form::AlterTable(alter) => {
            let parts: Vec<String> = alter.parts.iter().map(|part| part_title(&part.action)).collect();
            format!("{} {} {}", statement.tag, spelled(&alter.target), parts.join(", ")).trim_end().to_owned()
        }
        _ => {
            let written = statement.writes.first().map(|write| &write.table);
            match statement.locks.first().map(|lock| &lock.name).or(written) {
                Some(name) => format!("{} {}", statement.tag, spelled(name)),
                None => statement.tag.to_owned(),
            }
        }
    }
}

fn part_title(action: &Action) -> String {
    let named = |words: &str, name: &str| format!("{words} {}", written(name));
    match action {
        Action::AddColumn { column, .. } => named("ADD COLUMN", &column.name),
        Action::DropColumn { column, .. } => named("DROP COLUMN", column),
        Action::SetType { column, .. } => format!("{} TYPE", named("ALTER COLUMN", column)),
        Action::SetNotNull(column) => format!("{} SET NOT NULL", named("ALTER COLUMN", column)),
        Action::DropNotNull(column) => format!("{} DROP NOT NULL", named("ALTER COLUMN", column)),
        Action::AddConstraint(constraint) => match &constraint.name {
            Some(name) => named("ADD CONSTRAINT", name),
            None => "ADD CONSTRAINT".to_owned(),
        },
        Action::ValidateConstraint(name) => named("VALIDATE CONSTRAINT", name),
        Action::DropConstraint { name, .. } => named("DROP CONSTRAINT", name),
        Action::Attach { child, .. } => format!("ATTACH PARTITION {}", spelled(child)),
        Action::Detach { child, .. } => format!("DETACH PARTITION {}", spelled(child)),
        _ => String::new(),
    }
}

/// Whether a statement may be queued behind others that it hangs on: it adds to what they make. One that makes something anew which the
/// transaction has just taken away would leave nothing in its place until its turn comes.
pub fn may_be_queued_behind(script: &Script) -> bool {
    const ADDING: [&str; 12] = [
        "ALTER INDEX",
        "ALTER TABLE",
        "ANALYZE",
        "COMMENT",
        "CREATE INDEX",
        "CREATE STATISTICS",
        "CREATE TABLE",
        "DROP INDEX",
        "REFRESH MATERIALIZED VIEW",
        "REINDEX",
        "DELETE",
        "UPDATE",
    ];
    let [statement] = script.statements.as_slice() else { return false };
    // Under its name something else may stand already, or nothing.
    let moved = matches!(&statement.form, Form::Rename(it) if !matches!(it.what, Renamed::Index | Renamed::Constraint));
    ADDING.contains(&statement.tag) && !moved && (statement.writes.is_empty() || may_write_later(script))
}

/// Whether rows may be written behind the COMMIT: nobody waits for them, and the text means then what it means now.
fn may_write_later(script: &Script) -> bool {
    loose(script).is_empty() && pieces(script).is_some_and(|pieces| pieces.returning.is_none())
}

/// Whether a statement may be queued: it changes the schema, returns no rows, and destroys none.
pub fn may_be_queued(script: &Script) -> bool {
    matches!(script.statements.as_slice(), [statement] if task::is_deferrable(statement) && statement.writes.is_empty())
}
