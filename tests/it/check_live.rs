//! The review with a real database: how it connects, and what it asks.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use lockkeeper::cluster::{Cluster, Options};
use tempfile::TempDir;

use crate::support::certificates::Authority;
use crate::support::programs::{Ran, run, without_variables};
use crate::support::raw::Raw;
use crate::support::{cluster_with, eventually};

/// `lockkeeper check --url` of one statement, with nothing in its environment but `variables`.
fn checked(url: &str, variables: &[(&str, &str)]) -> Ran {
    let folder = TempDir::new().expect("folder");
    let file = folder.path().join("one.sql");
    std::fs::write(&file, "ALTER TABLE orders ADD COLUMN region text;").expect("write");
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockkeeper"));
    without_variables(&mut command);
    command.env("HOME", folder.path()).env("USER", "postgres");
    command.envs(variables.iter().copied()).args(["check", "--url", url]).arg(file);
    run(command)
}

fn url(cluster: &Cluster, host: &str, words: &str) -> String {
    format!("postgres://app:wonderland@{host}:{}/postgres?{words}", cluster.port())
}

/// A server that lets `app` in with a password by TLS only, under a certificate of `authority`.
fn encrypted(authority: &Authority) -> Cluster {
    let tls = authority.server("server").for_cluster(None);
    let options = Options::new().tls(tls).conf("log_connections = on");
    let options = options.hba("hostssl all app all scram-sha-256").hba("host all app all reject");
    let cluster = cluster_with(&options);
    let mut admin = Raw::session(cluster.addr());
    admin.rows("CREATE ROLE app LOGIN PASSWORD 'wonderland'");
    admin.rows("CREATE TABLE orders (id int PRIMARY KEY)");
    cluster
}

fn path(path: &Path) -> &str {
    path.to_str().expect("path")
}

#[test]
fn tls_as_libpq_has_it() {
    let (ours, other) = (Authority::new(), Authority::new());
    let cluster = encrypted(&ours);
    let (ours, other) = (ours.root(), other.root());
    let (ours, other) = (path(&ours), path(&other));
    for words in [
        "sslmode=prefer".to_owned(),
        "sslmode=allow".to_owned(),
        "sslmode=require".to_owned(),
        "sslmode=require&channel_binding=require".to_owned(),
        format!("sslmode=verify-ca&sslrootcert={ours}"),
        format!("sslmode=verify-full&sslrootcert={ours}"),
    ] {
        let ran = checked(&url(&cluster, "localhost", &words), &[]);
        assert_eq!(ran.code, 0, "{words}: {}", ran.stderr);
    }
    eventually("all of them came by TLS", || {
        (cluster.log().matches("connection authorized: user=app").count() == 6).then_some(())
    });
    assert_eq!(cluster.log().matches("connection authorized: user=app").count(), 6);
    for (words, part) in [
        ("sslmode=disable".to_owned(), "look at user, database and sslmode"),
        (format!("sslmode=verify-full&sslrootcert={other}"), "name the right one by sslrootcert=FILE"),
        (format!("sslmode=verify-ca&sslrootcert={other}"), "name the right one by sslrootcert=FILE"),
        ("sslmode=verify-ca".to_owned(), "sslmode verify-ca needs"),
        ("sslmode=verify-full&sslrootcert=/nowhere".to_owned(), "cannot read root certificate"),
        ("sslmode=verify-fool".to_owned(), "sslmode is one of"),
        ("sslmod=require".to_owned(), "did you mean \"sslmode\"?"),
    ] {
        let ran = checked(&url(&cluster, "localhost", &words), &[]);
        assert_eq!(ran.code, 2, "{words}: {}", ran.stdout);
        assert!(ran.stderr.contains(part), "{words}: {part} is missing in {}", ran.stderr);
        assert!(!ran.stderr.contains("wonderland"), "{}", ran.stderr);
    }
    // Resolved by nobody: `hostaddr` says where it is.
    let words = format!("sslmode=verify-full&sslrootcert={ours}&hostaddr=127.0.0.1");
    let ran = checked(&url(&cluster, "elsewhere", &words), &[]);
    assert!(ran.stderr.contains("is for another host name"), "{}", ran.stderr);
}

