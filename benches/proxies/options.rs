//! The command line of the benchmark.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::contender::Contender;
use crate::workload::{self, Workload};

/// Rounds and seconds of a run whose figures mean something.
const ROUNDS: usize = 7;
const SECONDS: u32 = 2;

/// Measures what a Postgres proxy costs: direct, HAProxy, pgbouncer, lockkeeper.
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
#[derive(Debug, Parser)]
#[command(name = "proxies")]
pub(crate) struct Options {
    /// Short rounds, to see whether everything runs; the figures mean little.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Only workloads whose id contains this; may be repeated.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Interleaved rounds; the figures are medians over them.
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// How long each measurement lasts.
    #[arg(long, value_name = "S")]
    seconds: Option<u32>,
    /// Another build of lockkeeper, measured beside this one.
    #[arg(long, value_name = "BINARY")]
    pub(crate) against: Option<PathBuf>,
    /// Also measure a plain tokio forwarder that reads nothing.
    #[arg(long)]
    pub(crate) forwarder: bool,
    /// Where things run in the pinned stages.
    #[arg(long, value_enum, default_value_t = Pin::One)]
    pub(crate) pin: Pin,
    /// Two cores to use.
    #[arg(long, value_name = "A,B", value_delimiter = ',', num_args = 1, default_values_t = [0, 1])]
    cpus: Vec<u32>,
    /// Print the workloads.
    #[arg(long)]
    pub(crate) list: bool,
    /// Said by cargo.
    #[arg(long, hide = true)]
    bench: bool,
    /// Be the plain forwarder, in front of this server.
    #[arg(long, hide = true)]
    pub(crate) forward_to: Option<SocketAddr>,
    /// Where the plain forwarder listens.
    #[arg(long, hide = true)]
    pub(crate) forward_from: Option<SocketAddr>,
}

/// Where things run in the pinned stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Pin {
    /// Everything on the second of the two cores.
    One,
    /// The proxies on the second core, Postgres and the clients on the first.
    Split,
    /// Wherever the scheduler likes, within the two cores.
    None,
}

/// Cores for the two sides, as taskset reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cores {
    /// Postgres and the clients.
    pub(crate) ends: String,
    /// The proxies.
    pub(crate) proxies: String,
}

impl Options {
    /// The workloads that were asked for.
    pub(crate) fn workloads(&self) -> Vec<&'static Workload> {
        let wanted = |workload: &&Workload| {
            self.only.is_empty() || self.only.iter().any(|name| workload.id.contains(name.as_str()))
        };
        workload::ALL.iter().filter(wanted).collect()
    }

    /// Whether the figures may go to the documentation: all of them, as the targets want them, and long enough.
    pub(crate) fn is_whole(&self) -> bool {
        let is_long = self.rounds() >= ROUNDS && self.seconds() >= SECONDS;
        is_long && self.only.is_empty() && self.against.is_none() && self.pin == Pin::One
    }

    pub(crate) fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 1 } else { ROUNDS }).max(1)
    }

    pub(crate) fn seconds(&self) -> u32 {
        self.seconds.unwrap_or(if self.quick { 1 } else { SECONDS }).max(1)
    }

    /// Rounds of what takes a fresh proxy and a thousand sessions each time.
    pub(crate) fn idle_rounds(&self) -> usize {
        self.rounds().min(3)
    }

    /// What is measured, in the order of the columns.
    pub(crate) fn contenders(&self) -> Vec<Contender> {
        let mut all =
            vec![Contender::Direct, Contender::Haproxy, Contender::Pgbouncer, Contender::Lockkeeper];
        all.extend(self.against.is_some().then_some(Contender::Against));
        all.extend(self.forwarder.then_some(Contender::Forwarder));
        all
    }

    /// Cores of the pinned stages.
    pub(crate) fn pinned(&self) -> Cores {
        let at = |index: usize| self.cpus.get(index).copied().unwrap_or_default().to_string();
        match self.pin {
            Pin::One => Cores { ends: at(1), proxies: at(1) },
            Pin::Split => Cores { ends: at(0), proxies: at(1) },
            Pin::None => self.unpinned(),
        }
    }

    /// Both cores for everybody.
    pub(crate) fn unpinned(&self) -> Cores {
        let both: Vec<_> = self.cpus.iter().map(u32::to_string).collect();
        Cores { ends: both.join(","), proxies: both.join(",") }
    }

    /// The command that makes such a run again.
    pub(crate) fn command(&self) -> String {
        let mut words =
            format!("./dev bench proxies --rounds {} --seconds {}", self.rounds(), self.seconds());
        for name in &self.only {
            words.push_str(" --only ");
            words.push_str(name);
        }
        match self.pin {
            Pin::One => {}
            Pin::Split => words.push_str(" --pin split"),
            Pin::None => words.push_str(" --pin none"),
        }
        if self.forwarder {
            words.push_str(" --forwarder");
        }
        words
    }
}
