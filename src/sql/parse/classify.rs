//! From one statement's tree to what the rest of the core knows of it.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    AlterDomainStmt, CopyStmt, CreateTrigStmt, DiscardMode, DoStmt, IndexStmt, LockStmt, Node, ObjectType,
    ReindexObjectType, ReindexStmt, TransactionStmt, TransactionStmtKind, VacuumStmt,
};

use super::found::Found;
use super::names::{Names, option_is_on, range_var, string};
use super::{alter, block, drop, setting};
use crate::base::LockMode::{
    self, AccessExclusive, Exclusive, Share, ShareRowExclusive, ShareUpdateExclusive,
};
use crate::sql::statement::{CreateIndex, Kind, Lock, Opaque, Reindex, ReindexObject, Setting, Transaction};

/// What a statement is. What is not listed takes no table lock that matters, in all of section 2 of the manual's
/// commands; `classify_rare` has those that seldom come.
pub(super) fn classify(node: &NodeEnum, names: &Names) -> Found {
    match node {
        NodeEnum::IndexStmt(it) => create_index(it, names),
        NodeEnum::DropStmt(it) => drop::drop(it, names),
        NodeEnum::ReindexStmt(it) => reindex(it, names),
        NodeEnum::AlterTableStmt(it) => alter::alter(it, names),
        NodeEnum::CreateStmt(it) => alter::create(it, "CREATE TABLE", names),
        NodeEnum::RenameStmt(it) => drop::rename(it, names),
        NodeEnum::AlterObjectSchemaStmt(it) => drop::set_schema(it, names),
        NodeEnum::TruncateStmt(it) => Found::locking("TRUNCATE TABLE")
            .locks(it.relations.iter().filter_map(|node| names.lock(range_var(node), AccessExclusive))),
        NodeEnum::LockStmt(it) => lock_table(it, names),
        NodeEnum::TransactionStmt(it) => transaction(it),
        NodeEnum::VariableSetStmt(it) => setting::classify(it),
        NodeEnum::DiscardStmt(it) if it.target() == DiscardMode::DiscardAll => {
            Found::new("DISCARD ALL", Kind::Setting(Setting::All)).outside_only(true)
        }
        NodeEnum::CopyStmt(it) => copy(it),
        NodeEnum::DoStmt(it) => do_block(it),
        NodeEnum::CallStmt(_) => Found::new("CALL", Kind::Opaque(Opaque::Call)),
        NodeEnum::CreateExtensionStmt(_) => Found::new("CREATE EXTENSION", Kind::Opaque(Opaque::Extension)),
        NodeEnum::AlterExtensionStmt(_) => Found::new("ALTER EXTENSION", Kind::Opaque(Opaque::Extension)),
        NodeEnum::VacuumStmt(it) => vacuum(it, names),
        NodeEnum::RefreshMatViewStmt(it) => {
            let mode = if it.concurrent { Exclusive } else { AccessExclusive };
            Found::locking("REFRESH MATERIALIZED VIEW").locks(names.lock(it.relation.as_ref(), mode))
        }
        NodeEnum::ClusterStmt(it) => Found::locking("CLUSTER")
            .locks(names.lock(it.relation.as_ref(), AccessExclusive))
            .beyond(it.relation.is_none())
            .outside_only(it.relation.is_none()),
        other => classify_on_relation(other, names),
    }
}

