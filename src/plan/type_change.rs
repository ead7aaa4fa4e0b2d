//! The plan for a new type with the same bytes on a column that CHECKs read: they are put aside and made again in the same
//! moment, and proved while others work.

use super::by_hand::{HandStep, alter};
use super::constraint::{TAG, brief, long};
use super::{Inverse, Plan, Step, Target};
use crate::base::RelationName;
use crate::base::name::written;

/// The way by hand. `change` are the user's own words; of each CHECK the name and the definition.
///
/// One statement takes the CHECKs away, changes the type and adds them again, in this order whichever way it is written
/// (`AT_PASS_DROP` comes first in `tablecmds.c`), so that no row slips in between.
pub fn by_hand(table: &RelationName, change: &str, checks: &[(&str, &str)]) -> Vec<HandStep> {
    let list = |part: fn(&str, &str) -> String| {
        checks
            .iter()
            .map(|(name, definition)| part(&written(name), definition))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let away = list(|name, _| format!("DROP CONSTRAINT {name}"));
    let again = list(|name, definition| format!("ADD CONSTRAINT {name} {definition} NOT VALID"));
    let proved = list(|name, _| format!("VALIDATE CONSTRAINT {name}"));
    vec![alter(table, &format!("{away}, {change}, {again}")), alter(table, &proved)]
}

/// The same as a plan. The old type may not have room for what is written from then on, so that the first step stays.
pub fn proved(hazard: &'static str, locks: Vec<Target>, hand: &[HandStep]) -> Option<Plan> {
    let [change, validate] = hand else { return None };
    let validated = long(validate, locks.first());
    let steps = vec![
        brief(change, locks, None),
        Step { inverse: Inverse::Finish(validate.sql.clone()), ..validated },
    ];
    Some(Plan { hazard, steps, tag: TAG })
}
