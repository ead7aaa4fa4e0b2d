//! What is queued is tried first, on an empty copy of its table: what the server refuses whatever the rows (an expression that is not
//! immutable, a type without operator class, a column that is not there) is refused where it was sent, and in the server's words.
//!
//! The copy is made behind a savepoint of ours, which takes it back at once. Where a copy could tell otherwise than the table, or could
//! not be made, nothing is tried, and such an error comes behind the COMMIT.

use crate::base::{RelationName, SqlState};
use crate::plan::{Pending, Sight};
use crate::session::deferred::Queue;
use crate::sql::form::Form;
use crate::sql::statement::Script;
use crate::sql::{self, OnCopy};
use crate::upstream::call::{Call, Failed, Item};
use crate::upstream::link::Batch;
use crate::upstream::{Link, Lost};
use crate::wire::fields;

use super::attempt::{UNDO, restore};
use super::outcome::Outcome;
use super::{Run, catalogue, warm};

/// The name of a table with and without its schema, whether it has columns that are computed when they are read, and how it is stored or
/// partitioned; nothing where a copy cannot be made for sure, would be noticed by somebody, or is no table as this is:
/// an event trigger may refuse either, a method of an extension may do more than build, and a session that has made a temporary table
/// cannot prepare its transaction, not even when that is gone.
const COPIED: &str = "SELECT c.oid, pg_catalog.quote_ident(n.nspname) OPERATOR(pg_catalog.||) '.' \
     OPERATOR(pg_catalog.||) pg_catalog.quote_ident(c.relname), pg_catalog.quote_ident(c.relname), \
     EXISTS (SELECT 1 FROM pg_catalog.pg_attribute a WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid \
        AND a.attgenerated OPERATOR(pg_catalog.=) 'v'), \
     CASE WHEN c.relkind OPERATOR(pg_catalog.=) 'p' \
        THEN 'PARTITION BY ' OPERATOR(pg_catalog.||) pg_catalog.pg_get_partkeydef(c.oid) ELSE 'USING heap' END \
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
     WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass($1)::pg_catalog.oid \
     AND c.relkind IN ('r', 'm', 'p') AND c.relpersistence OPERATOR(pg_catalog.<>) 't' \
     AND (c.relam OPERATOR(pg_catalog.=) 2::pg_catalog.oid OR c.relkind OPERATOR(pg_catalog.=) 'p') AND c.reloftype OPERATOR(pg_catalog.=) 0::pg_catalog.oid \
     AND pg_catalog.has_table_privilege(c.oid, 'SELECT') \
     AND pg_catalog.has_database_privilege(pg_catalog.current_database()::pg_catalog.text, 'TEMP') \
     AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_attribute a WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid \
        AND a.attnum OPERATOR(pg_catalog.>) 0::pg_catalog.int2 AND NOT a.attisdropped \
        AND NOT pg_catalog.has_type_privilege(a.atttypid, 'USAGE')) \
     AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_class t \
        WHERE t.relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema() \
        AND t.relname::pg_catalog.text OPERATOR(pg_catalog.=) ANY ($2::pg_catalog.text[])) \
     AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_event_trigger e WHERE e.evtenabled OPERATOR(pg_catalog.<>) 'D') \
     AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_am m WHERE m.amname OPERATOR(pg_catalog.=) $3::pg_catalog.name \
        AND m.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid) \
     AND pg_catalog.current_setting('max_prepared_transactions') OPERATOR(pg_catalog.=) '0'";

/// The first characters of what the server says of a statement, and not of the moment: it is not supported, of the wrong value, there is
/// no such schema, it is wrong or not allowed, there are too many columns.
const TELLING: [&[u8]; 5] = [b"0A", b"22", b"3F", b"42", b"54"];

/// Tries a statement as it was sent, in the client's transaction; the client's error where the server refuses it.
pub(super) async fn run(run: &mut Run<'_>, text: &[u8]) -> Result<Option<Outcome>, Lost> {
    let script = sql::parse(text, run.link.tracker.reading().dialect());
    let Some(on_copy) = OnCopy::of(&script) else { return Ok(None) };
    if run.link.batch == Batch::None
        && let Some(failed) = warm::before_trial(run.link).await?
    {
        return Ok(Some(Outcome::server_error(&failed, None, None)));
    }
    tried(run, &on_copy, "SAVEPOINT lockkeeper", &UNDO).await
}

