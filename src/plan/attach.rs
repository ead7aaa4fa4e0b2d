//! Plans for tables that become partitions: a CHECK proves the bounds of one that is there before, so that nothing is read
//! under the lock; a new one is made beside its parent.

use super::by_hand::{HandStep, alter, spelled};
use super::constraint::{TAG, brief, long};
use super::{Pace, Plan, Step, Target};
use crate::base::name::written;
use crate::base::{LockMode, Notice, RelationName, SqlState};

/// Adds the CHECK and validates it, attaches the table, drops the CHECK: the steps of `hand`, in that order.
pub fn proved(
    hazard: &'static str,
    (parent, child): (&Target, &Target),
    check: &str,
    hand: &[HandStep],
) -> Option<Plan> {
    let [add, validate, attach, drop] = hand else { return None };
    let back = alter(&child.name, &format!("DROP CONSTRAINT IF EXISTS {}", written(check)));
    // `ATRewriteTable` in `tablecmds.c`.
    let message = format!("partition constraint of relation \"{}\" is violated by some row", child.name.name);
    let violated = Some(Notice::error(SqlState::CHECK_VIOLATION, message));
    let tidy = brief(drop, vec![child.clone()], None);
    let steps = vec![
        brief(add, vec![child.clone()], Some(&back)),
        Step { violated, ..long(validate, Some(child)) },
        brief(attach, vec![child.clone(), parent.clone()], None),
        Step { pace: Pace::Tidy(vec![child.clone()]), lock: LockMode::AccessExclusive, ..tidy },
    ];
    Some(Plan { hazard, steps, tag: TAG })
}

/// A new partition: a table like its parent, then attached, which locks its parent against other DDL only: the steps of `hand`,
/// in that order.
pub fn made(hazard: &'static str, child: &RelationName, locks: &[Target], hand: &[HandStep]) -> Option<Plan> {
    let [create, attach] = hand else { return None };
    let own = Target { name: child.clone(), oid: None, mode: LockMode::AccessExclusive };
    let away = HandStep::anywhere(format!("DROP TABLE {}", spelled(child)));
    let steps = vec![brief(create, vec![own], Some(&away)), brief(attach, locks.to_vec(), None)];
    Some(Plan { hazard, steps, tag: "CREATE TABLE" })
}
