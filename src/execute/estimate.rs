//! How many rows a statement would write, asked of the planner on the client's own connection, with the values that it is run with.

use std::ops::Range;

use serde_json::Value as Json;

use crate::base::SqlState;
use crate::effects::facts::{Estimate, Facts};
use crate::judge::{Policy, bulk};
use crate::sql;
use crate::sql::fixed::{Value, fixed, loose};
use crate::sql::statement::Script;
use crate::upstream::call::{Answer, Call, Failed, Item, Row};
use crate::upstream::{Link, Lost};
use crate::wire::client::Values;
use crate::wire::fields;
use crate::wire::server::Status;

use super::attempt::{UNDO, restore};
use super::catalogue::{self, Looked, SessionSettings};
use super::{course, fail};

/// Numbers without a rounding, before the question for values.
const EXACTLY: &str = "SELECT \
     pg_catalog.set_config('lockkeeper.own_digits', pg_catalog.current_setting('extra_float_digits'), true), \
     pg_catalog.set_config('lockkeeper.own_dates', pg_catalog.current_setting('DateStyle'), true), \
     pg_catalog.set_config('extra_float_digits', '3', true)";

/// The first column of that question: the values have been read as the client means them, and are written beyond doubt.
const BEYOND_DOUBT: &str = "pg_catalog.set_config('DateStyle', 'ISO, YMD', true)";

/// Behind it, for what comes later in the transaction.
const AS_BEFORE: &str = "SELECT \
     pg_catalog.set_config('extra_float_digits', pg_catalog.current_setting('lockkeeper.own_digits'), true), \
     pg_catalog.set_config('DateStyle', pg_catalog.current_setting('lockkeeper.own_dates'), true)";

/// What a client has sent besides the text.
#[derive(Debug, Clone, Copy)]
pub struct Sent<'a> {
    /// The values of its portal, and the oids of their types; `None` for a simple Query.
    pub values: Option<(&'a Values, &'a [u32])>,
}

/// A message whose text means the same however often it is run.
#[derive(Debug)]
pub enum Fixed {
    /// It is this one.
    Script(Box<Script>),
    /// It meant that already.
    AsSent,
    /// Its values cannot be told.
    Not,
    /// Its values cannot be written down for another time.
    Unwritable,
    /// The question has failed, and the client's batch or transaction with it, as the statement would have.
    Stopped(Failed),
}

/// Puts values in the places of the parameters and of what gives the time.
pub async fn fix(link: &mut Link, script: &Script, sent: Sent<'_>) -> Result<Fixed, Lost> {
    let places = loose(script);
    if places.is_empty() {
        return Ok(Fixed::AsSent);
    }
    let Ok(text) = std::str::from_utf8(script.text.as_bytes()) else { return Ok(Fixed::Not) };
    let word = |place: &Range<usize>| text.get(place.clone()).unwrap_or_default();
    if sent.values.is_none() && places.iter().any(|place| word(place).starts_with('$')) {
        return Ok(Fixed::Not);
    }
    let asked: Vec<String> = places
        .iter()
        .map(|place| {
            let word = word(place);
            format!("({word})::pg_catalog.text, pg_catalog.format_type(pg_catalog.pg_typeof({word})::pg_catalog.oid, -1)")
        })
        .collect();
    let question = format!("SELECT {BEYOND_DOUBT}, {}", asked.join(", "));
    let question = Item { sent: sent.values, ..Item::ours(&question) };
    let (answer, first) = undone(link, vec![Item::ours(EXACTLY), question, Item::ours(AS_BEFORE)]).await?;
    if let Some(failed) = stopped(link, &answer).await? {
        return Ok(Fixed::Stopped(failed));
    }
    let row = answer.row(first + 1).filter(|_| answer.failed.is_none());
    let Some((_, row)) = row.and_then(|row| row.split_first()) else { return Ok(Fixed::Not) };
    if row.iter().flatten().any(|text| catalogue::is_garbled(text)) {
        return Ok(Fixed::Unwritable);
    }
    let values: Option<Vec<Value>> = row
        .chunks_exact(2)
        .map(|pair| match pair {
            [text, Some(ty)] => Some(Value { text: text.clone(), ty: ty.clone() }),
            _ => None,
        })
        .collect();
    let text = values.and_then(|values| fixed(script, &places, &values));
    Ok(text.map_or(Fixed::Not, |text| Fixed::Script(Box::new(sql::parse(text.as_bytes(), script.dialect)))))
}

