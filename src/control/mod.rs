//! The proxy's own connection: reads what the client's role may not see, and never acts in the client's name.
//!
//! One connection per worker and database, opened at first need and given up when it breaks. Without it the proxy still
//! guards, only it cannot look before it queues, nor tell progress.

mod advisory;
pub mod blockers;
pub mod holders;
pub mod left_overs;
pub mod lockers;
mod pressure;
pub mod standing;
mod live;
pub mod progress;
pub mod schema;
pub mod tasks;
pub mod victims;

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config};

use crate::effects::facts::Oid;
use crate::event::clock::{self, Moment};
use crate::event::{ControlSilent, PressureUnseen};
use crate::pace::blocker::Blocker;
use crate::pace::bulk::Pressure;
use crate::sql::advisory::Key;
use crate::upstream::{Own, Upstream};

use holders::Held;
pub use live::{Live, Unanswered, client};
use progress::Build;
pub use schema::{Install, NoSchema};
use victims::{Behind, Blocking};

/// The control connection is no reason to keep a client waiting.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// Questions to the catalogue are long and have few answers: compiled, they would take seconds.
const UNCOMPILED: &str = "SET jit = off";

/// After a failure, so long nobody tries again.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// How to reach the server under the proxy's own role.
#[derive(Debug, Clone)]
pub struct ControlSettings {
    /// Everything but the database name.
    own: Own,
    install: Install,
}

impl ControlSettings {
    /// A login that encrypts as sessions do.
    pub fn new(login: Config, upstream: &Upstream) -> Self {
        Self {
            own: Own::new(login, upstream.settings().ssl_mode, upstream.connector()),
            install: Install::default(),
        }
    }

    /// The same, and whether schema `lockkeeper` is installed at need.
    #[must_use]
    pub fn installing(mut self, install: Install) -> Self {
        self.install = install;
        self
    }

    async fn connect(&self, database: &str) -> Result<Client, tokio_postgres::Error> {
        let own = self.own.with(|login| {
            login.dbname(database).application_name("lockkeeper").connect_timeout(CONNECT_WITHIN);
        });
        let (client, driving) = own.connect().await?;
        drive(driving);
        client.batch_execute(UNCOMPILED).await?;
        Ok(client)
    }
}

fn drive(connection: impl Future<Output = Result<(), tokio_postgres::Error>> + 'static) {
    tokio::task::spawn_local(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "control connection ended");
        }
    });
}

/// The control connections of one worker.
#[derive(Debug, Default)]
pub struct Control {
    settings: Option<ControlSettings>,
    connections: RefCell<HashMap<String, Slot>>,
    schemas: schema::Known,
    servers: pressure::Known,
}

enum Slot {
    Open(Rc<Client>),
    FailedAt(Moment),
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Open(_) => "Open",
            Self::FailedAt(_) => "FailedAt",
        })
    }
}

impl Control {
    /// Control connections under these settings; with none, nothing can be asked.
    pub fn new(settings: Option<ControlSettings>) -> Self {
        Self { settings, ..Self::default() }
    }

    /// Sees to it that schema `lockkeeper` is there, so that a transaction in this database may queue work; where it may and
    /// must, it installs it. That it is there is remembered.
    pub async fn ensure_schema(&self, database: &str) -> Result<(), NoSchema> {
        if let Some(known) = self.schemas.answer(database) {
            return known;
        }
        let Some(settings) = &self.settings else { return Err(NoSchema::Uncontrolled) };
        let answer = Box::pin(schema::ensure(settings, database)).await;
        self.schemas.learn(database, &answer);
        answer
    }

    /// Whether nothing has to be waited for: it is known whether it is there, or nobody could see to it.
    pub fn has_settled_schema(&self, database: &str) -> bool {
        self.settings.is_none() || self.schemas.answer(database).is_some()
    }

    /// Somebody has found that it is there.
    pub fn schema_is_there(&self, database: &str) {
        self.schemas.learn(database, &Ok(()));
    }

    /// The schema may be gone: the next one looks again.
    pub fn forget_schema(&self, database: &str) {
        self.schemas.forget(database);
    }

    /// Whether there is anybody to ask.
    pub const fn is_configured(&self) -> bool {
        self.settings.is_some()
    }

    /// Who holds locks on these relations, other than `pid`. Empty also when nobody may know.
    pub async fn blockers(&self, database: &str, pid: u32, relations: &[Oid]) -> Vec<(Oid, Blocker)> {
        if relations.is_empty() {
            return Vec::new();
        }
        let Some(client) = self.client(database).await else { return Vec::new() };
        let own = i32::try_from(pid).unwrap_or(-1);
        match clock::within(ANSWER_WITHIN, client.query(blockers::SQL, &[&relations, &own])).await {
            Some(Ok(rows)) => rows.iter().filter_map(blockers::blocker).collect(),
            Some(Err(error)) => self.broken(database, &error.to_string(), Vec::new()),
            None => self.broken(database, "no answer in time", Vec::new()),
        }
    }

    /// Asks an autovacuum worker to give way, unless it prevents wraparound; whether it does.
    pub async fn send_vacuum_away(&self, database: &str, pid: i32) -> bool {
        let Some(client) = self.client(database).await else { return false };
        match clock::within(ANSWER_WITHIN, client.query_opt(blockers::SEND_VACUUM_AWAY, &[&pid])).await {
            Some(Ok(row)) => row.is_none_or(|row| row.try_get(0).unwrap_or(false)),
            Some(Err(error)) => self.broken(database, &error.to_string(), false),
            None => self.broken(database, "no answer in time", false),
        }
    }

