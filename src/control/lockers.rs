//! Which functions of a database may lock what others need.

use std::time::Duration;

use tokio_postgres::Row;

use super::ControlSettings;
use crate::event::clock;
use crate::sql::lockers::Ddl;

/// Nobody waits for this.
const WITHIN: Duration = Duration::from_secs(20);

const SQL: &str = include_str!("lockers.sql");

/// Looks by a connection that ends with it; `None` where the database gives no answer.
pub async fn look(settings: &ControlSettings, database: &str) -> Option<Vec<(String, Ddl)>> {
    let looked = clock::within(WITHIN, async {
        let client = settings.connect(database).await?;
        // What nobody waits for any more ends on the server, too; and what somebody has made is not mistaken for what is Postgres' own.
        let settings =
            format!("SET search_path = pg_catalog; SET statement_timeout = '{}s'", WITHIN.as_secs());
        client.batch_execute(&settings).await?;
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

fn locker(row: &Row) -> Option<(String, Ddl)> {
    let ddl = if row.try_get(1).ok()? { Ddl::Written } else { Ddl::Given };
    Some((row.try_get(0).ok()?, ddl))
}
