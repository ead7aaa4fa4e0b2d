//! What a statement over a million rows does to an application, its replica and its disk: as one plain statement, in a loop written by
//! hand, and through the proxy, in one run.
//!
//! `./dev bench bulk` writes docs/bulk-benchmark.md and docs/bulk-benchmark.svg; a run of another size writes the same to target/bulk/.

#![expect(clippy::disallowed_methods, reason = "this measures time, and lets it pass")]

mod ground;
mod measure;
mod page;
mod picture;
mod watch;

use std::fs;
use std::io::Write as _;
use std::path::Path;

use clap::Parser;

use ground::Ground;
use measure::{Measured, STATEMENTS, Way};

/// Rows of a run whose figures may stand in the documentation.
const ROWS: u32 = 1_000_000;

/// Measures what UPDATE and DELETE of many rows do to whoever works beside them.
#[derive(Debug, Parser)]
#[command(name = "bulk")]
pub(crate) struct Options {
    /// Rows of each table.
    #[arg(long, default_value_t = ROWS, value_parser = clap::value_parser!(u32).range(20_000..=100_000_000))]
    pub(crate) rows: u32,
    /// Connections of the application.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(2..=90))]
    pub(crate) clients: u16,
    /// Said by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (rows, server) = runtime.block_on(run(&options))?;
    let text = page::markdown(&options, &server, &rows);
    write!(std::io::stdout(), "{text}")?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = if options.rows >= ROWS { root.join("docs") } else { root.join("target").join("bulk") };
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("bulk-benchmark.md"), &text)?;
    fs::write(folder.join("bulk-benchmark.svg"), picture::draw(&rows)?)?;
    say(&format!("written to {}", folder.display()));
    Ok(())
}

/// Measures everything; the figures, and the server's version.
async fn run(options: &Options) -> anyhow::Result<(Vec<Measured>, String)> {
    say("starting a throwaway Postgres with a standby, and filling its tables");
    let ground = Ground::prepare(options).await?;
    let mut rows = Vec::new();
    for statement in &STATEMENTS {
        for way in Way::ALL {
            let measured = measure::measure(&ground, statement, way).await?;
            say(&format!("{:7} {:12} {}", statement.tag, way.name(), page::line(&measured)));
            rows.push(measured);
        }
    }
    Ok((rows, ground.server()))
}

/// Tells the person who waits.
fn say(text: &str) {
    // Nothing can be done about a closed standard error.
    let _ = writeln!(std::io::stderr(), "==> {text}");
}
