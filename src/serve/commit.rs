//! The COMMIT of a transaction that has queued work: that is written down in it, it is committed, and then the work is done.

use crate::base::{Notice, Severity, SqlState};
use crate::execute::as_sent;
use crate::execute::outcome::Outcome;
use crate::execute::tell::tell;
use crate::execute::{catalogue, fail, outbox};
use crate::judge::{self, Deferred};
use crate::plan::task::{self, Meaning};
use crate::session::deferred::Task;
use crate::sql::statement::Transaction;
use crate::sql::{self, Encoding, Form};
use crate::upstream::call::{Call, Item};
use crate::upstream::link::{Link, Lost, Reading};
use crate::upstream::{IfLost, Of};
use crate::wire::fields;
use crate::wire::frame::HEADER_BYTES;

use super::consider::policy_now;
use super::engage::Desk;
use super::statement::run_alone;

/// Commits, and runs what was queued, in order; with `AND CHAIN` another transaction of the same kind is open afterwards.
pub(super) async fn run(desk: &mut Desk<'_>, control: Transaction) -> Result<Outcome, Lost> {
    let again =
        if control == Transaction::CommitAndChain { Some(characteristics(desk.link).await?) } else { None };
    let Some(queue) = desk.link.tracker.take_deferred() else {
        return as_sent(desk.link, b"COMMIT").await;
    };
    let policy = policy_now(desk).await?;
    let login = &desk.surroundings.place.user;
    let ids = match outbox::write(desk.link, queue.tasks(), (policy.deferred, login)).await? {
        Ok(ids) if ids.len() == queue.len() => ids,
        Ok(_) => {
            Call::run(desk.link, &[Item::ours("ROLLBACK")]).await?;
            return Ok(Outcome::own_error(&as_somebody_else()));
        }
        Err(failed) => {
            // Perhaps since somebody has dropped the schema: the next one looks for it.
            desk.surroundings.control.forget_schema(&desk.surroundings.place.database);
            Call::run(desk.link, &[Item::ours("ROLLBACK")]).await?;
            let detail = "The work that the transaction has deferred could not be written down, so that nothing was committed.";
            let read_only = fields::sqlstate(&failed.body) == SqlState::READ_ONLY_TRANSACTION;
            return Ok(Outcome::server_error(
                &failed,
                Some(detail),
                read_only.then_some(judge::STAYS_READ_WRITE),
            ));
        }
    };
    desk.surroundings.live.tasks().ask_once(&desk.surroundings.place.database);
    let committed = as_sent(desk.link, b"COMMIT").await?;
    if !matches!(&committed, Outcome::Complete(tag) if tag == b"COMMIT\0") {
        return Ok(committed);
    }
    let failed = if policy.deferred == Deferred::Background {
        tell(desk.link, &[left_to_others(&ids, queue.tasks())]).await;
        desk.surroundings.live.tasks().ask(&desk.surroundings.place.database);
        None
    } else {
        Box::pin(writing(desk, &ids, queue.tasks())).await?
    };
    if let Some(begin) = again {
        Call::run(desk.link, &[Item::ours(&begin)]).await?;
        if failed.is_some() {
            // What stands behind an error is not run, whichever protocol it comes by.
            fail::transaction(desk.link).await?;
        }
    }
    Ok(failed.unwrap_or(committed))
}

/// What begins a transaction like the open one.
async fn characteristics(link: &mut Link) -> Result<String, Lost> {
    let names = ["transaction_isolation", "transaction_read_only", "transaction_deferrable"];
    let items = names.map(|name| Item::ours("SELECT pg_catalog.current_setting($1)").with(vec![name]));
    let answer = Call::run(link, &items).await?;
    let value = |at: usize| answer.row(at).and_then(|row| row.first().cloned().flatten()).unwrap_or_default();
    let word = |at: usize, yes, no| if value(at) == "on" { yes } else { no };
    Ok(format!(
        "BEGIN ISOLATION LEVEL {} {} {}",
        if value(0).is_empty() { "READ COMMITTED".to_owned() } else { value(0) },
        word(1, "READ ONLY", "READ WRITE"),
        word(2, "DEFERRABLE", "NOT DEFERRABLE")
    ))
}

/// Runs the tasks in a session whose transactions may write, and see what others commit, whatever its own do.
async fn writing(desk: &mut Desk<'_>, ids: &[String], tasks: &[Task]) -> Result<Option<Outcome>, Lost> {
    let modes =
        [("default_transaction_read_only", "off"), ("default_transaction_isolation", "read committed")];
    let writes = modes.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let before = match outbox::put_on(desk.link, &writes).await? {
        Ok(before) => before,
        Err(failed) => {
            let left: Vec<(&String, &Task)> = ids.iter().zip(tasks).collect();
            return Ok(Some(unfinished(&Failure::of(&failed.body), &left)));
        }
    };
    let ended = all(desk, ids, tasks).await?;
    outbox::take_off(desk.link, &before).await?;
    Ok(ended)
}

