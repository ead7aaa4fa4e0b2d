//! The plan for a materialized view: made anew beside the old one, and compared, while others read.

use super::{Context, Inverse, Pace, Plan, Probe, Step, Target};

/// `REFRESH MATERIALIZED VIEW CONCURRENTLY`, whose lock stops no reader, and which leaves nothing when it fails.
pub fn concurrently(hazard: &'static str, sql: Vec<u8>, view: Target) -> Plan {
    let step = Step {
        sql,
        also: Vec::new(),
        lock: view.mode,
        relation: view.oid,
        context: Context::Anywhere,
        probe: Probe::Tag,
        inverse: Inverse::Nothing,
        pace: Pace::Ladder(vec![view]),
        undo: Vec::new(),
        violated: None,
    };
    Plan { hazard, steps: vec![step], tag: "REFRESH MATERIALIZED VIEW" }
}
