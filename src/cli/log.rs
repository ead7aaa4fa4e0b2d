//! Where log lines go: to standard error, for people or for programs.

use std::fs::File;
use std::io::IsTerminal as _;
use std::os::fd::AsFd as _;
use std::sync::Mutex;

use anyhow::Context as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::config::LogSettings;
use crate::config::word::LogFormat;

/// Changes what is logged while the process runs.
#[derive(Debug)]
pub(super) struct LogLevel {
    filter: reload::Handle<EnvFilter, Registry>,
}

/// Sets the log up for the whole process.
pub(super) fn start(settings: &LogSettings) -> anyhow::Result<LogLevel> {
    let (filter, handle) = reload::Layer::new(filter(&settings.level)?);
    // Events say where they belong by their words; the module that wrote them tells nobody anything.
    // A descriptor of its own: the parser redirects standard error for the whole process while it reads a statement
    // (`pg_query_parse.c`), and what other threads log meanwhile would be lost.
    let own = std::io::stderr().as_fd().try_clone_to_owned().context("cannot write to standard error")?;
    let lines = fmt::layer()
        .with_writer(Mutex::new(File::from(own)))
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    let lines = match settings.format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(filter).with(lines).try_init().context("cannot set up the log")?;
    Ok(LogLevel { filter: handle })
}

impl LogLevel {
    /// Another level or filter.
    pub(super) fn set(&self, level: &str) -> anyhow::Result<()> {
        Ok(self.filter.reload(filter(level)?)?)
    }
}

fn filter(level: &str) -> anyhow::Result<EnvFilter> {
    EnvFilter::builder().parse(level).with_context(|| format!("{level:?} is no log level"))
}
