//! An `ALTER TABLE` of several parts, carried out one after the other: each on its own merits, in an order that ends in the same
//! state.
//!
//! Postgres goes by passes (`AlterTablePass` in `tablecmds.c`), not by the order of the text, so that the order is free where no
//! two parts mean the same thing. Here new columns come first, since others may speak of them; what reads the table comes next, and
//! can be taken back; what is brief comes last, all in one statement, so that nothing has to be taken back that cannot be.

use super::{Finding, Remedy, Subject, filled_column, filled_table, several_foreign_keys};
use crate::base::name::written;
use crate::plan::by_hand::{HandStep, alter, validate};
use crate::plan::parts::{brief_parts, long_part};
use crate::plan::{Plan, Step, Target};
use crate::sql::form::{Action, AlterTable, Altered, Constraint, ConstraintKind, Form, Part};

/// More parts than these are not taken apart: the time to compare each with each is bounded.
const PARTS_MAX: usize = 100;

/// What is said of the plan.
const FORM: &str = "steps, each of its parts by itself";

/// What a part does with a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Adds,
    /// Drops it, or makes another of it.
    Changes,
    NotNull,
    Default,
    PrimaryKey,
    Reads,
}

/// Whether the parts may be carried out one after the other.
pub(super) fn can_be_split(subject: &Subject<'_>) -> bool {
    let Form::AlterTable(alter) = &subject.statement.form else { return false };
    let parts = alter.parts.as_slice();
    let whole = subject.is_of_whole_table();
    let told = alter.object == Altered::Table && whole && parts.iter().all(|part| part.span.is_some());
    let several = parts.len() > 1 && parts.len() <= PARTS_MAX;
    if !told
        || !several
        || !subject.is_readable_alone()
        || subject.has_kin(&alter.target)
        || subject.lacks_what_it_changes()
    {
        return false;
    }
    let Some(uses) = parts.iter().map(|part| uses(&part.action)).collect::<Option<Vec<_>>>() else {
        return false;
    };
    are_compatible(&uses) && names_are_apart(alter, subject.names)
}

/// The findings with the plans of all parts in one; where there is none, each is told as where no plan can be.
pub(super) fn joined(subject: &Subject<'_>, mut findings: Vec<Finding>) -> Vec<Finding> {
    let works =
        |finding: &Finding| matches!(finding.remedy, Remedy::Plan { .. }) || is_of_pair(subject, finding);
    if subject.all_parts().len() < 2 || !findings.iter().any(works) {
        return findings;
    }
    let Some(plan) = Joining { subject, findings: &findings }.plan() else {
        findings.iter_mut().for_each(demote);
        return findings;
    };
    // Each foreign key is a statement of its own now.
    findings.retain(|finding| finding.hazard != several_foreign_keys::ID);
    for finding in &mut findings {
        let of_pair = is_of_pair(subject, finding);
        if let Remedy::Plan { plan: own, form } = &mut finding.remedy {
            (*own, *form) = (plan.clone(), FORM);
        } else if of_pair {
            *finding = finding.clone().online(Some(plan.clone()), FORM);
        }
    }
    findings
}

/// What is told in place of a plan; where that would write every row anew, nothing is done.
fn demote(finding: &mut Finding) {
    if !matches!(finding.remedy, Remedy::Plan { .. }) {
        return;
    }
    finding.remedy = Remedy::Ladder { warning: finding.elsewhere.take() };
    if filled_column::HAZARDS.contains(&finding.hazard) {
        *finding = finding.clone().refused_since(filled_table::BESIDE_OTHERS);
    }
}

struct Joining<'a, 'b> {
    subject: &'b Subject<'a>,
    findings: &'b [Finding],
}

