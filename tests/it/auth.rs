//! Who may come in: the server decides, and what it says is what the client hears.

use lockkeeper::cluster::{Cluster, Options};

use crate::support::certificates::{Authority, Issued};
use crate::support::programs::{Ran, psql, run};
use crate::support::proxy::{Proxy, Setup};
use crate::support::raw::Raw;
use crate::support::{cluster_with, eventually};

/// Roles with every kind of password, and those that may not come in.
const ROLES: &str = "
    CREATE ROLE plain LOGIN PASSWORD 'right';
    SET password_encryption = 'md5';
    CREATE ROLE digest LOGIN PASSWORD 'right';
    SET password_encryption = 'scram-sha-256';
    CREATE ROLE app LOGIN PASSWORD 'right';
    CREATE ROLE barred NOLOGIN PASSWORD 'right';
    CREATE ROLE expired LOGIN PASSWORD 'right' VALID UNTIL '2000-01-01';
    CREATE ROLE \"quo\"\"ted\" LOGIN PASSWORD 'right';
";

fn with_roles(options: &Options) -> Cluster {
    let cluster = cluster_with(options);
    let mut admin = Raw::session(cluster.addr());
    let frames = admin.query(ROLES);
    assert!(frames.iter().all(|frame| frame.tag != b'E'), "{frames:?}");
    cluster
}

fn passwords() -> Options {
    Options::new()
        .hba("host all postgres 127.0.0.1/32 trust")
        .hba("host all plain 127.0.0.1/32 password")
        .hba("host all digest 127.0.0.1/32 md5")
        .hba("host all all 127.0.0.1/32 scram-sha-256")
}

/// One login by psql: `SELECT current_user` or what the server says.
fn log_in(cluster: &Cluster, port: u16, user: &str, more: &str) -> Ran {
    let user = user.replace('\'', "\\'");
    let conninfo =
        format!("host=localhost hostaddr=127.0.0.1 port={port} dbname=postgres user='{user}' {more}");
    let mut command = psql(cluster, &conninfo);
    command.args(["-c", "SELECT current_user"]);
    run(command)
}

/// What psql says after `FATAL:`.
fn fatal(ran: &Ran) -> &str {
    assert_ne!(ran.code, 0, "logged in as {}", ran.stdout);
    ran.stderr.split_once("FATAL:  ").map_or(ran.stderr.as_str(), |(_, message)| message)
}

#[test]
fn every_password_method_passes() {
    let cluster = with_roles(&passwords());
    let proxy = Proxy::start(&cluster);
    for user in ["plain", "digest", "app", "quo\"ted"] {
        let ran = log_in(&cluster, proxy.addr().port(), user, "password=right");
        assert_eq!(ran.ok(), user);
    }
    for (user, password) in [
        ("plain", "wrong"),
        ("digest", "wrong"),
        ("app", "wrong"),
        ("nobody", "right"),
        ("barred", "right"),
        ("expired", "right"),
    ] {
        let more = format!("password='{password}'");
        let through = log_in(&cluster, proxy.addr().port(), user, &more);
        let straight = log_in(&cluster, cluster.port(), user, &more);
        assert_eq!(fatal(&through), fatal(&straight), "{user} {password}");
    }
    assert!(!proxy.log().contains("right"), "a password is in the log");
}

/// A cluster with TLS and SCRAM, and what shows certificates around it.
pub(crate) struct Pairing {
    pub(crate) authority: Authority,
    server: Issued,
    pub(crate) cluster: Cluster,
}

impl Pairing {
    pub(crate) fn new() -> Self {
        let authority = Authority::new();
        let server = authority.server("server");
        Self::with(authority, server)
    }

    fn with(authority: Authority, server: Issued) -> Self {
        let cluster = with_roles(&passwords().tls(server.for_cluster(None)));
        Self { authority, server, cluster }
    }

    /// A proxy that shows `shown` and speaks with the server as `sslmode` says.
    pub(crate) fn proxy(&self, shown: &Issued, sslmode: &str) -> Setup {
        Setup::new(&self.cluster.addr())
            .config("[listen.tls]")
            .config("sslmode = 'allow'")
            .config(&format!("cert = {:?}", shown.certificate))
            .config(&format!("key = {:?}", shown.key))
            .config("[upstream]")
            .config(&format!("sslmode = '{sslmode}'"))
    }

