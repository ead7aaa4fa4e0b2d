#![doc = include_str!("misplaced_enum_value.md")]

use super::{Finding, HazardSetting, Subject};
use crate::plan::HandStep;
use crate::sql::form::Form;
use crate::sql::lex::{Lexer, TokenKind};

/// The hazard's id.
pub const ID: &str = "misplaced-enum-value";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Warn;

/// Finds an enum value without a place.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let Form::AlterEnum(change) = &subject.statement.form else { return too_early(subject) };
    if change.rename || change.placed {
        return None;
    }
    let why = "It sorts behind all others. And a value that is added in a transaction cannot be used in the \
         same transaction (55P04).";
    Some(Finding::warning(ID, "the new value goes to the end of the enum", why))
}

/// A value in the transaction that has added it.
fn too_early(subject: &Subject<'_>) -> Option<Finding> {
    let fresh = subject.past.enum_values();
    if fresh.is_empty() {
        return None;
    }
    let text = subject.text(&subject.statement.span);
    let conforming = subject.script.dialect.standard_conforming_strings;
    let used =
        Lexer::new(&text, conforming).filter(|token| token.kind == TokenKind::Literal).find_map(|token| {
            let literal = token.text(&text);
            fresh.iter().find(|value| literal == format!("'{}'", value.replace('\'', "''")))
        })?;
    let why = "Postgres refuses it (55P04, \"unsafe use of new value\"), unless the transaction has made the type too.";
    let steps = vec![HandStep::words("COMMIT after ADD VALUE, and use the value in the next transaction")];
    let what = format!("enum value '{used}' is used in the transaction that has added it");
    Some(Finding::warning(ID, what, why).by_hand(steps))
}
