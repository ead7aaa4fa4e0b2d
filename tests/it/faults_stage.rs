//! Stops a plan where it is wanted: before a step by an event trigger that waits, in the midst of a build by an old snapshot.

use std::collections::BTreeMap;

use lockkeeper::cluster::{Cluster, Installation, Options, Stop};

use crate::plans_faults::TABLES;
use crate::support::proxy::{Proxy, Setup};
use crate::support::stage::{Person, Way};
use crate::support::twins::{STATE, kept, without_owners};
use crate::support::{cluster_with, eventually};

/// Counts the commands and waits before one of them, as long as somebody holds the advisory lock 3. Not in a lock queue: the
/// patience of brief steps would end that. Lock 1 tells that it is there, lock 2 that the step has no time-out.
pub(crate) const HALT: &str = "
    CREATE SEQUENCE strokes;
    CREATE TABLE target AS SELECT 0 AS stroke;
    CREATE FUNCTION halt() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
        IF nextval('public.strokes') = (SELECT stroke FROM public.target) THEN
            PERFORM pg_advisory_xact_lock(1);
            IF current_setting('lock_timeout') = '0' THEN PERFORM pg_advisory_xact_lock(2); END IF;
            WHILE NOT pg_try_advisory_xact_lock(3) LOOP PERFORM pg_sleep(0.005); END LOOP;
        END IF;
    END $$";

/// What is unfinished, whatever lists it.
const UNFINISHED: &str = "
    SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid
    UNION ALL SELECT conname FROM pg_constraint WHERE NOT convalidated AND contype IN ('c', 'f', 'n') AND conparentid = 0";

/// What the victim calls itself.
const VICTIM: &str = "victim";

/// Where a plan is struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Before this command, counted from 1.
    Before(usize),
    /// In this command, which builds an index; 0 where it is the only one.
    Midst(usize),
}

/// A cluster, a proxy, and who prepares and looks.
pub(crate) struct Stage {
    pub(crate) major: u32,
    cluster: Cluster,
    proxy: Option<Proxy>,
    beside: Option<Person>,
    gate: Option<Person>,
    cases: usize,
    /// What was found of states that are reached again and again, by what leads to them.
    reached: BTreeMap<String, Reached>,
    /// A key by an index makes the NOT NULL of a partition its own, which cannot be helped.
    owners_overlooked: bool,
}

/// A state that is always reached in the same way.
#[derive(Clone)]
struct Reached {
    state: String,
    unfinished: String,
}

impl Reached {
    fn by(person: &mut Person) -> Self {
        Self { state: person.table(STATE), unfinished: person.table(UNFINISHED) }
    }
}

/// One plan that stands still.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) client: Option<Person>,
    sql: String,
    /// What the server was asked for when the plan stood still.
    step: String,
    pid: String,
    before: String,
    /// What looked unfinished before.
    unfinished: String,
    done: String,
    reader: Option<Person>,
    /// So much the proxy had logged before.
    logged: usize,
}

impl Case {
    /// Whether the step that it stands at builds, drops or rebuilds an index while others write.
    pub(crate) fn is_build(&self) -> bool {
        self.step.contains("INDEX CONCURRENTLY")
    }

    /// Whether that step has no time-out.
    pub(crate) fn is_unhurried(&self, stage: &mut Stage) -> bool {
        let held = "SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND objid = 2";
        self.reader.is_some() || stage.beside().table(held) == "t"
    }
}

impl Case {
    /// What the client hears of the end of its session: a DETAIL and a HINT.
    fn last_words(&mut self) -> String {
        let frames = self.client.as_mut().expect("a client").raw.until_end();
        let error = frames.iter().rfind(|frame| frame.tag == b'E');
        let error = error.unwrap_or_else(|| panic!("{}: no last words: {frames:?}", self.name));
        assert_eq!(error.field(b'V').as_deref(), Some("FATAL"), "{}: {error:?}", self.name);
        [b'D', b'H'].map(|code| error.field(code).unwrap_or_default()).join(" ")
    }
}

