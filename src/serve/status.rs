//! What the proxy is doing, as data for whoever asks.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::live::Live;
use crate::live::gate::Freeze;
use crate::live::ledger::{Entry, State, StepEntry};
use crate::live::left_overs::LeftOver;
use crate::pace::bulk::{Account, Effect, Hold};
use crate::peak::{Schedule, Window};

/// More statements that have not ended than these are only counted.
const OPEN_MAX: usize = 1_000;

/// What is the same as long as the process lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Where it listens.
    pub addresses: Vec<String>,
}

/// Everything.
pub fn report(live: &Live, process: &Process, now: Timestamp) -> Value {
    let open = live.ledger().open();
    let of = |states: &[State]| {
        let found = open.iter().filter(|entry| states.contains(&entry.state));
        found.take(OPEN_MAX).map(statement).collect::<Vec<_>>()
    };
    let recent: Vec<Value> = live.ledger().recent().iter().map(statement).collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "process": std::process::id(),
        "addresses": process.addresses,
        "sessions": live.sessions(),
        "now": now.to_string(),
        "freeze": freeze(live.gate().frozen(now).as_ref()),
        "peak": peak(&live.gate().hours().schedule, now),
        "unfinished": open.len(),
        "held": of(&[State::Held]),
        "running": of(&[State::Running, State::Copying]),
        "recent": recent,
        "unfinished_in_databases": left_overs(live),
    })
}

/// How many statements are being carried out.
pub fn running(live: &Live) -> usize {
    live.ledger().open().iter().filter(|entry| entry.state == State::Running).count()
}

/// A freeze, or none.
pub fn freeze(freeze: Option<&Freeze>) -> Value {
    freeze.map_or(Value::Null, |freeze| {
        json!({
            "reason": freeze.reason,
            "by": freeze.by,
            "since": freeze.since.to_string(),
            "until": freeze.until.map(|until| until.to_string()),
        })
    })
}

/// The windows that are open, and the next one.
pub fn peak(schedule: &Schedule, now: Timestamp) -> Value {
    let window = |window: &Window| {
        json!({
            "window": window.to_string(),
            "strong": window.treatments.strong.word(),
            "bulk": window.treatments.bulk.word(),
            "destructive": window.treatments.destructive.word(),
        })
    };
    let with = |name: &str, at: Timestamp, mut value: Value| {
        if let Value::Object(fields) = &mut value {
            fields.insert(name.to_owned(), at.to_string().into());
        }
        value
    };
    let open: Vec<Value> = schedule.open(now).map(|(it, until)| with("until", until, window(it))).collect();
    let next = schedule.next(now).map(|(it, opens)| with("opens", opens, window(it)));
    json!({ "open": open, "next": next })
}

/// What looks unfinished in the databases.
fn left_overs(live: &Live) -> Vec<Value> {
    let all = live.left_overs().all().into_iter();
    let value = |(database, one): (String, LeftOver)| json!({ "database": database, "what": one.what, "name": one.name, "statement": one.statement });
    all.map(value).collect()
}

/// One step of a plan.
fn step(entry: &StepEntry) -> Value {
    json!({
        "statement": entry.what,
        "lock": entry.lock.to_string(),
        "state": if entry.taken_back { "taken back" } else { entry.state.word() },
        "took_ms": entry.took.map(millis),
        "stall_at_most_ms": millis(entry.stall),
    })
}

/// How far a statement is that goes in batches, and what holds it back.
fn progress(account: &Account) -> Value {
    let hold = |hold: &Hold| {
        json!({
            "signal": hold.signal.word(),
            "stops": hold.effect == Effect::Stops,
            "words": hold.words,
        })
    };
    json!({
        "rows": account.progress.rows,
        "percent": account.progress.percent,
        "rows_per_second": account.progress.rows_per_second,
        "rows_per_second_max": account.rows_per_second_max,
        "seconds_left": account.progress.left.map(|left| left.as_secs()),
        "speed_percent": account.speed_percent,
        "held_back": account.holds.iter().map(hold).collect::<Vec<_>>(),
    })
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn statement(entry: &Entry) -> Value {
    json!({
        "id": entry.id,
        "statement": entry.what,
        "state": entry.state.word(),
        "user": entry.whose.user,
        "database": entry.whose.database,
        "application_name": entry.whose.application_name,
        "process": entry.whose.pid,
        "hazards": entry.hazards,
        "began": entry.began.to_string(),
        "ended": entry.ended.map(|ended| ended.to_string()),
        "step": entry.step.map(|(step, _)| step),
        "steps": entry.step.map(|(_, of)| of),
        "begun_steps": entry.steps.iter().map(step).collect::<Vec<_>>(),
        "at": entry.at,
        "paced": entry.paced,
        "paused_by": entry.paused_by,
        "progress": entry.account.as_ref().map(progress),
        "stall_at_most_ms": millis(entry.stall),
        "override": entry.overridden,
        "stopped": entry.stopped,
        "cancelled_by": entry.cancelled_by,
    })
}
