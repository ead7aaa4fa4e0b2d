//! What an application waits while a schema is changed: each operation straight and through the proxy, in one run.
//!
//! A throwaway Postgres, tables under mixed traffic, with and without somebody who reads them for seconds. For each
//! operation: the longest wait of the application, how much of it was waiting for a lock, the time taken, and whether both
//! ways end in the same schema.
//!
//! `./dev bench stall` writes docs/stall.md and docs/stall.svg; a run of another size or of only some operations writes
//! the same to target/stall/. `./dev bench stall --help` lists the options.

#![expect(clippy::disallowed_methods, reason = "this measures time, and lets it pass")]

mod ground;
mod measure;
mod operations;
mod options;
mod page;
mod picture;
mod queue;
mod results;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser as _;

use ground::Ground;
use operations::Operation;
use options::Options;
use results::{Case, Row};

fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    let selected = options.operations();
    if options.list {
        for operation in operations::ALL {
            writeln!(std::io::stdout(), "{:28} {}", operation.id, operation.sql)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    anyhow::ensure!(!selected.is_empty(), "no operation has such a name; --list prints them");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (rows, server) = runtime.block_on(run(&options, &selected))?;
    let text = page::markdown(&options, &server, &rows);
    write!(std::io::stdout(), "{text}")?;
    let folder = folder(&options);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("stall.md"), &text)?;
    fs::write(folder.join("stall.svg"), picture::draw(&rows)?)?;
    say(&format!("written to {}", folder.display()));
    let differ: Vec<&str> = rows.iter().filter(|row| !row.is_same()).map(|row| row.operation.id).collect();
    if differ.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    say(&format!("not the same in the end: {}", differ.join(", ")));
    Ok(ExitCode::FAILURE)
}

/// Measures everything; the rows, and the server's version.
async fn run(options: &Options, selected: &[&'static Operation]) -> anyhow::Result<(Vec<Row>, String)> {
    say("starting a throwaway Postgres and filling its tables");
    let ground = Ground::prepare(options).await?;
    let mut rows = Vec::new();
    for operation in selected {
        let mut row = Row::new(operation);
        for case in Case::ALL {
            let measured = measure::measure(&ground, operation, case).await?;
            say(&format!("{:28} {}", operation.id, results::line(case, &measured)));
            row.add(case, measured);
        }
        rows.push(row);
    }
    Ok((rows, ground.server()))
}

/// Only a whole run may stand in the documentation.
fn folder(options: &Options) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if options.is_whole() { root.join("docs") } else { root.join("target").join("stall") }
}

/// Tells the person who waits.
fn say(text: &str) {
    // Nothing can be done about a closed standard error.
    let _ = writeln!(std::io::stderr(), "==> {text}");
}
