//! The machine: what it is, and who may run where on it.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context as _, ensure};
use lockkeeper::cluster::Installation;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::options::{Options, Pin};

/// What the page says of where it was made.
#[derive(Debug)]
pub(crate) struct Machine {
    /// The processor and how many of it.
    pub(crate) processor: String,
    /// Memory in GiB.
    pub(crate) memory_gib: f64,
    /// The kernel.
    pub(crate) kernel: String,
    /// What was measured, each with its version.
    pub(crate) versions: Vec<String>,
    /// Processes that wanted to run, on average, in the minute before.
    pub(crate) load: f64,
    /// Where things ran in the pinned stages.
    pub(crate) placement: &'static str,
}

impl Machine {
    /// Asks the system and the programs.
    pub(crate) fn read(options: &Options) -> anyhow::Result<Self> {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").context("this needs Linux")?;
        let model = field(&cpuinfo, "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
        let count = thread::available_parallelism()?;
        let meminfo = fs::read_to_string("/proc/meminfo")?;
        let memory = field(&meminfo, "MemTotal").context("no MemTotal in /proc/meminfo")?;
        let kib: f64 = memory.trim_end_matches(" kB").parse()?;
        let load = fs::read_to_string("/proc/loadavg")?;
        let load = load.split_whitespace().next().context("/proc/loadavg is empty")?.parse()?;
        Ok(Self {
            processor: format!("{model}, {count} cores"),
            memory_gib: kib / f64::from(1 << 20),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            versions: vec![
                format!("Postgres {}", Installation::find()?.version),
                version_of("haproxy", "-v")?,
                version_of("pgbouncer", "--version")?,
                version_of(env!("CARGO_BIN_EXE_lockkeeper"), "--version")?,
            ],
            load,
            placement: match options.pin {
                Pin::One => "everything on one core",
                Pin::Split => "the proxies on one core, Postgres and the clients on another",
                Pin::None => "wherever the scheduler puts it, on two cores",
            },
        })
    }
}

/// The value of a `key : value` line.
fn field(text: &str, key: &str) -> Option<String> {
    let (_, value) = text.lines().find(|line| line.starts_with(key))?.split_once(':')?;
    Some(value.trim().to_owned())
}

/// The first line that a program prints about itself, without its date and address.
fn version_of(program: &str, flag: &str) -> anyhow::Result<String> {
    let output = Command::new(program)
        .arg(flag)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {program}; on Debian: apt install haproxy pgbouncer"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next().unwrap_or_default();
    let words: Vec<_> = line.split_whitespace().filter(|word| *word != "version").take(2).collect();
    Ok(words.join(" "))
}

/// Keeps a process and all its threads on these cores; what it starts later inherits that.
pub(crate) fn pin(pid: u32, cores: &str) -> anyhow::Result<()> {
    let mut command = Command::new("taskset");
    command.args(["--all-tasks", "--cpu-list", "--pid", cores, &pid.to_string()]);
    let output = command.output().context("cannot run taskset")?;
    ensure!(
        output.status.success(),
        "cannot use the cores {cores} (see --cpus): {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

/// A program that will run on these cores, under its own process id, and without variables that would change it.
pub(crate) fn on_cores(cores: &str, program: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", cores, program]);
    without_variables(&mut command, &["PG", "LOCKKEEPER_"]);
    command
}

/// Takes variables with these beginnings away.
pub(crate) fn without_variables(command: &mut Command, beginnings: &[&str]) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if beginnings.iter().any(|beginning| text.starts_with(beginning)) {
            command.env_remove(&name);
        }
    }
}

/// A thousand sessions need more than the usual limit, here and in the proxies, which inherit it.
pub(crate) fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Where it can't be raised, the first proxy that runs out will say so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}
