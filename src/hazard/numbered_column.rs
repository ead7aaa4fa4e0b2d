//! Where the values of a new column's rows come from: an expression, or a sequence that is made for it.

use super::Subject;
use super::filled_column::space_before;
use super::new_column::joined;
use crate::base::RelationName;
use crate::base::name::written;
use crate::plan::HandStep;
use crate::plan::by_hand::{alter, literal, spelled};
use crate::sql::form::{Column, Identity};
use crate::sql::lex::TokenKind;

/// Since then the sequence of a column of an unlogged table is unlogged, too.
const VERSION_UNLOGGED_SEQUENCES: u32 = 150_000;

/// Where the values come from.
pub(super) struct Numbers {
    /// Makes the sequence, and what else comes before the column.
    pub(super) before: Vec<HandStep>,
    /// What comes behind it, in the same transaction.
    pub(super) behind: Vec<HandStep>,
    /// The type of the column, where its definition has another word for it.
    pub(super) ty: Option<&'static str>,
    /// The default.
    pub(super) default: String,
    /// What comes when all rows have a value.
    pub(super) last: Vec<HandStep>,
}

impl Subject<'_> {
    /// Where the values of the rows come from.
    pub(super) fn numbers(&self, target: &RelationName, column: &Column) -> Option<Numbers> {
        let serial = column.ty.is_serial();
        match (&column.default, column.identity) {
            (None, None) if serial => Some(self.serial(target, column)),
            (None, Some(identity)) if !serial => self.identity(target, column, identity),
            (Some(default), None) if !serial && !default.span.is_empty() => Some(Numbers {
                before: Vec::new(),
                behind: Vec::new(),
                ty: None,
                default: self.text(&default.span),
                last: Vec::new(),
            }),
            _ => None,
        }
    }

    fn serial(&self, target: &RelationName, column: &Column) -> Numbers {
        let ty = match column.ty.name.as_str() {
            "smallserial" | "serial2" => "smallint",
            "bigserial" | "serial8" => "bigint",
            _ => "integer",
        };
        let sequence = self.beside(target, &self.naming().sequence_name(target, &column.name, "seq"));
        let mut before =
            vec![HandStep::anywhere(format!("{} AS {ty}", self.create_sequence(target, &sequence)))];
        before.extend(self.given_to_owner(target, &sequence));
        let behind = vec![owned_by(&sequence, target, column)];
        Numbers { before, behind, ty: Some(ty), default: next_value(&sequence), last: Vec::new() }
    }

    /// Until the column has its own sequence, which gets the name that Postgres picks, another one counts.
    fn identity(&self, target: &RelationName, column: &Column, identity: Identity) -> Option<Numbers> {
        let ty = ["int2", "int4", "int8"].into_iter().find(|name| column.ty.is_built_in(name))?;
        let options = self.sequence_options(column)?;
        let sequence = self.beside(target, &self.naming().sequence_name(target, &column.name, "fill"));
        let counts = spelled(&sequence);
        let ty = column.ty.is_built_in(ty).then(|| self.column_type(column))?;
        let create = format!("{} AS {ty}{}", self.create_sequence(target, &sequence), space_before(&options));
        let mut before = vec![HandStep::anywhere(create)];
        before.extend(self.given_to_owner(target, &sequence));
        // Who may write to the table needs no right to a column's own sequence.
        before.push(HandStep::anywhere(format!("GRANT USAGE ON SEQUENCE {counts} TO PUBLIC")));
        let behind = vec![owned_by(&sequence, target, column)];
        let generated = match identity {
            Identity::Always => "ALWAYS",
            Identity::ByDefault => "BY DEFAULT",
        };
        let name = written(&column.name);
        let options = if options.is_empty() { options } else { format!(" ({options})") };
        let (table, own) = (literal(&spelled(&self.beside(target, &target.name))), literal(&column.name));
        let last = vec![
            alter(
                target,
                &format!(
                    "ALTER COLUMN {name} DROP DEFAULT, ALTER COLUMN {name} ADD GENERATED {generated} AS IDENTITY{options}"
                ),
            ),
            // Else it might be taken for the column's own.
            HandStep::anywhere(format!("ALTER SEQUENCE {counts} OWNED BY NONE")),
            HandStep::anywhere(format!(
                "SELECT pg_catalog.setval(pg_catalog.pg_get_serial_sequence({table}, {own}), last_value, is_called) FROM {counts}"
            )),
            HandStep::anywhere(format!("DROP SEQUENCE {counts}")),
        ];
        Some(Numbers { before, behind, ty: None, default: next_value(&sequence), last })
    }

    fn create_sequence(&self, target: &RelationName, sequence: &RelationName) -> String {
        let unlogged = self.facts.relation(target).is_some_and(|it| it.storage.unlogged)
            && !self.facts.may_be_older_than(VERSION_UNLOGGED_SEQUENCES);
        format!("CREATE {}SEQUENCE {}", if unlogged { "UNLOGGED " } else { "" }, spelled(sequence))
    }

    /// A sequence can belong to a column only where both belong to the same role.
    fn given_to_owner(&self, target: &RelationName, sequence: &RelationName) -> Option<HandStep> {
        let owner = self.facts.table(target)?.owner.as_ref()?;
        Some(HandStep::anywhere(format!("ALTER SEQUENCE {} OWNER TO {}", spelled(sequence), written(owner))))
    }

    /// What stands in parentheses behind IDENTITY; `None` where that says more than how to count.
    fn sequence_options(&self, column: &Column) -> Option<String> {
        const MORE: [&str; 6] = ["as", "name", "owned", "restart", "logged", "unlogged"];
        let text = self.text(column.identity_span.as_ref()?);
        let tokens = self.tokens(&text);
        let behind = tokens.iter().position(|token| token.is_word(&text, "identity"))?;
        let inner = match tokens.get(behind + 1..)? {
            [] => return Some(String::new()),
            [open, inner @ .., close] if open.kind == TokenKind::Open && close.kind == TokenKind::Close => {
                inner
            }
            _ => return None,
        };
        let more = inner.iter().any(|token| {
            matches!(token.kind, TokenKind::Open) || MORE.iter().any(|word| token.is_word(&text, word))
        });
        (!more).then(|| joined(&text, inner))
    }
}

fn owned_by(sequence: &RelationName, target: &RelationName, column: &Column) -> HandStep {
    let (sequence, table) = (spelled(sequence), spelled(target));
    HandStep::anywhere(format!("ALTER SEQUENCE {sequence} OWNED BY {table}.{}", written(&column.name)))
}

fn next_value(sequence: &RelationName) -> String {
    format!("pg_catalog.nextval({})", literal(&spelled(sequence)))
}
