//! `lockkeeper explain`: what one statement would do, and what would become of it.

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::ValueEnum;

use crate::config;
use crate::effects::facts::{Facts, Offline, Source as _};
use crate::effects::need_in_full;
use crate::judge::Standing;
use crate::review::explain::{Explanation, explain, text};
use crate::review::lint;
use crate::sql::Script;

use super::check::{BasisArgs, UNREADABLE, on_this_thread, policy};
use super::{database, statement};

/// Arguments of `lockkeeper explain`.
#[derive(Debug, clap::Args)]
pub(super) struct ExplainArgs {
    /// The statement, or several as one message; `-` reads standard input.
    #[arg(required_unless_present = "hazard")]
    sql: Option<OsString>,
    /// Print the page of a hazard instead.
    #[arg(long, value_name = "ID", conflicts_with = "sql")]
    hazard: Option<String>,
    #[command(flatten)]
    basis: BasisArgs,
    /// The form of the answer.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// The statement stands in a transaction block.
    #[arg(long)]
    in_transaction: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Explains.
pub(super) fn run(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    if let Some(id) = &args.hazard {
        let near =
            || config::suggest::nearest(id, lint::ids()).map(|near| format!("; did you mean {near:?}?"));
        let page = lint::page(id)
            .with_context(|| format!("there is no hazard {id:?}{}", near().unwrap_or_default()))?;
        write!(out, "{page}")?;
        return Ok(ExitCode::SUCCESS);
    }
    let explained = match explained(args) {
        Ok(explained) => explained,
        Err(error) => {
            writeln!(std::io::stderr().lock(), "lockkeeper: {error:#}")?;
            return Ok(ExitCode::from(UNREADABLE));
        }
    };
    match args.format {
        Format::Text => {
            write!(out, "{}", text(&explained))?;
            if args.basis.url.is_none() {
                let version = args.basis.pg_version;
                writeln!(
                    out,
                    "basis: Postgres {version} assumed, no database asked; sizes and definitions are unknown and may decide otherwise (--url asks)"
                )?;
            }
        }
        Format::Json => {
            let all: Vec<_> = explained.iter().map(Explanation::json).collect();
            writeln!(out, "{}", serde_json::to_string_pretty(&all)?)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn explained(args: &ExplainArgs) -> anyhow::Result<Vec<Explanation>> {
    let policy = policy(&args.basis)?;
    let script = statement::read(args.sql.as_deref().unwrap_or_default())?;
    let facts = on_this_thread(facts(args, &script))?;
    let standing =
        if args.in_transaction { Standing::Explicit { holds_strong: false } } else { Standing::Outside };
    Ok(explain(&script, &facts, standing, &policy))
}

async fn facts(args: &ExplainArgs, script: &Script) -> anyhow::Result<Facts> {
    match &args.basis.url {
        Some(url) => {
            let mut live = database::connect(url).await?;
            live.look_up(&need_in_full(script)).await.context("the server refused to answer")
        }
        None => Ok(Offline { server_version: args.basis.pg_version * 10_000 }.facts()),
    }
}
