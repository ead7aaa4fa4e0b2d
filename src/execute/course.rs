//! How far a statement has come that is carried out in batches: kept as a task in schema `lockkeeper`, and noted with each batch in
//! its own transaction, so that whoever goes on with it meets no row twice.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::base::{Notice, SqlState};
use crate::control::tasks;
use crate::effects::facts::Oid;
use crate::pace::bulk::Alone;
use crate::pace::range::Key;
use crate::plan::Bulk;
use crate::upstream::call::{Call, Failed, Item};
use crate::upstream::{Link, Lost};

use super::Run;
use super::batch::finished;
use super::outbox;
use super::outcome::Outcome;
use super::readiness::{Readiness, readiness, with_allowances};

/// The task of a statement, and how far that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Course {
    /// Its number.
    pub(super) id: String,
    /// Whether it was begun for this statement, so that nobody else ends it.
    pub(super) own: Own,
    /// How far it is.
    pub(super) at: At,
}

/// Who has begun a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Own {
    /// The statement itself.
    Yes,
    /// A transaction has queued it, or somebody goes on with it.
    No,
}

/// How far a statement is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct At {
    /// Its table.
    pub(super) table: Oid,
    /// Rows that were written.
    pub(super) rows: u64,
    /// Rows that were gone through.
    pub(super) seen: u64,
    /// The table or leaf that is gone through.
    pub(super) place: Option<Place>,
    /// The leaves of a partitioned table that were there when it began.
    pub(super) leaves: Vec<Oid>,
    /// Those that are done with.
    pub(super) over: Vec<Oid>,
    /// The columns of the key of each leaf, and the key of what was its last row, when it began.
    pub(super) bounds: BTreeMap<Oid, [Key; 2]>,
}

/// Where in a table a statement is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The table.
    pub(super) oid: Oid,
    /// The columns of the key by which it is gone through; none where an earlier release has begun.
    pub(super) columns: Vec<String>,
    /// The key of what was its last row when it was begun.
    pub(super) bound: Key,
    /// The key up to which it is done.
    pub(super) behind: Option<Key>,
}

impl At {
    fn read(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let number = |key: &str| value.get(key).and_then(Value::as_u64).unwrap_or_default();
        let place = value.get("place").filter(|place| place.is_object()).and_then(|place| {
            Some(Place {
                oid: oid(place.get("oid")?)?,
                columns: place.get("columns").and_then(key).unwrap_or_default(),
                bound: key(place.get("bound")?)?,
                behind: place.get("behind").and_then(key),
            })
        });
        let oids = |key: &str| -> Vec<Oid> {
            value.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(oid).collect()
        };
        Some(Self {
            table: value.get("table").and_then(oid)?,
            rows: number("rows"),
            seen: number("seen"),
            place,
            leaves: oids("leaves"),
            over: oids("over"),
            bounds: value.get("bounds").map(bounds).unwrap_or_default(),
        })
    }

    fn written(&self) -> String {
        let place = self
            .place
            .as_ref()
            .map(|place| json!({ "oid": place.oid, "columns": place.columns, "bound": place.bound, "behind": place.behind }));
        json!({
            "table": self.table,
            "rows": self.rows,
            "seen": self.seen,
            "place": place,
            "leaves": self.leaves,
            "over": self.over,
            "bounds": self.bounds,
        })
        .to_string()
    }

    /// The leaf that comes next.
    pub(super) fn next_leaf(&self) -> Option<Oid> {
        self.leaves.iter().find(|leaf| !self.over.contains(leaf)).copied()
    }

    /// A range is done that ends with this key.
    pub(super) fn go_on(&mut self, to: &Key, changed: u64, seen: u64) {
        self.rows += changed;
        self.seen += seen;
        if let Some(place) = &mut self.place {
            place.behind = Some(to.clone());
        }
    }
}

fn oid(value: &Value) -> Option<Oid> {
    Oid::try_from(value.as_u64()?).ok()
}

fn bounds(value: &Value) -> BTreeMap<Oid, [Key; 2]> {
    let of =
        |(oid, both): (&String, &Value)| Some((oid.parse().ok()?, [key(both.get(0)?)?, key(both.get(1)?)?]));
    value.as_object().into_iter().flatten().filter_map(of).collect()
}

