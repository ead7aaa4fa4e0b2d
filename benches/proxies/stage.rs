//! What is running while something is measured.

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use anyhow::Context as _;
use lockkeeper::cluster::{self, Cluster};
use rustls::ClientConfig;
use tempfile::TempDir;

use crate::client::Client;
use crate::contender::Contender;
use crate::launch::{Launch, Proxy};
use crate::machine;
use crate::options::{Cores, Options};
use crate::pgbench::Pgbench;
use crate::tls::Certificate;
use crate::workload::{self, Stage};

/// Room for the idle sessions of one proxy, and for connections that pgbouncer keeps.
const CONNECTIONS_MAX: &str = "max_connections = 1500";

/// A server with enough memory for the tables, that does nothing on its own account while others measure.
const SETTINGS: [&str; 5] = [
    CONNECTIONS_MAX,
    "shared_buffers = 512MB",
    "max_wal_size = 8GB",
    "checkpoint_timeout = 1h",
    "autovacuum = off",
];

/// Rows of about 100 bytes for big results, and a table to copy into.
const TABLES: [&str; 3] = [
    "CREATE UNLOGGED TABLE bench_rows AS SELECT id, repeat(md5(id::text), 3) AS note FROM generate_series(1, 100000) id",
    "CREATE UNLOGGED TABLE bench_copy (id int, note text)",
    "VACUUM ANALYZE bench_rows",
];

/// Postgres with its tables, and what all stages share.
#[derive(Debug)]
pub(crate) struct Ground<'a> {
    pub(crate) options: &'a Options,
    pub(crate) pgbench: Pgbench,
    cluster: Cluster,
    certificate: Certificate,
    folder: TempDir,
}

/// One way to Postgres, ready to be measured.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) contender: Contender,
    pub(crate) addr: SocketAddr,
    /// How our own client is to make TLS; `None` for plain text.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    proxy: Option<Proxy>,
}

impl Endpoint {
    /// The process whose costs count, where there is one.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.proxy.as_ref().map(Proxy::pid)
    }

    /// A session through it.
    pub(crate) fn connect(&self) -> anyhow::Result<Client> {
        Client::connect(self.addr, self.tls.as_ref())
            .with_context(|| format!("cannot connect through {}", self.contender.name()))
    }
}

impl<'a> Ground<'a> {
    /// Starts Postgres and fills the tables.
    pub(crate) fn prepare(options: &'a Options) -> anyhow::Result<Self> {
        // On every core: filling tables is not measured.
        let folder = tempfile::tempdir()?;
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        let certificate = Certificate::make(folder.path())?;
        let mut setup = cluster::Options::new().tls(certificate.server.clone());
        for line in SETTINGS {
            setup = setup.conf(line);
        }
        let cluster = Cluster::start(&setup)?;
        let program = cluster.installation().program("pgbench").context("pgbench is not installed")?;
        let pipeline = folder.path().join("pipeline.sql");
        fs::write(&pipeline, workload::pipeline_script())?;
        let ground = Self { options, pgbench: Pgbench::new(program, pipeline), cluster, certificate, folder };
        ground.pgbench.initialise(ground.cluster.addr())?;
        let mut client = ground.straight()?;
        for statement in TABLES {
            client.run(statement)?;
        }
        client.run("CHECKPOINT")?;
        Ok(ground)
    }

    /// A session that no proxy sees.
    pub(crate) fn straight(&self) -> anyhow::Result<Client> {
        Client::connect(self.cluster.addr(), None)
    }

    /// Puts Postgres and the clients where the stage wants them.
    pub(crate) fn enter(&self, stage: Stage) -> anyhow::Result<()> {
        let cores = self.cores(stage);
        machine::pin(std::process::id(), &cores.ends)?;
        let postmaster = self.cluster.pid().context("Postgres has stopped")?;
        machine::pin(postmaster, &cores.ends)
    }

    /// Starts a proxy for the stage.
    pub(crate) fn endpoint(&self, stage: Stage, contender: Contender) -> anyhow::Result<Endpoint> {
        let certificate = (stage == Stage::Tls).then_some(&self.certificate);
        let launch = Launch {
            upstream: self.cluster.addr(),
            folder: self.folder.path(),
            cores: self.cores(stage).proxies,
            threads: if stage == Stage::TwoCores { 2 } else { 1 },
            certificate,
            against: self.options.against.as_deref(),
        };
        let proxy = launch.start(contender)?;
        let addr = proxy.as_ref().map_or(self.cluster.addr(), |proxy| proxy.addr);
        let tls = certificate.map(|certificate| Arc::clone(&certificate.client));
        Ok(Endpoint { contender, addr, tls, proxy })
    }

    /// Who takes part in the stage.
    pub(crate) fn contenders(&self, stage: Stage) -> Vec<Contender> {
        let mut all = self.options.contenders();
        all.retain(|contender| stage != Stage::Tls || contender.speaks_tls());
        all
    }

    fn cores(&self, stage: Stage) -> Cores {
        match stage {
            Stage::Plain | Stage::Tls => self.options.pinned(),
            Stage::TwoCores => self.options.unpinned(),
        }
    }
}
