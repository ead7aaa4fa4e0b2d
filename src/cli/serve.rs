//! `lockkeeper serve`: the configuration, the log, and then the server.

use std::process::ExitCode;

use anyhow::Context as _;
use tokio::runtime::{Builder, LocalOptions};

use crate::config;
use crate::event::VariableUnknown;
use crate::serve::limits;

use super::app::App;
use super::log;
use super::sources::SourceArgs;

/// Arguments of `lockkeeper serve`.
#[derive(Debug, clap::Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    sources: SourceArgs,
}

/// Serves until a signal says otherwise.
pub(super) fn run(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    let sources = args.sources.sources();
    let loaded = config::load(&sources)?;
    let log = log::start(&loaded.settings.log)?;
    for (name, nearest) in sources.misspelt_variables() {
        VariableUnknown { name: &name, nearest: &nearest }.emit();
    }
    limits::raise_file_limit(loaded.settings.sessions.limits.connections);
    // The main thread only accepts and hears signals; sessions have threads of their own.
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let app = App::start(sources, loaded, log)?;
        Box::pin(app.run()).await
    })
}
