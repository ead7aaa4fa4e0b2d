//! Plans for tables that become partitions: CHECKs prove before what is read under the lock otherwise; a new one is made
//! beside its parent.

use super::by_hand::{HandStep, alter, spelled, validate};
use super::constraint::{TAG, brief, long};
use super::{Pace, Plan, Step, Target, Violated};
use crate::base::name::written;
use crate::base::{LockMode, Notice, RelationName, SqlState};

/// A CHECK that holds until the table is attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Whose rows it is about.
    pub table: RelationName,
    /// Its name.
    pub name: String,
    /// What it demands.
    pub condition: String,
    /// What the plain statement says where a row breaks it.
    pub violated: String,
}

impl Proof {
    /// That the rows of a table are within the bounds, for a CHECK of that name.
    pub fn within(table: &RelationName, name: String, bounds: &str) -> Self {
        // `ATRewriteTable` in `tablecmds.c`, also below.
        let violated = format!("partition constraint of relation \"{}\" is violated by some row", table.name);
        Self { table: table.clone(), name, condition: bounds.to_owned(), violated }
    }

    /// That the rows of a default partition are not.
    pub fn outside(default: &RelationName, name: String, bounds: &str) -> Self {
        let violated = format!(
            "updated partition constraint for default partition \"{}\" would be violated by some row",
            default.name
        );
        Self { table: default.clone(), name, condition: format!("NOT ({bounds})"), violated }
    }

    fn add(&self) -> HandStep {
        let (name, condition) = (written(&self.name), &self.condition);
        alter(&self.table, &format!("ADD CONSTRAINT {name} CHECK ({condition}) NOT VALID"))
    }

    fn away(&self) -> HandStep {
        alter(&self.table, &format!("DROP CONSTRAINT {}", written(&self.name)))
    }
}

/// The way by hand: each CHECK added and validated, the table attached, the CHECKs dropped.
pub fn by_hand(proofs: &[Proof], attach: &HandStep) -> Vec<HandStep> {
    let before = proofs.iter().flat_map(|proof| [proof.add(), validate(&proof.table, &proof.name)]);
    before.chain([attach.clone()]).chain(proofs.iter().map(Proof::away)).collect()
}

/// The same as a plan. `locks` are the parent and the tables that attaching locks strongly.
pub fn proved(hazard: &'static str, proofs: &[Proof], attach: &HandStep, locks: &[Target]) -> Option<Plan> {
    let on: Vec<(&Proof, &Target)> = proofs
        .iter()
        .map(|proof| Some((proof, locks.iter().find(|it| it.name == proof.table)?)))
        .collect::<Option<_>>()?;
    let mut steps = Vec::new();
    for (proof, table) in &on {
        let back = alter(&proof.table, &format!("DROP CONSTRAINT IF EXISTS {}", written(&proof.name)));
        let violated = Some(Violated::Says(Notice::error(SqlState::CHECK_VIOLATION, proof.violated.clone())));
        steps.push(brief(&proof.add(), vec![(*table).clone()], Some(&back)));
        steps.push(Step { violated, ..long(&validate(&proof.table, &proof.name), Some(table)) });
    }
    steps.push(brief(attach, locks.to_vec(), None));
    for (proof, table) in on {
        let tidy = brief(&proof.away(), vec![table.clone()], None);
        let pace = Pace::Tidy(vec![table.clone()]);
        steps.push(Step { pace, lock: LockMode::AccessExclusive, ..tidy });
    }
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
