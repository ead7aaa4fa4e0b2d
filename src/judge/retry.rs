//! How a guarded message may be tried again.

use super::decision::Retry;
use super::moment::Standing;
use crate::effects::facts::{Facts, RelationKind};
use crate::sql::statement::{Kind, Opaque, Place, Script, Statement};

/// How a message may be tried again where it stands.
pub(super) fn of(standing: Standing, script: &Script, facts: &Facts) -> Retry {
    match (standing, script.statements.as_slice()) {
        (Standing::Implicit, _) => Retry::Never,
        (_, statements) if !statements.iter().all(is_repeatable) => Retry::Never,
        (Standing::Explicit { holds_strong: true }, _) => Retry::Replay,
        (Standing::Explicit { holds_strong: false }, _) => Retry::Savepoint,
        (Standing::Outside, [statement]) if may_run_in_block(statement, facts) => Retry::Transaction,
        (Standing::Outside, _) => Retry::Whole,
    }
}

/// How a message that calls functions or procedures may be tried again: whole, where it is all, and no procedure, since those may
/// end transactions.
pub(super) fn of_call(standing: Standing, script: &Script) -> Retry {
    let alone = matches!(script.statements.as_slice(), [statement] if statement.kind == Kind::Ordinary);
    if standing == Standing::Outside && alone { Retry::Whole } else { Retry::Never }
}

fn may_run_in_block(statement: &Statement, facts: &Facts) -> bool {
    let partitioned = |kind| matches!(kind, RelationKind::PartitionedTable | RelationKind::PartitionedIndex);
    match &statement.kind {
        // Nobody knows what it is.
        Kind::Opaque(Opaque::Unread) => false,
        // REINDEX and CLUSTER of something partitioned run in several transactions.
        Kind::Reindex(_) | Kind::Locking if matches!(statement.tag, "REINDEX" | "CLUSTER") => {
            let mut relations = statement.locks.iter().filter_map(|lock| facts.relation(&lock.name));
            statement.place == Place::Anywhere && !relations.any(|relation| partitioned(relation.kind))
        }
        _ => statement.place == Place::Anywhere,
    }
}

/// Whether a statement can be sent a second time after it failed, without anything of it having stayed.
pub fn is_repeatable(statement: &Statement) -> bool {
    match &statement.kind {
        Kind::Transaction(_) | Kind::CopyIn | Kind::Setting(_) | Kind::Opaque(Opaque::Call) => false,
        Kind::Opaque(Opaque::Block { repeatable }) => *repeatable,
        Kind::Opaque(Opaque::Extension | Opaque::Unread)
        | Kind::Ordinary
        | Kind::CreateIndex(_)
        | Kind::DropIndex(_)
        | Kind::Reindex(_)
        | Kind::Lock { .. }
        | Kind::Locking => true,
    }
}
