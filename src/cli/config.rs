//! `lockkeeper config`: every value with its source.

use std::io::Write as _;
use std::process::ExitCode;

use crate::config::{self, key::Shown, key::Source};

use super::sources::SourceArgs;

/// Arguments of `lockkeeper config`.
#[derive(Debug, clap::Args)]
pub(super) struct ConfigArgs {
    #[command(flatten)]
    sources: SourceArgs,
    /// Print nothing but what is wrong.
    #[arg(long)]
    check: bool,
}

/// Prints the configuration, or everything that is wrong with it.
pub(super) fn run(args: &ConfigArgs) -> anyhow::Result<ExitCode> {
    let sources = args.sources.sources();
    // The files that it names are read too, so that a good check means a good reload.
    let loaded = config::load(&sources);
    let loaded = loaded.and_then(|loaded| loaded.ready(&sources).map(|_| loaded))?;
    if !args.check {
        write!(std::io::stdout().lock(), "{}", table(&loaded.file.shown(), &sources.name()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// `key = value  # source`, aligned.
fn table(shown: &[Shown], file: &str) -> String {
    let line = |shown: &Shown| format!("{} = {}", shown.path, shown.value);
    let width = shown.iter().map(|shown| line(shown).len()).max().unwrap_or(0).min(60);
    let row = |shown: &Shown| {
        let source = match &shown.source {
            Source::Line(number) => format!("{file}:{number}"),
            Source::Default | Source::Variable(_) | Source::Flag(_) => shown.source.to_string(),
        };
        format!("{:width$}  # {source}\n", line(shown))
    };
    shown.iter().map(row).collect()
}
