#![doc = include_str!("add_check_scan.md")]

use super::{Finding, HazardSetting, Subject};
use crate::base::{LockMode, RelationName};
use crate::effects::Cause;
use crate::plan::by_hand;
use crate::plan::constraint;
use crate::sql::form::Action;
use crate::sql::form::Constraint;
use crate::sql::lex::{Lexer, TokenKind};

/// The hazard's id.
pub const ID: &str = "add-check-scan";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Plan;

/// Finds a CHECK that is tested against every row at once.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let work = subject.work(&[Cause::Check])?;
    let part = subject.part(work)?;
    let Action::AddConstraint(constraint) = &part.action else { return None };
    let target = subject.target()?;
    let name = constraint.name.clone().unwrap_or_else(|| chosen(subject, target, constraint));
    let steps = by_hand::add_then_validate(target, &name, &subject.constraint(constraint, &name)?);
    let why = format!(
        "Every row of {target} is read under an {}, so that all reads and writes wait until it is done.",
        work.under
    );
    let locked = subject
        .replaceable(LockMode::AccessExclusive)
        .filter(|_| !subject.is_refused_anyway(target, constraint) && !subject.has_kin(target));
    let plan = locked.map(|locked| constraint::validated(ID, target, &name, &steps, &[locked]));
    Some(
        Finding::warning(ID, "adding the CHECK reads the whole table under its lock", why)
            .about(target)
            .at(part.span.clone())
            .by_hand(steps)
            .online(plan, "ADD CONSTRAINT .. NOT VALID, then VALIDATE CONSTRAINT"),
    )
}

/// The name that Postgres picks: with the column in it where the condition reads just one (`ATExecAddConstraint`,
/// `AddRelationNewConstraints`).
fn chosen(subject: &Subject<'_>, target: &RelationName, constraint: &Constraint) -> String {
    let condition =
        constraint.expression.as_ref().map(|expression| subject.text(&expression.span)).unwrap_or_default();
    let words: Vec<String> = Lexer::new(&condition, true)
        .filter_map(|token| match token.kind {
            TokenKind::Word => Some(token.text(&condition).to_ascii_lowercase()),
            TokenKind::Quoted => Some(token.text(&condition).trim_matches('"').replace("\"\"", "\"")),
            _ => None,
        })
        .collect();
    let columns = subject.facts.table(target).map(|table| table.columns.as_slice()).unwrap_or_default();
    let mut read = columns.iter().filter(|column| words.contains(&column.name));
    match (read.next(), read.next()) {
        (Some(column), None) => subject.constraint_name(target, &[&target.name, &column.name, "check"]),
        _ => subject.constraint_name(target, &[&target.name, "check"]),
    }
}
