//! The tasks that transactions have queued, as a role may see them.

use std::time::Duration;

use serde_json::Value;
use tokio_postgres::{Client, Error, Row};

use super::schema::{self, NoSchema};
use super::{ControlSettings, live};
use crate::event::clock;

/// Nobody waits for this.
const WITHIN: Duration = Duration::from_secs(20);

/// Whoever has queued a task runs it right away; after so long it is left over.
const LEFT_AFTER: Duration = Duration::from_secs(10);

/// A setting of a task that stays when the session that ran it is lost, until somebody goes on with it.
pub const STAYS: (&str, &str) = ("lockkeeper.without_client", "stop");

/// After so many attempts that ended with the session, it is a person's turn.
const ATTEMPTS_MAX: i32 = 3;

const SQL: &str = "SELECT t.id, t.batch, t.state, t.title, t.tag, t.sql, t.settings::pg_catalog.text, t.background, \
     t.queued_by::pg_catalog.text, \
     pg_catalog.to_char(t.queued_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), t.application_name, t.attempts, \
     t.begun_at IS NOT NULL, pg_catalog.to_char(t.ended_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), \
     t.ended_by::pg_catalog.text, t.failure, t.why, t.pid, t.mine, \
     GREATEST(EXTRACT(epoch FROM pg_catalog.clock_timestamp() - t.queued_at), 0)::pg_catalog.float8, t.about::pg_catalog.text \
     FROM lockkeeper.tasks() t ORDER BY t.id";

const BLIND: &str = "SELECT current_user::pg_catalog.text \
     WHERE NOT pg_catalog.has_table_privilege(current_user, 'lockkeeper.task', 'SELECT')";

/// How far a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nobody has begun it.
    Queued,
    /// A session runs it.
    Running,
    /// The session that ran it is gone.
    LeftOver,
    /// What it asked for is there.
    Done,
    /// The server has refused it.
    Failed,
    /// Somebody has given it up.
    Dropped,
}

impl State {
    /// As people read it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::LeftOver => "left over",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }

    fn of(word: &str) -> Option<Self> {
        let all = [Self::Queued, Self::Running, Self::LeftOver, Self::Done, Self::Failed, Self::Dropped];
        all.into_iter().find(|state| state.word() == word)
    }

    /// Whether something is left to be done.
    pub const fn is_open(self) -> bool {
        !matches!(self, Self::Done | Self::Dropped)
    }
}

/// One task.
#[expect(clippy::struct_excessive_bools, reason = "columns of its row, independent of each other")]
#[derive(Debug, Clone)]
pub struct Task {
    /// Its number.
    pub id: i64,
    /// Those that one transaction has queued have the same.
    pub batch: i32,
    /// How far it is.
    pub state: State,
    /// What people are shown of it.
    pub title: String,
    /// The command tag of its statement.
    pub tag: String,
    /// Its statement, as long as it is open.
    pub sql: Option<String>,
    /// What is set while it runs, in the order of their names.
    pub settings: Vec<(String, String)>,
    /// The session that has queued it does not run it.
    pub background: bool,
    /// The login that has.
    pub queued_by: String,
    /// When, in UTC.
    pub queued_at: String,
    /// What the session that has queued it called itself.
    pub application_name: String,
    /// How often it was begun.
    pub attempts: i32,
    /// It was begun once, at least.
    pub begun: bool,
    /// When it ended, in UTC.
    pub ended_at: Option<String>,
    /// The login that has ended it.
    pub ended_by: Option<String>,
    /// Why it has failed.
    pub failure: Option<String>,
    /// Why it was given up.
    pub why: Option<String>,
    /// The process that carries its batch out.
    pub pid: Option<i32>,
    /// Whether who asks has queued it.
    pub mine: bool,
    /// Since it was queued.
    pub age: Duration,
    /// What its statement named then, with the oids: an object of JSON.
    pub about: Option<String>,
}

impl Task {
    fn stays(&self) -> bool {
        self.settings.iter().any(|(name, value)| (name.as_str(), value.as_str()) == STAYS)
    }
}

/// All that the role may see, the oldest first. It is asked only where the schema is one to be trusted: that role's own, `trusted`'s, or a
/// superuser's.
pub async fn list(client: &Client, trusted: Option<&str>) -> Result<Vec<Task>, NoSchema> {
    schema::check(client, trusted).await?;
    let unreachable = |error: Error| NoSchema::Unreachable(live::words(&error));
    let rows = client.query(SQL, &[]).await.map_err(unreachable)?;
    rows.iter().map(|row| task(row).map_err(unreachable)).collect()
}

/// What a look has found.
#[derive(Debug)]
pub enum Look {
    /// These tasks.
    Tasks {
        /// The oldest first.
        tasks: Vec<Task>,
        /// The role that does not see those of others, if it does not.
        blind: Option<String>,
    },
    /// Nothing can have been queued there.
    None,
}

