//! A statement's entry in the ledger; and where peak hours or a freeze hold it back, the way from its first judgement to the one
//! that lets it go.

use crate::event::clock::{self, Moment};
use crate::execute::hold::{self, Held, Holding};
use crate::execute::outcome::Outcome;
use crate::execute::queue::{self, Turn};
use crate::execute::readiness;
use crate::execute::replay::Meanwhile;
use crate::execute::{Surroundings, as_sent, fail, shutting_down};
use crate::judge::{self, Curbed, Decision, Judgement, Standing};
use crate::live::gate::{Ticket, Waiting};
use crate::live::ledger::{Record, State};
use crate::live::queue::{On, Permit, Work};
use crate::live::{Live, Stop};
use crate::sql::Script;
use crate::sql::fixed::loose;
use crate::upstream::link::{Link, Lost};

use super::consider::{Case, Considered, consider};
use super::engage::{Desk, Sent, Way, end_batch};
use super::lease;
use super::portal;
use super::statement::{log, run};

/// A statement in the ledger.
pub(super) struct Entry<'a> {
    live: &'a Live,
    pub(super) record: Record<'a>,
    /// It was held, and its client's batch has ended meanwhile.
    pub(super) batch_ended: bool,
    worth: Worth,
    /// Its place among those that were held.
    turn: Option<Ticket<'a>>,
    /// Its place in the queues of tables, where it has waited for its turn there.
    pub(super) place: Option<Permit>,
}

/// Whether there is something to tell of a statement when it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Worth {
    Something,
    Nothing,
}

impl<'a> Entry<'a> {
    fn new(surroundings: &Surroundings<'a>, script: &Script, considered: &Considered) -> Self {
        let live = surroundings.live;
        let mut tags: Vec<&str> = script.statements.iter().map(|statement| statement.tag).collect();
        tags.dedup();
        let mut worth = Worth::Nothing;
        let hazards: &[&str] = match considered {
            Considered::Judged(case) => {
                let Judgement { decision, hazards, curbed, .. } = &case.judgement;
                let passes = *decision == Decision::Forward || case.is_watched();
                if !passes || !hazards.is_empty() || curbed.is_some() {
                    worth = Worth::Something;
                }
                &case.judgement.hazards
            }
            Considered::Over(_) | Considered::Forward => &[],
        };
        let record = live.ledger().begin(&tags.join("; "), hazards, surroundings.whose(), clock::wall());
        Self { live, record, batch_ended: false, worth, turn: None, place: None }
    }

    /// Notes the end.
    pub(super) fn end(self, state: State) {
        if self.worth == Worth::Something {
            self.record.end(state, clock::wall());
        } else {
            self.record.strike();
        }
    }

    /// Notes how it ended; where a freeze has cancelled it, the error says so.
    pub(super) fn close(self, outcome: Outcome) -> Outcome {
        if !matches!(outcome, Outcome::Failed(_)) {
            self.end(State::Done);
            return outcome;
        }
        let stopped = self.record.is_stopped();
        if stopped && *self.live.stop().borrow() == Stop::Now {
            self.end(State::Failed);
            return outcome.amended(shutting_down().detail.as_deref(), None);
        }
        if let Some(by) = self.record.cancelled_by() {
            self.end(State::Failed);
            return outcome
                .amended(Some(&format!("It was cancelled by {by}, who operates the proxy.")), None);
        }
        let freeze = stopped.then(|| self.live.gate().stops(clock::wall())).flatten();
        self.end(State::Failed);
        match freeze {
            Some(freeze) => outcome.amended(judge::stopped(&freeze).detail.as_deref(), None),
            None => outcome,
        }
    }

    /// The same for one that was over before anything was done.
    pub(super) fn close_early(self, outcome: Outcome) -> Outcome {
        if matches!(outcome, Outcome::Failed(_)) {
            return self.close(outcome);
        }
        self.end(State::Passed);
        outcome
    }
}

