//! A new column with constraints that would be proved under the lock: added bare, and proved while others work.

use std::ops::Range;

use super::Subject;
use super::filled_column::is_filled;
use crate::base::name::written;
use crate::base::{LockMode, RelationName};
use crate::effects::Cause;
use crate::effects::facts::{Relation, RelationKind};
use crate::plan::by_hand::{alter, unique_using_index, validate};
use crate::plan::column::{self, NewColumn};
use crate::plan::{HandStep, Plan, Target};
use crate::sql::form::{Action, Column, Constraint, ConstraintKind, Part};
use crate::sql::lex::{Lexer, Token, TokenKind};

/// The work that a plan does in another way; with any other beside it the column is rewritten or refused all the same.
const PROVED: [Cause; 3] = [Cause::ColumnCheck, Cause::ColumnUnique, Cause::ColumnReference];

/// Since that version a partitioned table takes foreign keys that are NOT VALID.
const VERSION_UNPROVED_KEY_OF_PARTITIONS: u32 = 180_000;

/// The steps for one column.
struct Split {
    add: HandStep,
    /// The names of its constraints that are NOT VALID, and what validates each.
    proved: Vec<(String, HandStep)>,
    /// The name of the unique constraint, and how it is made.
    unique: Option<(String, Vec<HandStep>)>,
    /// What can only come when the column is there, in words.
    later: Vec<HandStep>,
}

