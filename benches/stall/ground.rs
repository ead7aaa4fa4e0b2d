//! Postgres with the tables, and a copy of them for each measurement.

use anyhow::Context as _;
use lockkeeper::cluster::{self, Cluster, Installation, SUPERUSER};
use lockkeeper::traffic::connection::execute;

use crate::options::Options;

/// The database that all others are copied from.
const SEED: &str = "seed";

/// Tables and rows.
const TABLES: &str = include_str!("tables.sql");

/// A server with enough memory for the tables, that writes no checkpoint on its own account while others measure.
/// Autovacuum stays as everybody has it: it is one of those who are in the way.
const SETTINGS: [&str; 4] = [
    "shared_buffers = 512MB",
    "max_wal_size = 16GB",
    "checkpoint_timeout = 1h",
    "max_parallel_workers_per_gather = 0",
];

/// The server, and what is the same for all measurements.
#[derive(Debug)]
pub(crate) struct Ground<'a> {
    pub(crate) options: &'a Options,
    pub(crate) cluster: Cluster,
}

impl<'a> Ground<'a> {
    /// Starts the server and fills the tables.
    pub(crate) async fn prepare(options: &'a Options) -> anyhow::Result<Self> {
        let mut setup = cluster::Options::new().own_group();
        for line in SETTINGS {
            setup = setup.conf(line);
        }
        if let Some(major) = options.postgres {
            let all = Installation::all();
            let found = all.into_iter().find(|one| one.major == major);
            setup = setup.installation(found.with_context(|| {
                format!("there is no Postgres {major} on this machine; ./dev postgres {major} may fetch it")
            })?);
        }
        let cluster = tokio::task::spawn_blocking(move || Cluster::start(&setup)).await??;
        execute(&cluster.url(SUPERUSER), &format!("CREATE DATABASE {SEED}")).await?;
        let tables = TABLES.replace("$rows", &options.rows.to_string());
        execute(&cluster.url(SEED), &tables).await.context("cannot fill the tables")?;
        execute(&cluster.url(SEED), "VACUUM ANALYZE").await?;
        Ok(Self { options, cluster })
    }

    /// `PostgreSQL 16.4`
    pub(crate) fn server(&self) -> String {
        format!("PostgreSQL {}", self.cluster.installation().version)
    }

    /// Makes a copy of the tables.
    pub(crate) async fn open(&self, name: &str) -> anyhow::Result<String> {
        let admin = self.cluster.url(SUPERUSER);
        // Copied as files where there is a choice: all of it through the log takes several times as long.
        let strategy = if self.cluster.installation().major >= 15 { " STRATEGY file_copy" } else { "" };
        execute(&admin, &format!("CREATE DATABASE {name} TEMPLATE {SEED}{strategy}")).await?;
        Ok(self.cluster.url(name))
    }

    /// Removes a copy, whoever is still connected to it.
    pub(crate) async fn close(&self, name: &str) -> anyhow::Result<()> {
        execute(&self.cluster.url(SUPERUSER), &format!("DROP DATABASE {name} WITH (FORCE)")).await
    }
}
