//! The small catalogue that the tests judge against, and how a judgement is shown.

use std::fmt::Write;

use crate::base::{LockMode, RelationName};
use crate::effects::facts::{Facts, IndexFacts, Relation, RelationKind};
use crate::judge::{Decision, Guard, Judgement, Target};
use crate::plan::{Context, Inverse, Plan, Probe};

const fn relation(oid: u32, kind: RelationKind) -> Relation {
    Relation {
        oid,
        kind,
        temporary: false,
        new_in_transaction: false,
        system: false,
        plain_reindex_only: false,
        index: None,
    }
}

const fn index(oid: u32, backs_constraint: bool, partitioned: bool) -> Relation {
    let kind = if partitioned { RelationKind::PartitionedIndex } else { RelationKind::Index };
    let facts = IndexFacts { table: 1, valid: true, in_the_making: false, backs_constraint, partitioned };
    Relation { index: Some(facts), ..relation(oid, kind) }
}

fn invalid(oid: u32) -> Relation {
    let whole = index(oid, false, false);
    Relation { index: whole.index.map(|index| IndexFacts { valid: false, ..index }), ..whole }
}

pub(super) fn facts(server_version: u32) -> Facts {
    let relations = [
        ("orders", relation(1, RelationKind::Table)),
        ("customers", relation(2, RelationKind::Table)),
        ("events", relation(3, RelationKind::PartitionedTable)),
        ("scratch", Relation { temporary: true, ..relation(4, RelationKind::Table) }),
        ("fresh", Relation { new_in_transaction: true, ..relation(5, RelationKind::Table) }),
        ("totals", relation(6, RelationKind::MaterializedView)),
        ("bookings", Relation { plain_reindex_only: true, ..relation(7, RelationKind::Table) }),
        ("pg_class", Relation { system: true, ..relation(1259, RelationKind::Table) }),
        ("a_view", relation(8, RelationKind::View)),
        ("orders_no_idx", index(11, false, false)),
        ("orders_broken_idx", invalid(14)),
        ("orders_pkey", index(12, true, false)),
        ("events_idx", index(13, false, true)),
    ];
    Facts {
        server_version,
        relations: relations.into_iter().map(|(name, it)| (RelationName::bare(name), it)).collect(),
    }
}

/// A judgement as the hazards' pages show it.
pub(super) fn show(judgement: &Judgement) -> String {
    let mut shown = match &judgement.decision {
        Decision::Forward => "forward\n".to_owned(),
        Decision::Guard(guard) => show_guard(guard),
        Decision::Run(plan) => show_plan(plan),
        Decision::Refuse(notice) => format!("refuse {} {}\n", notice.code, notice.message),
    };
    for notice in &judgement.notices {
        writeln!(shown, "{}: {}", notice.severity.word(), notice.message).unwrap();
    }
    shown
}

fn show_guard(Guard { targets, retry }: &Guard) -> String {
    let modes: Vec<&str> = targets.iter().map(|Target { mode, .. }| LockMode::name(*mode)).collect();
    let locks = if modes.is_empty() { "nothing known".to_owned() } else { modes.join(", ") };
    format!("guard retry {retry:?} locks {locks}\n")
}

fn show_plan(plan: &Plan) -> String {
    let mut shown = String::new();
    for step in &plan.steps {
        let context = match step.context {
            Context::Anywhere => "anywhere",
            Context::OutsideTransaction => "outside-transaction",
        };
        let probe = match step.probe {
            Probe::Tag => "Tag",
            Probe::NoNewInvalidIndex(_) => "NoNewInvalidIndex",
            Probe::Gone(_) => "Gone",
        };
        let undo = match step.inverse {
            Inverse::Nothing => "Nothing",
            Inverse::DropNewInvalidIndexes(_) => "DropNewInvalidIndexes",
            Inverse::FinishDrop(_) => "FinishDrop",
        };
        writeln!(shown, "run {}", String::from_utf8_lossy(&step.sql)).unwrap();
        writeln!(shown, "  lock {} {context} probe {probe} undo {undo}", step.lock).unwrap();
    }
    writeln!(shown, "tag {}", plan.tag).unwrap();
    shown
}