impl Stage {
    /// On one version.
    pub(crate) fn on(installation: Installation) -> Self {
        let major = installation.major;
        // Durable as far as a crash of the server goes: what is lost with it would be no step that was done.
        let options = Options::new().installation(installation).conf("synchronous_commit = on");
        let cluster = cluster_with(&options);
        Person::called(cluster.addr(), &[]).all(&["CREATE DATABASE plain", "CREATE DATABASE online"]);
        let mut stage = Self {
            major,
            cluster,
            proxy: None,
            beside: None,
            gate: None,
            cases: 0,
            reached: BTreeMap::new(),
            owners_overlooked: false,
        };
        stage.start_proxy();
        stage
    }

    pub(crate) fn start_proxy(&mut self) {
        let control = format!("[control]\nurl = \"{}\"", self.cluster.url("online"));
        self.proxy = Some(Setup::new(&self.cluster.addr()).config(&control).start());
    }

    /// As the kernel does when there is no memory left.
    pub(crate) fn kill_proxy(&mut self, case: &mut Case) {
        self.proxy = None;
        case.logged = 0;
    }

    fn proxy(&self) -> &Proxy {
        self.proxy.as_ref().expect("a proxy")
    }

    fn person(&self, database: &str) -> Person {
        Person::called(self.cluster.addr(), &[("database", database)])
    }

    fn beside(&mut self) -> &mut Person {
        let addr = self.cluster.addr();
        self.beside.get_or_insert_with(|| Person::called(addr, &[("database", "online")]))
    }

    fn until(&mut self, what: &str, sql: &str) {
        let person = self.beside();
        eventually(&format!("{what}: {sql}"), || (person.table(sql) == "t").then_some(()));
    }

    /// Lets a plan run up to a moment; nothing where it ended before.
    pub(crate) fn begin(&mut self, sql: &str, moment: Moment) -> Option<Case> {
        self.cases += 1;
        self.owners_overlooked = sql.starts_with("ALTER TABLE p ADD PRIMARY KEY");
        let done = self.outcome(sql);
        let (stroke, midst) = match moment {
            Moment::Before(stroke) => (stroke, false),
            Moment::Midst(stroke) => (stroke, true),
        };
        self.prepare(stroke);
        let Reached { state: before, unfinished } = self.beginning(stroke);
        let logged = self.proxy().log().len();
        let mut reader = (midst && stroke == 0).then(|| self.reader());
        let mut client =
            Person::called(self.proxy().addr(), &[("database", "online"), ("application_name", VICTIM)]);
        client.all(&["SET lock_timeout = '7s'", "SET statement_timeout = '1h'"]);
        let pid = client.pid().to_string();
        client.send(if self.cases.is_multiple_of(2) { Way::Simple } else { Way::Extended }, sql);
        if stroke > 0 && !self.halts(&pid) {
            return None;
        }
        if midst {
            reader.get_or_insert_with(|| self.reader());
            self.open_gate();
            let waits = format!("SELECT wait_event = 'virtualxid' FROM pg_stat_activity WHERE pid = {pid}");
            self.until(sql, &waits);
        }
        let step = self.beside().table(&format!("SELECT query FROM pg_stat_activity WHERE pid = {pid}"));
        let sql = sql.to_owned();
        let client = Some(client);
        let name = String::new();
        Some(Case { name, client, sql, step, pid, before, unfinished, done, reader, logged })
    }

    /// The state that the plain statement reaches.
    fn outcome(&mut self, sql: &str) -> String {
        if let Some(known) = self.reached.get(sql) {
            return known.state.clone();
        }
        let mut plain = self.person("plain");
        plain.all(&["DROP SCHEMA IF EXISTS public CASCADE", "CREATE SCHEMA public", TABLES, HALT, sql]);
        let reached = Reached::by(&mut plain);
        self.reached.entry(sql.to_owned()).or_insert(reached).state.clone()
    }

    /// What is there before a plan begins: with the trigger, and without.
    fn beginning(&mut self, stroke: usize) -> Reached {
        let with = if stroke > 0 { "halt" } else { "" };
        if let Some(known) = self.reached.get(with) {
            return known.clone();
        }
        let reached = Reached::by(self.beside());
        self.reached.entry(with.to_owned()).or_insert(reached).clone()
    }

