//! Goes through a file, one statement after the other.

use std::ops::Range;

use super::flaws;
use super::lint::{self, Lint};
use super::options::Options;
use super::place::Lines;
use super::report::{At, FileReport, Found, Told};
use super::share::{Share, Whole};
use super::split::split;
use super::step;
use crate::effects::facts::{Facts, Source};
use crate::effects::{Past, need_in_full};
use crate::hazard::{Finding, HazardSetting, Remedy};
use crate::judge::setting::{self, Setting};
use crate::judge::{self, Policy, Scene};
use crate::sql::statement::{Kind, Opaque, Readable, Script, Setting as Change, Statement, Transaction};
use crate::sql::{Encoding, parse};

/// Reviews one file.
pub async fn review<S: Source>(
    name: &str,
    text: &str,
    source: &mut S,
    options: &Options,
) -> Result<FileReport, S::Trouble> {
    let split = split(text);
    let mut fold = Fold::new(name, &split.text, options);
    for piece in split.pieces {
        let sql = split.text.get(piece.clone()).unwrap_or_default();
        let script = parse(sql.as_bytes(), Encoding::Utf8);
        let facts = source.look_up(&need_in_full(&script)).await?;
        fold.take(piece.start, &script, &facts);
    }
    Ok(fold.finish())
}

struct Fold<'a> {
    options: &'a Options,
    lines: Lines<'a>,
    /// Where the text of the statement at hand begins.
    offset: usize,
    past: Past,
    /// `SET lockkeeper.*`, and those of them that end with the transaction.
    settings: Vec<(Setting, bool)>,
    /// Where the open transaction began, if the file began it.
    begun: Option<Range<usize>>,
    report: FileReport,
}

impl<'a> Fold<'a> {
    fn new(name: &str, text: &'a str, options: &'a Options) -> Self {
        let past = if options.assume_in_transaction { Past::in_transaction() } else { Past::nothing() };
        let report =
            FileReport { name: name.to_owned(), findings: Vec::new(), statements: Vec::new(), count: 0 };
        Self { options, lines: Lines::new(text), offset: 0, past, settings: Vec::new(), begun: None, report }
    }

    /// The next statement, whose text begins at `offset`.
    fn take(&mut self, offset: usize, script: &Script, facts: &Facts) {
        self.report.count += script.statements.len();
        let whole = script.statements.iter().map(|statement| statement.span.clone());
        let whole = whole.reduce(|first, next| first.start..next.end).unwrap_or_default();
        self.directives(script, &shifted(&whole, offset));
        if is_unreadable(script) {
            let why = "The grammar refuses it, so that nobody can tell what it would lock.";
            self.flaw(lint::UNREADABLE, shifted(&whole, offset), "statement cannot be read", why);
            return;
        }
        let policy = self.policy(script);
        self.offset = offset;
        let past = std::mem::take(&mut self.past);
        self.past = judge::review(script, facts, past, &policy, &mut |scene, findings| {
            self.scene(scene, findings, facts, &policy);
        });
    }

    fn scene(&mut self, scene: &Scene<'_>, findings: Vec<Finding>, facts: &Facts, policy: &Policy) {
        let span = shifted(&scene.in_message(&scene.statement.span), self.offset);
        if scene.within.is_none() {
            self.transactions(scene.statement, &span);
        }
        for flaw in flaws::find(scene.script, scene.statement, scene.past) {
            let at = shifted(&scene.in_message(&flaw.span), self.offset);
            self.flaw(flaw.lint, at, &flaw.what, flaw.why);
        }
        let whole = Whole::of(scene.effects);
        for finding in findings {
            let own = finding.span.as_ref().map(|own| shifted(&scene.in_message(own), self.offset));
            let found = self.found(scene, &finding, whole.about(finding.about.as_ref()), facts);
            let allowed = policy.allowance(finding.hazard).map(|allowance| allowance.reason.clone());
            let denied = allowed.is_none() && found.denied;
            let at = self.at(own.as_ref().unwrap_or(&span));
            self.report.findings.push(Found { denied, allowed, at, ..found });
        }
        if scene.runs_now() {
            self.tell(scene, whole, &span);
            self.set(scene.statement, &span);
        }
    }

    fn finish(mut self) -> FileReport {
        if let Some(span) = self.begun.take() {
            let why = "The file ends before it does: psql rolls it back, other tools keep its locks.";
            self.flaw(lint::UNFINISHED, span, "transaction is begun and not ended", why);
        }
        self.report
    }

    /// The policy for a message: what its session and its own comments say on top of the options.
    fn policy(&self, script: &Script) -> Policy {
        let set: Vec<Setting> = self.settings.iter().map(|(setting, _)| setting.clone()).collect();
        judge::policy_for(script, &self.options.policy.with(&set))
    }

    fn directives(&mut self, script: &Script, span: &Range<usize>) {
        for directive in &script.directives {
            if let Err(problem) = setting::check(&directive.name, &directive.value) {
                let why = problem.detail.into_iter().chain(problem.hint).collect::<Vec<_>>().join(" ");
                let what = format!("directive is ignored: {}", problem.message);
                self.flaw(lint::WRONG_DIRECTIVE, span.clone(), &what, &why);
            }
        }
    }

    /// `SET lockkeeper.*` holds for what follows.
    fn set(&mut self, statement: &Statement, span: &Range<usize>) {
        match &statement.kind {
            Kind::Setting(Change::Ours(ours)) => match &ours.value {
                Some(value) => match setting::check(&ours.name, value) {
                    Ok(setting) => self.settings.push((setting, ours.local)),
                    Err(problem) => {
                        let why = problem.detail.into_iter().chain(problem.hint);
                        let why = why.collect::<Vec<_>>().join(" ");
                        self.flaw(lint::WRONG_DIRECTIVE, span.clone(), &problem.message, &why);
                    }
                },
                None => self.settings.retain(|(setting, _)| setting.name() != ours.name),
            },
            Kind::Setting(Change::All) => self.settings.clear(),
            Kind::Transaction(
                Transaction::Commit
                | Transaction::CommitAndChain
                | Transaction::Rollback
                | Transaction::RollbackAndChain
                | Transaction::Prepare,
            ) => {
                self.settings.retain(|(_, local)| !local);
            }
            _ => {}
        }
    }

