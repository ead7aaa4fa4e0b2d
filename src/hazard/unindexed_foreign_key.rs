#![doc = include_str!("unindexed_foreign_key.md")]

use super::{Finding, HazardSetting, Subject};
use crate::base::name::written;
use crate::effects::facts::RelationKind;
use crate::plan::HandStep;
use crate::plan::by_hand::spelled;
use crate::sql::form::Action;
use crate::sql::form::ConstraintKind;

/// The hazard's id.
pub const ID: &str = "unindexed-foreign-key";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Warn;

/// Finds a foreign key whose own columns have no index.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let target = subject.target().filter(|target| subject.is_exposed(target))?;
    let table = subject.facts.table(target)?;
    let (part, constraint) = subject.parts().iter().find_map(|part| match &part.action {
        Action::AddConstraint(constraint) if constraint.kind == ConstraintKind::Foreign => {
            Some((part, constraint))
        }
        _ => None,
    })?;
    let covered =
        table.indexes.iter().any(|index| !index.partial && index.columns.starts_with(&constraint.columns));
    if covered || constraint.columns.is_empty() {
        return None;
    }
    let columns: Vec<String> = constraint.columns.iter().map(|column| written(column)).collect();
    let index = format!("ON {} ({})", spelled(target), columns.join(", "));
    let partitioned =
        subject.facts.relation(target).is_some_and(|it| it.kind == RelationKind::PartitionedTable);
    let step = if partitioned {
        HandStep::words(&format!(
            "CREATE INDEX {index}: on each partition concurrently, then on the parent with ON ONLY, then \
             ATTACH"
        ))
    } else {
        HandStep::outside(format!("CREATE INDEX CONCURRENTLY {index}"))
    };
    let why = "A DELETE or a change of the key in the table referred to looks for rows that point there, and reads the whole \
               table for each, while it holds a lock on the row.";
    Some(
        Finding::warning(ID, "the foreign key's own columns have no index", why)
            .about(target)
            .at(part.span.clone())
            .by_hand(vec![step]),
    )
}
