//! `ALTER TABLE` and `CREATE TABLE`: the lock that each part takes.
//!
//! Source: `AlterTableGetLockLevel` and `ATExec*` in `src/backend/commands/tablecmds.c`, `reloptions.c`, measured by
//! `tests/it/oracle.rs`.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    AlterTableCmd, AlterTableStmt, AlterTableType as Part, ColumnDef, ConstrType, Constraint, CreateStmt,
    Node, ObjectType, PartitionCmd,
};

use super::found::Found;
use super::names::{Names, range_var};
use crate::base::LockMode::{self, AccessExclusive, AccessShare, ShareRowExclusive, ShareUpdateExclusive};
use crate::sql::statement::Lock;

/// `ALTER TABLE`, `ALTER INDEX`, `ALTER VIEW`, .., `ALTER TYPE .. ADD ATTRIBUTE`.
pub(super) fn alter(statement: &AlterTableStmt, names: &Names) -> Found {
    let object = ObjectType::try_from(statement.objtype).unwrap_or(ObjectType::ObjectTable);
    let parts = || statement.cmds.iter().filter_map(part);
    let mode = parts().map(|part| mode(part, object)).max().unwrap_or(AccessExclusive);
    let others = parts().flat_map(|part| other_locks(part, names));
    let of_type = object == ObjectType::ObjectType;
    Found::locking(tag(object))
        .locks(names.lock(statement.relation.as_ref(), mode))
        .locks(others)
        // ALTER TYPE .. CASCADE goes on to the tables of that type.
        .beyond(
            of_type && parts().any(|part| part.behavior() == pg_query::protobuf::DropBehavior::DropCascade),
        )
        .outside_only(parts().any(detaches_concurrently))
}

/// `CREATE TABLE`: nobody sees the new table, but its parents and the tables it refers to are locked.
pub(super) fn create(statement: &CreateStmt, tag: &'static str, names: &Names) -> Found {
    let mode = if statement.partbound.is_some() { AccessExclusive } else { ShareUpdateExclusive };
    let parents = statement.inh_relations.iter().filter_map(|node| names.lock(range_var(node), mode));
    let constraints = statement.table_elts.iter().chain(&statement.constraints);
    Found::locking(tag).locks(parents).locks(constraints.flat_map(|node| references(node, names)))
}

fn tag(object: ObjectType) -> &'static str {
    match object {
        ObjectType::ObjectIndex => "ALTER INDEX",
        ObjectType::ObjectView => "ALTER VIEW",
        ObjectType::ObjectMatview => "ALTER MATERIALIZED VIEW",
        ObjectType::ObjectSequence => "ALTER SEQUENCE",
        ObjectType::ObjectForeignTable => "ALTER FOREIGN TABLE",
        ObjectType::ObjectType => "ALTER TYPE",
        _ => "ALTER TABLE",
    }
}

fn part(node: &Node) -> Option<&AlterTableCmd> {
    match &node.node {
        Some(NodeEnum::AlterTableCmd(part)) => Some(part),
        _ => None,
    }
}

/// The lock that a part takes on the altered relation.
fn mode(part: &AlterTableCmd, object: ObjectType) -> LockMode {
    match part.subtype() {
        Part::AtSetStatistics
        | Part::AtSetOptions
        | Part::AtResetOptions
        | Part::AtClusterOn
        | Part::AtDropCluster
        | Part::AtValidateConstraint
        | Part::AtAttachPartition
        | Part::AtDetachPartitionFinalize => ShareUpdateExclusive,
        Part::AtDetachPartition if detaches_concurrently(part) => ShareUpdateExclusive,
        Part::AtEnableTrig
        | Part::AtEnableAlwaysTrig
        | Part::AtEnableReplicaTrig
        | Part::AtEnableTrigAll
        | Part::AtEnableTrigUser
        | Part::AtDisableTrig
        | Part::AtDisableTrigAll
        | Part::AtDisableTrigUser => ShareRowExclusive,
        Part::AtAddConstraint if is_foreign_key(part.def.as_deref()) => ShareRowExclusive,
        Part::AtSetRelOptions | Part::AtResetRelOptions | Part::AtReplaceRelOptions => {
            if object != ObjectType::ObjectView && only_light_options(part) {
                ShareUpdateExclusive
            } else {
                AccessExclusive
            }
        }
        _ => AccessExclusive,
    }
}

/// Storage parameters that need no more than SHARE UPDATE EXCLUSIVE (`reloptions.c`).
fn only_light_options(part: &AlterTableCmd) -> bool {
    const LIGHT: [&str; 7] = [
        "fillfactor",
        "parallel_workers",
        "toast_tuple_target",
        "vacuum_index_cleanup",
        "vacuum_truncate",
        "log_autovacuum_min_duration",
        "deduplicate_items",
    ];
    let Some(NodeEnum::List(options)) = part.def.as_ref().and_then(|node| node.node.as_ref()) else {
        return false;
    };
    options.items.iter().all(|node| match &node.node {
        Some(NodeEnum::DefElem(option)) => {
            let name = option.defname.to_ascii_lowercase();
            LIGHT.contains(&name.as_str()) || name.starts_with("autovacuum_") || name.starts_with("vacuum_")
        }
        _ => false,
    })
}

/// The locks that a part takes on other relations that it names.
fn other_locks(part: &AlterTableCmd, names: &Names) -> Vec<Lock> {
    let Some(node) = part.def.as_deref() else { return Vec::new() };
    match &node.node {
        Some(NodeEnum::PartitionCmd(command)) => {
            let mode = match part.subtype() {
                Part::AtDetachPartitionFinalize => ShareUpdateExclusive,
                _ if command.concurrent => ShareUpdateExclusive,
                _ => AccessExclusive,
            };
            names.lock(command.name.as_ref(), mode).into_iter().collect()
        }
        Some(NodeEnum::RangeVar(parent)) => {
            let leaves = part.subtype() == Part::AtDropInherit;
            let mode = if leaves { AccessShare } else { ShareUpdateExclusive };
            names.lock(Some(parent), mode).into_iter().collect()
        }
        _ => references(node, names),
    }
}

/// SHARE ROW EXCLUSIVE on the tables that a column or constraint refers to.
fn references(node: &Node, names: &Names) -> Vec<Lock> {
    let of = |constraint: &Constraint| names.lock(constraint.pktable.as_ref(), ShareRowExclusive);
    match &node.node {
        Some(NodeEnum::Constraint(constraint)) => of(constraint).into_iter().collect(),
        Some(NodeEnum::ColumnDef(column)) => constraints(column).filter_map(of).collect(),
        _ => Vec::new(),
    }
}

fn constraints(column: &ColumnDef) -> impl Iterator<Item = &Constraint> {
    column.constraints.iter().filter_map(|node| match &node.node {
        Some(NodeEnum::Constraint(constraint)) => Some(&**constraint),
        _ => None,
    })
}

fn is_foreign_key(definition: Option<&Node>) -> bool {
    matches!(
        definition.and_then(|node| node.node.as_ref()),
        Some(NodeEnum::Constraint(constraint)) if constraint.contype() == ConstrType::ConstrForeign
    )
}

fn detaches_concurrently(part: &AlterTableCmd) -> bool {
    let command = part.def.as_ref().and_then(|node| node.node.as_ref());
    matches!(command, Some(NodeEnum::PartitionCmd(PartitionCmd { concurrent: true, .. })))
}
