//! What becomes of long work in an open transaction: queued behind its COMMIT, or refused.

use super::decide::{Case, Found, Stands};
use super::decision::{Decision, Judgement};
use super::depend::{self, WAY_OUT};
use super::explain;
use super::moment::Standing;
use super::policy::InTransaction;
use crate::base::name::choose;
use crate::base::{Notice, RelationName, SqlState};
use crate::effects::columns_in_name;
use crate::effects::facts::{IndexFacts, Oid, RelationKind};
use crate::hazard::{self, Finding, HazardSetting, Remedy, detach_partition_blocking};
use crate::plan::{Deferral, Later, Pace, Pending, Plan, Sight};
use crate::sql::form::{Action, Form, Index};
use crate::sql::statement::{CreateIndex, Kind, Lock, Readable, Script, Statement};
use crate::sql::{edit, parse};

/// A message of more statements is not run one by one.
const APART_MAX: usize = 1_000;

/// Whether it is known which statements a message holds, and they are not too many.
pub fn can_be_told_apart(script: &Script) -> bool {
    script.readable == Readable::Whole && script.statements.len() <= APART_MAX
}

/// What becomes of a finding that has a remedy of its own outside a transaction.
pub(super) enum Elsewhere {
    /// It is let pass under the ladder, and told.
    Told(Option<Notice>),
    /// Its plan is divided.
    Queued(Plan, &'static str),
    /// Each statement of the message is looked at by itself.
    Apart,
    Refused(Notice),
}

impl Case<'_> {
    /// What becomes of a finding of a statement that does not stand alone outside a transaction.
    pub(super) fn elsewhere(&self, found: &Found) -> Elsewhere {
        let Found { tag, standing, finding } = found;
        let told = || Elsewhere::Told(finding.elsewhere.clone().map(|it| explain::with_way_out(it, finding)));
        // Where nothing is to be warned of, nobody else can see what it is about; nor what is new.
        let unseen = finding.elsewhere.is_none()
            || finding
                .about
                .as_ref()
                .and_then(|about| self.facts.relation(about))
                .is_some_and(|it| it.new_in_transaction);
        if *standing == Stands::Within || unseen || self.policy.in_transaction == InTransaction::Warn {
            return told();
        }
        if finding.hazard == detach_partition_blocking::ID {
            // What was a part is not to be found in the whole any more, also by those that look at a whole above that.
            return told();
        }
        if self.script.statements.len() > 1 {
            return if self.can_be_told_apart() { Elsewhere::Apart } else { told() };
        }
        if let (Remedy::Plan { plan, .. }, Standing::Explicit { .. }) = (&finding.remedy, self.transaction)
            && let Some(read) = of_session(plan)
        {
            return Elsewhere::Refused(without_its_table(tag, finding, read));
        }
        match (&finding.remedy, self.transaction) {
            (Remedy::Plan { plan, .. }, Standing::Explicit { .. }) if returns_rows(plan) => {
                Elsewhere::Refused(without_its_rows(tag, finding))
            }
            (Remedy::Plan { plan, form }, Standing::Explicit { .. })
                if self.policy.in_transaction == InTransaction::Defer && !self.is_part_of_part() =>
            {
                Elsewhere::Queued(plan.clone(), form)
            }
            (Remedy::Plan { plan, .. }, Standing::Implicit) if returns_rows(plan) => {
                Elsewhere::Refused(by_pieces(tag, finding))
            }
            (Remedy::Plan { .. }, Standing::Implicit) => Elsewhere::Refused(in_a_batch(tag, finding)),
            (Remedy::Plan { .. }, _) => Elsewhere::Refused(in_a_transaction(tag, finding)),
            (Remedy::Refuse(refusal), _) => {
                Elsewhere::Refused(explain::with_way_out(refusal.clone(), finding))
            }
            _ => told(),
        }
    }

