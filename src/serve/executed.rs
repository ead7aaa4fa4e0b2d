//! `EXECUTE` of what SQL's `PREPARE` has named: judged as the statement that it runs, where that writes many rows.

use crate::execute::outcome::Outcome;
use crate::execute::{cancelled, estimate, fail, or_cancelled};
use crate::judge::{Standing, bulk};
use crate::sql::statement::Script;
use crate::sql::{self, executed};
use crate::upstream::call::{Call, Item};
use crate::upstream::link::{Link, Lost};

use super::consider::{self, Considered};
use super::engage::Desk;
use super::lease;

/// The text of a prepared statement, and the types of its parameters as a list of JSON.
const PREPARED: &str = "SELECT p.statement, (SELECT pg_catalog.json_agg(pg_catalog.format_type(t.oid, -1) ORDER BY t.place) \
     FROM ROWS FROM (pg_catalog.unnest(p.parameter_types::pg_catalog.oid[])) WITH ORDINALITY t(oid, place)) \
     FROM pg_catalog.pg_prepared_statements p \
     WHERE p.from_sql AND p.name OPERATOR(pg_catalog.=) $1::pg_catalog.text";

/// Judges a message of ordinary statements that write nothing by themselves.
pub(super) async fn consider(
    desk: &mut Desk<'_>,
    script: &Script,
    at: (Standing, &[u8]),
) -> Result<Considered, Lost> {
    let Some(meant) = meant(desk.link, script).await? else { return Ok(Considered::Forward) };
    let considered = Box::pin(consider::consider(desk, &meant, at)).await?;
    let Considered::Judged(mut case) = considered else { return Ok(considered) };
    // What is wrong with its values the server says.
    let surroundings = desk.surroundings;
    let asked = lease::asked(desk, async |link| {
        let asked = estimate::rows(link, script.text.as_bytes(), estimate::Sent { values: None });
        or_cancelled(surroundings, asked).await
    });
    let rows = match Box::pin(asked).await? {
        Ok(rows) => rows,
        Err(outcome) => return Ok(Considered::Over(outcome)),
    };
    if rows.is_ok() && desk.surroundings.take_cancel() {
        fail::transaction(desk.link).await?;
        return Ok(Considered::Over(Outcome::own_error(&cancelled())));
    }
    Ok(match rows {
        Ok(Some(_)) => {
            case.fixed.get_or_insert_with(|| Box::new(meant));
            Considered::Judged(case)
        }
        Ok(None) => Considered::Forward,
        Err(failed) => Considered::Over(Outcome::server_error(&failed, None, None)),
    })
}

/// What an `EXECUTE` runs, written out, where that may write many rows.
async fn meant(link: &mut Link, script: &Script) -> Result<Option<Script>, Lost> {
    let Some(name) = executed::name(script) else { return Ok(None) };
    let answer = Call::run(link, &[Item::ours(PREPARED).with(vec![&name])]).await?;
    let Some([Some(prepared), types]) = answer.row(0).map(Vec::as_slice) else { return Ok(None) };
    let types = types.as_deref().map_or(Some(Vec::new()), |types| serde_json::from_str(types).ok());
    let text = types.and_then(|types: Vec<String>| executed::written_out(script, prepared, &types));
    let meant = text.map(|text| sql::parse(text.as_bytes(), script.dialect));
    Ok(meant.filter(bulk::may_write_many))
}
