//! Two databases that begin alike. A script reaches one straight and the other through the proxy; answers and ends are compared.

use std::net::SocketAddr;
use std::process::Command;

use super::answer::{is_deferral, is_ours, list};
use super::forms::SETUP;
use super::script::Script;
use super::sessions::{Judged, Sessions};
use crate::support::programs;
use crate::support::raw::Frame;
use crate::support::stage::Person;
use crate::support::twins::{STATE, without_owners};

/// The rows of every relation that has some, sorted, since a column may be filled in another order than a rewrite would; the numbers
/// of a serial column are sorted by themselves for the same reason.
const ROWS: &str = "
    SELECT c.oid::regclass, query_to_xml(format(
        $$SELECT string_agg((to_jsonb(r) - 's')::text, ' ' ORDER BY (to_jsonb(r) - 's')::text) AS r,
            string_agg(to_jsonb(r) ->> 's', ' ' ORDER BY to_jsonb(r) ->> 's') AS s FROM %s r$$, c.oid::regclass), true, true, '')
    FROM pg_class c WHERE relnamespace IN ('public'::regnamespace, 'other'::regnamespace)
    AND (relkind IN ('r', 'v', 'p') OR relkind = 'm' AND relispopulated) ORDER BY 1";

/// Sessions of scripts that are there still.
const SESSIONS: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'model'";

/// Work that is open behind a transaction.
const OPEN: &str = "SELECT title FROM lockkeeper.task WHERE state NOT IN ('done', 'dropped') ORDER BY id";

/// What became of a script's statements.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    pub(super) scripts: usize,
    pub(super) done: usize,
    pub(super) failed: usize,
    pub(super) refused: usize,
    pub(super) planned: usize,
    pub(super) deferred: usize,
    /// Writes of rows in batches, at once or later.
    pub(super) cut: usize,
    /// Locks that did not come in time.
    pub(super) missed: usize,
    /// Scripts that ended with deferred work that could not be done.
    pub(super) unfinished: usize,
}

impl Counts {
    /// What an answer through the proxy says.
    fn add(&mut self, online: &[Frame]) {
        for frame in online {
            self.cut +=
                usize::from(frame.tag == b'N' && is_ours(frame) && frame.message().contains(" in batches"));
            match frame.tag {
                b'C' => self.done += 1,
                b'E' if is_ours(frame) => self.refused += 1,
                b'E' => self.failed += 1,
                b'N' if is_deferral(frame) => self.deferred += 1,
                b'N' if is_ours(frame) && frame.message().contains(" runs as ") => self.planned += 1,
                _ => {}
            }
        }
    }

    /// Both together.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            scripts: self.scripts + other.scripts,
            done: self.done + other.done,
            failed: self.failed + other.failed,
            refused: self.refused + other.refused,
            planned: self.planned + other.planned,
            deferred: self.deferred + other.deferred,
            cut: self.cut + other.cut,
            missed: self.missed + other.missed,
            unfinished: self.unfinished + other.unfinished,
        }
    }
}

/// The two databases.
pub(super) struct Pair {
    server: SocketAddr,
    proxy: SocketAddr,
    /// Their names: of the one that is reached straight, and of the other.
    names: [String; 2],
    /// Somebody who looks into each.
    lookers: [Person; 2],
    /// The client's sessions, where they may serve again.
    sessions: Option<Sessions>,
    /// What the last script left; nothing is known of sessions that may hang.
    left: Left,
    /// What both databases say at the beginning.
    beginning: Option<String>,
    pub(super) counts: Counts,
}