    pub(crate) fn with_query(&self, setup: Setup) -> Setup {
        let url = format!("postgresql://postgres@127.0.0.1:{}/postgres", self.cluster.port());
        setup
            .config("[control]")
            .config(&format!("url = '{url}'"))
            .config("[auth]")
            .config("verifier_query = 'SELECT rolpassword FROM pg_catalog.pg_authid WHERE rolname = $1'")
    }

    fn log_in(&self, port: u16, user: &str, more: &str) -> Ran {
        let root = self.authority.root();
        let more = format!("sslmode=verify-full sslrootcert={} {more}", root.display());
        log_in(&self.cluster, port, user, &more)
    }
}

#[test]
fn one_certificate_on_both_legs_binds_through() {
    let pairing = Pairing::new();
    let proxy = pairing.proxy(&pairing.server, "require").start();
    for binding in ["prefer", "require", "disable"] {
        let more = format!("password=right channel_binding={binding}");
        assert_eq!(pairing.log_in(proxy.addr().port(), "app", &more).ok(), "app", "{binding}");
    }
}

#[test]
fn without_tls_to_the_server_there_is_nothing_to_bind() {
    let pairing = Pairing::new();
    let proxy = pairing.proxy(&pairing.authority.server("proxy"), "disable").start();
    let port = proxy.addr().port();
    assert_eq!(pairing.log_in(port, "app", "password=right").ok(), "app");
    assert_eq!(pairing.log_in(port, "app", "password=right channel_binding=disable").ok(), "app");
    let refused = pairing.log_in(port, "app", "password=right channel_binding=require");
    assert!(refused.stderr.contains("channel binding"), "{}", refused.stderr);
}

#[test]
fn without_tls_to_the_client_there_is_nothing_to_bind() {
    let pairing = Pairing::new();
    let proxy = pairing.proxy(&pairing.server, "require").start();
    let come =
        |more: &str| log_in(&pairing.cluster, proxy.addr().port(), "app", &format!("sslmode=disable {more}"));
    assert_eq!(come("password=right").ok(), "app");
    assert_eq!(come("password=right channel_binding=disable").ok(), "app");
    assert!(fatal(&come("password=wrong")).contains("password authentication failed"));
    assert!(come("password=right channel_binding=require").stderr.contains("channel binding"));
}

#[test]
fn different_certificates_without_verifiers_are_said_plainly() {
    let pairing = Pairing::new();
    let proxy = pairing.proxy(&pairing.authority.server("proxy"), "require").start();
    let port = proxy.addr().port();
    assert_eq!(pairing.log_in(port, "app", "password=right channel_binding=disable").ok(), "app");
    let refused = pairing.log_in(port, "app", "password=right");
    assert!(fatal(&refused).starts_with("the login cannot be relayed with channel binding"), "{refused:?}");
    assert!(refused.stderr.contains("auth.verifier_query"), "{refused:?}");
    assert!(proxy.log().contains("unless the proxy shows the server's own certificate"), "{}", proxy.log());
}

#[test]
fn different_certificates_are_bridged_by_a_query() {
    let pairing = Pairing::new();
    let setup = pairing.proxy(&pairing.authority.server("proxy"), "require");
    let proxy = pairing.with_query(setup).start();
    let port = proxy.addr().port();
    for binding in ["prefer", "require", "disable"] {
        let more = format!("password=right channel_binding={binding}");
        for user in ["app", "quo\"ted"] {
            assert_eq!(pairing.log_in(port, user, &more).ok(), user, "{binding}");
        }
    }
    // The server's own words for whoever may not come in, known or not.
    for (user, password) in [("app", "wrong"), ("nobody", "right"), ("barred", "right"), ("expired", "right")]
    {
        let more = format!("password='{password}'");
        let through = pairing.log_in(port, user, &more);
        let straight = pairing.log_in(pairing.cluster.port(), user, &more);
        assert_eq!(fatal(&through), fatal(&straight), "{user}");
    }
    // Other methods pass as they come.
    assert_eq!(pairing.log_in(port, "plain", "password=right").ok(), "plain");
    assert_eq!(pairing.log_in(port, "digest", "password=right").ok(), "digest");
    // A changed password holds at once, and the old one no more.
    Raw::session(pairing.cluster.addr()).query("ALTER ROLE app PASSWORD 'changed'");
    assert_eq!(pairing.log_in(port, "app", "password=changed channel_binding=require").ok(), "app");
    assert!(fatal(&pairing.log_in(port, "app", "password=right")).contains("password authentication failed"));
}

