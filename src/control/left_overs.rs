//! What looks unfinished in a database: invalid indexes, constraints that are not valid, partitions that wait for their end.

use std::time::Duration;

use tokio_postgres::Row;

use super::ControlSettings;
use crate::event::clock;
use crate::live::left_overs::LeftOver;

/// Nobody waits for this.
const WITHIN: Duration = Duration::from_secs(20);

const SQL: &str = include_str!("left_overs.sql");

/// What a look has brought.
#[derive(Debug, Default)]
pub struct Look {
    /// What looks unfinished.
    pub found: Vec<LeftOver>,
    /// Somebody works on a table that something was found on; that is not among it.
    pub busy: bool,
}

/// Looks by a connection that ends with it; `None` where the database gives no answer.
pub async fn look(settings: &ControlSettings, database: &str) -> Option<Look> {
    let looked = clock::within(WITHIN, async {
        let client = settings.connect(database).await?;
        client.query(SQL, &[]).await
    });
    match looked.await {
        Some(Ok(rows)) => {
            let busy = |row: &Row| row.try_get(3).unwrap_or(false);
            let found = rows.iter().filter(|row| !busy(row)).filter_map(left_over).collect();
            Some(Look { found, busy: rows.iter().any(busy) })
        }
        Some(Err(error)) => {
            tracing::debug!(%error, database, "could not look for what is unfinished");
            None
        }
        None => {
            tracing::debug!(database, "looking for what is unfinished took too long");
            None
        }
    }
}

fn left_over(row: &Row) -> Option<LeftOver> {
    Some(LeftOver {
        oid: row.try_get(4).ok()?,
        what: row.try_get(0).ok()?,
        name: row.try_get(1).ok()?,
        statement: row.try_get(2).ok()?,
    })
}