impl Pair {
    /// Made for one thread.
    pub(super) fn new(server: SocketAddr, proxy: SocketAddr, number: usize) -> Self {
        let names = [format!("plain{number}"), format!("online{number}")];
        let mut maker = Person::called(server, &[]);
        for name in &names {
            maker.all(&[&format!("CREATE DATABASE {name}")]);
        }
        let mut lookers = [0, 1].map(|at| Person::called(server, &[("database", &names[at])]));
        let mut schema = Command::new(env!("CARGO_BIN_EXE_lockkeeper"));
        programs::without_variables(&mut schema);
        let schema = programs::run({
            schema.args(["init", "--sql"]);
            schema
        })
        .ok();
        for looker in &mut lookers {
            looker.all(&[&schema]);
        }
        Self {
            server,
            proxy,
            names,
            lookers,
            sessions: None,
            left: Left::Changed,
            beginning: None,
            counts: Counts::default(),
        }
    }

    /// Runs a script on both sides; the error tells the first difference.
    ///
    /// Sessions that have run a script serve for the next ones, since a server's process is slow as long as its memory of the
    /// catalogue is empty.
    pub(super) fn run(&mut self, script: &Script) -> Result<(), String> {
        let used = self.sessions.is_some();
        let first = self.attempt(script);
        if first.is_ok() || !used {
            return first;
        }
        self.attempt(script)?;
        first.map_err(|difference| {
            format!("only in sessions that have run other scripts before: {difference}")
        })
    }

    fn attempt(&mut self, script: &Script) -> Result<(), String> {
        self.begin();
        self.left = Left::Unknown;
        let mut sessions = match self.sessions.take() {
            Some(sessions) => sessions,
            None => Sessions::new([self.server, self.proxy], &self.names)?,
        };
        for (at, message) in script.0.iter().chain(&Script::end().0).enumerate() {
            let judged = sessions
                .send(message)
                .map_err(|difference| format!("message {}, {message:?}\n{difference}", at + 1))?;
            match judged {
                Judged::Alike(online) => self.counts.add(&online),
                Judged::Unfinished => {
                    self.counts.unfinished += 1;
                    return Ok(());
                }
            }
        }
        self.counts.scripts += 1;
        self.compare_ends()?;
        self.sessions = Some(sessions);
        Ok(())
    }

    /// Both databases as they are at the beginning.
    fn begin(&mut self) {
        if self.left == Left::Nothing {
            return;
        }
        for looker in &mut self.lookers {
            if self.left == Left::Unknown {
                looker.table(&SESSIONS.replace("count(*)", "count(pg_terminate_backend(pid))"));
            }
            looker.all(&[
                &format!("DROP SCHEMA IF EXISTS public, other CASCADE; {SETUP}"),
                "DELETE FROM lockkeeper.task",
            ]);
        }
        if self.beginning.is_none() {
            for looker in &mut self.lookers {
                looker.all(&[&format!("PREPARE state AS {STATE}"), &format!("PREPARE rows AS {ROWS}")]);
            }
            self.beginning = Some(self.state(0));
        }
    }

    /// Everything that is to be equal in the end.
    fn state(&mut self, at: usize) -> String {
        let state =
            ["EXECUTE state", "EXECUTE rows"].map(|question| self.lookers[at].table(question)).join("\n");
        // On 18 a key by an index makes the NOT NULL that a partition has from its parent its own too.
        without_owners(&state)
    }

    fn compare_ends(&mut self) -> Result<(), String> {
        let (plain, online) = (self.state(0), self.state(1));
        self.left = if self.beginning.as_ref() == Some(&online) { Left::Nothing } else { Left::Changed };
        let open = self.lookers[1].table(OPEN);
        if !open.is_empty() {
            return Err(format!("work is left open: {open}"));
        }
        if plain == online {
            return Ok(());
        }
        self.left = Left::Changed;
        let only =
            |one: &str, other: &str| list(one.lines().filter(|line| !other.lines().any(|it| it == *line)));
        let (missing, more) = (only(&plain, &online), only(&online, &plain));
        Err(format!("they end differently\n  straight:{missing}\n  through the proxy:{more}"))
    }
}

/// What a script has left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    Nothing,
    Changed,
    /// It was broken off, perhaps since a session hangs.
    Unknown,
}
