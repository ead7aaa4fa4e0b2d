//! Other people's programs (psql, pgbench, Python scripts), each with a deadline.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use lockkeeper::cluster::Cluster;
use rustix::process::{Pid, Signal, kill_process};

use super::eventually;

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Its exit code; -1 when a signal ended it.
    pub(crate) code: i32,
    /// Its standard output.
    pub(crate) stdout: String,
    /// Its standard error.
    pub(crate) stderr: String,
}

impl Ran {
    /// Fails the test unless the program succeeded; its output without white space around it.
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self.stdout.trim().to_owned()
    }
}

/// Runs a program to its end, or kills it and fails the test.
pub(crate) fn run(mut command: Command) -> Ran {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|trouble| panic!("cannot run {command:?}: {trouble}"));
    let stdout = collect(child.stdout.take().expect("piped"));
    let stderr = collect(child.stderr.take().expect("piped"));
    let mut child = Owned(child);
    let status = eventually(&format!("{command:?} ends"), || child.0.try_wait().expect("wait"));
    let text = |reader: thread::JoinHandle<String>| reader.join().expect("reader");
    Ran { code: status.code().unwrap_or(-1), stdout: text(stdout), stderr: text(stderr) }
}

/// A process that does not outlive the test.
pub(crate) struct Owned(pub(crate) Child);

impl Owned {
    /// Sends a signal; a process that has already ended is left alone.
    pub(crate) fn signal(&self, signal: Signal) {
        let _ = kill_process(Pid::from_child(&self.0), signal);
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// psql for a connection string, quiet, unaligned, without headers, stopping at the first error.
pub(crate) fn psql(cluster: &Cluster, conninfo: &str) -> Command {
    let program = cluster.installation().program("psql").expect("psql in PATH or beside the server");
    let mut command = Command::new(program);
    command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", conninfo]);
    without_variables(&mut command);
    command
}

/// The Python that has Alembic and the drivers; `./dev test` makes it.
pub(crate) fn python_path() -> PathBuf {
    let named = std::env::var_os("LOCKKEEPER_PYTHON").map(PathBuf::from);
    let path = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/venv/bin/python"));
    assert!(path.is_file(), "no Python at {}: run ./dev test once, or set LOCKKEEPER_PYTHON", path.display());
    path
}

/// Runs that Python in the folder of the tests' scripts.
pub(crate) fn python() -> Command {
    let mut command = Command::new(python_path());
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python"));
    without_variables(&mut command);
    command
}

/// Removes what would change where a client goes or what a proxy reads.
pub(crate) fn without_variables(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("PG") || text.starts_with("LOCKKEEPER_") {
            command.env_remove(&name);
        }
    }
}

/// Reads a pipe to its end on a thread of its own.
fn collect(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

#[test]
fn psql_reaches_a_cluster() {
    let cluster = super::cluster();
    let mut command = psql(&cluster, &cluster.url("postgres"));
    command.args(["-c", "SELECT 6 * 7"]);
    assert_eq!(run(command).ok(), "42");
}

#[test]
fn a_failure_keeps_both_outputs() {
    let mut command = Command::new("sh");
    command.args(["-c", "echo out; echo err >&2; exit 3"]);
    let ran = run(command);
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (3, "out\n", "err\n"));
}
