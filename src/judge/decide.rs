//! The judge: findings, policy and the moment make one decision per message.

use std::borrow::Cow;

use super::decision::{Decision, Guard, Judgement, Retry, Target};
use super::moment::{Moment, Standing};
use super::policy::{Mode, Policy};
use super::setting::{self, Setting};
use super::{as_sent, exempt, explain, unless_exists};
use crate::base::Notice;
use crate::effects::facts::{Facts, RelationKind};
use crate::effects::{self, Effects, Past};
use crate::hazard::{self, Finding, Remedy, Subject, create_index_blocking};
use crate::plan::Plan;
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
    let past = past_of(*moment);
    let case = Case { script, facts, moment, scenes: scenes(script, facts, &past) };
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

/// Whether the open transaction holds strong locks once the message has succeeded.
pub fn holds_strong_after(script: &Script, facts: &Facts) -> bool {
    let moment = Moment { transaction: Standing::Implicit };
    let past = Past::in_transaction();
    Case { script, facts, moment: &moment, scenes: scenes(script, facts, &past) }.may_lock()
}

/// What one statement does, after those before it.
struct Scene<'a> {
    effects: Effects,
    /// Borrowed for the first statement: what came before it may be a long file.
    past: Cow<'a, Past>,
}

fn past_of(moment: Moment) -> Past {
    if moment.transaction == Standing::Outside { Past::nothing() } else { Past::in_transaction() }
}

/// The statements of a message one after the other; several are one implicit transaction.
fn scenes<'a>(script: &Script, facts: &Facts, past: &'a Past) -> Vec<Scene<'a>> {
    if let [statement] = script.statements.as_slice() {
        return vec![Scene { effects: effects::of(statement, facts, past), past: Cow::Borrowed(past) }];
    }
    let mut past = Past { in_transaction: true, ..past.clone() };
    let scene = |statement| {
        let (effects, before) = (effects::of(statement, facts, &past), past.clone());
        past.after(statement, &effects);
        Scene { effects, past: Cow::Owned(before) }
    };
    script.statements.iter().map(scene).collect()
}

/// What a statement does, and every hazard in it as the policy wants it treated.
///
/// The way of `check` and `explain`, which look at one statement after the other.
pub fn review(script: &Script, facts: &Facts, past: &Past, policy: &Policy) -> Vec<(Effects, Vec<Finding>)> {
    let transaction =
        if past.in_transaction { Standing::Explicit { holds_strong: false } } else { Standing::Outside };
    let moment = Moment { transaction };
    let case = Case { script, facts, moment: &moment, scenes: scenes(script, facts, past) };
    let mut found = case.findings(policy);
    case.scenes
        .iter()
        .zip(&script.statements)
        .map(|(scene, statement)| {
            let own = found.extract_if(.., |(of, _)| std::ptr::eq(*of, statement));
            (scene.effects.clone(), own.map(|(_, finding)| finding).collect())
        })
        .collect()
}

/// What the comments ask for, and what is wrong with them.
fn directives(script: &Script) -> (Vec<Setting>, Vec<Notice>) {
    let (mut settings, mut problems) = (Vec::new(), Vec::new());
    for directive in &script.directives {
        match setting::check(&directive.name, &directive.value) {
            Ok(setting) => settings.push(setting),
            Err(problem) => problems.push(problem),
        }
    }
    (settings, problems)
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
    moment: &'a Moment,
    scenes: Vec<Scene<'a>>,
}

impl Case<'_> {
    fn findings(&self, policy: &Policy) -> Vec<(&Statement, Finding)> {
        let (script, facts) = (self.script, self.facts);
        let subjects = script.statements.iter().zip(&self.scenes);
        subjects
            .filter(|(statement, _)| !self.is_for_the_server(statement))
            .flat_map(|(statement, Scene { effects, past })| {
                let subject = Subject { script, statement, effects, facts, past };
                let found = hazard::find(&subject).into_iter();
                found.map(move |finding| {
                    (statement, exempt::under(policy, facts, past, statement.tag, finding))
                })
            })
            .collect()
    }

    /// Whether the server refuses the statement where it stands, so that it can do no harm: 25001 in a transaction
    /// block, and `LOCK TABLE` outside one.
    fn is_for_the_server(&self, statement: &Statement) -> bool {
        match (statement.place, &statement.kind) {
            (Place::OutsideOnly, _) => !self.is_alone(),
            (Place::Anywhere, Kind::Lock { .. }) => self.is_alone(),
            (Place::Anywhere, _) => false,
        }
    }

    /// Whether it may lock something strongly, as far as anybody can tell.
    fn may_lock(&self) -> bool {
        let opaque = |statement: &Statement| {
            matches!(statement.kind, Kind::Opaque(Opaque::Block { .. } | Opaque::Extension | Opaque::Unread))
        };
        self.scenes.iter().any(|scene| scene.effects.is_strong()) || self.script.statements.iter().any(opaque)
    }

    /// Whether the message is one statement, outside any transaction.
    fn is_alone(&self) -> bool {
        self.moment.transaction == Standing::Outside && self.script.statements.len() == 1
    }

    fn observe(
        &self,
        policy: &Policy,
        found: &[(&Statement, Finding)],
        mut judgement: Judgement,
    ) -> Judgement {
        let alone = self.is_alone();
        let not_allowed = found.iter().filter(|(_, finding)| policy.allowance(finding.hazard).is_none());
        judgement
            .notices
            .extend(not_allowed.filter_map(|(statement, it)| explain::observed(statement.tag, it, alone)));
        judgement
    }

    fn enforce(
        &self,
        policy: &Policy,
        found: Vec<(&Statement, Finding)>,
        mut judgement: Judgement,
    ) -> Judgement {
        if let Some((plan, notice)) = self.unless_exists(policy) {
            judgement.decision = Decision::Run(plan);
            judgement.notices.push(notice);
            return judgement;
        }
        let mut guarded = false;
        for (statement, finding) in found {
            if let Some(allowance) = policy.allowance(finding.hazard) {
                judgement.notices.push(explain::allowed(statement.tag, &finding, allowance));
                continue;
            }
            if !self.is_alone()
                && (finding.elsewhere.is_some() || matches!(finding.remedy, Remedy::Plan { .. }))
            {
                guarded |= finding.remedy != Remedy::Record;
                judgement.notices.extend(finding.elsewhere);
                continue;
            }
            match finding.remedy {
                Remedy::Plan { ref plan, form } => {
                    judgement.notices.push(explain::replaced(statement.tag, form, &finding));
                    judgement.decision = Decision::Run(plan.clone());
                    return judgement;
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
        judgement.decision = if guarded {
            Decision::Guard(Guard { targets: self.targets(), retry: self.retry() })
        } else {
            self.as_sent().unwrap_or(Decision::Forward)
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
        for touched in self.scenes.iter().flat_map(|scene| scene.effects.strong()) {
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
        match (self.moment.transaction, self.script.statements.as_slice()) {
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
