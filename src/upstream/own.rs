//! Connections of the proxy's own, and those of `check --url`: the one way to make them.
//!
//! Invariant: where the settings demand TLS, a login that says nothing of it gets no plain connection.

use std::future::Future;
use std::pin::Pin;

use tokio_postgres::config::{Host as LoginHost, SslMode as LoginSsl};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, Error, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::TlsConnector;

use super::settings::SslMode;

/// What must be polled for a connection to live.
pub type Driving = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// A login with the encryption that it goes by.
#[derive(Clone)]
pub struct Own {
    login: Config,
    tls: Option<MakeRustlsConnect>,
    mode: SslMode,
}

impl std::fmt::Debug for Own {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The login holds the password.
        f.debug_struct("Own").field("user", &self.login.get_user()).finish_non_exhaustive()
    }
}

impl Own {
    /// A login that encrypts as `mode` says, by a connector that was made for it.
    pub fn new(login: Config, mode: SslMode, connector: Option<&TlsConnector>) -> Self {
        let tls = connector.map(|connector| {
            let mut config = (**connector.config()).clone();
            config.alpn_protocols.clear();
            MakeRustlsConnect::new(config)
        });
        Self { login, tls, mode }
    }

    /// Who logs in, and where.
    pub fn login(&self) -> &Config {
        &self.login
    }

    /// The same login with something else about it.
    #[must_use]
    pub fn with(&self, change: impl FnOnce(&mut Config)) -> Self {
        let mut other = self.clone();
        change(&mut other.login);
        other
    }

    /// Connects; the second half must be polled for the first to get answers.
    pub async fn connect(&self) -> Result<(Client, Driving), Error> {
        let (first, second) = self.attempts();
        match (self.attempt(first).await, second) {
            (Err(error), Some(second)) if is_about_encryption(&error) => self.attempt(second).await,
            (tried, _) => tried,
        }
    }

    async fn attempt(&self, ssl: LoginSsl) -> Result<(Client, Driving), Error> {
        let mut login = self.login.clone();
        login.ssl_mode(ssl);
        if let Some(tls) = &self.tls {
            let (client, connection) = login.connect(tls.clone()).await?;
            return Ok((client, Box::pin(connection)));
        }
        let (client, connection) = login.connect(NoTls).await?;
        Ok((client, Box::pin(connection)))
    }

    /// As [`super::dial::encryptions`] has them for sessions; what the login itself says of TLS wins where it is stricter
    /// or forbids it.
    fn attempts(&self) -> (LoginSsl, Option<LoginSsl>) {
        let unix = |host: &LoginHost| matches!(host, LoginHost::Unix(_));
        let hosts = self.login.get_hosts();
        let only_sockets = !hosts.is_empty() && hosts.iter().all(unix);
        match (self.login.get_ssl_mode(), self.mode) {
            _ if only_sockets => (LoginSsl::Disable, None),
            (LoginSsl::Disable, _) => (LoginSsl::Disable, None),
            (LoginSsl::Require, _) | (_, SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull) => {
                (LoginSsl::Require, None)
            }
            (_, SslMode::Disable) => (LoginSsl::Disable, None),
            (_, SslMode::Allow) => (LoginSsl::Disable, Some(LoginSsl::Require)),
            (_, SslMode::Prefer) => (LoginSsl::Prefer, Some(LoginSsl::Disable)),
        }
    }
}

/// Whether the other kind of connection may do better: the handshake failed, or `pg_hba.conf` has no line for this kind.
fn is_about_encryption(error: &Error) -> bool {
    match error.code() {
        Some(code) => *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
        // The kind of an error is private to its crate.
        None => error.to_string().starts_with("error performing TLS handshake"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_demands_tls_gets_it() {
        let check = |login: &str, mode, expected: &str| {
            let own = Own::new(login.parse().expect("login"), mode, None);
            assert_eq!(format!("{:?}", own.attempts()), expected, "{login} {mode:?}");
        };
        check("host=db", SslMode::VerifyFull, "(Require, None)");
        check("host=db", SslMode::Require, "(Require, None)");
        check("host=db", SslMode::Prefer, "(Prefer, Some(Disable))");
        check("host=db", SslMode::Allow, "(Disable, Some(Require))");
        check("host=db", SslMode::Disable, "(Disable, None)");
        check("host=db sslmode=require", SslMode::Prefer, "(Require, None)");
        check("host=db sslmode=disable", SslMode::Require, "(Disable, None)");
        check("host=/run/postgresql", SslMode::VerifyFull, "(Disable, None)");
    }
}
