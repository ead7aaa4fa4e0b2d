//! What was left unfinished before the proxy began is told once, shown by `status`, and gone when its statements were run.

use std::process::Command;

use crate::support::programs::{run, without_variables};
use crate::support::proxy::{Proxy, Setup};
use crate::support::stage::{Person, Way};
use crate::support::{cluster_with, each_major, eventually};

use lockkeeper::cluster::{Cluster, Options};

/// Everything but the partition.
const UNFINISHED: &[&str] = &[
    "CREATE TABLE t (id int PRIMARY KEY, a int, b int NOT NULL)",
    "INSERT INTO t SELECT n, n % 2, n FROM generate_series(1, 10) n",
    "CREATE TABLE p (id int) PARTITION BY RANGE (id)",
    "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10)",
    "CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20)",
    "CREATE INDEX p_id ON ONLY p (id)",
    "ALTER TABLE t ADD CONSTRAINT positive CHECK (a >= 0) NOT VALID",
    "ALTER TABLE t ADD CONSTRAINT t_b_not_null1 CHECK (b IS NOT NULL)",
    "ALTER TABLE t ADD CONSTRAINT meant_so CHECK (b > 0)",
];

const LISTED: [&str; 6] = [
    "DROP INDEX CONCURRENTLY public.t_a",
    "DROP INDEX CONCURRENTLY public.t_pkey_ccnew",
    "DROP INDEX public.p_id",
    "ALTER TABLE public.p DETACH PARTITION public.p2 FINALIZE",
    "ALTER TABLE public.t VALIDATE CONSTRAINT positive",
    "ALTER TABLE public.t DROP CONSTRAINT t_b_not_null1",
];

fn leave(cluster: &Cluster) -> Person {
    let mut admin = Person::called(cluster.addr(), &[]);
    admin.all(UNFINISHED);
    for name in ["t_a", "t_pkey_ccnew"] {
        let built = admin.query(&format!("CREATE UNIQUE INDEX CONCURRENTLY {name} ON t (a)"));
        assert_eq!(built.failure(), "23505");
    }
    if cluster.installation().major >= 14 {
        let mut reader = Person::called(cluster.addr(), &[]);
        reader.all(&["BEGIN", "SELECT FROM p"]);
        let mut detaches = Person::called(cluster.addr(), &[]);
        detaches.send(Way::Simple, "ALTER TABLE p DETACH PARTITION p2 CONCURRENTLY");
        let waits =
            format!("SELECT wait_event = 'virtualxid' FROM pg_stat_activity WHERE pid = {}", detaches.pid());
        eventually(&waits, || (admin.table(&waits) == "t").then_some(()));
        detaches.cancel();
        assert_eq!(detaches.answer().failure(), "57014");
    }
    admin
}

fn start(cluster: &Cluster, folder: &str) -> Proxy {
    let config = format!(
        "[control]\nurl = \"{}\"\n[operator]\nsocket_directory = {folder:?}",
        cluster.url("postgres")
    );
    Setup::new(&cluster.addr()).config(&config).start()
}

fn status(folder: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockkeeper"));
    command.args(["status", "--socket", folder]);
    without_variables(&mut command);
    run(command).stdout
}

#[test]
fn what_was_left_unfinished_is_told_at_the_start() {
    for installation in each_major() {
        let major = installation.major;
        let cluster = cluster_with(&Options::new().installation(installation));
        let mut admin = leave(&cluster);
        let folder = tempfile::tempdir().expect("folder");
        let folder = folder.path().to_str().expect("text");
        let proxy = start(&cluster, folder);
        let expected: Vec<&str> =
            LISTED.into_iter().filter(|it| major >= 14 || !it.contains("FINALIZE")).collect();
        eventually("all is told", || {
            let log = proxy.log();
            expected.iter().all(|it| log.contains(&format!("run_by_hand={it}"))).then_some(())
        });
        assert_eq!(
            proxy.log().matches("looks unfinished").count(),
            expected.len(),
            "{major}: {}",
            proxy.log()
        );
        let shown = status(folder);
        for sql in &expected {
            assert!(shown.contains(&format!("{sql};")), "{major}: {sql}: {shown}");
        }
        drop(proxy);
        admin.all(&expected);
        admin.all(&["ALTER TABLE t ADD CONSTRAINT late CHECK (a < 100) NOT VALID"]);
        let proxy = start(&cluster, folder);
        eventually("the last one is told", || proxy.log().contains("name=late on public.t").then_some(()));
        assert_eq!(proxy.log().matches("looks unfinished").count(), 1, "{major}: {}", proxy.log());
    }
}

#[test]
fn every_database_is_looked_at_and_what_the_role_lacks_is_said() {
    let cluster = cluster_with(&Options::new());
    let mut admin = Person::called(cluster.addr(), &[]);
    admin.all(&["CREATE DATABASE other", "CREATE ROLE blind LOGIN"]);
    let other = Person::called(cluster.addr(), &[("database", "other")]);
    let mut other = other;
    other.all(&["CREATE TABLE t (a int)", "ALTER TABLE t ADD CONSTRAINT late CHECK (a < 100) NOT VALID"]);
    let folder = tempfile::tempdir().expect("folder");
    let proxy = start(&cluster, folder.path().to_str().expect("text"));
    eventually("what is left elsewhere is told", || {
        proxy.log().contains("name=late on public.t").then_some(())
    });
    assert!(proxy.log().contains("database=other") && !proxy.log().contains("pg_monitor"), "{}", proxy.log());
    let control = |user: &str| {
        let url = cluster.url("postgres").replace("postgres@", &format!("{user}@"));
        Setup::new(&cluster.addr()).config(&format!("[control]\nurl = \"{url}\"")).start()
    };
    let proxy = control("blind");
    eventually("what it does not see is said", || proxy.log().contains("role=blind").then_some(()));
    assert!(proxy.log().contains("GRANT pg_monitor"), "{}", proxy.log());
    let proxy = control("nobody");
    eventually("that there is none is said", || {
        proxy.log().contains("control connection cannot be had").then_some(())
    });
    assert!(proxy.log().contains("does not exist"), "{}", proxy.log());
}
