#![doc = include_str!("change_type_rewrite.md")]

use super::{Finding, HazardSetting, Subject};
use crate::effects::Cause;
use crate::plan::by_hand::Change;
use crate::plan::by_hand::through_a_new_column;
use crate::sql::form::{Action, Using};

/// The hazard's id.
pub const ID: &str = "change-type-rewrite";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Refuse;

/// Finds a change of type that writes every row again.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let work = subject.work(&[Cause::TypeChange])?;
    let part = subject.part(work)?;
    let target = subject.target()?;
    let Action::SetType { column, to, using, .. } = &part.action else { return None };
    let why = format!(
        "Every row of {target} and every index is written again under an {}, so that all reads and writes \
         wait until it is done.{}",
        work.under,
        subject.type_of_views(target, column)
    );
    let change = Change { table: target, column, ty: &to.to_string(), computed: *using == Using::Expression };
    Some(
        Finding::refusal(ID, format!("changing {column} to {to} rewrites the table"), why)
            .about(target)
            .at(part.span.clone())
            .by_hand(through_a_new_column(&change)),
    )
}