    /// Whether it makes something a partition of what is one itself: what looks at the whole above that does not name it.
    fn is_part_of_part(&self) -> bool {
        let statement = self.script.statements.first();
        let parent = statement.and_then(|statement| match &statement.form {
            Form::AlterTable(alter) => {
                let attaches = alter.parts.iter().any(|part| matches!(part.action, Action::Attach { .. }));
                attaches.then_some(&alter.target)
            }
            Form::CreateTable(table) => table.partition_of.as_ref(),
            _ => None,
        });
        parent.and_then(|parent| self.facts.table(parent)).is_some_and(|table| table.parent.is_some())
    }

    /// Whether it has to be seen by itself what helps against a finding, since it is one of several statements of a message.
    pub(super) fn is_seen_alone(&self, finding: &Finding) -> bool {
        let planned =
            hazard::by_id(finding.hazard).is_some_and(|hazard| hazard.default == HazardSetting::Plan);
        planned
            && self.script.statements.len() > 1
            && self.policy.in_transaction != InTransaction::Warn
            && matches!(finding.remedy, Remedy::Ladder { warning: Some(_) })
            && self.can_be_told_apart()
    }

    /// Whether the statements of a message may be run one by one: in a block, or in those of ours around what stands between others.
    pub(super) fn can_be_told_apart(&self) -> bool {
        can_be_told_apart(self.script) && self.transaction != Standing::Implicit
    }

    /// The statement with its plan divided, or whole where it has none.
    pub(super) fn deferred(
        &self,
        plan: Option<&Plan>,
        touched: Vec<(RelationName, Option<Oid>)>,
        judgement: Judgement,
    ) -> Judgement {
        let Some(statement) = self.script.statements.first() else { return judgement };
        if statement.tag == depend::SET_CONSTRAINTS {
            // What is queued is checked when it is made.
            let nothing = Deferral { now: Vec::new(), later: Vec::new(), tag: statement.tag };
            return Judgement { decision: Decision::Defer(Box::new(nothing)), ..judgement };
        }
        let whole = Later::whole(self.script.text.as_bytes().to_vec(), statement, touched);
        let mut deferral = match plan {
            Some(plan) => Deferral::of_plan(plan, self.script.dialect, whole),
            None => Deferral::whole(whole),
        };
        for later in &mut deferral.later {
            self.name(later);
            self.add_who_sees(&mut later.pending);
        }
        if matches!(statement.kind, Kind::DropIndex(_)) && !self.may_forbid_rows(statement) {
            deferral.later.iter_mut().for_each(|later| later.pending.sight = Sight::Hidden);
        }
        if deferral.later.is_empty() && deferral.now.is_empty() {
            return judgement;
        }
        Judgement { decision: Decision::Defer(Box::new(deferral)), ..judgement }
    }

    /// Rows that are only queued are looked at under other names, too.
    fn add_who_sees(&self, pending: &mut Pending) {
        if pending.sight != Sight::Rows {
            return;
        }
        let known = pending.names.iter().filter_map(|name| self.facts.relation(name)?.table.as_ref());
        let seen_by: Vec<_> = known.flat_map(|table| table.seen_by.iter().cloned()).collect();
        for (name, oid) in seen_by {
            pending.names.push(name);
            pending.oids.push(oid);
        }
    }

    /// Whether an index that is dropped may forbid rows that may be once it is gone.
    fn may_forbid_rows(&self, statement: &Statement) -> bool {
        let unique = |index: &IndexFacts| index.definition.starts_with("CREATE UNIQUE");
        let index = |lock: &Lock| self.facts.relation(&lock.name)?.index.as_ref();
        statement.locks.iter().any(|lock| index(lock).is_none_or(unique))
    }

    /// The name of an index that is queued already under that name.
    pub(super) fn is_queued_already(&self, deferral: &Deferral) -> Option<String> {
        let indexes = deferral.later.iter().filter(|later| later.tag == "CREATE INDEX");
        let mut names = indexes.flat_map(|later| &later.pending.made);
        let queued = |name: &&String| {
            let last = self.queued.iter().rev().find(|it| it.made.contains(name) || it.gone.contains(name));
            last.is_some_and(|pending| pending.made.contains(name))
        };
        names.find(queued).cloned()
    }

