//! What libpq would make of a connection string, its variables and its password file.
//!
//! Invariant: no message repeats a value: passwords stand among them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, Host as LoginHost, TargetSessionAttrs};

use crate::upstream::UpstreamSettings;
use crate::upstream::settings::{Host, KeyPair, Roots, SslMode, SslNegotiation};

use super::conninfo;
use super::{passfile, suggest};

/// Where a connection string leads to.
#[derive(Clone)]
pub struct Target {
    /// Who logs in, and where.
    pub login: Config,
    /// TLS on the way there.
    pub upstream: UpstreamSettings,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target").field("user", &self.login.get_user()).finish_non_exhaustive()
    }
}

/// The words of TLS that the crate does not know.
const TLS: [&str; 4] = ["sslmode", "sslrootcert", "sslcert", "sslkey"];

/// What says nothing about this connection: no Kerberos is spoken, and the encoding is always UTF-8.
const NEEDLESS: [&str; 7] = [
    "gssencmode",
    "gsslib",
    "krbsrvname",
    "sslcompression",
    "sslsni",
    "client_encoding",
    "fallback_application_name",
];

/// What the crate knows.
const KNOWN: [&str; 19] = [
    "user",
    "password",
    "dbname",
    "options",
    "application_name",
    "sslnegotiation",
    "host",
    "hostaddr",
    "port",
    "connect_timeout",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "target_session_attrs",
    "channel_binding",
    "load_balance_hosts",
    "passfile",
];

/// Variables that would change where or how libpq connects and that have no counterpart here, with the values that ask for
/// nothing more.
const UNHONOURED: [(&str, &[&str]); 12] = [
    ("PGSERVICE", &[]),
    ("PGREQUIREAUTH", &[]),
    ("PGREQUIREPEER", &[]),
    ("PGSSLCRL", &[]),
    ("PGSSLCRLDIR", &[]),
    ("PGSSLCERTMODE", &["allow"]),
    ("PGSSLMINPROTOCOLVERSION", &["TLSv1", "TLSv1.1", "TLSv1.2"]),
    ("PGSSLMAXPROTOCOLVERSION", &["TLSv1.3"]),
    ("PGGSSENCMODE", &["disable", "prefer"]),
    ("PGLOADBALANCEHOSTS", &["disable"]),
    ("PGMINPROTOCOLVERSION", &["3.0"]),
    ("PGREQUIRESSL", &["0"]),
];

/// Reads a connection string; what it does not say, libpq's variables and files do.
pub fn target(text: &str, environment: &BTreeMap<String, String>) -> Result<Target, String> {
    let mut read = conninfo::read(text).ok_or_else(malformed)?;
    for key in read.keys() {
        if !TLS.iter().chain(&NEEDLESS).chain(&KNOWN).any(|known| *known == key) {
            let near = suggest::nearest(key, KNOWN.into_iter().chain(TLS));
            let hint = near.map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
            // Its name is not repeated: where quotes or escapes are missing, it is a piece of the password.
            return Err(format!("a parameter of the connection string is not known{hint}"));
        }
    }
    for (name, harmless) in UNHONOURED {
        if environment.get(name).is_some_and(|value| !value.is_empty() && !harmless.contains(&value.as_str()))
        {
            return Err(format!(
                "the variable {name} is set, and cannot be honoured here; unset it, and say in the connection string what it means"
            ));
        }
    }
    let passfile = read.take("passfile");
    for word in NEEDLESS {
        read.take(word);
    }
    let words = Words { tls: TLS.map(|word| read.take(word)), environment };
    // The crate's message could repeat a part of the password.
    let mut login: Config = read.rest().parse().map_err(|_| malformed())?;
    fill(&mut login, &read, environment)?;
    if login.get_password().is_none()
        && let Some(password) = password_of(&login, passfile.as_deref(), environment)?
    {
        login.password(password);
    }
    let mut upstream = UpstreamSettings::new(hosts(&login));
    words.into(&mut upstream)?;
    if login.get_ssl_negotiation() == tokio_postgres::config::SslNegotiation::Direct {
        upstream.ssl_negotiation = SslNegotiation::Direct;
    }
    Ok(Target { login, upstream })
}

