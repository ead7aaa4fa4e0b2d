//! The order of things: stages one after another, and within a workload every contender once in each round.

use crate::idle;
use crate::measure;
use crate::options::Options;
use crate::page;
use crate::results::Results;
use crate::say;
use crate::stage::{Endpoint, Ground};
use crate::workload::{Kind, Load, Script, Stage, Workload};

/// What is run once through each proxy before anything counts: its first connections and allocations.
const WARM_UP: Kind = Kind::Pgbench(Load { clients: 32, mode: "simple", script: Script::Select });

/// Measures everything that was asked for.
pub(crate) fn run(options: &Options, selected: &[&'static Workload]) -> anyhow::Result<Results> {
    say("starting Postgres and filling its tables");
    let ground = Ground::prepare(options)?;
    let mut results = Results::default();
    for stage in [Stage::Plain, Stage::Tls, Stage::TwoCores] {
        let (idle, busy): (Vec<_>, Vec<_>) = selected
            .iter()
            .copied()
            .filter(|workload| workload.stage == stage)
            .partition(|workload| workload.kind == Kind::Idle);
        if idle.is_empty() && busy.is_empty() {
            continue;
        }
        ground.enter(stage)?;
        if !busy.is_empty() {
            run_busy(&ground, stage, &busy, &mut results)?;
        }
        for workload in idle {
            run_idle(&ground, workload, &mut results)?;
        }
    }
    Ok(results)
}

fn run_busy(
    ground: &Ground,
    stage: Stage,
    workloads: &[&'static Workload],
    results: &mut Results,
) -> anyhow::Result<()> {
    let contenders = ground.contenders(stage);
    let endpoints: Vec<Endpoint> =
        contenders.iter().map(|&one| ground.endpoint(stage, one)).collect::<anyhow::Result<_>>()?;
    for endpoint in &endpoints {
        measure::measure(ground, WARM_UP, endpoint)?;
    }
    for workload in workloads {
        for round in 0..ground.options.rounds() {
            // Each in turn is the first, so that nobody always follows the same neighbour.
            for endpoint in endpoints.iter().cycle().skip(round % endpoints.len()).take(endpoints.len()) {
                let readings = measure::measure(ground, workload.kind, endpoint)?;
                results.add(workload, endpoint.contender, readings);
            }
        }
        say(&page::line(results, workload, &contenders));
    }
    Ok(())
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
