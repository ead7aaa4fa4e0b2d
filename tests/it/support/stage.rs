//! A cluster with a table that others use, a proxy in front of it that may see everything, and people on both sides.

use std::net::SocketAddr;

use lockkeeper::cluster::{Cluster, Installation, Options};

use super::proxy::{Proxy, Setup};
use super::raw::{self, Frame, Raw};
use super::{cluster_with, eventually};

/// What stands before a test begins.
pub(crate) struct Stage {
    /// The proxy, with a control connection.
    pub(crate) proxy: Proxy,
    /// The server, which logs every statement.
    pub(crate) cluster: Cluster,
}

impl Stage {
    /// On the preferred version.
    pub(crate) fn new() -> Self {
        Self::with("")
    }

    /// On the preferred version, with these lines at the end of the configuration file.
    pub(crate) fn with(config: &str) -> Self {
        Self::build(&Options::new(), config, &[])
    }

    /// The same with environment variables, which win over those that every test has.
    pub(crate) fn with_variables(config: &str, variables: &[(&str, &str)]) -> Self {
        Self::build(&Options::new(), config, variables)
    }

    /// On a server of one's own making.
    pub(crate) fn with_options(options: &Options) -> Self {
        Self::build(options, "", &[])
    }

    /// On one version.
    pub(crate) fn on(installation: Installation) -> Self {
        Self::build(&Options::new().installation(installation), "", &[])
    }

    /// The same with these lines at the end of the configuration file.
    pub(crate) fn on_with(installation: Installation, config: &str) -> Self {
        Self::build(&Options::new().installation(installation), config, &[])
    }

    fn build(options: &Options, config: &str, variables: &[(&str, &str)]) -> Self {
        let cluster = cluster_with(&options.clone().conf("log_statement = all"));
        let mut admin = Raw::session(cluster.addr());
        admin.rows("CREATE TABLE orders (id int PRIMARY KEY, customer int, note text)");
        admin.rows("INSERT INTO orders SELECT n, n % 10, 'n' FROM generate_series(1, 100) n");
        let control = format!("[control]\nurl = \"{}\"", cluster.url("postgres"));
        let setup = Setup::new(&cluster.addr()).config(&control).config(config);
        let proxy = variables.iter().fold(setup, |setup, (name, value)| setup.variable(name, value)).start();
        Self { proxy, cluster }
    }

    /// Somebody who talks to the server directly.
    pub(crate) fn straight(&self) -> Person {
        Person::new(self.cluster.addr())
    }

    /// Somebody who talks to it through the proxy.
    pub(crate) fn through(&self) -> Person {
        Person::new(self.proxy.addr())
    }

    /// What a question brings at this moment, asked directly: all rows, columns separated by `|`.
    pub(crate) fn now(&self, sql: &str) -> String {
        self.straight().table(sql)
    }

    /// Waits until a question brings a true answer.
    pub(crate) fn until(&self, sql: &str) {
        let mut admin = self.straight();
        eventually(sql, || (admin.table(sql) == "t").then_some(()));
    }

    /// The names of the indexes of `orders` beside its key, each with `+` when it is valid.
    pub(crate) fn indexes(&self) -> String {
        self.now(
            "SELECT indexrelid::regclass || CASE WHEN indisvalid THEN '+' ELSE '-' END FROM pg_index \
             WHERE indrelid = 'orders'::regclass AND NOT indisprimary ORDER BY 1",
        )
    }

    /// Whether the server was asked for a statement in just these words; what is asked of the catalogue is none.
    pub(crate) fn was_run(&self, sql: &str) -> bool {
        let log = self.cluster.log().replace("\n\t", " ");
        log.lines().any(|entry| entry.contains(&sql.replace('\n', " ")) && !entry.contains("pg_catalog."))
    }
}

/// By which protocol a statement is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Simple,
    Extended,
}

impl Way {
    /// Both of them.
    pub(crate) const BOTH: [Self; 2] = [Self::Simple, Self::Extended];

    /// The bytes of a statement that travels this way.
    pub(crate) fn bytes(self, sql: &str) -> Vec<u8> {
        match self {
            Self::Simple => raw::query(sql),
            Self::Extended => [
                raw::parse("", sql),
                raw::bind("", "", &[]),
                raw::describe(b'P', ""),
                raw::execute("", 0),
                raw::sync(),
            ]
            .concat(),
        }
    }
}

/// A session whose answers are told in short.
pub(crate) struct Person {
    /// The connection.
    pub(crate) raw: Raw,
    /// What a cancel request for this session carries.
    key: Vec<u8>,
    addr: SocketAddr,
}

impl Person {
    fn new(addr: SocketAddr) -> Self {
        Self::called(addr, &[])
    }

    /// With more start-up parameters.
    pub(crate) fn called(addr: SocketAddr, more: &[(&str, &str)]) -> Self {
        let mut raw = Raw::connect(addr);
        let mut parameters = vec![("user", "postgres"), ("database", "postgres")];
        parameters.retain(|(name, _)| !more.iter().any(|(given, _)| given == name));
        parameters.extend(more);
        let hello = raw.start(&parameters);
        let key = hello.into_iter().find(|frame| frame.tag == b'K').expect("BackendKeyData").body;
        Self { raw, key, addr }
    }

