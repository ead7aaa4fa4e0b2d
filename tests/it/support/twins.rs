//! Two databases that begin alike: a statement reaches one as it is and the other through a proxy, and both end alike.

use std::path::PathBuf;
use std::process::Command;

use lockkeeper::cluster::Installation;

use super::stage::{Answer, Person, Stage, Way};
use super::{each_major, programs};

/// Everything that the catalogue says of the objects of people; numbers of objects left out.
pub(crate) const STATE: &str = include_str!("state.sql");

/// The two databases, with the proxy in front.
pub(crate) struct Twins {
    pub(crate) stage: Stage,
    /// Gets the statement as it is.
    pub(crate) plain: Person,
    /// Prepares and looks at the database that gets it through the proxy.
    pub(crate) beside: Person,
    major: u32,
    /// By which protocol the last statement went through the proxy: they take turns.
    way: Way,
    dumper: Option<PathBuf>,
    /// Whose NOT NULL it is, that of a partition or of its parent, is overlooked.
    owners_overlooked: bool,
}

impl Twins {
    /// On one version.
    pub(crate) fn on(installation: Installation) -> Self {
        Self::on_with(installation, "")
    }

    /// The same with these lines at the end of the proxy's configuration file.
    pub(crate) fn on_with(installation: Installation, config: &str) -> Self {
        let major = installation.major;
        let dumper = dumper(&installation);
        let stage = Stage::on_with(installation, config);
        stage.straight().all(&["CREATE DATABASE plain", "CREATE DATABASE online"]);
        let person = |name| Person::called(stage.cluster.addr(), &[("database", name)]);
        let (plain, beside) = (person("plain"), person("online"));
        Self { stage, plain, beside, major, way: Way::Extended, dumper, owners_overlooked: false }
    }

    /// The same, but on 18 a key by an index makes the NOT NULL that a partition has from its parent its own too, which cannot be
    /// helped (`transformIndexConstraint` in `parse_utilcmd.c`).
    pub(crate) fn overlooking_owners(installation: Installation) -> Self {
        Self { owners_overlooked: true, ..Self::on(installation) }
    }

    /// What the catalogue of the second database says.
    pub(crate) fn state(&mut self) -> String {
        let state = self.beside.table(STATE);
        self.seen(state)
    }

    fn seen(&self, state: String) -> String {
        if self.owners_overlooked { without_owners(&state) } else { state }
    }

    /// Begins again in both, with these statements.
    pub(crate) fn begin(&mut self, setup: &[&str]) {
        begin_again(&mut self.plain, setup);
        begin_again(&mut self.beside, setup);
    }

    /// Begins again in the second alone, where nothing is compared with the first.
    pub(crate) fn begin_beside(&mut self, setup: &[&str]) {
        begin_again(&mut self.beside, setup);
    }

    /// Somebody in the second database who comes through the proxy, with these settings.
    pub(crate) fn through(&self, settings: &[&str]) -> Person {
        let mut person = Person::called(self.stage.proxy.addr(), &[("database", "online")]);
        person.all(settings);
        person
    }

    /// Both get the statement, which succeeds as steps, and both end alike; gives what the second was told.
    #[track_caller]
    pub(crate) fn alike(&mut self, settings: &[&str], sql: &str) -> Answer {
        let plain = self.plainly(settings, sql);
        let way = self.next_way();
        let online = self.through(settings).ask(way, sql);
        assert_eq!(online.tag(), plain.tag(), "{}: {sql}", self.major);
        let notices = online.notices().join("\n");
        assert!(notices.contains(" runs as "), "{}: {sql}: {notices}", self.major);
        self.compare(sql);
        online
    }

    /// Both get the statement, which fails in the same words, and both end alike, the second as it began.
    #[track_caller]
    pub(crate) fn alike_in_failure(&mut self, settings: &[&str], sql: &str) -> Answer {
        let before = self.state();
        let plain = self.plainly(settings, sql);
        let mut client = self.through(settings);
        let online = client.ask(self.next_way(), sql);
        assert_eq!(online.failure(), plain.failure(), "{}: {sql}", self.major);
        let words = |answer: &Answer| answer.error().map(super::raw::Frame::message);
        assert_eq!(words(&online), words(&plain), "{}: {sql}", self.major);
        assert_eq!(kept(&self.state()), kept(&before), "{}: {sql} left something", self.major);
        assert_eq!(client.table("SELECT 1"), "1");
        online
    }

