//! What a policy that enforces makes of what was found.

use super::decide::{Case, Found, Seen, Stands};
use super::decision::{Decision, Guard, Judgement, Waits};
use super::defer::Elsewhere;
use super::depend::Dependence;
use super::{Retry, as_sent, explain, retry, together, unless_exists};
use crate::base::{Notice, RelationName, SqlState};
use crate::effects::Past;
use crate::effects::facts::Oid;
use crate::hazard::{
    Finding, Remedy, bulk_write, create_index_blocking, different_index, opaque_ddl, several_alters,
    validate_under_lock, work_under_strong_lock, write_without_where,
};
use crate::plan::{Deferral, Plan, Target};
use crate::sql::Calls;
use crate::sql::statement::{Kind, Opaque};

/// What long work does in its transaction, which is untrue of what is done behind that.
const IN_THE_TRANSACTION: [&str; 3] =
    [work_under_strong_lock::ID, several_alters::ID, validate_under_lock::ID];

/// What the findings come to so far.
#[expect(clippy::struct_excessive_bools, reason = "one is asked of the message, the other found on the way")]
struct Weighed {
    /// The message may lock something strongly.
    may_lock: bool,
    /// It has to be guarded.
    guarded: bool,
    chosen: Option<Plan>,
    /// The plan that is divided, what it is called, and why.
    queued: Option<(Plan, &'static str, Finding)>,
    /// What is told, each by the hazard that it is about.
    notices: Vec<(&'static str, Notice)>,
}

impl Weighed {
    const fn new(may_lock: bool) -> Self {
        Self { may_lock, guarded: false, chosen: None, queued: None, notices: Vec::new() }
    }

    /// What is told, but for what is about these hazards.
    fn told(&mut self, but: &'static [&'static str]) -> impl Iterator<Item = Notice> {
        let notices = std::mem::take(&mut self.notices).into_iter();
        notices.filter(|(hazard, _)| !but.contains(hazard)).map(|(_, notice)| notice)
    }
}

/// Its statements one after the other, each as a message of its own.
fn apart(judgement: Judgement) -> Judgement {
    Judgement { decision: Decision::Apart, notices: Vec::new(), ..judgement }
}

fn refused(judgement: Judgement, why: Notice) -> Judgement {
    Judgement { decision: Decision::Refuse(why), ..judgement }
}

fn named_alike(name: &str) -> Notice {
    let message = format!(
        "the name {name:?}, which Postgres would pick, is that of something queued in this transaction"
    );
    Notice::error(SqlState::FEATURE_NOT_SUPPORTED, message)
        .hint("Give the constraint a name: ADD CONSTRAINT <name> ..")
}

/// Why a message of several statements is refused behind what is queued.
pub fn inseparable() -> Notice {
    let message =
        "a message of several statements cannot be looked at one by one behind work that is deferred";
    Notice::error(SqlState::FEATURE_NOT_SUPPORTED, message)
        .detail("It holds too many, or what cannot be read.")
        .hint("Send its statements one by one, or COMMIT before it.")
}

impl Case<'_> {
    pub(super) fn observe(&self, found: &[Found], mut judgement: Judgement) -> Judgement {
        let not_allowed = found.iter().filter(|it| self.policy.allowance(it.finding.hazard).is_none());
        judgement.notices.extend(
            not_allowed.filter_map(|it| explain::observed(it.tag, &it.finding, it.standing == Stands::Alone)),
        );
        judgement
    }

