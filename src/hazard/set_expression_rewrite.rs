#![doc = include_str!("set_expression_rewrite.md")]

use super::{Finding, HazardSetting, Subject};
use crate::effects::Cause;
use crate::plan::HandStep;

/// The hazard's id.
pub const ID: &str = "set-expression-rewrite";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Refuse;

/// Finds a stored generated column that gets another expression.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let work = subject.work(&[Cause::Expression])?;
    let why = format!(
        "Every row of {} and every index is written again under an {}, so that all reads and writes wait \
         until it is done.",
        work.relation, work.under
    );
    let steps = vec![HandStep::words(
        "add a new generated or plain column, backfill it in batches, and swap the names",
    )];
    Some(
        Finding::refusal(ID, "a new expression rewrites the table", why)
            .about(&work.relation)
            .at(subject.part(work).and_then(|part| part.span.clone()))
            .by_hand(steps),
    )
}