    /// Keeps book of transactions, and finds commands of theirs that do not fit.
    fn transactions(&mut self, statement: &Statement, span: &Range<usize>) {
        let Kind::Transaction(control) = statement.kind else { return };
        let begins = match control {
            Transaction::Begin { .. } => true,
            Transaction::CommitAndChain | Transaction::RollbackAndChain
                if self.begun.is_some() && !self.options.assume_in_transaction =>
            {
                return;
            }
            Transaction::Commit
            | Transaction::CommitAndChain
            | Transaction::Rollback
            | Transaction::RollbackAndChain
            | Transaction::Prepare => false,
            Transaction::Savepoint
            | Transaction::Release
            | Transaction::RollbackTo
            | Transaction::FinishPrepared => return,
        };
        let tag = statement.tag;
        if self.options.assume_in_transaction {
            let why =
                "The file runs inside its tool's own transaction, which a command like this ends or doubles.";
            let what = format!("{tag} in a file that runs as one transaction");
            self.flaw(lint::COMMIT_IN_WRAPPED, span.clone(), &what, why);
        } else if begins && self.begun.is_some() {
            let why = "Postgres only warns; the next COMMIT ends the whole transaction, and what follows it runs statement by statement.";
            self.flaw(lint::NESTED, span.clone(), "a transaction is begun within another", why);
        } else if begins {
            self.begun = Some(span.clone());
        } else if self.begun.take().is_none() {
            let why = "Nothing is open here: by itself it only warns, but in a tool's transaction it ends that one.";
            let what = format!("{tag} without a transaction of this file");
            self.flaw(lint::COMMIT_IN_WRAPPED, span.clone(), &what, why);
        }
    }

    /// What a hazard's finding says; where it is and whether it is allowed is for the caller.
    fn found(&self, scene: &Scene<'_>, finding: &Finding, share: Share, facts: &Facts) -> Found {
        let called = !scene.runs_now();
        let level = judge::gravity(finding);
        // Nobody knows when it is called, or on what.
        let level = if called { level.min(HazardSetting::Warn) } else { level };
        let by_hand = if level == HazardSetting::Pass { Vec::new() } else { step::by_hand(finding, facts) };
        let in_transaction = scene.past.in_transaction;
        let what = what(scene.statement.tag, finding, in_transaction);
        Found {
            id: finding.hazard,
            level,
            denied: self.options.deny.denies(finding.hazard, level),
            allowed: None,
            at: At::nowhere(),
            what: if called { format!("when the function is called: {what}") } else { what },
            why: finding.why.clone(),
            locks: share.locks,
            locks_left_out: share.locks_left_out,
            locks_beyond: share.locks_beyond,
            work: share.work,
            in_transaction,
            online: step::online(finding, facts).filter(|_| scene.within.is_none()),
            by_hand,
        }
    }

    fn flaw(&mut self, lint: Lint, span: Range<usize>, what: &str, why: &str) {
        let level = if lint.quiet { HazardSetting::Pass } else { HazardSetting::Warn };
        let denied = self.options.deny.denies(lint.id, level);
        if lint.quiet && !denied {
            return;
        }
        let allowance = self.options.policy.allowance(lint.id);
        let allowed = allowance.map(|allowance| allowance.reason.clone());
        let found = Found {
            id: lint.id,
            level,
            denied: allowed.is_none() && denied,
            allowed,
            at: self.at(&span),
            what: what.to_owned(),
            why: why.to_owned(),
            locks: Vec::new(),
            locks_left_out: 0,
            locks_beyond: false,
            work: Vec::new(),
            in_transaction: self.past.in_transaction,
            online: None,
            by_hand: Vec::new(),
        };
        self.report.findings.push(found);
    }

    fn tell(&mut self, scene: &Scene<'_>, whole: Whole, span: &Range<usize>) {
        let Whole { locks, work, .. } = whole;
        if locks.iter().any(|lock| lock.mode.is_strong()) || scene.effects.beyond {
            let start = self.lines.place(span.start);
            self.report.statements.push(Told { tag: scene.statement.tag, start, locks, work });
        }
    }

    fn at(&self, span: &Range<usize>) -> At {
        self.lines.at(span)
    }
}

/// The message of a finding.
fn what(tag: &str, finding: &Finding, in_transaction: bool) -> String {
    let elsewhere = finding.elsewhere.as_ref().filter(|_| in_transaction);
    match (&finding.remedy, elsewhere) {
        (_, Some(notice)) | (Remedy::Refuse(notice) | Remedy::Ladder { warning: Some(notice) }, None) => {
            notice.message.clone()
        }
        (Remedy::Plan { form, .. }, None) => format!("{tag} has an online way: {form}"),
        (Remedy::Ladder { warning: None } | Remedy::Record, None) => format!("{tag} waits for its locks"),
    }
}

/// What the grammar refuses, and what only its first word tells to be dangerous.
fn is_unreadable(script: &Script) -> bool {
    let unread = |statement: &Statement| statement.kind == Kind::Opaque(Opaque::Unread);
    script.readable == Readable::Rejected || script.statements.iter().any(unread)
}

fn shifted(span: &Range<usize>, offset: usize) -> Range<usize> {
    span.start + offset..span.end + offset
}
