//! Whether a session can queue work: under which settings that will run, and whether schema `lockkeeper` is there to keep it.

use crate::base::{Notice, SqlState};
use crate::control::schema;
use crate::upstream::call::{Call, Failed, Item};
use crate::upstream::{Link, Lost};

use super::outcome::Outcome;
use super::replay::{self, Meanwhile};
use super::{Run, Surroundings, catalogue};

/// Settings that decide what a statement means, what it makes or writes, or how fast.
const SETTINGS: [&str; 27] = [
    "search_path",
    "TimeZone",
    "DateStyle",
    "IntervalStyle",
    "default_tablespace",
    "default_table_access_method",
    "default_toast_compression",
    "default_text_search_config",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
    "bytea_output",
    "extra_float_digits",
    "xmlbinary",
    "xmloption",
    "array_nulls",
    "transform_null_equals",
    "maintenance_work_mem",
    "max_parallel_maintenance_workers",
    "standard_conforming_strings",
    "lockkeeper.mode",
    "lockkeeper.allow",
    "lockkeeper.max_stall",
    "lockkeeper.retry_for",
    "lockkeeper.rows_per_second",
    "session_replication_role",
    // It may not set what comes before it.
    "role",
];

/// A setting and its value.
pub type Settings = Vec<(String, String)>;

/// What a transaction may queue.
#[derive(Debug)]
pub enum Readiness {
    /// Work under these settings.
    Ready(Settings),
    /// Nothing, since it writes nothing: the server refuses the statement itself.
    ReadOnly,
    /// Nothing; why.
    Not(Box<Notice>),
    /// The question has failed, and the transaction with it.
    Failed(Failed),
}

/// Whether the session can queue work, and under which settings that will run; `what` cannot be done otherwise: "UPDATE cannot be
/// deferred".
pub async fn readiness(
    link: &mut Link,
    surroundings: &Surroundings<'_>,
    what: &str,
) -> Result<Readiness, Lost> {
    let settings = match asked(link, surroundings, what).await? {
        Asked::Known(readiness) => return Ok(readiness),
        Asked::ButForSchema(settings) => settings,
    };
    Ok(match surroundings.control.ensure_schema(&surroundings.place.database).await {
        Ok(()) => Readiness::Ready(settings),
        Err(why) => Readiness::Not(Box::new(why.notice(what))),
    })
}

/// Sees to it that the schema is there before a transaction queues anything, where it holds strong locks: nobody is to wait for those while
/// the schema is installed. The statement's outcome where the transaction had to give way and could not be brought back.
pub async fn beforehand(run: &mut Run<'_>) -> Result<Result<Meanwhile, Outcome>, Lost> {
    let Surroundings { control, place, .. } = *run.surroundings;
    if !run.link.tracker.holds_strong_lock() || control.has_settled_schema(&place.database) {
        return Ok(Ok(Meanwhile::Stayed));
    }
    match asked(run.link, run.surroundings, "").await? {
        Asked::ButForSchema(_) => {}
        Asked::Known(Readiness::Failed(failed)) => {
            return Ok(Err(Outcome::server_error(&failed, None, None)));
        }
        Asked::Known(readiness) => {
            if matches!(readiness, Readiness::Ready(_)) {
                control.schema_is_there(&place.database);
            }
            return Ok(Ok(Meanwhile::Stayed));
        }
    }
    let installing = async {
        // Whoever queues the work asks again, and says why if it is not there.
        let _ = control.ensure_schema(&place.database).await;
    };
    Box::pin(replay::beside(run, installing, "Schema \"lockkeeper\" was being installed.")).await
}

/// What is known from the session itself.
enum Asked {
    Known(Readiness),
    /// Work could be queued under these settings, if the schema is there.
    ButForSchema(Settings),
}

async fn asked(link: &mut Link, surroundings: &Surroundings<'_>, what: &str) -> Result<Asked, Lost> {
    let asked = SETTINGS.map(|name| format!("pg_catalog.current_setting('{name}', true)")).join(", ");
    let question = format!(
        "SELECT pg_catalog.current_setting('transaction_read_only'), {asked}, {}, session_user::pg_catalog.text",
        schema::is_superusers()
    );
    let answer = Call::run(link, &[Item::ours(&question)]).await?;
    if let Some(failed) = answer.failed {
        return Ok(Asked::Known(Readiness::Failed(failed)));
    }
    let Some(row) = answer.row(0) else { return Ok(Asked::Known(Readiness::ReadOnly)) };
    let text = |at: usize| row.get(at).and_then(|value| value.as_deref());
    if text(0) == Some("on") {
        return Ok(Asked::Known(Readiness::ReadOnly));
    }
    if text(SETTINGS.len() + 2) != Some(surroundings.place.user.as_str()) {
        return Ok(Asked::Known(Readiness::Not(Box::new(as_somebody_else(what)))));
    }
    let set =
        SETTINGS.iter().zip(1..).filter_map(|(name, at)| Some(((*name).to_owned(), text(at)?.to_owned())));
    let settings: Settings = set.collect();
    if let Some((name, _)) = settings.iter().find(|(_, value)| catalogue::is_garbled(value)) {
        return Ok(Asked::Known(Readiness::Not(Box::new(unreadable(what, name)))));
    }
    if text(SETTINGS.len() + 1) == Some("t") {
        return Ok(Asked::Known(Readiness::Ready(settings)));
    }
    Ok(Asked::ButForSchema(settings))
}

/// What the message allows is allowed to what is left of it, too.
pub fn with_allowances(mut settings: Settings, run: &Run<'_>) -> Settings {
    const NAME: &str = "lockkeeper.allow";
    let allowed = run.policy.allow.iter().map(|it| format!("{} because {}", it.hazard, it.reason));
    let allowed: Vec<String> = allowed.collect();
    if !allowed.is_empty() {
        settings.retain(|(name, _)| name != NAME);
        settings.push((NAME.to_owned(), allowed.join(", ")));
    }
    settings
}

fn unreadable(what: &str, name: &str) -> Notice {
    let message = format!("{what}: setting {name} cannot be read in this client encoding");
    Notice::error(SqlState::FEATURE_NOT_SUPPORTED, message)
        .hint("SET client_encoding = 'UTF8' before the transaction.")
}

fn as_somebody_else(what: &str) -> Notice {
    let message = format!("{what} under SET SESSION AUTHORIZATION");
    Notice::error(SqlState::FEATURE_NOT_SUPPORTED, message)
        .detail("What is kept to be done later runs as the role that has logged in, and nothing runs with more rights than it was sent with.")
        .hint("Log in as that role, or SET ROLE instead.")
}
