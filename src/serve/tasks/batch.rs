//! Runs the tasks of one batch in order, as a client that has logged in as the role that queued them.

use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, Row};

use super::client::NoSession;
use crate::control::tasks::{State, Task};
use crate::plan::task::{self, MEANT, Meaning, Then};
use crate::sql::Dialect;

/// What is worth telling while a batch runs.
#[derive(Debug)]
pub enum Told<'a> {
    /// A task is begun.
    Begun(&'a Task),
    /// What it asks for was there already.
    There(&'a Task),
    /// There is nothing left to do it to.
    Moot(&'a Task),
    /// It is done.
    Done(&'a Task),
    /// It has failed, for this reason.
    Failed(&'a Task, &'a str),
}

/// How a batch ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Nothing is left of it.
    Done,
    /// One of its tasks has failed, and the others wait for that.
    Failed,
    /// It was held back or found its table busy for too long, for this reason; it was given back as it is.
    Later(String),
    /// Somebody else runs it, or has given up what comes next.
    Elsewhere,
    /// The server does not let this session run it.
    Refused(String),
    /// The session is lost, and with it what was being done.
    Lost(String),
}

/// What a role has set for its queries is not meant for this: nobody waits for it, and it changes things.
const AFRESH: &str = "RESET ROLE; RESET ALL; SET default_transaction_read_only = off; SET statement_timeout = 0; \
     SET default_transaction_isolation = 'read committed'";

/// Only to another value: few may set `session_replication_role`, and not even to what it is.
const SET: &str = "SELECT pg_catalog.set_config($1, $2, false) \
     WHERE coalesce(pg_catalog.current_setting($1, true), '') OPERATOR(pg_catalog.<>) $2";

/// Runs them; what a session leaves unfinished, another one can take up.
pub async fn run(client: &Client, tasks: &[Task], tell: &dyn Fn(Told<'_>)) -> Ended {
    if let Err(error) = client.batch_execute(AFRESH).await {
        return Ended::Lost(of(&error));
    }
    for task in tasks {
        match client
            .query_one("SELECT lockkeeper.begin_task($1)", &[&task.id])
            .await
            .and_then(|row| row.try_get(0))
        {
            Ok(true) => {}
            Ok(false) => return Ended::Elsewhere,
            Err(error) if error.is_closed() => return Ended::Lost(of(&error)),
            Err(error) => return Ended::Refused(of(&error)),
        }
        tell(Told::Begun(task));
        let carried = carry_out(client, task).await;
        // Whatever was set for the task ends with it.
        if let Err(error) = client.batch_execute(AFRESH).await {
            return Ended::Lost(of(&error));
        }
        let (ended, failure) = match &carried {
            Ok(done) => (Ok(done), None),
            Err(Trouble::Later(why)) => {
                let left = client.execute("SELECT lockkeeper.leave_batch($1)", &[&task.id]).await;
                return left.map_or_else(|error| Ended::Lost(of(&error)), |_| Ended::Later(why.clone()));
            }
            Err(Trouble::Failed(why)) => (Err(why), Some(why.as_str())),
        };
        if let Err(error) = client.execute("SELECT lockkeeper.end_task($1, $2)", &[&task.id, &failure]).await
        {
            return Ended::Lost(of(&error));
        }
        match ended {
            Ok(Carried::Out) => tell(Told::Done(task)),
            Ok(Carried::Before) => tell(Told::There(task)),
            Ok(Carried::Nothing) => tell(Told::Moot(task)),
            Err(why) => {
                tell(Told::Failed(task, why));
                return Ended::Failed;
            }
        }
    }
    Ended::Done
}

/// What became of a task.
enum Carried {
    Out,
    /// It was done, and only not marked as such.
    Before,
    /// What it is about is gone.
    Nothing,
}

enum Trouble {
    Later(String),
    Failed(String),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match error.code() {
            // Peak hours, a freeze, or readers that nobody could wait out: no fault of the task's.
            Some(&SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE | &SqlState::LOCK_NOT_AVAILABLE) => {
                Self::Later(of(&error))
            }
            _ => Self::Failed(of(&error)),
        }
    }
}

async fn carry_out(client: &Client, task: &Task) -> Result<Carried, Trouble> {
    let sql = task.sql.as_deref().unwrap_or_default();
    let statement =
        task::statement(sql, dialect(task)).map_err(|unfit| Trouble::Failed(unfit.to_string()))?;
    for (name, value) in in_order(task) {
        let values: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 2] =
            [(&name, Type::TEXT), (&value, Type::TEXT)];
        client.query_typed(SET, &values).await?;
    }
    match meaning(client, task).await? {
        Meaning::Same => {}
        Meaning::Gone => return Ok(Carried::Nothing),
        Meaning::Other(name) => return Err(Trouble::Failed(of_another(&name, task.id))),
    }
    if task.begun
        && let Some(question) = task::done(&statement)
    {
        let rows = client.query_typed(&question, &[]).await?;
        if rows.first().is_some_and(|row| row.try_get(0).unwrap_or(false)) {
            return Ok(Carried::Before);
        }
    }
    if task.state == State::LeftOver
        && let Some(mend) = task::mend(&statement)
    {
        let rows = client.query_typed(&mend.question, &[]).await?;
        for row in &rows {
            client.query_typed(row.try_get(0)?, &[]).await?;
        }
        if mend.then == Then::Finished && !rows.is_empty() {
            return Ok(Carried::Out);
        }
    }
    let text = task::to_run(sql.as_bytes(), &task.tag);
    client.query_typed(&String::from_utf8_lossy(&text), &[]).await?;
    Ok(Carried::Out)
}

/// Whether the names in its text still mean what they meant; one that was queued before that was written down is taken at its word.
async fn meaning(client: &Client, task: &Task) -> Result<Meaning, Error> {
    let Some(about) = &task.about else { return Ok(Meaning::Same) };
    let rows = client.query_typed(MEANT, &[(about, Type::TEXT)]).await?;
    let columns = |row: &Row| Ok([row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?]);
    Ok(Meaning::of(&rows.iter().map(columns).collect::<Result<Vec<_>, Error>>()?))
}

fn of_another(name: &str, id: i64) -> String {
    format!(
        "{name} is another relation than when this was queued, and nothing was done to it; if it is meant, run the statement by hand; then \
         lockkeeper tasks drop {id} --why REASON"
    )
}

/// How the text was read when it was queued.
fn dialect(task: &Task) -> Dialect {
    let off = |(name, value): &(String, String)| name == "standard_conforming_strings" && value == "off";
    Dialect { standard_conforming_strings: !task.settings.iter().any(off), ..Dialect::default() }
}

/// The role last, since it may set less than the login. The encoding is this client's own, and so is who it is.
fn in_order(task: &Task) -> impl Iterator<Item = (&str, &str)> {
    let all = || task.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let own = |name: &str| matches!(name, "client_encoding" | "session_authorization" | "role");
    all().filter(move |(name, _)| !own(name)).chain(all().filter(|(name, _)| *name == "role"))
}

/// Why there is no session, in words.
pub fn words(error: &NoSession) -> String {
    match error {
        NoSession::Login(error) => match std::error::Error::source(error).map(ToString::to_string) {
            Some(cause) if cause == "password missing" => {
                "the server asks for a password, and there is none for this role".to_owned()
            }
            Some(cause) if error.as_db_error().is_none() => cause,
            _ => of(error),
        },
        NoSession::Socket(error) => format!("cannot make a socket: {error}"),
    }
}

/// What the server says, without its DETAIL, in which values of rows may stand.
fn of(error: &Error) -> String {
    match error.as_db_error() {
        Some(said) => {
            let hint = said.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
            format!("{} ({}){hint}", said.message(), said.code().code())
        }
        None if error.is_closed() => "the session was lost".to_owned(),
        None => error.to_string(),
    }
}
