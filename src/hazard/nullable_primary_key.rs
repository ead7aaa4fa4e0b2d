#![doc = include_str!("nullable_primary_key.md")]

use super::add_primary_key_blocking::{has_unproved, nullable};
use super::{Finding, HazardSetting, Subject};
use crate::base::{LockMode, RelationName};
use crate::effects::Cause;
use crate::plan::by_hand::alter;
use crate::plan::{HandStep, Plan, constraint};
use crate::sql::form::{Action, Constraint, Part};

/// The hazard's id.
pub const ID: &str = "nullable-primary-key";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Plan;

/// Finds a primary key by an index on columns that may be null.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let work = subject.work(&[Cause::NullableKey])?;
    let part = subject.part(work)?;
    let Action::AddConstraint(key) = &part.action else { return None };
    let target = subject.target()?;
    let why = format!(
        "Every row of {target} is read under an {}, so that all reads and writes wait until it is done.",
        work.under
    );
    let (steps, plan) = in_steps(subject, part, (target, key)).unwrap_or_else(|| {
        let words =
            "make each of its columns NOT NULL first, by a CHECK that is validated; then the key reads nothing";
        (vec![HandStep::words(words)], None)
    });
    Some(
        Finding::warning(ID, "the primary key reads the table to see that its columns hold no nulls", why)
            .about(target)
            .at(part.span.clone())
            .by_hand(steps)
            .online(
                plan,
                "steps that make the columns NOT NULL while others work, then ADD PRIMARY KEY USING INDEX",
            ),
    )
}

/// The steps where the index is known, and the plan where it may run.
fn in_steps(
    subject: &Subject<'_>,
    part: &Part,
    (target, key): (&RelationName, &Constraint),
) -> Option<(Vec<HandStep>, Option<Plan>)> {
    let named = key.using_index.as_ref()?;
    let index = subject.facts.table(target)?.indexes.iter().find(|it| it.name.name == *named)?;
    let nullable = nullable(subject, target, &index.columns);
    let add = alter(target, &subject.text(part.span.as_ref()?));
    let able = !has_unproved(subject, target, &index.columns)
        && !subject.has_kin(target)
        && !subject.is_refused_anyway(target, key)
        && subject.is_alone_and_readable();
    let table = subject.replaceable(LockMode::AccessExclusive).filter(|_| able);
    let plan = table.map(|table| constraint::using_index(ID, &table, &nullable, &add));
    let steps = nullable.into_iter().flat_map(|(_, steps)| steps).chain([add]);
    Some((steps.collect(), plan))
}
