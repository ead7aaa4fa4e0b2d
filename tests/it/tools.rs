//! Migration tools as people have them, unmodified: what they do straight to Postgres, they do through the proxy.
//!
//! A tool is one `Tool`; what it is held to is `keeps_its_word`.

use std::path::Path;
use std::process::Command;

use lockkeeper::cluster::{Cluster, Installation};

use crate::support::application::{Application, BOUND};
use crate::support::eventually;
use crate::support::programs::{Ran, run, without_variables};
use crate::support::stage::Person;
use crate::support::twins::{Twins, kept};

/// What is there before any tool comes.
const SETUP: [&str; 6] = [
    "CREATE TABLE customers (id int PRIMARY KEY, name text)",
    "INSERT INTO customers SELECT n, 'c' || n FROM generate_series(0, 9) n",
    "CREATE TABLE orders (id int PRIMARY KEY, customer int, note text, old text)",
    "INSERT INTO orders SELECT n, n % 10, 'n' || n, 'o' FROM generate_series(1, 200) n",
    "CREATE INDEX orders_old ON orders (old)",
    "CREATE TYPE mood AS ENUM ('sad', 'happy')",
];

/// A project for tools that run files: name, way up, way down.
pub(crate) const SCRIPTS: [(&str, &str, &str); 3] = [
    ("1_columns", include_str!("../tools/1_columns.up.sql"), include_str!("../tools/1_columns.down.sql")),
    (
        "2_constraints",
        include_str!("../tools/2_constraints.up.sql"),
        include_str!("../tools/2_constraints.down.sql"),
    ),
    (
        "3_leftovers",
        include_str!("../tools/3_leftovers.up.sql"),
        include_str!("../tools/3_leftovers.down.sql"),
    ),
];

/// The last statement of every project makes a view, which hangs on nothing and so is never put off; this makes it fail.
const NO_VIEWS: [&str; 2] = [
    "CREATE FUNCTION no_views() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no views today'; END $$",
    "CREATE EVENT TRIGGER no_views ON ddl_command_end WHEN TAG IN ('CREATE VIEW') EXECUTE FUNCTION no_views()",
];
const VIEWS_AGAIN: [&str; 2] = ["DROP EVENT TRIGGER no_views", "DROP FUNCTION no_views"];

/// The tables of people, each with a question for its rows: random words, times, durations, and the numbers in tools' books, which a
/// transaction that is sent once more uses up, only by whether they are there.
const TABLES: &str = "SELECT format('SELECT %L, (SELECT jsonb_object_agg(key, CASE WHEN key = ANY (%L::text[]) THEN \
         to_jsonb(value <> ''null'') ELSE value END) FROM jsonb_each(to_jsonb(t)))::text FROM %s t ORDER BY 2', \
         c.oid::regclass, (SELECT array_agg(attname) FROM pg_attribute WHERE attrelid = c.oid AND \
         (atttypid::regtype::text ~ '^(uuid|timestamp|date)' OR attname IN ('execution_time', 'applied_on') \
         OR relname ~ 'migrations$' AND attname = 'id')), c.oid::regclass) \
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE relkind = 'r' AND nspname <> 'lockkeeper' \
         AND nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema' ORDER BY 1";

/// Whether the proxy lets somebody wait for the report, or a statement stands in its queue; the application sleeps by itself.
const WAITS: &str = "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = 'online' AND application_name <> 'application' \
     AND (wait_event = 'PgSleep' OR wait_event_type = 'Lock')";

/// What was put off and is not done.
const LEFT: &str = "SELECT id, state, title, failure FROM lockkeeper.task WHERE state <> 'done' ORDER BY 1";

/// A migration tool with a project, and what people know of it.
pub(crate) struct Tool {
    /// Runs it to its end; what it printed.
    pub(crate) run: fn(&Site<'_>, Move) -> Ran,
    /// The table in which it keeps its books, if it has one, and their entries when all is done.
    pub(crate) books: Option<(&'static str, &'static str)>,
    /// What is left where the last statement of a project fails.
    pub(crate) leaves: Leaves,
    /// Whether it knows the way back.
    pub(crate) back: Back,
}

/// Where a tool works.
pub(crate) struct Site<'a> {
    /// Whose programs it may need.
    pub(crate) cluster: &'a Cluster,
    /// The database.
    pub(crate) url: String,
    /// A folder of its own.
    pub(crate) folder: &'a Path,
}

