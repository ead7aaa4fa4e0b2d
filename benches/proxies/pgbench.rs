//! pgbench: the command line, and the figures in what it prints.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use lockkeeper::cluster::SUPERUSER;

use crate::machine;
use crate::workload::{Load, Script};

/// How many times 100,000 accounts there are: more branches than clients that write.
const SCALE: &str = "10";

/// Variables of libpq that would change what is measured begin so.
const LIBPQ: &str = "PG";

/// The program and what it needs.
#[derive(Debug)]
pub(crate) struct Pgbench {
    program: PathBuf,
    pipeline: PathBuf,
}

/// What a run printed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Summary {
    /// How many transactions were made.
    pub(crate) transactions: f64,
    /// Transactions per second, without the time for connecting (unless each had to connect).
    pub(crate) per_second: f64,
}

/// When a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// After this time.
    Seconds(u32),
    /// After so many transactions of each client.
    Transactions(u32),
}

/// Whether connections stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Connections {
    /// One for each client.
    Stay,
    /// One for each transaction.
    Change,
}

impl Pgbench {
    /// `pipeline` is the file with the script of many statements.
    pub(crate) fn new(program: PathBuf, pipeline: PathBuf) -> Self {
        Self { program, pipeline }
    }

    /// Fills the tables.
    pub(crate) fn initialise(&self, addr: SocketAddr) -> anyhow::Result<()> {
        let mut command = self.command(addr, false);
        command.args(["--initialize", "--quiet", "--scale", SCALE]);
        output_of(&mut command).map(drop)
    }

    /// Runs it to its end.
    pub(crate) fn run(
        &self,
        (addr, tls): (SocketAddr, bool),
        load: Load,
        connections: Connections,
        length: Length,
    ) -> anyhow::Result<Summary> {
        let mut command = self.command(addr, tls);
        command.arg(format!("--client={}", load.clients)).arg(format!("--protocol={}", load.mode));
        command.arg("--random-seed=1").arg(match length {
            Length::Seconds(count) => format!("--time={count}"),
            Length::Transactions(count) => format!("--transactions={count}"),
        });
        match load.script {
            Script::Select => command.args(["--no-vacuum", "--builtin=select-only"]),
            // Vacuums the small tables first, so that each run finds them alike.
            Script::TpcB => command.arg("--builtin=tpcb-like"),
            Script::Pipeline => {
                command.args(["--no-vacuum", "--scale", SCALE]).arg("--file").arg(&self.pipeline)
            }
        };
        if connections == Connections::Change {
            command.arg("--connect");
        }
        let printed = output_of(&mut command)?;
        summary(&printed).with_context(|| format!("pgbench printed no figures:\n{printed}"))
    }

    fn command(&self, addr: SocketAddr, tls: bool) -> Command {
        let mut command = Command::new(&self.program);
        machine::without_variables(&mut command, &[LIBPQ]);
        command.env("PGSSLMODE", if tls { "require" } else { "disable" });
        // Asking for GSSAPI would cost a round trip where this libpq can do it.
        command.env("PGGSSENCMODE", "disable");
        command.arg("-h").arg(addr.ip().to_string()).arg("-p").arg(addr.port().to_string());
        command.args(["-U", SUPERUSER]);
        command
    }
}

fn output_of(command: &mut Command) -> anyhow::Result<String> {
    let name = Path::new(command.get_program()).display().to_string();
    // The database comes last.
    command.arg("postgres").stdin(Stdio::null());
    let output = command.output().with_context(|| format!("cannot run {name}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && !errors.contains("aborted"), "{name} failed: {errors}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn summary(printed: &str) -> Option<Summary> {
    let after = |key: &str| {
        let rest = printed.lines().find_map(|line| line.strip_prefix(key))?;
        rest.split([' ', '/']).next()?.parse().ok()
    };
    Some(Summary {
        transactions: after("number of transactions actually processed: ")?,
        per_second: after("tps = ")?,
    })
}
