//! A message judged: by its text, the session's settings, and what the catalogue says of what it names.

use crate::base::Notice;
use crate::effects::{self, facts::Facts};
use crate::event::clock;
use crate::execute::catalogue::{self, Looked, SessionSettings};
use crate::execute::outcome::Outcome;
use crate::execute::{Surroundings, fail};
use crate::judge::{self, Decision, Judgement, Moment, Policy, Standing, Waits, bulk};
use crate::peak::InForce;
use crate::session::deferred::Queue;
use crate::sql::shape::{Known, names_search_path};
use crate::sql::statement::{Opaque, OurSetting, Setting as Change};
use crate::sql::{Calls, Kind, Script};
use crate::upstream::Directives;
use crate::upstream::call::{Call, Item};
use crate::upstream::link::{Batch, Link, Lost};
use crate::wire::server::Status;

use super::engage::Desk;
use super::lockers::note_made;
use super::rows::{self, Rows};
use super::{executed, held, lease, queued};

/// A statement that has been judged, with what the judgement stands on.
pub(super) struct Case {
    pub(super) session: SessionSettings,
    pub(super) policy: Policy,
    pub(super) judgement: Judgement,
    /// The message with what it means at this moment, where its own text would mean something else later.
    pub(super) fixed: Option<Box<Script>>,
    /// It writes many rows, as the planner sees it.
    pub(super) writes_many: bool,
    /// How the client wants its rows, where it has said so.
    pub(super) formats: Option<Vec<u8>>,
}

impl Case {
    /// It runs under the client's own settings.
    pub(super) fn is_watched(&self) -> bool {
        matches!(&self.judgement.decision, Decision::Guard(guard) if guard.waits == Waits::AsSent)
    }
}

/// What looking at a message has come to.
pub(super) enum Considered {
    Judged(Box<Case>),
    /// The server or the directive reader has spoken already.
    Over(Outcome),
    /// As sent, and nothing to say.
    Forward,
}

/// Judges a message where it stands.
pub(super) async fn consider(
    desk: &mut Desk<'_>,
    script: &Script,
    (standing, portal): (Standing, &[u8]),
) -> Result<Considered, Lost> {
    if let Some(error) = misnamed_setting(script, desk.policy) {
        fail::transaction(desk.link).await?;
        return Ok(Considered::Over(Outcome::own_error(&error)));
    }
    note_what_changes(desk, script);
    let calls = desk.lockers.called_in(script.text.as_bytes());
    let ordinary = script
        .statements
        .iter()
        .all(|statement| matches!(statement.kind, Kind::Setting(_)) || statement.is_ordinary());
    let writes = ordinary && bulk::may_write_many(script);
    if ordinary && calls == Calls::Nothing {
        if !writes {
            writes_nothing(desk, script);
        }
        match queued::bearing(desk.link, script).await? {
            queued::Bearing::None if !writes => {
                return executed::consider(desk, script, (standing, portal)).await;
            }
            queued::Bearing::Refused(outcome) => return Ok(Considered::Over(outcome)),
            queued::Bearing::None | queued::Bearing::Judged => {}
        }
    }
    if let Some(considered) = before_its_snapshot(desk, script, standing).await? {
        return Ok(considered);
    }
    let queued = desk.link.tracker.deferred().is_some();
    let passes_if_few = writes && calls == Calls::Nothing && !queued;
    let need = effects::need(script);
    let looked = if passes_if_few {
        Box::pin(lease::asked(desk, async |link| catalogue::targets(link, &need).await)).await?
    } else if ordinary && !writes && calls != Calls::Nothing || is_call(script) {
        Ok(settings_of_calls(desk, script).await?)
    } else {
        Box::pin(lease::asked(desk, async |link| catalogue::look_up(link, &need).await)).await?
    };
    let (session, facts) = match looked {
        Err(outcome) => return Ok(Considered::Over(outcome)),
        Ok(Looked::Known(session, facts)) => (session, Facts { calls, ..facts }),
        Ok(Looked::Stopped(failed)) => {
            return Ok(Considered::Over(Outcome::server_error(&failed, None, None)));
        }
    };
    let policy = match merged(desk.policy, &session) {
        Ok(policy) => policy,
        Err(error) => {
            fail::transaction(desk.link).await?;
            return Ok(Considered::Over(Outcome::own_error(&error)));
        }
    };
    let rows = match rows::look(desk, script, (&policy, (session, facts)), portal).await? {
        Ok(rows) => rows,
        Err(outcome) => return Ok(Considered::Over(outcome)),
    };
    if passes_if_few && rows.are_few() {
        return Ok(Considered::Forward);
    }
    judged(desk, (script, standing), policy, rows).await
}

