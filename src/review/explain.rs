//! One statement explained: what it would do, why that hurts, what becomes of it.

use std::fmt::Write as _;
use std::rc::Rc;

use serde_json::{Value, json};

use super::estimate::{self, about, spelled};
use super::report::{LockTold, StepTold};
use super::step;
use crate::effects::facts::Facts;
use crate::effects::{Effects, Loss, Past};
use crate::hazard::Finding;
use crate::judge::{self, Decision, Judgement, Moment, Policy, Standing};
use crate::sql::Script;
use crate::sql::form::{Runs, Write, WriteVerb};
use crate::sql::statement::Place;

/// What is told of one statement.
#[derive(Debug, Clone)]
pub struct Explanation {
    title: String,
    /// It stands in the message itself, rather than in a body of code.
    in_message: bool,
    effects: Effects,
    writes: Vec<Write>,
    findings: Vec<Finding>,
    judgement: Rc<Judgement>,
    facts: Rc<Facts>,
}

/// Explains every statement of a text.
pub fn explain(script: &Script, facts: &Facts, standing: Standing, policy: &Policy) -> Vec<Explanation> {
    let past = if standing == Standing::Outside { Past::nothing() } else { Past::in_transaction() };
    let mut judgement = judge::decide(script, facts, &Moment::new(standing), policy);
    if script.is_ordinary() {
        // The proxy does not stop it, and so says nothing.
        judgement.notices.clear();
    }
    let judgement = Rc::new(judgement);
    let facts = Rc::new(facts.clone());
    let mut explained = Vec::new();
    judge::review(script, &facts, past, policy, &mut |scene, findings| {
        explained.push(Explanation {
            title: title(scene),
            in_message: scene.within.is_none(),
            effects: scene.effects.clone(),
            writes: scene.statement.writes.clone(),
            findings,
            judgement: Rc::clone(&judgement),
            facts: Rc::clone(&facts),
        });
    });
    explained
}

fn title(scene: &judge::Scene<'_>) -> String {
    let tag = scene.statement.tag;
    match scene.within {
        None => tag.to_owned(),
        Some(Runs::Now) => format!("{tag}, within the block"),
        Some(Runs::WhenCalled) => format!("{tag}, when the function is called"),
    }
}

/// For people: each statement, then what becomes of all of them, which are one message.
pub fn text(explained: &[Explanation]) -> String {
    let mut out = String::new();
    for one in explained {
        let _ = writeln!(out, "{}", one.seen());
    }
    // Each has the judgement of the whole.
    let Some(last) = explained.last() else { return out };
    let count = explained.iter().filter(|one| one.in_message).count();
    if explained.len() == 1 {
        out.pop();
    } else if count > 1 {
        let _ = writeln!(out, "all {count} statements, sent as one message");
    }
    last.judged(&mut out);
    out
}

impl Explanation {
    /// What the statement would do.
    fn seen(&self) -> String {
        let mut out = format!("{}\n", self.title);
        let before = out.len();
        self.effects_told(&mut out);
        if out.len() == before && self.findings.is_empty() {
            out.push_str("nothing in it that others would feel\n");
        }
        for finding in &self.findings {
            let _ = writeln!(out, "hazard: {} ({})", finding.hazard, judge::gravity(finding));
            let _ = writeln!(out, "  {}", finding.why);
            let steps = step::by_hand(finding, &self.facts);
            if !steps.is_empty() {
                let _ = writeln!(out, "  {}", step::by_hand_told(&steps));
            }
            for step in &steps {
                let _ = writeln!(out, "    {}", step_told(step));
            }
        }
        out
    }

    fn judged(&self, out: &mut String) {
        let _ = writeln!(out, "decision: {}", self.decision());
        for (number, step) in self.steps().iter().enumerate() {
            let _ = writeln!(out, "  {}. {}", number + 1, step_told(step));
        }
        for notice in &self.judgement.notices {
            let _ = writeln!(out, "{}: {}", notice.severity.word(), notice.message);
        }
    }

