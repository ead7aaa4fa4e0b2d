//! The transactional outbox: what a transaction has deferred is written down in it, right before its COMMIT, so that either both
//! are there or neither (`control/schema.sql`).

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::base::{Notice, SqlState};
use crate::effects::facts::Oid;
use crate::judge::Deferred;
use crate::plan::Later;
use crate::plan::by_hand::spelled;
use crate::plan::task::Named;
use crate::session::deferred::{Queue, Task};
use crate::sql::form::Form;
use crate::sql::{Encoding, parse};
use crate::upstream::call::{Answer, Call, Failed, Item};
use crate::upstream::{Link, Lost};
use crate::wire::fields;

use super::readiness::Settings;

/// What takes a setting of somebody's own from the session when such a text writes rows of that table, "it" or a trigger's function: where
/// another session goes on with it they may become others, since nobody can list such settings.
pub async fn reads_setting(
    link: &mut Link,
    table: Oid,
    text: &[u8],
) -> Result<Result<Option<String>, Failed>, Lost> {
    const READS: &str = "WITH RECURSIVE tree AS (SELECT $1::pg_catalog.oid AS oid \
         UNION ALL SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN tree ON i.inhparent OPERATOR(pg_catalog.=) tree.oid), \
         source (name, text) AS (SELECT NULL::pg_catalog.text, $2::pg_catalog.text UNION ALL \
         SELECT p.proname::pg_catalog.text, p.prosrc FROM pg_catalog.pg_trigger t \
         JOIN tree ON tree.oid OPERATOR(pg_catalog.=) t.tgrelid JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) t.tgfoid \
         WHERE NOT t.tgisinternal AND t.tgenabled OPERATOR(pg_catalog.<>) 'D') \
         SELECT source.name FROM source, LATERAL pg_catalog.regexp_matches(source.text, \
            'current_setting\"?[[:space:]]*[(][[:space:]]*(?:''([^'']*)''[[:space:]]*[,)])?', 'gi') AS found (names) \
         WHERE found.names[1] IS NULL OR found.names[1] OPERATOR(pg_catalog.~~) '%.%' \
            AND pg_catalog.current_setting(found.names[1], true) OPERATOR(pg_catalog.<>) '' LIMIT 1";
    let (oid, text) = (table.to_string(), String::from_utf8_lossy(text));
    let answer = Call::run(link, &[Item::ours(READS).with(vec![&oid, &text])]).await?;
    if let Some(failed) = answer.failed {
        return Ok(Err(failed));
    }
    let Some(row) = answer.row(0) else { return Ok(Ok(None)) };
    Ok(Ok(Some(match row.first() {
        Some(Some(function)) => format!("the function {function} of its trigger"),
        _ => "it".to_owned(),
    })))
}

/// Why a text cannot be written down; `None` where it can.
pub fn unwritable(later: &[Later], encoding: Encoding) -> Option<Notice> {
    let writable = |later: &Later| {
        later.sql.is_ascii() || (encoding == Encoding::Utf8 && std::str::from_utf8(&later.sql).is_ok())
    };
    let one = later.iter().find(|later| !writable(later))?;
    Some(
        Notice::error(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("{} cannot be deferred in this client encoding", one.tag),
        )
        .hint("SET client_encoding = 'UTF8', or run it outside the transaction."),
    )
}

