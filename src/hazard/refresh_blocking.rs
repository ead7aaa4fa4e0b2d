#![doc = include_str!("refresh_blocking.md")]

use super::{Finding, HazardSetting, Subject};
use crate::effects::Cause;
use crate::plan::HandStep;
use crate::plan::by_hand::spelled;
use crate::sql::form::Form;

/// The hazard's id.
pub const ID: &str = "refresh-blocking";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Warn;

/// Finds a materialized view that nobody can read while it is made anew.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let Form::Refresh { view, concurrently: false, data: true } = &subject.statement.form else {
        return None;
    };
    let work = subject.work(&[Cause::Refresh])?;
    let indexes = subject.facts.table(view).map(|table| table.indexes.as_slice());
    let usable = indexes
        .is_none_or(|indexes| indexes.iter().any(|index| index.unique && index.valid && !index.expressions));
    let steps = if usable {
        vec![HandStep::anywhere(format!("REFRESH MATERIALIZED VIEW CONCURRENTLY {}", spelled(view)))]
    } else {
        vec![HandStep::words(
            "make a unique index on plain columns of the view; then REFRESH MATERIALIZED VIEW CONCURRENTLY",
        )]
    };
    let why = format!(
        "Its query runs under an {} on {view}, so that every reader waits until it is done.",
        work.under
    );
    Some(
        Finding::warning(ID, "nobody can read the materialized view while it is refreshed", why)
            .about(view)
            .by_hand(steps),
    )
}