/// Statements about something that hangs on a relation.
fn classify_on_relation(node: &NodeEnum, names: &Names) -> Found {
    let on = |tag, relation, mode: LockMode| Found::locking(tag).locks(names.lock(relation, mode));
    match node {
        NodeEnum::CreateTrigStmt(it) => create_trigger(it, names),
        NodeEnum::RuleStmt(it) => on("CREATE RULE", it.relation.as_ref(), AccessExclusive),
        NodeEnum::CreatePolicyStmt(it) => on("CREATE POLICY", it.table.as_ref(), AccessExclusive),
        NodeEnum::AlterPolicyStmt(it) => on("ALTER POLICY", it.table.as_ref(), AccessExclusive),
        NodeEnum::AlterSeqStmt(it) => on("ALTER SEQUENCE", it.sequence.as_ref(), ShareRowExclusive),
        NodeEnum::ViewStmt(it) if it.replace => on("CREATE VIEW", it.view.as_ref(), AccessExclusive),
        NodeEnum::AlterObjectDependsStmt(it) => {
            drop::locking_if_named("ALTER", names.lock(it.relation.as_ref(), AccessExclusive))
        }
        NodeEnum::CreateForeignTableStmt(it) => match &it.base_stmt {
            Some(base) => alter::create(base, "CREATE FOREIGN TABLE", names),
            None => Found::ordinary("CREATE FOREIGN TABLE"),
        },
        NodeEnum::CreateSchemaStmt(it) => {
            let parts = it.schema_elts.iter().filter_map(|part| part.node.as_ref());
            Found::locking("CREATE SCHEMA").locks(parts.flat_map(|part| classify(part, names).into_locks()))
        }
        NodeEnum::CommentStmt(it) => drop::remark("COMMENT", it.objtype(), it.object.as_deref(), names),
        NodeEnum::SecLabelStmt(it) => {
            drop::remark("SECURITY LABEL", it.objtype(), it.object.as_deref(), names)
        }
        NodeEnum::CreatePublicationStmt(it) => {
            Found::ordinary("CREATE PUBLICATION").locks(it.pubobjects.iter().filter_map(|node| {
                match &node.node {
                    Some(NodeEnum::PublicationObjSpec(it)) => {
                        names.lock(it.pubtable.as_ref()?.relation.as_ref(), ShareUpdateExclusive)
                    }
                    _ => None,
                }
            }))
        }
        NodeEnum::CreateStatsStmt(it) => Found::locking("CREATE STATISTICS")
            .locks(it.relations.iter().filter_map(|node| names.lock(range_var(node), ShareUpdateExclusive))),
        other => classify_rare(other),
    }
}

/// Statements that lock what only the catalogue can tell, or that may not run in a block.
fn classify_rare(node: &NodeEnum) -> Found {
    match node {
        NodeEnum::AlterDomainStmt(it) => Found::locking("ALTER DOMAIN").beyond(checks_users(it)),
        NodeEnum::AlterTableMoveAllStmt(_) => Found::locking("ALTER TABLE ALL").beyond(true),
        NodeEnum::DropOwnedStmt(_) => Found::locking("DROP OWNED").beyond(true),
        NodeEnum::ReassignOwnedStmt(_) => Found::locking("REASSIGN OWNED").beyond(true),
        NodeEnum::CreatedbStmt(_) => Found::ordinary("CREATE DATABASE").outside_only(true),
        NodeEnum::DropdbStmt(_) => Found::ordinary("DROP DATABASE").outside_only(true),
        NodeEnum::AlterDatabaseStmt(it) => Found::ordinary("ALTER DATABASE")
            .outside_only(it.options.iter().any(|option| is_option(option, "tablespace"))),
        NodeEnum::CreateTableSpaceStmt(_) => Found::ordinary("CREATE TABLESPACE").outside_only(true),
        NodeEnum::DropTableSpaceStmt(_) => Found::ordinary("DROP TABLESPACE").outside_only(true),
        NodeEnum::AlterSystemStmt(_) => Found::ordinary("ALTER SYSTEM").outside_only(true),
        NodeEnum::CreateSubscriptionStmt(it) => Found::ordinary("CREATE SUBSCRIPTION").outside_only(
            option_is_on(&it.options, "create_slot")
                .unwrap_or_else(|| option_is_on(&it.options, "connect").unwrap_or(true)),
        ),
        NodeEnum::DropSubscriptionStmt(_) => Found::ordinary("DROP SUBSCRIPTION").outside_only(true),
        other => Found::ordinary(ordinary_tag(other)),
    }
}

