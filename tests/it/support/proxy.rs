//! The real program, started as a person would start it.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use lockkeeper::cluster::Cluster;
use rustix::process::Signal;
use tempfile::TempDir;

use super::eventually;
use super::programs::{Owned, without_variables};

/// Hazards that tests raise on their way to something else.
pub(crate) const DESTRUCTIVE_PASSES: &str = "drop-column=pass,drop-table=pass,drop-schema=pass,drop-database=pass,\
     truncate-table=pass,rename-table=pass,rename-column=pass,move-to-schema=pass,rename-schema=pass,vacuum-full=pass,\
     cluster-table=pass,change-type-rewrite=pass,move-table-rewrite=pass,add-required-column=pass,add-stored-column=pass";

/// How a proxy is to be started.
#[derive(Debug, Clone, Default)]
pub(crate) struct Setup {
    upstream: String,
    config: Option<String>,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
}

impl Setup {
    /// In front of `upstream` (HOST:PORT), without a configuration file.
    pub(crate) fn new(upstream: &(impl ToString + ?Sized)) -> Self {
        Self { upstream: upstream.to_string(), ..Self::default() }
    }

    /// In front of whatever the configuration file says.
    pub(crate) fn without_upstream() -> Self {
        Self::default()
    }

    /// Adds a line to the configuration file.
    pub(crate) fn config(mut self, line: &str) -> Self {
        let text = self.config.get_or_insert_default();
        let _ = writeln!(text, "{line}");
        self
    }

    /// Adds an argument of `lockkeeper serve`.
    pub(crate) fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Sets an environment variable.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts it and waits until it listens.
    pub(crate) fn start(self) -> Proxy {
        let folder = tempfile::tempdir().expect("temporary folder");
        let mut command = self.command(&folder);
        let mut child = Owned(command.spawn().expect("the proxy's program"));
        let stdout = collect(child.0.stdout.take().expect("piped"));
        let stderr = collect(child.0.stderr.take().expect("piped"));
        let addr = eventually("the proxy listens", || {
            let addr = listening_on(&text_of(&stdout));
            let ended = addr.is_none() && child.0.try_wait().expect("wait").is_some();
            assert!(!ended, "the proxy ended: {}{}", text_of(&stdout), text_of(&stderr));
            addr
        });
        Proxy { child, addr, stdout, stderr, folder }
    }

    /// The command line as it would be typed, its configuration file in `folder`.
    fn command(&self, folder: &TempDir) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lockkeeper"));
        command.args(["serve", "--listen", "127.0.0.1:0"]);
        if !self.upstream.is_empty() {
            command.args(["--upstream", &self.upstream]);
        }
        if let Some(text) = &self.config {
            let path = folder.path().join("lockkeeper.toml");
            std::fs::write(&path, text).expect("configuration file");
            command.arg("--config").arg(path);
        }
        command.args(&self.arguments);
        without_variables(&mut command);
        // The tables of tests are small; what is refused for big ones has tests of its own.
        command.env("LOCKKEEPER_GUARD_SMALL_TABLE", "0B").env("LOCKKEEPER_GUARD_HAZARDS", DESTRUCTIVE_PASSES);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

/// A running proxy; dropping it kills it. A failing test prints its log.
pub(crate) struct Proxy {
    child: Owned,
    addr: SocketAddr,
    stdout: Output,
    stderr: Output,
    folder: TempDir,
}

impl Proxy {
    /// In front of a cluster, without a configuration file.
    pub(crate) fn start(cluster: &Cluster) -> Self {
        Setup::new(&cluster.addr()).start()
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// A connection URL for the superuser through the proxy.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgresql://postgres@{}/{database}", self.addr)
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        text_of(&self.stderr)
    }

    /// What it has printed so far.
    pub(crate) fn printed(&self) -> String {
        text_of(&self.stdout)
    }

    /// Replaces the configuration file; SIGHUP makes the proxy read it.
    pub(crate) fn write_config(&self, text: &str) {
        std::fs::write(self.folder.path().join("lockkeeper.toml"), text).expect("configuration file");
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        self.child.signal(signal);
    }

    /// Waits until it has ended by itself.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        eventually("the proxy ends", || self.child.0.try_wait().expect("wait"))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- the proxy's log\n{}---", self.log());
        }
    }
}

/// What a pipe has brought so far.
type Output = Arc<Mutex<String>>;

fn text_of(output: &Output) -> String {
    output.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn collect(pipe: impl Read + Send + 'static) -> Output {
    let output = Output::default();
    let sink = Arc::clone(&output);
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let _ = writeln!(sink.lock().unwrap_or_else(PoisonError::into_inner), "{line}");
        }
    });
    output
}

/// The first TCP address of a `listening on ADDR` line.
fn listening_on(printed: &str) -> Option<SocketAddr> {
    printed.lines().find_map(|line| {
        let (_, after) = line.split_once("listening on ")?;
        after.split_whitespace().next()?.trim_end_matches([',', '.']).parse().ok()
    })
}

#[test]
fn reads_the_address_from_what_is_printed() {
    assert_eq!(
        listening_on("hello\nlistening on 127.0.0.1:4711\n"),
        Some(SocketAddr::from(([127, 0, 0, 1], 4711)))
    );
    assert_eq!(listening_on("listening on /tmp/socket\n"), None);
}

#[test]
fn types_the_command_line_that_was_asked_for() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let setup = Setup::new("db:5432").config("a = 1").argument("--quiet").variable("NO_COLOR", "1");
    let command = setup.command(&folder);
    let typed: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let file = folder.path().join("lockkeeper.toml");
    assert_eq!(typed[..5], ["serve", "--listen", "127.0.0.1:0", "--upstream", "db:5432"]);
    assert_eq!(typed[5..], ["--config", file.to_str().expect("utf-8"), "--quiet"]);
    assert_eq!(std::fs::read_to_string(file).expect("configuration file"), "a = 1\n");
}

#[test]
fn a_proxy_is_started_told_and_stopped() {
    let cluster = super::cluster();
    let mut proxy = Setup::new(&cluster.addr()).config("[guard]").config("mode = \"off\"").start();
    assert!(proxy.url("postgres").contains(&proxy.addr().port().to_string()));
    assert!(proxy.printed().contains("listening on 127.0.0.1:"));
    assert_ne!(proxy.pid(), 0);
    let before = proxy.log().len();
    proxy.write_config("[guard]\nmode = \"observe\"\n");
    proxy.signal(Signal::HUP);
    eventually("the reload is logged", || (proxy.log().len() > before).then_some(()));
    proxy.signal(Signal::TERM);
    assert!(proxy.wait().success());
}

#[test]
fn statements_pass_through_a_proxy() {
    let cluster = super::cluster();
    let proxy = Proxy::start(&cluster);
    let rows = super::raw::Raw::session(proxy.addr()).rows("SELECT 6 * 7");
    assert_eq!(rows, [[Some("42".to_owned())]]);
}
