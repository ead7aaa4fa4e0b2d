//! Plans for constraints: added in a moment, then proved while others work.

use super::by_hand::{HandStep, alter, spelled};
use super::concurrent_index;
use super::{Context, Inverse, Pace, Plan, Probe, Scope, Step, Target, Undo, Violated};
use crate::base::name::written;
use crate::base::{LockMode, RelationName};
use crate::effects::facts::Oid;

/// The command tag of every plan here.
pub(super) const TAG: &str = "ALTER TABLE";

/// A foreign key: `ADD .. NOT VALID`, which locks the other table and its own up front, in that order, as an application
/// writes them; and `VALIDATE CONSTRAINT`. `others` are the other table and its partitions, none where it is the same one; `own`
/// are the table and what is below it.
pub fn key(
    hazard: &'static str,
    name: &str,
    hand: &[HandStep],
    (others, own): (&[Target], &[Target]),
) -> Option<Plan> {
    let table = own.first()?;
    let mut plan = validated(hazard, &table.name, name, hand, own);
    let all: Vec<Target> = others.iter().chain(own).cloned().collect();
    let add = plan.steps.first_mut()?;
    add.undo = vec![undo(&away(&table.name, name), &all)];
    add.pace = Pace::Together(all);
    Some(plan)
}

fn away(table: &RelationName, name: &str) -> HandStep {
    alter(table, &format!("DROP CONSTRAINT IF EXISTS {}", written(name)))
}

/// `ADD .. NOT VALID`, which takes `locks` for a moment, and `VALIDATE CONSTRAINT`.
pub fn validated(
    hazard: &'static str,
    table: &RelationName,
    name: &str,
    hand: &[HandStep],
    locks: &[Target],
) -> Plan {
    let back = away(table, name);
    let mut steps = Vec::new();
    for (at, step) in hand.iter().enumerate() {
        steps.push(if at == 0 {
            brief(step, locks.to_vec(), Some(&back))
        } else {
            long(step, locks.first())
        });
    }
    Plan { hazard, steps, tag: TAG }
}

/// A column made NOT NULL: by a constraint of that kind that is validated, added before where there is none (18), or by way
/// of a CHECK that proves it: added, validated, used, dropped (`by_hand::set_not_null`).
pub fn not_null(hazard: &'static str, table: &Target, column: &str, hand: &[HandStep]) -> Plan {
    Plan { hazard, steps: not_null_steps(std::slice::from_ref(table), column, hand), tag: TAG }
}

/// The steps of `not_null`; `tables` are the table and what is below it.
pub(super) fn not_null_steps(tables: &[Target], column: &str, hand: &[HandStep]) -> Vec<Step> {
    let Some(table) = tables.first() else { return Vec::new() };
    if let [validate] = hand {
        return vec![long(validate, Some(table))];
    }
    if let [add, validate] = hand {
        let back = alter(&table.name, &format!("ALTER COLUMN {} DROP NOT NULL", written(column)));
        return vec![brief(add, tables.to_vec(), Some(&back)), long(validate, Some(table))];
    }
    let [add, validate, set, drop] = hand else { return Vec::new() };
    let back = alter(&table.name, &format!("ALTER COLUMN {} DROP NOT NULL", written(column)));
    let away = HandStep::anywhere(drop.sql.replacen("DROP CONSTRAINT", "DROP CONSTRAINT IF EXISTS", 1));
    let violated = Some(Violated::Null(column.to_owned()));
    vec![
        brief(add, tables.to_vec(), Some(&away)),
        Step { violated, ..long(validate, Some(table)) },
        brief(set, tables.to_vec(), Some(&back)),
        brief(drop, tables.to_vec(), None),
    ]
}

/// Columns made NOT NULL one after the other, a unique index built while others write, and the constraint made of it
/// (`by_hand::unique_using_index`).
pub fn of_index(
    hazard: &'static str,
    (table, oid): (&Target, Oid),
    nullable: &[(String, Vec<HandStep>)],
    index: &RelationName,
    hand: &[HandStep],
) -> Plan {
    let mut steps: Vec<Step> = nullable
        .iter()
        .flat_map(|(column, hand)| not_null_steps(std::slice::from_ref(table), column, hand))
        .collect();
    steps.extend(index_steps((table, oid), index, hand));
    Plan { hazard, steps, tag: TAG }
}

/// Columns made NOT NULL one after the other, and the key made of an index that is there.
pub fn using_index(
    hazard: &'static str,
    table: &Target,
    nullable: &[(String, Vec<HandStep>)],
    add: &HandStep,
) -> Plan {
    let columns =
        nullable.iter().flat_map(|(column, hand)| not_null_steps(std::slice::from_ref(table), column, hand));
    let steps = columns.chain([brief(add, vec![table.clone()], None)]).collect();
    Plan { hazard, steps, tag: TAG }
}

/// A unique index built while others write, and the constraint made of it.
pub(super) fn index_steps(
    (table, oid): (&Target, Oid),
    index: &RelationName,
    hand: &[HandStep],
) -> Vec<Step> {
    let [build, add] = hand else { return Vec::new() };
    let scope = Scope::Table(oid);
    let (probe, inverse) = (Probe::NoNewInvalidIndex(scope), Inverse::DropNewInvalidIndexes(scope));
    let built = concurrent_index::step(build.sql.clone().into_bytes(), Some(oid), probe, inverse);
    // Once the constraint has it, the index goes with that.
    let away = HandStep::anywhere(format!("DROP INDEX IF EXISTS {}", spelled(index)));
    let back = alter(&table.name, &format!("DROP CONSTRAINT {}", written(&index.name)));
    let built = Step { undo: vec![undo(&away, std::slice::from_ref(table))], ..built };
    vec![built, brief(add, vec![table.clone()], Some(&back))]
}

/// A step that locks strongly for a moment.
pub(super) fn brief(step: &HandStep, locks: Vec<Target>, back: Option<&HandStep>) -> Step {
    let strongest = locks.iter().map(|target| target.mode).max().unwrap_or(LockMode::AccessExclusive);
    let undo = back.into_iter().map(|back| undo(back, &locks)).collect();
    Step {
        sql: step.sql.clone().into_bytes(),
        also: Vec::new(),
        lock: strongest,
        relation: locks.first().and_then(|target| target.oid),
        context: Context::Anywhere,
        probe: Probe::Tag,
        inverse: Inverse::Nothing,
        pace: Pace::Ladder(locks),
        undo,
        violated: None,
    }
}

/// A step that reads a table for as long as it takes, and stops nobody.
pub(super) fn long(step: &HandStep, on: Option<&Target>) -> Step {
    Step {
        sql: step.sql.clone().into_bytes(),
        also: Vec::new(),
        lock: LockMode::ShareUpdateExclusive,
        relation: on.and_then(|target| target.oid),
        context: Context::Anywhere,
        probe: Probe::Tag,
        inverse: Inverse::Nothing,
        pace: Pace::Unhurried,
        undo: Vec::new(),
        violated: None,
    }
}

/// What takes a step back drops something, which locks as strongly as can be whatever the step itself took.
pub(super) fn undo(back: &HandStep, locks: &[Target]) -> Undo {
    let strongest = |target: &Target| Target { mode: LockMode::AccessExclusive, ..target.clone() };
    Undo { sql: back.sql.clone().into_bytes(), pace: Pace::Ladder(locks.iter().map(strongest).collect()) }
}
