#![doc = include_str!("add_serial_column.md")]

use super::{Finding, HazardSetting, Subject};
use crate::base::name::{choose, written};
use crate::effects::Cause;
use crate::plan::HandStep;
use crate::plan::by_hand::{self, alter, backfill, spelled};
use crate::sql::form::Action;

/// The hazard's id.
pub const ID: &str = "add-serial-column";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Warn;

/// Finds a new column that is numbered by a sequence.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let work = subject.work(&[Cause::Serial])?;
    let part = subject.part(work)?;
    let target = subject.target()?;
    let Action::AddColumn { column, .. } = &part.action else { return None };
    let sequence = written(&choose(&[&target.name, &column.name, "seq"], &[]));
    let name = written(&column.name);
    let ty = match column.ty.name.as_str() {
        "smallserial" | "serial2" => "smallint",
        "bigserial" | "serial8" => "bigint",
        _ => "integer",
    };
    let mut steps = vec![
        HandStep::anywhere(format!("CREATE SEQUENCE {sequence} AS {ty}")),
        alter(
            target,
            &format!("ADD COLUMN {name} {ty}, ALTER COLUMN {name} SET DEFAULT nextval('{sequence}')"),
        ),
    ];
    steps.extend(backfill(&spelled(target), &name, "DEFAULT"));
    steps.push(HandStep::anywhere(format!("ALTER SEQUENCE {sequence} OWNED BY {}.{name}", spelled(target))));
    let (taken, version) = (subject.naming().constraints_taken(target), subject.facts.server_version);
    steps.extend(by_hand::set_not_null(target, &column.name, &taken, version));
    let why = format!(
        "Every row of {target} and every index is written again under an {}, so that all reads and writes \
         wait until it is done.",
        work.under
    );
    Some(
        Finding::warning(ID, "a serial column rewrites the table", why)
            .about(target)
            .at(part.span.clone())
            .by_hand(steps),
    )
}