fn key(value: &Value) -> Option<Key> {
    value.as_array()?.iter().map(|part| part.as_str().map(str::to_owned)).collect()
}

type Ended<T> = Result<T, Outcome>;

/// The task of a statement: the one that the session runs already, or a new one.
pub(super) async fn begin(run: &mut Run<'_>, bulk: &Bulk) -> Result<Ended<Course>, Lost> {
    let tag = bulk.tag();
    let what = format!("{tag} cannot be carried out in batches");
    let settings = match readiness(run.link, run.surroundings, &what).await? {
        Readiness::Ready(settings) => with_allowances(settings, run),
        Readiness::ReadOnly => return Ok(Err(Outcome::own_error(&read_only(tag)))),
        Readiness::Not(why) => return Ok(Err(Outcome::own_error(&unkept(*why)))),
        Readiness::Failed(failed) => return Ok(Err(Outcome::server_error(&failed, None, None))),
    };
    let new = At { table: bulk.oid, ..At::default() };
    match mine(run.link).await? {
        Err(failed) => return Ok(Err(Outcome::server_error(&failed, None, None))),
        Ok(Some(mine)) if bulk.text.ends_with(&mine.sql) => {
            let at = mine.at.unwrap_or(new);
            if at.table != bulk.oid {
                return Ok(Err(Outcome::own_error(&another(bulk))));
            }
            return Ok(Ok(Course { id: mine.id, own: Own::No, at }));
        }
        Ok(_) => {}
    }
    match outbox::reads_setting(run.link, bulk.oid, bulk.text.as_bytes()).await? {
        Ok(None) => {}
        Ok(Some(who)) => return Ok(Err(Outcome::own_error(&of_the_session(tag, &who)))),
        Err(failed) => return Ok(Err(Outcome::server_error(&failed, None, None))),
    }
    // In another session there is no such table, or another one.
    let stays = run.surroundings.bulk.without_client == Alone::Stops || bulk.of_session.is_some();
    let alone = stays.then(|| (tasks::STAYS.0.to_owned(), tasks::STAYS.1.to_owned()));
    let settings: serde_json::Map<String, Value> =
        settings.into_iter().chain(alone).map(|(name, value)| (name, Value::String(value))).collect();
    let task =
        json!([{ "sql": bulk.text, "title": bulk.title(), "tag": tag, "settings": settings }]).to_string();
    let queue = Item::ours(
        "SELECT q.id, lockkeeper.begin_task(q.id) FROM lockkeeper.queue($1::pg_catalog.jsonb) AS q(id)",
    );
    let answer =
        finished(run, &[Item::ours("BEGIN READ WRITE"), queue.with(vec![&task]), Item::ours("COMMIT")])
            .await?;
    if let Some(failed) = answer.failed {
        return Ok(Err(Outcome::server_error(&failed, None, None)));
    }
    match answer.row(1).map(Vec::as_slice) {
        Some([Some(id), Some(begun)]) if begun == "t" => {
            Ok(Ok(Course { id: id.clone(), own: Own::Yes, at: new }))
        }
        _ => {
            Ok(Err(Outcome::own_error(&Notice::error(SqlState::SYSTEM_ERROR, "the task could not be begun"))))
        }
    }
}

/// The task that a session runs.
#[derive(Debug)]
pub(super) struct Mine {
    id: String,
    sql: String,
    at: Option<At>,
}

impl Mine {
    /// Whether a part of it is done.
    pub(super) fn is_begun(&self) -> bool {
        self.at.as_ref().is_some_and(|at| at.place.is_some() || !at.over.is_empty())
    }
}

/// The task that the session runs, if it does.
pub(super) async fn mine(link: &mut Link) -> Result<Result<Option<Mine>, Failed>, Lost> {
    let mine = Item::ours("SELECT t.id, t.sql, t.at FROM lockkeeper.my_task() t");
    let answer = Call::run(link, &[mine]).await?;
    if let Some(failed) = answer.failed {
        return Ok(Err(failed));
    }
    Ok(Ok(match answer.row(0).map(Vec::as_slice) {
        Some([Some(id), Some(sql), at]) => {
            let at = at.as_deref().and_then(At::read);
            Some(Mine { id: id.clone(), sql: sql.clone(), at })
        }
        _ => None,
    }))
}