fn malformed() -> String {
    "expected postgres://user@host:port/database, or key=value pairs".to_owned()
}

/// What the string leaves out, from `PGHOST` and its fellows.
fn fill(
    login: &mut Config,
    read: &conninfo::Read,
    environment: &BTreeMap<String, String>,
) -> Result<(), String> {
    let variable = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    let wrong = |name: &str| format!("the variable {name} has a value that cannot be used");
    if login.get_hosts().is_empty() && login.get_hostaddrs().is_empty() {
        let hosts = variable("PGHOST").map_or("localhost", String::as_str);
        for host in hosts.split(',') {
            login.host(host);
        }
    }
    if login.get_ports().is_empty()
        && let Some(ports) = variable("PGPORT")
    {
        for port in ports.split(',') {
            login.port(port.parse().map_err(|_| wrong("PGPORT"))?);
        }
    }
    if login.get_user().is_none() {
        let user = variable("PGUSER").or_else(|| variable("USER")).or_else(|| variable("LOGNAME"));
        login.user(user.map_or("postgres", String::as_str));
    }
    if login.get_dbname().is_none() {
        let user = login.get_user().unwrap_or_default().to_owned();
        login.dbname(variable("PGDATABASE").unwrap_or(&user));
    }
    if login.get_connect_timeout().is_none()
        && let Some(seconds) = variable("PGCONNECT_TIMEOUT")
    {
        let seconds = seconds.parse().map_err(|_| wrong("PGCONNECT_TIMEOUT"))?;
        login.connect_timeout(std::time::Duration::from_secs(seconds));
    }
    how(login, read, environment)
}

/// How to connect, where the string leaves it out.
fn how(
    login: &mut Config,
    read: &conninfo::Read,
    environment: &BTreeMap<String, String>,
) -> Result<(), String> {
    let variable = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    let wrong = |name: &str| format!("the variable {name} has a value that cannot be used");
    if login.get_hostaddrs().is_empty()
        && let Some(addresses) = variable("PGHOSTADDR")
    {
        for address in addresses.split(',') {
            login.hostaddr(address.parse().map_err(|_| wrong("PGHOSTADDR"))?);
        }
    }
    if login.get_options().is_none()
        && let Some(options) = variable("PGOPTIONS")
    {
        login.options(options);
    }
    if !read.says("sslnegotiation")
        && let Some(word) = variable("PGSSLNEGOTIATION")
    {
        login.ssl_negotiation(match word.as_str() {
            "postgres" => tokio_postgres::config::SslNegotiation::Postgres,
            "direct" => tokio_postgres::config::SslNegotiation::Direct,
            _ => return Err(wrong("PGSSLNEGOTIATION")),
        });
    }
    if !read.says("target_session_attrs")
        && let Some(word) = variable("PGTARGETSESSIONATTRS")
    {
        login.target_session_attrs(match word.as_str() {
            "any" => TargetSessionAttrs::Any,
            "read-write" => TargetSessionAttrs::ReadWrite,
            "read-only" => TargetSessionAttrs::ReadOnly,
            _ => return Err(wrong("PGTARGETSESSIONATTRS")),
        });
    }
    if !read.says("channel_binding")
        && let Some(word) = variable("PGCHANNELBINDING")
    {
        login.channel_binding(match word.as_str() {
            "disable" => ChannelBinding::Disable,
            "prefer" => ChannelBinding::Prefer,
            "require" => ChannelBinding::Require,
            _ => return Err(wrong("PGCHANNELBINDING")),
        });
    }
    Ok(())
}

