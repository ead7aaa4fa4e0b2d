//! The page: every number on it comes from the run.

use std::fmt::Write as _;

use crate::contender::Contender;
use crate::machine::Machine;
use crate::options::Options;
use crate::results::{Figure, Results};
use crate::targets;
use crate::workload::{IDLE_SESSIONS, Kind, Workload};

/// What the page is made of.
#[derive(Debug)]
pub(crate) struct Page<'a> {
    pub(crate) options: &'a Options,
    pub(crate) machine: &'a Machine,
    pub(crate) results: &'a Results,
    pub(crate) workloads: &'a [&'static Workload],
}

/// A table with a row for each workload and a column for each contender.
#[derive(Clone, Copy)]
struct Table<'a> {
    title: &'a str,
    words: &'a str,
    /// What stands in a cell; rows and columns without any are left out.
    cell: fn(&Results, &Workload, Contender) -> Option<String>,
}

const TABLES: [Table<'static>; 5] = [
    Table {
        title: "Processor time of the proxy",
        words: "Microseconds for each statement (each connection, each MB), and relative to pgbouncer.",
        cell: |results, workload, contender| {
            let value = results.value(workload.id, contender, Figure::CpuUs)?;
            let ratio = results.ratio(workload.id, Figure::CpuUs, (contender, Contender::Pgbouncer));
            Some(with_ratio(value, ratio))
        },
    },
    Table {
        title: "Added latency",
        words: "Microseconds that the proxy adds to a transaction, and relative to pgbouncer.",
        cell: |results, workload, contender| {
            // Where clients wait for each other's turn, latency says nothing that throughput doesn't.
            let Kind::Pgbench(load) = workload.kind else { return None };
            if load.clients > 1 || !contender.is_proxy() {
                return None;
            }
            let value = results.added_us(workload.id, contender)?;
            let ratio = results.added_ratio(workload.id, (contender, Contender::Pgbouncer));
            Some(with_ratio(value, ratio))
        },
    },
    Table {
        title: "Throughput",
        words: "Transactions, connections or MB in a second, and relative to no proxy.",
        cell: |results, workload, contender| {
            let value = results.value(workload.id, contender, Figure::Rate)?;
            let ratio = results.ratio(workload.id, Figure::Rate, (contender, Contender::Direct));
            Some(format!("{} {}", with_ratio(value, ratio), unit(workload.kind)))
        },
    },
    Table {
        title: "Memory of an idle session",
        words: "Growth of the proxy's resident memory in KiB for each session that has run one statement.",
        cell: |results, workload, contender| {
            Some(number(results.value(workload.id, contender, Figure::FreshKib)?))
        },
    },
    Table {
        title: "Memory of an idle session after a big result",
        words: "The same after each session has read a result of about 1 MB, fifty of them at the same time.",
        cell: |results, workload, contender| {
            Some(number(results.value(workload.id, contender, Figure::UsedKib)?))
        },
    },
];

impl Page<'_> {
    /// The whole page.
    pub(crate) fn markdown(&self) -> String {
        let mut text = String::from("# Benchmarks\n\n<!-- Written by `./dev bench proxies`. -->\n\n");
        self.conditions(&mut text);
        if self.workloads.len() > 1 {
            text.push_str("![Proxies compared](benchmarks.svg)\n\n");
        }
        self.targets(&mut text);
        for table in TABLES {
            self.table(&mut text, table);
        }
        format!("{}\n", text.trim_end())
    }

    fn conditions(&self, text: &mut String) {
        let Machine { processor, memory_gib, kernel, versions, load, placement } = self.machine;
        let (rounds, seconds) = (self.options.rounds(), self.options.seconds());
        let _ = writeln!(
            text,
            "Made by `{}` on {processor}, {memory_gib:.0} GiB, Linux {kernel}, load before the run {load:.2}; \
             {}. Placement: {placement}, except in the rows that say \"two cores\".\n",
            self.options.command(),
            versions.join(", "),
        );
        let _ = writeln!(
            text,
            "{rounds} interleaved rounds of {seconds} s each ({} for memory); the figures are medians over the rounds, the \
             ratios medians of the ratios within each round. Processor time is what Linux counts for all threads of the \
             proxy while the clients run, without what it took to connect them. pgbouncer is in session mode, so it keeps its connections to Postgres when a \
             client leaves: where each transaction connects anew it saves the server the work that all others leave to \
             it. HAProxy is in TCP mode; it can't answer a Postgres client that asks for TLS. lockkeeper has its \
             defaults, so it watches every statement. With TLS, \"direct\" is TLS to Postgres itself, and the proxies \
             speak plain text to it. {IDLE_SESSIONS} idle sessions are counted on top of a hundred that were there \
             before.\n",
            self.options.idle_rounds(),
        );
    }

    fn targets(&self, text: &mut String) {
        let mut rows = String::new();
        for target in targets::ALL {
            let Some(workload) = target.workload(self.workloads) else { continue };
            let Some(reached) = target.reached(self.results) else { continue };
            let holds = if target.holds(reached) { "holds" } else { "**misses**" };
            let (what, bound) = (target.what(), target.bound());
            let _ = writeln!(rows, "| {} | {what} | {bound} | {reached:.2} | {holds} |", workload.title);
        }
        if !rows.is_empty() {
            text.push_str(
                "## Targets\n\n| workload | figure | to reach | reached | |\n|---|---|---|---|---|\n",
            );
            text.push_str(&rows);
            text.push('\n');
        }
    }

    fn table(&self, text: &mut String, table: Table) {
        let contenders: Vec<_> = self
            .results
            .contenders()
            .into_iter()
            .filter(|&one| self.workloads.iter().any(|row| (table.cell)(self.results, row, one).is_some()))
            .collect();
        if contenders.is_empty() {
            return;
        }
        let _ = writeln!(text, "## {}\n\n{}\n", table.title, table.words);
        let names: Vec<_> = contenders.iter().map(|contender| contender.name()).collect();
        let _ = writeln!(text, "| | {} |\n|---|{}", names.join(" | "), "---|".repeat(names.len()));
        for workload in self.workloads {
            let cells: Vec<_> =
                contenders.iter().map(|&one| (table.cell)(self.results, workload, one)).collect();
            if cells.iter().all(Option::is_none) {
                continue;
            }
            let cells: Vec<_> =
                cells.into_iter().map(|cell| cell.unwrap_or_else(|| "-".to_owned())).collect();
            let _ = writeln!(text, "| {} | {} |", workload.title, cells.join(" | "));
        }
        text.push('\n');
    }
}

/// One workload in one line, for the person who waits.
pub(crate) fn line(results: &Results, workload: &Workload, contenders: &[Contender]) -> String {
    let mut text = workload.title.to_owned();
    for &contender in contenders {
        let cells: Vec<_> =
            TABLES.iter().filter_map(|table| (table.cell)(results, workload, contender)).collect();
        if !cells.is_empty() {
            let _ = write!(text, "\n      {:24} {}", contender.name(), cells.join("; "));
        }
    }
    text
}

fn unit(kind: Kind) -> &'static str {
    match kind {
        Kind::Pgbench(_) => "tx/s",
        Kind::Churn { .. } => "conn/s",
        Kind::Rows | Kind::Copy => "MB/s",
        Kind::Idle => "",
    }
}

fn with_ratio(value: f64, ratio: Option<f64>) -> String {
    match ratio {
        Some(ratio) => format!("{} ({ratio:.2})", number(value)),
        None => number(value),
    }
}

/// Three digits that count.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
