#![doc = include_str!("add_volatile_default.md")]

use super::{Finding, HazardSetting, Subject};
use crate::base::name::written;
use crate::effects::Cause;
use crate::plan::by_hand::{alter, backfill, spelled};
use crate::sql::form::Action;

/// The hazard's id.
pub const ID: &str = "add-volatile-default";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Warn;

/// Finds a new column whose default must be computed for each row.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let work = subject.work(&[Cause::VolatileDefault])?;
    let part = subject.part(work)?;
    let target = subject.target()?;
    let Action::AddColumn { column, .. } = &part.action else { return None };
    let default = column.default.as_ref().map(|default| subject.text(&default.span)).unwrap_or_default();
    let (name, ty) = (written(&column.name), subject.column_type(column));
    let mut steps =
        vec![alter(target, &format!("ADD COLUMN {name} {ty}, ALTER COLUMN {name} SET DEFAULT {default}"))];
    steps.extend(backfill(&spelled(target), &name, "DEFAULT"));
    let why = format!(
        "Every row of {target} and every index is written again under an {}, so that all reads and writes \
         wait until it is done.",
        work.under
    );
    Some(
        Finding::warning(ID, "a default that differs from row to row rewrites the table", why)
            .about(target)
            .at(part.span.clone())
            .by_hand(steps),
    )
}