fn hosts(login: &Config) -> Vec<Host> {
    let ports = login.get_ports();
    let port = |at: usize| ports.get(at).or(ports.first()).copied().unwrap_or(5432);
    let named = login.get_hosts().iter().enumerate().map(|(at, host)| match host {
        LoginHost::Tcp(name) => Host::tcp(name, port(at)),
        LoginHost::Unix(directory) => Host::unix(directory, port(at)),
    });
    let named: Vec<Host> = named.collect();
    if !named.is_empty() {
        return named;
    }
    login.get_hostaddrs().iter().enumerate().map(|(at, addr)| Host::tcp(addr.to_string(), port(at))).collect()
}

/// The words of TLS, in the order of `TLS`.
struct Words<'a> {
    tls: [Option<String>; 4],
    environment: &'a BTreeMap<String, String>,
}

impl Words<'_> {
    fn into(self, upstream: &mut UpstreamSettings) -> Result<(), String> {
        let [mode, roots, certificate, key] = self.tls.clone();
        let word = |said: Option<String>, variable: &str| {
            said.or_else(|| self.environment.get(variable).filter(|value| !value.is_empty()).cloned())
        };
        upstream.roots = match word(roots, "PGSSLROOTCERT") {
            Some(word) if word == "system" => Roots::System,
            Some(path) => Roots::File(path.into()),
            None => self.of_home("root.crt").map_or(Roots::Unset, Roots::File),
        };
        upstream.ssl_mode = match word(mode, "PGSSLMODE").as_deref() {
            // As libpq: nothing less makes sense with the system's authorities.
            None if upstream.roots == Roots::System => SslMode::VerifyFull,
            None | Some("prefer") => SslMode::Prefer,
            Some("disable") => SslMode::Disable,
            Some("allow") => SslMode::Allow,
            Some("require") => SslMode::Require,
            Some("verify-ca") => SslMode::VerifyCa,
            Some("verify-full") => SslMode::VerifyFull,
            Some(_) => {
                return Err(
                    "sslmode is one of disable, allow, prefer, require, verify-ca, verify-full".into()
                );
            }
        };
        let certificate = word(certificate, "PGSSLCERT").map(PathBuf::from);
        let key = word(key, "PGSSLKEY").map(PathBuf::from);
        let certificate = certificate.or_else(|| self.of_home("postgresql.crt"));
        let key = key.or_else(|| self.of_home("postgresql.key"));
        upstream.client_certificate = match (certificate, key) {
            (Some(certificate), Some(key)) => Some(KeyPair { certificate, key }),
            (Some(_), None) => return Err("sslcert needs sslkey, the file of its private key".into()),
            (None, _) => None,
        };
        Ok(())
    }

    /// A file that libpq looks for on its own.
    fn of_home(&self, name: &str) -> Option<PathBuf> {
        let home = self.environment.get("HOME").filter(|home| !home.is_empty())?;
        Some(PathBuf::from(home).join(".postgresql").join(name)).filter(|path| path.exists())
    }
}

