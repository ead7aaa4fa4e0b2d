#![doc = include_str!("drop_index_blocking.md")]

use super::{Finding, HazardSetting, Remedy, Subject, index_work_unseen};
use crate::base::{Notice, Severity, SqlState};
use crate::effects::facts::{Relation, RelationKind};
use crate::plan::concurrent_index;
use crate::sql::edit;
use crate::sql::statement::{DropIndex, Kind, Lock};

/// The hazard's id.
pub const ID: &str = "drop-index-blocking";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Plan;

/// Finds a plain `DROP INDEX` of an index that others use.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let Kind::DropIndex(DropIndex { concurrently: false, cascade }) = subject.statement.kind else {
        return None;
    };
    let index = subject.effects.strongest()?;
    let alone = match subject.statement.locks.as_slice() {
        [lock] if !cascade => subject.facts.relation(&lock.name).filter(|_| lock.resolvable),
        _ => None,
    };
    let plan = alone.filter(|relation| can_go_concurrently(relation)).and_then(|relation| {
        let table = relation.index.as_ref().map(|index| index.table);
        Some(concurrent_index::drop(ID, edit::concurrently(subject.script)?, relation.oid, table))
    });
    let remedy = match plan {
        Some(plan) => Remedy::Plan { plan, form: "DROP INDEX CONCURRENTLY" },
        None => Remedy::Ladder { warning: None },
    };
    let why = format!(
        "A plain drop takes an AccessExclusiveLock on the table of {} and stops every read and write \
         while it waits.",
        index.name
    );
    // What was made in the transaction has been remarked upon then, unless its table is new as well.
    let is_old = |lock: &Lock| subject.facts.relation(&lock.name).is_none_or(|it| !it.new_in_transaction);
    let any_old = subject.statement.locks.iter().any(is_old);
    let one = !cascade && subject.statement.locks.len() == 1;
    let finding = if subject.facts.offline && one {
        index_work_unseen(ID, subject, "DROP INDEX stops reads and writes while it waits for its lock", why)
    } else {
        Finding::new(ID, why, remedy)
    };
    let finding = finding.about(&index.name);
    Some(if any_old { finding.elsewhere(in_transaction(&index.name.to_string())) } else { finding })
}

fn in_transaction(index: &str) -> Notice {
    let message = "DROP INDEX inside a transaction stops reads and writes until the transaction ends";
    Notice::new(Severity::Warning, SqlState::WARNING, message)
        .detail(format!(
            "DROP INDEX CONCURRENTLY cannot run in a transaction, so the plain form keeps its AccessExclusiveLock on the \
             table of {index}."
        ))
        .hint(
            "Run it outside a transaction, or as the last statement before COMMIT. Alembic: \"with \
             op.get_context().autocommit_block():\".",
        )
}

/// Postgres drops no index concurrently that a constraint needs or that is partitioned.
fn can_go_concurrently(relation: &Relation) -> bool {
    relation.kind == RelationKind::Index
        && !relation.system
        && relation.index.as_ref().is_some_and(|index| !index.backs_constraint && !index.partitioned)
}
