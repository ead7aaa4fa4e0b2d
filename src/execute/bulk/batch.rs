//! One batch: the range that it is about, and the transaction that writes it.

use std::time::Duration;

use crate::execute::Rows;
use crate::execute::Run;
use crate::execute::attempt::restore;
use crate::execute::batch::{self as ranges, BEGIN, HeldUp, ask, first, patience, tried as meant};
use crate::execute::course::{Course, Place};
use crate::execute::outcome::Outcome;
use crate::execute::stall::StallWatch;
use crate::judge::Retry;
use crate::pace::range::Key;
use crate::plan::Bulk;
use crate::plan::backfill::Begun;
use crate::plan::bulk::Batches;
use crate::upstream::Lost;
use crate::upstream::call::{Answer, Call, Failed, Item, Voice, pass};
use crate::wire::kind::server as kind;
use crate::wire::server::Status;

use super::words;

/// A range of the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    /// It begins behind this key; `None` for the first.
    behind: Option<Key>,
    /// It ends with this key.
    to: Key,
    /// So many rows were found in it; `None` where it ends with the table.
    pub(super) rows: Option<u64>,
}

impl Range {
    const fn begun(&self) -> Begun {
        if self.behind.is_some() { Begun::Behind } else { Begun::AtTheFirst }
    }

    /// The parameters that say which range it is.
    fn values(&self) -> Vec<&str> {
        self.to.iter().chain(self.behind.iter().flatten()).map(String::as_str).collect()
    }
}

/// How a batch has ended.
pub(super) enum Tried {
    Done {
        /// Rows that were written.
        changed: u64,
        /// The longest that anybody was seen to wait for it.
        waited: Duration,
    },
    /// It was rolled back, and may go again; the outcome where there is no time left for that.
    HeldUp(HeldUp, Outcome),
    Failed(Failed),
}

/// The range of so many rows that comes next.
pub(super) async fn next(
    run: &mut Run<'_>,
    (bulk, batches): (&Bulk, &Batches),
    (place, rows): (&Place, u64),
) -> Result<Result<Range, Failed>, Lost> {
    let ahead = Range { behind: place.behind.clone(), to: place.bound.clone(), rows: None };
    let sql = batches.end_of_range(bulk, ahead.begun(), rows);
    let found = ask(run, &sql, &ahead.values()).await?;
    Ok(found.map(|answer| match first(&answer) {
        Some(to) if to != place.bound => Range { to, rows: Some(rows), ..ahead },
        _ => ahead,
    }))
}

/// Tells the client what the rows are like that it is going to get.
pub(super) async fn describe(run: &mut Run<'_>, bulk: &Bulk) -> Result<Result<(), Outcome>, Lost> {
    let nothing = bulk.pieces.nothing();
    let item = Item { rows: Some(&[0, 0]), ..Item::ours(&nothing) };
    let answer = Call::run(run.link, &[item]).await?;
    if let Some(failed) = answer.failed {
        return Ok(Err(words::failed(&failed)));
    }
    if let Some(described) = answer.described {
        pass(run.link, kind::ROW_DESCRIPTION, &described).await;
    }
    Ok(Ok(()))
}

/// Locks and writes the rows of a range, and notes with that how far it is.
pub(super) async fn write(
    run: &mut Run<'_>,
    (bulk, batches): (&Bulk, &Batches),
    (course, range): (&mut Course, &Range),
) -> Result<Tried, Lost> {
    let limit = format!("SET LOCAL lock_timeout = {}", patience(run));
    let (lock, write) =
        (batches.lock(&bulk.pieces, range.begun()), batches.write(&bulk.pieces, range.begun()));
    let values = range.values();
    let [begin, lift, uncompiled] = BEGIN.map(Item::ours);
    let mut items = vec![begin, lift, uncompiled, Item::ours(&limit)];
    // A single row is locked when its new values are known, however long these take.
    if batches.lockable && range.rows != Some(1) {
        items.push(Item::ours(&lock).with(values.clone()));
    }
    let formats = match run.rows {
        Rows::Described => &[0, 0],
        Rows::Known(formats) => formats,
    };
    let rows = bulk.returns_rows().then_some(formats);
    // What functions of the client say is for the client.
    items.push(Item { voice: Voice::Client, rows, ..Item::ours(&write).with(values) });
    // Locked by now, so that nobody gives its name away before the end.
    let (table, oid) =
        (batches.ranges.table.to_string(), course.at.place.as_ref().map(|it| it.oid.to_string()));
    items.push(Item::ours(UNCHANGED).with(vec![&table, oid.as_deref().unwrap_or_default()]));
    written(run, &items, course, &|course, changed| {
        course.at.go_on(&range.to, changed, range.rows.unwrap_or(changed));
    })
    .await
}