impl Course {
    /// The statement that notes how far it is, with its values.
    pub(super) fn noted(&self) -> (&'static str, [String; 2]) {
        const ADVANCE: &str = "SELECT lockkeeper.advance_task($1::pg_catalog.int8, $2::pg_catalog.jsonb)";
        (ADVANCE, [self.id.clone(), self.at.written()])
    }

    /// Whether a part of it is done.
    pub(super) fn is_begun(&self) -> bool {
        self.at.place.as_ref().is_some_and(|place| place.behind.is_some()) || !self.at.over.is_empty()
    }

    /// Leaves the task to somebody else, where that is this statement's business.
    pub(super) async fn leave(&self, run: &mut Run<'_>) -> Result<(), Lost> {
        if self.own == Own::Yes { outbox::leave(run.link, &self.id).await } else { Ok(()) }
    }

    /// Ends the task as failed, whoever has begun it: nobody goes on with it by himself.
    pub(super) async fn stay(&self, run: &mut Run<'_>, why: &str) -> Result<(), Lost> {
        if self.own == Own::No {
            // Where that fails the session is lost soon.
            let _ = outbox::end(run.link, &self.id, Some(why)).await?;
        }
        Ok(())
    }

    /// Ends the task, where that is this statement's business: done, or failed for this reason. One that has done nothing is
    /// given up.
    pub(super) async fn end(&self, run: &mut Run<'_>, failure: Option<&str>) -> Result<Option<Failed>, Lost> {
        if self.own == Own::No {
            return Ok(None);
        }
        let ended = outbox::end(run.link, &self.id, failure).await?;
        if failure.is_some() && !self.is_begun() {
            const DROP: &str = "SELECT lockkeeper.drop_task($1::pg_catalog.int8, $2)";
            let item = Item::ours(DROP).with(vec![&self.id, "it had done nothing yet"]);
            Call::run(run.link, &[item]).await?;
        }
        Ok(ended.err())
    }
}

fn read_only(tag: &str) -> Notice {
    Notice::error(SqlState::READ_ONLY_TRANSACTION, format!("cannot execute {tag} in a read-only transaction"))
}

/// Where nobody can note how far it is, it does not begin: what is left after a failure could not be told from what is done.
fn unkept(why: Notice) -> Notice {
    let detail = why.detail.clone().map(|detail| format!("{detail} ")).unwrap_or_default();
    why.detail(format!("{detail}How far it is has to be noted in the database with each batch."))
}

fn of_the_session(tag: &str, who: &str) -> Notice {
    let message = format!("{tag} cannot be carried out in batches: {who} reads a setting of the session");
    Notice::error(SqlState::FEATURE_NOT_SUPPORTED, message)
        .detail("Whoever goes on with it when this session is lost would not have that.")
        .hint("To run it as sent, say why in a comment: \"/* lockkeeper: allow bulk-write because <reason> */\".")
}

fn another(bulk: &Bulk) -> Notice {
    let message = format!("{} is another table than the one in which this was begun", bulk.pieces.table);
    Notice::error(SqlState::NOT_IN_PREREQUISITE_STATE, message)
        .hint("Give the task up, with lockkeeper tasks drop, and send the statement again.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_read_again() {
        let place = Place {
            oid: 7,
            columns: vec!["id".into()],
            bound: vec!["9".into(), "a\"b".into()],
            behind: None,
        };
        let at = At {
            table: 5,
            rows: 3,
            seen: 4,
            place: Some(place),
            leaves: vec![1, 2, 7],
            over: vec![1, 2],
            bounds: [(7, [vec!["id".to_owned()], vec!["9".to_owned()]])].into(),
        };
        assert_eq!(at.next_leaf(), Some(7));
        assert_eq!(At::read(&at.written()), Some(at.clone()));
        let begun = At { place: None, ..at };
        assert_eq!(At::read(&begun.written()), Some(begun));
        assert_eq!(At::read("{}"), None);
        assert_eq!(At::read("null"), None);
    }
}
