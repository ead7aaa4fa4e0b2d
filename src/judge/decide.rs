//! The judge: findings, policy and the moment make one decision per message.

use super::decision::{Decision, Guard, Judgement, Retry};
use super::moment::{Moment, Standing};
use super::policy::{Mode, Policy};
use super::scene::{Scene, scenes};
use super::setting::{self, Setting};
use super::{as_sent, exempt, explain, unless_exists};
use crate::base::Notice;
use crate::effects::facts::{Facts, RelationKind};
use crate::effects::{Effects, Past};
use crate::hazard::{
    self, Finding, Remedy, create_index_blocking, different_index, misplaced_in_transaction,
};
use crate::plan::{Plan, Target};
use crate::sql::directive::Directive;
use crate::sql::form::{Form, Runs};
use crate::sql::statement::{Kind, Opaque, Place, Script, Setting as Change, Statement};

/// What is to become of a message.
pub fn decide(script: &Script, facts: &Facts, moment: &Moment, policy: &Policy) -> Judgement {
    if let Some(refusal) = script.statements.iter().find_map(bad_setting) {
        return Judgement::of(Decision::Refuse(refusal));
    }
    let (settings, problems) = directives(script);
    let policy = policy.with(&settings);
    if policy.mode == Mode::Off {
        return Judgement::of(Decision::Forward);
    }
    let transaction = moment.transaction;
    let case = Case { script, facts, transaction, scenes: scenes(script, facts, &moment.past) };
    let mut judgement = Judgement::of(Decision::Forward);
    judgement.notices.extend(problems.into_iter().map(explain::ignored));
    let found = case.findings(&policy);
    for (_, finding) in &found {
        if !judgement.hazards.contains(&finding.hazard) {
            judgement.hazards.push(finding.hazard);
        }
    }
    match policy.mode {
        Mode::Enforce => case.enforce(&policy, found, judgement),
        Mode::Observe | Mode::Off => case.observe(&policy, &found, judgement),
    }
}

/// The policy with the message's own directives on top: what the ladder climbs by.
pub fn policy_for(script: &Script, policy: &Policy) -> Policy {
    policy.with(&directives(script).0)
}

/// What came before the next message of the transaction, once this one has succeeded in it.
pub fn past_after(script: &Script, facts: &Facts, past: &Past) -> Past {
    let mut past = past.within_transaction();
    let effects: Vec<Effects> = scenes(script, facts, &past).into_iter().map(|scene| scene.effects).collect();
    past.after_script(script, &mut effects.into_iter());
    past
}

/// What the statements of a message do, and every hazard in them as the policy wants it treated.
///
/// The way of `check` and `explain`, which look at one statement after the other.
pub fn review<'a>(
    script: &'a Script,
    facts: &'a Facts,
    past: &'a Past,
    policy: &Policy,
) -> Vec<(Scene<'a>, Vec<Finding>)> {
    let transaction =
        if past.in_transaction { Standing::Explicit { holds_strong: false } } else { Standing::Outside };
    let case = Case { script, facts, transaction, scenes: scenes(script, facts, past) };
    let found: Vec<Vec<Finding>> = case.scenes.iter().map(|scene| case.findings_in(scene, policy)).collect();
    case.scenes.into_iter().zip(found).collect()
}

/// What the comments ask for, and what is wrong with them.
fn directives(script: &Script) -> (Vec<Setting>, Vec<Notice>) {
    let (mut settings, mut problems) = (Vec::new(), Vec::new());
    let mut written: Vec<&Directive> = script.directives.iter().collect();
    within_bodies(script, &mut written);
    for directive in written {
        match setting::check(&directive.name, &directive.value) {
            Ok(setting) => settings.push(setting),
            Err(problem) => problems.push(problem),
        }
    }
    (settings, problems)
}

/// The comments in the bodies of code of a message.
fn within_bodies<'a>(script: &'a Script, into: &mut Vec<&'a Directive>) {
    for statement in &script.statements {
        if let Form::Body(body) = &statement.form {
            // What is said in a function is said of its calls.
            if body.runs == Runs::Now {
                into.extend(&body.directives);
            }
            body.inner.iter().for_each(|inner| within_bodies(&inner.script, into));
        }
    }
}

/// The server takes any `SET lockkeeper.x`, so that slips of the pen must be caught here.
fn bad_setting(statement: &Statement) -> Option<Notice> {
    let Kind::Setting(Change::Ours(ours)) = &statement.kind else { return None };
    match &ours.value {
        Some(value) => setting::check(&ours.name, value).err(),
        None if setting::NAMES.contains(&ours.name.as_str()) => None,
        None => setting::check(&ours.name, "").err(),
    }
}

