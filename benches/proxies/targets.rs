//! What lockkeeper is to reach, and whether it does.

use crate::contender::Contender;
use crate::results::{Figure, Results};
use crate::workload::{self, Workload};

/// One aim for one workload.
#[derive(Debug)]
pub(crate) struct Target {
    id: &'static str,
    aim: Aim,
    bound: Bound,
}

/// What is to be within the bound.
#[derive(Debug, Clone, Copy)]
enum Aim {
    /// Processor time of the proxy, relative to pgbouncer's.
    Cpu,
    /// What the proxy adds to the latency, relative to what pgbouncer adds.
    Added,
    /// Throughput, relative to somebody's.
    Rate(Contender),
    /// Memory of an idle session in KiB.
    Memory(Figure),
}

#[derive(Debug, Clone, Copy)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

const fn cpu(id: &'static str, most: f64) -> Target {
    Target { id, aim: Aim::Cpu, bound: Bound::AtMost(most) }
}

const fn added(id: &'static str, most: f64) -> Target {
    Target { id, aim: Aim::Added, bound: Bound::AtMost(most) }
}

const fn rate(id: &'static str, base: Contender, least: f64) -> Target {
    Target { id, aim: Aim::Rate(base), bound: Bound::AtLeast(least) }
}

const fn memory(id: &'static str, figure: Figure, most: f64) -> Target {
    Target { id, aim: Aim::Memory(figure), bound: Bound::AtMost(most) }
}

/// All of them, in the order of the page.
pub(crate) const ALL: &[Target] = &[
    cpu("select-simple-1", 0.95),
    cpu("select-extended-1", 0.95),
    cpu("select-prepared-1", 0.95),
    cpu("select-simple-32", 1.0),
    cpu("select-extended-32", 1.0),
    cpu("select-prepared-32", 1.0),
    cpu("tpcb-8", 0.95),
    cpu("pipeline-50", 0.85),
    added("select-simple-1", 0.95),
    added("select-extended-1", 0.95),
    added("select-prepared-1", 0.95),
    rate("rows", Contender::Direct, 0.95),
    cpu("rows", 0.75),
    rate("copy", Contender::Direct, 0.95),
    cpu("copy", 0.75),
    rate("churn", Contender::Direct, 0.97),
    rate("two-cores-simple-32", Contender::Haproxy, 1.05),
    rate("two-cores-simple-32", Contender::Pgbouncer, 0.95),
    rate("two-cores-prepared-32", Contender::Haproxy, 1.05),
    rate("two-cores-prepared-32", Contender::Pgbouncer, 0.95),
    memory("idle", Figure::FreshKib, 3.0),
    memory("idle", Figure::UsedKib, 3.0),
    added("tls-select-simple-1", 0.8),
    cpu("tls-select-simple-1", 0.85),
    cpu("tls-select-prepared-32", 0.85),
    memory("tls-idle", Figure::FreshKib, 14.0),
    memory("tls-idle", Figure::UsedKib, 14.0),
];

impl Target {
    /// The workload that it is about, if the page has that one.
    pub(crate) fn workload(&self, among: &[&'static Workload]) -> Option<&'static Workload> {
        among.iter().copied().find(|workload| workload.id == self.id)
    }

    /// What is to be reached.
    pub(crate) fn what(&self) -> String {
        match self.aim {
            Aim::Cpu => "CPU, relative to pgbouncer".to_owned(),
            Aim::Added => "added latency, relative to pgbouncer".to_owned(),
            Aim::Rate(base) => format!("throughput, relative to {}", base.name()),
            Aim::Memory(Figure::UsedKib) => "KiB per session, after a big result".to_owned(),
            Aim::Memory(_) => "KiB per session".to_owned(),
        }
    }

    /// The bound, in words.
    pub(crate) fn bound(&self) -> String {
        match self.bound {
            Bound::AtMost(most) => format!("at most {most:.2}"),
            Bound::AtLeast(least) => format!("at least {least:.2}"),
        }
    }

    /// What lockkeeper reached.
    pub(crate) fn reached(&self, results: &Results) -> Option<f64> {
        let against = |base| (Contender::Lockkeeper, base);
        match self.aim {
            Aim::Cpu => results.ratio(self.id, Figure::CpuUs, against(Contender::Pgbouncer)),
            Aim::Added => results.added_ratio(self.id, against(Contender::Pgbouncer)),
            Aim::Rate(base) => results.ratio(self.id, Figure::Rate, against(base)),
            Aim::Memory(figure) => results.value(self.id, Contender::Lockkeeper, figure),
        }
    }

    /// Whether that is within the bound, to the two digits that are printed.
    pub(crate) fn holds(&self, reached: f64) -> bool {
        let reached = (reached * 100.0).round() / 100.0;
        match self.bound {
            Bound::AtMost(most) => reached <= most,
            Bound::AtLeast(least) => reached >= least,
        }
    }
}

/// Every target must be about a workload that exists; a misspelt one would silently go missing from the page.
pub(crate) fn misspelt() -> Option<&'static str> {
    let known = |id: &str| workload::ALL.iter().any(|workload| workload.id == id);
    ALL.iter().map(|target| target.id).find(|id| !known(id))
}
