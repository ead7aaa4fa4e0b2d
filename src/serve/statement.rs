//! One statement, judged, and its decision carried out in its place.

use crate::event::{Judged, Overridden, clock};
use crate::execute::catalogue;
use crate::execute::guard::Work;
use crate::execute::outcome::Outcome;
use crate::execute::queue::{self, Turn};
use crate::execute::tell::tell;
use crate::execute::{
    Rows, Run, as_sent, cancelled, defer, fail, guard, message, plan, script, summary, trial,
};
use crate::hazard::different_index;
use crate::judge::{self, Curbed, Decision, Judgement, Standing, bulk};
use crate::live::ledger::State;
use crate::session::repeat::Unfit;
use crate::sql::statement::{Opaque, Place, Readable, Statement};
use crate::sql::{self, Kind, Script};
use crate::upstream::link::{Batch, Link, Lost};
use crate::wire::server::Status;

use super::consider::{Case, Considered, consider};
use super::engage::{Desk, Sent, Way, drop_held, end_batch, finish, standing, take_held};
use super::held::{self, Entry};
use super::{apart, lease, portal, queued, resumed};

/// Judges a statement and carries the decision out.
pub(super) async fn look_after(desk: &mut Desk<'_>, sent: Sent<'_>) -> Result<(), Lost> {
    if sent.way == Way::Simple && desk.link.tracker.ran_in_batch() {
        catalogue::refresh_reading(desk.link).await?;
    }
    let script = sql::parse(sent.text, desk.link.tracker.reading().dialect());
    match run_held(desk, &script, sent, Answer::Relayed).await? {
        Ended::Sent => Ok(()),
        Ended::With(outcome) => finish(desk.link, sent.way, outcome).await,
    }
}

/// Who hands the server's answer to a statement that is sent on as it is to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The relay, whenever it comes.
    Relayed,
    /// Whoever sends it, since more has to be done before the client's message is answered.
    Awaited,
}

/// How looking after a statement has ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// It was sent on as it is; its answer is on its way.
    Sent,
    /// The client is to have this.
    With(Outcome),
}

/// Judges the statement at the front of `link.held` and carries the decision out; afterwards it is gone from there.
pub(super) async fn run_held(
    desk: &mut Desk<'_>,
    script: &Script,
    sent: Sent<'_>,
    answer: Answer,
) -> Result<Ended, Lost> {
    if let Some(outcome) = Box::pin(queued::look_after(desk, script, sent)).await? {
        let frame = take_held(desk.link, sent.total);
        match outcome {
            Outcome::Failed(_) => desk.link.tracker.lose_journal(Unfit::Answered),
            _ => desk.link.tracker.ran(&frame),
        }
        return Ok(Ended::With(outcome));
    }
    if desk.link.tracker.status() == Status::Failed {
        return forward(desk.link, sent.total, answer).await;
    }
    if desk.link.tracker.deferred().is_some() && !is_one(script) {
        let policy = judge::policy_for(script, desk.policy);
        return Ok(Ended::With(Box::pin(apart::run(desk, &policy, script, sent)).await?));
    }
    let way = way_of(desk.link, script, sent);
    let standing = stands(desk.link, script, (sent, way)).await;
    let in_batch = sent.way != Way::Simple || desk.link.tracker.ran_in_batch();
    if in_batch && desk.link.tracker.status() == Status::Idle {
        desk.link.batch = Batch::Clients;
    }
    if is_first_lock(desk.link, script, sent) {
        return forward(desk.link, sent.total, answer).await;
    }
    if let Some(outcome) = Box::pin(resumed::look_after(desk, script, (sent, standing))).await? {
        drop_held(desk.link, sent.total);
        return Ok(Ended::With(outcome));
    }
    let considered = consider(desk, script, (standing, sent.portal)).await?;
    let (considered, entry) = held::settle(desk, considered, (script, sent, standing)).await?;
    let case = match considered {
        Considered::Judged(case) => *case,
        Considered::Over(outcome) => {
            drop_held(desk.link, sent.total);
            return Ok(Ended::With(entry.close_early(outcome)));
        }
        Considered::Forward => {
            entry.end(State::Passed);
            return forward(desk.link, sent.total, answer).await;
        }
    };
    if case.judgement.decision == Decision::Apart {
        entry.end(State::Passed);
        let policy = case.policy;
        return Ok(Ended::With(Box::pin(apart::run(desk, &policy, script, sent)).await?));
    }
    let fixed = case.fixed.clone();
    let (script, sent) = match fixed.as_deref() {
        // What takes its place means what it meant when it came.
        Some(fixed) => (fixed, Sent { text: fixed.text.as_bytes(), ..sent }),
        None => (script, sent),
    };
    let sent = if matches!(case.judgement.decision, Decision::Run(_)) { Sent { way, ..sent } } else { sent };
    Box::pin(act(desk, case, entry, (script, sent, standing, answer))).await
}

