//! Steps and locks as they are told.

use std::collections::BTreeMap;

use super::report::{LockTold, StepTold};
use crate::effects::facts::Facts;
use crate::effects::{self, Effects, Past};
use crate::hazard::{Finding, Remedy};
use crate::plan::{Context, HandStep, Plan};
use crate::sql::{Encoding, parse};

/// The locks that others can meet, each relation once with its strongest mode.
pub(super) fn locks(effects: &Effects) -> Vec<LockTold> {
    let mut locks: Vec<LockTold> = Vec::new();
    let mut places = BTreeMap::new();
    for touched in effects.touched.iter().filter(|touched| touched.exposed) {
        let place = *places.entry(&touched.name).or_insert(locks.len());
        match locks.get_mut(place) {
            Some(lock) => lock.mode = lock.mode.max(touched.mode),
            None => locks.push(LockTold { relation: touched.name.clone(), mode: touched.mode }),
        }
    }
    locks
}

/// What lockkeeper runs instead, if it does.
pub(super) fn online(finding: &Finding, facts: &Facts) -> Option<Vec<StepTold>> {
    let Remedy::Plan { plan, .. } = &finding.remedy else { return None };
    Some(of_plan(plan, facts))
}

/// The steps of a plan, each with its locks.
pub(super) fn of_plan(plan: &Plan, facts: &Facts) -> Vec<StepTold> {
    let steps = plan.steps.iter().map(|step| {
        let outside = step.context == Context::OutsideTransaction;
        told(&HandStep { sql: step.text(), outside }, facts)
    });
    steps.collect()
}

/// What a person can do instead.
pub(super) fn by_hand(finding: &Finding, facts: &Facts) -> Vec<StepTold> {
    finding.way().iter().map(|step| told(step, facts)).collect()
}

fn told(step: &HandStep, facts: &Facts) -> StepTold {
    let script = parse(step.sql.as_bytes(), Encoding::Utf8);
    let of = |statement| locks(&effects::of(statement, facts, &Past::nothing()));
    let locks = script.statements.iter().flat_map(of).collect();
    StepTold { sql: step.sql.trim().to_owned(), outside: step.outside, locks }
}

/// What stands above the way by hand.
pub(super) fn by_hand_told(steps: &[StepTold]) -> &'static str {
    let several = steps.iter().filter(|step| !step.is_words()).count() > 1;
    if several { "by hand, each in a transaction of its own:" } else { "by hand:" }
}
