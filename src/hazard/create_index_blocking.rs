#![doc = include_str!("create_index_blocking.md")]

use super::{Finding, HazardSetting, Remedy, Subject, index_work_unseen, not_on_this_server};
use crate::base::name::choose;
use crate::base::{Notice, Severity, SqlState};
use crate::effects::facts::{Relation, RelationKind};
use crate::effects::{Touched, columns_in_name};
use crate::plan::partitions::{Made, OnPartitions};
use crate::plan::{HandStep, concurrent_index};
use crate::sql::edit;
use crate::sql::form::Form;
use crate::sql::statement::{CreateIndex, Kind};

/// The hazard's id.
pub const ID: &str = "create-index-blocking";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Plan;

/// Finds a plain `CREATE INDEX` on a relation that others use.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    let Kind::CreateIndex(CreateIndex { concurrently: false, .. }) = subject.statement.kind else {
        return None;
    };
    let table = subject.effects.strongest()?;
    let relation = subject.facts.relation(&table.name);
    let only = matches!(&subject.statement.form, Form::CreateIndex(index) if index.only)
        && relation.is_some_and(|relation| relation.kind == RelationKind::PartitionedTable);
    if only || subject.builds_nothing() || lacks_column(subject) {
        return Some(Finding::new(ID, why(table), Remedy::Ladder { warning: None }).about(&table.name));
    }
    let online = |oid| match edit::concurrently(subject.script) {
        _ if subject.facts.corrupts_concurrent_builds() => {
            Remedy::Refuse(not_on_this_server("CREATE INDEX", ID))
        }
        Some(sql) => {
            Remedy::Plan { plan: concurrent_index::build(ID, sql, oid), form: "CREATE INDEX CONCURRENTLY" }
        }
        None => Remedy::Ladder { warning: Some(not_rewritten()) },
    };
    let remedy = match relation.map(|relation| (relation.kind, relation)) {
        // The server refuses those by itself, before it locks them for long.
        Some((_, relation)) if relation.system => return None,
        Some((RelationKind::Table | RelationKind::MaterializedView, relation)) => online(relation.oid),
        Some((RelationKind::PartitionedTable, relation)) => {
            let way = on_partitions(subject);
            let by_hand = way.as_ref().map(OnPartitions::by_hand).unwrap_or_default();
            let plan =
                way.filter(|_| can_be_put_together(subject, relation)).map(|way| way.plan(ID, relation.oid));
            let remedy = Remedy::Ladder { warning: Some(partitioned()) };
            let finding = Finding::new(ID, why(table), remedy).about(&table.name).by_hand(by_hand);
            let finding =
                finding.online(plan, "CREATE INDEX CONCURRENTLY on each partition, then ATTACH PARTITION");
            return Some(finding.elsewhere(in_transaction(&table.name.to_string())));
        }
        Some(_) => return None,
        None if subject.facts.offline => {
            let finding =
                index_work_unseen(ID, subject, "CREATE INDEX stops writes until it is done", why(table));
            return Some(finding.about(&table.name).elsewhere(in_transaction(&table.name.to_string())));
        }
        None => Remedy::Ladder { warning: Some(not_rewritten()) },
    };
    let as_sent = matches!(remedy, Remedy::Ladder { .. });
    let by_hand = as_sent.then(|| HandStep::words("write CREATE INDEX CONCURRENTLY in the statement itself"));
    Some(
        Finding::new(ID, why(table), remedy)
            .about(&table.name)
            .by_hand(by_hand.into_iter().collect())
            .elsewhere(in_transaction(&table.name.to_string())),
    )
}

/// Whether a column of it is not there, which the server says at once.
fn lacks_column(subject: &Subject<'_>) -> bool {
    let Form::CreateIndex(index) = &subject.statement.form else { return false };
    let Some(table) = subject.facts.table(&index.table) else { return false };
    let lacks = |name: &str| !table.columns.is_empty() && subject.has_not(table, name);
    index.columns.iter().filter_map(|column| column.name.as_deref()).any(lacks)
}

fn why(table: &Touched) -> String {
    format!("A plain build holds a {} on {} and stops every write until it is done.", table.mode, table.name)
}

/// The index and those of the partitions, named as Postgres names them.
pub(super) fn on_partitions<'a>(subject: &Subject<'a>) -> Option<OnPartitions<'a>> {
    let Form::CreateIndex(index) = &subject.statement.form else { return None };
    let table = subject.facts.table(&index.table)?;
    let label = columns_in_name(index);
    let name = index.name.clone().unwrap_or_else(|| subject.naming().index_name(index));
    let beside = subject.facts.taken(&index.table).map(|it| it.relations.as_slice()).unwrap_or_default();
    let mut taken: Vec<&str> = beside.iter().map(String::as_str).collect();
    taken.push(&name);
    let names = table.partitions.iter().map(|it| choose(&[&it.name.name, &label, "idx"], &taken)).collect();
    Some(OnPartitions {
        table: &index.table,
        index: subject.beside(&index.table, &name),
        made: Made::Index { unique: index.unique, definition: edit::index_definition(subject.script)? },
        partitions: &table.partitions,
        names,
    })
}

/// Whether the index can be built partition by partition, and ends as if it were made at once.
fn can_be_put_together(subject: &Subject<'_>, relation: &Relation) -> bool {
    let Form::CreateIndex(index) = &subject.statement.form else { return false };
    let columns: Vec<&str> =
        index.columns.iter().map(|column| column.name.as_deref().unwrap_or_default()).collect();
    subject.is_readable_alone() && subject.can_be_put_together(relation, &columns)
}

fn warning(message: &str) -> Notice {
    Notice::new(Severity::Warning, SqlState::WARNING, message)
}

fn partitioned() -> Notice {
    warning("CREATE INDEX on this partitioned table stops writes on every partition until it is done")
        .detail("CREATE INDEX CONCURRENTLY does not work on partitioned tables.")
}

fn not_rewritten() -> Notice {
    warning("CREATE INDEX stops writes until it is done, and could not be changed beyond doubt")
}

fn in_transaction(table: &str) -> Notice {
    warning("CREATE INDEX inside a transaction stops writes until the transaction ends")
        .detail(format!(
            "CREATE INDEX CONCURRENTLY cannot run in a transaction, so the plain form keeps its ShareLock \
             on {table}."
        ))
        .hint(
            "Run it outside a transaction. Alembic: \"with op.get_context().autocommit_block():\". psql: outside \
             BEGIN, and without -1.",
        )
}
