//! How a judgement is shown.

use std::fmt::Write;

use crate::base::LockMode;
use crate::judge::{Decision, Guard, Judgement, Waits};
use crate::plan::{Context, Deferral, Inverse, Pace, Pending, Plan, Probe, Step, Target};

/// A judgement as the hazards' pages show it.
pub(super) fn show(judgement: &Judgement) -> String {
    let mut shown = match &judgement.decision {
        Decision::Forward => "forward\n".to_owned(),
        Decision::Guard(guard) => show_guard(guard),
        Decision::Run(plan) => show_plan(plan),
        Decision::Defer(deferral) => show_deferral(deferral),
        Decision::Apart => "apart\n".to_owned(),
        Decision::Hold(hold) => format!("hold {}\n", hold.told.message),
        Decision::Refuse(notice) => format!("refuse {} {}\n", notice.code, notice.message),
    };
    for notice in &judgement.notices {
        writeln!(shown, "{}: {}", notice.severity.word(), notice.message).unwrap();
    }
    shown
}

fn show_guard(Guard { targets, retry, waits, first }: &Guard) -> String {
    let modes: Vec<&str> = targets.iter().map(|Target { mode, .. }| LockMode::name(*mode)).collect();
    let shown = match (waits, modes.as_slice()) {
        (Waits::AsSent, _) => format!("watch retry {retry:?}\n"),
        (Waits::Briefly, []) => format!("guard retry {retry:?} locks nothing known\n"),
        (Waits::Briefly, modes) => format!("guard retry {retry:?} locks {}\n", modes.join(", ")),
    };
    first.iter().fold(shown, |shown, first| shown + "  first " + first + "\n")
}

fn show_deferral(deferral: &Deferral) -> String {
    let mut shown = format!("now\n{}later\n", show_steps(&deferral.now));
    for later in &deferral.later {
        let Pending { made, gone, sight, .. } = &later.pending;
        let sql = String::from_utf8_lossy(&later.sql);
        writeln!(shown, "  {sql} ({}; {sight:?}, made {made:?}, gone {gone:?})", later.title).unwrap();
    }
    shown
}

fn show_plan(plan: &Plan) -> String {
    format!("{}tag {}\n", show_steps(&plan.steps), plan.tag)
}

fn show_steps(steps: &[Step]) -> String {
    let mut shown = String::new();
    for step in steps {
        let context = match step.context {
            Context::Anywhere => "anywhere",
            Context::OutsideTransaction => "outside-transaction",
        };
        let probe = match step.probe {
            Probe::Tag => "Tag",
            Probe::NoNewInvalidIndex(_) => "NoNewInvalidIndex",
            Probe::Gone(_) => "Gone",
            Probe::Valid(_) => "Valid",
        };
        let undo = match step.inverse {
            Inverse::Nothing => "Nothing",
            Inverse::DropNewInvalidIndexes(_) => "DropNewInvalidIndexes",
            Inverse::FinishDrop(_) => "FinishDrop",
            Inverse::Finish(_) => "Finish",
            Inverse::FinishDetach(_) => "FinishDetach",
        };
        writeln!(shown, "run {}", step.text()).unwrap();
        let pace = match &step.pace {
            Pace::Unhurried => "",
            Pace::Ladder(_) => " under the ladder",
            Pace::Gathered(_) => " on all tables up front, once no partition lacks its own, under the ladder",
            Pace::Together(_) => " on all tables up front under the ladder",
            Pace::Tidy(_) | Pace::TidyCheck(_) => " to tidy up",
            Pace::Ranges(_) => " in ranges",
            Pace::Leaves(_) => " in ranges of each leaf",
            Pace::Bulk(_) => " in batches",
        };
        writeln!(shown, "  lock {}{pace} {context} probe {probe} undo {undo}", step.lock).unwrap();
        for back in &step.undo {
            writeln!(shown, "  back {}", String::from_utf8_lossy(&back.sql)).unwrap();
        }
    }
    shown
}
