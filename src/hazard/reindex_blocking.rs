#![doc = include_str!("reindex_blocking.md")]

use super::{Finding, HazardSetting, Remedy, Subject, index_work_unseen, not_on_this_server};
use crate::base::{Notice, Severity, SqlState};
use crate::effects::facts::{Facts, Relation, RelationKind};
use crate::plan::{HandStep, Scope, concurrent_index};
use crate::sql::edit;
use crate::sql::statement::{Kind, Reindex, ReindexObject};

/// The hazard's id.
pub const ID: &str = "reindex-blocking";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Plan;

/// `REINDEX CONCURRENTLY` of partitioned tables and indexes came with 14.
const VERSION_PARTITIONED: u32 = 140_000;

/// `REINDEX CONCURRENTLY` came with 12.
const VERSION_CONCURRENTLY: u32 = 120_000;

/// Finds a plain `REINDEX` of something that others use.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let Kind::Reindex(reindex) = &subject.statement.kind else { return None };
    if reindex.concurrently == Some(true) || !subject.effects.is_strong() {
        return None;
    }
    let plan = scope(subject, reindex)
        .and_then(|scope| Some(concurrent_index::rebuild(ID, edit::concurrently(subject.script)?, scope)));
    let remedy = match plan {
        Some(_) if subject.facts.corrupts_concurrent_builds() => {
            Remedy::Refuse(not_on_this_server("REINDEX", ID))
        }
        Some(plan) => Remedy::Plan { plan, form: "REINDEX CONCURRENTLY" },
        // Whoever says CONCURRENTLY false knows.
        None if reindex.concurrently == Some(false) => Remedy::Ladder { warning: None },
        None => Remedy::Ladder { warning: Some(plain()) },
    };
    let why =
        "A plain REINDEX stops every write, and every read that its index would serve, until it is done.";
    let unseen = subject.facts.offline && matches!(remedy, Remedy::Ladder { warning: Some(_) });
    let finding = if unseen && matches!(reindex.object, ReindexObject::Index | ReindexObject::Table) {
        index_work_unseen(ID, subject, "REINDEX stops writes until it is done", why)
    } else {
        let as_sent = matches!(remedy, Remedy::Ladder { warning: Some(_) });
        Finding::new(ID, why, remedy).by_hand(if as_sent { one_by_one(reindex) } else { Vec::new() })
    };
    let finding = finding.elsewhere(in_transaction());
    Some(match subject.statement.locks.first() {
        Some(lock) => finding.about(&lock.name),
        None => finding,
    })
}

/// What is left to do by hand of a table that cannot be rebuilt as a whole; of an index nothing is.
fn one_by_one(reindex: &Reindex) -> Vec<HandStep> {
    let words = "rebuild the other indexes one by one with REINDEX INDEX CONCURRENTLY";
    let whole = !matches!(reindex.object, ReindexObject::Index);
    whole.then(|| HandStep::words(words)).into_iter().collect()
}

/// What the concurrent form would rebuild; `None` when there is no such form, or the user said no to it.
fn scope(subject: &Subject<'_>, reindex: &Reindex) -> Option<Scope> {
    if reindex.concurrently == Some(false) || subject.facts.is_older_than(VERSION_CONCURRENTLY) {
        return None;
    }
    match &reindex.object {
        ReindexObject::Database => Some(Scope::Database),
        ReindexObject::Schema(name) if !is_system_schema(name) => Some(Scope::Database),
        ReindexObject::Schema(_) | ReindexObject::System => None,
        ReindexObject::Index | ReindexObject::Table => {
            let lock = subject.statement.locks.first().filter(|lock| lock.resolvable)?;
            scope_of(subject.facts.relation(&lock.name)?, subject.facts)
        }
    }
}

fn scope_of(relation: &Relation, facts: &Facts) -> Option<Scope> {
    if relation.system || relation.plain_reindex_only {
        return None;
    }
    match (relation.kind, &relation.index) {
        (RelationKind::Table | RelationKind::MaterializedView, _) => Some(Scope::Table(relation.oid)),
        (RelationKind::Index, Some(index)) => Some(Scope::Table(index.table)),
        (RelationKind::PartitionedTable | RelationKind::PartitionedIndex, _) => {
            (!facts.is_older_than(VERSION_PARTITIONED)).then_some(Scope::Database)
        }
        _ => None,
    }
}

fn is_system_schema(name: &str) -> bool {
    name.starts_with("pg_") || name == "information_schema"
}

fn plain() -> Notice {
    Notice::new(Severity::Warning, SqlState::WARNING, "REINDEX stops writes until it is done: it has no concurrent form here")
        .detail(
            "System catalogs, indexes of EXCLUDE constraints and, in REINDEX TABLE, invalid indexes are only rebuilt \
             by the plain form, which stops writes until it is done.",
        )
        .hint("Rebuild the other indexes one by one with REINDEX INDEX CONCURRENTLY.")
}

fn in_transaction() -> Notice {
    let message = "REINDEX inside a transaction stops writes until the transaction ends";
    Notice::new(Severity::Warning, SqlState::WARNING, message)
        .detail("REINDEX CONCURRENTLY cannot run in a transaction.")
        .hint("Run it outside a transaction.")
}
