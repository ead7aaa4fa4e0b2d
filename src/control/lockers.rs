//! Which functions of a database may lock what others need.

use std::time::Duration;

use tokio_postgres::Row;

use super::ControlSettings;
use crate::event::clock;
use crate::sql::lockers::{Ddl, Locker};

/// Nobody waits for this.
const WITHIN: Duration = Duration::from_secs(20);

const SQL: &str = include_str!("lockers.sql");

/// Looks by a connection that ends with it; `None` where the database gives no answer.
pub async fn look(settings: &ControlSettings, database: &str) -> Option<Vec<(String, Locker)>> {
    let looked = clock::within(WITHIN, async {
        let client = settings.connect(database).await?;
        client.query(SQL, &[]).await
    });
    match looked.await {
        Some(Ok(rows)) => Some(rows.iter().filter_map(locker).collect()),
        Some(Err(error)) => {
            tracing::debug!(%error, database, "could not look for functions that lock");
            None
        }
        None => {
            tracing::debug!(database, "looking for functions that lock took too long");
            None
        }
    }
}

fn locker(row: &Row) -> Option<(String, Locker)> {
    let ddl = if row.try_get(1).ok()? { Ddl::Written } else { Ddl::Given };
    let ends: bool = row.try_get(2).ok()?;
    Some((row.try_get(0).ok()?, Locker { ddl, repeatable: !ends }))
}
