//! What a finding repeats of its statement: its own share, where the whole is long.

use std::collections::BTreeMap;

use super::estimate::{self, Estimate};
use super::report::LockTold;
use super::step;
use crate::base::RelationName;
use crate::effects::Effects;

/// More locks, and more works, of one statement are not repeated with each of its findings.
const REPEATED_MAX: usize = 16;

/// All locks and works of one statement.
pub(super) struct Whole {
    pub(super) locks: Vec<LockTold>,
    pub(super) work: Vec<Estimate>,
    /// It locks relations strongly that only a server can name.
    pub(super) beyond: bool,
    /// The place of a relation in each.
    places: BTreeMap<RelationName, (Option<usize>, Option<usize>)>,
}

/// Those of one finding.
pub(super) struct Share {
    pub(super) locks: Vec<LockTold>,
    pub(super) work: Vec<Estimate>,
    /// How many locks are left out.
    pub(super) locks_left_out: usize,
    pub(super) locks_beyond: bool,
}

impl Whole {
    pub(super) fn of(effects: &Effects) -> Self {
        let (locks, work) = (step::locks(effects), estimate::of(effects));
        let mut places: BTreeMap<RelationName, (Option<usize>, Option<usize>)> = BTreeMap::new();
        for (at, lock) in locks.iter().enumerate() {
            places.entry(lock.relation.clone()).or_default().0.get_or_insert(at);
        }
        for (at, one) in work.iter().enumerate() {
            places.entry(one.relation.clone()).or_default().1.get_or_insert(at);
        }
        Self { locks, work, beyond: effects.beyond, places }
    }

    /// All of it where it is short, else those of the relation first.
    pub(super) fn about(&self, relation: Option<&RelationName>) -> Share {
        let (lock, work) = relation.and_then(|it| self.places.get(it)).copied().unwrap_or_default();
        Share {
            locks: some_of(&self.locks, lock),
            work: some_of(&self.work, work),
            locks_left_out: self.locks.len().saturating_sub(REPEATED_MAX),
            locks_beyond: self.beyond,
        }
    }
}

fn some_of<T: Clone>(all: &[T], first: Option<usize>) -> Vec<T> {
    if all.len() <= REPEATED_MAX {
        return all.to_vec();
    }
    let own = first.and_then(|at| all.get(at));
    let others = all.iter().enumerate().filter(|(at, _)| Some(*at) != first).map(|(_, it)| it);
    own.into_iter().chain(others).take(REPEATED_MAX).cloned().collect()
}