    /// Sends a statement and waits for its end.
    pub(crate) fn ask(&mut self, way: Way, sql: &str) -> Answer {
        self.send(way, sql);
        self.answer()
    }

    /// Sends statements one after the other, each of which must succeed; the last answer.
    pub(crate) fn each(&mut self, way: Way, statements: &[&str]) -> Answer {
        let mut last = None;
        for sql in statements {
            let answer = self.ask(way, sql);
            assert!(answer.error().is_none(), "{sql}: {answer:?}");
            last = Some(answer);
        }
        last.expect("a statement")
    }

    /// The same by simple Query.
    pub(crate) fn query(&mut self, sql: &str) -> Answer {
        self.ask(Way::Simple, sql)
    }

    /// Runs statements one by one; each must succeed.
    pub(crate) fn all(&mut self, statements: &[&str]) {
        for sql in statements {
            let answer = self.query(sql);
            assert!(answer.error().is_none(), "{sql}: {answer:?}");
        }
    }

    /// The rows of a statement that must succeed, columns separated by `|`.
    pub(crate) fn table(&mut self, sql: &str) -> String {
        let rows = self.raw.rows(sql);
        let line = |row: Vec<Option<String>>| {
            row.into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>().join("|")
        };
        rows.into_iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// Sends a statement and does not wait.
    pub(crate) fn send(&mut self, way: Way, sql: &str) {
        self.raw.send(&way.bytes(sql));
    }

    /// Reads up to `ReadyForQuery`.
    pub(crate) fn answer(&mut self) -> Answer {
        Answer(self.raw.until_ready())
    }

    /// The server process of this session.
    pub(crate) fn pid(&self) -> i32 {
        i32::from_be_bytes(self.key[..4].try_into().expect("four bytes"))
    }

    /// Asks, on another connection, to cancel what this session is doing; what comes next cannot be struck by it.
    pub(crate) fn cancel(&self) {
        let mut other = Raw::connect(self.addr);
        other.send(&raw::cancel_request(&self.key));
        other.bytes_to_end();
    }
}

/// Everything that came up to `ReadyForQuery`.
#[derive(Debug)]
pub(crate) struct Answer(pub(crate) Vec<Frame>);

impl Answer {
    /// The tags of its `CommandComplete`s.
    pub(crate) fn tags(&self) -> Vec<String> {
        self.0.iter().filter(|frame| frame.tag == b'C').map(Frame::text).collect()
    }

    /// The one tag of a statement that has succeeded.
    #[track_caller]
    pub(crate) fn tag(&self) -> String {
        let tags = self.tags();
        assert!(tags.len() == 1 && self.error().is_none(), "{self:?}");
        tags.into_iter().next().unwrap_or_default()
    }

    /// SQLSTATE and message of the error, if there is one.
    pub(crate) fn error(&self) -> Option<&Frame> {
        self.0.iter().find(|frame| frame.tag == b'E')
    }

    /// The SQLSTATE of an answer that is an error and nothing else.
    #[track_caller]
    pub(crate) fn failure(&self) -> String {
        assert!(self.tags().is_empty(), "{self:?}");
        self.error().unwrap_or_else(|| panic!("no error: {self:?}")).sqlstate()
    }

    /// The SQLSTATE of its error; empty where there is none.
    pub(crate) fn failure_if_any(&self) -> String {
        self.error().map(Frame::sqlstate).unwrap_or_default()
    }

    /// The error's DETAIL.
    pub(crate) fn detail(&self) -> String {
        self.error().and_then(|error| error.field(b'D')).unwrap_or_default()
    }

    /// The error's HINT.
    pub(crate) fn hint(&self) -> String {
        self.error().and_then(|error| error.field(b'H')).unwrap_or_default()
    }

    /// Severity and message of every notice.
    pub(crate) fn notices(&self) -> Vec<String> {
        let notices = self.0.iter().filter(|frame| frame.tag == b'N');
        notices
            .map(|frame| format!("{}: {}", frame.field(b'V').unwrap_or_default(), frame.message()))
            .collect()
    }

    /// The same without what a plan says at its end, which tells times.
    pub(crate) fn told(&self) -> Vec<String> {
        self.notices().into_iter().filter(|notice| !notice.contains(" took ")).collect()
    }

    /// A field of any notice whose message begins so.
    pub(crate) fn notice(&self, begins: &str, field: u8) -> Option<String> {
        let mut notices = self.0.iter().filter(|frame| frame.tag == b'N');
        notices.find(|frame| frame.message().starts_with(begins)).and_then(|frame| frame.field(field))
    }

    /// The transaction status in its `ReadyForQuery`.
    pub(crate) fn status(&self) -> char {
        self.0.last().map_or(' ', |frame| char::from(frame.body[0]))
    }
}
