#![doc = include_str!("move_table_rewrite.md")]

use super::{Finding, HazardSetting, Subject};
use crate::effects::Cause;
use crate::plan::HandStep;
use crate::sql::form::{Altered, Form};

/// The hazard's id.
pub const ID: &str = "move-table-rewrite";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Refuse;

/// Finds a table that is moved or stored in another way.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    if let Form::MoveAll(from) = &subject.statement.form {
        let why = "Each of them is copied under an AccessExclusiveLock, and all locks are taken at the start and held to the end.";
        let steps = vec![HandStep::words("move them one by one, each as told for itself")];
        let what = format!("everything in tablespace {from} is copied");
        return Some(Finding::refusal(ID, what, why).by_hand(steps));
    }
    let work = subject.work(&[Cause::Storage])?;
    let (relation, under) = (&work.relation, work.under);
    if matches!(&subject.statement.form, Form::AlterTable(alter) if alter.object == Altered::Index) {
        let why = format!(
            "{relation} is copied under an {under}, and whoever wants to use its table waits until it is done."
        );
        let steps = vec![HandStep::words(
            "build the same index CONCURRENTLY in the new tablespace, and drop the old one CONCURRENTLY",
        )];
        let found = Finding::refusal(ID, "the index is copied", why).about(relation).by_hand(steps);
        return Some(found.at(subject.part(work).and_then(|part| part.span.clone())));
    }
    let why = format!(
        "Every row of {relation} and every index is written again under an {under}, so that all reads and writes wait \
         until it is done."
    );
    let steps = vec![HandStep::words(
        "make a new table there, keep it equal by triggers, copy in batches, swap; or use pg_repack",
    )];
    Some(
        Finding::refusal(ID, "the change of storage rewrites the table", why)
            .about(&work.relation)
            .at(subject.part(work).and_then(|part| part.span.clone()))
            .by_hand(steps),
    )
}
