//! The table vacuumed between two batches, where the configuration says so.

use crate::base::{Notice, Severity, SqlState};
use crate::effects::facts::Oid;
use crate::execute::Run;
use crate::execute::attempt::restore;
use crate::execute::batch::{BEGIN, ask};
use crate::execute::stall::StallWatch;
use crate::execute::tell::tell;
use crate::execute::unhurried::{WhenAlone, unhurried};
use crate::judge::Retry;
use crate::plan::Bulk;
use crate::upstream::Lost;
use crate::upstream::call::{Call, Failed, Item};
use crate::wire::fields;

/// The table, whether the role may vacuum it, and how to put the client's delay back.
const TABLE: &str = "SELECT pg_catalog.quote_ident(s.nspname) OPERATOR(pg_catalog.||) '.' OPERATOR(pg_catalog.||) \
     pg_catalog.quote_ident(c.relname), pg_catalog.pg_has_role(c.relowner, 'USAGE'), \
     (SELECT CASE WHEN d.source OPERATOR(pg_catalog.=) 'session' \
        THEN 'SET SESSION vacuum_cost_delay = ' OPERATOR(pg_catalog.||) pg_catalog.quote_literal(d.setting) \
        ELSE 'RESET vacuum_cost_delay' END \
        FROM pg_catalog.pg_settings d WHERE d.name OPERATOR(pg_catalog.=) 'vacuum_cost_delay') \
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace s ON s.oid OPERATOR(pg_catalog.=) c.relnamespace \
     WHERE c.oid OPERATOR(pg_catalog.=) $1::pg_catalog.oid";

/// As autovacuum does it: at its ease.
const AT_EASE: &str = "SET SESSION vacuum_cost_delay = '2ms'";

/// Rows written since the table, or the leaf that is gone through, was vacuumed.
#[derive(Debug, Default)]
pub(super) struct Vacuum {
    of: Oid,
    since: u64,
    /// It is left to autovacuum.
    left: bool,
}

impl Vacuum {
    /// So many rows of a table were written.
    pub(super) const fn written(&mut self, table: Oid, rows: u64) {
        let before = if self.of == table { self.since } else { 0 };
        (self.of, self.since) = (table, before.saturating_add(rows));
    }

    /// Vacuums the table where it is time for that. Whatever comes of it, the statement goes on.
    pub(super) async fn between(
        &mut self,
        run: &mut Run<'_>,
        bulk: &Bulk,
        (table, every): (Oid, Option<u64>),
    ) -> Result<(), Lost> {
        if self.left || self.of != table || every.is_none_or(|every| self.since < every) {
            return Ok(());
        }
        self.since = 0;
        let Ok(found) = ask(run, TABLE, &[&table.to_string()]).await? else { return Ok(()) };
        let row = found.row(BEGIN.len()).map(Vec::as_slice);
        let Some([Some(name), Some(owned), Some(back)]) = row else { return Ok(()) };
        if owned != "t" {
            self.left = true;
            let why = format!("The role of this session does not own {name}.");
            tell(run.link, &[leaves(bulk, why)]).await;
            return Ok(());
        }
        // It takes no lock in the way of rows, nor waits for one; cutting off the end of a table would.
        let sql = format!("VACUUM (SKIP_LOCKED, TRUNCATE false) {name}");
        let eased = Call::run(run.link, &[Item::ours(AT_EASE)]).await?;
        let watch = StallWatch::new(run, Retry::Transaction);
        let work = Box::pin(unhurried(run, (Item::ours(&sql), Some(table)), WhenAlone::Cancelled));
        let answer = watch.over(work).await?;
        if eased.failed.is_none() {
            restore(run.link, &[back]).await?;
        }
        if let Some(failed) = answer.failed
            && !watch.has_struck(&failed)
            && !is_cancelled(&failed)
        {
            self.left = true;
            tell(run.link, &[leaves(bulk, format!("The server says: {}.", fields::message(&failed.body)))])
                .await;
        }
        Ok(())
    }
}

/// Its client has cancelled it, which ends the statement.
fn is_cancelled(failed: &Failed) -> bool {
    fields::sqlstate(&failed.body) == SqlState::QUERY_CANCELED
}

fn leaves(bulk: &Bulk, why: String) -> Notice {
    let what = format!("{} goes on without VACUUM between its batches", bulk.title());
    Notice::new(Severity::Warning, SqlState::WARNING, what)
        .detail(why)
        .hint("Dead rows are left to autovacuum. bulk.dead_rows_max lets batches come more slowly meanwhile.")
}