impl<'a> Joining<'a, '_> {
    fn plan(&self) -> Option<Plan> {
        let Form::AlterTable(altered) = &self.subject.statement.form else { return None };
        let pair = |at: usize| self.part(at).is_some_and(|part| is_pair(self.subject, part));
        let done = |at: usize| self.own(at).is_some() || pair(at);
        if !self.subject.splits
            || !self.subject.effects.work.iter().all(|work| !work.exposed || done(work.part))
        {
            return None;
        }
        let parts = &altered.parts;
        let works = |finding: &&Finding| {
            matches!(finding.remedy, Remedy::Plan { .. }) || is_of_pair(self.subject, finding)
        };
        let hazard = self.findings.iter().find(works)?.hazard;
        let (mut steps, mut used) = (Vec::new(), vec![false; parts.len()]);
        if self.columns_first() {
            self.columns(&mut steps, &mut used);
        }
        self.pairs(&mut steps, &mut used);
        for rank in 0..3 {
            for (at, _) in parts.iter().enumerate().filter(|(_, part)| rank_of(&part.action) == rank) {
                if let Some(plan) = self.own(at).filter(|_| !used.get(at).copied().unwrap_or(true)) {
                    steps.extend(plan.steps.iter().cloned());
                    mark(&mut used, at);
                }
            }
        }
        let rest: Vec<&Part> =
            parts.iter().zip(&used).filter(|(_, used)| !**used).map(|(part, _)| part).collect();
        steps.extend(self.brief(&rest, None));
        // What only tidies up comes when all that counts is done.
        let (tidy, mut steps): (Vec<Step>, Vec<Step>) = steps.into_iter().partition(Step::is_tidy);
        steps.extend(tidy);
        Some(Plan { hazard, steps, tag: self.subject.statement.tag })
    }

    fn part(&self, at: usize) -> Option<&'a Part> {
        self.subject.all_parts().get(at)
    }

    /// The plan of one part by itself.
    fn own(&self, at: usize) -> Option<&Plan> {
        let part = self.part(at)?;
        let of_part = self.findings.iter().filter(|finding| finding.span == part.span);
        of_part.into_iter().find_map(|finding| match &finding.remedy {
            Remedy::Plan { plan, .. } => Some(plan),
            _ => None,
        })
    }

    /// Whether new columns must be there before something else begins, or one of them takes long itself: then they are added in the
    /// order of the text, which numbers them.
    fn columns_first(&self) -> bool {
        let added = |name: &str| self.added().any(|(_, column)| column == name);
        let reads =
            |action: &Action| uses(action).is_some_and(|uses| uses.iter().any(|(name, _)| added(name)));
        self.subject
            .all_parts()
            .iter()
            .enumerate()
            .any(|(at, part)| self.own(at).is_some() && reads(&part.action))
    }

    /// The columns that are made; one that is there, and that `IF NOT EXISTS` leaves alone, is not to be taken back.
    fn added(&self) -> impl Iterator<Item = (usize, &'a str)> {
        let known = self.subject.target().and_then(|target| self.subject.facts.table(target));
        self.subject.all_parts().iter().enumerate().filter_map(move |(at, part)| match &part.action {
            Action::AddColumn { column, if_not_exists } => {
                let there = known.is_none_or(|table| table.column(&column.name).is_some());
                (!there || !*if_not_exists).then_some((at, column.name.as_str()))
            }
            _ => None,
        })
    }

    fn columns(&self, steps: &mut Vec<Step>, used: &mut [bool]) {
        let mut waiting: Vec<&Part> = Vec::new();
        for (at, name) in self.added() {
            mark(used, at);
            if let Some(plan) = self.own(at) {
                steps.extend(self.columns_of(&std::mem::take(&mut waiting)));
                // Whatever they have made goes with the column.
                let later = plan.steps.iter().skip(1).cloned().map(|step| Step { undo: Vec::new(), ..step });
                steps.extend(plan.steps.first().cloned().into_iter().chain(later));
                continue;
            }
            waiting.extend(self.part(at));
            // From its first moment on it has the default that it is to have.
            for (other, part) in self.subject.all_parts().iter().enumerate() {
                let default =
                    matches!(&part.action, Action::SetDefault(of) | Action::DropDefault(of) if of == name);
                if default {
                    waiting.push(part);
                    mark(used, other);
                }
            }
        }
        steps.extend(self.columns_of(&waiting));
    }

    fn columns_of(&self, parts: &[&Part]) -> Option<Step> {
        let names = parts.iter().filter_map(|part| match &part.action {
            Action::AddColumn { column, .. } => Some(format!("DROP COLUMN {}", written(&column.name))),
            _ => None,
        });
        let back = alter(self.subject.target()?, &names.collect::<Vec<_>>().join(", "));
        self.brief(parts, Some(&back))
    }

    /// Constraints that are added NOT VALID and validated in the same statement.
    fn pairs(&self, steps: &mut Vec<Step>, used: &mut [bool]) {
        for (at, part) in self.subject.all_parts().iter().enumerate() {
            let (Action::ValidateConstraint(name), Some(target)) = (&part.action, self.subject.target())
            else {
                continue;
            };
            let Some(added) = self.subject.all_parts().iter().position(|it| adds_unproved(it, name)) else {
                continue;
            };
            let back = alter(target, &format!("DROP CONSTRAINT IF EXISTS {}", written(name)));
            let add: Vec<&Part> = self.part(added).into_iter().collect();
            steps.extend(self.brief(&add, Some(&back)));
            steps.push(long_part(&validate(target, name), self.locks().first()));
            mark(used, at);
            mark(used, added);
        }
    }

    /// Parts in the user's own words, in one statement.
    fn brief(&self, parts: &[&Part], back: Option<&HandStep>) -> Option<Step> {
        let first = self.subject.all_parts().first()?.span.as_ref()?;
        let head = self.subject.text(&(self.subject.statement.span.start..first.start));
        let words: Vec<String> =
            parts.iter().map(|part| self.words(part, back)).collect::<Option<Vec<_>>>()?;
        let sql = format!("{head}{}", words.join(", "));
        (!words.is_empty()).then(|| brief_parts(&HandStep::anywhere(sql), self.locks(), back))
    }

    /// A part in the user's own words. What may be taken back must have been made here: a column that somebody else adds meanwhile
    /// is an error, whatever `IF NOT EXISTS` says.
    fn words(&self, part: &Part, back: Option<&HandStep>) -> Option<String> {
        let span = part.span.as_ref()?;
        match &part.action {
            Action::AddColumn { if_not_exists: true, .. } if back.is_some() => {
                let bare = self.subject.definition(span, &[]);
                Some(bare.map_or_else(|| self.subject.text(span), |bare| format!("ADD COLUMN {bare}")))
            }
            _ => Some(self.subject.text(span)),
        }
    }

    fn locks(&self) -> Vec<Target> {
        let strong = self.subject.effects.strong();
        strong.map(|it| Target { name: it.name.clone(), oid: it.oid, mode: it.mode }).collect()
    }
}