    fn prepare(&mut self, stroke: usize) {
        let aim = format!("UPDATE target SET stroke = {stroke}");
        self.beside().all(&[
            "DROP EVENT TRIGGER IF EXISTS halt",
            "DROP SCHEMA public CASCADE",
            "CREATE SCHEMA public",
            TABLES,
            HALT,
            &aim,
        ]);
        if stroke > 0 {
            let halt = "CREATE EVENT TRIGGER halt ON ddl_command_start EXECUTE FUNCTION halt()";
            self.beside().all(&[halt]);
        }
        // That of a plan that has ended before it got there.
        self.open_gate();
        let addr = self.cluster.addr();
        let gate = self.gate.get_or_insert_with(|| Person::called(addr, &[("database", "online")]));
        gate.all(&["SELECT pg_advisory_lock(3)"]);
    }

    /// Somebody who reads every table, and keeps an old snapshot.
    fn reader(&self) -> Person {
        let mut reader = self.person("online");
        reader.all(&[
            "BEGIN ISOLATION LEVEL REPEATABLE READ",
            "SELECT FROM t, r, m, ready LIMIT 1",
            "SELECT FROM p LIMIT 1",
        ]);
        reader
    }

    /// Waits until the plan stands before its step; false where it has ended.
    fn halts(&mut self, pid: &str) -> bool {
        // Of locks only where it is at work: those of the whole server are not read for nothing.
        let look = format!(
            "SELECT CASE WHEN state = 'idle' THEN 'idle' WHEN EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' \
             AND objid = 1 AND pid = {pid}) THEN 'halts' ELSE state END, (SELECT last_value FROM strokes) \
             FROM pg_stat_get_activity({pid})"
        );
        let person = self.beside();
        person.all(&[&format!("PREPARE look AS {look}")]);
        // Between two steps it is idle too, but not for long: so it has to be so twice, and the sequence at rest.
        let mut last = String::new();
        let mut idle = 0;
        let halts = eventually("it halts or ends", || {
            let now = person.table("EXECUTE look");
            if now.starts_with("halts") {
                return Some(true);
            }
            idle = if now.starts_with("idle") && now == last { idle + 1 } else { 0 };
            last = now;
            (idle > 30).then_some(false)
        });
        person.all(&["DEALLOCATE look"]);
        halts
    }

    fn open_gate(&mut self) {
        if let Some(gate) = &mut self.gate {
            gate.all(&["SELECT pg_advisory_unlock_all()"]);
        }
    }

    /// Nobody stands in the way of the plan any more.
    pub(crate) fn let_go(&mut self, case: &mut Case) {
        self.open_gate();
        case.reader = None;
    }

    /// Waits until the server is not at the step any more that it stood at.
    pub(crate) fn until_left(&mut self, case: &Case) {
        let left = format!(
            "SELECT NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 1 AND pid = {0}) \
             AND NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = {0} AND wait_event = 'virtualxid' AND query = $step${1}$step$)",
            case.pid, case.step
        );
        self.until(&case.name, &left);
    }

    /// Waits until the victim's session has ended.
    pub(crate) fn until_gone(&mut self, case: &Case) {
        let gone = format!("SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = '{VICTIM}'");
        self.until(&case.name, &gone);
    }

    /// Ends the backend, as an administrator does.
    pub(crate) fn terminate(&mut self, case: &Case) {
        self.beside().all(&[&format!("SELECT pg_terminate_backend({})", case.pid)]);
    }

    /// The server ends without a word and comes again.
    pub(crate) fn restart(&mut self, case: &mut Case, how: Stop) {
        self.cluster.stop(how).expect("stopped");
        (self.beside, self.gate) = (None, None);
        self.let_go(case);
        self.cluster.start_again().expect("started");
    }

