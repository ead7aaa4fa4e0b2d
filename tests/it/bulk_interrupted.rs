//! Batches that are interrupted: what is done is known, and whoever goes on meets no row twice.

use std::process::{Command, Stdio};

use lockkeeper::cluster::{Cluster, Options, Stop};
use rustix::process::Signal;

use crate::support::programs::{Owned, run, without_variables};
use crate::support::proxy::{Proxy, Setup};
use crate::support::raw::{bind, execute, parse, sync};
use crate::support::stage::{Person, Way};
use crate::support::{cluster_with, eventually};

const SETUP: &[&str] = &[
    "CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL)",
    "INSERT INTO t SELECT i, 0 FROM generate_series(1, 3000) i",
    "CREATE TABLE p (id int PRIMARY KEY, n int NOT NULL) PARTITION BY RANGE (id)",
    "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (1000); CREATE TABLE p2 PARTITION OF p DEFAULT",
    "INSERT INTO p SELECT i, 0 FROM generate_series(1, 3000) i",
    "CREATE TABLE q (\"A\" text COLLATE \"C\", b int, n int NOT NULL, PRIMARY KEY (b, \"A\"))",
    "INSERT INTO q SELECT i::text, i % 7, 0 FROM generate_series(1, 3000) i",
    "CREATE TABLE u (id uuid PRIMARY KEY, n int NOT NULL)",
    "INSERT INTO u SELECT md5(i::text)::uuid, 0 FROM generate_series(1, 3000) i",
    "CREATE TABLE d (id text COLLATE \"C\" PRIMARY KEY); INSERT INTO d SELECT i FROM generate_series(1, 3000) i",
    "CREATE TABLE gone (id text, n int DEFAULT 1); CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS \
     'BEGIN INSERT INTO public.gone VALUES (OLD.id); RETURN NULL; END'",
    "CREATE TRIGGER note AFTER DELETE ON d FOR EACH ROW EXECUTE FUNCTION note()",
    "ANALYZE",
];

/// Statements, each with the table that says for which rows it was carried out.
const STATEMENTS: &[(&str, &str)] = &[
    ("t", "UPDATE t SET n = n + 1"),
    ("p", "UPDATE p SET n = n + 1"),
    ("q", "UPDATE q SET n = n + 1"),
    ("u", "UPDATE u SET n = n + 1"),
    ("gone", "DELETE FROM d"),
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

    /// Waits until more than so many rows are written.
    fn further(&self, table: &str, than: &str) {
        let than: u32 = than.parse().expect("a number");
        eventually("more rows are written", || {
            self.rows(table).parse::<u32>().ok().filter(|rows| *rows > than)
        });
    }

    /// How many rows are written.
    fn rows(&self, table: &str) -> String {
        self.now(&format!("SELECT count(*) FROM {table} WHERE n = 1"))
    }

    /// Waits until nobody runs a task any more.
    fn until_tasks(&self, states: &str) {
        let sql = "SELECT string_agg(state, ',' ORDER BY id) FROM lockkeeper.tasks()";
        eventually(&format!("tasks are {states}"), || (self.now(sql) == states).then_some(()));
    }

    fn resume(&self) -> String {
        run(self.resuming()).ok()
    }

    fn resuming(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lockkeeper"));
        without_variables(&mut command);
        command.env("LOCKKEEPER_GUARD_SMALL_TABLE", "0B");
        command.args(["resume", "--url", &self.cluster.url("postgres")]);
        command
    }

    /// Each row was written once, no more and no less.
    #[track_caller]
    fn once(&self, table: &str) {
        assert_eq!(self.now(&format!("SELECT min(n), max(n), count(*) FROM {table}")), "1|1|3000");
    }
}

