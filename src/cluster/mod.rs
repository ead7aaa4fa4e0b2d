//! Throwaway Postgres clusters for tests, benches and `lockkeeper demo`.
//!
//! A cluster lives in a directory of its own under the temporary directory, listens on 127.0.0.1 and on a socket in that
//! directory, trusts everybody who reaches it, gives no thought to durability, and is gone when its value is dropped.
//!
//! Invariants: no fixed port; nothing outside the temporary directory is written; only processes that were started here are
//! signalled; what a killed process left behind is removed by the next start.
//! Deliberately not here: SQL. Whoever needs a connection opens one.

#![expect(clippy::disallowed_methods, reason = "a server of our own is waited for by looking")]

mod account;
mod locate;
mod options;
mod postmaster;
mod standby;
mod template;
mod trouble;
mod workspace;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use account::Account;
use postmaster::{Launch, Postmaster, Start};
use workspace::Workspace;

pub use locate::Installation;
pub use options::{Options, Tls};
pub use trouble::Trouble;

/// The superuser that every cluster has; it needs no password.
pub const SUPERUSER: &str = "postgres";

/// How long a server may take to come up or to go down before that counts as a failure.
const PATIENCE: Duration = Duration::from_mins(1);

/// Ports tried before giving up; each failure means that somebody else took the port in between.
const PORTS_TRIED: u32 = 20;

/// How to end a server, as `pg_ctl stop -m` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Waits until every client has left.
    Smart,
    /// Ends the sessions, then writes a checkpoint.
    Fast,
    /// Ends at once, as a crash does; the next start recovers.
    Immediate,
}

/// A running Postgres of our own; dropping it stops the server and removes its files.
#[derive(Debug)]
pub struct Cluster {
    postmaster: Option<Postmaster>,
    launch: Launch,
    port: u16,
    // Last: the files go after the server that uses them.
    workspace: Workspace,
}

impl Cluster {
    /// Starts a cluster as `options` ask; ready for connections when this returns.
    ///
    /// It blocks for some hundred milliseconds (seconds for the first cluster of an installation, which runs `initdb`).
    pub fn start(options: &Options) -> Result<Self, Trouble> {
        let installation = match options.installation {
            Some(ref chosen) => chosen.clone(),
            None => Installation::find()?,
        };
        let account = Account::for_server()?;
        let workspace = Workspace::create(account)?;
        template::copy_to(&workspace, &installation, account)?;
        options.write_to(&workspace.data(), account)?;
        let launch = Launch { installation, account, own_group: options.own_group };
        Self { postmaster: None, launch, port: 0, workspace }.on_a_free_port()
    }

    /// Where clients connect by TCP: always an address of 127.0.0.1.
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// The host part of [`Self::addr`].
    pub fn host(&self) -> &'static str {
        "127.0.0.1"
    }

    /// The port, which stays the same over restarts.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The directory of the Unix-domain socket, as libpq's `host` takes it.
    pub fn socket_dir(&self) -> &Path {
        self.workspace.dir()
    }

    /// The data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.workspace.data()
    }

    /// A connection URL for the superuser by TCP.
    pub fn url(&self, database: &str) -> String {
        format!("postgresql://{SUPERUSER}@127.0.0.1:{}/{database}", self.port)
    }

    /// The binaries that run this cluster.
    pub fn installation(&self) -> &Installation {
        &self.launch.installation
    }

    /// The process id of the postmaster; `None` while stopped.
    pub fn pid(&self) -> Option<u32> {
        self.postmaster.as_ref().map(Postmaster::pid)
    }

    /// Everything that the server has logged so far.
    pub fn log(&self) -> String {
        self.workspace.log_text()
    }

    /// Stops the server and keeps its files, so that [`Self::start_again`] can bring it back.
    pub fn stop(&mut self, how: Stop) -> Result<(), Trouble> {
        match self.postmaster.take() {
            Some(postmaster) => postmaster.stop(how, PATIENCE),
            None => Ok(()),
        }
    }

    /// Starts a stopped server on the port that it had; does nothing to a running one.
    pub fn start_again(&mut self) -> Result<(), Trouble> {
        if self.postmaster.is_some() {
            return Ok(());
        }
        // The port may be held for a moment by somebody's short-lived connection; it must not change, so wait for it.
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.try_start()? {
                Start::Ready(postmaster) => {
                    self.postmaster = Some(postmaster);
                    return Ok(());
                }
                Start::PortTaken if Instant::now() >= deadline => return Err(Trouble::NoPort { tried: 1 }),
                Start::PortTaken => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// Stops the server in the given way and starts it again on the same port.
    pub fn restart(&mut self, how: Stop) -> Result<(), Trouble> {
        self.stop(how)?;
        self.start_again()
    }

    /// Makes the server read its configuration files again.
    pub fn reload(&self) {
        if let Some(postmaster) = &self.postmaster {
            postmaster.reload();
        }
    }

    fn on_a_free_port(mut self) -> Result<Self, Trouble> {
        for _ in 0..PORTS_TRIED {
            self.port = postmaster::free_port()?;
            match self.try_start()? {
                Start::Ready(postmaster) => {
                    self.postmaster = Some(postmaster);
                    return Ok(self);
                }
                Start::PortTaken => {}
            }
        }
        Err(Trouble::NoPort { tried: PORTS_TRIED })
    }

    fn try_start(&self) -> Result<Start, Trouble> {
        Postmaster::start(&self.launch, &self.workspace, self.port)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Nobody will read these files again, so there is nothing to write down in good order.
        if let Some(postmaster) = self.postmaster.take() {
            let _ = postmaster.stop(Stop::Immediate, Duration::from_secs(5));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    fn any() -> Cluster {
        Cluster::start(&Options::new()).expect("a throwaway cluster")
    }

    #[test]
    fn serves_on_tcp_and_socket_and_leaves_nothing() {
        let cluster = any();
        TcpStream::connect(cluster.addr()).expect("tcp");
        let socket = cluster.socket_dir().join(format!(".s.PGSQL.{}", cluster.port()));
        std::os::unix::net::UnixStream::connect(&socket).expect("unix socket");
        let dir = cluster.socket_dir().to_owned();
        drop(cluster);
        assert!(!dir.exists());
    }

    #[test]
    fn keeps_port_over_an_immediate_restart() {
        let mut cluster = any();
        let (port, pid) = (cluster.port(), cluster.pid());
        cluster.restart(Stop::Immediate).expect("restart");
        assert_eq!(cluster.port(), port);
        assert_ne!(cluster.pid(), pid);
        TcpStream::connect(cluster.addr()).expect("tcp");
        assert!(cluster.log().contains("database system was not properly shut down"));
    }

    #[test]
    fn stops_and_comes_back() {
        let mut cluster = any();
        cluster.stop(Stop::Fast).expect("stop");
        assert!(TcpStream::connect(cluster.addr()).is_err());
        assert_eq!(cluster.pid(), None);
        cluster.start_again().expect("start");
        TcpStream::connect(cluster.addr()).expect("tcp");
    }

    #[test]
    fn a_bad_setting_is_told_with_the_servers_own_words() {
        let trouble =
            Cluster::start(&Options::new().conf("shared_buffers = 'a lot'")).expect_err("must not start");
        assert!(trouble.to_string().contains("shared_buffers"), "{trouble}");
    }
}