/// Whether the name of a table means what it meant when it was looked up.
const UNCHANGED: &str =
    "SELECT pg_catalog.to_regclass($1)::pg_catalog.oid OPERATOR(pg_catalog.=) $2::pg_catalog.oid";

/// The whole statement as one batch.
pub(super) async fn whole(run: &mut Run<'_>, bulk: &Bulk, course: &mut Course) -> Result<Tried, Lost> {
    let limit = format!("SET LOCAL lock_timeout = {}", patience(run));
    let [begin, lift, uncompiled] = BEGIN.map(Item::ours);
    let write = Item::client(bulk.text.as_bytes());
    let items = [begin, lift, uncompiled, Item::ours(&limit), write];
    written(run, &items, course, &|course, changed| {
        course.at.rows += changed;
        course.at.over.push(bulk.oid);
    })
    .await
}

/// How a course is noted that has written so many rows.
type Note<'a> = &'a dyn Fn(&mut Course, u64);

/// Runs a batch under watch.
async fn written(
    run: &mut Run<'_>,
    items: &[Item<'_>],
    course: &mut Course,
    note: Note<'_>,
) -> Result<Tried, Lost> {
    let watch = StallWatch::new(run, Retry::Transaction);
    let before = course.at.clone();
    let written = watch.over(committed(run, items, (course, note))).await?;
    let waited = watch.seen();
    run.record.stalled(watch.longest());
    let (answer, changed) = match written {
        Ok(written) => written,
        Err(failed) => {
            course.at = before;
            return Ok(match meant(failed, &watch) {
                ranges::Tried::HeldUp(why, outcome) => Tried::HeldUp(why, outcome),
                ranges::Tried::Failed(failed) => Tried::Failed(failed),
                ranges::Tried::Done => Tried::Done { changed: 0, waited },
            });
        }
    };
    for row in &answer.raw {
        pass(run.link, kind::DATA_ROW, row).await;
    }
    Ok(Tried::Done { changed, waited })
}

/// Runs the batch; its rows and how many it has written, or why it was rolled back.
async fn committed(
    run: &mut Run<'_>,
    items: &[Item<'_>],
    (course, note): (&mut Course, Note<'_>),
) -> Result<Result<(Answer, u64), Failed>, Lost> {
    let mut answer = Call::run(run.link, items).await?;
    let mut failed = answer.failed.take();
    let asked = items.iter().position(|item| item.sql == UNCHANGED.as_bytes());
    let unchanged = asked.is_none_or(|at| answer.row(at).is_some_and(|row| *row == [Some("t".to_owned())]));
    if failed.is_none() && !unchanged {
        failed = Some(words::taken_name());
    }
    if failed.is_none() {
        let writes =
            |tag: &&Vec<u8>| ["UPDATE", "DELETE"].iter().any(|verb| tag.starts_with(verb.as_bytes()));
        let changed = answer.tags.iter().rev().find(writes).map_or(0, |tag| rows_of(tag));
        note(course, changed);
        let (advance, values) = course.noted();
        let values = values.iter().map(String::as_str).collect();
        let end = [Item::ours(advance).with(values), Item::ours("COMMIT")];
        failed = Call::run(run.link, &end).await?.failed;
        if failed.is_none() {
            return Ok(Ok((answer, changed)));
        }
    }
    if run.link.tracker.status() != Status::Idle {
        restore(run.link, &["ROLLBACK"]).await?;
    }
    Ok(Err(failed.unwrap_or(Failed { item: 0, body: Vec::new() })))
}

/// `UPDATE 7`
fn rows_of(tag: &[u8]) -> u64 {
    let tag = String::from_utf8_lossy(tag);
    tag.trim_end_matches('\0').rsplit(' ').next().and_then(|rows| rows.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_counts_rows() {
        assert_eq!([rows_of(b"UPDATE 7\0"), rows_of(b"DELETE 0\0"), rows_of(b"COMMIT\0")], [7, 0, 0]);
    }
}