fn mark(used: &mut [bool], at: usize) {
    if let Some(used) = used.get_mut(at) {
        *used = true;
    }
}

/// `ADD .. NOT VALID` of that name.
fn adds_unproved(part: &Part, name: &str) -> bool {
    matches!(&part.action, Action::AddConstraint(it) if it.not_valid && it.name.as_deref() == Some(name))
}

/// `VALIDATE` of a constraint that another part adds.
fn is_pair(subject: &Subject<'_>, part: &Part) -> bool {
    matches!(&part.action, Action::ValidateConstraint(name)
        if subject.all_parts().iter().any(|it| adds_unproved(it, name)))
}

/// A finding about it.
fn is_of_pair(subject: &Subject<'_>, finding: &Finding) -> bool {
    subject.all_parts().iter().any(|part| part.span == finding.span && is_pair(subject, part))
}

/// The order of the passes among what reads the table.
const fn rank_of(action: &Action) -> usize {
    match action {
        Action::AddConstraint(it)
            if matches!(it.kind, ConstraintKind::Unique | ConstraintKind::PrimaryKey) =>
        {
            1
        }
        Action::AddConstraint(it) if !matches!(it.kind, ConstraintKind::NotNull) => 2,
        _ => 0,
    }
}

/// The columns that a part is about; `None` where that cannot be told, or the part moves the whole table.
fn uses(action: &Action) -> Option<Vec<(&str, Use)>> {
    Some(match action {
        Action::AddColumn { column, .. } => {
            let mut uses = vec![(column.name.as_str(), Use::Adds)];
            for constraint in &column.constraints {
                let read = read_by(constraint)?.into_iter().filter(|(name, _)| *name != column.name);
                uses.extend(read);
            }
            uses
        }
        Action::DropColumn { column, .. }
        | Action::SetType { column, .. }
        | Action::SetExpression(column)
        | Action::DropExpression(column) => vec![(column, Use::Changes)],
        Action::SetNotNull(column) | Action::DropNotNull(column) => vec![(column, Use::NotNull)],
        Action::SetDefault(column) | Action::DropDefault(column) => vec![(column, Use::Default)],
        Action::AddConstraint(constraint) => read_by(constraint)?,
        Action::ValidateConstraint(_)
        | Action::DropConstraint { .. }
        | Action::AlterConstraint(_)
        | Action::Brief
        | Action::BriefBelow(_) => Vec::new(),
        Action::Attach { .. }
        | Action::Detach { .. }
        | Action::SetTablespace(_)
        | Action::SetLogged(_)
        | Action::SetAccessMethod(_) => return None,
    })
}