/// Tries, in a transaction of its own, an `ALTER TABLE` of several parts, which are carried out one by one: so that what is wrong with the
/// last of them is told before the first has read the table. And a `CREATE INDEX IF NOT EXISTS` that will not be sent, since there is
/// one of that name, where that is `another`: the server looks at names last.
pub async fn of_whole(run: &mut Run<'_>, script: &Script, another: bool) -> Result<Option<Outcome>, Lost> {
    const UNDO: [&str; 1] = ["ROLLBACK"];
    let [statement] = script.statements.as_slice() else { return Ok(None) };
    let wanted = match &statement.form {
        Form::AlterTable(alter) => alter.parts.len() > 1,
        Form::CreateIndex(index) => index.if_not_exists && another,
        _ => false,
    };
    let Some(on_copy) = OnCopy::of(script).filter(|_| wanted) else { return Ok(None) };
    let refused = tried(run, &on_copy, "BEGIN", &UNDO).await?;
    if refused.is_some() {
        restore(run.link, &UNDO).await?;
    }
    Ok(refused)
}

async fn tried(
    run: &mut Run<'_>,
    on_copy: &OnCopy,
    begin: &str,
    undo: &[&str],
) -> Result<Option<Outcome>, Lost> {
    let Some(make) = copy(run.link, on_copy).await? else { return Ok(None) };
    // Whoever changes the table keeps it locked. In a batch of the client's an error of ours would be its end: there it waits as long
    // as the client itself would, if nobody waits for it meanwhile.
    let holds = run.link.tracker.holds_strong_lock();
    let patience = run.policy.max_stall / if holds { 10 } else { 1 };
    let limit = format!("SET LOCAL lock_timeout = {}", patience.as_millis().max(1));
    let apart = run.link.batch == Batch::None;
    if !apart && holds {
        return Ok(None);
    }
    let mut items = vec![Item::ours(begin)];
    items.extend(apart.then(|| Item::ours(&limit)));
    items.push(Item::ours(&make));
    let own = items.len();
    items.push(Item::ours(&on_copy.sql));
    items.extend(undo.iter().copied().map(Item::ours));
    let Some(failed) = Call::run(run.link, &items).await?.failed else { return Ok(None) };
    let code = fields::sqlstate(&failed.body);
    let told = failed.item == own && TELLING.iter().any(|class| code.0.starts_with(class));
    if !told && apart && failed.item > 0 && code != SqlState::QUERY_CANCELED {
        tracing::debug!(error = fields::message(&failed.body), "a statement could not be tried");
        restore(run.link, undo).await?;
        return Ok(None);
    }
    let failed = if told { as_of_sent(on_copy, &failed) } else { failed };
    Ok(Some(Outcome::server_error(&failed, None, None)))
}

/// What makes the copy; `None` where none is made.
async fn copy(link: &mut Link, on_copy: &OnCopy) -> Result<Option<String>, Lost> {
    let name = on_copy.table.to_string();
    let mut names = vec![on_copy.table.name.as_str()];
    names.extend(on_copy.names.iter().map(String::as_str));
    let names = array(&names);
    let question = Item::ours(COPIED).with(vec![&name, &names, &on_copy.method]);
    let answer = Call::run(link, &[question]).await?;
    let row = answer.row(0).map(Vec::as_slice);
    let Some([Some(oid), Some(whole), Some(own), Some(computed), Some(kind)]) = row else { return Ok(None) };
    if catalogue::is_garbled(whole) || catalogue::is_garbled(kind) {
        return Ok(None);
    }
    let queued = link.tracker.deferred().map(Queue::pending).unwrap_or_default();
    if queued.iter().any(|pending| changes_columns(pending, &on_copy.table, oid)) {
        return Ok(None);
    }
    let more = if computed == "t" { " INCLUDING GENERATED" } else { "" };
    Ok(Some(format!("CREATE TEMPORARY TABLE pg_temp.{own} (LIKE {whole}{more}) {kind}")))
}

/// Whether the table has other columns once something that is queued has run.
fn changes_columns(pending: &Pending, table: &RelationName, oid: &str) -> bool {
    let about = pending.names.iter().any(|it| it.name == table.name)
        || pending.oids.iter().any(|it| it.to_string() == oid);
    about && pending.sight == Sight::Rows
}

/// Names as a value of an array.
fn array(names: &[&str]) -> String {
    let quoted = names.iter().map(|name| format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\"")));
    format!("{{{}}}", quoted.collect::<Vec<_>>().join(","))
}

/// The error with the place in the text that the client has sent.
fn as_of_sent(on_copy: &OnCopy, failed: &Failed) -> Failed {
    let place = fields::field(&failed.body, b'P').and_then(|place| std::str::from_utf8(place).ok());
    let place = place.and_then(|place| on_copy.place_as_sent(place.parse().ok()?));
    Failed { body: fields::placed(&failed.body, place), item: failed.item }
}