fn password_of(
    login: &Config,
    file: Option<&str>,
    environment: &BTreeMap<String, String>,
) -> Result<Option<String>, String> {
    let named = login.get_hosts().iter().map(|host| match host {
        LoginHost::Tcp(name) => name.clone(),
        LoginHost::Unix(directory) => directory.display().to_string(),
    });
    let mut hosts: Vec<String> = named.collect();
    if hosts.is_empty() {
        hosts = login.get_hostaddrs().iter().map(ToString::to_string).collect();
    }
    let ports = login.get_ports();
    let (Some(user), Some(database)) = (login.get_user(), login.get_dbname()) else { return Ok(None) };
    let mut found: Option<Option<String>> = None;
    for (at, host) in hosts.iter().enumerate() {
        let port = ports.get(at).or(ports.first()).copied().unwrap_or(5432).to_string();
        let own = passfile::password(environment, file, [host, &port, database, user])?;
        if found.as_ref().is_some_and(|before| *before != own) {
            let why =
                "the password file has different passwords for the hosts; name one host, or set PGPASSWORD";
            return Err(why.to_owned());
        }
        found = Some(own);
    }
    Ok(found.flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, variables: &[(&str, &str)]) -> String {
        let environment = variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let Target { login, upstream } = match target(text, &environment) {
            Ok(target) => target,
            Err(why) => return why,
        };
        let password = login.get_password().map(|password| String::from_utf8_lossy(password).into_owned());
        let host = upstream.hosts.first().map(ToString::to_string).unwrap_or_default();
        let (user, database) = (login.get_user().unwrap_or_default(), login.get_dbname().unwrap_or_default());
        format!("{user}@{host}/{database} {password:?} {:?} {:?}", upstream.ssl_mode, upstream.roots)
    }

    #[test]
    fn strings_and_variables() {
        let variables = [("PGUSER", "ann"), ("PGPASSWORD", "secret"), ("PGSSLMODE", "require")];
        let shown = [
            said("postgres://db/shop?sslmode=verify-full&sslrootcert=%2Fa%20b.crt", &[("USER", "bob")]),
            said("postgresql://bob:p%40ss@db:5433/shop?sslmode=allow", &variables),
            said("host=db sslmode = 'verify-ca' sslrootcert=/a.crt dbname = shop", &variables),
            said(r"host=db sslrootcert='/it\'s' password='a b'", &variables),
            said("postgres://", &variables),
            said("host=db sslrootcert=system", &[]),
            said("host=db sslmod=require", &[]),
            said("host=db sslmode=secret", &[]),
            said("host=db password=secret port=secret", &[]),
            said("shop", &[]),
            said("postgres://db/shop?sslcert=/a", &[]),
            said("host=db gssencmode=disable", &[("PGPORT", "secret")]),
            said("postgres://bob:p?secret=x@db/shop", &[]),
            said("host=db password=a secret=b", &[]),
            said("host=db", &[("PGSERVICE", "secret")]),
            said("host=db", &[("PGREQUIREAUTH", "scram-sha-256"), ("PGGSSENCMODE", "prefer")]),
            said("host=db", &[("PGHOSTADDR", "secret")]),
            said("host=db", &[("PGTARGETSESSIONATTRS", "secret")]),
            said(
                "host=db",
                &[("PGHOSTADDR", "10.0.0.1"), ("PGSSLNEGOTIATION", "direct"), ("PGOPTIONS", "-c a=b")],
            ),
        ];
        insta::assert_snapshot!(shown.join("\n"), @r#"
        bob@db:5432/shop None VerifyFull File("/a b.crt")
        bob@db:5433/shop Some("p@ss") Allow Unset
        ann@db:5432/shop Some("secret") VerifyCa File("/a.crt")
        ann@db:5432/ann Some("a b") Require File("/it's")
        ann@localhost:5432/ann Some("secret") Require Unset
        postgres@db:5432/postgres None VerifyFull System
        a parameter of the connection string is not known; did you mean "sslmode"?
        sslmode is one of disable, allow, prefer, require, verify-ca, verify-full
        expected postgres://user@host:port/database, or key=value pairs
        expected postgres://user@host:port/database, or key=value pairs
        sslcert needs sslkey, the file of its private key
        the variable PGPORT has a value that cannot be used
        a parameter of the connection string is not known
        a parameter of the connection string is not known
        the variable PGSERVICE is set, and cannot be honoured here; unset it, and say in the connection string what it means
        the variable PGREQUIREAUTH is set, and cannot be honoured here; unset it, and say in the connection string what it means
        the variable PGHOSTADDR has a value that cannot be used
        the variable PGTARGETSESSIONATTRS has a value that cannot be used
        postgres@db:5432/postgres None Prefer Unset
        "#);
    }
}