#[test]
fn a_certificate_is_shown_to_the_server() {
    let authority = Authority::new();
    let tls = authority.server("server").for_cluster(Some(&authority));
    let cluster = cluster_with(&Options::new().tls(tls).hba("hostssl all app all cert"));
    let mut admin = Raw::session(cluster.addr());
    admin.rows("CREATE ROLE app LOGIN");
    let client = authority.client("app");
    let (certificate, key) = (path(&client.certificate), path(&client.key));
    let bare = format!("postgres://app@localhost:{}/postgres?sslmode=require", cluster.port());
    assert_eq!(checked(&format!("{bare}&sslcert={certificate}&sslkey={key}"), &[]).code, 0);
    assert_eq!(checked(&bare, &[("PGSSLCERT", certificate), ("PGSSLKEY", key)]).code, 0);
    assert_eq!(checked(&bare, &[]).code, 2);
    if cluster.installation().major >= 17 {
        let direct = format!("{bare}&sslnegotiation=direct&sslcert={certificate}&sslkey={key}");
        let ran = checked(&direct, &[]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
    }
}

#[test]
fn passwords_come_as_for_psql() {
    let authority = Authority::new();
    let cluster = encrypted(&authority);
    let url = format!("host=localhost port={} user=app dbname=postgres", cluster.port());
    let folder = TempDir::new().expect("folder");
    let file = folder.path().join("passwords");
    std::fs::write(&file, "localhost:*:*:app:wonderland\n").expect("write");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("mode");
    let open = checked(&url, &[("PGPASSFILE", path(&file))]);
    assert!(open.code == 2 && open.stderr.contains("chmod 0600"), "{}", open.stderr);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("mode");
    assert_eq!(checked(&url, &[("PGPASSWORD", "wonderland")]).code, 0);
    assert_eq!(checked(&url, &[("PGPASSFILE", path(&file))]).code, 0);
    assert_eq!(checked(&format!("{url} passfile={}", file.display()), &[]).code, 0);
    let port = cluster.port().to_string();
    let variables = [
        ("PGHOST", "localhost"),
        ("PGPORT", &port),
        ("PGUSER", "app"),
        ("PGDATABASE", "postgres"),
        ("PGPASSWORD", "wonderland"),
        ("PGSSLMODE", "require"),
    ];
    assert_eq!(checked("postgres://", &variables).code, 0);
    let elsewhere = [variables.as_slice(), &[("PGHOSTADDR", "127.0.0.1")]].concat();
    assert_eq!(checked("postgres://", &elsewhere).code, 0);
    let service = checked("postgres://", &[variables.as_slice(), &[("PGSERVICE", "shop")]].concat());
    assert!(service.code == 2 && service.stderr.contains("PGSERVICE"), "{}", service.stderr);
    for (variables, part) in [
        (vec![], "the server asks for a password; give it by PGPASSWORD"),
        (vec![("PGPASSWORD", "looking-glass")], "password authentication failed"),
    ] {
        let ran = checked(&url, &variables);
        assert_eq!(ran.code, 2);
        assert!(ran.stderr.contains(part), "{part} is missing in {}", ran.stderr);
        assert!(ran.stderr.contains(&format!("localhost:{port}")), "{}", ran.stderr);
        assert!(!ran.stderr.contains("looking-glass"), "{}", ran.stderr);
    }
}

#[test]
fn a_server_without_tls_says_so() {
    let cluster = cluster_with(&Options::new());
    let port = cluster.port();
    let ran = checked(&format!("postgres://postgres@127.0.0.1:{port}/postgres?sslmode=require"), &[]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("the server does not support TLS, but sslmode demands it"), "{}", ran.stderr);
    let nobody = checked("postgres://postgres@127.0.0.1:1/postgres", &[]);
    assert_eq!(nobody.code, 2);
    assert!(nobody.stderr.contains("cannot connect to 127.0.0.1:1: connection refused"), "{}", nobody.stderr);
}

#[test]
fn each_table_is_asked_for_once() {
    let cluster = cluster_with(&Options::new().conf("log_statement = all"));
    let mut admin = Raw::session(cluster.addr());
    for table in 0..5 {
        admin.rows(&format!("CREATE TABLE t{table} (id int PRIMARY KEY, a int)"));
    }
    let before = cluster.log().matches("execute ").count();
    let folder = TempDir::new().expect("folder");
    let file = folder.path().join("long.sql");
    let sql = (0..10_000).map(|n| format!("ALTER TABLE t{} ADD COLUMN c{n} text;\n", n % 5));
    std::fs::write(&file, sql.collect::<String>()).expect("write");
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockkeeper"));
    without_variables(&mut command);
    command.args(["check", "--url", &cluster.url("postgres")]).arg(file);
    assert_eq!(run(command).code, 0);
    let asked = cluster.log().matches("execute ").count() - before;
    assert!((1..20).contains(&asked), "{asked} questions");
}

#[test]
fn a_role_without_rights_on_tables_is_enough() {
    let cluster = cluster_with(&Options::new());
    let mut admin = Raw::session(cluster.addr());
    admin.rows("CREATE SCHEMA sales");
    admin.rows("CREATE TABLE sales.orders (id int PRIMARY KEY, amount int)");
    admin.rows("INSERT INTO sales.orders SELECT n, n FROM generate_series(1, 300000) n");
    admin.rows("CREATE ROLE nobody LOGIN");
    admin.rows("REVOKE ALL ON SCHEMA public FROM PUBLIC");
    let folder = TempDir::new().expect("folder");
    let file = folder.path().join("one.sql");
    std::fs::write(&file, "ALTER TABLE sales.orders ADD CHECK (amount > 0);").expect("write");
    let report = |user: &str| {
        let url = format!("postgres://{user}@127.0.0.1:{}/postgres", cluster.port());
        let mut command = Command::new(env!("CARGO_BIN_EXE_lockkeeper"));
        without_variables(&mut command);
        command.args(["check", "--url", &url, "--format", "json"]).arg(&file);
        run(command)
    };
    let shut_out = report("nobody");
    assert_eq!(shut_out.code, 2);
    assert!(shut_out.stderr.contains("the role needs USAGE on the schemas"), "{}", shut_out.stderr);
    admin.rows("GRANT USAGE ON SCHEMA sales TO nobody");
    let (owner, nobody) = (report("postgres"), report("nobody"));
    assert_eq!(nobody.code, 1, "{}", nobody.stderr);
    assert_eq!(nobody.stdout, owner.stdout);
}

/// What hangs on a table is told where it goes with it, or stops the statement.
#[test]
fn victims_are_named() {
    let cluster = cluster_with(&Options::new());
    let mut admin = Raw::session(cluster.addr());
    admin.rows("CREATE TABLE orders (id int PRIMARY KEY, amount int, note varchar(5))");
    admin.rows("INSERT INTO orders SELECT n, n FROM generate_series(1, 300000) n");
    admin.rows("CREATE TABLE items (id int PRIMARY KEY REFERENCES orders)");
    admin.rows("CREATE TABLE parcels (id int REFERENCES items)");
    admin.rows("CREATE VIEW totals AS SELECT id, amount FROM orders");
    admin.rows("CREATE MATERIALIZED VIEW \"Big\" AS SELECT id FROM totals WHERE amount > 9");
    let folder = TempDir::new().expect("folder");
    for (sql, expected) in [
        (
            "DROP TABLE orders CASCADE",
            vec!["CASCADE drops the views that need it, too: public.totals, public.\"Big\"."],
        ),
        (
            "DROP TABLE orders",
            vec!["Without CASCADE Postgres refuses it (2BP01), since views need it: public.totals"],
        ),
        (
            "ALTER TABLE orders DROP COLUMN amount",
            vec!["(2BP01), since views need it: public.totals, public.\"Big\"."],
        ),
        (
            "ALTER TABLE orders ALTER COLUMN amount TYPE bigint",
            vec!["(0A000) while views need the column: public.totals"],
        ),
        (
            "TRUNCATE orders CASCADE",
            vec!["truncating orders destroys", "truncating items destroys", "truncating parcels destroys"],
        ),
    ] {
        let file = folder.path().join("one.sql");
        std::fs::write(&file, sql).expect("write");
        let mut command = Command::new(env!("CARGO_BIN_EXE_lockkeeper"));
        without_variables(&mut command);
        command.args(["check", "--url", &cluster.url("postgres")]).arg(file);
        let said = run(command).stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        for expected in expected {
            assert!(said.contains(expected), "{sql}: {said}");
        }
    }
}
