//! Real client libraries: each script prints what an application sees, and has to see the same through the proxy.

use std::fmt::Write as _;

use crate::support::programs::{psql, python, run};
use crate::support::proxy::Proxy;
use crate::support::{cluster, each_major};
use lockkeeper::cluster::{Cluster, Options};

/// Runs a script straight and through the proxy, each with a fresh database.
#[track_caller]
fn sees_the_same(script: &str) {
    let cluster = crate::support::cluster_with(&Options::new().conf("max_prepared_transactions = 5"));
    let proxy = Proxy::start(&cluster);
    for name in ["straight", "through"] {
        create_database(&cluster, name);
    }
    let session = |url: &str| {
        let mut command = python();
        command.args(["-W", "ignore", script, url]);
        run(command).ok()
    };
    let straight = session(&cluster.url("straight"));
    let through = session(&proxy.url("through"));
    assert_eq!(through, straight);
}

fn create_database(cluster: &Cluster, name: &str) {
    let mut command = psql(cluster, &cluster.url("postgres"));
    command.args(["-c", &format!("CREATE DATABASE {name}")]);
    run(command).ok();
}

#[test]
fn psycopg_3() {
    sees_the_same("session_psycopg.py");
}

#[test]
fn psycopg2() {
    sees_the_same("session_psycopg2.py");
}

#[test]
fn asyncpg() {
    sees_the_same("session_asyncpg.py");
}

#[test]
fn django() {
    sees_the_same("session_django.py");
}

/// psql's own transcript, with everything that it prints about results and errors.
#[test]
fn psql_of_every_major() {
    let script = "
        \\set VERBOSITY verbose
        \\set ECHO all
        CREATE TEMP TABLE t (a int PRIMARY KEY, b text);
        INSERT INTO t SELECT n, 'b' || n FROM generate_series(1, 5) n RETURNING a;
        BEGIN; INSERT INTO t VALUES (1, 'twice');
        SELECT 1; ROLLBACK;
        \\set ON_ERROR_ROLLBACK on
        BEGIN;
        INSERT INTO t VALUES (1, 'twice');
        SELECT count(*) FROM t;
        COMMIT;
        \\copy (SELECT * FROM t ORDER BY a) TO STDOUT
        \\set FETCH_COUNT 2
        SELECT * FROM t ORDER BY a;
        \\unset FETCH_COUNT
        SELECT 'SELECT ' || n FROM generate_series(1, 3) n \\gexec
        DO $$ BEGIN RAISE NOTICE 'noted' USING DETAIL = 'in detail', HINT = 'a hint'; END $$;
        PREPARE p (int) AS SELECT $1 * 2;
        EXECUTE p (21);
        DISCARD ALL;
        SHOW server_version_num;
    ";
    for installation in each_major() {
        let cluster = Cluster::start(&Options::new().installation(installation)).expect("a cluster");
        let proxy = Proxy::start(&cluster);
        let transcript = |url: &str| {
            let folder = tempfile::tempdir().expect("temporary folder");
            let file = folder.path().join("script.sql");
            std::fs::write(&file, script).expect("script");
            let mut command = psql(&cluster, url);
            // Errors are part of what is compared: nothing stops at them.
            command.args(["-v", "ON_ERROR_STOP=0", "-L"]).arg("/dev/null").arg("-f").arg(&file);
            command.current_dir(folder.path());
            let ran = run(command);
            let mut both = ran.stdout;
            let errors = ran.stderr.replace(folder.path().to_str().expect("utf-8"), "");
            // The number of a temporary schema is that of the server process.
            for line in errors.lines().filter(|line| !line.contains("pg_temp_")) {
                let _ = writeln!(both, "{line}");
            }
            both
        };
        let straight = transcript(&cluster.url("postgres"));
        assert!(straight.contains("duplicate key value"), "{straight}");
        assert_eq!(transcript(&proxy.url("postgres")), straight);
    }
}

/// A dump taken through the proxy restores through the proxy, and gives the same dump again.
#[test]
fn pg_dump_and_pg_restore() {
    let cluster = cluster();
    let proxy = Proxy::start(&cluster);
    for name in ["source", "copy"] {
        create_database(&cluster, name);
    }
    let mut fill = psql(&cluster, &cluster.url("source"));
    fill.args([
        "-c",
        "CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text);
         INSERT INTO t (body) SELECT repeat(md5(n::text), 20) FROM generate_series(1, 2000) n;
         CREATE TABLE u (t int REFERENCES t, at timestamptz DEFAULT now());
         CREATE INDEX u_at ON u (at); CREATE VIEW v AS SELECT * FROM t; SELECT lo_from_bytea(0, 'large');",
    ]);
    run(fill).ok();
    let program = |name: &str| {
        std::process::Command::new(cluster.installation().program(name).expect("client programs"))
    };
    let folder = tempfile::tempdir().expect("temporary folder");
    let archive = folder.path().join("archive");
    let mut dump = program("pg_dump");
    dump.args(["--format=directory", "--jobs=2", "-d", &proxy.url("source")]).arg("-f").arg(&archive);
    run(dump).ok();
    let mut restore = program("pg_restore");
    restore.args(["--jobs=2", "--exit-on-error", "-d", &proxy.url("copy")]).arg(&archive);
    run(restore).ok();
    let plain = |url: String| {
        let mut dump = program("pg_dump");
        dump.args(["-d", &url]);
        let text = run(dump).ok();
        // Newer minors put a random word there.
        text.lines()
            .filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"))
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert_eq!(plain(proxy.url("copy")), plain(cluster.url("source")));
}

#[test]
fn pgbench_in_every_mode() {
    let cluster = cluster();
    let proxy = Proxy::start(&cluster);
    let url = proxy.url("postgres");
    let pgbench = |arguments: &[&str]| {
        let program = cluster.installation().program("pgbench").expect("pgbench");
        let mut command = std::process::Command::new(program);
        command.args(arguments).arg(&url);
        run(command).ok()
    };
    pgbench(&["--initialize", "--quiet", "--foreign-keys"]);
    for mode in ["simple", "extended", "prepared"] {
        let protocol = format!("--protocol={mode}");
        let said = pgbench(&["--client=4", "--transactions=50", &protocol]);
        assert!(said.contains("number of transactions actually processed: 200/200"), "{said}");
    }
}
