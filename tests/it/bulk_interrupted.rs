//! Batches that are interrupted: what is done is known, and whoever goes on meets no row twice.

use std::process::Command;

use lockkeeper::cluster::{Cluster, Options, Stop};
use rustix::process::Signal;

use crate::support::programs::{run, without_variables};
use crate::support::proxy::{Proxy, Setup};
use crate::support::stage::{Person, Way};
use crate::support::{cluster_with, eventually};

const SETUP: &[&str] = &[
    "CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL)",
    "INSERT INTO t SELECT i, 0 FROM generate_series(1, 3000) i",
    "CREATE TABLE p (id int PRIMARY KEY, n int NOT NULL) PARTITION BY RANGE (id)",
    "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (1000); CREATE TABLE p2 PARTITION OF p DEFAULT",
    "INSERT INTO p SELECT i, 0 FROM generate_series(1, 3000) i",
    "ANALYZE",
];

struct Stage {
    cluster: Cluster,
    proxy: Proxy,
    config: String,
}

impl Stage {
    fn new(config: &str) -> Self {
        let cluster = cluster_with(&Options::new().conf("synchronous_commit = on"));
        Self::straight(&cluster).all(SETUP);
        let config = format!("{config}\n[control]\nurl = \"{}\"", cluster.url("postgres"));
        let proxy = Self::start(&cluster, &config);
        Self { cluster, proxy, config }
    }

    fn start(cluster: &Cluster, config: &str) -> Proxy {
        Setup::new(&cluster.addr()).config(config).start()
    }

    fn straight(cluster: &Cluster) -> Person {
        Person::called(cluster.addr(), &[])
    }

    fn now(&self, sql: &str) -> String {
        Self::straight(&self.cluster).table(sql)
    }

    /// Somebody whose statements take a second for some hundred rows.
    fn slow(&self) -> Person {
        let mut person = Person::called(self.proxy.addr(), &[]);
        person.all(&["SET lockkeeper.bulk_rows = 40", "SET lockkeeper.rows_per_second = 1000"]);
        person
    }

    /// Waits until a part of the rows is written.
    fn under_way(&self, table: &str) {
        let some = format!("SELECT count(*) FROM {table} WHERE n = 1");
        let part = || self.now(&some).parse::<u32>().ok().filter(|rows| (1..3000).contains(rows));
        eventually("some rows are written", part);
    }

    /// Waits until nobody runs a task any more.
    fn until_tasks(&self, states: &str) {
        let sql = "SELECT string_agg(state, ',' ORDER BY id) FROM lockkeeper.tasks()";
        eventually(&format!("tasks are {states}"), || (self.now(sql) == states).then_some(()));
    }

    fn resume(&self) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lockkeeper"));
        without_variables(&mut command);
        command.env("LOCKKEEPER_GUARD_SMALL_TABLE", "0B");
        command.args(["resume", "--url", &self.cluster.url("postgres")]);
        run(command).ok()
    }

    /// Each row was written once, no more and no less.
    #[track_caller]
    fn once(&self, table: &str) {
        assert_eq!(self.now(&format!("SELECT min(n), max(n), count(*) FROM {table}")), "1|1|3000");
    }
}

#[test]
fn a_cancelled_statement_goes_on_where_it_was() {
    let stage = Stage::new("");
    for (at, table) in ["t", "p"].into_iter().enumerate() {
        let mut person = stage.slow();
        person.send(Way::BOTH[at], &format!("UPDATE {table} SET n = n + 1"));
        stage.under_way(table);
        person.cancel();
        let cancelled = person.answer();
        assert_eq!(cancelled.failure(), "57014");
        let written = stage.now(&format!("SELECT count(*) FROM {table} WHERE n = 1"));
        assert!(
            cancelled.detail().starts_with(&format!("{written} rows are updated and stay so")),
            "{cancelled:?}"
        );
        assert!(cancelled.hint().starts_with("Go on: lockkeeper resume "), "{cancelled:?}");
        stage.resume();
        stage.once(table);
    }
    stage.until_tasks("done,done");
}

#[test]
fn a_client_that_leaves_stops_nothing() {
    let stage = Stage::new("");
    let mut person = stage.slow();
    person.send(Way::Simple, "UPDATE t SET n = n + 1");
    stage.under_way("t");
    drop(person);
    stage.until_tasks("done");
    stage.once("t");
}

#[test]
fn a_client_that_leaves_stops_it_where_that_is_wanted() {
    let stage = Stage::new("[bulk]\nwithout_client = \"stop\"");
    let mut person = stage.slow();
    person.send(Way::Simple, "UPDATE t SET n = n + 1");
    stage.under_way("t");
    drop(person);
    stage.until_tasks("failed");
    assert_ne!(stage.now("SELECT count(*) FROM t WHERE n = 0"), "0");
    stage.resume();
    stage.once("t");
}

#[test]
fn another_proxy_goes_on_after_one_that_was_killed() {
    for table in ["t", "p"] {
        let mut stage = Stage::new("");
        let mut person = stage.slow();
        person.send(Way::Extended, &format!("UPDATE {table} SET n = n + 1"));
        stage.under_way(table);
        stage.proxy.signal(Signal::KILL);
        stage.proxy.wait();
        stage.proxy = Stage::start(&stage.cluster, &stage.config);
        stage.until_tasks("done");
        stage.once(table);
    }
}

#[test]
fn a_server_that_was_killed_loses_nothing() {
    let mut stage = Stage::new("");
    let mut person = stage.slow();
    person.send(Way::Simple, "UPDATE t SET n = n + 1");
    stage.under_way("t");
    stage.cluster.stop(Stop::Immediate).expect("stops");
    stage.cluster.start_again().expect("starts");
    stage.until_tasks("done");
    stage.once("t");
}

/// What is queued in a transaction, too: also where few rows are left, or where it writes few from the beginning.
#[test]
fn what_was_queued_is_done_once() {
    let mut stage = Stage::new("");
    let mut person = stage.slow();
    let queued = ["BEGIN", "UPDATE t SET n = n + 1", "UPDATE t SET n = n + 10 WHERE id = 5"];
    person.each(Way::Simple, &queued);
    person.send(Way::Simple, "COMMIT");
    stage.under_way("t");
    stage.proxy.signal(Signal::KILL);
    stage.proxy.wait();
    stage.proxy = Stage::start(&stage.cluster, &stage.config);
    stage.until_tasks("done,done");
    assert_eq!(stage.now("SELECT sum(n), max(n) FROM t"), "3010|11");
}

/// Nothing lets a statement begin anew that is half done.
#[test]
fn what_is_half_done_is_never_run_whole() {
    let stage = Stage::new("");
    let mut person = stage.slow();
    person.send(Way::Simple, "UPDATE t SET n = n + 1");
    stage.under_way("t");
    person.cancel();
    person.answer();
    let written = stage.now("SELECT sum(n) FROM t");
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockkeeper"));
    without_variables(&mut command);
    command.env("LOCKKEEPER_GUARD_HAZARDS", "bulk-write=pass,write-without-where=pass");
    command.args(["resume", "--url", &stage.cluster.url("postgres")]);
    let ran = run(command);
    assert!(ran.code != 0 && ran.stdout.contains("can only go on in batches"), "{ran:?}");
    assert_eq!(stage.now("SELECT sum(n) FROM t"), written);
    stage.resume();
    stage.once("t");
}
