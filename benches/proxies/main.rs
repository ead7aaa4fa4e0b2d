//! What a proxy costs: direct, HAProxy in TCP mode, pgbouncer in session mode and lockkeeper, measured in one run.
//!
//! Everything is started here and ends here: a throwaway Postgres, the proxies, and the clients (pgbench, and a small
//! one of our own where pgbench can't do it). Rounds are interleaved, so that whatever slows the machine slows all of
//! them, and what is printed are medians. In the pinned stages everything shares one core, unless `--pin` says
//! otherwise: that is far steadier than two cores, on which the scheduler decides who wins.
//!
//! `./dev bench proxies` writes docs/benchmarks.md and docs/benchmarks.svg; a shorter run, or one of only some
//! workloads, writes the same to target/benchmarks/. `./dev bench proxies --help` lists the options.

#![expect(
    clippy::disallowed_methods,
    reason = "this measures time, and lets the machine settle before it does"
)]

mod client;
mod contender;
mod forwarder;
mod idle;
mod launch;
mod machine;
mod measure;
mod options;
mod page;
mod pgbench;
mod picture;
mod process;
mod results;
mod rounds;
mod stage;
mod targets;
mod tls;
mod workload;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Parser as _;

use machine::Machine;
use options::Options;
use page::Page;

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if let Some(upstream) = options.forward_to {
        return forwarder::run(options.forward_from.context("--forward-from is missing")?, upstream);
    }
    if options.list {
        for workload in workload::ALL {
            writeln!(std::io::stdout(), "{:28} {}", workload.id, workload.title)?;
        }
        return Ok(());
    }
    if let Some(id) = targets::misspelt() {
        anyhow::bail!("there is a target for {id}, which is no workload");
    }
    let selected = options.workloads();
    anyhow::ensure!(!selected.is_empty(), "no workload has such a name; --list prints them");
    machine::raise_file_limit();
    // Before the start: the run itself makes load.
    let machine = Machine::read(&options)?;
    if machine.load > 0.5 {
        say(&format!("the machine is busy (load {:.1}): expect noise", machine.load));
    }
    let results = rounds::run(&options, &selected)?;
    let page = Page { options: &options, machine: &machine, results: &results, workloads: &selected };
    let text = page.markdown();
    write!(std::io::stdout(), "{text}")?;
    let folder = folder(&options);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("benchmarks.md"), &text)?;
    fs::write(folder.join("benchmarks.svg"), picture::draw(&results, &selected)?)?;
    say(&format!("written to {}", folder.display()));
    Ok(())
}

/// Only a whole run may stand in the documentation.
fn folder(options: &Options) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if options.is_whole() { root.join("docs") } else { root.join("target").join("benchmarks") }
}

/// Tells the person who waits.
fn say(text: &str) {
    // Nothing can be done about a closed standard error.
    let _ = writeln!(std::io::stderr(), "==> {text}");
}
