#![doc = include_str!("write_without_where.md")]

use super::{Finding, HazardSetting, Subject, many_rows};
use crate::plan::HandStep;
use crate::sql::form::{Write, WriteVerb};

/// The hazard's id.
pub const ID: &str = "write-without-where";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = many_rows::DEFAULT;

/// Finds DML that touches every row.
pub fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let whole = |write: &&Write| {
        let changes = matches!(write.verb, WriteVerb::Update | WriteVerb::Delete) && !write.filtered;
        changes && subject.is_exposed(&write.table)
    };
    subject
        .statement
        .writes
        .iter()
        .filter(whole)
        .filter_map(|write| subject.of_many_rows(write, found(write)))
        .collect()
}

fn found(write: &Write) -> Finding {
    let why = format!(
        "Every row of {} is locked until the transaction ends, and leaves a dead row behind; replicas \
         fall back, and vacuum has to follow.",
        write.table
    );
    let steps = vec![HandStep::words("go over the table in batches by key, with a COMMIT behind each")];
    Finding::warning(ID, format!("{} touches every row", write.verb.name()), why)
        .about(&write.table)
        .by_hand(steps)
}
