//! One statement, judged, and its decision carried out in its place.

use crate::base::Notice;
use crate::effects::{self, facts::Facts};
use crate::event::{Judged, Overridden, clock};
use crate::execute::catalogue::{self, Looked, SessionSettings};
use crate::execute::guard::Work;
use crate::execute::outcome::Outcome;
use crate::execute::queue::{self, Turn};
use crate::execute::tell::tell;
use crate::execute::{Run, Surroundings, fail, guard, plan, script, summary};
use crate::judge::{self, Curbed, Decision, Judgement, Moment, Policy, Standing, Waits};
use crate::live::ledger::State;
use crate::live::queue::{On, Work as Apart};
use crate::peak::InForce;
use crate::session::repeat::Unfit;
use crate::sql::statement::{Opaque, OurSetting, Place, Setting as Change, Statement};
use crate::sql::{self, Calls, Kind, Script};
use crate::upstream::Directives;
use crate::upstream::call::{Call, Item};
use crate::upstream::link::{Batch, Link, Lost};
use crate::wire::server::Status;

use super::engage::{Desk, Sent, Way, drop_held, end_batch, finish, standing, take_held};
use super::held::{self, Entry};
use super::lease;
use super::lockers::note_made;

/// Judges a statement and carries the decision out.
pub(super) async fn look_after(desk: &mut Desk<'_>, sent: Sent<'_>) -> Result<(), Lost> {
    if sent.way == Way::Simple && desk.link.tracker.ran_in_batch() {
        catalogue::refresh_reading(desk.link).await?;
    }
    let script = sql::parse(sent.text, desk.link.tracker.reading().dialect());
    let standing = standing(desk.link, sent.way, sent.total).await;
    let in_batch = sent.way != Way::Simple || desk.link.tracker.ran_in_batch();
    if in_batch && desk.link.tracker.status() == Status::Idle {
        desk.link.batch = Batch::Clients;
    }
    let considered = consider(desk, &script, standing).await?;
    let (considered, entry) = held::settle(desk, considered, (&script, sent, standing)).await?;
    let case = match considered {
        Considered::Judged(case) => *case,
        Considered::Over(outcome) => {
            entry.end(State::Failed);
            drop_held(desk.link, sent.total);
            return finish(desk.link, sent.way, outcome).await;
        }
        Considered::Forward => {
            entry.end(State::Passed);
            forward(desk.link, sent.total).await;
            return Ok(());
        }
    };
    Box::pin(act(desk, case, entry, (&script, sent, standing))).await
}

/// Does what was decided.
async fn act(
    desk: &mut Desk<'_>,
    case: Case,
    entry: Entry<'_>,
    (script, sent, standing): (&Script, Sent<'_>, Standing),
) -> Result<(), Lost> {
    announce(desk, &case.judgement).await;
    let in_batch = sent.way != Way::Simple || desk.link.tracker.ran_in_batch();
    let past = case.judgement.past.clone();
    let watched = case.is_watched();
    let own_batch = sent.way == Way::Extended && standing == Standing::Outside && !watched;
    let alone_only = script.statements.iter().any(|statement| statement.place == Place::OutsideOnly);
    let mut batch_ended = own_batch && entry.was_held;
    if own_batch && !batch_ended && queue::is_busy(&run(desk, &case, &entry), case.judgement.apart.clone()) {
        end_batch(desk.link).await?;
        batch_ended = true;
    }
    let on = On::Tables(case.judgement.apart.clone());
    let _permit = match queue::turn(&mut run(desk, &case, &entry), on, Apart::Brief).await? {
        Turn::Come(permit) => permit,
        Turn::Ended(outcome) => {
            let outcome = entry.close(outcome);
            drop_held(desk.link, sent.total);
            return finish(desk.link, sent.way, outcome).await;
        }
    };
    if case.judgement.decision == Decision::Forward && !(own_batch && alone_only) && !batch_ended {
        entry.end(State::Passed);
        desk.link.tracker.remember(past);
        forward(desk.link, sent.total).await;
        return Ok(());
    }
    if own_batch && !batch_ended {
        end_batch(desk.link).await?;
    }
    let frame = take_held(desk.link, sent.total);
    let work = match sent.way {
        Way::ExtendedRows => Work::Portal(&frame),
        Way::Extended if watched => Work::Portal(&frame),
        Way::Simple if watched || must_stay_whole(script) || in_batch => Work::Message(&frame),
        Way::Simple | Way::Extended => Work::Statement(sent.text),
    };
    let outcome = carry_out(desk, &case, &entry, (work, script)).await?;
    if matches!(outcome, Outcome::Failed(_)) {
        desk.link.tracker.lose_journal(Unfit::Answered);
    } else {
        desk.link.tracker.remember(past);
        desk.link.tracker.ran(&frame);
        lease::begin(desk, &case);
    }
    let outcome = entry.close(outcome);
    finish(desk.link, sent.way, outcome).await
}

/// A statement that has been judged, with what the judgement stands on.
pub(super) struct Case {
    pub(super) session: SessionSettings,
    pub(super) policy: Policy,
    pub(super) judgement: Judgement,
}

impl Case {
    /// It runs under the client's own settings.
    pub(super) fn is_watched(&self) -> bool {
        matches!(&self.judgement.decision, Decision::Guard(guard) if guard.waits == Waits::AsSent)
    }
}

/// What carrying a decision out may use.
fn run<'a>(desk: &'a mut Desk<'_>, case: &'a Case, entry: &'a Entry<'_>) -> Run<'a> {
    Run {
        link: desk.link,
        session: &case.session,
        policy: &case.policy,
        surroundings: desk.surroundings,
        record: &entry.record,
    }
}

