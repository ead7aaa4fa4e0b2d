//! A statement of an open transaction of which only the brief part is done in it; the rest is queued.

use std::collections::BTreeSet;

use crate::judge::{self, Guard, Retry, Waits};
use crate::plan::task::{Meaning, Named};
use crate::plan::{Deferral, Later, Pace, Step, up_front};
use crate::session::deferred::{QUEUED_MAX, Queue, Task};
use crate::session::repeat::Unfit;
use crate::sql::statement::Script;
use crate::sql::{edit, parse};
use crate::upstream::call::Failed;
use crate::upstream::{Link, Lost};

use super::outbox::{self, May};
use super::outcome::Outcome;
use super::readiness::{self, Readiness, Settings};
use super::tell::tell;
use super::{Run, as_sent, catalogue, fail, guard, trial};
use crate::base::{Notice, RelationName, SqlState};

/// Does what is to be done now and queues the rest, once it is known that it can be, of which the client is told so; `text` is the
/// statement as it was sent.
pub async fn run(
    run: &mut Run<'_>,
    (deferral, notices): (&Deferral, &[Notice]),
    text: &[u8],
) -> Result<Outcome, Lost> {
    let settings = match ready(run, deferral, text).await? {
        Ready::Under(settings) => settings,
        Ready::AsSent => return as_sent(run.link, text).await,
        Ready::Refused(outcome) => return Ok(outcome),
    };
    tell(run.link, notices).await;
    for step in &deferral.now {
        let outcome = brief(run, step).await?;
        if !matches!(outcome, Outcome::Complete(_) | Outcome::Answered) {
            return Ok(outcome);
        }
    }
    if !deferral.later.is_empty()
        && let Some(failed) = queue(run.link, &deferral.later, &settings).await?
    {
        return Ok(Outcome::server_error(&failed, None, None));
    }
    Ok(Outcome::Complete(format!("{}\0", tag(deferral)).into_bytes()))
}

/// The tag of a statement that writes rows counts them, and none is written yet.
fn tag(deferral: &Deferral) -> String {
    match deferral.tag {
        "UPDATE" | "DELETE" => format!("{} 0", deferral.tag),
        tag => tag.to_owned(),
    }
}

enum Ready {
    Under(Settings),
    /// The server refuses it, in words of its own.
    AsSent,
    Refused(Outcome),
}

/// Whether what is left for later can be written down when the transaction is committed.
async fn ready(run: &mut Run<'_>, deferral: &Deferral, text: &[u8]) -> Result<Ready, Lost> {
    if deferral.later.is_empty() {
        // An index that is to come already, and whatever else this one lacks.
        let refused = trial::run(run, text).await?;
        return Ok(refused.map_or_else(|| Ready::Under(Vec::new()), Ready::Refused));
    }
    let encoding = run.link.tracker.reading().dialect().encoding;
    let full = run.link.tracker.queued() + deferral.later.len() > QUEUED_MAX;
    let why = if full { Some(too_many()) } else { outbox::unwritable(&deferral.later, encoding) };
    if let Some(why) = why {
        return refused(run.link, &why).await;
    }
    let what = format!("{} cannot be deferred", deferral.tag);
    let settings = match readiness::readiness(run.link, run.surroundings, &what).await? {
        Readiness::Ready(settings) => settings,
        Readiness::ReadOnly => return Ok(Ready::AsSent),
        Readiness::Not(why) => return refused(run.link, &why).await,
        Readiness::Failed(failed) => {
            return Ok(Ready::Refused(Outcome::server_error(&failed, None, None)));
        }
    };
    if outbox::is_taken(run.link, &deferral.later, encoding).await?
        || hangs_on_nothing(run.link, deferral, &settings).await?
    {
        return Ok(Ready::AsSent);
    }
    match outbox::may_change(run.link, &deferral.later).await? {
        May::Change => {}
        May::Nothing => return Ok(Ready::AsSent),
        May::NotMake(why) => return refused(run.link, &why).await,
    }
    if let Some(rows) = deferral.later.iter().find(|later| ["UPDATE", "DELETE"].contains(&later.tag)) {
        let oid = rows.pending.oids.first().copied().unwrap_or_default();
        match outbox::reads_setting(run.link, oid, &rows.sql).await? {
            Ok(None) => {}
            Ok(Some(who)) => return refused(run.link, &reads_setting(rows.tag, &who)).await,
            Err(failed) => return Ok(Ready::Refused(Outcome::server_error(&failed, None, None))),
        }
    }
    if let Some(outcome) = trial::run(run, text).await? {
        return Ok(Ready::Refused(outcome));
    }
    Ok(Ready::Under(readiness::with_allowances(settings, run)))
}

async fn refused(link: &mut Link, why: &Notice) -> Result<Ready, Lost> {
    fail::transaction(link).await?;
    Ok(Ready::Refused(Outcome::own_error(why)))
}

fn reads_setting(tag: &str, who: &str) -> Notice {
    let message = format!("{tag} cannot be deferred: {who} reads a setting of the session");
    Notice::error(SqlState::FEATURE_NOT_SUPPORTED, message)
        .detail("What SET LOCAL has given is gone behind the COMMIT, where the rows would be written.")
        .hint(judge::WAY_OUT)
}

fn too_many() -> Notice {
    let message = format!("a transaction may not defer more than {QUEUED_MAX} statements");
    Notice::error(SqlState::PROGRAM_LIMIT_EXCEEDED, message).hint("Commit in between.")
}

