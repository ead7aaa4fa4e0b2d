//! One measurement of one workload through one proxy.

use std::thread;
use std::time::{Duration, Instant};

use crate::pgbench::{Connections, Length, Summary};
use crate::process;
use crate::results::{Figure, Reading};
use crate::stage::{Endpoint, Ground};
use crate::workload::{Kind, Load, ROWS, Script};

/// Time for the processes of the measurement before to end, which would otherwise count for this one.
const SETTLE: Duration = Duration::from_millis(200);

/// Bytes in the unit of what is bulk: MB/s, CPU per MB.
const MEGABYTE: f64 = 1_000_000.0;

/// Messages of COPY data in one COPY, about 8 MB.
const COPY_MESSAGES: u32 = 1_000;

/// What runs through a fresh proxy before anything counts: its first connections and allocations.
const WARM_UP: Load = Load { clients: 8, mode: "simple", script: Script::Select };

/// Transactions of each client in that.
const WARM_UP_TRANSACTIONS: u32 = 200;

/// Prepares a fresh proxy for being measured.
pub(crate) fn warm_up(ground: &Ground, endpoint: &Endpoint) -> anyhow::Result<()> {
    let length = Length::Transactions(WARM_UP_TRANSACTIONS);
    pgbench(ground, WARM_UP, Connections::Stay, length, endpoint).map(drop)
}

/// Measures it for about the time that was asked for.
pub(crate) fn measure(ground: &Ground, kind: Kind, endpoint: &Endpoint) -> anyhow::Result<Vec<Reading>> {
    thread::sleep(SETTLE);
    match kind {
        Kind::Pgbench(load) => statements(ground, load, endpoint),
        Kind::Churn { clients } => churn(ground, clients, endpoint),
        Kind::Rows => rows(ground, endpoint),
        Kind::Copy => copy(ground, endpoint),
        Kind::Idle => Ok(Vec::new()),
    }
}

fn statements(ground: &Ground, load: Load, endpoint: &Endpoint) -> anyhow::Result<Vec<Reading>> {
    // What connecting costs is another workload's figure: it is measured apart and taken off.
    let run = |length| with_cpu(endpoint, || pgbench(ground, load, Connections::Stay, length, endpoint));
    let (begun, begun_us) = run(Length::Transactions(1))?;
    let (summary, cpu_us) = run(Length::Seconds(ground.options.seconds()))?;
    // From the rate, since pgbench prints the latency in whole microseconds.
    let latency_us = f64::from(load.clients) * 1_000_000.0 / summary.per_second;
    let mut readings = vec![(Figure::Rate, summary.per_second), (Figure::LatencyUs, latency_us)];
    let statements = (summary.transactions - begun.transactions) * load.script.statements();
    let spent = cpu_us.zip(begun_us).map(|(all, begun)| all - begun);
    readings.extend(spent.map(|spent| (Figure::CpuUs, spent / statements)));
    Ok(readings)
}

fn churn(ground: &Ground, clients: u32, endpoint: &Endpoint) -> anyhow::Result<Vec<Reading>> {
    let load = Load { clients, mode: "simple", script: Script::Select };
    let (summary, cpu_us) = with_cpu(endpoint, || {
        let length = Length::Seconds(ground.options.seconds());
        pgbench(ground, load, Connections::Change, length, endpoint)
    })?;
    let mut readings = vec![(Figure::Rate, summary.per_second)];
    readings.extend(cpu_us.map(|spent| (Figure::CpuUs, spent / summary.transactions)));
    Ok(readings)
}

fn pgbench(
    ground: &Ground,
    load: Load,
    connections: Connections,
    length: Length,
    endpoint: &Endpoint,
) -> anyhow::Result<Summary> {
    let place = (endpoint.addr, endpoint.tls.is_some());
    ground.pgbench.run(place, load, connections, length)
}

fn rows(ground: &Ground, endpoint: &Endpoint) -> anyhow::Result<Vec<Reading>> {
    let mut client = endpoint.connect()?;
    // The first one finds a server process that has read nothing yet.
    client.run(ROWS)?;
    bulk(ground, endpoint, || client.run(ROWS))
}

fn copy(ground: &Ground, endpoint: &Endpoint) -> anyhow::Result<Vec<Reading>> {
    let line = format!("4711\t{}\n", "0123456789abcdef".repeat(6));
    // As much as psql and libpq put into one message.
    let data = line.repeat(8_192 / line.len());
    let mut client = endpoint.connect()?;
    let mut straight = ground.straight()?;
    let mut spent = Spent::default();
    while !spent.is_enough(ground) {
        straight.run("TRUNCATE bench_copy")?;
        let start = Instant::now();
        let (bytes, cpu_us) = with_cpu(endpoint, || {
            client.copy_in("COPY bench_copy FROM STDIN", data.as_bytes(), COPY_MESSAGES)
        })?;
        spent.add(start.elapsed(), bytes, cpu_us);
    }
    Ok(spent.readings())
}

/// Repeats a transfer, whose answer is how many bytes it moved.
fn bulk(
    ground: &Ground,
    endpoint: &Endpoint,
    mut transfer: impl FnMut() -> anyhow::Result<u64>,
) -> anyhow::Result<Vec<Reading>> {
    let mut spent = Spent::default();
    while !spent.is_enough(ground) {
        let start = Instant::now();
        let (bytes, cpu_us) = with_cpu(endpoint, &mut transfer)?;
        spent.add(start.elapsed(), bytes, cpu_us);
    }
    Ok(spent.readings())
}

/// What transfers have taken so far.
#[derive(Debug, Default)]
struct Spent {
    time: Duration,
    megabytes: f64,
    cpu_us: Option<f64>,
}

impl Spent {
    fn add(&mut self, time: Duration, bytes: u64, cpu_us: Option<f64>) {
        self.time += time;
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52 bytes")]
        let bytes = bytes as f64;
        self.megabytes += bytes / MEGABYTE;
        if let Some(more) = cpu_us {
            *self.cpu_us.get_or_insert_default() += more;
        }
    }

    fn is_enough(&self, ground: &Ground) -> bool {
        self.time >= Duration::from_secs(ground.options.seconds().into())
    }

    fn readings(&self) -> Vec<Reading> {
        let mut readings = vec![(Figure::Rate, self.megabytes / self.time.as_secs_f64())];
        readings.extend(self.cpu_us.map(|spent| (Figure::CpuUs, spent / self.megabytes)));
        readings
    }
}

/// What the proxy's processor time was while `work` ran.
fn with_cpu<T>(
    endpoint: &Endpoint,
    work: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<(T, Option<f64>)> {
    let before = endpoint.pid().map(process::cpu_us).transpose()?;
    let done = work()?;
    let after = endpoint.pid().map(process::cpu_us).transpose()?;
    Ok((done, after.zip(before).map(|(after, before)| after - before)))
}