async fn carry_out(
    desk: &mut Desk<'_>,
    case: &Case,
    entry: &Entry<'_>,
    (work, script): (Work<'_>, &Script),
) -> Result<Outcome, Lost> {
    let mut run = run(desk, case, entry);
    match &case.judgement.decision {
        Decision::Forward => as_sent(run.link, script.text.as_bytes()).await,
        Decision::Guard(guard) if !case.is_watched() && script::is_file(run.link, script, work) => {
            script::run(&mut run, script, guard).await
        }
        Decision::Guard(guard) => guard::run(&mut run, work, guard).await,
        Decision::Run(plan) => {
            let began = clock::Moment::now();
            let outcome = plan::run(&mut run, plan).await?;
            // What was sent in the very form that is run is not remarked upon.
            let told = !case.judgement.notices.is_empty() && !plan.steps.is_empty();
            if told && matches!(outcome, Outcome::Complete(_)) {
                let notice = summary::of(&run, plan, began.elapsed());
                tell(run.link, &[notice]).await;
            }
            Ok(outcome)
        }
        Decision::Hold(hold) => {
            fail::transaction(run.link).await?;
            Ok(Outcome::own_error(&hold.elsewhere))
        }
        Decision::Refuse(error) => {
            fail::transaction(run.link).await?;
            Ok(Outcome::own_error(error))
        }
    }
}

/// Sends the held statement on as it is.
async fn forward(link: &mut Link, total: usize) {
    link.batch = Batch::None;
    link.forward_held(total).await;
}

/// Tells the log and the client what was found.
async fn announce(desk: &mut Desk<'_>, judgement: &Judgement) {
    log(desk, judgement);
    tell(desk.link, &judgement.notices).await;
}

/// Tells the log what was found, and who passes what holds others.
pub(super) fn log(desk: &Desk<'_>, judgement: &Judgement) {
    let place = &desk.surroundings.place;
    if let Some(Curbed::Overridden(why)) = &judgement.curbed {
        Overridden { why, user: &place.user, database: &place.database, pid: place.pid }.emit();
    }
    if !judgement.hazards.is_empty() || judgement.curbed.is_some() {
        Judged {
            hazards: &judgement.hazards,
            decision: &judgement.decision,
            database: &place.database,
            pid: place.pid,
        }
        .emit();
    }
}

/// A statement that the server takes only as the first of its batch, which our own questions have begun.
async fn as_sent(link: &mut Link, text: &[u8]) -> Result<Outcome, Lost> {
    let mut answer = Call::run(link, &[Item::client(text)]).await?;
    Ok(match answer.failed {
        Some(failed) => Outcome::server_error(&failed, None, None),
        None => Outcome::Complete(answer.tags.pop().unwrap_or_default()),
    })
}

pub(super) enum Considered {
    Judged(Box<Case>),
    /// The server or the directive reader has spoken already.
    Over(Outcome),
    /// As sent, and nothing to say.
    Forward,
}

pub(super) async fn consider(
    desk: &mut Desk<'_>,
    script: &Script,
    standing: Standing,
) -> Result<Considered, Lost> {
    if let Some(error) = misnamed_setting(script, desk.policy) {
        fail::transaction(desk.link).await?;
        return Ok(Considered::Over(Outcome::own_error(&error)));
    }
    let Surroundings { live, place, .. } = desk.surroundings;
    note_made(live, &place.database, script);
    if script.statements.iter().any(|it| matches!(it.kind, Kind::Setting(Change::Ours(_) | Change::All))) {
        desk.link.directives = Directives::Changing;
    }
    let calls = desk.lockers.called_in(script.text.as_bytes());
    let ordinary = script
        .statements
        .iter()
        .all(|statement| matches!(statement.kind, Kind::Setting(_)) || statement.is_ordinary());
    if ordinary && calls == Calls::Nothing {
        return Ok(Considered::Forward);
    }
    if locks_before_its_snapshot(desk.link, script).await? {
        let nothing_asked = Facts { offline: true, ..Facts::default() };
        let moment = Moment::after(standing, &desk.link.tracker.past()).under(in_force(desk));
        let judgement = judge::decide(script, &nothing_asked, &moment, desk.policy);
        if let Some(outcome) = held::refused_at_once(desk.link, &judgement).await? {
            return Ok(Considered::Over(outcome));
        }
        desk.link.tracker.remember(judgement.past);
        return Ok(Considered::Forward);
    }
    let looked = if ordinary || is_call(script) {
        settings_of_calls(desk, script).await?
    } else {
        catalogue::look_up(desk.link, &effects::need(script)).await?
    };
    let (session, facts) = match looked {
        Looked::Known(session, facts) => (session, Facts { calls, ..facts }),
        Looked::Stopped(failed) => return Ok(Considered::Over(Outcome::server_error(&failed, None, None))),
    };
    let policy = match merged(desk.policy, &session) {
        Ok(policy) => policy,
        Err(error) => {
            fail::transaction(desk.link).await?;
            return Ok(Considered::Over(Outcome::own_error(&error)));
        }
    };
    let moment = Moment::after(standing, &desk.link.tracker.past()).under(in_force(desk));
    let judgement = judge::decide(script, &facts, &moment, &policy);
    let policy = judge::policy_for(script, &policy);
    Ok(Considered::Judged(Box::new(Case { session, policy, judgement })))
}

/// Whether it is nothing but a call of a procedure, or a block with one, which ends transactions where it may.
fn is_call(script: &Script) -> bool {
    matches!(script.statements.as_slice(), [statement] if statement.kind == Kind::Opaque(Opaque::Call))
}

/// The settings that bear on calls of functions and procedures, which are frequent. In a transaction or batch, where a call is made
/// once whatever they say of waiting, they are asked for once in a session, unless it changes them; and never in the batch of a
/// procedure, which since 18 could end no transaction behind a question of ours.
async fn settings_of_calls(desk: &mut Desk<'_>, script: &Script) -> Result<Looked, Lost> {
    let open = desk.link.batch == Batch::Clients;
    if open || desk.link.tracker.status() == Status::InTransaction {
        let known = match &desk.link.directives {
            Directives::Known(known) => Some(known.to_vec()),
            // What stands before a call in one message may have to be the first of its transaction.
            Directives::Unasked if script.statements.len() > 1 => Some(Vec::new()),
            Directives::Unasked | Directives::Changing => (open && is_call(script)).then(Vec::new),
        };
        if let Some(directives) = known {
            let settings = SessionSettings { directives, ..SessionSettings::default() };
            return Ok(Looked::Known(settings, Facts::default()));
        }
    }
    let looked = catalogue::settings(desk.link).await?;
    if let (Looked::Known(settings, _), Directives::Unasked) = (&looked, &desk.link.directives) {
        desk.link.directives = Directives::Known(settings.directives.clone().into());
    }
    Ok(looked)
}

/// Peak hours and freezes, for a session of this mode: that of the configuration, since nobody gets round them by a setting.
fn in_force(desk: &Desk<'_>) -> InForce {
    desk.surroundings.live.gate().in_force(clock::wall(), desk.policy.mode)
}

/// The configured policy with the session's own settings on top.
///
/// A setting that came by start-up options or ALTER ROLE is checked nowhere else.
fn merged(policy: &Policy, session: &SessionSettings) -> Result<Policy, Notice> {
    let checked =
        session.directives.iter().map(|(name, value)| judge::setting::check_for(policy, name, value));
    Ok(policy.with(&checked.collect::<Result<Vec<judge::Setting>, Notice>>()?))
}

/// The policy that holds for the session at this moment; without what it has set wrongly.
pub(super) async fn policy_now(desk: &mut Desk<'_>) -> Result<Policy, Lost> {
    Ok(match catalogue::look_up(desk.link, &effects::Need::default()).await? {
        Looked::Known(session, _) => merged(desk.policy, &session).unwrap_or_else(|_| desk.policy.clone()),
        Looked::Stopped(_) => desk.policy.clone(),
    })
}

/// Whether a LOCK TABLE is the way to lock before the transaction takes its snapshot, as the manual's "Enforcing
/// Consistency with Explicit Blocking Locks" has it: a question of ours to the catalogue would take the snapshot first.
/// `SHOW` takes none.
async fn locks_before_its_snapshot(link: &mut Link, script: &Script) -> Result<bool, Lost> {
    let locks = script.statements.iter().any(|statement| matches!(statement.kind, Kind::Lock { .. }));
    if !locks || link.tracker.status() != Status::InTransaction {
        return Ok(false);
    }
    let answer = Call::run(link, &[Item::ours("SHOW transaction_isolation")]).await?;
    let level = answer.row(0).and_then(|row| row.first().cloned().flatten()).unwrap_or_default();
    Ok(matches!(level.as_str(), "repeatable read" | "serializable"))
}

/// What is wrong with a `SET lockkeeper.<name>`: Postgres itself takes any name and any value.
fn misnamed_setting(script: &Script, policy: &Policy) -> Option<Notice> {
    script.statements.iter().find_map(|statement| match &statement.kind {
        Kind::Setting(Change::Ours(OurSetting { name, value: Some(value), .. })) => {
            judge::setting::check_for(policy, name, value).err()
        }
        _ => None,
    })
}

/// Whether a message must go to the server as it is: its statements share one transaction, or it may return rows.
fn must_stay_whole(script: &Script) -> bool {
    let may_return_rows = |statement: &Statement| {
        matches!(statement.kind, Kind::Opaque(Opaque::Call | Opaque::Extension | Opaque::Unread))
    };
    script.statements.len() > 1 || script.statements.iter().any(may_return_rows)
}
