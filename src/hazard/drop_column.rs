#![doc = include_str!("drop_column.md")]

use super::{Finding, HazardSetting, Subject};
use crate::base::name::written;
use crate::effects::Loss;
use crate::plan::HandStep;
use crate::plan::by_hand::{alter, spelled};
use crate::sql::form::{Action, Altered, Form};

/// The hazard's id.
pub const ID: &str = "drop-column";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Refuse;

/// Finds the removal of a column that others use.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    // An attribute of a type is another matter.
    if matches!(&subject.statement.form, Form::AlterTable(alter) if alter.object == Altered::Type) {
        return None;
    }
    let (part, dropped, cascade) = subject.parts().iter().find_map(|part| match &part.action {
        Action::DropColumn { column, cascade, .. } => Some((part, column, *cascade)),
        _ => None,
    })?;
    let (table, column) = subject.effects.losses.iter().find_map(|loss| match loss {
        Loss::Column { table, column } if column == dropped => Some((table, column)),
        _ => None,
    })?;
    let why = format!(
        "Its values are gone, and every statement of a running application that names {column} fails from \
         then on.{}",
        subject.fate_of_views(table, Some(column), cascade)
    );
    let indexes = subject.facts.table(table).map(|facts| facts.indexes.as_slice()).unwrap_or_default();
    let mut steps = vec![HandStep::words("release an application that does not name the column any more")];
    let own = indexes.iter().filter(|index| index.constraint.is_none() && index.columns.contains(column));
    steps.extend(
        own.map(|index| HandStep::outside(format!("DROP INDEX CONCURRENTLY {}", spelled(&index.name)))),
    );
    let with = if cascade { " CASCADE" } else { "" };
    steps.push(alter(table, &format!("DROP COLUMN {}{with}", written(column))));
    Some(
        Finding::refusal(ID, format!("dropping column {column} destroys data"), why)
            .about(table)
            .at(part.span.clone())
            .by_hand(steps)
            .once_passed(
                subject.column_drop(ID, column, cascade),
                "steps that drop its foreign keys and indexes first",
            ),
    )
}
