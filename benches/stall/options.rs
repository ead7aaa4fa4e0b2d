//! The command line of the benchmark.

use std::time::Duration;

use clap::Parser;

use crate::operations::{self, Operation};

/// Rows, and seconds of the reader, of a run whose figures may stand in the documentation.
const ROWS: u32 = 1_000_000;
const SECONDS: u64 = 3;

/// Measures what an application waits while a schema is changed, straight and through the proxy.
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
#[derive(Debug, Parser)]
#[command(name = "stall")]
pub(crate) struct Options {
    /// Rows of the biggest table.
    #[arg(long, default_value_t = ROWS, value_parser = clap::value_parser!(u32).range(1_000..=100_000_000))]
    pub(crate) rows: u32,
    /// How long somebody reads the tables, in seconds.
    #[arg(long, default_value_t = SECONDS, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Connections of the application.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(2..=90))]
    pub(crate) clients: u16,
    /// Only operations whose name contains this; may be repeated.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// The version of Postgres, such as 16; without it the preferred one.
    #[arg(long, value_name = "MAJOR")]
    pub(crate) postgres: Option<u32>,
    /// Print the operations.
    #[arg(long)]
    pub(crate) list: bool,
    /// Said by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    /// The operations that were asked for.
    pub(crate) fn operations(&self) -> Vec<&'static Operation> {
        let wanted = |operation: &&Operation| {
            self.only.is_empty() || self.only.iter().any(|name| operation.id.contains(name.as_str()))
        };
        operations::ALL.iter().filter(wanted).collect()
    }

    /// Whether the figures may go to the documentation.
    pub(crate) fn is_whole(&self) -> bool {
        self.rows >= ROWS && self.seconds >= SECONDS && self.only.is_empty()
    }

    /// How long somebody reads the tables.
    pub(crate) const fn reading(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// The command that makes such a run again.
    pub(crate) fn command(&self) -> String {
        let mut words = format!(
            "./dev bench stall --rows {} --seconds {} --clients {}",
            self.rows, self.seconds, self.clients
        );
        for name in &self.only {
            words.push_str(" --only ");
            words.push_str(name);
        }
        if let Some(major) = self.postgres {
            words.push_str(" --postgres ");
            words.push_str(&major.to_string());
        }
        words
    }
}
