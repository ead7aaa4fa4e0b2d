//! Postgres with a standby and the tables, filled anew for each measurement.

use std::time::Duration;

use anyhow::Context as _;
use lockkeeper::cluster::{self, Cluster, SUPERUSER};
use lockkeeper::traffic::connection::{ask, execute};

use crate::Options;

/// As a server of some size has it; checkpoints come as they would.
const SETTINGS: [&str; 3] =
    ["shared_buffers = 512MB", "max_wal_size = 1GB", "max_parallel_workers_per_gather = 0"];

/// `$rows` is the number of rows. Some of them are the application's own, beyond those that the statements write.
const TABLES: &str = "DROP TABLE IF EXISTS orders, events; \
     CREATE TABLE orders (id int PRIMARY KEY, customer int, total int, currency text, state text); \
     INSERT INTO orders SELECT n, n / 10, n % 1000, 'DEM', 'new' FROM generate_series(1, $rows) n; \
     CREATE INDEX orders_customer ON orders (customer); \
     CREATE TABLE events (id int PRIMARY KEY, customer int, what text); \
     INSERT INTO events SELECT n, n / 10, 'happened' FROM generate_series(1, $rows) n; \
     INSERT INTO events SELECT $rows + n, n / 10, 'lately' FROM generate_series(1, $rows / 10) n; \
     CREATE INDEX events_customer ON events (customer)";

/// How far the standby is behind, in bytes.
pub(crate) const BEHIND: &str = "SELECT coalesce(max(pg_wal_lsn_diff(pg_current_wal_flush_lsn(), replay_lsn)), 0)::int8::text \
     FROM pg_stat_replication";

/// The servers, and what is the same for all measurements.
#[derive(Debug)]
pub(crate) struct Ground<'a> {
    pub(crate) options: &'a Options,
    pub(crate) cluster: Cluster,
    _standby: Cluster,
}

impl<'a> Ground<'a> {
    /// Starts both servers.
    pub(crate) async fn prepare(options: &'a Options) -> anyhow::Result<Self> {
        let mut setup = cluster::Options::new().own_group();
        for line in SETTINGS {
            setup = setup.conf(line);
        }
        let (cluster, standby) = tokio::task::spawn_blocking(move || {
            let mut cluster = Cluster::start(&setup)?;
            let standby = Cluster::standby_of(&mut cluster)?;
            anyhow::Ok((cluster, standby))
        })
        .await??;
        Ok(Self { options, cluster, _standby: standby })
    }

    /// `PostgreSQL 16.4`
    pub(crate) fn server(&self) -> String {
        format!("PostgreSQL {}", self.cluster.installation().version)
    }

    /// The database in which all is measured.
    pub(crate) fn url(&self) -> String {
        self.cluster.url(SUPERUSER)
    }

    /// Fills the tables, and waits until nobody has anything to do with that any more.
    pub(crate) async fn fill(&self) -> anyhow::Result<()> {
        let tables = TABLES.replace("$rows", &self.options.rows.to_string());
        execute(&self.url(), &tables).await.context("cannot fill the tables")?;
        execute(&self.url(), "VACUUM (ANALYZE, FREEZE)").await?;
        execute(&self.url(), "CHECKPOINT").await?;
        while ask(&self.url(), BEHIND).await? != "0" {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }
}