#[test]
fn a_verifier_file_is_read_again_when_it_is_old() {
    let pairing = Pairing::new();
    let folder = tempfile::tempdir().expect("temporary folder");
    let file = folder.path().join("users.txt");
    let write = || {
        let sql = "SELECT rolpassword FROM pg_authid WHERE rolname = 'app'";
        let rows = Raw::session(pairing.cluster.addr()).rows(sql);
        let verifier = rows[0][0].as_deref().expect("a verifier");
        std::fs::write(&file, format!("\"app\" \"{verifier}\"\n")).expect("verifier file");
    };
    write();
    let proxy = pairing
        .proxy(&pairing.authority.server("proxy"), "require")
        .config("[auth]")
        .config(&format!("verifier_file = {file:?}"))
        .start();
    let port = proxy.addr().port();
    assert_eq!(pairing.log_in(port, "app", "password=right channel_binding=require").ok(), "app");
    Raw::session(pairing.cluster.addr()).query("ALTER ROLE app PASSWORD 'changed'");
    let refused = pairing.log_in(port, "app", "password=changed");
    assert!(fatal(&refused).contains("password authentication failed"), "{refused:?}");
    write();
    assert_eq!(pairing.log_in(port, "app", "password=changed").ok(), "app");
}

#[test]
fn a_certificate_without_a_hash_is_bridged_without_binding() {
    let pairing = Pairing::new();
    let shown = pairing.authority.server_without_binding("proxy");
    let proxy = pairing.with_query(pairing.proxy(&shown, "require")).start();
    assert_eq!(pairing.log_in(proxy.addr().port(), "app", "password=right").ok(), "app");
    assert!(fatal(&pairing.log_in(proxy.addr().port(), "app", "password=wrong")).contains("failed"));
}

#[test]
fn a_client_certificate_of_the_proxys_logs_in_upstream() {
    let authority = Authority::new();
    let server = authority.server("server");
    let options = Options::new()
        .hba("hostssl all alice 127.0.0.1/32 cert")
        .hba("host all alice 127.0.0.1/32 reject")
        .tls(server.for_cluster(Some(&authority)));
    let cluster = cluster_with(&options);
    Raw::session(cluster.addr()).query("CREATE ROLE alice LOGIN");
    let own = authority.client("alice");
    let setup = Setup::new(&cluster.addr())
        .config("[upstream]")
        .config("sslmode = 'verify-full'")
        .config(&format!("sslrootcert = {:?}", authority.root()))
        .config(&format!("sslcert = {:?}", own.certificate))
        .config(&format!("sslkey = {:?}", own.key));
    let proxy = setup.start();
    assert_eq!(log_in(&cluster, proxy.addr().port(), "alice", "").ok(), "alice");
    let straight = log_in(&cluster, cluster.port(), "alice", "sslmode=disable");
    assert!(fatal(&straight).contains("pg_hba.conf rejects"), "{straight:?}");
}

#[test]
fn a_second_start_up_packet_changes_nobody() {
    use crate::support::raw::{PROTOCOL_3_0, startup};
    let cluster = with_roles(&passwords());
    let proxy = Proxy::start(&cluster);
    let mut client = Raw::connect(proxy.addr());
    client.send(&startup(PROTOCOL_3_0, &[("user", "app"), ("database", "postgres")]));
    assert_eq!(client.frame().tag, b'R');
    client.send(&startup(PROTOCOL_3_0, &[("user", "postgres"), ("database", "postgres")]));
    let frames = client.until_end();
    assert!(frames.iter().all(|frame| frame.tag == b'E'), "{frames:?}");
}

#[test]
fn a_client_that_leaves_during_the_login_leaves_nothing_behind() {
    use crate::support::raw::{PROTOCOL_3_0, startup};
    let cluster = with_roles(&passwords());
    let proxy = Proxy::start(&cluster);
    for _ in 0..5 {
        let mut client = Raw::connect(proxy.addr());
        client.send(&startup(PROTOCOL_3_0, &[("user", "app"), ("database", "postgres")]));
        assert_eq!(client.frame().tag, b'R');
    }
    let mut admin = Raw::session(cluster.addr());
    eventually("the backends are gone", || {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' OR state IS NULL AND backend_type = 'client backend'";
        (admin.rows(sql)[0][0].as_deref() == Some("0")).then_some(())
    });
}