/// What a tool is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    Up,
    Down,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaves {
    Nothing,
    WhatWasDone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Back {
    Known,
    Unknown,
}

/// The database that gets the tool as it is, and the one that gets it through the proxy.
pub(crate) struct Ground {
    pub(crate) twins: Twins,
    folder: tempfile::TempDir,
}

/// Begins again. Both have what the proxy needs for queued work, so that nobody has to look away from it.
pub(crate) fn begin(twins: &mut Twins) {
    twins.begin(&SETUP);
    for database in ["plain", "online"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lockkeeper"));
        without_variables(&mut command);
        command.args(["init", "--url", &twins.stage.cluster.url(database)]);
        run(command).ok();
    }
}

impl Ground {
    pub(crate) fn on(installation: Installation) -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        let mut twins = Twins::on_with(installation, &format!("{BOUND}\n[bulk]\nrows = 50"));
        begin(&mut twins);
        Self { twins, folder }
    }

    pub(crate) fn straight(&self) -> Site<'_> {
        let cluster = &self.twins.stage.cluster;
        Site { cluster, url: cluster.url("plain"), folder: self.folder.path() }
    }

    pub(crate) fn through(&self) -> Site<'_> {
        let stage = &self.twins.stage;
        Site { cluster: &stage.cluster, url: stage.proxy.url("online"), folder: self.folder.path() }
    }

    fn both(&mut self, statements: &[&str]) {
        self.twins.plain.all(statements);
        self.twins.beside.all(statements);
    }

    /// Schema, rows and books are alike.
    #[track_caller]
    pub(crate) fn compare(&mut self, when: &str) {
        self.twins.compare(when);
        assert_eq!(rows(&mut self.twins.beside), rows(&mut self.twins.plain), "{when}");
    }

    /// Nothing that was put off is left.
    #[track_caller]
    pub(crate) fn all_is_done(&mut self, when: &str) {
        assert_eq!(self.twins.beside.table(LEFT), "", "{when}");
    }

    /// Runs it through the proxy while a report has read `orders` and holds it still, and an application reads and writes it. Only
    /// when that was served, the report ends; to the end none of it waits beyond the bound.
    fn beside_a_report(&self, tool: &Tool, to: Move) -> Ran {
        let stage = &self.twins.stage;
        let person = || Person::called(stage.cluster.addr(), &[("database", "online")]);
        let mut report = person();
        report.all(&["BEGIN", "SELECT count(*) FROM orders"]);
        let application =
            Application::begin(stage.cluster.addr(), "online", &["SELECT count(*) FROM customers"]);
        std::thread::scope(|scope| {
            let site = self.through();
            let tool = scope.spawn(move || (tool.run)(&site, to));
            let mut looking = person();
            eventually("the tool waits", || {
                (tool.is_finished() || looking.table(WAITS) == "t").then_some(())
            });
            application.is_served(50);
            report.all(&["COMMIT"]);
            let ran = tool.join().expect("the tool");
            application.was_never_stalled(&stage.cluster);
            ran
        })
    }
}

/// For tools that go back one migration at a time: until one fails, or so often.
pub(crate) fn repeatedly(times: usize, run: impl Fn() -> Ran) -> Ran {
    let ran = run();
    if ran.code != 0 || times == 1 { ran } else { repeatedly(times - 1, run) }
}

/// All rows of all tables.
fn rows(person: &mut Person) -> String {
    let questions = person.table(TABLES);
    questions.lines().map(|question| person.table(question)).collect::<Vec<_>>().join("\n")
}

/// A tool fails, goes up and comes down through the proxy as it does straight, and the application beside it is served.
#[track_caller]
pub(crate) fn keeps_its_word(tool: &Tool, installation: Installation) {
    let mut ground = Ground::on(installation);
    (tool.run)(&ground.straight(), Move::Up).ok();
    ground.beside_a_report(tool, Move::Up).ok();
    ground.compare("up");
    ground.all_is_done("up");
    let log = ground.twins.stage.cluster.log();
    assert!(
        !log.contains("upper(note)") || log.contains("UPDATE ONLY public.orders"),
        "rows are written in batches"
    );
    if let Some((table, entries)) = tool.books {
        assert_eq!(ground.twins.beside.table(&format!("SELECT count(*) FROM {table}")), entries);
    }
    if tool.back == Back::Known {
        (tool.run)(&ground.straight(), Move::Down).ok();
        ground.beside_a_report(tool, Move::Down).ok();
        ground.compare("down");
        ground.all_is_done("down");
    }
    begin(&mut ground.twins);
    let before = ground.twins.state();
    ground.both(&NO_VIEWS);
    for ran in [(tool.run)(&ground.straight(), Move::Up), ground.beside_a_report(tool, Move::Up)] {
        assert!(ran.code != 0 && format!("{ran:?}").contains("no views today"), "{ran:?}");
    }
    ground.both(&VIEWS_AGAIN);
    ground.compare("a failing migration");
    ground.all_is_done("a failing migration");
    if tool.leaves == Leaves::Nothing {
        let orders = |state: &str| {
            kept(state).into_iter().filter(|line| line.contains("orders")).map(str::to_owned).collect()
        };
        let (left, there): (Vec<_>, Vec<_>) = (orders(&ground.twins.state()), orders(&before));
        assert_eq!(left, there);
    }
}
