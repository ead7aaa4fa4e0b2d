//! How many rows a message may write: asked of the planner, for statements whose text does not tell, and remembered for a while.

use crate::base::{Notice, SqlState};
use crate::effects::facts::{Estimate, Facts, Texts};
use crate::execute::catalogue::{self, SessionSettings};
use crate::execute::estimate::{self, Fixed};
use crate::execute::outcome::Outcome;
use crate::execute::{cancelled, fail, or_cancelled};
use crate::judge::{Decision, Mode, Policy, bulk};
use crate::sql::shape::Known;
use crate::sql::statement::Script;
use crate::upstream::link::Lost;
use crate::wire::client::Values;

use super::engage::Desk;
use super::{lease, portal};

/// What was found out.
pub(super) struct Rows {
    /// The session's settings, as they are known by now.
    pub(super) session: SessionSettings,
    /// What is known, with the estimates.
    pub(super) facts: Facts,
    /// The message as it may be run again later, where that is another text.
    pub(super) fixed: Option<Box<Script>>,
    /// How its client wants its rows, where it has said so.
    pub(super) formats: Option<Vec<u8>>,
}

impl Rows {
    /// Whether nothing has to be done about them.
    pub(super) fn are_few(&self) -> bool {
        self.facts.estimates.iter().all(|it| !it.many && !it.goes_on)
    }

    fn of((session, facts): (SessionSettings, Facts)) -> Self {
        Self { session, facts, fixed: None, formats: None }
    }
}

/// Looks how many rows a message may write that comes by this portal.
pub(super) async fn look(
    desk: &mut Desk<'_>,
    script: &Script,
    (policy, (session, mut facts)): (&Policy, (SessionSettings, Facts)),
    portal: &[u8],
) -> Result<Result<Rows, Outcome>, Lost> {
    if policy.mode == Mode::Off || !bulk::may_write_many(script) {
        return Ok(Ok(Rows::of((session, facts))));
    }
    if bulk::suspects(script, &facts, policy).is_empty() {
        let known = if bulk::pins_keys(script, &facts) { Known::One } else { Known::Few };
        learn(desk, script, (&facts, known));
        return Ok(Ok(Rows::of((session, facts))));
    }
    let values = values(desk, script, portal).await?;
    let sent = estimate::Sent { values: values.as_ref().map(|(values, types)| (values, types.as_slice())) };
    let fixed = match estimate::fix(desk.link, script, sent).await? {
        Fixed::Script(fixed) => Some(fixed),
        Fixed::AsSent => None,
        Fixed::Unwritable => {
            facts.texts = Texts::Garbled;
            None
        }
        // The server says what is wrong with it, or nobody knows what it writes.
        Fixed::Not => return Ok(Ok(Rows::of((session, facts)))),
        Fixed::Stopped(failed) => return Ok(Err(Outcome::server_error(&failed, None, None))),
    };
    let meant = fixed.as_deref().unwrap_or(script);
    let sent = if fixed.is_some() { estimate::Sent { values: None } } else { sent };
    let begun = match estimate::is_begun(desk.link, script).await? {
        Ok(begun) => begun,
        Err(failed) => return Ok(Err(Outcome::server_error(&failed, None, None))),
    };
    facts.estimates = match estimated(desk, (meant, begun), (&facts, policy, sent)).await? {
        Ok(estimates) => estimates,
        Err(outcome) => return Ok(Err(outcome)),
    };
    if desk.surroundings.take_cancel() {
        fail::transaction(desk.link).await?;
        return Ok(Err(Outcome::own_error(&cancelled())));
    }
    let few = |rows: u64| rows > 0 && rows.saturating_mul(FEW_PART) <= policy.bulk_rows;
    if facts.estimates.iter().all(|it| few(it.rows)) {
        learn(desk, script, (&facts, Known::Few));
    } else {
        desk.shaped.forget(script.text.as_bytes(), desk.link.tracker.reading());
    }
    let mut rows = Rows::of((session, facts));
    if !rows.are_few() {
        let texts = rows.facts.texts;
        let need = bulk::need(meant);
        let asked = lease::asked(desk, async |link| catalogue::look_up(link, &need).await);
        let looked = Box::pin(asked).await?;
        let looked = match looked {
            Ok(looked) => looked,
            Err(outcome) => return Ok(Err(outcome)),
        };
        (rows.session, rows.facts) = estimate::to_cut(looked, (rows.session, rows.facts));
        if texts == Texts::Garbled {
            rows.facts.texts = texts;
        }
    }
    Ok(Ok(Rows { fixed, formats: values.map(|(values, _)| values.results), ..rows }))
}

/// What the planner says.
async fn estimated(
    desk: &mut Desk<'_>,
    meant: (&Script, bool),
    known: (&Facts, &Policy, estimate::Sent<'_>),
) -> Result<Result<Vec<Estimate>, Outcome>, Lost> {
    let surroundings = desk.surroundings;
    let asked = lease::asked(desk, async |link| {
        or_cancelled(surroundings, estimate::estimates(link, meant, known)).await
    });
    let estimates = Box::pin(asked).await?;
    Ok(estimates.and_then(|it| it.map_err(|failed| Outcome::server_error(&failed, None, None))))
}

/// What writes no more than this part of what is too much is not looked at again for a while.
const FEW_PART: u64 = 10;

fn learn(desk: &Desk<'_>, script: &Script, (facts, known): (&Facts, Known)) {
    if !bulk::is_own(script, facts) {
        desk.shaped.learn(script.text.as_bytes(), desk.link.tracker.reading(), known);
    }
}

/// The values of a portal and their types, where both can be told, and it is the one by which the message has come.
async fn values(
    desk: &mut Desk<'_>,
    script: &Script,
    portal: &[u8],
) -> Result<Option<(Values, Vec<u32>)>, Lost> {
    let prepared = &desk.link.tracker.prepared;
    if prepared.portal(portal).as_deref() != Some(script.text.as_bytes()) {
        return Ok(None);
    }
    let Some((bound, same)) = prepared.bound(portal) else { return Ok(None) };
    let Some(values) = bound.values.clone().filter(|_| same) else { return Ok(None) };
    let types =
        if values.count == 0 { Some(Vec::new()) } else { portal::types(desk.link, &bound.statement).await? };
    Ok(types.filter(|types| types.len() == values.count).map(|types| (values, types)))
}

/// What was begun in batches is not run as a whole, whatever is allowed or configured by now: it would write its first rows twice.
pub(super) async fn would_begin_anew(
    desk: &mut Desk<'_>,
    script: &Script,
    decision: &Decision,
) -> Result<Option<Outcome>, Lost> {
    if matches!(decision, Decision::Run(_) | Decision::Refuse(_) | Decision::Hold(_)) {
        return Ok(None);
    }
    match estimate::is_begun(desk.link, script).await? {
        Ok(true) => {}
        Ok(false) => return Ok(None),
        Err(failed) => return Ok(Some(Outcome::server_error(&failed, None, None))),
    }
    fail::transaction(desk.link).await?;
    let error = Notice::error(
        SqlState::NOT_IN_PREREQUISITE_STATE,
        "a statement that was begun in batches can only go on in batches",
    )
    .detail("As a whole it would write the rows again that it has written.")
    .hint("Take back what lets it pass by now: an allowance, a setting of hazards, the mode.");
    Ok(Some(Outcome::own_error(&error)))
}
