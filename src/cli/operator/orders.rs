//! `lockkeeper bulk` and `lockkeeper cancel`: orders for one statement that runs.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Subcommand;
use serde_json::{Value, json};

use super::{Which, ask, at, list, sockets, somebody, word};
use crate::pace::bulk::Order;
use crate::serve::orders;

/// Arguments of `lockkeeper bulk`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct BulkArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Stop it between two batches, until somebody resumes it.
    Pause(Meant),
    /// Let it go on.
    Resume(Meant),
    /// Let it go so many times as fast, as far as nobody has to wait for it.
    Faster(Times),
    /// Let it go so many times as slow.
    Slower(Times),
    /// Let it change no more rows in a second than these.
    Rate(Rate),
}

/// Which statement is meant.
#[derive(Debug, clap::Args)]
struct Meant {
    /// Its number, as `lockkeeper status` shows it.
    id: u64,
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, clap::Args)]
struct Times {
    #[command(flatten)]
    meant: Meant,
    /// How many times.
    #[arg(default_value = "2", value_parser = clap::value_parser!(u32).range(1..=100))]
    times: u32,
}

#[derive(Debug, clap::Args)]
struct Rate {
    #[command(flatten)]
    meant: Meant,
    /// How many rows, or `off`.
    #[arg(value_name = "ROWS|off", value_parser = rows)]
    most: Rows,
}

/// A bound on rows, or none.
#[derive(Debug, Clone, Copy)]
struct Rows(Option<u64>);

fn rows(text: &str) -> Result<Rows, String> {
    match text.parse() {
        Ok(most @ 1..) => Ok(Rows(Some(most))),
        _ if text == "off" => Ok(Rows(None)),
        _ => Err("expected a whole number of rows, 1 at least, or off".to_owned()),
    }
}

/// Arguments of `lockkeeper cancel`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct CancelArgs {
    #[command(flatten)]
    meant: Meant,
}

/// Orders something of a statement that goes in batches.
pub(in crate::cli) fn bulk(args: &BulkArgs) -> anyhow::Result<ExitCode> {
    let (meant, order) = match &args.verb {
        Verb::Pause(meant) => (meant, Order::Pause),
        Verb::Resume(meant) => (meant, Order::Resume),
        Verb::Faster(Times { meant, times }) => (meant, Order::Faster(*times)),
        Verb::Slower(Times { meant, times }) => (meant, Order::Slower(*times)),
        Verb::Rate(Rate { meant, most: Rows(most) }) => (meant, Order::RowsPerSecond(*most)),
    };
    give(meant, &orders::question(meant.id, &order, &somebody()))
}

/// Ends a statement.
pub(in crate::cli) fn cancel(args: &CancelArgs) -> anyhow::Result<ExitCode> {
    give(&args.meant, &orders::cancel_question(args.meant.id, &somebody()))
}

fn give(meant: &Meant, question: &Value) -> anyhow::Result<ExitCode> {
    let socket = runs_in(sockets(&meant.which)?, meant.id)?;
    let answer = ask(&socket, question)?;
    writeln!(std::io::stdout().lock(), "{}: {}", socket.display(), word(at(&answer, "/said")))?;
    Ok(ExitCode::SUCCESS)
}

/// The proxy in which a statement of that number runs: each counts its own.
fn runs_in(sockets: Vec<PathBuf>, id: u64) -> anyhow::Result<PathBuf> {
    if let [one] = sockets.as_slice() {
        return Ok(one.clone());
    }
    let runs_there = |socket: &PathBuf| {
        let Ok(status) = ask(socket, &json!({ "ask": "status" })) else { return false };
        let all = ["/held", "/running"].into_iter().flat_map(|of| list(at(&status, of)));
        all.into_iter().any(|entry| at(entry, "/id").as_u64() == Some(id))
    };
    let there: Vec<PathBuf> = sockets.into_iter().filter(runs_there).collect();
    match there.as_slice() {
        [one] => Ok(one.clone()),
        [] => bail!("no proxy runs a statement with the number {id}: lockkeeper status lists what runs"),
        several => {
            let names: Vec<String> = several.iter().map(|socket| socket.display().to_string()).collect();
            bail!(
                "{} proxies run a statement with the number {id}, which each counts for itself: name one by --socket: {}",
                several.len(),
                names.join(", ")
            )
        }
    }
}