/// The command of a statement that takes no lock worth a word.
fn ordinary_tag(node: &NodeEnum) -> &'static str {
    match node {
        NodeEnum::SelectStmt(it) if it.into_clause.is_none() => "SELECT",
        NodeEnum::SelectStmt(_) => "SELECT INTO",
        NodeEnum::InsertStmt(_) => "INSERT",
        NodeEnum::UpdateStmt(_) => "UPDATE",
        NodeEnum::DeleteStmt(_) => "DELETE",
        NodeEnum::MergeStmt(_) => "MERGE",
        NodeEnum::ExplainStmt(_) => "EXPLAIN",
        NodeEnum::PrepareStmt(_) => "PREPARE",
        NodeEnum::ExecuteStmt(_) => "EXECUTE",
        NodeEnum::DeclareCursorStmt(_) => "DECLARE CURSOR",
        NodeEnum::GrantStmt(it) => {
            if it.is_grant {
                "GRANT"
            } else {
                "REVOKE"
            }
        }
        NodeEnum::CreateTableAsStmt(it) if it.objtype() == ObjectType::ObjectMatview => {
            "CREATE MATERIALIZED VIEW"
        }
        NodeEnum::CreateTableAsStmt(_) => "CREATE TABLE AS",
        NodeEnum::ViewStmt(_) => "CREATE VIEW",
        NodeEnum::ConstraintsSetStmt(_) => "SET CONSTRAINTS",
        NodeEnum::CreateSeqStmt(_) => "CREATE SEQUENCE",
        NodeEnum::CreateFunctionStmt(it) => {
            if it.is_procedure {
                "CREATE PROCEDURE"
            } else {
                "CREATE FUNCTION"
            }
        }
        NodeEnum::CreateDomainStmt(_) => "CREATE DOMAIN",
        NodeEnum::CreateEnumStmt(_) | NodeEnum::CompositeTypeStmt(_) | NodeEnum::CreateRangeStmt(_) => {
            "CREATE TYPE"
        }
        NodeEnum::AlterEnumStmt(_) => "ALTER TYPE",
        _ => "statement",
    }
}

fn create_index(statement: &IndexStmt, names: &Names) -> Found {
    let mode = if statement.concurrent { ShareUpdateExclusive } else { Share };
    let unless_exists = statement.if_not_exists.then(|| names.index(statement)).flatten();
    Found::new(
        "CREATE INDEX",
        Kind::CreateIndex(CreateIndex { concurrently: statement.concurrent, unless_exists }),
    )
    .locks(names.lock(statement.relation.as_ref(), mode))
    .outside_only(statement.concurrent)
}

fn reindex(statement: &ReindexStmt, names: &Names) -> Found {
    let concurrently = option_is_on(&statement.params, "concurrently");
    let (object, mode) = match statement.kind() {
        ReindexObjectType::ReindexObjectIndex => (ReindexObject::Index, AccessExclusive),
        ReindexObjectType::ReindexObjectSchema => (ReindexObject::Schema(statement.name.clone()), Share),
        ReindexObjectType::ReindexObjectSystem => (ReindexObject::System, Share),
        ReindexObjectType::ReindexObjectDatabase => (ReindexObject::Database, Share),
        ReindexObjectType::ReindexObjectTable | ReindexObjectType::Undefined => (ReindexObject::Table, Share),
    };
    let online = concurrently == Some(true);
    let mode = if online { ShareUpdateExclusive } else { mode };
    let many = !matches!(object, ReindexObject::Index | ReindexObject::Table);
    Found::new("REINDEX", Kind::Reindex(Reindex { object, concurrently }))
        .locks(names.lock(statement.relation.as_ref(), mode))
        .beyond(many && !online)
        .outside_only(many || online)
}

fn lock_table(statement: &LockStmt, names: &Names) -> Found {
    let mode = usize::try_from(statement.mode)
        .ok()
        .and_then(|number| LockMode::ALL.get(number.checked_sub(1)?).copied())
        .unwrap_or(AccessExclusive);
    Found::new("LOCK TABLE", Kind::Lock { nowait: statement.nowait })
        .locks(statement.relations.iter().filter_map(|node| names.lock(range_var(node), mode)))
}