fn read_by(constraint: &Constraint) -> Option<Vec<(&str, Use)>> {
    let how = match constraint.kind {
        ConstraintKind::PrimaryKey => Use::PrimaryKey,
        ConstraintKind::NotNull => Use::NotNull,
        ConstraintKind::Check
        | ConstraintKind::Unique
        | ConstraintKind::Foreign
        | ConstraintKind::Exclusion => Use::Reads,
    };
    if constraint.kind == ConstraintKind::Check {
        let words = &constraint.expression.as_ref()?.columns;
        return Some(words.iter().map(|(_, word)| (word.as_str(), how)).collect());
    }
    let columns = constraint.columns.iter().chain(&constraint.include);
    Some(columns.map(|column| (column.as_str(), how)).collect())
}

/// Whether no two parts mean the same column in ways that depend on which comes first.
fn are_compatible(uses: &[Vec<(&str, Use)>]) -> bool {
    let all: Vec<(usize, &str, Use)> = uses
        .iter()
        .enumerate()
        .flat_map(|(at, uses)| uses.iter().map(move |(name, how)| (at, *name, *how)))
        .collect();
    all.iter().enumerate().all(|(place, (part, name, how))| {
        let others = all.iter().skip(place + 1).filter(|(at, other, _)| at != part && other == name);
        others.into_iter().all(|(_, _, other)| agree(*how, *other) || agree(*other, *how))
    })
}

const fn agree(one: Use, other: Use) -> bool {
    match one {
        Use::Reads => matches!(other, Use::Reads | Use::Adds | Use::NotNull | Use::Default | Use::PrimaryKey),
        Use::Default => matches!(other, Use::Adds | Use::NotNull | Use::PrimaryKey),
        Use::Adds | Use::Changes | Use::NotNull | Use::PrimaryKey => false,
    }
}

/// Whether no part is about a constraint of another one, but for `VALIDATE` of what is added NOT VALID; and whether each gets the
/// name by itself that it would get beside the others. `picked` are the names of added constraints, part by part.
fn names_are_apart(alter: &AlterTable, picked: &[String]) -> bool {
    let of_columns = alter.parts.iter().flat_map(|part| match &part.action {
        Action::AddColumn { column, .. } => column.constraints.as_slice(),
        _ => &[],
    });
    let given = of_columns.clone().filter_map(|it| it.name.as_ref());
    let made: Vec<&String> = picked.iter().filter(|name| !name.is_empty()).chain(given).collect();
    let is_made = |name: &String| made.contains(&name);
    let meets = alter.parts.iter().any(|part| match &part.action {
        Action::DropConstraint { name, .. } => is_made(name),
        Action::AlterConstraint(it) => is_made(&it.name),
        Action::ValidateConstraint(name) => !alter.parts.iter().any(|it| adds_unproved(it, name)),
        _ => false,
    });
    // The name of a CHECK says nothing of a column where it reads several.
    let vague = |it: &Constraint| {
        let words = it.expression.as_ref().map_or(0, |it| it.columns.len());
        it.kind == ConstraintKind::Check && it.name.is_none() && words != 1
    };
    !meets && !of_columns.into_iter().any(vague)
}
