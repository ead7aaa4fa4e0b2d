#![doc = include_str!("write_without_where.md")]

use super::{Finding, HazardSetting, Subject};
use crate::plan::HandStep;
use crate::sql::form::Form;
use crate::sql::form::WriteVerb;

/// The hazard's id.
pub const ID: &str = "write-without-where";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Warn;

/// Finds DML that touches every row.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let Form::Write(write) = &subject.statement.form else { return None };
    if write.filtered
        || !matches!(write.verb, WriteVerb::Update | WriteVerb::Delete)
        || !subject.is_exposed(&write.table)
    {
        return None;
    }
    let why = format!(
        "Every row of {} is locked until the transaction ends, and leaves a dead row behind; replicas \
         fall back, and vacuum has to follow.",
        write.table
    );
    let steps = vec![HandStep::words("go over the table in batches by key, with a COMMIT behind each")];
    Some(
        Finding::warning(ID, format!("{} touches every row", write.verb.name()), why)
            .about(&write.table)
            .by_hand(steps),
    )
}
