#![doc = include_str!("change_type_scan.md")]

use super::{Finding, HazardSetting, Subject};
use crate::base::{LockMode, RelationName};
use crate::effects::Cause;
use crate::effects::facts::ConstraintFacts;
use crate::plan::{Target, type_change};
use crate::sql::form::Action;
use crate::sql::form::ConstraintKind;

/// The hazard's id.
pub const ID: &str = "change-type-scan";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Plan;

/// Finds a harmless change of type that tests a CHECK again.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let work = subject.work(&[Cause::TypeCheck])?;
    let part = subject.part(work)?;
    let target = subject.target()?;
    let Action::SetType { column, .. } = &part.action else { return None };
    let checks: Vec<&ConstraintFacts> = subject
        .facts
        .table(target)?
        .constraints
        .iter()
        .filter(|it| it.kind == ConstraintKind::Check && it.validated && it.columns.contains(column))
        .collect();
    let words: Vec<(&str, &str)> =
        checks.iter().map(|check| (check.name.as_str(), check.definition.as_str())).collect();
    let steps = type_change::by_hand(target, &subject.text(part.span.as_ref()?), &words);
    let plan = locks(subject, target, &checks).and_then(|locks| type_change::proved(ID, locks, &steps));
    let names: Vec<&str> = checks.iter().map(|check| check.name.as_str()).collect();
    let views = subject.type_of_views(target, column);
    let why =
        format!("CHECK {} is tested against every row under an {}.{views}", names.join(", "), work.under);
    Some(
        Finding::warning(
            ID,
            "the new type has the same bytes, but a CHECK on the column is tested again",
            why,
        )
        .about(target)
        .at(part.span.clone())
        .by_hand(steps)
        .online(plan, "steps that put the CHECK aside for a moment and prove it while others work"),
    )
}

/// What changing the type locks, where a plan may do it: the CHECKs are all that it reads, and come back as they were.
fn locks(subject: &Subject<'_>, target: &RelationName, checks: &[&ConstraintFacts]) -> Option<Vec<Target>> {
    let own = subject.replaceable(LockMode::AccessExclusive)?;
    let oid = own.oid;
    let only = subject.effects.work.iter().all(|work| work.cause == Cause::TypeCheck);
    let known = checks.iter().all(|check| !check.definition.is_empty() && !check.commented);
    let others = subject.effects.strong().filter(|touched| touched.oid != oid).map(|touched| Target {
        name: touched.name.clone(),
        oid: touched.oid,
        mode: touched.mode,
    });
    (only && known && !subject.has_kin(target)).then(|| [own].into_iter().chain(others).collect())
}
