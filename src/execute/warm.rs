//! What keeps questions to the catalogue quick while a transaction holds locks: to plan one takes far longer than to ask it.
//!
//! The server forgets its plans when a schema comes or goes (`PlanCacheSysCallback` in `plancache.c`), and a session's first temporary
//! object makes the schema `pg_temp_N` where the database has none. Rolled back with it, the next one would make it anew.

use crate::base::SqlState;
use crate::upstream::call::{Answer, Call, Failed, Item};
use crate::upstream::{Link, Lost};
use crate::wire::fields;
use crate::wire::server::Status;

use super::attempt::{UNDO, restore};
use super::question::{AS_BEFORE, Asked, IN_HASTE};

/// Whether the session has made nothing temporary, and whether it can be made to unseen.
const LACKS: &str = "SELECT 'lacks'::pg_catalog.text WHERE pg_catalog.pg_my_temp_schema() OPERATOR(pg_catalog.=) 0::pg_catalog.oid \
     AND pg_catalog.current_setting('max_prepared_transactions') OPERATOR(pg_catalog.=) '0' \
     AND pg_catalog.current_setting('transaction_read_only') OPERATOR(pg_catalog.=) 'off' \
     AND pg_catalog.has_database_privilege(pg_catalog.current_database()::pg_catalog.text, 'TEMP') \
     AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_event_trigger e WHERE e.evtenabled OPERATOR(pg_catalog.<>) 'D')";

/// Something temporary for which no file is made.
const MAKE: [&str; 2] = ["CREATE TYPE pg_temp.lockkeeper AS ENUM ()", "DROP TYPE pg_temp.lockkeeper"];

/// For what is to be tried in the client's transaction: has that make the temporary schema, which stays when the trial is taken back, and
/// where nobody can wait for it yet, has the server plan what it keeps. The server's word where the client has cancelled.
pub(super) async fn before_trial(link: &mut Link) -> Result<Option<Failed>, Lost> {
    match make(link).await? {
        Ok(Made::Now) if !link.tracker.holds_strong_lock() => plan(link).await,
        Ok(_) => Ok(None),
        Err(failed) => Ok(Some(failed)),
    }
}

/// Before a transaction is sent once more: the same, where none is open.
pub(super) async fn before_repeat(link: &mut Link) -> Result<Option<Failed>, Lost> {
    if link.kept.is_empty() {
        return Ok(None);
    }
    match make(link).await? {
        Ok(_) => plan(link).await,
        Err(failed) => Ok(Some(failed)),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    Now,
    /// It was there, or cannot be made.
    Not,
}

/// Makes the temporary schema where the session has none.
async fn make(link: &mut Link) -> Result<Result<Made, Failed>, Lost> {
    let asked = unfelt(link, vec![Item::ours(LACKS)]).await?;
    let lacks = match &asked {
        Ok(answer) => answer.rows.iter().any(|(_, row)| *row == [Some("lacks".to_owned())]),
        Err(failed) => return Ok(Err(failed.clone())),
    };
    if !lacks {
        return Ok(Ok(Made::Not));
    }
    Ok(unfelt(link, MAKE.map(Item::ours).into()).await?.map(|_| Made::Now))
}

/// Has the server plan what it keeps.
async fn plan(link: &mut Link) -> Result<Option<Failed>, Lost> {
    let questions = Asked::kept(link.kept);
    let asked = questions.iter().map(|question| question.item(true));
    let items = [Item::ours(IN_HASTE)].into_iter().chain(asked).chain([Item::ours(AS_BEFORE)]).collect();
    Ok(unfelt(link, items).await?.err())
}

/// Runs what need not succeed; the server's word where the client has cancelled.
async fn unfelt(link: &mut Link, mut items: Vec<Item<'_>>) -> Result<Result<Answer, Failed>, Lost> {
    let in_block = link.tracker.status() == Status::InTransaction;
    if in_block {
        items.insert(0, Item::ours("SAVEPOINT lockkeeper"));
        items.push(Item::ours("RELEASE SAVEPOINT lockkeeper"));
    }
    let answer = Call::run(link, &items).await?;
    let Some(failed) = &answer.failed else { return Ok(Ok(answer)) };
    if fields::sqlstate(&failed.body) == SqlState::QUERY_CANCELED {
        return Ok(Err(failed.clone()));
    }
    tracing::debug!(error = fields::message(&failed.body), "what would have made questions quick has failed");
    if in_block {
        restore(link, &UNDO).await?;
    }
    Ok(Ok(answer))
}
