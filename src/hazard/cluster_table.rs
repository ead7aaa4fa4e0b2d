#![doc = include_str!("cluster_table.md")]

use super::{Finding, HazardSetting, Subject};
use crate::effects::Cause;
use crate::plan::HandStep;
use crate::sql::form::Form;

/// The hazard's id.
pub const ID: &str = "cluster-table";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Refuse;

/// Finds a table that is sorted.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let whole = subject.statement.form == Form::Cluster(None);
    let work = subject.work(&[Cause::Cluster]);
    let why = match work {
        _ if whole => "Every table that was clustered before is written again with its indexes, one after the other, each under an \
                       AccessExclusiveLock, so that all its reads and writes wait until it is done."
            .to_owned(),
        work => {
            let work = work?;
            format!(
                "Every row of {} and every index is written again under an {}, so that all reads and writes wait \
                 until it is done.",
                work.relation, work.under
            )
        }
    };
    let steps =
        vec![HandStep::words("pg_repack sorts it while others work; from 19 on, REPACK (CONCURRENTLY)")];
    let what =
        if whole { "CLUSTER rewrites every table that was clustered" } else { "CLUSTER rewrites the table" };
    let found = Finding::refusal(ID, what, why).by_hand(steps);
    Some(work.into_iter().fold(found, |found, work| found.about(&work.relation)))
}