/// Runs the tasks until one fails; then the client's error.
async fn all(desk: &mut Desk<'_>, ids: &[String], tasks: &[Task]) -> Result<Option<Outcome>, Lost> {
    let of = tasks.len();
    for (at, (id, task)) in ids.iter().zip(tasks).enumerate() {
        if of > 1 {
            tell(desk.link, &[at_work(id, task, (at + 1, of))]).await;
        }
        desk.link
            .last_words
            .put(Of::Commit, Some(if_lost(&ids.iter().zip(tasks).skip(at).collect::<Vec<_>>())));
        let failure = one(desk, id, task).await?;
        desk.link.last_words.put(Of::Commit, None);
        if let Some(failure) = failure {
            let left: Vec<(&String, &Task)> = ids.iter().zip(tasks).skip(at).collect();
            return Ok(Some(unfinished(&failure, &left)));
        }
    }
    Ok(None)
}

/// Runs one task; why it failed, where it did.
async fn one(desk: &mut Desk<'_>, id: &str, task: &Task) -> Result<Option<Failure>, Lost> {
    if desk.link.client_reading == Reading::Closed {
        return Ok(Some(Failure::of_ours("the client has left")));
    }
    match outbox::begin(desk.link, id).await? {
        Ok(true) => {}
        Ok(false) => return Ok(Some(Failure::of_ours("another session is at it"))),
        Err(failed) => return Ok(Some(Failure::of(&failed.body))),
    }
    let (failure, put_back) = match outbox::put_on(desk.link, &task.settings).await? {
        Err(failed) => (Some(Failure::of(&failed.body)), Ok(())),
        Ok(before) => (carried_out(desk, id, task).await?, outbox::take_off(desk.link, &before).await),
    };
    // A session that has not its own settings back ends, but not before it is known how far its task is.
    let left = desk.link.client_reading == Reading::Closed;
    if failure.as_ref().is_some_and(|failure| left || failure.may_pass()) {
        // Nobody has asked for its end, and nothing speaks against it: somebody else goes on.
        outbox::leave(desk.link, id).await?;
        put_back?;
        desk.surroundings.live.tasks().ask(&desk.surroundings.place.database);
        return Ok(failure);
    }
    let words = failure.as_ref().map(|failure| failure.message.as_str());
    let ended = outbox::end(desk.link, id, words).await?;
    put_back?;
    match ended {
        Err(failed) if failure.is_none() => Ok(Some(Failure::of(&failed.body))),
        Ok(_) | Err(_) => Ok(failure),
    }
}

/// Runs what a task asks for, where that means what it meant, and looks whether it is there then.
async fn carried_out(desk: &mut Desk<'_>, id: &str, task: &Task) -> Result<Option<Failure>, Lost> {
    if !task.later.sql.is_ascii() && desk.link.tracker.reading().dialect().encoding != Encoding::Utf8 {
        return Ok(Some(Failure::of_ours("the client encoding is another one by now")));
    }
    let meaning = catalogue::meaning(desk.link, &task.about).await?;
    if let Meaning::Other(name) = meaning {
        return Ok(Some(Failure::of_ours(&format!("{name} is another relation by now"))));
    }
    if meaning == Meaning::Gone || is_moot(desk, task).await? {
        let words = format!("{} (task {id}): there is nothing left to do it to", task.later.title);
        tell(desk.link, &[Notice::info(words)]).await;
        return Ok(None);
    }
    let text = task::to_run(&task.later.sql, task.later.tag);
    match run_alone(desk, &text).await? {
        Outcome::Failed(frame) => Ok(Some(Failure::of(frame.get(HEADER_BYTES..).unwrap_or_default()))),
        Outcome::Complete(_) | Outcome::Answered | Outcome::Overtaken => missing(desk, task).await,
    }
}

/// Whether an index that a task is about has gone in the same transaction, behind it, while its table is still there.
async fn is_moot(desk: &mut Desk<'_>, task: &Task) -> Result<bool, Lost> {
    let script = sql::parse(&task.later.sql, desk.link.tracker.reading().dialect());
    let first = script.statements.first().and_then(|statement| statement.locks.first());
    let (Some(lock), Some(oid)) = (first, task.later.pending.oids.first()) else { return Ok(false) };
    let nothing = catalogue::named(desk.link, std::slice::from_ref(&lock.name)).await?;
    Ok(nothing.is_ok_and(|named| named.is_empty()) && !catalogue::is_there(desk.link, *oid).await?)
}

