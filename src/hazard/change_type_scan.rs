#![doc = include_str!("change_type_scan.md")]

use super::{Finding, HazardSetting, Subject};
use crate::base::name::written;
use crate::effects::Cause;
use crate::plan::HandStep;
use crate::plan::by_hand::{self, alter};
use crate::sql::form::Action;
use crate::sql::form::ConstraintKind;

/// The hazard's id.
pub const ID: &str = "change-type-scan";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Warn;

/// Finds a harmless change of type that tests a CHECK again.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let work = subject.work(&[Cause::TypeCheck])?;
    let part = subject.part(work)?;
    let target = subject.target()?;
    let Action::SetType { column, .. } = &part.action else { return None };
    let check =
        subject.facts.table(target)?.constraints.iter().find(|constraint| {
            constraint.kind == ConstraintKind::Check && constraint.columns.contains(column)
        })?;
    let name = written(&check.name);
    let definition = check.definition.trim_end_matches(" NOT VALID");
    let mut steps = vec![
        alter(target, &format!("DROP CONSTRAINT {name}")),
        HandStep::anywhere(subject.text(&subject.statement.span)),
    ];
    steps.extend(by_hand::add_then_validate(target, &check.name, &format!("CONSTRAINT {name} {definition}")));
    let views = subject.type_of_views(target, column);
    let why = format!("CHECK {} is tested against every row under an {}.{views}", check.name, work.under);
    Some(
        Finding::warning(
            ID,
            "the new type has the same bytes, but a CHECK on the column is tested again",
            why,
        )
        .about(target)
        .at(part.span.clone())
        .by_hand(steps),
    )
}
