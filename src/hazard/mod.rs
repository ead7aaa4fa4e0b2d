//! Named reasons why a statement hurts, each with its page and its remedy.
//!
//! Invariants: a hazard never looks at another one, reads only effects and facts, and never walks a tree. The list
//! below is the one place where ids are known; a hazard's id is its file's name, and reads well after "allow".

mod bounds;
mod copies;
mod drops;
mod filled_column;
mod filled_table;
mod finding;
mod keys;
mod hopeless;
mod leaves;
mod many_rows;
mod naming;
mod new_column;
mod no_way;
mod numbered_column;
mod outside;
mod partitioned;
mod setting;
mod several_parts;
mod views;

use std::ops::Range;

use crate::base::name::written;
use crate::base::{LockMode, Notice, RelationName, SqlState};
use crate::effects::facts::{Facts, Relation, RelationKind, Seen, Texts};
use crate::effects::{Cause, Effects, Past, Work};
use crate::plan::{HandStep, Target};
use crate::sql::bookkeeping;
use crate::sql::form::{Column, Constraint, Form, Part, Write, WriteVerb};
use crate::sql::{Encoding, edit};

pub use self::finding::{Finding, Remedy};
pub use self::setting::HazardSetting;
use crate::sql::statement::{Kind, Script, Statement};

/// A hazard: its name, its page, and how it is found.
#[derive(Debug, Clone, Copy)]
pub struct Hazard {
    /// Kebab-case, what `allow` takes.
    pub id: &'static str,
    /// The release that brought it.
    pub since: &'static str,
    /// What becomes of it where nothing else is configured.
    pub default: HazardSetting,
    /// Its page, as `explain` prints it.
    pub page: &'static str,
    /// Looks for it in one statement.
    pub find: fn(&Subject<'_>) -> Vec<Finding>,
}

/// What a hazard is looked for in.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The message.
    pub script: &'a Script,
    /// The statement of it that is looked at.
    pub statement: &'a Statement,
    /// What it would do.
    pub effects: &'a Effects,
    /// What is known.
    pub facts: &'a Facts,
    /// What came before it, in its transaction and its file.
    pub past: &'a Past,
    /// The parts of an `ALTER TABLE` that are looked at; each of several is looked at by itself.
    looked_at: &'a [Part],
    /// Their work.
    work: &'a [Work],
    /// The place of the first of them.
    first: usize,
    /// The name that the constraint of each part gets; empty where nobody has asked.
    names: &'a [String],
    /// The parts are carried out one after the other, so that each may have a plan of its own.
    splits: bool,
}

impl<'a> Subject<'a> {
    /// A statement as a whole.
    pub fn new(
        script: &'a Script,
        statement: &'a Statement,
        effects: &'a Effects,
        facts: &'a Facts,
        past: &'a Past,
    ) -> Self {
        let looked_at = parts(statement);
        let work = &effects.work;
        Self { script, statement, effects, facts, past, looked_at, work, first: 0, names: &[], splits: false }
    }

    /// The statement part by part: an `ALTER TABLE` of several, the whole of any other.
    fn by_part(self) -> impl Iterator<Item = Self> {
        let count = self.looked_at.len().max(1);
        (0..count).map(move |part| {
            if count == 1 {
                return self;
            }
            let start = self.work.partition_point(|work| work.part < part);
            let behind = self.work.partition_point(|work| work.part <= part);
            let looked_at = self.looked_at.get(part..=part).unwrap_or_default();
            let work = self.work.get(start..behind).unwrap_or_default();
            Self { looked_at, work, first: part, ..self }
        })
    }

