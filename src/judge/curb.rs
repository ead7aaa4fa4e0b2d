//! What peak hours and freezes make of a decision, and the words for it.

use std::time::Duration;

use super::decision::{Curbed, Decision, Hold, Judgement};
use super::moment::Standing;
use super::policy::Policy;
use crate::base::{Notice, Period, Severity, SqlState};
use crate::effects::facts::Oid;
use crate::peak::{Cause, Curb, Force, InForce, Loads, Treatment};

/// What is asked of those who hold work back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    /// What the message is called.
    pub(super) tag: &'a str,
    /// What it lays on the database.
    pub(super) loads: Loads,
    /// It is to wait for whatever is in force.
    pub(super) waits: bool,
    /// How it stands to transactions.
    pub(super) standing: Standing,
    /// What it locks strongly, as far as known.
    pub(super) on: &'a [Oid],
}

/// The judgement with what is in force laid over it.
pub(super) fn apply(
    asked: Asked<'_>,
    in_force: &InForce,
    policy: &Policy,
    mut judgement: Judgement,
) -> Judgement {
    let Some((treatment, curb)) = in_force.verdict(asked.loads, asked.waits) else { return judgement };
    if matches!(judgement.decision, Decision::Refuse(_)) {
        return judgement;
    }
    if curb.force == Force::Told {
        judgement.notices.push(would(asked.tag, treatment, curb));
        return judgement;
    }
    if let Some(why) = &policy.override_for {
        judgement.notices.push(overridden(asked.tag, curb, why));
        judgement.curbed = Some(Curbed::Overridden(why.clone()));
        return judgement;
    }
    let holds_locks = asked.standing == Standing::Explicit { holds_strong: true };
    let (decision, curbed) = match treatment {
        Treatment::Warn => {
            judgement.notices.push(warned(asked, curb));
            return judgement;
        }
        Treatment::Refuse => (Decision::Refuse(refused(asked, curb)), Curbed::Refused),
        Treatment::Hold if holds_locks => (Decision::Refuse(not_among_locks(asked, curb)), Curbed::Refused),
        Treatment::Hold => (Decision::Hold(Box::new(hold(asked, curb))), Curbed::Held),
    };
    judgement.notices.clear();
    Judgement { decision, curbed: Some(curbed), ..judgement }
}

fn hold(asked: Asked<'_>, curb: &Curb) -> Hold {
    let told = Notice::info(format!("{} is held: {}", asked.tag, in_force(curb)))
        .detail(format!(
            "{}{} It waits outside every lock queue; nothing is locked meanwhile.",
            because(asked.loads),
            cause(curb)
        ))
        .hint(format!("It goes on by itself. Cancel it if it cannot wait. {OVERRIDE}"));
    Hold {
        loads: asked.loads,
        waits: asked.waits,
        on: asked.on.to_vec(),
        until: curb.until,
        hold_for: curb.hold_for,
        told,
        over: refusal(format!("{} was held for as long as it may be: {}", asked.tag, in_force(curb)), curb)
            .hint(later(curb)),
        elsewhere: not_among_locks(asked, curb),
    }
}

/// The error where a statement cannot be held, since others would wait for what its transaction holds.
fn not_among_locks(asked: Asked<'_>, curb: &Curb) -> Notice {
    let what = format!("{} cannot be held in this transaction: {}", asked.tag, in_force(curb));
    refusal(what, curb).hint(format!(
        "The transaction has locks, changes or a snapshot already, on which nobody may wait for long. Run it in a transaction of its own. {}",
        later(curb)
    ))
}

fn refused(asked: Asked<'_>, curb: &Curb) -> Notice {
    let notice = refusal(format!("{} is refused: {}", asked.tag, in_force(curb)), curb);
    let detail = format!("{}{}", because(asked.loads), notice.detail.clone().unwrap_or_default());
    notice.detail(detail).hint(later(curb))
}

fn warned(asked: Asked<'_>, curb: &Curb) -> Notice {
    let what = format!("{} runs although {}", asked.tag, in_force(curb));
    Notice { severity: Severity::Warning, code: SqlState::WARNING, ..refusal(what, curb) }.detail(format!(
        "{}{}",
        because(asked.loads),
        cause(curb)
    ))
}

fn overridden(tag: &str, curb: &Curb, why: &str) -> Notice {
    Notice::info(format!("{tag} runs by override although {}", in_force(curb)))
        .detail(format!("The reason given: {}. It is recorded.", why.trim_end_matches('.')))
}

fn would(tag: &str, treatment: Treatment, curb: &Curb) -> Notice {
    let done = match treatment {
        Treatment::Warn => "be warned of",
        Treatment::Hold => "be held",
        Treatment::Refuse => "be refused",
    };
    Notice::info(format!("{tag} would {done}: {}", in_force(curb)))
        .detail(cause(curb))
        .hint("lockkeeper only observes here and sends it as it is.")
}

/// The reason that is told where a freeze ends what has begun.
pub fn stopped(curb: &Curb) -> Notice {
    refusal(format!("stopped: {}", in_force(curb)), curb).hint(later(curb))
}

/// Why a statement does not go on with its next batch, as a clause.
pub fn pausing(curb: &Curb) -> String {
    match &curb.cause {
        Cause::Peak { .. } => in_force(curb),
        Cause::Freeze { reason, by } => format!("{} (by {by}: {reason})", in_force(curb)),
    }
}

const OVERRIDE: &str =
    "Roles named in operator.override_roles may SET lockkeeper.override = 'ticket: why' to pass.";

fn refusal(what: String, curb: &Curb) -> Notice {
    Notice::error(SqlState::NOT_IN_PREREQUISITE_STATE, what).detail(cause(curb))
}

/// A clause: `peak hours are in force until ..`.
fn in_force(curb: &Curb) -> String {
    let what = match &curb.cause {
        Cause::Peak { .. } => "peak hours are in force",
        Cause::Freeze { .. } => "the proxy is frozen",
    };
    match curb.end() {
        Some(end) => format!("{what} until {end}"),
        None => what.to_owned(),
    }
}

/// Sentences.
fn cause(curb: &Curb) -> String {
    match &curb.cause {
        Cause::Peak { window } => format!("The window is {window}."),
        Cause::Freeze { reason, by } => format!("Frozen by {by}: {}.", reason.trim_end_matches('.')),
    }
}

fn because(loads: Loads) -> String {
    let words = loads.gravest().map(crate::peak::Load::words);
    words.map_or_else(String::new, |words| format!("{words} "))
}

fn later(curb: &Curb) -> String {
    let when = match (&curb.cause, curb.end()) {
        (_, Some(end)) => format!("Try again after {end}."),
        (Cause::Peak { .. }, None) => "Try again later.".to_owned(),
        (Cause::Freeze { by, .. }, None) => format!("Try again when {by} has thawed the proxy."),
    };
    format!("{when} {OVERRIDE}")
}

/// What is told now and then to whoever waits.
pub fn still_held(hold: &Hold, waited: Duration, before: usize) -> Notice {
    let millis = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
    let waited = Period::millis(if millis < 1000 { millis } else { millis / 1000 * 1000 });
    let line = match before {
        0 => String::new(),
        1 => " One statement that came before it waits too.".to_owned(),
        before => format!(" {before} statements that came before it wait too."),
    };
    let told = Notice::info(format!("still held after {waited}: {}", hold.told.message));
    told.detail(format!("{}{line}", hold.told.detail.clone().unwrap_or_default()))
}
