//! Facts for a review, from a connection of its own.

use tokio_postgres::{Client, Config, NoTls};

use super::drive;
use crate::effects::Need;
use crate::effects::facts::{Facts, Source, answer};

/// A connection that answers what a review asks; its role sees what it may.
#[derive(Debug)]
pub struct Live {
    client: Client,
    server_version: u32,
    utc: bool,
}

impl Live {
    /// Connects, without TLS; needs a `LocalSet`.
    pub async fn connect(url: &str) -> Result<Self, tokio_postgres::Error> {
        let mut config: Config = url.parse()?;
        config.application_name("lockkeeper");
        let (client, connection) = config.connect(NoTls).await?;
        drive(connection);
        let row = client
            .query_one(
                "SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4, \
                 pg_catalog.upper(pg_catalog.current_setting('TimeZone')) OPERATOR(pg_catalog.=) 'UTC'",
                &[],
            )
            .await?;
        let version: i32 = row.try_get(0)?;
        Ok(Self { client, server_version: u32::try_from(version).unwrap_or(0), utc: row.try_get(1)? })
    }

    /// `server_version_num`
    pub const fn server_version(&self) -> u32 {
        self.server_version
    }

    /// One JSON object a row; the arrays go in as text, so that their types are those of the statement.
    async fn objects(&self, sql: &str, arrays: &[String]) -> Result<Vec<String>, tokio_postgres::Error> {
        let literal = |array: &String| crate::base::relation::quote_literal(array);
        let sql = arrays
            .iter()
            .enumerate()
            .fold(sql.to_owned(), |sql, (at, array)| sql.replace(&format!("${}", at + 1), &literal(array)));
        let rows = self.client.query(&sql, &[]).await?;
        rows.iter().map(|row| row.try_get(0)).collect()
    }
}

impl Source for Live {
    type Trouble = tokio_postgres::Error;

    async fn look_up(&mut self, need: &Need) -> Result<Facts, tokio_postgres::Error> {
        let mut facts =
            Facts { server_version: self.server_version, utc: Some(self.utc), ..Facts::default() };
        if need.is_empty() {
            return Ok(facts);
        }
        let relations = self.objects(&answer::RELATIONS, &[answer::relation_names(need)]).await?;
        let types = self.objects(&answer::TYPES, &[answer::type_names(need)]).await?;
        let functions = self.objects(&answer::FUNCTIONS, &answer::function_names(need)).await?;
        facts.relations = relations.iter().filter_map(|it| answer::relation(it, need)).collect();
        facts.types = types.iter().filter_map(|it| answer::ty(it, need)).collect();
        facts.functions = functions.iter().filter_map(|it| answer::function(it, need)).collect();
        Ok(facts)
    }
}