    /// The first work of one of these causes that others feel.
    pub fn work(&self, causes: &[Cause]) -> Option<&'a Work> {
        self.work.iter().find(|work| work.exposed && causes.contains(&work.cause))
    }

    /// The part of an `ALTER TABLE` that asks for a work.
    pub fn part(&self, work: &Work) -> Option<&'a Part> {
        self.all_parts().get(work.part)
    }

    /// The parts of an `ALTER TABLE` that are looked at; none of any other statement.
    pub const fn parts(&self) -> &'a [Part] {
        self.looked_at
    }

    /// Every part of an `ALTER TABLE`; none of any other statement.
    pub fn all_parts(&self) -> &'a [Part] {
        parts(self.statement)
    }

    /// What an `ALTER TABLE` is about.
    pub fn target(&self) -> Option<&'a RelationName> {
        match &self.statement.form {
            Form::AlterTable(alter) => Some(&alter.target),
            _ => None,
        }
    }

    /// Words of the message, as they stand there.
    pub fn text(&self, span: &Range<usize>) -> String {
        String::from_utf8_lossy(self.script.text.as_bytes().get(span.clone()).unwrap_or_default())
            .into_owned()
    }

    /// A constraint in the user's own words, with a name; `None` where they cannot be told.
    pub fn constraint(&self, constraint: &Constraint, name: &str) -> Option<String> {
        let words = self.text(constraint.span.as_ref()?);
        Some(match constraint.name {
            Some(_) => words,
            None => format!("CONSTRAINT {} {words}", written(name)),
        })
    }

    /// A column's type in the words of the catalogue.
    pub fn column_type(&self, column: &Column) -> String {
        column.ty.to_string()
    }

    /// The table of an `ALTER TABLE` that a plan may take the place of; `None` where that cannot be done beyond doubt.
    pub fn replaceable(&self, mode: LockMode) -> Option<Target> {
        let target = self.target()?;
        let relation = self.facts.relation(target)?;
        let whole = self.is_of_whole_table();
        let plain = relation.kind == RelationKind::Table && !relation.system && self.is_exposed(target);
        let alone = self.is_alone_and_readable() || self.splits;
        (alone && plain && whole).then(|| Target { name: target.clone(), oid: Some(relation.oid), mode })
    }

    /// Whether an `ALTER TABLE` means all that belongs to its table: `ONLY` leaves out nothing where nothing inherits.
    pub fn is_of_whole_table(&self) -> bool {
        let Form::AlterTable(alter) = &self.statement.form else { return false };
        let plain = |relation: &Relation| relation.kind == RelationKind::Table;
        !alter.only || (self.facts.relation(&alter.target).is_some_and(plain) && !self.has_kin(&alter.target))
    }

    /// Whether the message is one statement of one part, whose words can be sent again as they are.
    pub fn is_alone_and_readable(&self) -> bool {
        self.is_readable_alone() && self.all_parts().len() == 1
    }

    /// Whether the message is one statement, whose words can be sent again as they are, and those of the catalogue.
    pub fn is_readable_alone(&self) -> bool {
        let script = self.script;
        let readable = script.dialect.encoding == Encoding::Utf8 || script.text.as_bytes().is_ascii();
        readable && self.facts.texts == Texts::Faithful && script.statements.len() == 1
    }

    /// The index of that name beside a table, in the table's own schema as the catalogue has it: what is dropped by its name
    /// must not be another schema's.
    pub fn beside(&self, table: &RelationName, name: &str) -> RelationName {
        let known = self.facts.table(table).and_then(|facts| facts.name.as_ref());
        RelationName { schema: known.unwrap_or(table).schema.clone(), name: name.to_owned() }
    }

    /// Whether an index of that name is there, so that `IF NOT EXISTS` builds nothing.
    pub fn builds_nothing(&self) -> bool {
        let Kind::CreateIndex(create) = &self.statement.kind else { return false };
        let there = create.unless_exists.as_ref().and_then(|name| self.facts.relation(name));
        there.and_then(|relation| relation.index.as_ref()).is_some_and(|index| index.valid)
    }

    /// Whether rows are written that others can see, and not only those of one key or those that are listed.
    pub fn are_many_rows(&self, write: &Write) -> bool {
        let listed = matches!(write.verb, WriteVerb::Insert | WriteVerb::Copy);
        let pinned = match self.facts.table(&write.table) {
            Some(table) => table.is_pinned(&write.pinned),
            // Nobody knows the keys; who compares a column with a value mostly means one row.
            None => !write.pinned.is_empty(),
        };
        !listed && !pinned && self.is_exposed(&write.table)
    }

    /// Whether others can see a relation: it exists, or may, and is neither temporary nor made in this transaction.
    pub fn is_exposed(&self, name: &RelationName) -> bool {
        match self.facts.see(name) {
            Seen::Known(relation) => !relation.temporary && !relation.new_in_transaction,
            _ if self.past.is_new(name) => false,
            Seen::Unknown => true,
            Seen::Absent => self.past.is_young(name),
        }
    }
}

fn parts(statement: &Statement) -> &[Part] {
    match &statement.form {
        Form::AlterTable(alter) => &alter.parts,
        _ => &[],
    }
}

/// The one list of hazards: file name, in the order in which they are looked for.
macro_rules! hazards {
    ($($module:ident),+ $(,)?) => {
        $(pub mod $module;)+

        /// Every hazard, in the order in which they are looked for.
        pub const ALL: &[Hazard] = &[$(Hazard {
            id: $module::ID,
            since: $module::SINCE,
            default: $module::DEFAULT,
            page: include_str!(concat!(stringify!($module), ".md")),
            find: |subject| $module::find(subject).into_iter().collect(),
        }),+];

        #[cfg(test)]
        const FILES: &[&str] = &[$(stringify!($module)),+];
    };
}