/// Sends a statement and cancels it in its midst; the number of its task.
#[track_caller]
fn cancelled(stage: &Stage, person: &mut Person, (way, table, sql): (Way, &str, &str)) -> String {
    let before = stage.rows(table);
    person.send(way, sql);
    stage.further(table, &before);
    person.cancel();
    let answer = person.answer();
    assert_eq!(answer.failure(), "57014");
    let said = format!("{} rows are ", stage.rows(table));
    assert!(answer.detail().starts_with(&said) && answer.detail().contains(" and stay so"), "{answer:?}");
    let id = answer.hint().strip_prefix("Go on: lockkeeper resume ").map(str::to_owned);
    id.and_then(|rest| rest.split(',').next().map(str::to_owned)).unwrap_or_else(|| panic!("{answer:?}"))
}

/// However often it is cancelled, whoever goes on: the statement itself, sent again, or `lockkeeper resume`.
#[test]
fn a_cancelled_statement_goes_on_where_it_was() {
    let stage = Stage::new("");
    for (at, (table, sql)) in STATEMENTS.iter().enumerate() {
        let (mut person, way) = (stage.slow(), Way::BOTH[at % 2]);
        let id = cancelled(&stage, &mut person, (way, table, sql));
        let again = format!("/* lockkeeper: resume {id} */ {sql}");
        assert_eq!(cancelled(&stage, &mut person, (way, table, &again)), id);
        // Without a number it is known by its text.
        let again = format!("/* lockkeeper: resume */ {sql}");
        assert_eq!(cancelled(&stage, &mut person, (Way::BOTH[(at + 1) % 2], table, &again)), id);
        if at % 2 == 0 {
            let answer = person.ask(way, &again);
            assert!(answer.tag().ends_with(" 3000"), "the tag has the true total: {answer:?}");
            let told = format!("goes on where it was interrupted (task {id})");
            assert!(answer.notices()[0].ends_with(&told), "{answer:?}");
        } else {
            stage.resume();
        }
        stage.once(table);
        let over = person.ask(way, &again);
        assert_eq!(over.failure(), "55000", "{over:?}");
        assert_eq!(stage.now("SELECT state FROM lockkeeper.tasks() ORDER BY id DESC LIMIT 1"), "done");
    }
}

/// What is sent again goes on with nothing but itself.
#[test]
fn only_the_same_statement_goes_on() {
    let stage = Stage::new("");
    let mut person = stage.slow();
    let sql = "UPDATE t SET n = n + 1 WHERE now() > '2020-01-01'";
    let id = cancelled(&stage, &mut person, (Way::Simple, "t", sql));
    let written = stage.rows("t");
    let with = |directive: &str, sql: &str| format!("/* lockkeeper: {directive} */ {sql}");
    let this = format!("resume {id}");
    for (wrong, says) in [
        (
            with(&this, "UPDATE t SET n = n + 2 WHERE now() > '2020-01-01'"),
            "is another statement than this one",
        ),
        (with(&this, "DELETE FROM t"), "there is no open task"),
        (with("resume", "UPDATE t SET n = n + 3"), "no UPDATE with this text was interrupted"),
        (with(&format!("resmue {id}"), sql), "unrecognized directive"),
        (with(&format!("{this}; rows_per_second 5"), sql), "stands beside others"),
        (format!("/* lockkeeper resume {id} */ UPDATE t SET n = 5"), "is another statement than this one"),
        (
            format!("DO $$ BEGIN /* lockkeeper: resume {id} */ UPDATE t SET n = n + 1; END $$"),
            "this DO cannot go on where it was interrupted",
        ),
        (with("resume 99", sql), "there is no open task \"99\""),
        (with("resume seven", sql), "there is no open task \"seven\""),
        (with(&this, &format!("{sql} RETURNING id")), "this UPDATE cannot go on where it was interrupted"),
        (with(&this, "CREATE TABLE x ()"), "this CREATE TABLE cannot go on where it was interrupted"),
        (with(&this, &format!("{sql}; SELECT 1")), "comes by itself, outside of a transaction"),
    ] {
        for way in Way::BOTH.into_iter().filter(|way| *way == Way::Simple || !wrong.contains("; ")) {
            let answer = person.ask(way, &wrong);
            assert_eq!(answer.failure(), "55000", "{wrong}: {answer:?}");
            let message = answer.error().expect("an error").message();
            assert!(message.contains(says) && !answer.hint().is_empty(), "{wrong}: {answer:?}");
            assert_eq!(answer.status(), 'I');
        }
    }
    person.all(&["BEGIN"]);
    assert_eq!(person.query(&with(&this, sql)).failure(), "55000");
    person.all(&["ROLLBACK"]);
    assert_eq!(stage.rows("t"), written, "nothing of this has written a row");
    // The time is that of the beginning.
    let mut beside = stage.slow();
    person.send(Way::Extended, &with(&this, sql));
    stage.further("t", &written);
    let other = beside.query(&with(&this, sql));
    assert_eq!(other.failure(), "55006", "{other:?}");
    assert_eq!(person.answer().tag(), "UPDATE 3000");
    stage.once("t");
    // One of several of a transaction has to wait for its turn.
    person.each(Way::Simple, &["BEGIN", "UPDATE u SET n = n + 1", "UPDATE q SET n = n + 1"]);
    person.send(Way::Simple, "COMMIT");
    stage.under_way("u");
    person.cancel();
    assert_eq!(person.answer().failure(), "58000");
    let among = person.query(&with("resume", "UPDATE u SET n = n + 1"));
    assert!(among.error().expect("an error").message().contains("of which more is to be done"), "{among:?}");
    stage.resume();
    stage.once("u");
    stage.once("q");
}

