//! The cluster with the application's tables, and a database for each way.

use std::time::Duration;

use super::migration::{Project, Python};
use super::{DemoArgs, Way};
use crate::cluster::{Cluster, SUPERUSER};
use crate::traffic::connection::execute;
use anyhow::Context as _;

/// The database that both ways are copied from.
const SEED: &str = "seed";

/// Tables and rows; `$rows` is the number of applications.
const TABLES: &str = include_str!("tables.sql");

/// What both runs have in common.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) cluster: Cluster,
    pub(super) project: Project,
    pub(super) rows: u32,
    pub(super) clients: u16,
    pub(super) report: Duration,
    pub(super) calm: Duration,
}

impl Stage {
    /// Fills the tables once.
    pub(super) async fn set(cluster: Cluster, args: &DemoArgs, python: Python) -> anyhow::Result<Self> {
        let project = Project::write(python)?;
        execute(&cluster.url(SUPERUSER), &format!("CREATE DATABASE {SEED}")).await?;
        let tables = TABLES.replace("$rows", &args.rows.to_string());
        execute(&cluster.url(SEED), &tables).await.context("cannot fill the tables")?;
        execute(&cluster.url(SEED), "VACUUM ANALYZE").await?;
        Ok(Self {
            cluster,
            project,
            rows: args.rows,
            clients: args.clients,
            report: Duration::from_secs(args.report_s),
            calm: Duration::from_secs(args.calm_s),
        })
    }

    /// Makes the database of one way; its URL without the proxy.
    pub(super) async fn open(&self, way: Way) -> anyhow::Result<String> {
        let name = way.database();
        execute(&self.cluster.url(SUPERUSER), &format!("CREATE DATABASE {name} TEMPLATE {SEED}")).await?;
        // Both begin with everything written down: no checkpoint of the copy's disturbs the first.
        execute(&self.cluster.url(name), "CHECKPOINT").await?;
        Ok(self.cluster.url(name))
    }
}