/// Notes what a message makes or sets that bears on what comes later.
fn note_what_changes(desk: &mut Desk<'_>, script: &Script) {
    let Surroundings { live, place, .. } = desk.surroundings;
    note_made(live, &place.database, script);
    for statement in &script.statements {
        match &statement.kind {
            Kind::Setting(Change::Ours(ours)) => desk.shaped.sets(script.text.as_bytes(), !ours.local),
            Kind::Setting(Change::All) => desk.shaped.resets(),
            _ => continue,
        }
        desk.link.directives = Directives::Changing;
    }
    // What the eye has passed over.
    let open = desk.link.tracker.status() != Status::Idle;
    if names_search_path(script.text.as_bytes()) && (open || desk.link.tracker.deferred().is_some()) {
        desk.shaped.moves(script.text.as_bytes(), false);
    }
}

/// Remembers that a message of ordinary statements writes no rows by itself.
fn writes_nothing(desk: &Desk<'_>, script: &Script) {
    if bulk::prepares_many(script) {
        desk.shaped.prepares();
    } else if !bulk::executes(script) {
        desk.shaped.learn(script.text.as_bytes(), desk.link.tracker.reading(), Known::One);
    }
}

/// The judgement, given all that is known.
async fn judged(
    desk: &mut Desk<'_>,
    (script, standing): (&Script, Standing),
    policy: Policy,
    Rows { session, facts, fixed, formats }: Rows,
) -> Result<Considered, Lost> {
    let script = fixed.as_deref().unwrap_or(script);
    let pending = desk.link.tracker.deferred().map(Queue::pending).unwrap_or_default();
    let moment = Moment::after(standing, &desk.link.tracker.past()).behind(pending).under(in_force(desk));
    let judgement = judge::decide(script, &facts, &moment, &policy);
    let policy = judge::policy_for(script, &policy);
    let writes_many = facts.estimates.iter().any(|it| it.many) && !judgement.hazards.is_empty();
    if let Some(outcome) = rows::would_begin_anew(desk, script, &judgement.decision).await? {
        return Ok(Considered::Over(outcome));
    }
    Ok(Considered::Judged(Box::new(Case { session, policy, judgement, fixed, writes_many, formats })))
}

/// What becomes of a LOCK TABLE that is to come before its transaction's snapshot; `None` where the message is none.
async fn before_its_snapshot(
    desk: &mut Desk<'_>,
    script: &Script,
    standing: Standing,
) -> Result<Option<Considered>, Lost> {
    if !locks_before_its_snapshot(desk.link, script).await? {
        return Ok(None);
    }
    let nothing_asked = Facts { offline: true, ..Facts::default() };
    let moment = Moment::after(standing, &desk.link.tracker.past()).under(in_force(desk));
    let judgement = judge::decide(script, &nothing_asked, &moment, desk.policy);
    if let Some(outcome) = held::refused_at_once(desk.link, &judgement).await? {
        return Ok(Some(Considered::Over(outcome)));
    }
    desk.link.tracker.remember(judgement.past);
    Ok(Some(Considered::Forward))
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
pub(super) fn merged(policy: &Policy, session: &SessionSettings) -> Result<Policy, Notice> {
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
