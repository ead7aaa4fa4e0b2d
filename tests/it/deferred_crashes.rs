//! Whatever ends in the midst of a transaction's deferred work, and whenever: afterwards the transaction has never happened, or
//! `lockkeeper resume` brings about what it asked for.

use std::process::Command;

use lockkeeper::cluster::{Cluster, Options, Stop};

use crate::faults_stage::HALT;
use crate::support::programs::{run, without_variables};
use crate::support::proxy::{Proxy, Setup};
use crate::support::stage::{Person, Way};
use crate::support::twins::{STATE, kept};
use crate::support::{cluster_with, eventually};

const TABLES: &str = "
    CREATE TABLE t (a int, b text, c int);
    INSERT INTO t SELECT n, 'b', n FROM generate_series(1, 100) n;
    CREATE TABLE many (id int PRIMARY KEY, n int NOT NULL);
    INSERT INTO many SELECT n, 0 FROM generate_series(1, 300) n;
    CREATE TABLE seen (version int)";

/// A migration: brief parts, an index and what hangs on it, proofs, a key, rows that are written in batches, a column that is filled.
const STATEMENTS: [&str; 12] = [
    "BEGIN",
    "SET LOCAL lockkeeper.bulk_rows = 40",
    "UPDATE many SET n = n + 1",
    "ALTER TABLE many ADD COLUMN token uuid NOT NULL DEFAULT gen_random_uuid()",
    "ALTER TABLE t ADD COLUMN extra int",
    "CREATE INDEX ix ON t (a)",
    "ALTER INDEX ix RENAME TO iy",
    "ALTER TABLE t ADD CONSTRAINT positive CHECK (a > 0)",
    "ALTER TABLE t ALTER b SET NOT NULL",
    "ALTER TABLE t ADD UNIQUE (c)",
    "INSERT INTO seen VALUES (7)",
    "COMMIT",
];

/// What became of the rows: each is written once, and has a token of its own.
const ROWS: &str = "SELECT min(n), max(n), count(*), count(DISTINCT to_jsonb(many) ->> 'token') FROM many";

/// The same halt for what is written down of the queue; of what is done range by range the first note counts of how far it is.
const HALT_IN_BOOKS: &str = "
    CREATE FUNCTION halt_in_books() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF TG_OP = 'UPDATE' AND NEW.state = OLD.state AND OLD.at IS NOT NULL THEN RETURN NEW; END IF;
        IF nextval('public.strokes') = (SELECT stroke FROM public.target) THEN
            PERFORM pg_advisory_xact_lock(1);
            WHILE NOT pg_try_advisory_xact_lock(3) LOOP PERFORM pg_sleep(0.005); END LOOP;
        END IF;
        RETURN NEW;
    END $$";

const HALT_BEFORE_ENTRIES: &str = "CREATE TRIGGER halt BEFORE INSERT OR UPDATE ON lockkeeper.task FOR EACH ROW EXECUTE FUNCTION halt_in_books()";

const HALT_BEFORE_COMMANDS: &str = "CREATE EVENT TRIGGER halt ON ddl_command_start EXECUTE FUNCTION halt()";

const VICTIM: &str = "victim";

/// What ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strike {
    Client,
    Proxy,
    Server,
}

/// When the work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// Before the COMMIT is answered.
    Awaited,
    /// By a session of the proxy's, behind it.
    Background,
}

impl When {
    fn setting(self) -> &'static str {
        match self {
            Self::Awaited => "SET lockkeeper.deferred = 'wait'",
            Self::Background => "SET lockkeeper.deferred = 'background'",
        }
    }
}

/// Where it is struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// Commands that change the schema.
    Commands,
    /// What is written down of the queue: that there is a task, that it is begun, how far it is, that it is done.
    Entries,
}

struct Stage {
    cluster: Cluster,
    proxy: Option<Proxy>,
}

