//! What is wrong with a statement as a part of a file, whatever it locks.

use std::collections::BTreeSet;
use std::ops::Range;

use super::lint::{DUPLICATE_SET, LONG_IDENTIFIER, Lint, MISSING_IF_EXISTS, UNQUALIFIED};
use crate::base::name::IDENTIFIER_BYTES_MAX;
use crate::effects::Past;
use crate::sql::form::{Action, Form};
use crate::sql::lex::{Lexer, TokenKind};
use crate::sql::statement::{Script, Statement};

/// A flaw of one statement.
pub(super) struct Flaw {
    pub(super) lint: Lint,
    /// Its place in the script's text.
    pub(super) span: Range<usize>,
    /// Lower case, no full stop.
    pub(super) what: String,
    /// Sentences.
    pub(super) why: &'static str,
}

/// The flaws of a statement.
pub(super) fn find(script: &Script, statement: &Statement, past: &Past) -> Vec<Flaw> {
    let mut flaws = long_identifiers(script, statement);
    let of_all = |lint, what: String, why| Flaw { lint, span: statement.span.clone(), what, why };
    if let Some(column) = set_twice(statement) {
        let what = format!("column {column} is set twice");
        flaws.push(of_all(
            DUPLICATE_SET,
            what,
            "Postgres refuses it (42601), so that the migration stops here.",
        ));
    }
    if !past.in_transaction && !may_be_repeated(&statement.form) {
        let what = format!("{} cannot be run a second time", statement.tag);
        let why = "It stands in no transaction: when a later statement fails, this one has happened, and fails the next time.";
        flaws.push(of_all(MISSING_IF_EXISTS, what, why));
    }
    let unqualified = statement
        .locks
        .iter()
        .map(|lock| &lock.name)
        .find(|name| name.schema.is_none() && !past.is_new(name) && !past.is_young(name));
    if let Some(name) = unqualified {
        let what = format!("{name} is named without its schema");
        flaws.push(of_all(
            UNQUALIFIED,
            what,
            "Which relation is meant hangs on the search_path of whoever runs the file.",
        ));
    }
    flaws
}

fn long_identifiers(script: &Script, statement: &Statement) -> Vec<Flaw> {
    let Ok(text) = std::str::from_utf8(script.text.as_bytes()) else { return Vec::new() };
    let own = text.get(statement.span.clone()).unwrap_or_default();
    // Few statements are long enough for one.
    if own.len() <= IDENTIFIER_BYTES_MAX {
        return Vec::new();
    }
    let tokens = Lexer::new(own, script.dialect.standard_conforming_strings);
    let names = tokens.filter_map(|token| {
        let quotes = match token.kind {
            TokenKind::Word => 0,
            TokenKind::Quoted => 2,
            _ => return None,
        };
        let start = statement.span.start + token.start;
        (token.end - token.start > IDENTIFIER_BYTES_MAX + quotes)
            .then_some(start..start + (token.end - token.start))
    });
    let flaw = |span: Range<usize>| Flaw {
        lint: LONG_IDENTIFIER,
        what: format!("a name of {} bytes is cut to {IDENTIFIER_BYTES_MAX}", span.len()),
        why: "Postgres says so in a NOTICE only; who looks for the long name does not find it.",
        span,
    };
    names.map(flaw).collect()
}

fn set_twice(statement: &Statement) -> Option<&String> {
    let columns = &statement.writes.first()?.columns;
    let mut before = BTreeSet::new();
    columns.iter().find(|column| !before.insert(*column))
}

/// Whether it says IF [NOT] EXISTS, or needs not.
fn may_be_repeated(form: &Form) -> bool {
    match form {
        Form::CreateTable(table) => table.if_not_exists || table.temporary,
        Form::CreateIndex(index) => index.if_not_exists,
        Form::Drop(dropped) => dropped.if_exists,
        Form::AlterTable(alter) => alter.parts.iter().all(|part| match &part.action {
            Action::AddColumn { if_not_exists, .. } => *if_not_exists,
            Action::DropColumn { if_exists, .. } | Action::DropConstraint { if_exists, .. } => *if_exists,
            Action::AddConstraint(_) => false,
            _ => true,
        }),
        _ => true,
    }
}
