//! The judge: findings, policy and the moment make one decision per message.

use std::collections::BTreeMap;

use super::curb::Asked;
use super::decision::{Decision, Judgement};
use super::depend::{self, Dependence};
use super::moment::{Moment, Standing};
use super::policy::{Mode, Policy};
use super::scene::{Scene, walk};
use super::setting::{self, Setting};
use super::{curb, exempt, explain, load};
use crate::base::{LockMode, Notice, RelationName};
use crate::effects::facts::{Facts, Oid};
use crate::effects::{Past, Touched};
use crate::hazard::{self, Finding, HazardSetting, misplaced_in_transaction};
use crate::peak::Loads;
use crate::plan::{Pending, Target};
use crate::sql::bookkeeping;
use crate::sql::directive::Directive;
use crate::sql::form::{Form, Runs};
use crate::sql::statement::{Kind, Opaque, Place, Script, Setting as Change, Statement};

/// What is to become of a message.
pub fn decide(script: &Script, facts: &Facts, moment: &Moment, policy: &Policy) -> Judgement {
    if let Some(refusal) = script.statements.iter().find_map(|it| bad_setting(it, policy)) {
        return Judgement::of(Decision::Refuse(refusal), moment.past.clone());
    }
    let (settings, problems) = directives(script, policy);
    let policy = policy.with(&settings);
    let case =
        Case { script, facts, transaction: moment.transaction, policy: &policy, queued: &moment.queued };
    let (seen, past) = case.look(moment.past.clone());
    let mut judgement = Judgement::of(Decision::Forward, past);
    let on: Vec<Oid> = seen.targets.iter().filter_map(|target| target.oid).collect();
    let asked = Asked {
        on: &on,
        tag: case.tag(),
        loads: seen.loads,
        waits: case.waits(&seen.found),
        standing: moment.transaction,
    };
    if policy.mode == Mode::Off {
        return curb::apply(asked, &moment.in_force, &policy, judgement);
    }
    judgement.notices.extend(problems.into_iter().map(explain::ignored));
    for found in &seen.found {
        if !judgement.hazards.contains(&found.finding.hazard) {
            judgement.hazards.push(found.finding.hazard);
        }
    }
    judgement = match policy.mode {
        Mode::Enforce => case.enforce(seen, &moment.past, judgement),
        Mode::Observe | Mode::Off => case.observe(&seen.found, judgement),
    };
    let loads = match &judgement.decision {
        Decision::Run(plan) => load::of_plan(plan, asked.loads),
        Decision::Defer(deferral) => load::of_deferral(deferral),
        _ => asked.loads,
    };
    curb::apply(Asked { loads, ..asked }, &moment.in_force, &policy, judgement)
}

/// The policy with the message's own directives on top: what the ladder climbs by.
pub fn policy_for(script: &Script, policy: &Policy) -> Policy {
    let mut policy = policy.with(&directives(script, policy).0);
    if !script.statements.is_empty() && script.statements.iter().all(bookkeeping::is_about) {
        // A freeze does not stop them either once they have begun.
        policy.override_for.get_or_insert_with(|| "the books of a migration tool".to_owned());
    }
    policy
}

/// Shows what the statements of a message do, with every hazard in them as the policy wants it treated, one after the other.
/// Returns what came before the next message.
///
/// The way of `check` and `explain`.
pub fn review(
    script: &Script,
    facts: &Facts,
    past: Past,
    policy: &Policy,
    show: &mut dyn FnMut(&Scene<'_>, Vec<Finding>),
) -> Past {
    let transaction =
        if past.in_transaction { Standing::Explicit { holds_strong: false } } else { Standing::Outside };
    let case = Case { script, facts, transaction, policy, queued: &[] };
    walk(script, facts, past, &mut |scene| show(scene, case.findings(scene)))
}

/// What the comments ask for, and what is wrong with them.
fn directives(script: &Script, policy: &Policy) -> (Vec<Setting>, Vec<Notice>) {
    let (mut settings, mut problems) = (Vec::new(), Vec::new());
    for directive in written(script).into_iter().filter(|directive| directive.name != setting::RESUME) {
        match setting::check_for(policy, &directive.name, &directive.value) {
            Ok(setting) => settings.push(setting),
            Err(problem) => problems.push(problem),
        }
    }
    (settings, problems)
}

/// The directives of a message, those in bodies of code that run with it among them.
pub fn written(script: &Script) -> Vec<&Directive> {
    let mut written: Vec<&Directive> = script.directives.iter().collect();
    within_bodies(script, &mut written);
    written
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
fn bad_setting(statement: &Statement, policy: &Policy) -> Option<Notice> {
    let Kind::Setting(Change::Ours(ours)) = &statement.kind else { return None };
    match &ours.value {
        Some(value) => setting::check_for(policy, &ours.name, value).err(),
        None if setting::NAMES.contains(&ours.name.as_str()) => None,
        None => setting::check(&ours.name, "").err(),
    }
}

/// One message in its circumstances.
pub(super) struct Case<'a> {
    pub(super) script: &'a Script,
    pub(super) facts: &'a Facts,
    pub(super) transaction: Standing,
    pub(super) policy: &'a Policy,
    /// What the open transaction has queued.
    pub(super) queued: &'a [Pending],
}

/// What was seen in all that runs when the message does.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) found: Vec<Found>,
    /// Something in it locks strongly.
    locks: bool,
    /// What it lays on the database, as sent.
    loads: Loads,
    /// How many of the relations that it touches others can see.
    pub(super) exposed: usize,
    /// What it locks so that a concurrent build would have to wait for it.
    pub(super) apart: Vec<Oid>,
    /// What is locked strongly, each relation once.
    pub(super) targets: Vec<Target>,
    /// What it means that something is queued.
    pub(super) dependence: Dependence,
    /// The relations that its one statement touches.
    pub(super) touched: Vec<(RelationName, Option<Oid>)>,
    /// The places of those in `targets`, by name or number.
    known: BTreeMap<(Option<Oid>, Option<RelationName>), usize>,
}

