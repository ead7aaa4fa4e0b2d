//! For programs.

use serde_json::{Value, json};

use crate::review::estimate;
use crate::review::report::{FileReport, Found, LockTold, Report, StepTold};

/// The whole review, those findings included that are allowed or only wait for locks.
pub fn json(report: &Report) -> Value {
    json!({
        "basis": { "server_version": report.basis.server_version, "live": report.basis.live },
        "files": report.files.iter().map(file).collect::<Vec<_>>(),
    })
}

fn file(file: &FileReport) -> Value {
    json!({
        "file": file.name,
        "statements": file.count,
        "findings": file.findings.iter().map(found).collect::<Vec<_>>(),
    })
}

fn found(found: &Found) -> Value {
    json!({
        "id": found.id,
        "level": found.level.word(),
        "denied": found.denied,
        "allowed_because": found.allowed,
        "start": { "line": found.at.start.line, "column": found.at.start.column },
        "end": { "line": found.at.end.line, "column": found.at.end.column },
        "message": found.what,
        "why": found.why,
        "in_transaction": found.in_transaction,
        "locks": found.locks.iter().map(lock).collect::<Vec<_>>(),
        "locks_left_out": found.locks_left_out,
        "locks_beyond": found.locks_beyond,
        "work": found.work.iter().map(|work| json!({
            "task": work.task_name(),
            "relation": estimate::spelled(&work.relation),
            "under": work.under.name(),
            "bytes": work.bytes,
            "seconds": work.time().map(|time| time.as_secs_f64()),
            "basis": work.basis(),
        })).collect::<Vec<_>>(),
        "online": found.online.as_deref().map(steps),
        "by_hand": steps(&found.by_hand),
    })
}

fn lock(lock: &LockTold) -> Value {
    json!({ "relation": estimate::spelled(&lock.relation), "mode": lock.mode.name(), "blocks": lock.blocks() })
}

fn steps(steps: &[StepTold]) -> Vec<Value> {
    let step = |step: &StepTold| {
        json!({
            "sql": step.sql,
            "outside_transaction": step.outside,
            "locks": step.locks.iter().map(lock).collect::<Vec<_>>(),
        })
    };
    steps.iter().map(step).collect()
}
