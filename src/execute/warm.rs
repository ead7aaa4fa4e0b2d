//! What keeps questions to the catalogue quick while a transaction holds locks: to plan one takes twenty times as long as to ask it.
//!
//! The server forgets its plans when a schema comes or goes (`PlanCacheSysCallback` in `plancache.c`), and a session's first temporary
//! object makes the schema `pg_temp_N` where the database has none. Rolled back with it, the next one would make it anew.

use crate::base::SqlState;
use crate::upstream::call::{Call, Failed, Item};
use crate::upstream::{Link, Lost};
use crate::wire::fields;
use crate::wire::server::Status;

use super::attempt::{UNDO, restore};
use super::question::{AS_BEFORE, Asked, IN_HASTE};

/// Whether the session has made nothing temporary, and whether it can be made to unseen.
const LACKS: &str = "SELECT 1 WHERE pg_catalog.pg_my_temp_schema() OPERATOR(pg_catalog.=) 0::pg_catalog.oid \
     AND pg_catalog.current_setting('max_prepared_transactions') OPERATOR(pg_catalog.=) '0' \
     AND pg_catalog.current_setting('transaction_read_only') OPERATOR(pg_catalog.=) 'off' \
     AND pg_catalog.has_database_privilege(pg_catalog.current_database()::pg_catalog.text, 'TEMP') \
     AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_event_trigger e WHERE e.evtenabled OPERATOR(pg_catalog.<>) 'D')";

/// Something temporary for which no file is made.
const MAKE: [&str; 2] = ["CREATE TYPE pg_temp.lockkeeper AS ENUM ()", "DROP TYPE pg_temp.lockkeeper"];

/// Has the session make its temporary schema: in the client's transaction before that locks anything, or on its own.
///
/// The server's word where the client has cancelled, or a time-out of its own struck.
pub(super) async fn schema(link: &mut Link) -> Result<Option<Failed>, Lost> {
    let lacks = Call::run(link, &[Item::ours(LACKS)]).await?;
    if lacks.failed.is_some() || lacks.row(0).is_none() {
        return Ok(lacks.failed);
    }
    let in_block = link.tracker.status() == Status::InTransaction;
    let around = |statement| in_block.then(|| Item::ours(statement));
    let mut items: Vec<Item<'_>> = around("SAVEPOINT lockkeeper").into_iter().collect();
    items.extend(MAKE.map(Item::ours));
    items.extend(around("RELEASE SAVEPOINT lockkeeper"));
    let Some(failed) = Call::run(link, &items).await?.failed else { return Ok(None) };
    if fields::sqlstate(&failed.body) == SqlState::QUERY_CANCELED {
        return Ok(Some(failed));
    }
    tracing::debug!(error = fields::message(&failed.body), "no temporary schema could be made");
    if in_block {
        restore(link, &UNDO).await?;
    }
    Ok(None)
}

/// Has the server plan what it keeps, for a transaction that is about to be sent once more; no transaction may be open.
pub(super) async fn questions(link: &mut Link) -> Result<Option<Failed>, Lost> {
    let questions = Asked::kept(link.kept);
    if questions.is_empty() {
        return Ok(None);
    }
    if let Some(failed) = schema(link).await? {
        return Ok(Some(failed));
    }
    let mut items = vec![Item::ours(IN_HASTE)];
    items.extend(questions.iter().map(|question| question.item(true)));
    items.push(Item::ours(AS_BEFORE));
    let failed = Call::run(link, &items).await?.failed;
    Ok(failed.filter(|failed| fields::sqlstate(&failed.body) == SqlState::QUERY_CANCELED))
}