/// Values are kept with the statement, and may be others when it comes again.
#[test]
fn with_values_only_a_command_goes_on() {
    let stage = Stage::new("");
    let mut person = stage.slow();
    let valued = |directive: &str| {
        let sql = format!("/* {directive} */ UPDATE t SET n = n + $1");
        [parse("", &sql), bind("", "", &[Some("1")]), execute("", 0), sync()].concat()
    };
    person.raw.send(&valued(""));
    stage.further("t", "0");
    person.cancel();
    assert_eq!(person.answer().failure_if_any(), "57014");
    person.raw.send(&valued("lockkeeper: resume"));
    let unsure = person.answer();
    assert!(unsure.error().expect("an error").message().contains("has the same values"), "{unsure:?}");
    assert!(unsure.hint().contains("lockkeeper resume "), "{unsure:?}");
    stage.resume();
    stage.once("t");
}

/// A session of other settings has its own again, whether it comes to the end or not.
#[test]
fn what_goes_on_does_so_under_the_settings_of_then() {
    let stage = Stage::new("");
    Stage::straight(&stage.cluster).all(&[
        "CREATE SCHEMA x; CREATE TABLE x.t (LIKE t INCLUDING ALL); INSERT INTO x.t SELECT * FROM t; ANALYZE x.t",
        "CREATE ROLE app; GRANT USAGE ON SCHEMA x TO app; GRANT ALL ON x.t TO app",
    ]);
    let mut person = stage.slow();
    person.all(&["SET search_path = x", "SET session_replication_role = replica", "SET ROLE app"]);
    let sql = "UPDATE t SET n = n + 1";
    let id = cancelled(&stage, &mut person, (Way::Simple, "x.t", sql));
    let again = format!("/* lockkeeper: resume {id} */ {sql}");
    let own = "SELECT current_setting('search_path'), current_setting('session_replication_role'), current_user, \
               current_setting('lockkeeper.rows_per_second')";
    let mut other = Person::called(stage.proxy.addr(), &[]);
    other.all(&["SET lockkeeper.rows_per_second = 'off'"]);
    let before = other.table(own);
    for way in Way::BOTH {
        cancelled(&stage, &mut other, (way, "x.t", &again));
        assert_eq!(other.table(own), before);
    }
    assert_eq!(other.query(&again).tag(), "UPDATE 3000");
    assert_eq!(other.table(own), before);
    stage.once("x.t");
    assert_eq!(stage.rows("t"), "0", "a table of the same name is another one");
}

