#![doc = include_str!("drop_column.md")]

use super::{Finding, HazardSetting, Subject};
use crate::effects::Loss;
use crate::plan::HandStep;
use crate::plan::by_hand::{alter, spelled};
use crate::base::name::written;
use crate::sql::form::Action;

/// The hazard's id.
pub const ID: &str = "drop-column";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Refuse;

/// Finds the removal of a column that others use.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let Some(Loss::Column { table, column }) =
        subject.effects.losses.iter().find(|loss| matches!(loss, Loss::Column { .. }))
    else {
        return None;
    };
    let span = subject
        .parts()
        .iter()
        .find(|part| matches!(&part.action, Action::DropColumn { column: it, .. } if it == column))
        .and_then(|part| part.span.clone());
    let why = format!(
        "Its values are gone, and every statement of a running application that names {column} fails from then on."
    );
    let indexes = subject.facts.table(table).map(|facts| facts.indexes.as_slice()).unwrap_or_default();
    let mut steps = vec![HandStep::words("release an application that does not name the column any more")];
    let own = indexes.iter().filter(|index| index.constraint.is_none() && index.columns.contains(column));
    steps.extend(own.map(|index| HandStep::outside(format!("DROP INDEX CONCURRENTLY {}", spelled(&index.name)))));
    steps.push(alter(table, &format!("DROP COLUMN {}", written(column))));
    Some(
        Finding::refusal(ID, format!("dropping column {column} destroys data"), why)
            .about(table)
            .at(span)
            .by_hand(steps),
    )
}