fn transaction(statement: &TransactionStmt) -> Found {
    let (tag, kind) = match statement.kind() {
        TransactionStmtKind::TransStmtBegin
        | TransactionStmtKind::TransStmtStart
        | TransactionStmtKind::Undefined => {
            ("BEGIN", Transaction::Begin { read_only: setting::are_read_only(&statement.options) })
        }
        TransactionStmtKind::TransStmtCommit if statement.chain => ("COMMIT", Transaction::CommitAndChain),
        TransactionStmtKind::TransStmtRollback if statement.chain => {
            ("ROLLBACK", Transaction::RollbackAndChain)
        }
        TransactionStmtKind::TransStmtCommit => ("COMMIT", Transaction::Commit),
        TransactionStmtKind::TransStmtRollback => ("ROLLBACK", Transaction::Rollback),
        TransactionStmtKind::TransStmtSavepoint => ("SAVEPOINT", Transaction::Savepoint),
        TransactionStmtKind::TransStmtRelease => ("RELEASE", Transaction::Release),
        TransactionStmtKind::TransStmtRollbackTo => ("ROLLBACK", Transaction::RollbackTo),
        TransactionStmtKind::TransStmtPrepare => ("PREPARE TRANSACTION", Transaction::Prepare),
        TransactionStmtKind::TransStmtCommitPrepared => ("COMMIT PREPARED", Transaction::FinishPrepared),
        TransactionStmtKind::TransStmtRollbackPrepared => ("ROLLBACK PREPARED", Transaction::FinishPrepared),
    };
    Found::new(tag, Kind::Transaction(kind)).outside_only(kind == Transaction::FinishPrepared)
}

fn copy(statement: &CopyStmt) -> Found {
    let from_client = statement.is_from && !statement.is_program && statement.filename.is_empty();
    if from_client { Found::new("COPY", Kind::CopyIn) } else { Found::ordinary("COPY") }
}

fn do_block(statement: &DoStmt) -> Found {
    let argument = |name| {
        statement.args.iter().find_map(|node| match &node.node {
            Some(NodeEnum::DefElem(option)) if option.defname == name => string(option.arg.as_deref()?),
            _ => None,
        })
    };
    Found::new("DO", block::classify(argument("as").as_deref(), argument("language").as_deref()))
}

fn vacuum(statement: &VacuumStmt, names: &Names) -> Found {
    if !statement.is_vacuumcmd {
        let relations = vacuumed(statement, ShareUpdateExclusive, names);
        return Found::locking("ANALYZE").locks(relations);
    }
    let full = option_is_on(&statement.options, "full").unwrap_or(false);
    let mode = if full { AccessExclusive } else { ShareUpdateExclusive };
    let relations = vacuumed(statement, mode, names);
    Found::locking("VACUUM").locks(relations).beyond(full && statement.rels.is_empty()).outside_only(true)
}

fn vacuumed(statement: &VacuumStmt, mode: LockMode, names: &Names) -> Vec<Lock> {
    let relations = statement.rels.iter().filter_map(|node| match &node.node {
        Some(NodeEnum::VacuumRelation(it)) => names.lock(it.relation.as_ref(), mode),
        _ => None,
    });
    relations.collect()
}

fn create_trigger(statement: &CreateTrigStmt, names: &Names) -> Found {
    Found::locking("CREATE TRIGGER")
        .locks(names.lock(statement.relation.as_ref(), ShareRowExclusive))
        .locks(names.lock(statement.constrrel.as_ref(), LockMode::AccessShare))
}

/// Whether an `ALTER DOMAIN` reads the tables that use the domain: ADD CONSTRAINT unless NOT VALID, VALIDATE, SET NOT NULL.
fn checks_users(statement: &AlterDomainStmt) -> bool {
    match statement.subtype.as_str() {
        "C" => !matches!(
            statement.def.as_ref().and_then(|node| node.node.as_ref()),
            Some(NodeEnum::Constraint(constraint)) if constraint.skip_validation
        ),
        "V" | "O" => true,
        _ => false,
    }
}

fn is_option(node: &Node, name: &str) -> bool {
    matches!(&node.node, Some(NodeEnum::DefElem(option)) if option.defname == name)
}
