//! Starts a proxy with settings that are fair to it, and ends it again.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use lockkeeper::cluster::SUPERUSER;

use crate::contender::Contender;
use crate::machine;
use crate::tls::Certificate;

/// How long a proxy may take until it listens.
const PATIENCE: Duration = Duration::from_secs(20);

/// More sessions than any workload has, below what the usual limits on files allow.
const SESSIONS_MAX: u32 = 4_000;

/// How proxies are to be started.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    /// Postgres.
    pub(crate) upstream: SocketAddr,
    /// For configuration files and logs; open to every user.
    pub(crate) folder: &'a Path,
    /// As taskset reads them.
    pub(crate) cores: String,
    /// For the proxies that can have several.
    pub(crate) threads: usize,
    /// For TLS towards the clients.
    pub(crate) certificate: Option<&'a Certificate>,
    /// Another build of lockkeeper.
    pub(crate) against: Option<&'a Path>,
}

/// A running proxy; dropping it kills it.
#[derive(Debug)]
pub(crate) struct Proxy {
    child: Child,
    /// Where it listens.
    pub(crate) addr: SocketAddr,
}

impl Proxy {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Launch<'_> {
    /// Starts it and waits until it listens; `None` for no proxy at all.
    pub(crate) fn start(&self, contender: Contender) -> anyhow::Result<Option<Proxy>> {
        let addr = free_address()?;
        let mut command = match contender {
            Contender::Direct => return Ok(None),
            Contender::Haproxy => self.haproxy(addr)?,
            Contender::Pgbouncer => self.pgbouncer(addr)?,
            Contender::Lockkeeper => self.lockkeeper(Path::new(env!("CARGO_BIN_EXE_lockkeeper")), addr),
            Contender::Against => {
                self.lockkeeper(self.against.context("there is no other build to measure")?, addr)
            }
            Contender::Forwarder => self.forwarder(addr)?,
        };
        let log = self.folder.join(format!("{}.log", addr.port()));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
        let child = command.spawn().with_context(|| format!("cannot start {}", contender.name()))?;
        let mut proxy = Proxy { child, addr };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(addr).is_err() {
            if proxy.child.try_wait()?.is_some() || Instant::now() > deadline {
                let said = fs::read_to_string(&log).unwrap_or_default();
                bail!("{} does not listen: {said}", contender.name());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(Some(proxy))
    }

    fn haproxy(&self, addr: SocketAddr) -> anyhow::Result<Command> {
        let Self { upstream, threads, .. } = self;
        let text = format!(
            "global\n  nbthread {threads}\n  maxconn {SESSIONS_MAX}\n\
             defaults\n  mode tcp\n  timeout connect 10s\n  timeout client 1h\n  timeout server 1h\n\
             frontend clients\n  bind {addr}\n  default_backend postgres\n\
             backend postgres\n  server one {upstream}\n"
        );
        let file = self.write(addr, "haproxy.cfg", &text)?;
        let mut command = machine::on_cores(&self.cores, "haproxy");
        // In the foreground, without a master process.
        command.arg("-db").arg("-f").arg(file);
        Ok(command)
    }

    fn pgbouncer(&self, addr: SocketAddr) -> anyhow::Result<Command> {
        let (host, port) = (self.upstream.ip(), self.upstream.port());
        let users = self.write(addr, "users.txt", &format!("\"{SUPERUSER}\" \"\"\n"))?;
        // Sessions must not queue for a connection, and nothing is logged that the others don't log either.
        let mut text = format!(
            "[databases]\n* = host={host} port={port}\n\
             [pgbouncer]\nlisten_addr = {}\nlisten_port = {}\nunix_socket_dir =\n\
             auth_type = trust\nauth_file = {}\npool_mode = session\n\
             max_client_conn = {SESSIONS_MAX}\ndefault_pool_size = {SESSIONS_MAX}\n\
             log_connections = 0\nlog_disconnections = 0\nlog_stats = 0\n\
             ignore_startup_parameters = extra_float_digits\nserver_check_query =\n",
            addr.ip(),
            addr.port(),
            users.display(),
        );
        if let Some(certificate) = self.certificate {
            let _ = writeln!(text, "client_tls_sslmode = require");
            let _ = writeln!(text, "client_tls_cert_file = {}", certificate.chain_file.display());
            let _ = writeln!(text, "client_tls_key_file = {}", certificate.key_file.display());
        }
        let file = self.write(addr, "pgbouncer.ini", &text)?;
        let mut command = machine::on_cores(&self.cores, "pgbouncer");
        if rustix::process::geteuid().is_root() {
            // It refuses to run as root.
            command.args(["-u", "nobody"]);
        }
        command.arg(file);
        Ok(command)
    }

    fn lockkeeper(&self, program: &Path, addr: SocketAddr) -> Command {
        let mut command = machine::on_cores(&self.cores, &program.to_string_lossy());
        command.args(["serve", "--listen", &addr.to_string(), "--upstream", &self.upstream.to_string()]);
        let mut set = |key: &str, value: &str| {
            command.arg("--set").arg(format!("{key}={value}"));
        };
        set("limits.workers", &self.threads.to_string());
        set("upstream.sslmode", "disable");
        set("log.level", "warn");
        if let Some(certificate) = self.certificate {
            set("listen.tls.sslmode", "require");
            set("listen.tls.cert", &certificate.chain_file.to_string_lossy());
            set("listen.tls.key", &certificate.key_file.to_string_lossy());
        }
        command
    }

    fn forwarder(&self, addr: SocketAddr) -> anyhow::Result<Command> {
        let own = std::env::current_exe()?;
        let mut command = machine::on_cores(&self.cores, &own.to_string_lossy());
        command.arg(format!("--forward-from={addr}")).arg(format!("--forward-to={}", self.upstream));
        Ok(command)
    }

    /// Writes a configuration file that every user can read.
    fn write(&self, addr: SocketAddr, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.folder.join(format!("{}-{name}", addr.port()));
        fs::write(&path, text)?;
        Ok(path)
    }
}

/// A port that was free a moment ago.
fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