impl Stage {
    fn new() -> Self {
        let cluster = cluster_with(&Options::new().conf("synchronous_commit = on"));
        Self::called(&cluster, "postgres").all(&["CREATE DATABASE plain", "CREATE DATABASE online"]);
        let mut stage = Self { cluster, proxy: None };
        stage.start_proxy();
        stage.resume();
        stage
    }

    fn called(cluster: &Cluster, database: &str) -> Person {
        Person::called(cluster.addr(), &[("database", database)])
    }

    fn beside(&self) -> Person {
        Self::called(&self.cluster, "online")
    }

    fn start_proxy(&mut self) {
        let control = format!("[control]\nurl = \"{}\"", self.cluster.url("online"));
        self.proxy.get_or_insert_with(|| Setup::new(&self.cluster.addr()).config(&control).start());
    }

    /// What a person types who finds the work unfinished; the schema is there afterwards.
    fn resume(&self) {
        for words in [["init"], ["resume"]] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_lockkeeper"));
            without_variables(&mut command);
            command.env("LOCKKEEPER_GUARD_SMALL_TABLE", "0B");
            command.args(words).args(["--url", &self.cluster.url("online")]);
            let ran = run(command);
            // A proxy that is there goes on by itself, and is not joined.
            assert!(ran.code == 0 || self.proxy.is_some() && ran.stdout.contains("somebody else"), "{ran:?}");
        }
        let mut beside = self.beside();
        let open = "SELECT count(*) FROM lockkeeper.task WHERE state IN ('queued', 'running')";
        eventually("nothing is left to be done", || (beside.table(open) == "0").then_some(()));
    }

    /// The state that the plain transaction reaches.
    fn outcome(&self) -> String {
        let mut plain = Self::called(&self.cluster, "plain");
        plain.all(&[
            "DROP SCHEMA IF EXISTS public CASCADE",
            "CREATE SCHEMA public",
            TABLES,
            HALT,
            HALT_IN_BOOKS,
        ]);
        plain.all(&STATEMENTS);
        plain.table(STATE)
    }

    /// The transaction goes on up to this command or entry, counted from 1; nothing where it ends before.
    fn begin(&self, (before, when): (Before, When), stroke: usize, way: Way) -> Option<(Person, Person)> {
        let mut beside = self.beside();
        beside.all(&[
            "DROP EVENT TRIGGER IF EXISTS halt",
            "DROP SCHEMA public CASCADE",
            "CREATE SCHEMA public",
            TABLES,
            HALT,
            HALT_IN_BOOKS,
        ]);
        beside.all(&[
            "DELETE FROM lockkeeper.task",
            &format!("UPDATE target SET stroke = {stroke}"),
            match before {
                Before::Commands => HALT_BEFORE_COMMANDS,
                Before::Entries => HALT_BEFORE_ENTRIES,
            },
        ]);
        let mut gate = self.beside();
        gate.all(&["SELECT pg_advisory_lock(3)"]);
        let addr = self.proxy.as_ref().expect("a proxy").addr();
        let mut client = Person::called(addr, &[("database", "online"), ("application_name", VICTIM)]);
        for sql in [&[when.setting()], STATEMENTS.as_slice()].concat() {
            client.send(way, sql);
        }
        // Whoever it is: after a crash the proxy may be the first to take up what the session has queued.
        let halted =
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 1 AND objsubid = 1";
        let ended = "SELECT count(*) FROM lockkeeper.task WHERE state = 'done' HAVING count(*) > 0 AND count(*) = (SELECT count(*) FROM lockkeeper.task)";
        let halts = eventually("it halts or ends", || {
            if beside.table(halted) == "1" {
                return Some(true);
            }
            (!beside.table(ended).is_empty()).then_some(false)
        });
        halts.then_some((client, gate))
    }

    fn strike(&mut self, strike: Strike, client: Person, gate: Person) {
        match strike {
            Strike::Client => drop(client),
            Strike::Proxy => self.proxy = None,
            Strike::Server => self.cluster.stop(Stop::Immediate).expect("stopped"),
        }
        drop(gate);
        if strike == Strike::Server {
            self.cluster.start_again().expect("started");
        }
        let mut beside = self.beside();
        let gone = format!("SELECT count(*) FROM pg_stat_activity WHERE application_name = '{VICTIM}'");
        eventually("its backend ends", || (beside.table(&gone) == "0").then_some(()));
        beside.all(&["DROP EVENT TRIGGER IF EXISTS halt"]);
    }
}

