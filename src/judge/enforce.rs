//! What a policy that enforces makes of what was found.

use super::decide::{Case, Found, Seen};
use super::decision::{Decision, Guard, Judgement, Waits};
use super::defer::Elsewhere;
use super::depend::Dependence;
use super::{as_sent, explain, retry, together, unless_exists};
use crate::base::Notice;
use crate::effects::Past;
use crate::effects::facts::Oid;
use crate::hazard::{Finding, Remedy, create_index_blocking, different_index, opaque_ddl};
use crate::plan::Plan;
use crate::sql::Calls;
use crate::sql::statement::{Kind, Opaque};

impl Case<'_> {
    pub(super) fn observe(&self, found: &[Found], mut judgement: Judgement) -> Judgement {
        let not_allowed = found.iter().filter(|it| self.policy.allowance(it.finding.hazard).is_none());
        judgement
            .notices
            .extend(not_allowed.filter_map(|it| explain::observed(it.tag, &it.finding, it.alone)));
        judgement
    }

    pub(super) fn enforce(&self, seen: Seen, before: &Past, mut judgement: Judgement) -> Judgement {
        if let Some((plan, notice)) = self.unless_exists() {
            return self.over_existing(plan, notice, &seen.found, judgement);
        }
        if !self.queued.is_empty() && self.script.statements.len() > 1 {
            return self.apart(judgement);
        }
        let may_lock = self.may_lock(&seen);
        let Seen { found, targets, exposed, apart, dependence, touched, .. } = seen;
        let (mut guarded, mut chosen, mut queued) = (false, None, None);
        for found in found {
            let Found { tag, alone, ref finding, .. } = found;
            if let Some(allowance) = self.policy.allowance(finding.hazard) {
                let steps = finding.once_passed.as_ref().filter(|_| alone && chosen.is_none());
                let form = steps.map(|(_, form)| *form);
                judgement.notices.push(explain::allowed((tag, form), finding, allowance));
                chosen = steps.map(|(plan, _)| plan.clone()).or(chosen);
                continue;
            }
            if !alone && (finding.elsewhere.is_some() || matches!(finding.remedy, Remedy::Plan { .. })) {
                match self.elsewhere(&found) {
                    Elsewhere::Told(told) => {
                        guarded |= finding.remedy != Remedy::Record;
                        judgement.notices.extend(told);
                    }
                    Elsewhere::Queued(plan, form) => {
                        if queued.is_none() {
                            queued = Some((plan, form, finding.clone()));
                        }
                    }
                    Elsewhere::Apart => return self.apart(judgement),
                    Elsewhere::Refused(refusal) => {
                        judgement.decision = Decision::Refuse(refusal);
                        return judgement;
                    }
                }
                continue;
            }
            match finding.remedy {
                Remedy::Plan { ref plan, form } => {
                    if chosen.is_none() {
                        judgement.notices.push(explain::replaced(tag, form, finding));
                        chosen = Some(plan.clone());
                    }
                }
                Remedy::Refuse(ref refusal) => {
                    judgement.decision = Decision::Refuse(explain::with_way_out(refusal.clone(), finding));
                    return judgement;
                }
                Remedy::Ladder { ref warning } => {
                    guarded |= may_lock;
                    let told = warning.clone().map(|warning| explain::with_way_out(warning, finding));
                    judgement.notices.extend(told);
                }
                Remedy::Record => {}
            }
        }
        match dependence {
            Dependence::Refused(refusal) => {
                judgement.decision = Decision::Refuse(*refusal);
                return judgement;
            }
            Dependence::Behind => {
                judgement.past = before.clone();
                judgement.notices.push(explain::behind(self.tag()));
                return self.deferred(None, touched, judgement);
            }
            Dependence::None => {}
        }
        if let Some((plan, form, finding)) = queued {
            return self.deferred_plan((&plan, form, &finding), touched, before, judgement);
        }
        let watched = self.watched();
        if watched.is_some() {
            // What it has locked is locked until the transaction ends.
            judgement.past.hold_beyond();
        }
        judgement.decision = match chosen {
            Some(plan) => Decision::Run(plan),
            None if guarded => {
                let first = together::first(self.script, self.facts, &targets);
                Decision::Guard(Guard {
                    targets,
                    retry: retry::of(self.transaction, self.script, self.facts),
                    waits: Waits::Briefly,
                    first,
                })
            }
            None => self.as_sent(exposed > 0).or(watched).unwrap_or(Decision::Forward),
        };
        if !matches!(judgement.decision, Decision::Run(_)) {
            judgement.apart = apart;
        }
        judgement
    }

    /// Its statements one after the other, each as a message of its own.
    fn apart(&self, judgement: Judgement) -> Judgement {
        Judgement { decision: Decision::Apart, notices: Vec::new(), ..judgement }
    }

    fn deferred_plan(
        &self,
        (plan, form, finding): (&Plan, &str, &Finding),
        touched: Vec<Oid>,
        before: &Past,
        judgement: Judgement,
    ) -> Judgement {
        let mut judgement = self.deferred(Some(plan), touched, judgement);
        let Decision::Defer(deferral) = &judgement.decision else { return judgement };
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

    /// Concurrent index work as sent is verified and cleaned up like that which lockkeeper makes.
    fn as_sent(&self, exposed: bool) -> Option<Decision> {
        let [statement] = self.script.statements.as_slice() else { return None };
        let plan = as_sent::plan(self.script, statement, exposed, self.facts).filter(|_| self.is_alone())?;
        Some(Decision::Run(plan))
    }
}