/// Enters a statement in the ledger, and waits where it is held.
pub(super) async fn settle<'a>(
    desk: &mut Desk<'a>,
    considered: Considered,
    statement: (&Script, Sent<'_>, Standing),
) -> Result<(Considered, Entry<'a>), Lost> {
    let mut entry = Entry::new(desk.surroundings, statement.0, &considered);
    let considered = match considered {
        Considered::Judged(case) => wait_out(desk, *case, statement, &mut entry).await?,
        other => other,
    };
    let considered = match considered {
        Considered::Judged(case) => give_way(desk, *case, statement, &mut entry).await?,
        other => other,
    };
    let considered = match considered {
        // Peak hours or a freeze have begun meanwhile.
        Considered::Judged(case) if matches!(case.judgement.decision, Decision::Hold(_)) => {
            // Builds do not wait for what waits that long.
            entry.place = None;
            wait_out(desk, *case, statement, &mut entry).await?
        }
        other => other,
    };
    Ok((considered, entry))
}

/// Waits until a statement may go on, and judges it anew each time; what is to become of it then.
///
/// Facts and settings may have changed meanwhile, so nothing of an earlier judgement is kept.
async fn wait_out(
    desk: &mut Desk<'_>,
    mut case: Case,
    (script, sent, standing): (&Script, Sent<'_>, Standing),
    entry: &mut Entry<'_>,
) -> Result<Considered, Lost> {
    let since = Moment::now();
    // Where nobody knows how its rows are wanted, its portal is kept.
    let by_us = sent.way == Way::Extended || sent.way == Way::ExtendedRows && case.formats.is_some();
    let mut batch_open = by_us && standing == Standing::Outside;
    // Its portal goes with its batch, and with that the values of its parameters and what its rows are like.
    let (mut fixed, mut formats, mut described) = (None, None, None);
    loop {
        note(&entry.record, &case.judgement);
        let Decision::Hold(hold) = &case.judgement.decision else {
            let calls = case.is_watched() && !case.writes_many;
            entry.record.is(if calls { State::Watched } else { State::Running });
            let meant = fixed.as_deref().unwrap_or(script);
            let judged = Considered::Judged(Box::new(case));
            return let_go(desk, judged, (meant, sent), (formats, described), entry).await;
        };
        log(desk, &case.judgement);
        if batch_open && case.fixed.is_none() && has_parameters(script) {
            let Decision::Hold(hold) = case.judgement.decision else { continue };
            fail::transaction(desk.link).await?;
            return Ok(Considered::Over(Outcome::own_error(&hold.elsewhere)));
        }
        if std::mem::take(&mut batch_open) {
            described = Some(portal::described(desk.link, sent.portal).await?);
            end_batch(desk.link).await?;
            entry.batch_ended = true;
            (fixed, formats) = (case.fixed.take(), case.formats.take());
        }
        if let Some(outcome) = wait_for_turn(desk, &case, hold, (since, entry)).await? {
            return Ok(Considered::Over(outcome));
        }
        let meant = fixed.as_deref().unwrap_or(script);
        case = match consider(desk, meant, (standing, sent.portal)).await? {
            Considered::Judged(case) => *case,
            other => return let_go(desk, other, (meant, sent), (formats, described), entry).await,
        };
        case.fixed = case.fixed.or_else(|| fixed.clone());
        case.formats = case.formats.or_else(|| formats.clone());
    }
}

/// What becomes of a statement whose batch has ended meanwhile, when it may go on: where its client gets rows from its portal, that is
/// made again.
async fn let_go(
    desk: &mut Desk<'_>,
    considered: Considered,
    (meant, sent): (&Script, Sent<'_>),
    (formats, described): (Option<Vec<u8>>, Option<portal::Described>),
    entry: &mut Entry<'_>,
) -> Result<Considered, Lost> {
    let (runs, in_batches) = match &considered {
        Considered::Judged(case) => {
            let decision = &case.judgement.decision;
            let in_batches = matches!(decision, Decision::Run(_));
            (in_batches || matches!(decision, Decision::Forward | Decision::Guard(_)), in_batches)
        }
        Considered::Forward => (true, false),
        Considered::Over(_) => (false, false),
    };
    if !entry.batch_ended || !runs {
        return Ok(considered);
    }
    let text = meant.text.as_bytes();
    if sent.way == Way::ExtendedRows {
        let made = portal::make_again(desk.link, sent.portal, (text, &formats.unwrap_or_default())).await?;
        match made {
            portal::Described::Missing => return Ok(Considered::Over(Outcome::Failed(Vec::new()))),
            now if described.is_some_and(|then| then != now) => {
                return Ok(Considered::Over(Outcome::own_error(&portal::other_columns())));
            }
            _ => {}
        }
        entry.batch_ended = in_batches;
        if in_batches {
            end_batch(desk.link).await?;
        }
        return Ok(considered);
    }
    match considered {
        Considered::Forward => Ok(Considered::Over(as_sent(desk.link, text).await?)),
        considered => Ok(considered),
    }
}

/// Waits among those that are held; the client's error where that ends otherwise.
async fn wait_for_turn(
    desk: &mut Desk<'_>,
    case: &Case,
    hold: &judge::Hold,
    (since, entry): (Moment, &mut Entry<'_>),
) -> Result<Option<Outcome>, Lost> {
    entry.record.is(State::Held);
    entry.turn = None;
    let ticket = entry.live.gate().line_up(Waiting {
        database: desk.surroundings.place.database.clone(),
        on: hold.on.clone(),
        loads: hold.loads,
        waits: hold.waits,
        mode: desk.policy.mode,
    });
    let mut holding = Holding {
        link: desk.link,
        session: &case.session,
        surroundings: desk.surroundings,
        mode: desk.policy.mode,
        since,
    };
    match hold::hold(&mut holding, hold, &ticket).await? {
        Held::Over => entry.turn = Some(ticket),
        Held::Ended(outcome) => return Ok(Some(outcome)),
    }
    Ok(None)
}

/// Lets nobody wait for the locks of a transaction while its statement waits for another session's build, while it is found out how it
/// is queued, and while schema `lockkeeper` is installed for that; where somebody does, it is rolled back and brought back, and the
/// statement judged anew.
async fn give_way(
    desk: &mut Desk<'_>,
    case: Case,
    (script, sent, standing): (&Script, Sent<'_>, Standing),
    entry: &mut Entry<'_>,
) -> Result<Considered, Lost> {
    let queues = match &case.judgement.decision {
        Decision::Hold(_) | Decision::Refuse(_) | Decision::Apart => {
            return Ok(Considered::Judged(Box::new(case)));
        }
        Decision::Defer(deferral) => Some(!deferral.later.is_empty()),
        Decision::Forward | Decision::Guard(_) | Decision::Run(_) => None,
    };
    let apart = On::Tables(case.judgement.apart.clone());
    let place = queue::line_up(&run(desk, &case, entry), apart, Work::Brief);
    let mut meanwhile = queue::beside(&mut run(desk, &case, entry), &place).await?;
    entry.place = Some(place);
    if queues.is_some() && meanwhile == Ok(Meanwhile::Stayed) {
        meanwhile = lease::between(desk).await?;
    }
    if queues == Some(true) && meanwhile == Ok(Meanwhile::Stayed) {
        meanwhile = readiness::beforehand(&mut run(desk, &case, entry)).await?;
    }
    match meanwhile {
        Ok(Meanwhile::Stayed) => Ok(Considered::Judged(Box::new(case))),
        // Once, or it might never come to its end.
        Ok(Meanwhile::CameBack) => consider(desk, script, (standing, sent.portal)).await,
        Err(outcome) => Ok(Considered::Over(outcome)),
    }
}

/// Waits until no build of another session works on the statement's tables.
pub(super) async fn turn(desk: &mut Desk<'_>, case: &Case, entry: &mut Entry<'_>) -> Result<Turn, Lost> {
    let place = entry.place.take();
    let mut run = run(desk, case, entry);
    let tables = || On::Tables(case.judgement.apart.clone());
    let place = place.unwrap_or_else(|| queue::line_up(&run, tables(), Work::Brief));
    queue::turn_of(&mut run, place, Work::Brief).await
}

/// Whether its values came apart from it, and would be lost with its portal.
fn has_parameters(script: &Script) -> bool {
    let text = script.text.as_bytes();
    loose(script).into_iter().any(|place| text.get(place).is_some_and(|word| word.starts_with(b"$")))
}

fn note(record: &Record<'_>, judgement: &Judgement) {
    if let Some(Curbed::Overridden(why)) = &judgement.curbed {
        record.overridden(why);
    }
}

/// Whether a statement that takes its locks before a snapshot, and so cannot be held, is let go on.
pub(super) async fn refused_at_once(link: &mut Link, judgement: &Judgement) -> Result<Option<Outcome>, Lost> {
    let why = match (&judgement.decision, &judgement.curbed) {
        (Decision::Hold(hold), _) => &hold.elsewhere,
        (Decision::Refuse(why), Some(_)) => why,
        _ => return Ok(None),
    };
    fail::transaction(link).await?;
    Ok(Some(Outcome::own_error(why)))
}