hazards![
    concurrent_index_corruption,
    concurrently_unsupported,
    create_index_blocking,
    drop_index_blocking,
    reindex_blocking,
    set_not_null_scan,
    drop_column,
    add_foreign_key_scan,
    unindexed_foreign_key,
    mismatched_foreign_key,
    add_check_scan,
    add_unique_blocking,
    add_primary_key_blocking,
    nullable_primary_key,
    add_exclusion_blocking,
    enforce_constraint_scan,
    add_volatile_default,
    add_serial_column,
    add_identity_column,
    add_stored_column,
    add_constrained_domain,
    add_unique_column,
    add_checked_column,
    add_referencing_column,
    add_required_column,
    drop_not_null,
    drop_constraint,
    validate_under_lock,
    several_foreign_keys,
    several_alters,
    rename_column,
    rename_table,
    move_to_schema,
    rename_schema,
    change_type_rewrite,
    change_type_scan,
    change_type_reindex,
    set_expression_rewrite,
    attach_partition_scan,
    create_partition_blocking,
    detach_partition_blocking,
    drop_table,
    drop_type,
    truncate_table,
    move_table_rewrite,
    vacuum_full,
    cluster_table,
    refresh_blocking,
    misplaced_enum_value,
    rename_enum_value,
    work_under_strong_lock,
    pending_trigger_events,
    write_without_where,
    bulk_write,
    drop_schema,
    drop_owned,
    drop_database,
    wide_index,
    different_index,
    duplicate_index,
    replaced_index,
    too_many_indexes,
    hash_index,
    domain_constraint_scan,
    constrained_domain,
    questionable_type,
    lock_queue,
    opaque_ddl,
    misplaced_in_transaction,
];

/// Every hazard in a statement; of one about the books of a migration tool, that it waits for its locks.
pub fn find(subject: &Subject<'_>) -> Vec<Finding> {
    if bookkeeping::is_about(subject.statement) {
        return lock_queue::find(subject).into_iter().collect();
    }
    let several = subject.target().filter(|_| subject.all_parts().len() > 1);
    let names = several.map(|table| subject.naming().of_parts(table)).unwrap_or_default();
    let named = Subject { names: &names, ..*subject };
    let split = Subject { splits: several_parts::can_be_split(&named), ..named };
    let found = ALL.iter().flat_map(|hazard| one(hazard, &split)).collect();
    let joined = several_parts::joined(&split, found);
    joined.into_iter().map(|finding| no_way::or_refused(&split, finding)).collect()
}

/// One hazard in every part; what is said of the statement as a whole is said once.
fn one(hazard: &Hazard, subject: &Subject<'_>) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    for part in subject.by_part() {
        let fresh = (hazard.find)(&part).into_iter();
        let fresh: Vec<Finding> = fresh.filter(|finding| found.last() != Some(finding)).collect();
        found.extend(fresh);
    }
    let of_part = |it: &&mut Finding| it.span.is_some() && !it.by_hand.is_empty();
    for finding in found.iter_mut().filter(|_| subject.all_parts().len() > 1).filter(of_part) {
        finding.by_hand.push(HandStep::words("the other parts of the statement, each by itself"));
    }
    found
}

/// The hazard of that id.
pub fn by_id(id: &str) -> Option<&'static Hazard> {
    ALL.iter().find(|hazard| hazard.id == id)
}

/// The warning of index work on what nobody has looked at, with its concurrent form.
fn index_work_unseen(id: &'static str, subject: &Subject<'_>, what: &str, why: impl Into<String>) -> Finding {
    let online =
        edit::concurrently(subject.script).map(|sql| String::from_utf8_lossy(&sql).trim().to_owned());
    Finding::warning(id, what, why).by_hand(online.into_iter().map(HandStep::outside).collect())
}

/// The refusal of a plain build that may not be made concurrent on this server.
fn not_on_this_server(tag: &str, hazard: &str) -> Notice {
    let message = format!("{tag} cannot be made concurrent on this server");
    Notice::error(SqlState::FEATURE_NOT_SUPPORTED, message)
        .detail(
            "Postgres 14.0 to 14.3 may leave rows out of an index that is built concurrently, without any \
             error.")
        .hint(format!(
            "Upgrade to Postgres 14.4 or later, or build it as sent in a quiet hour: \"/* lockkeeper: allow {hazard} \
             because <reason> */\"."
        ))
}

#[cfg(test)]
mod tests;