/// An index that is not there although it was said to be made: something else has its name.
async fn missing(desk: &mut Desk<'_>, task: &Task) -> Result<Option<Failure>, Lost> {
    let script = sql::parse(&task.later.sql, desk.link.tracker.reading().dialect());
    let Some(Form::CreateIndex(index)) = script.statements.first().map(|it| &it.form) else {
        return Ok(None);
    };
    let Some(name) = &index.name else { return Ok(None) };
    let there = catalogue::has_index(desk.link, &index.table, name).await?;
    Ok((!there)
        .then(|| Failure::of_ours(&format!("something else is called {name:?}, or the index is not valid"))))
}

/// Why a task has failed.
struct Failure {
    message: String,
    code: SqlState,
    detail: Option<String>,
    hint: Option<String>,
}

impl Failure {
    fn of(body: &[u8]) -> Self {
        let text = |field| fields::field(body, field).map(|it| String::from_utf8_lossy(it).into_owned());
        let code = fields::sqlstate(body);
        Self {
            message: format!("{} ({code})", text(b'M').unwrap_or_default()),
            code,
            detail: text(b'D'),
            hint: text(b'H'),
        }
    }

    fn of_ours(message: &str) -> Self {
        Self { message: message.to_owned(), code: SqlState::SYSTEM_ERROR, detail: None, hint: None }
    }

    /// Whether it is a matter of time: others hold the table, or peak hours the work.
    fn may_pass(&self) -> bool {
        matches!(
            self.code,
            SqlState::LOCK_NOT_AVAILABLE | SqlState::NOT_IN_PREREQUISITE_STATE | SqlState::ADMIN_SHUTDOWN
        )
    }
}

/// The error for a client whose transaction is committed while its work is not done. The code is none that programs take as a
/// reason to run the transaction once more.
fn unfinished(failure: &Failure, left: &[(&String, &Task)]) -> Outcome {
    let message =
        format!("the transaction is committed, but its deferred work is not finished: {}", failure.message);
    let why = failure.detail.as_deref().map(|detail| format!("{detail} ")).unwrap_or_default();
    let first = left.first().map(|(id, _)| id.as_str()).unwrap_or_default();
    let own = failure.hint.as_deref().map(|hint| format!("{hint} ")).unwrap_or_default();
    Outcome::own_error(
        &Notice::error(SqlState::SYSTEM_ERROR, message)
            .detail(format!("{why}Missing: {}. Do not run the transaction again.", titles(left)))
            .hint(format!(
                "{own}When the cause is gone, finish it: lockkeeper resume {first}. Or give it up: lockkeeper tasks drop {first} \
                 --why \"<reason>\"."
            )),
    )
}

/// What the client hears where its session ends in the midst.
fn if_lost(left: &[(&String, &Task)]) -> IfLost {
    let first = left.first().map(|(id, _)| id.as_str()).unwrap_or_default();
    IfLost {
        detail: format!(
            "The transaction is committed, but its deferred work is not finished. Missing: {}.",
            titles(left)
        ),
        hint: format!(
            "Do not run the transaction again. A proxy goes on with the work by itself, or you do: lockkeeper resume {first}."
        ),
    }
}

/// `CREATE INDEX a ON t (task 7); ..`
fn titles(left: &[(&String, &Task)]) -> String {
    let titles: Vec<String> =
        left.iter().map(|(id, task)| format!("{} (task {id})", task.later.title)).collect();
    titles.join("; ")
}

fn as_somebody_else() -> Notice {
    let message = "a transaction with deferred work cannot be committed under SET SESSION AUTHORIZATION";
    Notice::error(SqlState::FEATURE_NOT_SUPPORTED, message)
        .detail("What is deferred runs as the role that has logged in. Nothing was committed.")
        .hint("RESET SESSION AUTHORIZATION before the COMMIT.")
}

fn at_work(id: &str, task: &Task, (at, of): (usize, usize)) -> Notice {
    Notice::info(format!("committed; deferred work {at} of {of}: {} (task {id})", task.later.title))
}

fn left_to_others(ids: &[String], tasks: &[Task]) -> Notice {
    let all: Vec<(&String, &Task)> = ids.iter().zip(tasks).collect();
    let severity = Severity::Notice;
    Notice::new(
        severity,
        SqlState::SUCCESS,
        "committed; the work that was deferred is done in the background",
    )
    .detail(format!("Queued: {}.", titles(&all)))
    .hint("lockkeeper tasks shows how far it is.")
}