    fn unlike(&mut self, end: &str) -> Vec<String> {
        let mut now = self.beside().table(STATE);
        let mut end = end.to_owned();
        if self.owners_overlooked {
            (now, end) = (without_owners(&now), without_owners(&end));
        }
        let own = |line: &&str| !line.contains("event trigger halt");
        let (now, end): (Vec<_>, Vec<_>) =
            (kept(&now).into_iter().filter(own).collect(), kept(&end).into_iter().filter(own).collect());
        let more = now.iter().filter(|line| !end.contains(line)).map(|line| format!("+ {line}"));
        let less = end.iter().filter(|line| !now.contains(line)).map(|line| format!("- {line}"));
        more.chain(less).collect()
    }

    /// All is as it was, or as the statement wanted it where there was nobody left to be told.
    pub(crate) fn is_clean(&mut self, case: &Case) {
        let changed = self.unlike(&case.before);
        let done = case.client.is_none() && self.unlike(&case.done).is_empty();
        assert!(changed.is_empty() || done, "{} left {changed:#?}", case.name);
    }

    /// All is as the statement wanted it.
    pub(crate) fn is_done(&mut self, case: &Case) {
        let missing = self.unlike(&case.done);
        assert!(missing.is_empty(), "{}: {missing:#?}", case.name);
    }

    /// Everything unfinished is in the log, and what the log says to run leaves nothing unfinished.
    pub(crate) fn is_listed(&mut self, case: &Case) {
        let found = self.unfinished(case);
        let listed = eventually(&format!("{}: {found} is listed", case.name), || {
            let log = self.proxy().log();
            let log = log.get(case.logged..).unwrap_or_default();
            let lines: Vec<_> = log.lines().filter(|line| line.contains("looks unfinished; run")).collect();
            let all = found.lines().all(|name| lines.iter().any(|line| line.contains(name)));
            let statement = |line: &&str| line.split_once("run_by_hand=").map(|(_, sql)| sql.to_owned());
            let new = |line: &&&str| found.lines().any(|name| line.contains(name));
            all.then(|| lines.iter().filter(new).filter_map(statement).collect::<Vec<_>>())
        });
        self.beside().all(&["DROP EVENT TRIGGER IF EXISTS halt"]);
        for sql in listed {
            // What hangs together goes together; what is wrong with a statement shows in what is left.
            self.beside().query(&sql);
        }
        assert_eq!(self.unfinished(case), "", "{}: {found}", case.name);
    }

    /// What looks unfinished and did not before.
    fn unfinished(&mut self, case: &Case) -> String {
        let now = self.beside().table(UNFINISHED);
        let new = now.lines().filter(|name| !case.unfinished.lines().any(|before| before == *name));
        new.collect::<Vec<_>>().join("\n")
    }

    /// What a living proxy says of a plan that was cut off leads back to where it began; the client hears it, too.
    pub(crate) fn goes_back(&mut self, case: &mut Case) {
        let line = eventually(&format!("{}: the plan is told", case.name), || {
            let log = self.proxy().log();
            let log = log.get(case.logged..).unwrap_or_default();
            log.lines().find(|line| line.contains("a plan was cut off")).map(str::to_owned)
        });
        let told = |key: &str| line.split_once(key).map(|(_, statements)| statements.to_owned());
        let tidied = told("tidy_up=");
        let by_hand = tidied.clone().or_else(|| told("take_back=")).unwrap_or_default();
        let heard = case.last_words();
        assert!(heard.contains(&by_hand), "{}: {by_hand}: {heard}", case.name);
        let harmless = by_hand.is_empty() && !case.is_build();
        assert!(harmless || heard.contains("Connect again"), "{}: {heard}", case.name);
        for sql in by_hand.split("; ").filter(|sql| !sql.is_empty()) {
            // In words where only the server knows the name.
            let in_words = sql.starts_with("-- drop the CHECK");
            self.beside().query(if in_words { "ALTER TABLE p1 DROP CONSTRAINT p1_a_check" } else { sql });
        }
        if tidied.is_some() {
            return self.is_done(case);
        }
        let changed = self.unlike(&case.before);
        let there = changed.is_empty() || self.unlike(&case.done).is_empty();
        assert!(there, "{}: {} and by hand {by_hand} left {changed:#?}", case.name, case.sql);
    }
}