/// Looks by a connection that ends with it; `None` where the database gives no answer.
pub async fn look(settings: &ControlSettings, database: &str) -> Option<Look> {
    let looked = clock::within(WITHIN, async {
        let client = settings.connect(database).await?;
        client.batch_execute(&format!("SET statement_timeout = '{}s'", WITHIN.as_secs())).await?;
        // On a standby nothing can be done.
        let standby: bool =
            client.query_one("SELECT pg_catalog.pg_is_in_recovery()", &[]).await?.try_get(0)?;
        let Some(tasks) = (if standby { None } else { list(&client, None).await.ok() }) else {
            return Ok(Look::None);
        };
        let blind = client.query_opt(BLIND, &[]).await?.map(|row| row.try_get(0)).transpose()?;
        Ok::<_, Error>(Look::Tasks { tasks, blind })
    });
    match looked.await {
        Some(Ok(look)) => Some(look),
        Some(Err(error)) => {
            tracing::debug!(%error, database, "could not look for tasks");
            None
        }
        None => {
            tracing::debug!(database, "looking for tasks took too long");
            None
        }
    }
}

fn task(row: &Row) -> Result<Task, Error> {
    let state: &str = row.try_get(2)?;
    let settings: &str = row.try_get(6)?;
    let settings: serde_json::Map<String, Value> = serde_json::from_str(settings).unwrap_or_default();
    let text = |(name, value): (String, Value)| Some((name, value.as_str()?.to_owned()));
    Ok(Task {
        id: row.try_get(0)?,
        batch: row.try_get(1)?,
        // A word of a newer version is nothing that is to be touched.
        state: State::of(state).unwrap_or(State::Dropped),
        title: row.try_get(3)?,
        tag: row.try_get(4)?,
        sql: row.try_get(5)?,
        settings: settings.into_iter().filter_map(text).collect(),
        background: row.try_get(7)?,
        queued_by: row.try_get(8)?,
        queued_at: row.try_get(9)?,
        application_name: row.try_get(10)?,
        attempts: row.try_get(11)?,
        begun: row.try_get(12)?,
        ended_at: row.try_get(13)?,
        ended_by: row.try_get(14)?,
        failure: row.try_get(15)?,
        why: row.try_get(16)?,
        pid: row.try_get(17)?,
        mine: row.try_get(18)?,
        age: Duration::try_from_secs_f64(row.try_get(19)?).unwrap_or_default(),
        about: row.try_get(20)?,
    })
}

/// The open tasks of each batch, in the order in which they are to be run.
pub fn batches(tasks: Vec<Task>) -> Vec<Vec<Task>> {
    let mut all: Vec<Vec<Task>> = Vec::new();
    for task in tasks.into_iter().filter(|task| task.state.is_open()) {
        match all.iter_mut().find(|batch| batch.first().is_some_and(|first| first.batch == task.batch)) {
            Some(batch) => batch.push(task),
            None => all.push(vec![task]),
        }
    }
    all
}

/// Whether a batch is to be taken up by whoever comes by: nobody runs it, and nobody has been told that it has failed.
pub fn is_left_over(batch: &[Task]) -> bool {
    batch.first().is_some_and(|first| match first.state {
        State::LeftOver => first.attempts < ATTEMPTS_MAX && !first.stays(),
        State::Queued => first.pid.is_none() && (first.background || first.age > LEFT_AFTER),
        State::Running | State::Done | State::Failed | State::Dropped => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(id: i64, state: State) -> Task {
        Task {
            id,
            batch: 1,
            state,
            title: String::new(),
            tag: String::new(),
            sql: None,
            settings: Vec::new(),
            background: false,
            queued_by: String::new(),
            queued_at: String::new(),
            application_name: String::new(),
            attempts: 0,
            begun: false,
            ended_at: None,
            ended_by: None,
            failure: None,
            why: None,
            pid: None,
            mine: false,
            age: Duration::ZERO,
            about: None,
        }
    }

    #[test]
    fn a_batch_is_what_is_open_of_it() {
        let other = Task { batch: 2, ..task(3, State::Failed) };
        let all = vec![
            task(1, State::Done),
            task(2, State::LeftOver),
            other,
            task(4, State::Queued),
            task(5, State::Dropped),
        ];
        let ids = |batch: &Vec<Task>| batch.iter().map(|task| task.id).collect::<Vec<_>>();
        assert_eq!(batches(all).iter().map(ids).collect::<Vec<_>>(), [vec![2, 4], vec![3]]);
    }

    #[test]
    fn what_nobody_runs_is_left_over() {
        let check = |first: Task, expected| {
            assert_eq!(is_left_over(std::slice::from_ref(&first)), expected, "{first:?}");
        };
        check(task(1, State::Queued), false);
        check(Task { background: true, ..task(1, State::Queued) }, true);
        check(Task { background: true, pid: Some(7), ..task(1, State::Queued) }, false);
        check(Task { age: LEFT_AFTER * 2, ..task(1, State::Queued) }, true);
        check(task(1, State::LeftOver), true);
        let stays = vec![(STAYS.0.to_owned(), STAYS.1.to_owned())];
        check(Task { settings: stays, ..task(1, State::LeftOver) }, false);
        check(Task { attempts: ATTEMPTS_MAX, ..task(1, State::LeftOver) }, false);
        check(Task { background: true, age: LEFT_AFTER * 2, ..task(1, State::Failed) }, false);
        check(Task { background: true, age: LEFT_AFTER * 2, ..task(1, State::Running) }, false);
    }
}