/// Where it stands as far as transactions go.
async fn stands(link: &mut Link, script: &Script, (sent, way): (Sent<'_>, Way)) -> Standing {
    match standing(link, way, sent.total).await {
        // It commits by itself, and what follows in its batch is a transaction of its own.
        Standing::Implicit
            if sent.way == Way::Extended && !link.tracker.ran_in_batch() && is_outside_only(script) =>
        {
            Standing::Outside
        }
        standing => standing,
    }
}

/// The way of an answer: rows that are written in batches are handed out by us.
fn way_of(link: &Link, script: &Script, sent: Sent<'_>) -> Way {
    let may_be_cut = bulk::may_write_many(script) || bulk::executes(script);
    let cut = may_be_cut && sent.way == Way::ExtendedRows && takes_all_rows(link, sent);
    if cut { Way::Extended } else { sent.way }
}

/// Whether a LOCK TABLE is the first of a batch without a block, where the server refuses it: behind questions of ours it would not.
fn is_first_lock(link: &Link, script: &Script, sent: Sent<'_>) -> bool {
    let first = link.tracker.status() == Status::Idle && !link.tracker.ran_in_batch();
    let locks = matches!(script.statements.as_slice(), [Statement { kind: Kind::Lock { .. }, .. }]);
    sent.way == Way::Extended && first && locks
}

/// Whether an Execute asks for all rows at once.
fn takes_all_rows(link: &Link, sent: Sent<'_>) -> bool {
    let limit = sent.total.checked_sub(size_of::<u32>()).and_then(|at| link.held.get(at..sent.total));
    limit.is_some_and(|limit| limit == [0; 4])
}

/// Does what was decided.
async fn act(
    desk: &mut Desk<'_>,
    case: Case,
    mut entry: Entry<'_>,
    (script, sent, standing, answer): (&Script, Sent<'_>, Standing, Answer),
) -> Result<Ended, Lost> {
    announce(desk, &case.judgement).await;
    let in_batch = sent.way != Way::Simple || desk.link.tracker.ran_in_batch();
    let past = case.judgement.past.clone();
    let watched = case.is_watched();
    let whole = watched && !entry.batch_ended;
    let own_batch = sent.way == Way::Extended && standing == Standing::Outside && !whole;
    // Behind questions of ours in one batch, which the server takes for a block, it would not be refused.
    let locks = script.statements.iter().any(|statement| matches!(statement.kind, Kind::Lock { .. }));
    let alone_only = locks || is_outside_only(script);
    let mut batch_ended = entry.batch_ended;
    if own_batch && !batch_ended && queue::is_busy(&run(desk, &case, &entry), case.judgement.apart.clone()) {
        end_batch(desk.link).await?;
        batch_ended = true;
    }
    let _permit = match held::turn(desk, &case, &mut entry).await? {
        Turn::Come(permit) => permit,
        Turn::Ended(outcome) => {
            let outcome = entry.close(outcome);
            drop_held(desk.link, sent.total);
            return Ok(Ended::With(outcome));
        }
    };
    if case.judgement.decision == Decision::Forward && !(own_batch && alone_only) && !batch_ended {
        entry.end(State::Passed);
        desk.link.tracker.remember(past);
        return forward(desk.link, sent.total, answer).await;
    }
    if own_batch && !batch_ended {
        end_batch(desk.link).await?;
    }
    let frame = take_held(desk.link, sent.total);
    let work = match sent.way {
        Way::ExtendedRows => Work::Portal(&frame),
        Way::Extended if watched && !own_batch => Work::Portal(&frame),
        Way::Simple if watched && !copies_alone(&case, script) || must_stay_whole(script) || in_batch => {
            Work::Message(&frame)
        }
        Way::Simple | Way::Extended => Work::Statement(sent.text),
    };
    if let (Way::Simple, Work::Statement(_)) = (sent.way, work) {
        portal::give_way(desk.link).await?;
    }
    let outcome = carry_out(desk, &case, &entry, (work, script)).await?;
    if matches!(outcome, Outcome::Failed(_)) {
        desk.link.tracker.lose_journal(Unfit::Answered);
    } else {
        desk.link.tracker.remember(past);
        match &case.judgement.decision {
            // It was never sent.
            Decision::Defer(deferral) if deferral.now.is_empty() => desk.link.tracker.answered_apart(),
            // Its steps are noted one by one.
            Decision::Defer(_) => {}
            _ => desk.link.tracker.ran(&frame),
        }
        lease::begin(desk, &case);
    }
    Ok(Ended::With(entry.close(outcome)))
}

/// What carrying a decision out may use.
pub(super) fn run<'a>(desk: &'a mut Desk<'_>, case: &'a Case, entry: &'a Entry<'_>) -> Run<'a> {
    Run {
        link: desk.link,
        session: &case.session,
        policy: &case.policy,
        surroundings: desk.surroundings,
        record: &entry.record,
        rows: case.formats.as_deref().map_or(Rows::Described, Rows::Known),
    }
}

