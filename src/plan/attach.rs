//! Plans for tables that become partitions: what they lack of their parent is built while others write, CHECKs prove before what
//! is read under the lock otherwise; a new one is made beside its parent.

use super::by_hand::{HandStep, add_then_validate, alter, spelled, validate};
use super::constraint::{self, brief, index_steps, long};
use super::partitions::build;
use super::{Pace, Plan, Step, Target, Violated};
use crate::base::name::written;
use crate::base::{LockMode, Notice, RelationName, SqlState};

/// A CHECK that holds until the table is attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Whose rows it is about, and what is below that.
    pub on: Vec<Target>,
    /// Its name.
    pub name: String,
    /// What it demands.
    pub condition: String,
    /// What the plain statement says where a row breaks it.
    pub violated: Violated,
}

/// What the server says where a default partition, or a part of it, has a row of a new one.
pub fn outside(partition: &str) -> String {
    format!(
        "updated partition constraint for default partition \"{partition}\" would be violated by some row"
    )
}

impl Proof {
    /// That the rows of a table are within the bounds, for a CHECK of that name.
    pub fn within(table: Target, name: String, bounds: &str) -> Self {
        // `ATRewriteTable` in `tablecmds.c`.
        let own = &table.name.name;
        let words = format!("partition constraint of relation \"{own}\" is violated by some row");
        let violated = Violated::Says(Notice::error(SqlState::CHECK_VIOLATION, words));
        Self { on: vec![table], name, condition: bounds.to_owned(), violated }
    }

    /// That the rows of a default partition are not; with what is below it.
    pub fn outside(on: Vec<Target>, name: String, bounds: &str) -> Self {
        Self { on, name, condition: format!("NOT ({bounds})"), violated: Violated::Elsewhere }
    }

    /// The same for a statement that names the default partition wherever the row is (`check_default_partition_contents` in
    /// `partbounds.c`).
    #[must_use]
    pub fn named(self) -> Self {
        let default = self.on.first().map(|default| default.name.name.as_str()).unwrap_or_default();
        let notice = Notice::error(SqlState::CHECK_VIOLATION, outside(default));
        Self { violated: Violated::Says(notice), ..self }
    }
}

/// A copy of an index of the parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexCopy {
    /// Its name.
    pub index: RelationName,
    /// `UNIQUE`
    pub unique: bool,
    /// From `USING` on.
    pub definition: String,
    /// Where it backs a constraint: `UNIQUE` or `PRIMARY KEY`, and what says when that is checked.
    pub constraint: Option<(&'static str, &'static str)>,
}

/// The way to a partition: as people go it, and as a plan does.
#[derive(Debug, Clone, Default)]
pub struct Way {
    hand: Vec<HandStep>,
    steps: Vec<Step>,
    tidy: Vec<(HandStep, Step)>,
}

impl Way {
    /// An index that the table lacks, and the constraint that is made of it.
    pub fn index(&mut self, table: &Target, copy: &IndexCopy) {
        let (name, on) = (written(&copy.index.name), spelled(&table.name));
        let unique = if copy.unique { "UNIQUE " } else { "" };
        let definition = &copy.definition;
        let built =
            HandStep::outside(format!("CREATE {unique}INDEX CONCURRENTLY {name} ON {on} {definition}"));
        let Some((kind, deferring)) = copy.constraint else {
            self.steps.push(build(&built, table, &copy.index));
            self.hand.push(built);
            return;
        };
        let add = alter(&table.name, &format!("ADD CONSTRAINT {name} {kind} USING INDEX {name}{deferring}"));
        let hand = [built, add];
        self.steps.extend(index_steps((table, table.oid.unwrap_or_default()), &copy.index, &hand));
        self.hand.extend(hand);
    }

    /// A foreign key that the table lacks; `others` are the table that it refers to and that one's partitions.
    pub fn key(&mut self, table: &Target, (name, definition): (&str, &str), others: &[Target]) {
        let definition = format!("CONSTRAINT {} {definition}", written(name));
        let hand = add_then_validate(&table.name, name, &definition);
        let own = Target { mode: LockMode::ShareRowExclusive, ..table.clone() };
        let plan = constraint::key("", name, &hand, (others, std::slice::from_ref(&own)));
        self.steps.extend(plan.into_iter().flat_map(|plan| plan.steps));
        self.hand.extend(hand);
    }

    /// A CHECK that is added and validated, and goes at the end.
    pub fn proof(&mut self, proof: &Proof) {
        let Some(table) = proof.on.first() else { return };
        let (name, condition) = (written(&proof.name), &proof.condition);
        let add = alter(&table.name, &format!("ADD CONSTRAINT {name} CHECK ({condition}) NOT VALID"));
        let read = validate(&table.name, &proof.name);
        let back = alter(&table.name, &format!("DROP CONSTRAINT IF EXISTS {name}"));
        let violated = Some(proof.violated.clone());
        self.steps.push(brief(&add, proof.on.clone(), Some(&back)));
        self.steps.push(Step { violated, ..long(&read, Some(table)) });
        self.hand.extend([add, read]);
        let away = alter(&table.name, &format!("DROP CONSTRAINT {name}"));
        let pace = Pace::Tidy(proof.on.clone());
        let tidy = Step { pace, lock: LockMode::AccessExclusive, ..brief(&away, proof.on.clone(), None) };
        self.tidy.push((away, tidy));
    }

    /// A new table, which goes again where it cannot be attached.
    pub fn table(&mut self, name: &RelationName, create: HandStep) {
        let own = Target { name: name.clone(), oid: None, mode: LockMode::AccessExclusive };
        let away = HandStep::anywhere(format!("DROP TABLE {}", spelled(name)));
        self.steps.push(brief(&create, vec![own], Some(&away)));
        self.hand.push(create);
    }

    /// What makes it a partition, in a moment.
    pub fn last(&mut self, hand: HandStep, locks: &[Target]) {
        self.steps.push(brief(&hand, locks.to_vec(), None));
        self.hand.push(hand);
    }

    /// The same, where all is locked up front in this order.
    pub fn last_together(&mut self, hand: HandStep, locks: &[Target]) {
        let pace = Pace::Together(locks.to_vec());
        self.steps.push(Step { pace, ..brief(&hand, locks.to_vec(), None) });
        self.hand.push(hand);
    }

    /// The way by hand.
    pub fn by_hand(&self) -> Vec<HandStep> {
        self.hand.iter().chain(self.tidy.iter().map(|(hand, _)| hand)).cloned().collect()
    }

    /// The plan.
    pub fn plan(self, hazard: &'static str, tag: &'static str) -> Plan {
        let mut steps = self.steps;
        steps.extend(self.tidy.into_iter().map(|(_, step)| step));
        Plan { hazard, steps, tag }
    }
}
