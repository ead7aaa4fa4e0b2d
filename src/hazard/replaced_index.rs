#![doc = include_str!("replaced_index.md")]

use super::{Finding, HazardSetting, Subject};
use crate::base::name::written;
use crate::plan::HandStep;
use crate::sql::form::{Form, Index};

/// The hazard's id.
pub const ID: &str = "replaced-index";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Warn;

/// Finds an index that takes the place of one that was dropped before.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let Form::CreateIndex(index) = &subject.statement.form else { return None };
    if !subject.is_exposed(&index.table) {
        return None;
    }
    let (dropped, _) = subject.past.dropped_indexes().find(|(name, definition)| {
        Some(&name.name) == index.name.as_ref()
            || definition.as_ref().is_some_and(|it| is_replaced(it, index))
    })?;
    let why = format!(
        "From the drop of {dropped} until this one is built, queries that used it read the whole table."
    );
    let steps = vec![
        HandStep::words("build the new index concurrently, under another name"),
        HandStep::words("drop the old one concurrently; ALTER INDEX .. RENAME TO gives the new one its name"),
    ];
    let what = format!("{} is dropped before the index that replaces it is built", dropped.name);
    Some(Finding::warning(ID, what, why).about(&index.table).by_hand(steps))
}

/// Whether a dropped index, by its definition, stood on the same table and began with the same column.
fn is_replaced(definition: &str, index: &Index) -> bool {
    let Some(first) = index.columns.first().and_then(|column| column.name.as_ref()) else { return false };
    let Some((head, columns)) = definition.split_once(" USING ") else { return false };
    let Some((_, columns)) = columns.split_once('(') else { return false };
    let begins = columns.split([',', ')']).next().is_some_and(|column| column.trim() == written(first));
    let table = head.rsplit([' ', '.']).next().unwrap_or_default();
    begins && table == written(&index.table.name)
}
