//! The names that Postgres picks where none is given, so that what lockkeeper makes in steps is called the same.

use super::Subject;
use crate::base::RelationName;
use crate::base::name::choose;
use crate::sql::form::{Action, Column, Constraint, ConstraintKind};
use crate::sql::lex::{Lexer, Token, TokenKind};

impl<'a> Subject<'a> {
    /// The name that Postgres picks for a constraint without an index: no constraint of the schema may have it
    /// (`ChooseConstraintName` in `pg_constraint.c`).
    /// `also` are names that the statement itself takes.
    pub fn constraint_name(&self, table: &RelationName, parts: &[&str], also: &[String]) -> String {
        let taken = self.constraints_taken(table);
        let taken: Vec<&str> = taken.into_iter().chain(also.iter().map(String::as_str)).collect();
        choose(parts, &taken)
    }

    /// The name that the constraint of the part that is looked at has or gets: Postgres picks one after the other.
    pub fn name_for(&self, table: &RelationName, constraint: &Constraint) -> String {
        let picked = || self.names.get(self.first).filter(|name| !name.is_empty()).cloned();
        let given = constraint.name.clone().or_else(picked);
        given.unwrap_or_else(|| self.pick(table, constraint, &[]))
    }

    /// The names of the constraints that the parts add; an empty one for any other part.
    pub(super) fn names_of_parts(&self) -> Vec<String> {
        // So that the time does not grow with the square of their number.
        const PARTS_MAX: usize = 1000;
        let parts = self.all_parts();
        let Some(table) = self.target().filter(|_| (2..=PARTS_MAX).contains(&parts.len())) else {
            return Vec::new();
        };
        let mut names = Vec::new();
        for part in parts {
            names.push(match &part.action {
                Action::AddConstraint(it) => it.name.clone().unwrap_or_else(|| self.pick(table, it, &names)),
                _ => String::new(),
            });
        }
        names
    }

    fn pick(&self, table: &RelationName, constraint: &Constraint, also: &[String]) -> String {
        let with_columns = |last| {
            let columns = constraint.columns.iter().map(String::as_str);
            [table.name.as_str()].into_iter().chain(columns).chain([last]).collect::<Vec<_>>()
        };
        match constraint.kind {
            ConstraintKind::Check => self.check_name(table, constraint, also),
            ConstraintKind::Foreign => self.constraint_name(table, &with_columns("fkey"), also),
            ConstraintKind::NotNull => self.constraint_name(table, &with_columns("not_null"), also),
            ConstraintKind::PrimaryKey | ConstraintKind::Unique | ConstraintKind::Exclusion => {
                self.key_name(table, constraint, also)
            }
        }
    }

    /// The name that Postgres picks for the index of a constraint: nothing of the schema may have it
    /// (`ChooseIndexName` in `indexcmds.c`).
    pub fn key_name(&self, table: &RelationName, constraint: &Constraint, also: &[String]) -> String {
        let mut taken = self.taken(table);
        taken.extend(also.iter().map(String::as_str));
        let beside = self.facts.taken(table);
        taken.extend(
            beside.iter().flat_map(|it| it.relations.iter().chain(&it.constraints)).map(String::as_str),
        );
        if constraint.kind == ConstraintKind::PrimaryKey {
            return choose(&[&table.name, "pkey"], &taken);
        }
        let columns = constraint.columns.iter().chain(&constraint.include).map(String::as_str);
        let parts: Vec<&str> = [table.name.as_str()].into_iter().chain(columns).chain(["key"]).collect();
        choose(&parts, &taken)
    }

    /// The names of constraints that a new one of a table does not get without being asked.
    pub fn constraints_taken(&self, table: &RelationName) -> Vec<&'a str> {
        let own = self.facts.table(table).map(|facts| facts.constraints.as_slice()).unwrap_or_default();
        let beside = self.facts.taken(table).map(|it| it.constraints.as_slice()).unwrap_or_default();
        own.iter().map(|it| it.name.as_str()).chain(beside.iter().map(String::as_str)).collect()
    }

    /// The names of a table's constraints and indexes, which a new one may not have.
    pub fn taken(&self, table: &RelationName) -> Vec<&'a str> {
        let Some(table) = self.facts.table(table) else { return Vec::new() };
        let constraints = table.constraints.iter().map(|constraint| constraint.name.as_str());
        constraints.chain(table.indexes.iter().map(|index| index.name.name.as_str())).collect()
    }

    /// Whether a table has heirs or is one: what is taken back there would take from its heirs what they had before.
    pub fn has_kin(&self, table: &RelationName) -> bool {
        self.facts.table(table).is_some_and(|facts| facts.has_kin)
    }

    /// The name that Postgres picks for a CHECK: with the column in it where the condition reads just one
    /// (`AddRelationNewConstraints` in `heap.c`).
    pub fn check_name(&self, table: &RelationName, constraint: &Constraint, also: &[String]) -> String {
        let condition =
            constraint.expression.as_ref().map(|expression| self.text(&expression.span)).unwrap_or_default();
        let words = self.column_words(table, &condition);
        let known = self.facts.table(table).map(|table| table.columns.as_slice()).unwrap_or_default();
        let fresh = self.new_columns().map(|column| column.name.as_str());
        let mut read = known
            .iter()
            .map(|it| it.name.as_str())
            .chain(fresh)
            .filter(|it| words.iter().any(|word| word == it));
        match (read.next(), read.next()) {
            (Some(column), None) => self.constraint_name(table, &[&table.name, column, "check"], also),
            _ => self.constraint_name(table, &[&table.name, "check"], also),
        }
    }

    fn new_columns(&self) -> impl Iterator<Item = &'a Column> {
        self.all_parts().iter().filter_map(|part| match &part.action {
            Action::AddColumn { column, .. } => Some(&**column),
            _ => None,
        })
    }

    /// The words of an expression that may be columns of a table: neither functions, types nor fields.
    fn column_words(&self, table: &RelationName, text: &str) -> Vec<String> {
        let conforming = self.script.dialect.standard_conforming_strings;
        let tokens: Vec<Token> =
            Lexer::new(text, conforming).filter(|it| !matches!(it.kind, TokenKind::Comment(_))).collect();
        let name = |at: usize| tokens.get(at).and_then(|token| folded(*token, text));
        let back = |at: usize, by: usize| {
            let token = at.checked_sub(by).and_then(|at| tokens.get(at));
            token.map(|token| token.text(text)).unwrap_or_default()
        };
        let is_column = |at: usize| {
            let called = tokens
                .get(at + 1)
                .is_some_and(|next| next.kind == TokenKind::Literal || matches!(next.text(text), "(" | "."));
            let cast = (back(at, 1) == ":" && back(at, 2) == ":") || back(at, 1).eq_ignore_ascii_case("as");
            let field = back(at, 1) == "." && at.checked_sub(2).and_then(name).as_ref() != Some(&table.name);
            !called && !cast && !field
        };
        (0..tokens.len()).filter(|at| is_column(*at)).filter_map(name).collect()
    }
}

/// A word or quoted identifier as Postgres folds it.
fn folded(token: Token, text: &str) -> Option<String> {
    match token.kind {
        TokenKind::Word => Some(token.text(text).to_ascii_lowercase()),
        TokenKind::Quoted => Some(token.text(text).trim_matches('"').replace("\"\"", "\"")),
        _ => None,
    }
}