/// Where a fill was taken back the column that is added again has a later number.
fn without_number(line: &str) -> String {
    let filled = "column|public.many.token|";
    match line.strip_prefix(filled).and_then(|rest| rest.split_once(' ')) {
        Some((_, rest)) => format!("{filled}{rest}"),
        None => line.to_owned(),
    }
}

fn unlike(now: &str, end: &str) -> Vec<String> {
    let lines = |state| kept(state).into_iter().map(without_number).collect::<Vec<_>>();
    let (now, end) = (lines(now), lines(end));
    let more = now.iter().filter(|line| !end.contains(line)).map(|line| format!("+ {line}"));
    more.chain(end.iter().filter(|line| !now.contains(line)).map(|line| format!("- {line}"))).collect()
}

fn struck(strike: Strike, before: Before, when: When) {
    let mut stage = Stage::new();
    let asked = stage.outcome();
    let mut strokes = 0;
    for stroke in 1.. {
        let way = Way::BOTH[(stroke + usize::from(when == When::Background)) % 2];
        let Some((client, gate)) = stage.begin((before, when), stroke, way) else { break };
        strokes = stroke;
        stage.strike(strike, client, gate);
        let mut beside = stage.beside();
        let committed = beside.table("SELECT count(*) FROM seen") == "1";
        stage.resume();
        let name = format!("{strike:?} {way:?}, {before:?}, {when:?}, {stroke}");
        if committed {
            let differs = unlike(&beside.table(STATE), &asked);
            assert!(differs.is_empty(), "{name}: {differs:#?}");
            let open = beside.table("SELECT title FROM lockkeeper.task WHERE state <> 'done'");
            assert_eq!(open, "", "{name}");
            assert_eq!(beside.table(ROWS), "1|1|300|300", "{name}");
        } else {
            let left = beside.table("SELECT (SELECT count(*) FROM pg_index WHERE indrelid = 't'::regclass) || ' ' || \
                 (SELECT count(*) FROM pg_constraint WHERE conrelid = 't'::regclass) || ' ' || (SELECT count(*) FROM pg_attribute \
                 WHERE attrelid = 't'::regclass AND attnum > 0) || ' ' || (SELECT count(*) FROM lockkeeper.task)");
            assert_eq!(left, "0 0 3 0", "{name}");
            assert_eq!(beside.table(ROWS), "0|0|300|0", "{name}");
        }
        stage.start_proxy();
    }
    assert!(strokes > 7, "{strokes}");
}

#[test]
fn the_client_leaves_in_the_midst() {
    struck(Strike::Client, Before::Commands, When::Awaited);
}

#[test]
fn the_proxy_is_killed_in_the_midst() {
    struck(Strike::Proxy, Before::Commands, When::Awaited);
}

#[test]
fn the_server_crashes_in_the_midst() {
    struck(Strike::Server, Before::Commands, When::Awaited);
}

#[test]
fn the_client_leaves_while_it_is_written_down() {
    struck(Strike::Client, Before::Entries, When::Awaited);
}

#[test]
fn the_proxy_is_killed_while_it_is_written_down() {
    struck(Strike::Proxy, Before::Entries, When::Awaited);
}

#[test]
fn the_server_crashes_while_it_is_written_down() {
    struck(Strike::Server, Before::Entries, When::Awaited);
}

#[test]
fn the_proxy_is_killed_while_it_works_in_the_background() {
    struck(Strike::Proxy, Before::Commands, When::Background);
}

#[test]
fn the_client_leaves_while_it_is_worked_in_the_background() {
    struck(Strike::Client, Before::Commands, When::Background);
}

#[test]
fn the_server_crashes_while_it_is_worked_in_the_background() {
    struck(Strike::Server, Before::Commands, When::Background);
}