impl Subject<'_> {
    /// How a column is added in steps, and the plan that does it where that is beyond doubt.
    pub fn new_column(&self, hazard: &'static str, part: &Part) -> (Vec<HandStep>, Option<Plan>) {
        if is_filled(self) {
            return self.filled_column(hazard, part).into_parts();
        }
        self.in_steps(hazard, part).unwrap_or_else(|| {
            let words = "add the column bare; then each constraint NOT VALID, and VALIDATE it; then a unique index CONCURRENTLY";
            (vec![HandStep::words(words)], None)
        })
    }

    fn in_steps(&self, hazard: &'static str, part: &Part) -> Option<(Vec<HandStep>, Option<Plan>)> {
        let Action::AddColumn { column, .. } = &part.action else { return None };
        let target = self.target()?;
        let split = self.split(target, part, column)?;
        let plan = self.column_locks(column, &split).map(|(locks, oid)| {
            column::added(
                hazard,
                &NewColumn {
                    column: &column.name,
                    add: &split.add,
                    locks: &locks,
                    proved: &split.proved,
                    oid,
                    unique: split
                        .unique
                        .as_ref()
                        .map(|(name, hand)| (self.beside(target, name), hand.as_slice())),
                },
            )
        });
        let proved = split.proved.into_iter().map(|(_, step)| step);
        let unique = split.unique.into_iter().flat_map(|(_, hand)| hand);
        let steps = [split.add].into_iter().chain(proved).chain(unique).chain(split.later);
        Some((steps.collect(), plan))
    }

    /// What adding the column locks, where a plan may do it.
    fn column_locks(&self, column: &Column, split: &Split) -> Option<(Vec<Target>, u32)> {
        let own = self.replaceable(LockMode::AccessExclusive).map(|own| vec![own]);
        let mut locks = own.or_else(|| self.column_locks_of_tree(column, split))?;
        let own = locks.first()?;
        let (oid, only) = (own.oid?, self.work.iter().all(|work| PROVED.contains(&work.cause)));
        let moved = || column.constraints.iter().filter(|it| is_proved_later(column, it));
        let of = |kind| moved().filter(move |it| it.kind == kind).count();
        let apart = moved().all(|it| it.kind != ConstraintKind::Unique || self.can_be_built_apart(it));
        let made = column.generated.is_some() || column.identity.is_some();
        let unsure = of(ConstraintKind::PrimaryKey) > 0 || of(ConstraintKind::Unique) > 1;
        if !only || !apart || made || unsure || self.has_kin(&own.name) {
            return None;
        }
        for key in column.constraints.iter().filter_map(|it| it.references.as_ref()) {
            let known = self.facts.relation(&key.table)?.oid;
            if !locks.iter().any(|it| it.oid == Some(known)) {
                let mode = LockMode::ShareRowExclusive;
                locks.push(Target { name: key.table.clone(), oid: Some(known), mode });
            }
        }
        Some((locks, oid))
    }

    /// A partitioned table and all below it, where the constraints can be added NOT VALID and none meets one of a partition.
    fn column_locks_of_tree(&self, column: &Column, split: &Split) -> Option<Vec<Target>> {
        let (locks, partitions) = self.tree(LockMode::AccessExclusive)?;
        let taken =
            |(name, _): &(String, HandStep)| partitions.iter().any(|it| it.constraints.contains(name));
        let keys = column.constraints.iter().filter_map(|it| it.references.as_ref());
        let possible = keys.map(|key| self.facts.relation(&key.table)).all(|other| {
            let apart = |it: &Relation| locks.iter().all(|own| own.oid != Some(it.oid));
            other.is_some_and(|it| it.kind == RelationKind::Table && apart(it))
        });
        let whole = split.later.is_empty() && split.unique.is_none();
        (possible && whole && !split.proved.iter().any(taken)).then_some(locks)
    }

    /// Whether a new column is a key by itself, which the server refuses on a partitioned table at once: a key there has all
    /// columns that the rows find their partitions by (`DefineIndex` in `indexcmds.c`).
    pub(super) fn is_impossible_key(&self, part: &Part) -> bool {
        let Action::AddColumn { column, .. } = &part.action else { return false };
        let partitioned = self.target().and_then(|table| self.facts.relation(table)).map(|it| it.kind)
            == Some(RelationKind::PartitionedTable);
        let is_key = |it: &Constraint| matches!(it.kind, ConstraintKind::Unique | ConstraintKind::PrimaryKey);
        partitioned && column.constraints.iter().any(is_key)
    }

    /// Whether the table takes no foreign key that is NOT VALID.
    pub(super) fn takes_no_unproved_key(&self, target: &RelationName) -> bool {
        let kind = self.facts.relation(target).map(|it| it.kind);
        kind == Some(RelationKind::PartitionedTable)
            && self.facts.may_be_older_than(VERSION_UNPROVED_KEY_OF_PARTITIONS)
    }

    fn split(&self, target: &RelationName, part: &Part, column: &Column) -> Option<Split> {
        let moved: Vec<&Constraint> =
            column.constraints.iter().filter(|it| is_proved_later(column, it)).collect();
        let away: Vec<Range<usize>> = moved.iter().filter_map(|it| it.span.clone()).collect();
        if away.len() != moved.len() {
            return None;
        }
        let mut add = vec![format!("ADD COLUMN {}", self.definition(part.span.as_ref()?, &away)?)];
        let (mut names, mut steps, mut later, mut unique) = (Vec::new(), Vec::new(), Vec::new(), None);
        // In the order of the text, since each takes its name in turn, also those that stay where they are.
        for constraint in column.constraints.iter().filter(|it| it.kind != ConstraintKind::NotNull) {
            let name = self.name_of(target, column, constraint, &names);
            match constraint.kind {
                _ if !is_proved_later(column, constraint) => {}
                ConstraintKind::Unique | ConstraintKind::PrimaryKey => {
                    unique = Some((name.clone(), unique_using_index(target, &name, constraint)));
                }
                ConstraintKind::Foreign if self.takes_no_unproved_key(target) => {
                    let words = self.as_of_table(column, constraint)?;
                    let add = alter(target, &format!("ADD CONSTRAINT {} {words}", written(&name)));
                    later.push(HandStep::words(&format!("then, by itself: {}", add.sql)));
                }
                _ => {
                    let words = self.as_of_table(column, constraint)?;
                    add.push(format!("ADD CONSTRAINT {} {words} NOT VALID", written(&name)));
                    steps.push((name.clone(), validate(target, &name)));
                }
            }
            names.push(name);
        }
        Some(Split { add: alter(target, &add.join(", ")), proved: steps, unique, later })
    }

    /// The name that a constraint of a new column has or gets; `also` are those of the constraints before it.
    pub(super) fn name_of(
        &self,
        target: &RelationName,
        column: &Column,
        constraint: &Constraint,
        also: &[String],
    ) -> String {
        constraint.name.clone().unwrap_or_else(|| match constraint.kind {
            ConstraintKind::Check => self.naming().check_name(target, constraint, also),
            ConstraintKind::Foreign => {
                self.naming().constraint_name(target, &[&target.name, &column.name, "fkey"], also)
            }
            _ => self.naming().key_name(target, constraint, also),
        })
    }

    /// A column's constraint in the words for one of the table, without its name; `None` where more stands in its place.
    pub(super) fn as_of_table(&self, column: &Column, constraint: &Constraint) -> Option<String> {
        let span = constraint.span.as_ref()?;
        let text = self.text(span);
        let tokens = self.tokens(&text);
        // A collation is the column's, wherever it stands.
        if self.top_words(&text).iter().any(|word| word == "collate") {
            return None;
        }
        let mut outside = outside_parentheses(&tokens);
        let (word, lead) = match constraint.kind {
            ConstraintKind::Check => ("check", String::new()),
            _ => ("references", format!("FOREIGN KEY ({}) ", written(&column.name))),
        };
        let first = outside.find(|token| token.is_word(&text, word))?;
        let kept: Vec<Token> = tokens.iter().filter(|token| token.start >= first.start).copied().collect();
        Some(format!("{lead}{}", joined(&text, &kept)))
    }

    /// A column's definition from its name on, without what is taken out; comments are left out.
    pub(super) fn definition(&self, part: &Range<usize>, away: &[Range<usize>]) -> Option<String> {
        self.definition_tokens(part, away).map(|(text, kept)| joined(&text, &kept))
    }

    /// The same as tokens of a text.
    pub(super) fn definition_tokens(
        &self,
        part: &Range<usize>,
        away: &[Range<usize>],
    ) -> Option<(String, Vec<Token>)> {
        let text = self.text(part);
        let tokens = self.tokens(&text);
        let mut rest = tokens.as_slice();
        for words in [&["add"][..], &["column"], &["if", "not", "exists"]] {
            let here = words.iter().zip(rest).filter(|(word, token)| token.is_word(&text, word)).count();
            if here == words.len() {
                rest = rest.get(here..)?;
            }
        }
        let stays = |token: &&Token| !away.iter().any(|away| away.contains(&(token.start + part.start)));
        let kept = rest.iter().filter(stays).copied().collect();
        Some((text, kept))
    }

    /// The words outside parentheses, in small letters.
    pub(super) fn top_words(&self, text: &str) -> Vec<String> {
        let tokens = self.tokens(text);
        let words = outside_parentheses(&tokens).filter(|token| token.kind == TokenKind::Word);
        words.map(|token| token.text(text).to_ascii_lowercase()).collect()
    }

    /// The tokens of a text, without comments.
    pub(super) fn tokens(&self, text: &str) -> Vec<Token> {
        let conforming = self.script.dialect.standard_conforming_strings;
        Lexer::new(text, conforming).filter(|it| !matches!(it.kind, TokenKind::Comment(_))).collect()
    }
}