/// A session that cannot have its own settings back ends, and what it has done is known as done.
#[test]
fn who_cannot_be_as_before_ends_with_its_task_done() {
    let stage = Stage::new("");
    let mut person = stage.slow();
    let sql = "UPDATE t SET n = n + 1";
    let id = cancelled(&stage, &mut person, (Way::Simple, "t", sql));
    let mut holder = Stage::straight(&stage.cluster);
    holder.all(&["CREATE ROLE brief SUPERUSER"]);
    holder.all(&["BEGIN", "SELECT FROM t WHERE id = 3000 FOR UPDATE"]);
    person.all(&["SET ROLE brief"]);
    person.send(Way::Simple, &format!("/* lockkeeper: resume {id} */ {sql}"));
    let waits = format!("SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = {}", person.pid());
    eventually("it waits for the last row", || (stage.now(&waits) == "t").then_some(()));
    Stage::straight(&stage.cluster).all(&["DROP ROLE brief"]);
    holder.all(&["COMMIT"]);
    let end = person.raw.until_end();
    assert!(end.iter().all(|frame| frame.tag != b'C'), "{end:?}");
    stage.until_tasks("done");
    stage.once("t");
}

#[test]
fn who_has_sent_it_again_may_leave() {
    for (config, then) in [("", "done"), ("[bulk]\nwithout_client = \"stop\"", "failed")] {
        let stage = Stage::new(config);
        let mut person = stage.slow();
        let sql = "UPDATE t SET n = n + 1";
        cancelled(&stage, &mut person, (Way::Simple, "t", sql));
        let before = stage.rows("t");
        person.send(Way::Extended, &format!("/* lockkeeper: resume */ {sql}"));
        stage.further("t", &before);
        drop(person);
        stage.until_tasks(then);
        stage.resume();
        stage.once("t");
    }
}

#[test]
fn what_was_queued_for_a_table_does_not_go_on_with_another() {
    let stage = Stage::new("");
    let mut person = stage.slow();
    person.each(Way::Simple, &["BEGIN", "UPDATE u SET n = n + 1"]);
    let mut holder = Stage::straight(&stage.cluster);
    holder.all(&["BEGIN", "LOCK TABLE u IN SHARE MODE"]);
    person.send(Way::Simple, "COMMIT");
    stage.until_tasks("running");
    person.cancel();
    assert_eq!(person.answer().failure(), "58000");
    holder.all(&["ROLLBACK", "ALTER TABLE u RENAME TO before", "CREATE TABLE u AS SELECT * FROM before"]);
    let other = person.query("/* lockkeeper: resume */ UPDATE u SET n = n + 1");
    assert_eq!(other.failure(), "55000", "{other:?}");
    assert!(
        other.error().expect("an error").message().starts_with("u is not what it was when task "),
        "{other:?}"
    );
    assert!(other.hint().starts_with("Give the task up"), "{other:?}");
    assert_eq!(stage.now("SELECT max(n) FROM u"), "0");
}

