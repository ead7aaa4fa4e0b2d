//! The tasks with which a statement that is sent once more may go on.

use serde_json::{Map, Value};

use super::readiness::Settings;
use crate::upstream::call::{Call, Failed, Item};
use crate::upstream::{Link, Lost};

/// A statement in batches that has not come to its end.
#[derive(Debug)]
pub struct Earlier {
    /// The number of its task.
    pub id: String,
    /// Its text.
    pub sql: String,
    /// The settings under which it was sent.
    pub settings: Settings,
    /// What it named when it was queued, with the oids, where it was.
    pub about: Option<String>,
    /// The process that is at it.
    pub pid: Option<String>,
    /// Nothing else of its transaction is open.
    pub alone: bool,
}

/// How a statement goes on that was interrupted; the number of its task.
pub fn ways_on(id: &str) -> String {
    format!(
        "Go on: lockkeeper resume {id}, or send it again with /* lockkeeper: resume {id} */ before it; without that it would begin \
         anew. Or give the rest up: lockkeeper tasks drop {id} --why \"<reason>\"."
    )
}

/// Those of the role that has logged in which have this tag, the last first.
pub async fn earlier(link: &mut Link, tag: &str) -> Result<Result<Vec<Earlier>, Failed>, Lost> {
    const ASK: &str = "WITH open AS (SELECT * FROM lockkeeper.tasks() \
         WHERE state OPERATOR(pg_catalog.<>) ALL (ARRAY['done', 'dropped'])) \
         SELECT t.id, t.sql, t.settings, t.pid, t.about, \
         NOT EXISTS (SELECT FROM open o WHERE o.batch OPERATOR(pg_catalog.=) t.batch AND o.id OPERATOR(pg_catalog.<>) t.id) \
         FROM open t WHERE t.mine AND t.tag OPERATOR(pg_catalog.=) $1 ORDER BY t.id DESC";
    let answer = Call::run(link, &[Item::ours(ASK).with(vec![tag])]).await?;
    if let Some(failed) = answer.failed {
        return Ok(Err(failed));
    }
    let read = |row: &Vec<Option<String>>| {
        let [Some(id), Some(sql), Some(settings), pid, about, Some(alone)] = row.as_slice() else {
            return None;
        };
        let settings: Map<String, Value> = serde_json::from_str(settings).unwrap_or_default();
        let text = |(name, value): (String, Value)| Some((name, value.as_str()?.to_owned()));
        let mut settings: Settings = settings.into_iter().filter_map(text).collect();
        // It may not set what comes before it.
        settings.sort_by_key(|(name, _)| name == "role");
        Some(Earlier {
            id: id.clone(),
            sql: sql.clone(),
            settings,
            about: about.clone(),
            pid: pid.clone(),
            alone: alone == "t",
        })
    };
    Ok(Ok(answer.rows_of(0).filter_map(read).collect()))
}
