//! What the statements of a message lay on the database: what peak hours and freezes go by.

use super::policy::Policy;
use super::scene::Scene;
use crate::base::RelationName;
use crate::hazard::{Finding, Remedy, bulk_write, write_without_where};
use crate::peak::{Load, Loads};
use crate::plan::{Deferral, Pace, Plan, Step};
use crate::sql::bookkeeping;
use crate::sql::form::{Body, Form};
use crate::sql::statement::{Kind, Opaque, Statement};

/// Adds what one statement does as sent. Tables that are small enough are read and written in no time.
pub(super) fn of_scene(scene: &Scene<'_>, findings: &[Finding], policy: &Policy, into: &mut Loads) {
    // The books of a migration tool are kept whatever is in force: what they tell of is held back, or has happened already.
    if bookkeeping::is_about(scene.statement) {
        return;
    }
    let effects = scene.effects;
    if effects.is_strong() || may_be_strong(scene.statement) {
        into.add(Load::Strong);
    }
    let long = |relation: &RelationName, bytes| !policy.is_small(relation, bytes);
    if effects.work.iter().any(|work| work.exposed && long(&work.relation, work.bytes))
        || findings.iter().any(writes_much)
    {
        into.add(Load::Bulk);
    }
    if !effects.losses.is_empty() {
        into.add(Load::Destructive);
    }
}

/// Whether it may lock anything strongly, for all that anybody can see.
fn may_be_strong(statement: &Statement) -> bool {
    let seen_through = |form: &Form| matches!(form, Form::Body(Body { unseen: None, .. }));
    match statement.kind {
        Kind::Opaque(Opaque::Extension | Opaque::Unread) => true,
        Kind::Opaque(Opaque::Block { .. }) => !seen_through(&statement.form),
        _ => false,
    }
}

/// Writes to many rows, unless they are excused or let pass.
fn writes_much(finding: &Finding) -> bool {
    let excused = matches!(finding.remedy, Remedy::Ladder { warning: None } | Remedy::Record);
    matches!(finding.hazard, bulk_write::ID | write_without_where::ID) && !excused
}

/// What is done of a deferred statement before its transaction's COMMIT; the rest is judged by itself.
pub(super) fn of_deferral(deferral: &Deferral) -> Loads {
    let mut loads = Loads::NONE;
    if !deferral.now.is_empty() {
        loads.add(Load::Strong);
    }
    loads
}

/// What a plan does in place of the statement that destroys as much.
pub(super) fn of_plan(plan: &Plan, as_sent: Loads) -> Loads {
    let mut loads = Loads::NONE;
    let is_long = |step: &Step| {
        matches!(step.pace, Pace::Unhurried | Pace::Ranges(_) | Pace::Leaves(_) | Pace::Bulk(_))
    };
    if !plan.steps.iter().all(is_long) {
        loads.add(Load::Strong);
    }
    if plan.steps.iter().any(is_long) {
        loads.add(Load::Bulk);
    }
    if as_sent.hold(Load::Destructive) {
        loads.add(Load::Destructive);
    }
    loads
}