/// Where the statement of a finding stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stands {
    /// It is the whole message, outside any transaction.
    Alone,
    /// It is in a transaction, or among others.
    Among,
    /// It is in a body of code.
    Within,
}

/// A finding in its place.
pub(super) struct Found {
    pub(super) tag: &'static str,
    pub(super) standing: Stands,
    pub(super) finding: Finding,
}

impl Seen {
    fn lock(&mut self, touched: &Touched) {
        let key = (touched.oid, touched.oid.is_none().then(|| touched.name.clone()));
        if let Some(target) = self.known.get(&key).and_then(|at| self.targets.get_mut(*at)) {
            target.mode = target.mode.max(touched.mode);
        } else {
            self.known.insert(key, self.targets.len());
            let name = touched.name.clone();
            self.targets.push(Target { name, oid: touched.oid, mode: touched.mode });
        }
    }
}

impl Case<'_> {
    /// Looks at everything that runs when the message does; what came before the next message is returned too.
    fn look(&self, past: Past) -> (Seen, Past) {
        let mut seen = Seen::default();
        let past = walk(self.script, self.facts, past, &mut |scene| {
            if !scene.runs_now() {
                return;
            }
            let (tag, standing) = (scene.statement.tag, self.stands(scene));
            let findings = self.findings(scene);
            load::of_scene(scene, &findings, self.policy, &mut seen.loads);
            seen.found.extend(findings.into_iter().map(|finding| Found { tag, standing, finding }));
            seen.locks |= scene.effects.is_strong();
            seen.apart.extend(apart(scene));
            seen.exposed += scene.effects.touched.iter().filter(|touched| touched.exposed).count();
            // Which statements of a block run is not known before it does.
            if scene.within.is_none() {
                seen.dependence = depend::on(self.queued, self.script, Some(scene.effects));
                seen.touched.extend(scene.effects.touched.iter().map(|it| (it.name.clone(), it.oid)));
                scene.effects.strong().for_each(|touched| seen.lock(touched));
            }
        });
        (seen, past)
    }

    fn findings(&self, scene: &Scene<'_>) -> Vec<Finding> {
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
            |finding| exempt::under(self.policy, self.facts, scene.past, scene.statement.tag, finding);
        found.into_iter().map(as_wanted).collect()
    }

    /// Whether the server refuses the statement where it stands, so that it can do no harm: 25001 in a transaction
    /// block, and `LOCK TABLE` outside one.
    fn is_for_the_server(&self, scene: &Scene<'_>) -> bool {
        match (scene.statement.place, &scene.statement.kind) {
            (Place::OutsideOnly, _) => self.stands(scene) != Stands::Alone,
            (Place::Anywhere, Kind::Lock { .. }) => self.stands(scene) == Stands::Alone,
            (Place::Anywhere, _) => false,
        }
    }

    fn stands(&self, scene: &Scene<'_>) -> Stands {
        match scene.within {
            Some(_) => Stands::Within,
            None if self.is_alone() => Stands::Alone,
            None => Stands::Among,
        }
    }

    /// What the message is called: by the first of its statements that is not ordinary.
    pub(super) fn tag(&self) -> &'static str {
        let matters = self.script.statements.iter().find(|statement| !statement.is_ordinary());
        matters.or(self.script.statements.first()).map_or("the statement", |statement| statement.tag)
    }

    /// Whether it is to wait for whatever is in force.
    fn waits(&self, found: &[Found]) -> bool {
        let keeps_books = self.script.statements.iter().all(bookkeeping::is_about);
        !keeps_books
            && found.iter().any(|Found { finding, .. }| {
                self.policy.setting_of(finding.hazard) == Some(HazardSetting::Hold)
                    && self.policy.allowance(finding.hazard).is_none()
            })
    }

    /// Whether it may lock something strongly, as far as anybody can tell.
    pub(super) fn may_lock(&self, seen: &Seen) -> bool {
        let opaque = |statement: &Statement| {
            matches!(statement.kind, Kind::Opaque(Opaque::Block { .. } | Opaque::Extension | Opaque::Unread))
        };
        seen.locks || self.script.statements.iter().any(opaque)
    }

    /// Whether the message is one statement, outside any transaction.
    pub(super) fn is_alone(&self) -> bool {
        self.transaction == Standing::Outside && self.script.statements.len() == 1
    }
}

/// Tables that a statement locks so that a concurrent build would have to wait for it; VACUUM waits for none itself.
fn apart(scene: &Scene<'_>) -> impl Iterator<Item = Oid> {
    let least = match scene.statement.tag {
        "VACUUM" => LockMode::Share,
        _ => LockMode::ShareUpdateExclusive,
    };
    let touched = scene.effects.touched.iter().filter(move |it| it.exposed && it.mode >= least);
    touched.filter_map(|touched| touched.oid)
}