async fn carry_out(
    desk: &mut Desk<'_>,
    case: &Case,
    entry: &Entry<'_>,
    (work, script): (Work<'_>, &Script),
) -> Result<Outcome, Lost> {
    let notices = &case.judgement.notices;
    let mut run = run(desk, case, entry);
    match &case.judgement.decision {
        // What is apart has not come here.
        Decision::Forward | Decision::Apart => as_sent(run.link, script.text.as_bytes()).await,
        Decision::Guard(guard) if !case.is_watched() && script::is_file(run.link, script, work) => {
            script::run(&mut run, script, guard).await
        }
        Decision::Guard(guard) => {
            let began = clock::Moment::now();
            let outcome = guard::run(&mut run, work, guard).await?;
            let done = match (&outcome, work) {
                (Outcome::Complete(_), _) => true,
                (Outcome::Answered, Work::Portal(_)) => !run.link.tracker.expected.is_skipping(),
                // Its client has heard how a message has ended.
                _ => false,
            };
            if case.writes_many && done && !notices.is_empty() {
                let tag = script.statements.first().map_or("", |statement| statement.tag);
                let notice = summary::of_whole(&run, tag, began.elapsed());
                tell(run.link, &[notice]).await;
            }
            Ok(outcome)
        }
        Decision::Run(plan) => {
            let began = clock::Moment::now();
            let another = plan.steps.is_empty() && case.judgement.hazards.contains(&different_index::ID);
            if let Some(refused) = trial::of_whole(&mut run, script, another).await? {
                return Ok(refused);
            }
            tell(run.link, notices).await;
            let outcome = plan::run(&mut run, plan).await?;
            // What was sent in the very form that is run is not remarked upon.
            let told = !notices.is_empty() && !plan.steps.is_empty();
            if told && matches!(outcome, Outcome::Complete(_)) {
                let notice = summary::of(&run, plan, began.elapsed());
                tell(run.link, &[notice]).await;
            }
            Ok(outcome)
        }
        Decision::Defer(deferral) => defer::run(&mut run, (deferral, notices), script.text.as_bytes()).await,
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

/// Whether a message is one statement that writes many rows as sent, and brings none.
fn copies_alone(case: &Case, script: &Script) -> bool {
    let brings_rows = script.text.as_bytes().to_ascii_lowercase().windows(9).any(|word| word == b"returning");
    case.writes_many && script.statements.len() == 1 && !brings_rows
}

/// Sends the held statement on as it is.
async fn forward(link: &mut Link, total: usize, answer: Answer) -> Result<Ended, Lost> {
    link.batch = Batch::None;
    match answer {
        Answer::Relayed => {
            link.forward_held(total).await;
            Ok(Ended::Sent)
        }
        Answer::Awaited => {
            let rest = link.held.split_off(total.min(link.held.len()));
            let frame = std::mem::replace(&mut link.held, rest);
            link.tracker.runs(&frame);
            Ok(Ended::With(match message::pass(link, &frame).await? {
                message::Passed::Done => {
                    link.tracker.ran(&frame);
                    Outcome::Answered
                }
                // The client has heard why.
                message::Passed::Failed => {
                    link.tracker.lose_journal(Unfit::Answered);
                    Outcome::Failed(Vec::new())
                }
            }))
        }
    }
}

/// Whether a message is one statement that can be read: behind what is queued nothing else is sent on, which may hold the COMMIT.
fn is_one(script: &Script) -> bool {
    script.statements.len() <= 1 && script.readable == Readable::Whole
}

/// Judges a statement outside any transaction and runs it, as if the client had sent it.
pub(super) async fn run_alone(desk: &mut Desk<'_>, sql: &[u8]) -> Result<Outcome, Lost> {
    if desk.surroundings.take_cancel() {
        // It came while nothing ran that it could have ended.
        return Ok(Outcome::own_error(&cancelled()));
    }
    let script = sql::parse(sql, desk.link.tracker.reading().dialect());
    let sent = Sent::query(sql, 0);
    let considered = consider(desk, &script, (Standing::Outside, b"")).await?;
    let (considered, mut entry) = held::settle(desk, considered, (&script, sent, Standing::Outside)).await?;
    let case = match considered {
        Considered::Judged(case) => *case,
        Considered::Over(outcome) => {
            entry.end(State::Failed);
            return Ok(outcome);
        }
        Considered::Forward => {
            entry.end(State::Passed);
            return as_sent(desk.link, sql).await;
        }
    };
    announce(desk, &case.judgement).await;
    let _permit = match held::turn(desk, &case, &mut entry).await? {
        Turn::Come(permit) => permit,
        Turn::Ended(outcome) => return Ok(entry.close(outcome)),
    };
    let outcome = Box::pin(carry_out(desk, &case, &entry, (Work::Statement(sql), &script))).await?;
    Ok(entry.close(outcome))
}

/// Tells the log and the client what was found; of what is tried first the client hears only when it is taken.
async fn announce(desk: &mut Desk<'_>, judgement: &Judgement) {
    log(desk, judgement);
    if !matches!(judgement.decision, Decision::Run(_) | Decision::Defer(_)) {
        tell(desk.link, &judgement.notices).await;
    }
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

/// Whether the server takes a message outside a transaction only.
fn is_outside_only(script: &Script) -> bool {
    script.statements.iter().any(|statement| statement.place == Place::OutsideOnly)
}

/// Whether a message must go to the server as it is: its statements share one transaction, or it may return rows.
fn must_stay_whole(script: &Script) -> bool {
    let may_return_rows = |statement: &Statement| {
        matches!(statement.kind, Kind::Opaque(Opaque::Call | Opaque::Extension | Opaque::Unread))
    };
    script.statements.len() > 1 || script.statements.iter().any(may_return_rows)
}
