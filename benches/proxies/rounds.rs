//! The order of things: stages one after another, and within a workload every contender once in each round.

use crate::contender::Contender;
use crate::idle;
use crate::measure;
use crate::options::Options;
use crate::page;
use crate::results::Results;
use crate::say;
use crate::stage::Ground;
use crate::workload::{Kind, Stage, Workload};

/// Measures everything that was asked for.
pub(crate) fn run(options: &Options, selected: &[&'static Workload]) -> anyhow::Result<Results> {
    say("starting Postgres and filling its tables");
    let ground = Ground::prepare(options)?;
    let mut results = Results::default();
    for stage in [Stage::Plain, Stage::Tls, Stage::TwoCores] {
        ground.enter(stage)?;
        for workload in selected.iter().copied().filter(|workload| workload.stage == stage) {
            if workload.kind == Kind::Idle {
                run_idle(&ground, workload, &mut results)?;
            } else {
                run_busy(&ground, workload, &mut results)?;
            }
        }
    }
    Ok(results)
}

fn run_busy(ground: &Ground, workload: &'static Workload, results: &mut Results) -> anyhow::Result<()> {
    let contenders = ground.contenders(workload.stage);
    for round in 0..ground.options.rounds() {
        for contender in order(&contenders, round) {
            // Anew each time: where a process happens to lie in memory makes it some percent faster or slower for as long as
            // it lives.
            let endpoint = ground.endpoint(workload.stage, contender)?;
            measure::warm_up(ground, &endpoint)?;
            let readings = measure::measure(ground, workload.kind, &endpoint)?;
            results.add(workload, contender, readings);
        }
    }
    say(&page::line(results, workload, &contenders));
    Ok(())
}

/// Each in turn is the first, and every other round goes backwards, so that nobody always follows the same neighbour.
fn order(contenders: &[Contender], round: usize) -> Vec<Contender> {
    let mut order = contenders.to_vec();
    order.rotate_left(round % contenders.len().max(1));
    if round % 2 == 1 {
        order.reverse();
    }
    order
}

fn run_idle(ground: &Ground, workload: &'static Workload, results: &mut Results) -> anyhow::Result<()> {
    let contenders = ground.contenders(workload.stage);
    for _ in 0..ground.options.idle_rounds() {
        for &contender in contenders.iter().filter(|contender| contender.is_proxy()) {
            let readings = idle::measure(ground, workload.stage, contender)?;
            results.add(workload, contender, readings);
        }
    }
    say(&page::line(results, workload, &contenders));
    Ok(())
}