/// The name of an index that would be made although there is something of that name, which the server says at once.
pub async fn is_taken(link: &mut Link, later: &[Later], encoding: Encoding) -> Result<bool, Lost> {
    const TAKEN: &str = "SELECT 1 FROM pg_catalog.pg_class t JOIN pg_catalog.pg_class c \
         ON c.relnamespace OPERATOR(pg_catalog.=) t.relnamespace AND c.relname OPERATOR(pg_catalog.=) $2 \
         WHERE t.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass($1)::pg_catalog.oid";
    let queued = link.tracker.deferred().map(Queue::pending).unwrap_or_default();
    let goes = |name: &str| queued.iter().any(|pending| pending.gone.iter().any(|gone| gone == name));
    for one in later {
        let script = parse(&one.sql, encoding);
        let Some(Form::CreateIndex(index)) = script.statements.first().map(|it| &it.form) else { continue };
        let Some(name) = index.name.as_deref().filter(|name| !index.if_not_exists && !goes(name)) else {
            continue;
        };
        let table = index.table.to_string();
        let answer = Call::run(link, &[Item::ours(TAKEN).with(vec![&table, name])]).await?;
        if answer.failed.is_some() || answer.rows_of(0).next().is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What the session's role may do to a relation.
#[derive(Debug)]
pub enum May {
    /// All that is asked for.
    Change,
    /// Nothing, which the server says at once.
    Nothing,
    /// It may not make an index in the schema, which the server says only when it has locked the table.
    NotMake(Box<Notice>),
}

/// Whether the session's role may change a relation, and make an index beside it where it is to.
pub async fn may_change(link: &mut Link, later: &[Later]) -> Result<May, Lost> {
    const MAY: &str = "SELECT pg_catalog.pg_has_role(c.relowner, 'USAGE'), \
         pg_catalog.has_schema_privilege(n.oid, 'CREATE'), n.nspname \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
         WHERE c.oid OPERATOR(pg_catalog.=) $1::pg_catalog.oid";
    let Some(oid) = later.first().and_then(|later| later.pending.oids.first()) else {
        return Ok(May::Change);
    };
    let answer = Call::run(link, &[Item::ours(MAY).with(vec![&oid.to_string()])]).await?;
    let made = later.iter().any(|later| later.tag == "CREATE INDEX");
    Ok(match answer.row(0).map(Vec::as_slice) {
        Some([Some(owner), ..]) if owner == "f" => May::Nothing,
        Some([_, Some(create), Some(schema)]) if made && create == "f" => {
            let message = format!("permission denied for schema {schema}");
            May::NotMake(Box::new(Notice::error(SqlState::INSUFFICIENT_PRIVILEGE, message)))
        }
        _ => May::Change,
    })
}

/// Writes a queue down in the open transaction; the numbers of its tasks, in order.
pub async fn write(
    link: &mut Link,
    tasks: &[Task],
    (deferred, login): (Deferred, &str),
) -> Result<Result<Vec<String>, Failed>, Lost> {
    let all: Vec<Value> = tasks.iter().map(written).collect();
    let all = ascii(&Value::Array(all));
    let background = if deferred == Deferred::Background { "true" } else { "false" };
    let queue = Item::ours(
        "SELECT lockkeeper.queue($1::pg_catalog.jsonb, $2::pg_catalog.bool) \
         WHERE session_user OPERATOR(pg_catalog.=) $3::pg_catalog.name",
    );
    let answer = Call::run(link, &[queue.with(vec![&all, background, login])]).await?;
    if let Some(failed) = answer.failed {
        return Ok(Err(failed));
    }
    Ok(Ok(answer.rows_of(0).filter_map(|row| row.first().cloned().flatten()).collect()))
}

fn written(task: &Task) -> Value {
    let later = &task.later;
    let settings: Map<String, Value> =
        task.settings.iter().map(|(name, value)| (name.clone(), Value::String(value.clone()))).collect();
    json!({
        "sql": String::from_utf8_lossy(&later.sql),
        "title": later.title,
        "tag": later.tag,
        "settings": settings,
        "about": about(&task.about),
    })
}

/// The text of a value in letters that are the same in every client encoding: that may have changed since the statement was queued.
fn ascii(value: &Value) -> String {
    let mut units = [0; 2];
    let mut out = String::new();
    for character in value.to_string().chars() {
        if character.is_ascii() {
            out.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut units) {
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
    out
}

/// What a statement names, as the text of an object of names and oids.
pub fn about_text(named: &[Named]) -> String {
    ascii(&about(named))
}

fn about(named: &[Named]) -> Value {
    Value::Object(named.iter().map(|it| (spelled(&it.name), Value::from(it.oid))).collect())
}

/// Marks a task as running; false when it is somebody else's by now.
pub async fn begin(link: &mut Link, id: &str) -> Result<Result<bool, Failed>, Lost> {
    let item = Item::ours("SELECT lockkeeper.begin_task($1::pg_catalog.int8)").with(vec![id]);
    let answer = Call::run(link, &[item]).await?;
    Ok(yes_or_failed(answer))
}

/// So many cancel requests may strike what is not meant by them.
const LATE_CANCELS_MAX: usize = 3;

/// Marks a task as done, or as failed for these words.
pub async fn end(link: &mut Link, id: &str, failure: Option<&str>) -> Result<Result<bool, Failed>, Lost> {
    const DONE: &str = "SELECT lockkeeper.end_task($1::pg_catalog.int8)";
    const FAILED: &str = "SELECT lockkeeper.end_task($1::pg_catalog.int8, $2)";
    let item = match failure {
        None => Item::ours(DONE).with(vec![id]),
        Some(words) => Item::ours(FAILED).with(vec![id, words]),
    };
    Ok(yes_or_failed(whatever_comes_late(link, &item).await?))
}

/// Asks something that has to be done. A cancel request of the client's may come late, or twice.
async fn whatever_comes_late(link: &mut Link, item: &Item<'_>) -> Result<Answer, Lost> {
    let mut answer = Call::run(link, std::slice::from_ref(item)).await?;
    for _ in 0..LATE_CANCELS_MAX {
        match &answer.failed {
            Some(failed) if fields::sqlstate(&failed.body) == SqlState::QUERY_CANCELED => {
                answer = Call::run(link, std::slice::from_ref(item)).await?;
            }
            _ => break,
        }
    }
    Ok(answer)
}

/// Leaves a task that was begun, and those behind it, to somebody else.
pub async fn leave(link: &mut Link, id: &str) -> Result<(), Lost> {
    let item = Item::ours("SELECT lockkeeper.leave_batch($1::pg_catalog.int8)").with(vec![id]);
    let answer = Call::run(link, &[item]).await?;
    if let Some(failed) = answer.failed {
        tracing::debug!(error = fields::message(&failed.body), "a task could not be left to others");
    }
    Ok(())
}

fn yes_or_failed(answer: Answer) -> Result<bool, Failed> {
    match answer.failed {
        Some(failed) => Err(failed),
        None => Ok(answer.row(0).and_then(|row| row.first().cloned().flatten()).as_deref() == Some("t")),
    }
}

/// Gives the session the settings under which a task was queued; what they were before, where they differ.
pub async fn put_on(link: &mut Link, wanted: &[(String, String)]) -> Result<Result<Settings, Failed>, Lost> {
    const NOW: &str = "SELECT pg_catalog.current_setting($1, true)";
    let mut before = Settings::new();
    for (name, value) in wanted {
        let answer = whatever_comes_late(link, &Item::ours(NOW).with(vec![name])).await?;
        let now = answer.row(0).and_then(|row| row.first().cloned().flatten()).unwrap_or_default();
        if answer.failed.is_none() && now == *value {
            continue;
        }
        let failed = match answer.failed {
            Some(failed) => Some(failed),
            None => set(link, name, value).await?,
        };
        if let Some(failed) = failed {
            take_off(link, &before).await?;
            return Ok(Err(failed));
        }
        before.push((name.clone(), now));
    }
    Ok(Ok(before))
}

/// Gives the session its own settings back; one whose settings cannot be put back is ended.
pub async fn take_off(link: &mut Link, before: &[(String, String)]) -> Result<(), Lost> {
    for (name, value) in before.iter().rev() {
        if set(link, name, value).await?.is_some() {
            return Err(Lost::Upstream(None));
        }
    }
    Ok(())
}

async fn set(link: &mut Link, name: &str, value: &str) -> Result<Option<Failed>, Lost> {
    let item = Item::ours("SELECT pg_catalog.set_config($1, $2, false)").with(vec![name, value]);
    Ok(whatever_comes_late(link, &item).await?.failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_written_in_letters_that_every_encoding_has() {
        let value = json!({ "größe": "\u{1F600}\n\"" });
        let text = ascii(&value);
        assert_eq!(text, r#"{"gr\u00f6\u00dfe":"\ud83d\ude00\n\""}"#);
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), value);
    }
}