    /// How far the build of this backend is; `None` also when nobody may know.
    pub async fn progress(&self, database: &str, pid: u32) -> Option<Build> {
        let client = self.client(database).await?;
        let pid = i32::try_from(pid).ok()?;
        match clock::within(ANSWER_WITHIN, client.query_opt(progress::SQL, &[&pid])).await {
            Some(Ok(row)) => row.as_ref().and_then(progress::build),
            Some(Err(error)) => self.broken(database, &error.to_string(), None),
            None => self.broken(database, "no answer in time", None),
        }
    }

    /// Who holds a build on this table by this backend up; nobody also when nobody may know.
    pub async fn holders(&self, database: &str, pid: u32, table: Oid) -> Held {
        let Some(client) = self.client(database).await else { return Held::default() };
        let pid = i32::try_from(pid).unwrap_or(-1);
        let values: [(&(dyn ToSql + Sync), Type); 2] = [(&table, Type::OID), (&pid, Type::INT4)];
        match clock::within(ANSWER_WITHIN, client.query_typed(holders::SQL, &values)).await {
            Some(Ok(rows)) => holders::held(&rows),
            Some(Err(error)) => self.broken(database, &error.to_string(), Held::default()),
            None => self.broken(database, "no answer in time", Held::default()),
        }
    }

    /// The processes that have an advisory lock; none also when nobody may know.
    pub async fn advisory_holders(&self, database: &str, key: Key) -> Vec<u32> {
        let Some(client) = self.client(database).await else { return Vec::new() };
        let values: [(&(dyn ToSql + Sync), Type); 3] =
            [(&key.class, Type::OID), (&key.object, Type::OID), (&key.form, Type::INT2)];
        match clock::within(ANSWER_WITHIN, client.query_typed(advisory::SQL, &values)).await {
            Some(Ok(rows)) => {
                rows.iter().filter_map(|row| u32::try_from(row.try_get::<_, i32>(0).ok()?).ok()).collect()
            }
            Some(Err(error)) => self.broken(database, &error.to_string(), Vec::new()),
            None => self.broken(database, "no answer in time", Vec::new()),
        }
    }

    /// Who waits behind these locks of this backend; `None` when nobody may know.
    pub async fn behind(&self, database: &str, pid: u32, blocking: Blocking) -> Option<Behind> {
        let pid = i32::try_from(pid).ok().filter(|pid| *pid > 0)?;
        let client = self.client(database).await?;
        let strong_only = blocking == Blocking::StrongOnRelations;
        let values: [(&(dyn ToSql + Sync), Type); 3] =
            [(&pid, Type::INT4), (&strong_only, Type::BOOL), (&*victims::BOOKS, Type::TEXT_ARRAY)];
        let asked = clock::Moment::now();
        match clock::within(ANSWER_WITHIN, client.query_typed(victims::SQL, &values)).await {
            Some(Ok(rows)) => Some(victims::behind(&rows, pid, asked.elapsed())),
            Some(Err(error)) => self.broken(database, &error.to_string(), None),
            None => self.broken(database, "no answer in time", None),
        }
    }

    /// How much the server and its standbys have to do, apart from this backend, which writes this table; `None` when nobody may know. A server that cannot say
    /// that may be asked everything else.
    pub async fn pressure(&self, database: &str, (pid, table): (u32, Oid)) -> Option<Pressure> {
        if self.servers.refuses(database) {
            return None;
        }
        let pid = i32::try_from(pid).unwrap_or(-1);
        // What is asked seldom is not to make every session bigger.
        Box::pin(self.ask_pressure(database, (pid, table))).await
    }

    async fn ask_pressure(&self, database: &str, about: (i32, Oid)) -> Option<Pressure> {
        let client = self.client(database).await?;
        match clock::within(ANSWER_WITHIN, self.servers.ask(&client, database, about)).await {
            Some(Ok(pressure)) => Some(pressure),
            Some(Err(error)) if error.as_db_error().is_some() => {
                self.servers.refused(database);
                PressureUnseen { database, why: &live::words(&error) }.emit();
                None
            }
            Some(Err(error)) => self.broken(database, &error.to_string(), None),
            None => self.broken(database, "no answer in time", None),
        }
    }

    fn broken<T>(&self, database: &str, why: &str, answer: T) -> T {
        ControlSilent { database, why }.emit();
        self.connections.borrow_mut().insert(database.to_owned(), Slot::FailedAt(Moment::now()));
        answer
    }

    async fn client(&self, database: &str) -> Option<Rc<Client>> {
        let settings = self.settings.as_ref()?;
        match self.connections.borrow().get(database) {
            Some(Slot::Open(client)) if !client.is_closed() => return Some(Rc::clone(client)),
            Some(Slot::FailedAt(at)) if at.elapsed() < TRY_AGAIN_AFTER => return None,
            _ => {}
        }
        match clock::within(CONNECT_WITHIN, settings.connect(database)).await {
            Some(Ok(client)) => {
                let client = Rc::new(client);
                self.connections.borrow_mut().insert(database.to_owned(), Slot::Open(Rc::clone(&client)));
                Some(client)
            }
            Some(Err(error)) => self.broken(database, &error.to_string(), None),
            None => self.broken(database, "cannot connect in time", None),
        }
    }
}