/// Whether a constraint of a new column reads the table when the column is added.
fn is_proved_later(column: &Column, constraint: &Constraint) -> bool {
    let reads = match constraint.kind {
        ConstraintKind::Check | ConstraintKind::Unique | ConstraintKind::PrimaryKey => true,
        // A column of nulls refers to nothing (`transformFKConstraints` in `parse_utilcmd.c`).
        ConstraintKind::Foreign => column.default.is_some(),
        ConstraintKind::NotNull | ConstraintKind::Exclusion => false,
    };
    reads && !constraint.not_enforced
}

fn outside_parentheses(tokens: &[Token]) -> impl Iterator<Item = &Token> {
    let mut depth = 0_usize;
    tokens.iter().filter(move |token| {
        match token.kind {
            TokenKind::Open => depth += 1,
            TokenKind::Close => depth = depth.saturating_sub(1),
            _ => return depth == 0,
        }
        false
    })
}

/// Tokens as they stand in a text, with one space where something was between two.
pub(super) fn joined(text: &str, tokens: &[Token]) -> String {
    let mut words = String::new();
    let mut end = None;
    for token in tokens {
        if end.is_some_and(|end| end != token.start) {
            words.push(' ');
        }
        words.push_str(token.text(text));
        end = Some(token.end);
    }
    words
}
