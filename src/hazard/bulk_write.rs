#![doc = include_str!("bulk_write.md")]

use super::{Finding, HazardSetting, Subject, many_rows};
use crate::plan::HandStep;
use crate::sql::form::{Write, WriteVerb};

/// The hazard's id.
pub const ID: &str = "bulk-write";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = many_rows::DEFAULT;

/// Finds DML whose condition may hold for many rows.
pub fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let bulk = |write: &&Write| {
        let whole = matches!(write.verb, WriteVerb::Update | WriteVerb::Delete) && !write.filtered;
        !whole && subject.are_many_rows(write)
    };
    subject
        .statement
        .writes
        .iter()
        .filter(bulk)
        .filter_map(|write| subject.of_many_rows(write, found(write)))
        .chain(filled_table(subject))
        .collect()
}

/// A table that is made with many rows, as far as anybody has counted them.
fn filled_table(subject: &Subject<'_>) -> Option<Finding> {
    let statement = subject.statement;
    let estimate = subject.facts.estimates.iter().find(|it| it.at == statement.span.start)?;
    (statement.makes_filled_table() && estimate.many).then(|| {
        let message = format!("{} makes a table of about {} rows at once", statement.tag, estimate.rows);
        let why = "While they are read, no row that anybody deletes meanwhile can be cleaned away, in any table; replicas fall back while they are \
                   replayed.";
        let steps = vec![HandStep::words("make the table empty, and fill it in ranges of a key, with a COMMIT behind each")];
        Finding::warning(ID, message, why).by_hand(steps)
    })
}

fn found(write: &Write) -> Finding {
    let verb = write.verb.name();
    let why = format!(
        "Its condition pins no unique key. The rows that it finds stay locked until the transaction ends, and each leaves a dead row behind; \
         replicas fall back while the transaction is replayed. EXPLAIN tells how many there are: {verb} in ranges of the key is felt by nobody."
    );
    let steps = vec![HandStep::words("go over the table in batches by key, with a COMMIT behind each")];
    Finding::warning(ID, format!("{verb} may touch many rows"), why).about(&write.table).by_hand(steps)
}