    /// The second refuses the statement, says how it is done by hand, and changes nothing; once it is allowed, both end alike.
    #[track_caller]
    pub(crate) fn alike_once_allowed(&mut self, settings: &[&str], sql: &str) {
        let before = self.beside.table(STATE);
        let mut client = self.through(settings);
        let mut allowed = String::new();
        let online = loop {
            let online = client.ask(self.next_way(), &format!("/* lockkeeper: {allowed} */ {sql}"));
            let hint = if online.failure_if_any() == "0A000" { online.hint() } else { String::new() };
            let Some((by_hand, rest)) = hint.split_once("lockkeeper: allow ") else { break online };
            assert!(
                by_hand.contains("By hand: ") || sql.contains("REINDEX"),
                "{}: {sql}: {hint}",
                self.major
            );
            assert_eq!(kept(&self.beside.table(STATE)), kept(&before), "{}: {sql}", self.major);
            let id = rest.split(' ').next().unwrap_or_default();
            assert!(!allowed.contains(id), "{}: {sql}: {id} is allowed already", self.major);
            allowed = format!("{allowed}; allow {id} because test").trim_start_matches("; ").to_owned();
        };
        assert!(!allowed.is_empty(), "{}: {sql} is not refused: {online:?}", self.major);
        let plain = self.plainly(settings, sql);
        assert_eq!(online.tags(), plain.tags(), "{}: {sql}", self.major);
        let words = |answer: &Answer| answer.error().map(super::raw::Frame::message);
        assert_eq!(words(&online), words(&plain), "{}: {sql}", self.major);
        self.plain.all(&["RESET ROLE"]);
        self.compare(sql);
    }

    /// Fails unless both databases are alike.
    #[track_caller]
    pub(crate) fn compare(&mut self, sql: &str) {
        let (plain, online) = (self.plain.table(STATE), self.beside.table(STATE));
        let (plain, online) = (self.seen(plain), self.seen(online));
        let only = |one: &str, other: &str| {
            one.lines().filter(|line| !other.lines().any(|it| it == *line)).collect::<Vec<_>>().join("\n")
        };
        let (missing, more) = (only(&plain, &online), only(&online, &plain));
        assert!(
            missing.is_empty() && more.is_empty() && plain.len() == online.len(),
            "{}: {sql}\nmissing:\n{missing}\nmore:\n{more}",
            self.major
        );
        if let (Some(plain), Some(online)) = (self.dump("plain"), self.dump("online")) {
            assert_eq!(online, plain, "{}: {sql}", self.major);
        }
    }

    fn next_way(&mut self) -> Way {
        self.way = if self.way == Way::Simple { Way::Extended } else { Way::Simple };
        self.way
    }

    fn plainly(&mut self, settings: &[&str], sql: &str) -> Answer {
        self.plain.all(settings);
        let answer = self.plain.query(sql);
        self.plain.all(&["RESET ALL"]);
        answer
    }

    /// The schema as `pg_dump` of that version or a later one writes it, where there is one.
    fn dump(&self, database: &str) -> Option<String> {
        let program = self.dumper.as_ref()?;
        let mut command = Command::new(program);
        command.args(["--schema-only", "--dbname", &self.stage.cluster.url(database)]);
        let ran = programs::run(command);
        // A server that is newer than the program is refused; since a fix of 2025 each dump has a key of its own.
        let lines = ran.stdout.lines().filter(|line| !line.contains("restrict "));
        (ran.code == 0).then(|| lines.collect::<Vec<_>>().join("\n"))
    }
}

/// Takes away everything that people have made, and makes this.
fn begin_again(person: &mut Person, setup: &[&str]) {
    let schemas = "SELECT nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'";
    for schema in person.table(schemas).lines() {
        person.all(&[&format!("DROP SCHEMA {schema} CASCADE")]);
    }
    person.all(&["CREATE SCHEMA public"]);
    person.all(setup);
}

/// `pg_dump` itself where a package puts a script of that name before it, which takes longer than the dump.
fn dumper(installation: &Installation) -> Option<PathBuf> {
    let later = each_major().into_iter().filter(|one| one.major >= installation.major);
    let mut own = later.map(|one| one.bin.join("pg_dump")).filter(|program| program.is_file());
    own.next().or_else(|| installation.program("pg_dump"))
}

/// A state without the marks that a dropped column leaves in the catalogue.
pub(crate) fn kept(state: &str) -> Vec<&str> {
    state.lines().filter(|line| !line.contains("........pg.dropped.")).collect()
}

/// A state in which the NOT NULL of a partition is its parent's alone.
pub(crate) fn without_owners(state: &str) -> String {
    let lines = state.lines().map(|line| match line.split_once("|NOT NULL ") {
        Some(_) => line.replace("|n t f f t 1 ", "|n t f f f 1 "),
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}