    fn effects_told(&self, out: &mut String) {
        for lock in step::locks(&self.effects) {
            let _ = writeln!(out, "lock: {} on {}: {}", lock.mode, spelled(&lock.relation), lock.blocks());
        }
        if self.effects.beyond {
            out.push_str("lock: strong locks on relations that only a server can name\n");
        }
        for work in estimate::of(&self.effects) {
            let time = work.time().map_or_else(|| "an unknown time".to_owned(), about);
            let _ = writeln!(out, "work: {time} ({})", work.basis());
        }
        for write in &self.writes {
            let _ =
                writeln!(out, "writes: {} on {}: {}", write.verb.name(), spelled(&write.table), rows(write));
        }
        for loss in &self.effects.losses {
            let _ = writeln!(out, "destroys: {}", loss_told(loss));
        }
        for why in &self.effects.breaks {
            let _ = writeln!(out, "older application: {why}");
        }
        if let Some(inverse) = &self.effects.inverse {
            let _ = writeln!(out, "inverse: {inverse}");
        }
        if self.effects.place == Place::OutsideOnly {
            out.push_str("cannot run in a transaction block\n");
        }
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let locks = step::locks(&self.effects);
        json!({
            "statement": self.title,
            "locks": locks.iter().map(lock).collect::<Vec<_>>(),
            "locks_beyond": self.effects.beyond,
            "work": estimate::of(&self.effects).iter().map(|work| json!({
                "task": work.task_name(),
                "relation": spelled(&work.relation),
                "under": work.under.name(),
                "bytes": work.bytes,
                "basis": work.basis(),
            })).collect::<Vec<_>>(),
            "writes": self.writes.iter().map(|write| json!({
                "verb": write.verb.name(),
                "table": spelled(&write.table),
                "filtered": write.filtered,
                "pinned": write.pinned,
            })).collect::<Vec<_>>(),
            "destroys": self.effects.losses.iter().map(loss_told).collect::<Vec<_>>(),
            "breaks_older_application": self.effects.breaks,
            "inverse": self.effects.inverse,
            "transactional": self.effects.place == Place::Anywhere,
            "hazards": self.findings.iter().map(|finding| json!({
                "id": finding.hazard,
                "level": judge::gravity(finding).word(),
                "why": finding.why,
                "by_hand": step::by_hand(finding, &self.facts).iter().map(step_json).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
            "decision": self.decision(),
            "steps": self.steps().iter().map(step_json).collect::<Vec<_>>(),
        })
    }

    fn decision(&self) -> String {
        match &self.judgement.decision {
            Decision::Forward => "forward: sent as it is".to_owned(),
            Decision::Guard(_) => "guard: sent as it is, under the ladder of patience".to_owned(),
            Decision::Run(plan) => format!("run: an online plan answers {}", plan.tag),
            Decision::Defer(deferral) => format!("defer: {} is done behind the COMMIT", deferral.tag),
            Decision::Apart => "apart: its statements one after the other".to_owned(),
            Decision::Hold(hold) => format!("hold: {}", hold.told.message),
            Decision::Refuse(notice) => format!("refuse: {} ({})", notice.message, notice.code),
        }
    }

    /// What is run, step by step.
    fn steps(&self) -> Vec<StepTold> {
        match &self.judgement.decision {
            Decision::Run(plan) => step::of_plan(plan, &self.facts),
            _ => Vec::new(),
        }
    }
}

fn step_told(step: &StepTold) -> String {
    let lock = step.lock().map(|lock| format!("  -- {}", lock.mode)).unwrap_or_default();
    let place = if step.outside { ", outside a transaction" } else { "" };
    format!("{}{lock}{place}", step.sql)
}

fn step_json(step: &StepTold) -> Value {
    json!({ "sql": step.sql, "outside_transaction": step.outside, "locks": step.locks.iter().map(lock).collect::<Vec<_>>() })
}

fn lock(lock: &LockTold) -> Value {
    json!({ "relation": spelled(&lock.relation), "mode": lock.mode.name(), "blocks": lock.blocks() })
}

/// How many rows a write may touch, as far as its text tells.
fn rows(write: &Write) -> &'static str {
    match write.verb {
        WriteVerb::Insert => "those that it lists",
        WriteVerb::Copy => "as many as are sent",
        WriteVerb::InsertSelect => "as many as its query finds",
        _ if !write.filtered => "every row",
        _ if write.pinned.is_empty() => "as many as its condition finds",
        _ => "those with one value in a column",
    }
}

fn loss_told(loss: &Loss) -> String {
    match loss {
        Loss::Table(table) => format!("table {}", spelled(table)),
        Loss::Column { table, column } => format!("column {column} of {}", spelled(table)),
        Loss::Rows(table) => format!("the rows of {}", spelled(table)),
        Loss::Needing(name) => format!("whatever needs {}", spelled(name)),
        Loss::Schema(schema) => format!("schema {}", schema.name),
        Loss::Owned(roles) => format!("everything owned by {roles}"),
        Loss::Database(database) => format!("database {database}"),
    }
}