/// Whoever goes on may be killed, too, as often as that happens.
#[test]
fn who_goes_on_is_killed_again_and_again() {
    // No proxy goes on by itself.
    let stage = Stage::new("[bulk]\nwithout_client = \"stop\"");
    for (at, (table, sql)) in STATEMENTS.iter().enumerate() {
        cancelled(&stage, &mut stage.slow(), (Way::BOTH[at % 2], table, sql));
        for _ in 0..2 {
            let before = stage.rows(table);
            let mut command = stage.resuming();
            command.stdout(Stdio::null()).stderr(Stdio::null());
            let resuming = Owned(command.spawn().expect("it starts"));
            stage.further(table, &before);
            resuming.signal(Signal::KILL);
            drop(resuming);
            eventually("its session is over", || {
                let pids = "SELECT count(pid) FROM lockkeeper.tasks()";
                (stage.now(pids) == "0").then_some(())
            });
        }
        assert_ne!(stage.rows(table), "3000", "it was never at its end");
        stage.resume();
        stage.once(table);
    }
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

/// A proxy that is told to stop ends with its batch, and says how it goes on.
#[test]
fn a_proxy_that_stops_says_how_it_goes_on() {
    let stage = Stage::new("");
    let mut person = stage.slow();
    person.send(Way::Simple, "UPDATE t SET n = n + 1");
    stage.under_way("t");
    stage.proxy.signal(Signal::TERM);
    let stopped = person.raw.until_end();
    let stopped = crate::support::stage::Answer(stopped);
    assert_eq!(stopped.failure_if_any(), "57P01", "{stopped:?}");
    assert!(stopped.hint().contains("Go on: lockkeeper resume "), "{stopped:?}");
    stage.resume();
    stage.once("t");
}

/// Neither its time-out nor a patience of its own that is short ends it.
#[test]
fn a_short_time_out_does_not_end_it() {
    let stage = Stage::new("");
    let mut person = stage.slow();
    person.all(&["SET statement_timeout = '300ms'", "SET lock_timeout = '20ms'"]);
    assert_eq!(person.query("UPDATE t SET n = n + 1").tag(), "UPDATE 3000");
    assert_eq!(person.table("SHOW statement_timeout"), "300ms");
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

/// Halts at one of the entries that are written down of how far a statement is, until the gate is open.
const HALT: &str = "
    CREATE SEQUENCE strokes; CREATE TABLE target (stroke int); INSERT INTO target VALUES (0);
    CREATE FUNCTION halt() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF nextval('public.strokes') = (SELECT stroke FROM public.target) THEN
            PERFORM pg_advisory_xact_lock(1);
            WHILE NOT pg_try_advisory_xact_lock(3) LOOP PERFORM pg_sleep(0.005); END LOOP;
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER halt BEFORE INSERT OR UPDATE ON lockkeeper.task FOR EACH ROW EXECUTE FUNCTION halt()";

/// What ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strike {
    Client,
    Proxy,
    Server,
}

/// Strikes at each entry in turn: that there is a task, that it is begun, how far it is with each batch, that it is done. Afterwards all
/// rows are written once, or none is and nothing is left of it.
fn struck(strike: Strike) {
    let mut stage = Stage::new("");
    Stage::straight(&stage.cluster).all(&["DELETE FROM t WHERE id > 600; ANALYZE t"]);
    // The schema is there afterwards.
    assert_eq!(stage.slow().query("UPDATE t SET n = n + 1").tag(), "UPDATE 600");
    Stage::straight(&stage.cluster).all(&[HALT]);
    let mut strokes = 0;
    for stroke in 1.. {
        Stage::straight(&stage.cluster).all(&[
            "UPDATE t SET n = 0; DELETE FROM lockkeeper.task; SELECT setval('strokes', 1, false)",
            &format!("UPDATE target SET stroke = {stroke}"),
        ]);
        let mut gate = Stage::straight(&stage.cluster);
        gate.all(&["SELECT pg_advisory_lock(3)"]);
        let mut client = Person::called(stage.proxy.addr(), &[("application_name", "victim")]);
        client.all(&["SET lockkeeper.bulk_rows = 40"]);
        client.send(Way::BOTH[stroke % 2], "UPDATE t SET n = n + 1");
        let halted =
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 1 AND objsubid = 1";
        let halts = eventually("it halts or ends", || {
            let halts = stage.now(halted) == "1";
            let ends = stage.now("SELECT count(*) FROM lockkeeper.task WHERE state = 'done'") == "1";
            (halts || ends).then_some(halts)
        });
        if !halts {
            break;
        }
        strokes = stroke;
        match strike {
            Strike::Client => drop(client),
            Strike::Proxy => {
                stage.proxy.signal(Signal::KILL);
                stage.proxy.wait();
            }
            Strike::Server => stage.cluster.stop(Stop::Immediate).expect("stops"),
        }
        drop(gate);
        match strike {
            Strike::Client => {}
            Strike::Proxy => stage.proxy = Stage::start(&stage.cluster, &stage.config),
            Strike::Server => stage.cluster.start_again().expect("starts"),
        }
        let there = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'victim'";
        eventually("its session ends", || (stage.now(there) == "0").then_some(()));
        let open = "SELECT count(*) FROM lockkeeper.task WHERE state NOT IN ('done', 'dropped')";
        eventually("somebody goes on", || (stage.now(open) == "0").then_some(()));
        // What had done nothing yet when its client left is given up.
        let begun = stage.now("SELECT count(*) FROM lockkeeper.task WHERE state = 'done'");
        let rows = stage.now("SELECT min(n), max(n), count(*) FROM t");
        assert_eq!(rows, format!("{begun}|{begun}|600"), "{strike:?}, {stroke}");
    }
    assert!(strokes > 7, "{strokes}");
}

#[test]
fn a_client_leaves_at_each_entry() {
    struck(Strike::Client);
}

#[test]
fn a_proxy_is_killed_at_each_entry() {
    struck(Strike::Proxy);
}

#[test]
fn a_server_crashes_at_each_entry() {
    struck(Strike::Server);
}

/// By another key than the one by which it was begun nobody could tell which rows are done.
#[test]
fn nobody_goes_on_by_another_key() {
    let stage = Stage::new("[bulk]\nwithout_client = \"stop\"");
    Stage::straight(&stage.cluster).all(&["ALTER TABLE t ADD other int GENERATED ALWAYS AS IDENTITY UNIQUE"]);
    let mut person = stage.slow();
    let sql = "UPDATE t SET n = n + 1";
    cancelled(&stage, &mut person, (Way::Simple, "t", sql));
    let done = stage.rows("t");
    Stage::straight(&stage.cluster).all(&["ALTER TABLE t DROP CONSTRAINT t_pkey"]);
    let refused = person.query(&format!("/* lockkeeper: resume */ {sql}"));
    assert_eq!(refused.failure(), "55000", "{refused:?}");
    assert!(
        refused.error().expect("an error").message().contains("has another key than when it was begun"),
        "{refused:?}"
    );
    assert_eq!(stage.rows("t"), done);
    Stage::straight(&stage.cluster).all(&["ALTER TABLE t ADD CONSTRAINT another PRIMARY KEY (id)"]);
    assert_eq!(person.query(&format!("/* lockkeeper: resume */ {sql}")).tag(), "UPDATE 3000");
    stage.once("t");
}

/// A table that takes the name of the one that is gone through gets none of its batches.
#[test]
fn a_table_that_takes_the_name_is_let_alone() {
    let stage = Stage::new("");
    let mut person = stage.slow();
    person.send(Way::Simple, "UPDATE u SET n = n + 1");
    stage.under_way("u");
    Stage::straight(&stage.cluster).all(&[
        "BEGIN",
        "ALTER TABLE u RENAME TO before",
        "CREATE TABLE u (LIKE before INCLUDING ALL)",
        "INSERT INTO u SELECT id, 0 FROM before",
        "COMMIT",
    ]);
    let failed = person.answer();
    assert_eq!(failed.failure(), "55000", "{failed:?}");
    assert!(
        failed.error().expect("an error").message().contains("has lost its name to another"),
        "{failed:?}"
    );
    assert_eq!(stage.now("SELECT max(n) FROM u"), "0");
    assert_eq!(stage.now("SELECT max(n), min(n) FROM before"), "1|0");
}

/// What is attached, detached or put in behind the end meanwhile is left alone, and a partition that is gone is told of.
#[test]
fn partitions_come_and_go_meanwhile() {
    let stage = Stage::new("");
    Stage::straight(&stage.cluster).all(&[
        "CREATE TABLE l (id int PRIMARY KEY, n int NOT NULL) PARTITION BY RANGE (id)",
        "CREATE TABLE l1 PARTITION OF l FOR VALUES FROM (0) TO (1000); CREATE TABLE l2 PARTITION OF l FOR VALUES FROM (1000) TO (2000)",
        "CREATE TABLE l3 PARTITION OF l FOR VALUES FROM (2000) TO (9000); CREATE TABLE l4 PARTITION OF l FOR VALUES FROM (9000) TO (9999)",
        "INSERT INTO l SELECT i, 0 FROM generate_series(1, 2500) i; ANALYZE l",
    ]);
    let mut person = stage.slow();
    person.send(Way::Simple, "UPDATE l SET n = n + 1");
    stage.under_way("l");
    Stage::straight(&stage.cluster).all(&[
        "ALTER TABLE l DETACH PARTITION l2",
        "CREATE TABLE l5 PARTITION OF l FOR VALUES FROM (10000) TO (20000)",
        "INSERT INTO l VALUES (3000, 0), (9500, 0), (10000, 0)",
    ]);
    let done = person.answer();
    assert_eq!(done.tag(), "UPDATE 1500", "{done:?}");
    let told = done
        .notices()
        .iter()
        .filter(|notice| notice.contains("a partition was detached or dropped meanwhile"))
        .count();
    assert_eq!(told, 1, "{done:?}");
    assert_eq!(
        stage.now("SELECT string_agg(id::text, ' ' ORDER BY id) FROM l WHERE n <> 1"),
        "3000 9500 10000"
    );
    assert_eq!(stage.now("SELECT max(n) FROM l2"), "0");
}

/// That holds for a partition whose turn has not come, too.
#[test]
fn a_partition_that_gets_another_key_is_not_gone_through() {
    let stage = Stage::new("");
    Stage::straight(&stage.cluster).all(&[
        "CREATE TABLE l (id int NOT NULL, code int NOT NULL, n int NOT NULL) PARTITION BY RANGE (id)",
        "CREATE TABLE l1 PARTITION OF l FOR VALUES FROM (0) TO (2000); CREATE TABLE l2 PARTITION OF l FOR VALUES FROM (2000) TO (9000)",
        "ALTER TABLE l1 ADD UNIQUE (code); ALTER TABLE l2 ADD UNIQUE (code)",
        "INSERT INTO l SELECT i, 5000 - i, 0 FROM generate_series(1, 3000) i; ANALYZE l",
    ]);
    let mut person = stage.slow();
    person.send(Way::Simple, "UPDATE l SET n = n + 1");
    stage.under_way("l");
    Stage::straight(&stage.cluster).all(&["ALTER TABLE l2 ADD PRIMARY KEY (id)"]);
    let failed = person.answer();
    assert_eq!(failed.failure(), "55000", "{failed:?}");
    assert!(
        failed.error().expect("an error").message().contains(".l2 has another key than when it was begun"),
        "{failed:?}"
    );
    assert_eq!(stage.now("SELECT max(n) FROM l2"), "0");
}

/// The client learns what its rows are like, also where there are none.
#[test]
fn nothing_in_all_partitions_is_described() {
    let stage = Stage::new("");
    Stage::straight(&stage.cluster).all(&["DELETE FROM p"]);
    let mut person = stage.slow();
    for way in Way::BOTH {
        let answer = person.ask(way, "DELETE FROM p WHERE id > 0 RETURNING id");
        assert_eq!(answer.tag(), "DELETE 0");
        assert!(answer.0.iter().any(|frame| frame.tag == b'T'), "{answer:?}");
    }
}
