//! Facts for a review, from a connection of its own.

use thiserror::Error;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tokio_rustls::rustls::{self, CertificateError};

use super::drive;
use crate::effects::Need;
use crate::effects::facts::{Facts, Source, answer};
use crate::upstream::Own;
use crate::upstream::dial::plain_words;

/// A connection that answers what a review asks; its role sees what it may.
#[derive(Debug)]
pub struct Live {
    client: Client,
    server_version: u32,
    utc: bool,
}

impl Live {
    /// Connects; needs a `LocalSet`.
    pub async fn connect(own: &Own) -> Result<Self, Unanswered> {
        let client = client(own).await?;
        let row = client
            .query_one(
                "SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4, \
                 pg_catalog.current_setting('TimeZone')",
                &[],
            )
            .await?;
        let version: i32 = row.try_get(0)?;
        let utc = answer::is_utc(row.try_get(1)?);
        Ok(Self { client, server_version: u32::try_from(version).unwrap_or(0), utc })
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

/// A connection for somebody who types a command; needs a `LocalSet`.
pub async fn client(own: &Own) -> Result<Client, Unanswered> {
    let own = own.with(|login| {
        login.application_name("lockkeeper");
    });
    let (client, driving) = own.connect().await?;
    drive(driving);
    client.batch_execute(super::UNCOMPILED).await?;
    Ok(client)
}

impl Source for Live {
    type Trouble = Unanswered;

    async fn look_up(&mut self, need: &Need) -> Result<Facts, Unanswered> {
        let mut facts =
            Facts { server_version: self.server_version, utc: Some(self.utc), ..Facts::default() };
        if need.is_empty() {
            return Ok(facts);
        }
        if !need.relations.is_empty() {
            let found = self.objects(&answer::RELATIONS, &[answer::relation_names(need)]).await?;
            facts.relations = found.iter().filter_map(|it| answer::relation(it, need)).collect();
        }
        if !need.types.is_empty() {
            let found = self.objects(&answer::TYPES, &[answer::type_names(need)]).await?;
            facts.types = found.iter().filter_map(|it| answer::ty(it, need)).collect();
        }
        if !need.functions.is_empty() {
            let found = self.objects(&answer::FUNCTIONS, &answer::function_names(need)).await?;
            facts.functions = found.iter().filter_map(|it| answer::function(it, need)).collect();
        }
        if !need.names_beside.is_empty() {
            let found = self.objects(&answer::NAMES, &[answer::names_beside(need)]).await?;
            facts.taken = found.iter().filter_map(|it| answer::names(it, need)).collect();
        }
        Ok(facts)
    }
}

/// Why a database gives no answer: what happened, and what to do about it.
#[derive(Debug, Error)]
#[error("{}", words(.0))]
pub struct Unanswered(tokio_postgres::Error);

/// Its cause is told in its own words, not behind them.
impl From<tokio_postgres::Error> for Unanswered {
    fn from(error: tokio_postgres::Error) -> Self {
        Self(error)
    }
}

/// What went wrong, in words, and what helps where that is known.
pub(super) fn words(error: &tokio_postgres::Error) -> String {
    if let Some(said) = error.as_db_error() {
        let hint = hint(said.code()).map(|hint| format!("; {hint}")).unwrap_or_default();
        return format!("the server says {:?} ({}){hint}", said.message(), said.code().code());
    }
    let Some(cause) = std::error::Error::source(error) else { return missing(&error.to_string()) };
    let io = cause.downcast_ref::<std::io::Error>();
    let tls = io.and_then(|io| io.get_ref()).and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match (tls, io) {
        (Some(error), _) => format!("TLS failed: {}", of_tls(error)),
        (None, Some(error)) => plain_words(error),
        (None, None) => missing(&cause.to_string()),
    }
}

fn hint(code: &SqlState) -> Option<&'static str> {
    match *code {
        SqlState::INVALID_PASSWORD => {
            Some("give the password by PGPASSWORD or the password file, and look at the user's name")
        }
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            Some("look at user, database and sslmode, and at pg_hba.conf of the server")
        }
        SqlState::INVALID_CATALOG_NAME => Some("name the database at the end of the URL, after the port"),
        SqlState::INSUFFICIENT_PRIVILEGE => {
            Some("the role needs USAGE on the schemas that are named, but no right on their tables")
        }
        _ => None,
    }
}

/// The crate's own words, with what to do where it is known.
fn missing(said: &str) -> String {
    match said {
        "password missing" => {
            "the server asks for a password; give it by PGPASSWORD or the password file".to_owned()
        }
        "server does not support TLS" => {
            "the server does not support TLS, but sslmode demands it; turn ssl on there, or say sslmode=prefer"
                .to_owned()
        }
        "server did not use channel binding" | "server does not support channel binding" => {
            format!("{said}, but channel_binding=require demands it")
        }
        said => said.to_owned(),
    }
}

fn of_tls(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "the server's certificate is not signed by an authority that is trusted; name the right one by sslrootcert=FILE"
                .to_owned()
        }
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "the server's certificate is for another host name; connect by a name that it holds, or say sslmode=verify-ca"
            .to_owned(),
        rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "the server's certificate has expired; it must be renewed there".to_owned()
        }
        error => error.to_string(),
    }
}