/// One message in its circumstances.
struct Case<'a> {
    script: &'a Script,
    facts: &'a Facts,
    transaction: Standing,
    scenes: Vec<Scene<'a>>,
}

impl<'a> Case<'a> {
    /// What is found in everything that runs when the message does.
    fn findings(&self, policy: &Policy) -> Vec<(&Scene<'a>, Finding)> {
        let now = self.scenes.iter().filter(|scene| scene.runs_now());
        now.flat_map(|scene| self.findings_in(scene, policy).into_iter().map(move |it| (scene, it))).collect()
    }

    fn findings_in(&self, scene: &Scene<'_>, policy: &Policy) -> Vec<Finding> {
        let subject = scene.subject(self.facts);
        // As the first of a batch it works; whether it is, the server knows best.
        let first_of_batch = self.transaction == Standing::Implicit && scene.within.is_none();
        let found = if self.is_for_the_server(scene) {
            let misplaced = misplaced_in_transaction::find(&subject);
            misplaced.filter(|_| !first_of_batch || self.script.statements.len() > 1).into_iter().collect()
        } else {
            hazard::find(&subject)
        };
        let as_wanted =
            |finding| exempt::under(policy, self.facts, &scene.past, scene.statement.tag, finding);
        found.into_iter().map(as_wanted).collect()
    }

    /// Whether the server refuses the statement where it stands, so that it can do no harm: 25001 in a transaction
    /// block, and `LOCK TABLE` outside one.
    fn is_for_the_server(&self, scene: &Scene<'_>) -> bool {
        match (scene.statement.place, &scene.statement.kind) {
            (Place::OutsideOnly, _) => !self.stands_alone(scene),
            (Place::Anywhere, Kind::Lock { .. }) => self.stands_alone(scene),
            (Place::Anywhere, _) => false,
        }
    }

    /// Whether it is the whole message, outside any transaction.
    fn stands_alone(&self, scene: &Scene<'_>) -> bool {
        scene.within.is_none() && self.is_alone()
    }

    /// Whether it may lock something strongly, as far as anybody can tell.
    fn may_lock(&self) -> bool {
        let opaque = |statement: &Statement| {
            matches!(statement.kind, Kind::Opaque(Opaque::Block { .. } | Opaque::Extension | Opaque::Unread))
        };
        self.scenes.iter().any(|scene| scene.runs_now() && scene.effects.is_strong())
            || self.script.statements.iter().any(opaque)
    }

    /// Whether the message is one statement, outside any transaction.
    fn is_alone(&self) -> bool {
        self.transaction == Standing::Outside && self.script.statements.len() == 1
    }