    pub(super) fn enforce(&self, seen: Seen, before: &Past, mut judgement: Judgement) -> Judgement {
        if let Some((plan, notice)) = self.unless_exists() {
            return self.over_existing(plan, notice, &seen.found, judgement);
        }
        if let Some(name) = self.is_queued_unless_exists() {
            let nothing = Deferral { now: Vec::new(), later: Vec::new(), tag: "CREATE INDEX" };
            judgement.notices.push(explain::there(&name));
            let decision = Decision::Defer(Box::new(nothing));
            return Judgement { decision, past: before.clone(), ..judgement };
        }
        let mut weighed = Weighed::new(self.may_lock(&seen));
        let Seen { found, targets, exposed, apart: beside, dependence, touched, .. } = seen;
        for found in &found {
            match self.weigh(found, &mut weighed) {
                None => {}
                Some(Decision::Apart) => return apart(judgement),
                Some(decision) => {
                    judgement.notices.extend(weighed.told(&[]));
                    return Judgement { decision, ..judgement };
                }
            }
        }
        let later = weighed.queued.is_some() || dependence == Dependence::Behind;
        judgement.notices.extend(weighed.told(if later { &IN_THE_TRANSACTION } else { &[] }));
        match (dependence, weighed.queued) {
            (Dependence::Refused(refusal), _) => return refused(judgement, *refusal),
            (Dependence::Behind, _) => {
                judgement.past = before.clone();
                judgement.notices.push(explain::behind(self.tag()));
                return self.deferred(None, touched, judgement);
            }
            (Dependence::None, Some((plan, form, finding))) => {
                return self.deferred_plan((&plan, form, &finding), touched, before, judgement);
            }
            (Dependence::None, None) => {}
        }
        let watched = self.watched();
        if watched.is_some() {
            // What it has locked is locked until the transaction ends.
            judgement.past.hold_beyond();
        }
        judgement.decision = match weighed.chosen {
            Some(plan) => Decision::Run(plan),
            None if weighed.guarded => self.guarded(targets),
            None => {
                self.as_sent(exposed > 0).or(watched).or(self.copying(&found)).unwrap_or(Decision::Forward)
            }
        };
        if !matches!(judgement.decision, Decision::Run(_)) {
            judgement.apart = beside;
        }
        judgement
    }

    /// What one finding comes to; a decision where it needs no others.
    fn weigh(&self, found: &Found, so_far: &mut Weighed) -> Option<Decision> {
        let Found { tag, standing, ref finding } = *found;
        let alone = standing == Stands::Alone;
        if let Some(allowance) = self.policy.allowance(finding.hazard) {
            let steps = finding.once_passed.as_ref().filter(|_| alone && so_far.chosen.is_none());
            let form = steps.map(|(_, form)| *form);
            so_far.notices.push((finding.hazard, explain::allowed((tag, form), finding, allowance)));
            so_far.chosen = steps.map(|(plan, _)| plan.clone()).or(so_far.chosen.take());
            return None;
        }
        if !alone && (finding.elsewhere.is_some() || matches!(finding.remedy, Remedy::Plan { .. })) {
            match self.elsewhere(found) {
                Elsewhere::Told(told) => {
                    so_far.guarded |= finding.remedy != Remedy::Record;
                    so_far.notices.extend(told.map(|told| (finding.hazard, told)));
                }
                Elsewhere::Queued(plan, form) => {
                    so_far.queued.get_or_insert_with(|| (plan, form, finding.clone()));
                }
                Elsewhere::Apart => return Some(Decision::Apart),
                Elsewhere::Refused(refusal) => return Some(Decision::Refuse(refusal)),
            }
            return None;
        }
        match finding.remedy {
            Remedy::Plan { ref plan, form } => {
                if so_far.chosen.is_none() {
                    so_far.notices.push((finding.hazard, explain::replaced(tag, form, finding)));
                    so_far.chosen = Some(plan.clone());
                }
            }
            Remedy::Refuse(ref refusal) => {
                return Some(Decision::Refuse(explain::with_way_out(refusal.clone(), finding)));
            }
            Remedy::Ladder { .. } if standing == Stands::Among && self.is_seen_alone(finding) => {
                return Some(Decision::Apart);
            }
            Remedy::Ladder { ref warning } => {
                so_far.guarded |= so_far.may_lock;
                let told = warning.clone().map(|warning| explain::with_way_out(warning, finding));
                so_far.notices.extend(told.map(|told| (finding.hazard, told)));
            }
            Remedy::Record => {}
        }
        None
    }

