//! Questions that the proxy asks a server on its own behalf, under its own role and on a connection of its own.
//!
//! Invariant: nothing of a client's start-up packet or session reaches these connections, and their search path is pinned,
//! so that no client can change what a question means.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, Row};
use tokio_rustls::TlsConnector;

use super::Own;
use super::settings::{Host, UpstreamSettings};

/// How long one question may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Why a question has no answer.
#[derive(Debug, Error)]
pub enum NoAnswer {
    /// The server or the connection said no.
    #[error("the control connection failed")]
    Postgres(#[from] tokio_postgres::Error),
    /// It took too long.
    #[error("the control connection gave no answer in time")]
    Timeout,
}

/// A lasting connection to one host, made at the first question and again after it broke.
pub struct Asker {
    own: Own,
    client: Mutex<Option<Arc<Client>>>,
}

impl Asker {
    /// An asker for `host` that logs in as `control` says and encrypts as the sessions' policy does.
    pub fn new(
        control: &Config,
        host: &Host,
        settings: &UpstreamSettings,
        connector: Option<&TlsConnector>,
    ) -> Self {
        let own = Own::new(login(control, host, settings), settings.ssl_mode, connector);
        Self { own, client: Mutex::new(None) }
    }

    /// The rows that answer `sql`, whose parameters are all texts.
    pub async fn ask(&self, sql: &str, parameters: &[&str]) -> Result<Vec<Row>, NoAnswer> {
        let asking = async {
            let client = self.client().await?;
            let typed: Vec<(&(dyn ToSql + Sync), Type)> =
                parameters.iter().map(|text| (text as &(dyn ToSql + Sync), Type::TEXT)).collect();
            Ok(client.query_typed(sql, &typed).await?)
        };
        timeout(ANSWER_WITHIN, asking).await.unwrap_or(Err(NoAnswer::Timeout))
    }

    async fn client(&self) -> Result<Arc<Client>, tokio_postgres::Error> {
        let mut slot = self.client.lock().await;
        if let Some(client) = slot.as_ref().filter(|client| !client.is_closed()) {
            return Ok(Arc::clone(client));
        }
        let (client, driving) = self.own.connect().await?;
        tokio::spawn(driving);
        Ok(Arc::clone(slot.insert(Arc::new(client))))
    }
}

fn login(control: &Config, host: &Host, settings: &UpstreamSettings) -> Config {
    let mut config = Config::new();
    match host {
        Host::Tcp { name, port } => config.host(name).port(*port),
        Host::Unix { directory, port } => config.host_path(directory).port(*port),
    };
    if let Some(user) = control.get_user() {
        config.user(user);
    }
    if let Some(password) = control.get_password() {
        config.password(password);
    }
    config.dbname(control.get_dbname().unwrap_or("postgres"));
    let options = control.get_options().unwrap_or_default();
    config.options(format!("{options} -c search_path=pg_catalog"));
    config.application_name(control.get_application_name().unwrap_or("lockkeeper"));
    // Where the operator requires it, no server gets the password for asking: not in clear text, not as a digest.
    config.channel_binding(control.get_channel_binding());
    config.connect_timeout(settings.connect_timeout);
    if settings.ssl_negotiation == super::settings::SslNegotiation::Direct {
        config.ssl_negotiation(tokio_postgres::config::SslNegotiation::Direct);
    }
    config
}
