//! The server process.

use std::fs::{self, OpenOptions};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::account::{self, Account};
use super::workspace::Workspace;
use super::{Installation, PATIENCE, Stop, Trouble};

/// How often a process or file is looked at while waiting.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Ports to choose from: below those that Linux and the BSDs give to outgoing connections, so that a restarted server finds
/// its port free again.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// A running postmaster that we started.
#[derive(Debug)]
pub(super) struct Postmaster {
    child: Child,
}

/// What stays the same over all starts of one cluster.
#[derive(Debug)]
pub(super) struct Launch {
    pub(super) installation: Installation,
    pub(super) account: Option<Account>,
    /// Whether the server stays out of the reach of the terminal's signals.
    pub(super) own_group: bool,
}

impl Launch {
    fn command(&self, program: &Path, workspace: &Workspace, port: u16) -> Result<Command, Trouble> {
        let path = workspace.log();
        let log =
            OpenOptions::new().create(true).append(true).open(&path).map_err(Trouble::file("open", &path))?;
        let same_log = log.try_clone().map_err(Trouble::file("open", &path))?;
        let mut command = Command::new(program);
        command
            .arg("-D")
            .arg(workspace.data())
            .arg("-k")
            .arg(workspace.dir())
            .arg("-p")
            .arg(port.to_string());
        command.stdin(Stdio::null()).stdout(log).stderr(same_log);
        account::prepare(&mut command, workspace.dir(), self.account);
        if self.own_group {
            command.process_group(0);
        }
        Ok(command)
    }
}

/// How a start ended.
#[derive(Debug)]
pub(super) enum Start {
    Ready(Postmaster),
    /// Somebody took the port after we had found it free.
    PortTaken,
}

impl Postmaster {
    /// Starts a server and waits until it takes connections.
    pub(super) fn start(launch: &Launch, workspace: &Workspace, port: u16) -> Result<Start, Trouble> {
        let logged_before = workspace.log_text().len();
        let program = launch.installation.bin.join("postgres");
        let mut command = launch.command(&program, workspace, port)?;
        let child = command.spawn().map_err(Trouble::program(&program))?;
        let mut postmaster = Self { child };
        let deadline = Instant::now() + PATIENCE;
        while !postmaster.is_ready(workspace) {
            if postmaster.has_ended() {
                let text = workspace.log_text();
                let taken = text.get(logged_before..).unwrap_or_default().contains("Address already in use");
                let log = workspace.log_tail();
                return if taken { Ok(Start::PortTaken) } else { Err(Trouble::NotStarted { log }) };
            }
            if Instant::now() >= deadline {
                let _ = postmaster.stop(Stop::Immediate, LOOK_EVERY);
                return Err(too_slow("start", PATIENCE, workspace.log_tail()));
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(Start::Ready(postmaster))
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends the server; where it does not end in time, kills it and says so.
    pub(super) fn stop(mut self, how: Stop, patience: Duration) -> Result<(), Trouble> {
        self.signal(match how {
            Stop::Smart => Signal::TERM,
            Stop::Fast => Signal::INT,
            Stop::Immediate => Signal::QUIT,
        });
        let deadline = Instant::now() + patience;
        while !self.has_ended() {
            if Instant::now() >= deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return Err(too_slow("stop", patience, String::new()));
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Has the configuration files read again.
    pub(super) fn reload(&self) {
        self.signal(Signal::HUP);
    }

    /// A process that has already ended is no trouble: whoever signals looks at its end anyway.
    fn signal(&self, signal: Signal) {
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// The same sign that `pg_ctl start -w` waits for: the eighth line of the pid file, written by this very process.
    fn is_ready(&self, workspace: &Workspace) -> bool {
        let Ok(text) = fs::read_to_string(workspace.data().join("postmaster.pid")) else {
            return false;
        };
        let mut lines = text.lines();
        let own = lines.next().is_some_and(|pid| pid.trim() == self.child.id().to_string());
        own && lines.nth(6).is_some_and(|status| status.trim_end() == "ready")
    }
}

fn too_slow(what: &'static str, patience: Duration, log: String) -> Trouble {
    Trouble::TooSlow { what, seconds: patience.as_secs(), log }
}

/// A port that nobody listens on now. It is not held: the server says so if somebody else was quicker.
pub(super) fn free_port() -> Result<u16, Trouble> {
    const TRIED: u32 = 100;
    for _ in 0..TRIED {
        let random = getrandom::u32().unwrap_or_else(|_| std::process::id());
        let offset = u16::try_from(random % u32::from(PORTS.end - PORTS.start)).unwrap_or_default();
        let port = PORTS.start + offset;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(Trouble::NoPort { tried: TRIED })
}
