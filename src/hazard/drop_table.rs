#![doc = include_str!("drop_table.md")]

use super::{Finding, HazardSetting, Subject};
use crate::base::RelationName;
use crate::base::name::written;
use crate::effects::Loss;
use crate::plan::HandStep;
use crate::plan::by_hand::{alter, spelled};
use crate::sql::form::Form;

/// The hazard's id.
pub const ID: &str = "drop-table";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Refuse;

/// Finds the removal of a table that others can see.
pub fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let tables = subject.effects.losses.iter().filter_map(|loss| match loss {
        Loss::Table(table) => Some(table),
        _ => None,
    });
    tables.map(|table| lost(table, subject)).collect()
}

fn lost(table: &RelationName, subject: &Subject<'_>) -> Finding {
    let facts = subject.facts.table(table);
    let mut steps =
        vec![HandStep::words("make sure that no application uses it any more, and take a backup")];
    let keys = facts.map(|facts| facts.constraints.as_slice()).unwrap_or_default();
    steps.extend(
        keys.iter()
            .filter(|key| key.references.is_some())
            .map(|key| alter(table, &format!("DROP CONSTRAINT {}", written(&key.name)))),
    );
    let word = |says: bool, word: &'static str| if says { word } else { "" };
    let (if_exists, with) = match &subject.statement.form {
        Form::Drop(it) => (word(it.if_exists, "IF EXISTS "), word(it.cascade, " CASCADE")),
        _ => ("", ""),
    };
    steps.push(HandStep::anywhere(format!("DROP TABLE {if_exists}{}{with}", spelled(table))));
    let cascade = matches!(&subject.statement.form, Form::Drop(dropped) if dropped.cascade);
    let views = subject.fate_of_views(table, None, cascade);
    let heirs: Vec<String> =
        facts.filter(|_| cascade).iter().flat_map(|it| &it.heirs).map(|heir| spelled(&heir.name)).collect();
    let heirs = match heirs.as_slice() {
        [] => String::new(),
        heirs => format!(" Tables that inherit from it go with it: {}.", heirs.join(", ")),
    };
    let why = format!(
        "The rows of {table} are gone, and every statement that names it fails from then on. Tables at the other end of its foreign \
         keys, and its parent if it is a partition, are locked with an AccessExclusiveLock as well.{heirs}{views}"
    );
    Finding::refusal(ID, format!("dropping {} destroys data", table.name), why)
        .about(table)
        .by_hand(steps)
        .once_passed(subject.table_drop(ID), "steps that make others free of it first")
}
