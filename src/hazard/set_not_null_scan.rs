#![doc = include_str!("set_not_null_scan.md")]

use super::{Finding, HazardSetting, Subject};
use crate::base::{LockMode, RelationName};
use crate::effects::Cause;
use crate::plan::by_hand::{self, HandStep};
use crate::plan::constraint;
use crate::sql::form::{Action, Constraint};

/// The hazard's id.
pub const ID: &str = "set-not-null-scan";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Plan;

/// Finds a NOT NULL that nothing proves yet.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let work = subject.work(&[Cause::NotNull])?;
    let part = subject.part(work)?;
    let (column, steps) = match &part.action {
        Action::SetNotNull(column) => (column, set(subject, &work.relation, column)),
        Action::AddConstraint(constraint) => {
            let column = constraint.columns.first()?;
            (column, added(subject, &work.relation, column, constraint)?)
        }
        _ => return None,
    };
    let why = format!(
        "Every row of {} is read under an {}, so that all reads and writes wait until it is done.",
        work.relation, work.under
    );
    let table = subject.facts.table(&work.relation);
    let known = table.and_then(|facts| facts.not_null(column));
    // `SET NOT NULL` refuses what `VALIDATE` does not mind (`ATExecSetNotNull`).
    let refused = known.is_some_and(|known| known.definition.contains(" NO INHERIT"));
    let locked = subject
        .replaceable(LockMode::AccessExclusive)
        .filter(|_| !refused && !subject.has_kin(&work.relation));
    // The server says so at once, in other words than of a condition.
    let lacks = table.is_some_and(|facts| subject.has_not(facts, column)) && !subject.adds(column);
    let plan = match locked {
        _ if lacks => None,
        Some(locked) => Some(constraint::not_null(ID, &locked, column, &steps)),
        None => subject.not_null_in_tree(ID, &(column.clone(), steps.clone())),
    };
    Some(
        Finding::warning(ID, format!("setting {column} NOT NULL reads the whole table under its lock"), why)
            .about(&work.relation)
            .at(part.span.clone())
            .by_hand(steps)
            .online(plan, "steps that read the table while others work"),
    )
}

/// One that is there and NOT VALID (18) is validated.
fn set(subject: &Subject<'_>, table: &RelationName, column: &str) -> Vec<HandStep> {
    match subject.facts.table(table).and_then(|facts| facts.not_null(column)) {
        Some(known) => vec![by_hand::validate(table, &known.name)],
        None => subject.set_not_null(table, column),
    }
}

/// `ADD CONSTRAINT .. NOT NULL` (18). Where there is one already, the server refuses it at once or has nothing to do
/// (`AdjustNotNullInheritance` in `pg_constraint.c`).
fn added(
    subject: &Subject<'_>,
    table: &RelationName,
    column: &str,
    constraint: &Constraint,
) -> Option<Vec<HandStep>> {
    if subject.facts.is_older_than(180_000)
        || subject.facts.table(table).is_some_and(|facts| facts.not_null(column).is_some())
    {
        return None;
    }
    let name = subject.name_for(table, constraint);
    Some(by_hand::add_then_validate(table, &name, &subject.constraint(constraint, &name)?))
}
