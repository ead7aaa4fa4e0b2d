#![doc = include_str!("refresh_blocking.md")]

use super::{Finding, HazardSetting, Subject};
use crate::base::{LockMode, RelationName};
use crate::effects::Cause;
use crate::effects::facts::{RelationKind, TableIndex};
use crate::plan::by_hand::spelled;
use crate::plan::{HandStep, Plan, Target, refresh};
use crate::sql::edit;
use crate::sql::form::Form;

/// The hazard's id.
pub const ID: &str = "refresh-blocking";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Plan;

/// Finds a materialized view that nobody can read while it is made anew.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let Form::Refresh { view, concurrently: false, data: true } = &subject.statement.form else {
        return None;
    };
    let work = subject.work(&[Cause::Refresh])?;
    if subject.facts.table(view).is_some_and(|table| table.unpopulated) {
        return None;
    }
    let indexes = subject.facts.table(view).map(|table| table.indexes.as_slice());
    let usable = indexes.is_none_or(|indexes| indexes.iter().any(is_usable));
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
            .by_hand(steps)
            .online(plan(subject, view), "REFRESH MATERIALIZED VIEW CONCURRENTLY"),
    )
}

/// Where nothing is in the way of it (`refresh_by_match_merge` in `matview.c`).
fn plan(subject: &Subject<'_>, view: &RelationName) -> Option<Plan> {
    let relation = subject.facts.relation(view)?;
    let table = relation.table.as_deref()?;
    let can = table.refreshable && table.indexes.iter().any(is_usable);
    let plain = relation.kind == RelationKind::MaterializedView && !relation.system;
    let sql = edit::concurrently(subject.script).filter(|_| can && plain)?;
    let target = Target { name: view.clone(), oid: Some(relation.oid), mode: LockMode::Exclusive };
    Some(refresh::concurrently(ID, sql, target))
}

/// By such an index the old rows find their new ones (`is_usable_unique_index`).
fn is_usable(index: &TableIndex) -> bool {
    index.unique && index.valid && !index.expressions && index.method == "btree"
}
