//! What an idle session costs in memory: the growth of the proxy by a thousand more of them.

use std::thread;
use std::time::Duration;

use anyhow::Context as _;

use crate::client::Client;
use crate::contender::Contender;
use crate::process;
use crate::results::{Figure, Reading};
use crate::stage::{Endpoint, Ground};
use crate::workload::{IDLE_SESSIONS, ROWS_WHILE_IDLE, Stage};

/// Sessions that are there before, and have done the same, so that what a proxy needs only once doesn't count.
const BEFORE: usize = 100;

/// Sessions that have a big result under way at the same time.
const TOGETHER: usize = 50;

/// Time for a proxy to give back what it only keeps for a while.
const SETTLE: Duration = Duration::from_secs(2);

/// Opens the sessions through a fresh proxy; there is nothing to measure without one.
pub(crate) fn measure(ground: &Ground, stage: Stage, contender: Contender) -> anyhow::Result<Vec<Reading>> {
    let endpoint = ground.endpoint(stage, contender)?;
    let Some(pid) = endpoint.pid() else { return Ok(Vec::new()) };
    let mut sessions = Vec::new();
    open(&endpoint, &mut sessions, BEFORE)?;
    big_results(&mut sessions)?;
    let before = settled(pid)?;
    open(&endpoint, &mut sessions, IDLE_SESSIONS)?;
    let fresh = settled(pid)?;
    big_results(&mut sessions)?;
    let used = settled(pid)?;
    #[expect(clippy::cast_precision_loss, reason = "a thousand")]
    let each = |now: f64| (now - before) / IDLE_SESSIONS as f64;
    Ok(vec![(Figure::FreshKib, each(fresh)), (Figure::UsedKib, each(used))])
}

/// Adds sessions that have run one small statement.
fn open(endpoint: &Endpoint, sessions: &mut Vec<Client>, count: usize) -> anyhow::Result<()> {
    for _ in 0..count {
        let mut client = endpoint.connect()?;
        client.run("SELECT 1").context("the first statement of a session")?;
        sessions.push(client);
    }
    Ok(())
}

/// All of a group ask before the first one is read, so that every buffer on the way is full.
fn big_results(sessions: &mut [Client]) -> anyhow::Result<()> {
    for group in sessions.chunks_mut(TOGETHER) {
        for client in group.iter_mut() {
            client.ask(ROWS_WHILE_IDLE)?;
        }
        for client in group.iter_mut() {
            client.finish()?;
        }
    }
    Ok(())
}

fn settled(pid: u32) -> anyhow::Result<f64> {
    thread::sleep(SETTLE);
    process::resident_kib(pid)
}