    fn guarded(&self, targets: Vec<Target>) -> Decision {
        let first = together::first(self.script, self.facts, &targets);
        let retry = retry::of(self.transaction, self.script, self.facts);
        Decision::Guard(Guard { targets, retry, waits: Waits::Briefly, first })
    }

    fn deferred_plan(
        &self,
        (plan, form, finding): (&Plan, &str, &Finding),
        touched: Vec<(RelationName, Option<Oid>)>,
        before: &Past,
        judgement: Judgement,
    ) -> Judgement {
        let mut judgement = self.deferred(Some(plan), touched, judgement);
        let Decision::Defer(deferral) = &judgement.decision else { return judgement };
        if let Some(name) = self.is_queued_already(deferral) {
            return refused(judgement, named_alike(&name));
        }
        if deferral.now.is_empty() {
            // What it would lock is not locked.
            judgement.past = before.clone();
        }
        judgement.notices.push(explain::deferred((self.tag(), form), finding, deferral));
        judgement
    }

    /// What becomes of an index that is made unless it exists, where it does.
    fn unless_exists(&self) -> Option<(Plan, Notice)> {
        let [statement] = self.script.statements.as_slice() else { return None };
        let allowed = self.policy.allowance(create_index_blocking::ID).is_some();
        unless_exists::plan(self.script, statement, self.facts).filter(|_| self.is_alone() && !allowed)
    }

    /// The index is there; whether it is another one than asked for is for its own hazard to say.
    fn over_existing(
        &self,
        plan: Plan,
        notice: Notice,
        found: &[Found],
        mut judgement: Judgement,
    ) -> Judgement {
        judgement.decision = Decision::Run(plan);
        judgement.notices.push(notice);
        let Some(Found { tag, finding, .. }) =
            found.iter().find(|found| found.finding.hazard == different_index::ID)
        else {
            return judgement;
        };
        match (&finding.remedy, self.policy.allowance(different_index::ID)) {
            (_, Some(allowance)) => {
                judgement.notices.push(explain::allowed((tag, None), finding, allowance));
            }
            (Remedy::Refuse(refusal), None) => {
                let refusal = explain::with_way_out(refusal.clone(), finding);
                judgement.notices.clear();
                judgement.decision = Decision::Refuse(refusal);
            }
            (Remedy::Ladder { warning: Some(warning) }, None) => {
                judgement.notices.push(explain::with_way_out(warning.clone(), finding));
            }
            _ => {}
        }
        judgement
    }

    /// What functions and procedures do shows when they do it: most of it is ordinary work.
    fn watched(&self) -> Option<Decision> {
        let call = self.script.statements.iter().any(|it| it.kind == Kind::Opaque(Opaque::Call));
        let calls = call || self.facts.calls != Calls::Nothing;
        if !calls || self.policy.allowance(opaque_ddl::ID).is_some() {
            return None;
        }
        let retry = retry::of_call(self.transaction, self.script);
        Some(Decision::Guard(Guard { targets: Vec::new(), retry, waits: Waits::AsSent, first: Vec::new() }))
    }

    /// What writes many rows as sent is seen while it runs, can be cancelled, and is reported.
    fn copying(&self, found: &[Found]) -> Option<Decision> {
        let about_rows = |it: &Found| [bulk_write::ID, write_without_where::ID].contains(&it.finding.hazard);
        let many = found.iter().any(about_rows) && self.facts.estimates.iter().any(|it| it.many);
        let guard =
            Guard { targets: Vec::new(), retry: Retry::Never, waits: Waits::AsSent, first: Vec::new() };
        many.then_some(Decision::Guard(guard))
    }

    /// Concurrent index work as sent is verified and cleaned up like that which lockkeeper makes.
    fn as_sent(&self, exposed: bool) -> Option<Decision> {
        let [statement] = self.script.statements.as_slice() else { return None };
        let plan = as_sent::plan(self.script, statement, exposed, self.facts).filter(|_| self.is_alone())?;
        Some(Decision::Run(plan))
    }
}