    fn observe(
        &self,
        policy: &Policy,
        found: &[(&Scene<'_>, Finding)],
        mut judgement: Judgement,
    ) -> Judgement {
        let not_allowed = found.iter().filter(|(_, finding)| policy.allowance(finding.hazard).is_none());
        judgement.notices.extend(
            not_allowed.filter_map(|(scene, it)| {
                explain::observed(scene.statement.tag, it, self.stands_alone(scene))
            }),
        );
        judgement
    }

    fn enforce(
        &self,
        policy: &Policy,
        found: Vec<(&Scene<'_>, Finding)>,
        mut judgement: Judgement,
    ) -> Judgement {
        if let Some((plan, notice)) = self.unless_exists(policy) {
            let mut different = found.iter().filter(|(_, finding)| finding.hazard == different_index::ID);
            judgement.decision = match different.next().map(|(_, finding)| &finding.remedy) {
                Some(Remedy::Refuse(refusal)) => Decision::Refuse(refusal.clone()),
                Some(Remedy::Ladder { warning: Some(warning) }) => {
                    judgement.notices.extend([notice, warning.clone()]);
                    Decision::Run(plan)
                }
                _ => {
                    judgement.notices.push(notice);
                    Decision::Run(plan)
                }
            };
            return judgement;
        }
        let (mut guarded, mut chosen) = (false, None);
        for (scene, finding) in found {
            let tag = scene.statement.tag;
            if let Some(allowance) = policy.allowance(finding.hazard) {
                judgement.notices.push(explain::allowed(tag, &finding, allowance));
                continue;
            }
            if !self.stands_alone(scene)
                && (finding.elsewhere.is_some() || matches!(finding.remedy, Remedy::Plan { .. }))
            {
                guarded |= finding.remedy != Remedy::Record;
                let told = finding.elsewhere.clone().map(|notice| explain::with_way_out(notice, &finding));
                judgement.notices.extend(told);
                continue;
            }
            match finding.remedy {
                Remedy::Plan { ref plan, form } => {
                    if chosen.is_none() {
                        judgement.notices.push(explain::replaced(tag, form, &finding));
                        chosen = Some(plan.clone());
                    }
                }
                Remedy::Refuse(ref refusal) => {
                    judgement.decision = Decision::Refuse(explain::with_way_out(refusal.clone(), &finding));
                    return judgement;
                }
                Remedy::Ladder { ref warning } => {
                    guarded |= self.may_lock();
                    let told = warning.clone().map(|warning| explain::with_way_out(warning, &finding));
                    judgement.notices.extend(told);
                }
                Remedy::Record => {}
            }
        }
        judgement.decision = match chosen {
            Some(plan) => Decision::Run(plan),
            None if guarded => Decision::Guard(Guard { targets: self.targets(), retry: self.retry() }),
            None => self.as_sent().unwrap_or(Decision::Forward),
        };
        judgement
    }

    /// What becomes of an index that is made unless it exists, where it does.
    fn unless_exists(&self, policy: &Policy) -> Option<(Plan, Notice)> {
        let [statement] = self.script.statements.as_slice() else { return None };
        let allowed = policy.allowance(create_index_blocking::ID).is_some();
        unless_exists::plan(self.script, statement, self.facts).filter(|_| self.is_alone() && !allowed)
    }

    /// Concurrent index work as sent is verified and cleaned up like that which lockkeeper makes.
    fn as_sent(&self) -> Option<Decision> {
        let ([statement], [scene]) = (self.script.statements.as_slice(), self.scenes.as_slice()) else {
            return None;
        };
        let plan =
            as_sent::plan(self.script, statement, &scene.effects, self.facts).filter(|_| self.is_alone())?;
        Some(Decision::Run(plan))
    }

    /// What is locked strongly, each relation once.
    fn targets(&self) -> Vec<Target> {
        let mut targets: Vec<Target> = Vec::new();
        // Which statements of a block run is not known before it does.
        let sure = self.scenes.iter().filter(|scene| scene.within.is_none());
        for touched in sure.flat_map(|scene| scene.effects.strong()) {
            let same = |target: &&mut Target| {
                target.oid == touched.oid && (touched.oid.is_some() || target.name == touched.name)
            };
            match targets.iter_mut().find(same) {
                Some(target) => target.mode = target.mode.max(touched.mode),
                None => {
                    targets.push(Target { name: touched.name.clone(), oid: touched.oid, mode: touched.mode });
                }
            }
        }
        targets
    }

    fn retry(&self) -> Retry {
        match (self.transaction, self.script.statements.as_slice()) {
            (Standing::Implicit | Standing::Explicit { holds_strong: true }, _) => Retry::Never,
            (_, statements) if !statements.iter().all(is_repeatable) => Retry::Never,
            (Standing::Explicit { holds_strong: false }, _) => Retry::Savepoint,
            (Standing::Outside, [statement]) if self.may_run_in_block(statement) => Retry::Transaction,
            (Standing::Outside, _) => Retry::Whole,
        }
    }

    fn may_run_in_block(&self, statement: &Statement) -> bool {
        let partitioned =
            |kind| matches!(kind, RelationKind::PartitionedTable | RelationKind::PartitionedIndex);
        match &statement.kind {
            // Nobody knows what it is.
            Kind::Opaque(Opaque::Unread) => false,
            // REINDEX and CLUSTER of something partitioned run in several transactions.
            Kind::Reindex(_) | Kind::Locking if matches!(statement.tag, "REINDEX" | "CLUSTER") => {
                let mut relations = statement.locks.iter().filter_map(|lock| self.facts.relation(&lock.name));
                statement.place == Place::Anywhere && !relations.any(|relation| partitioned(relation.kind))
            }
            _ => statement.place == Place::Anywhere,
        }
    }
}

/// Whether a statement can be sent a second time after it failed, without anything of it having stayed.
pub fn is_repeatable(statement: &Statement) -> bool {
    match &statement.kind {
        Kind::Transaction(_) | Kind::CopyIn | Kind::Setting(_) | Kind::Opaque(Opaque::Call) => false,
        Kind::Opaque(Opaque::Block { repeatable }) => *repeatable,
        Kind::Opaque(Opaque::Extension | Opaque::Unread)
        | Kind::Ordinary
        | Kind::CreateIndex(_)
        | Kind::DropIndex(_)
        | Kind::Reindex(_)
        | Kind::Lock { .. }
        | Kind::Locking => true,
    }
}
