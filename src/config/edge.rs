//! Both legs of a session and the proxy's own login, from the file's values.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use tokio_postgres::config::SslMode as LoginSsl;

use crate::base::Period;
use crate::serve::settings::Passwords;
use crate::serve::tls::{ClientSslMode, ClientTlsSettings};
use crate::upstream::UpstreamSettings;
use crate::upstream::settings::{
    Host, KeyPair, Liveness, Roots, SslMode, SslNegotiation, TargetSessionAttrs,
};

use super::address::Address;
use super::file::File;
use super::passfile;
use super::word;

/// The proxy's own login must not keep sessions waiting for long.
const LOGIN_WITHIN: Duration = Duration::from_secs(3);

/// The way to Postgres. `environment`: libpq's variables for the proxy's own login, where no URL says it.
pub(super) fn upstream(file: &File, environment: &BTreeMap<String, String>) -> UpstreamSettings {
    let section = &file.upstream;
    let hosts: Vec<Host> = section.hosts.0.iter().map(host).collect();
    let control = (*file.control.enabled).then(|| login(file, environment, hosts.first())).flatten();
    UpstreamSettings {
        ssl_mode: match *section.sslmode {
            word::UpstreamSslMode::Disable => SslMode::Disable,
            word::UpstreamSslMode::Allow => SslMode::Allow,
            word::UpstreamSslMode::Prefer => SslMode::Prefer,
            word::UpstreamSslMode::Require => SslMode::Require,
            word::UpstreamSslMode::VerifyCa => SslMode::VerifyCa,
            word::UpstreamSslMode::VerifyFull => SslMode::VerifyFull,
        },
        ssl_negotiation: match *section.sslnegotiation {
            word::SslNegotiation::Postgres => SslNegotiation::Postgres,
            word::SslNegotiation::Direct => SslNegotiation::Direct,
        },
        roots: match &*section.sslrootcert {
            None => Roots::Unset,
            Some(path) if path.as_os_str() == "system" => Roots::System,
            Some(path) => Roots::File(path.clone()),
        },
        client_certificate: pair(section.sslcert.as_ref(), section.sslkey.as_ref()),
        target: match *section.target_session_attrs {
            word::TargetSessionAttrs::Any => TargetSessionAttrs::Any,
            word::TargetSessionAttrs::ReadWrite => TargetSessionAttrs::ReadWrite,
            word::TargetSessionAttrs::ReadOnly => TargetSessionAttrs::ReadOnly,
            word::TargetSessionAttrs::Primary => TargetSessionAttrs::Primary,
            word::TargetSessionAttrs::Standby => TargetSessionAttrs::Standby,
            word::TargetSessionAttrs::PreferStandby => TargetSessionAttrs::PreferStandby,
        },
        connect_timeout: section.connect_timeout.duration(),
        liveness: Liveness {
            keepalive_idle: section.keepalive_idle.duration(),
            keepalive_interval: section.keepalive_interval.duration(),
            keepalive_count: *section.keepalive_count,
            tcp_user_timeout: section.tcp_user_timeout.map(Period::duration),
        },
        hosts,
        control,
    }
}

/// What the password file says for the first host. `PGPASSWORD` is the password of one role only, and nobody knows whose.
pub(super) fn passwords(file: &File, environment: &BTreeMap<String, String>) -> Passwords {
    let first = file.upstream.hosts.0.first().map(host);
    let mut environment = environment.clone();
    environment.remove("PGPASSWORD");
    Passwords::new(move |database, role| {
        let (name, port) = name_and_port(first.as_ref()?);
        passfile::password(&environment, None, [&name, &port.to_string(), database, role]).ok().flatten()
    })
}

fn name_and_port(host: &Host) -> (String, u16) {
    match host {
        Host::Tcp { name, port } => (name.clone(), *port),
        Host::Unix { directory, port } => (directory.display().to_string(), *port),
    }
}

/// TLS towards clients.
pub(super) fn client_tls(file: &File) -> ClientTlsSettings {
    let section = &file.listen_tls;
    ClientTlsSettings {
        ssl_mode: match *section.sslmode {
            word::ClientSslMode::Disable => ClientSslMode::Disable,
            word::ClientSslMode::Allow => ClientSslMode::Allow,
            word::ClientSslMode::Require => ClientSslMode::Require,
            word::ClientSslMode::VerifyCa => ClientSslMode::VerifyCa,
            word::ClientSslMode::VerifyFull => ClientSslMode::VerifyFull,
        },
        pair: pair(section.cert.as_ref(), section.key.as_ref()),
        client_roots: (*section.client_ca).clone(),
    }
}

fn host(address: &Address) -> Host {
    const POSTGRES: u16 = 5432;
    match address.clone() {
        Address::Tcp { host, port } => Host::Tcp { name: host, port: port.unwrap_or(POSTGRES) },
        Address::Unix { directory, port } => Host::Unix { directory, port: port.unwrap_or(POSTGRES) },
    }
}

fn pair(certificate: Option<&PathBuf>, key: Option<&PathBuf>) -> Option<KeyPair> {
    Some(KeyPair { certificate: certificate?.clone(), key: key?.clone() })
}

/// The URL if there is one; else what libpq would do, on the first host. `None` for a URL that cannot be read: that it
/// can has been checked.
fn login(
    file: &File,
    environment: &BTreeMap<String, String>,
    host: Option<&Host>,
) -> Option<tokio_postgres::Config> {
    if let Some(url) = &*file.control.url {
        return url.expose_secret().parse().ok();
    }
    let variable = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    let mut login = tokio_postgres::Config::new();
    let (name, port) = name_and_port(host?);
    let user = variable("PGUSER").or_else(|| variable("USER")).map_or("postgres", String::as_str);
    let database = variable("PGDATABASE").map_or(user, String::as_str);
    login
        .host(&name)
        .port(port)
        .user(user)
        .dbname(database)
        .connect_timeout(LOGIN_WITHIN)
        .ssl_mode(LoginSsl::Prefer);
    // A file that others can read is left alone, as libpq does.
    let found = passfile::password(environment, None, [&name, &port.to_string(), database, user]);
    if let Ok(Some(password)) = found {
        login.password(password);
    }
    Some(login)
}
