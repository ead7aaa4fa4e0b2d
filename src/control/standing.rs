//! What the role of the control connection may see and do, and which databases there are: asked once, at the start.

use std::time::Duration;

use super::ControlSettings;
use crate::event::clock;
use crate::live::left_overs::DATABASES_MAX;

/// Nobody waits for this.
const WITHIN: Duration = Duration::from_secs(10);

/// `pg_read_all_stats` is what `pg_monitor` gives of what is needed here.
const SQL: &str = "SELECT pg_catalog.pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'), current_user::pg_catalog.text, \
     ARRAY(SELECT d.datname::pg_catalog.text FROM pg_catalog.pg_database d \
        WHERE d.datallowconn AND NOT d.datistemplate \
        AND pg_catalog.has_database_privilege(d.oid, 'CONNECT') ORDER BY d.datname LIMIT $1)";

/// How the control connection stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its role.
    pub role: String,
    /// The role sees what other sessions do.
    pub sees: bool,
    /// The databases that it may connect to, those of templates apart; no more of them than are looked at.
    pub databases: Vec<String>,
}

/// Asks by a connection that ends with it; the error is what is said where there is no answer.
pub async fn look(settings: &ControlSettings, database: &str) -> Result<Standing, String> {
    let most = i64::try_from(DATABASES_MAX).unwrap_or(i64::MAX);
    let asked = clock::within(WITHIN, async {
        let client = settings.connect(database).await?;
        let row = client.query_one(SQL, &[&most]).await?;
        Ok(Standing { sees: row.try_get(0)?, role: row.try_get(1)?, databases: row.try_get(2)? })
    });
    match asked.await {
        Some(answer) => answer.map_err(|error: tokio_postgres::Error| super::live::words(&error)),
        None => Err(format!("no answer within {} s", WITHIN.as_secs())),
    }
}
