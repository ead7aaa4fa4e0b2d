//! Short errands on connections of their own.

use anyhow::Context as _;
use tokio_postgres::tls::NoTlsStream;
use tokio_postgres::{Client, Connection, NoTls, Socket};

/// Runs statements on a connection of their own.
pub async fn execute(url: &str, sql: &str) -> anyhow::Result<()> {
    let (client, connection) = connect(url).await?;
    tokio::select! {
        done = client.batch_execute(sql) => Ok(done?),
        ended = connection => Err(closed(ended)),
    }
}

/// The same with the one text that the last row holds.
pub async fn ask(url: &str, sql: &str) -> anyhow::Result<String> {
    let (client, connection) = connect(url).await?;
    tokio::select! {
        row = client.query_one(sql, &[]) => Ok(row?.try_get(0)?),
        ended = connection => Err(closed(ended)),
    }
}

/// A connection whose second half the caller has to poll.
pub async fn connect(url: &str) -> anyhow::Result<(Client, Connection<Socket, NoTlsStream>)> {
    // There is no password in these URLs.
    tokio_postgres::connect(url, NoTls).await.with_context(|| format!("cannot connect to {url}"))
}

/// Why a connection ended that was still needed.
pub fn closed(ended: Result<(), tokio_postgres::Error>) -> anyhow::Error {
    match ended {
        Ok(()) => anyhow::anyhow!("the connection was closed"),
        Err(trouble) => anyhow::Error::new(trouble).context("the connection broke"),
    }
}