/// A step that locks for a moment, in the client's transaction.
async fn brief(run: &mut Run<'_>, step: &Step) -> Result<Outcome, Lost> {
    let (targets, first) = match &step.pace {
        Pace::Ladder(targets) => (targets.clone(), Vec::new()),
        Pace::Together(targets) => (targets.clone(), up_front::locks(targets)),
        _ => (Vec::new(), Vec::new()),
    };
    let mut outcome = Outcome::Answered;
    for sql in std::iter::once(&step.sql).chain(&step.also) {
        let retry = if run.link.tracker.holds_strong_lock() { Retry::Replay } else { Retry::Savepoint };
        let guard = Guard { targets: targets.clone(), retry, waits: Waits::Briefly, first: first.clone() };
        outcome = guard::run(run, guard::Work::Statement(sql), &guard).await?;
        if matches!(outcome, Outcome::Failed(_)) {
            return Ok(outcome);
        }
        note(run.link, &first, sql);
        let mut past = run.link.tracker.past();
        past.hold_beyond();
        run.link.tracker.remember(past);
    }
    Ok(outcome)
}

/// Notes what was run for a step, in case the transaction has to be sent once more.
fn note(link: &mut Link, first: &[String], sql: &[u8]) {
    let dialect = link.tracker.reading().dialect();
    for sql in first.iter().map(String::as_bytes).chain([sql]) {
        let script = parse(sql, dialect);
        match script.statements.as_slice() {
            [statement] if is_told_by_its_name(statement.tag) => link.tracker.ran_instead(sql, statement.tag),
            _ => return link.tracker.lose_journal(Unfit::Answered),
        }
    }
}

/// Whether the server answers such a statement by its very name (`cmdtaglist.h`).
fn is_told_by_its_name(tag: &str) -> bool {
    const TAGS: [&str; 8] = [
        "ALTER INDEX",
        "ALTER SEQUENCE",
        "ALTER TABLE",
        "COMMENT",
        "CREATE SEQUENCE",
        "CREATE TABLE",
        "LOCK TABLE",
        "DROP INDEX",
    ];
    TAGS.contains(&tag)
}

/// Puts statements into the session's queue. With the first of them, everything that the client has prepared is watched, since it
/// may hang on them.
async fn queue(link: &mut Link, later: &[Later], settings: &Settings) -> Result<Option<Failed>, Lost> {
    if link.tracker.queued() == 0
        && let Some(all) = catalogue::prepared_texts(link).await?
    {
        for (name, text) in all {
            link.tracker.prepared.watch_while_queued(name.as_bytes(), text.as_bytes());
        }
    }
    let dialect = link.tracker.reading().dialect();
    let mut tasks = Vec::with_capacity(later.len());
    for later in later {
        let script = parse(&later.sql, dialect);
        let about = match about(link, &script, (&tasks, settings)).await? {
            Ok(about) => about,
            Err(failed) => return Ok(Some(failed)),
        };
        // Whoever runs it again where nobody knows whether it has run finds what is there.
        let sql = edit::unless_exists(&script, "").unwrap_or_else(|| later.sql.clone());
        tasks.push(Task { later: Later { sql, ..later.clone() }, settings: settings.clone(), about });
    }
    link.tracker.queue(tasks);
    Ok(None)
}

/// What a statement is about that is queued now, behind those tasks too that are about to be.
async fn about(
    link: &mut Link,
    script: &Script,
    (tasks, settings): (&[Task], &Settings),
) -> Result<Result<Vec<Named>, Failed>, Lost> {
    let locked = script.statements.iter().flat_map(|statement| &statement.locks).map(|lock| &lock.name);
    let written = script.statements.iter().flat_map(|it| &it.writes).map(|write| &write.table);
    let names: BTreeSet<RelationName> = locked.chain(written).cloned().collect();
    let about = catalogue::named(link, &names.iter().cloned().collect::<Vec<_>>()).await?;
    if about.as_ref().is_ok_and(Vec::is_empty) {
        let before = link.tracker.deferred().map(Queue::tasks).unwrap_or_default();
        let path = search_path(settings);
        let alike = before.iter().chain(tasks).filter(|task| search_path(&task.settings) == path);
        return Ok(Ok(made_by(alike, &names)));
    }
    Ok(about)
}

/// Whether what it hangs on is queued for what is gone by now: the server knows nothing of either.
async fn hangs_on_nothing(link: &mut Link, deferral: &Deferral, settings: &Settings) -> Result<bool, Lost> {
    if link.tracker.queued() == 0 {
        return Ok(false);
    }
    let dialect = link.tracker.reading().dialect();
    for later in &deferral.later {
        let script = parse(&later.sql, dialect);
        if let Ok(about) = about(link, &script, (&[], settings)).await?
            && catalogue::meaning(link, &about).await? == Meaning::Gone
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// By which path names are looked for.
fn search_path(settings: &Settings) -> Option<&String> {
    settings.iter().find(|(name, _)| name == "search_path").map(|(_, value)| value)
}

/// What those queued statements are about that make what a later one names: where that is gone, nothing is left to do for either.
fn made_by<'t>(queued: impl Iterator<Item = &'t Task>, names: &BTreeSet<RelationName>) -> Vec<Named> {
    let makes = |task: &&Task| names.iter().any(|name| task.later.pending.made.contains(&name.name));
    queued.filter(makes).flat_map(|task| task.about.iter().cloned()).collect()
}