/// The estimates of those statements of a message that may write many rows, of which a part is done where it is `begun`; none where the
/// planner says nothing.
pub async fn estimates(
    link: &mut Link,
    (script, begun): (&Script, bool),
    (facts, policy, sent): (&Facts, &Policy, Sent<'_>),
) -> Result<Result<Vec<Estimate>, Failed>, Lost> {
    let mut found = Vec::new();
    let goes_on = bulk::goes_on(script);
    for span in bulk::suspects(script, facts, policy) {
        let Some(text) = script.text.as_bytes().get(span.clone()) else { continue };
        let rows = match rows(link, without_explain(text), sent).await? {
            Ok(rows) => rows,
            Err(failed) => return Ok(Err(failed)),
        };
        // What cannot be planned the server refuses, or it waits for what is only queued.
        let rows = rows.unwrap_or_default();
        // A task whose first part is done is not measured by what is left of it.
        let many = rows > policy.bulk_rows || begun;
        found.push(Estimate { at: span.start, rows, many, goes_on });
    }
    Ok(Ok(found))
}

/// The rows that a statement would write; `None` where the planner says nothing. The failure of the question is the client's where it was
/// part of its batch, and where its time was over.
pub async fn rows(link: &mut Link, text: &[u8], sent: Sent<'_>) -> Result<Result<Option<u64>, Failed>, Lost> {
    let question = [b"EXPLAIN (FORMAT JSON) ", text].concat();
    let makes = sql::triage::first_word(text).is_some_and(|word| word.eq_ignore_ascii_case(b"create"));
    let item = Item { sql: &question, sent: sent.values, ..Item::ours("") };
    let (answer, first) = undone(link, vec![item]).await?;
    if let Some(failed) = stopped(link, &answer).await? {
        return Ok(Err(failed));
    }
    Ok(Ok(if answer.failed.is_some() { None } else { answer.row(first).and_then(|row| planned(row, makes)) }))
}

/// What was asked once more, for all that has to be known to cut a statement, with what was known before.
pub fn to_cut(looked: Looked, (settings, facts): (SessionSettings, Facts)) -> (SessionSettings, Facts) {
    let Facts { estimates, calls, .. } = facts;
    match looked {
        Looked::Known(settings, known) => (settings, Facts { estimates, calls, ..known }),
        // The statement itself will meet what has stopped the question.
        Looked::Stopped(_) => (settings, Facts { estimates, calls, offline: true, ..Facts::default() }),
    }
}

/// Whether the session goes on with a statement of which a part is done, which it does outside of a transaction only. Anybody may have
/// written the directive by which such a statement is known, also where there are no tasks.
pub async fn is_begun(link: &mut Link, script: &Script) -> Result<Result<bool, Failed>, Lost> {
    const TASKS: &str = "SELECT pg_catalog.to_regprocedure('lockkeeper.my_task()') IS NOT NULL";
    if !bulk::goes_on(script) || link.tracker.status() == Status::InTransaction {
        return Ok(Ok(false));
    }
    let answer = Call::run(link, &[Item::ours(TASKS)]).await?;
    if let Some(failed) = answer.failed {
        return Ok(Err(failed));
    }
    if answer.row(0).is_none_or(|row| *row != [Some("t".to_owned())]) {
        return Ok(Ok(false));
    }
    Ok(course::mine(link).await?.map(|mine| mine.is_some_and(|mine| mine.is_begun())))
}

/// The failure of a question that was part of the client's own batch; and of one that has waited for as long as the statement might, or
/// until it was cancelled: its transaction has failed.
async fn stopped(link: &mut Link, answer: &Answer) -> Result<Option<Failed>, Lost> {
    let Some(failed) = answer.failed.clone() else { return Ok(None) };
    if link.tracker.expected.is_skipping() {
        return Ok(Some(failed));
    }
    let over = [SqlState::QUERY_CANCELED, SqlState::LOCK_NOT_AVAILABLE];
    if !over.contains(&fields::sqlstate(&failed.body)) {
        return Ok(None);
    }
    fail::upstream(link).await?;
    Ok(Some(failed))
}

/// `EXPLAIN ANALYZE` of a statement is explained without being run.
fn without_explain(text: &[u8]) -> &[u8] {
    let is_explain = sql::triage::first_word(text).is_some_and(|word| word.eq_ignore_ascii_case(b"explain"));
    if !is_explain {
        return text;
    }
    let lower = text.to_ascii_lowercase();
    let words: [&[u8]; 5] = [b"update", b"delete", b"merge", b"insert", b"with"];
    let at = |word: &[u8]| lower.windows(word.len()).position(|window| window == word);
    let start = words.into_iter().filter_map(at).min().unwrap_or(0);
    text.get(start..).unwrap_or(text)
}

/// Runs questions of which nothing is to stay; gives the index of the first of them in the answer.
async fn undone(link: &mut Link, mut items: Vec<Item<'_>>) -> Result<(Answer, usize), Lost> {
    let in_block = link.tracker.status() == Status::InTransaction;
    if in_block {
        items.insert(0, Item::ours("SAVEPOINT lockkeeper"));
        items.push(Item::ours("ROLLBACK TO SAVEPOINT lockkeeper"));
        items.push(Item::ours("RELEASE SAVEPOINT lockkeeper"));
    }
    let answer = Call::run(link, &items).await?;
    if in_block && link.tracker.status() == Status::Failed {
        restore(link, &UNDO).await?;
    }
    Ok((answer, usize::from(in_block)))
}

/// The rows that the plan's own writes get from below them; of a table that is made, those that come out.
fn planned(row: &Row, makes: bool) -> Option<u64> {
    let json: Json = serde_json::from_str(row.first()?.as_deref()?).ok()?;
    let made = |plan: &Json| plan.get("Plan Rows").and_then(Json::as_u64).filter(|_| makes);
    // A rule makes several of one.
    json.as_array()?
        .iter()
        .filter_map(|one| one.get("Plan"))
        .filter_map(|plan| written(plan).max(made(plan)))
        .max()
}

/// The rows that reach the writes of a plan, the most of any.
fn written(plan: &Json) -> Option<u64> {
    let below = || plan.get("Plans").and_then(Json::as_array).into_iter().flatten();
    let relation =
        |plan: &Json| plan.get("Parent Relationship").and_then(Json::as_str).unwrap_or_default().to_owned();
    let own = (plan.get("Node Type").and_then(Json::as_str) == Some("ModifyTable")).then(|| {
        let of_rows = |plan: &&Json| matches!(relation(plan).as_str(), "Outer" | "Member");
        below().filter(of_rows).filter_map(|plan| plan.get("Plan Rows")?.as_u64()).sum()
    });
    below().filter_map(written).chain(own).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_those_below_the_writes() {
        let plan = |text: &str| planned(&vec![Some(text.to_owned())], false);
        assert_eq!(
            plan(
                r#"[{"Plan": {"Node Type": "ModifyTable", "Plan Rows": 0, "Plans": [
                    {"Node Type": "Seq Scan", "Parent Relationship": "Member", "Plan Rows": 7},
                    {"Node Type": "Seq Scan", "Parent Relationship": "Member", "Plan Rows": 5},
                    {"Node Type": "Result", "Parent Relationship": "InitPlan", "Plan Rows": 100}]}}]"#
            ),
            Some(12)
        );
        assert_eq!(
            plan(
                r#"[{"Plan": {"Node Type": "Aggregate", "Plan Rows": 1, "Plans": [
                    {"Node Type": "ModifyTable", "Parent Relationship": "InitPlan", "Plan Rows": 3, "Plans": [
                        {"Node Type": "Seq Scan", "Parent Relationship": "Outer", "Plan Rows": 30}]}]}}]"#
            ),
            Some(30)
        );
        assert_eq!(plan(r#"[{"Plan": {"Node Type": "Seq Scan", "Plan Rows": 7}}]"#), None);
        assert_eq!(plan("nonsense"), None);
        let made = r#"[{"Plan": {"Node Type": "Seq Scan", "Plan Rows": 7}}]"#;
        assert_eq!(planned(&vec![Some(made.to_owned())], true), Some(7));
    }

    #[test]
    fn what_would_be_explained_is_only_planned() {
        for (text, expected) in [
            ("EXPLAIN (ANALYZE, VERBOSE) DELETE FROM t", "DELETE FROM t"),
            (
                "explain analyze with x as (select 1) update t set a = 1",
                "with x as (select 1) update t set a = 1",
            ),
            ("UPDATE t SET explain = 1", "UPDATE t SET explain = 1"),
        ] {
            assert_eq!(without_explain(text.as_bytes()), expected.as_bytes());
        }
    }
}
