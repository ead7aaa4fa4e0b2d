//! The plan for a partition that is detached: concurrently, so that its parent goes on; and for one that is dropped.

use std::collections::BTreeSet;

use super::by_hand::{HandStep, alter, spelled};
use super::concurrent_index;
use super::constraint::{TAG, brief};
use super::{HalfDetached, Inverse, LeftCheck, Pace, Plan, Probe, Step, Target, Undo};
use crate::base::LockMode;

/// A partition that leaves its parent.
#[derive(Debug)]
pub struct Leaving<'a> {
    /// The partition, locked as strongly as can be in the end.
    pub partition: Target,
    /// Its parent, whose reads and writes go on.
    pub parent: Target,
    /// What it holds, `FOR VALUES ..`.
    pub bound: &'a str,
    /// That as a condition.
    pub condition: &'a str,
    /// The names of its constraints.
    pub known: Vec<String>,
}

impl Leaving<'_> {
    /// The way by hand.
    pub fn by_hand(&self) -> Vec<HandStep> {
        vec![self.concurrently(), HandStep::words(&self.drop_check())]
    }

    /// Detached, and without the CHECK that the plain statement does not leave.
    pub fn detached(&self, hazard: &'static str) -> Plan {
        let check = self.check();
        let tidy = Step {
            sql: format!("-- {}", self.drop_check()).into_bytes(),
            pace: Pace::TidyCheck(check),
            ..brief(&HandStep::words(""), vec![self.partition.clone()], None)
        };
        let off = Step { undo: Vec::new(), ..self.off() };
        Plan { hazard, steps: vec![off, tidy], tag: TAG }
    }

    /// What has been half detached before is detached for good.
    pub fn finished(&self, hazard: &'static str) -> Plan {
        let step = brief(&self.finalize(), vec![self.partition.clone(), self.parent.clone()], None);
        Plan { hazard, steps: vec![step], tag: TAG }
    }

    /// Detaches it; attached again where a later step fails, with that CHECK as a proof that spares reading it.
    pub fn off(&self) -> Step {
        let parent = Some(self.parent.oid.unwrap_or_default());
        let locks = vec![self.partition.clone(), self.parent.clone()];
        let undo = |hand: HandStep, pace| Undo { sql: hand.sql.into_bytes(), pace };
        let half = HalfDetached {
            partition: self.partition.clone(),
            parent: self.parent.clone(),
            finalize: undo(self.finalize(), Pace::Ladder(locks.clone())),
        };
        let sql = self.concurrently().sql.into_bytes();
        let attach = format!("ATTACH PARTITION {} {}", spelled(&self.partition.name), self.bound);
        let back = undo(alter(&self.parent.name, &attach), Pace::Ladder(locks));
        let tidy = undo(HandStep::words(&self.drop_check()), Pace::TidyCheck(self.check()));
        Step {
            undo: vec![back, tidy],
            ..concurrent_index::step(sql, parent, Probe::Tag, Inverse::FinishDetach(Box::new(half)))
        }
    }

    fn check(&self) -> LeftCheck {
        LeftCheck {
            table: Target { mode: LockMode::AccessExclusive, ..self.partition.clone() },
            condition: self.condition.to_owned(),
            known: self.known.clone(),
        }
    }

    fn concurrently(&self) -> HandStep {
        let own = spelled(&self.partition.name);
        HandStep::outside(alter(&self.parent.name, &format!("DETACH PARTITION {own} CONCURRENTLY")).sql)
    }

    fn finalize(&self) -> HandStep {
        alter(&self.parent.name, &format!("DETACH PARTITION {} FINALIZE", spelled(&self.partition.name)))
    }

    fn drop_check(&self) -> String {
        format!("drop the CHECK of its bounds that this leaves on {}", spelled(&self.partition.name))
    }
}

impl LeftCheck {
    /// Whether a CHECK is the one: new, and says the same. A list of constants may be written as one (`'{1,2}'::integer[]`),
    /// so that the words are compared.
    pub fn is(&self, name: &str, definition: &str) -> bool {
        const TYPES: [&str; 8] =
            ["smallint", "integer", "bigint", "numeric", "real", "double", "precision", "boolean"];
        let (asked, found) = (words(&self.condition), words(definition));
        let more: Vec<&str> = found.difference(&asked).copied().collect();
        !self.known.iter().any(|known| known == name)
            && asked.is_subset(&found)
            && more.iter().all(|word| TYPES.contains(word))
    }
}

/// The words and numbers of a condition.
fn words(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.filter(|word| !word.is_empty() && !["CHECK", "ARRAY"].contains(word)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::RelationName;

    #[test]
    fn the_check_is_known_by_what_it_says() {
        let left = |condition: &str| LeftCheck {
            table: Target { name: RelationName::bare("c"), oid: None, mode: LockMode::AccessExclusive },
            condition: condition.to_owned(),
            known: vec!["own".to_owned()],
        };
        let range = left("((a IS NOT NULL) AND (a >= 0) AND (a < 10))");
        assert!(range.is("c_a_check", "CHECK (((a IS NOT NULL) AND (a >= 0) AND (a < 10)))"));
        assert!(!range.is("own", "CHECK (((a IS NOT NULL) AND (a >= 0) AND (a < 10)))"));
        assert!(!range.is("c_a_check", "CHECK (((a IS NOT NULL) AND (a >= 0) AND (a < 11)))"));
        let list = left("((a IS NOT NULL) AND (a = ANY (ARRAY[1, 2])))");
        assert!(list.is("x", "CHECK (((a IS NOT NULL) AND (a = ANY ('{1,2}'::integer[]))))"));
        assert!(!list.is("x", "CHECK (((a IS NOT NULL) AND (a = ANY ('{1,2,3}'::integer[]))))"));
        assert!(!list.is("x", "CHECK (((a IS NOT NULL) AND (b = ANY ('{1,2}'::integer[]))))"));
    }
}
