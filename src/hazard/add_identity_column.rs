#![doc = include_str!("add_identity_column.md")]

use super::{Finding, HazardSetting, Subject};
use crate::base::name::{choose, written};
use crate::effects::Cause;
use crate::plan::HandStep;
use crate::plan::by_hand::{self, alter, backfill, literal, spelled};
use crate::sql::form::{Action, Identity};

/// The hazard's id.
pub const ID: &str = "add-identity-column";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Warn;

/// Finds a new column that is numbered by a sequence.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let work = subject.work(&[Cause::Identity])?;
    let part = subject.part(work)?;
    let target = subject.target()?;
    let Action::AddColumn { column, .. } = &part.action else { return None };
    let identity = column.identity?;
    // The column's own sequence gets the name that Postgres picks.
    let sequence = written(&choose(&[&target.name, &column.name, "fill"], &[]));
    let (table, name, ty) = (spelled(target), written(&column.name), subject.column_type(column));
    let mut steps = vec![
        HandStep::anywhere(format!("CREATE SEQUENCE {sequence} AS {ty}")),
        alter(
            target,
            &format!("ADD COLUMN {name} {ty}, ALTER COLUMN {name} SET DEFAULT nextval('{sequence}')"),
        ),
    ];
    steps.extend(backfill(&table, &name, "DEFAULT"));
    let (taken, version) = (subject.naming().constraints_taken(target), subject.facts.server_version);
    steps.extend(by_hand::set_not_null(target, &column.name, &taken, version));
    let generated = match identity {
        Identity::Always => "ALWAYS",
        Identity::ByDefault => "BY DEFAULT",
    };
    // The new sequence begins at 1 until it is set: nobody may write a row before.
    steps.push(HandStep::anywhere(format!(
        "BEGIN; ALTER TABLE {table} ALTER COLUMN {name} DROP DEFAULT, ALTER COLUMN {name} ADD GENERATED {generated} AS \
         IDENTITY; SELECT setval(pg_get_serial_sequence({}, {}), nextval('{sequence}')); COMMIT",
        literal(&table),
        literal(&column.name)
    )));
    steps.push(HandStep::anywhere(format!("DROP SEQUENCE {sequence}")));
    let why = format!(
        "Every row of {target} and every index is written again under an {}, so that all reads and writes \
         wait until it is done.",
        work.under
    );
    Some(
        Finding::warning(ID, "an identity column rewrites the table", why)
            .about(target)
            .at(part.span.clone())
            .by_hand(steps),
    )
}