    /// The name of an index that is made unless it exists, where it is queued: once that is committed it exists.
    pub(super) fn is_queued_unless_exists(&self) -> Option<String> {
        let [statement] = self.script.statements.as_slice() else { return None };
        let Kind::CreateIndex(CreateIndex { unless_exists: Some(name), .. }) = &statement.kind else {
            return None;
        };
        // Otherwise the server says what is wrong with its table.
        let table = statement.locks.first().and_then(|lock| self.facts.relation(&lock.name))?;
        let kinds = [RelationKind::Table, RelationKind::PartitionedTable, RelationKind::MaterializedView];
        if !kinds.contains(&table.kind) {
            return None;
        }
        let named = |it: &&Pending| it.made.contains(&name.name) || it.gone.contains(&name.name);
        let last = self.queued.iter().rev().find(named)?;
        last.made.contains(&name.name).then(|| name.name.clone())
    }

    /// Names an index as Postgres would, so that it is known again.
    fn name(&self, later: &mut Later) {
        let script = parse(&later.sql, self.script.dialect);
        let [statement] = script.statements.as_slice() else { return };
        let Form::CreateIndex(index) = &statement.form else { return };
        if index.name.is_some() {
            return;
        }
        let name = self.free_name(index);
        if let Some(sql) = edit::unless_exists(&script, &name) {
            later.sql = sql;
            later.pending.made.push(name);
            later.title = crate::plan::deferral::title_of(&later.sql, self.script.dialect);
        }
    }

    fn free_name(&self, index: &Index) -> String {
        let beside = self.facts.taken(&index.table).map(|it| it.relations.as_slice()).unwrap_or_default();
        let queued = self.queued.iter().flat_map(|pending| &pending.made);
        let taken: Vec<&str> = beside.iter().chain(queued).map(String::as_str).collect();
        choose(&[&index.table.name, &columns_in_name(index), "idx"], &taken)
    }
}

/// Whether the client is to get the rows that are written.
fn returns_rows(plan: &Plan) -> bool {
    plan.steps.iter().any(|step| matches!(&step.pace, Pace::Bulk(bulk) if bulk.returns_rows()))
}

/// The temporary table that its rows are taken from.
fn of_session(plan: &Plan) -> Option<&RelationName> {
    plan.steps.iter().find_map(|step| match &step.pace {
        Pace::Bulk(bulk) => bulk.of_session.as_ref(),
        _ => None,
    })
}

fn without_its_table(tag: &str, finding: &Finding, read: &RelationName) -> Notice {
    let message = format!("{tag} that reads a temporary table cannot be deferred");
    Notice::error(SqlState::FEATURE_NOT_SUPPORTED, message)
        .detail(format!("{} Behind the COMMIT {read} may be empty or gone.", finding.why))
        .hint(WAY_OUT)
}

fn without_its_rows(tag: &str, finding: &Finding) -> Notice {
    let message = format!("{tag} with RETURNING cannot be deferred");
    Notice::error(SqlState::FEATURE_NOT_SUPPORTED, message)
        .detail(format!("{} Its rows are not there before the COMMIT.", finding.why))
        .hint(WAY_OUT)
}

fn by_pieces(tag: &str, finding: &Finding) -> Notice {
    let message = format!(
        "{tag} with RETURNING is written in batches only where it stands alone and all its rows are taken at once"
    );
    Notice::error(SqlState::FEATURE_NOT_SUPPORTED, message)
        .detail(format!("{} Each batch hands its rows out as it commits.", finding.why))
        .hint("Execute it without a limit on rows (a fetch size), as the only statement before its Sync, or leave RETURNING out.")
}

fn in_a_batch(tag: &str, finding: &Finding) -> Notice {
    let message = format!("{tag} cannot be deferred in a pipeline without a transaction block");
    Notice::error(SqlState::FEATURE_NOT_SUPPORTED, message).detail(finding.why.clone()).hint(
        "Send a Sync before and behind it, so that it stands alone, or BEGIN and COMMIT around all of it.",
    )
}

fn in_a_transaction(tag: &str, finding: &Finding) -> Notice {
    let message = format!("{tag} is refused inside a transaction: {}", finding.hazard);
    Notice::error(SqlState::FEATURE_NOT_SUPPORTED, message).detail(finding.why.clone()).hint(WAY_OUT)
}
