//! The building block for concurrent index work: build, rebuild, drop.
//!
//! One step each, since Postgres does it in several transactions of its own; two where an invalid index is in the way.
//! A build that fails behind its first lock leaves an invalid index; a REINDEX that fails, one named `_ccnew`; a DROP
//! that fails, the index itself, invalid.

use super::{Context, Inverse, Pace, Plan, Probe, Scope, Step};
use crate::base::LockMode;
use crate::effects::facts::Oid;

/// `CREATE INDEX CONCURRENTLY` on a table.
pub fn build(hazard: &'static str, sql: Vec<u8>, table: Oid) -> Plan {
    let scope = Scope::Table(table);
    let (probe, inverse) = (Probe::NoNewInvalidIndex(scope), Inverse::DropNewInvalidIndexes(scope));
    one_step(hazard, "CREATE INDEX", step(sql, Some(table), probe, inverse))
}

/// Nothing to do, since the index is there.
pub fn there(hazard: &'static str) -> Plan {
    Plan { hazard, steps: Vec::new(), tag: "CREATE INDEX" }
}

/// An invalid index is dropped by `away`, and built by `sql`.
pub fn build_again(hazard: &'static str, away: Vec<u8>, sql: Vec<u8>, index: Oid, table: Oid) -> Plan {
    let (mut plan, mut first) = (build(hazard, sql, table), drop(hazard, away, index, Some(table)));
    first.steps.append(&mut plan.steps);
    Plan { steps: first.steps, ..plan }
}

/// `REINDEX .. CONCURRENTLY` of what `scope` says.
pub fn rebuild(hazard: &'static str, sql: Vec<u8>, scope: Scope) -> Plan {
    let relation = match scope {
        Scope::Table(table) => Some(table),
        Scope::Database => None,
    };
    let (probe, inverse) = (Probe::NoNewInvalidIndex(scope), Inverse::DropNewInvalidIndexes(scope));
    one_step(hazard, "REINDEX", step(sql, relation, probe, inverse))
}

/// `DROP INDEX CONCURRENTLY` of an index of a table.
pub fn drop(hazard: &'static str, sql: Vec<u8>, index: Oid, table: Option<Oid>) -> Plan {
    one_step(hazard, "DROP INDEX", step(sql, table, Probe::Gone(index), Inverse::FinishDrop(index)))
}

pub(super) fn step(sql: Vec<u8>, relation: Option<Oid>, probe: Probe, inverse: Inverse) -> Step {
    Step {
        sql,
        also: Vec::new(),
        lock: LockMode::ShareUpdateExclusive,
        relation,
        context: Context::OutsideTransaction,
        probe,
        inverse,
        pace: Pace::Unhurried,
        undo: Vec::new(),
        violated: None,
    }
}

fn one_step(hazard: &'static str, tag: &'static str, step: Step) -> Plan {
    Plan { hazard, steps: vec![step], tag }
}
