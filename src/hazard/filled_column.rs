//! A new column whose rows each get a value of their own: added without, filled while others work.

use std::ops::Range;

use super::new_column::joined;
use super::{Finding, Subject};
use crate::base::name::written;
use crate::base::{LockMode, RelationName};
use crate::effects::Cause;
use crate::effects::facts::{TableFacts, TypeKind};
use crate::plan::backfill::{self, Left};
use crate::plan::by_hand::{self, alter, spelled, unique_using_index, validate};
use crate::plan::column::{self, Filled, Proved};
use crate::plan::{HandStep, Plan, Ranges, Target};
use crate::sql::Encoding;
use crate::sql::form::{Action, Column, Constraint, ConstraintKind, Part};
use crate::sql::lex::Token;

/// The work that the plan does in another way.
const DONE_OTHERWISE: [Cause; 6] = [
    Cause::VolatileDefault,
    Cause::Serial,
    Cause::Identity,
    Cause::ColumnCheck,
    Cause::ColumnUnique,
    Cause::ColumnReference,
];

/// The way to a column that is filled, and whether lockkeeper may go it.
pub(super) struct Filling {
    hand: Vec<HandStep>,
    plan: Result<Plan, WhyNot>,
}

/// Why there is no plan.
enum WhyNot {
    /// It stands where no plan can, or is not understood beyond doubt.
    Unsure,
    /// There is no way to fill the column unnoticed; a sentence.
    NoWay(String),
}

/// What is done, in the order in which it is done.
struct Steps {
    add: Vec<HandStep>,
    proved: Vec<Proved>,
    not_null: Vec<HandStep>,
    unique: Option<(String, Vec<HandStep>)>,
    last: Vec<HandStep>,
}

impl Filling {
    /// The finding with its way; one that there is no way for is refused.
    pub(super) fn of(self, finding: Finding) -> Finding {
        match self.plan {
            Ok(plan) => finding
                .by_hand(self.hand)
                .online(Some(plan), "steps that add the column and fill it while others work"),
            Err(WhyNot::Unsure) => finding.by_hand(self.hand),
            Err(WhyNot::NoWay(why)) => finding.by_hand(self.hand).refused_since(&why),
        }
    }

    /// The steps by hand, and the plan if there is one.
    pub(super) fn into_parts(self) -> (Vec<HandStep>, Option<Plan>) {
        (self.hand, self.plan.ok())
    }
}

/// Whether each row gets a value of its own when the column is added.
pub(super) fn is_filled(subject: &Subject<'_>) -> bool {
    subject.work(&[Cause::VolatileDefault, Cause::Serial, Cause::Identity]).is_some()
}

impl Subject<'_> {
    /// How a column is added and filled, and the plan that does it.
    pub(super) fn filled_column(&self, hazard: &'static str, part: &Part) -> Filling {
        let unsure = |hand| Filling { hand, plan: Err(WhyNot::Unsure) };
        let words = "add the column without a value for the rows that are there; set its default; fill it in batches by key; then \
                     add each constraint";
        let (Action::AddColumn { column, .. }, Some(target)) = (&part.action, self.target()) else {
            return unsure(Vec::new());
        };
        let Some(steps) = self.filling_steps(target, part, column) else {
            return unsure(vec![HandStep::words(words)]);
        };
        let plan = self.filling_plan(hazard, column, &steps);
        Filling { hand: steps.by_hand(target, column), plan }
    }

    fn filling_plan(&self, hazard: &'static str, column: &Column, steps: &Steps) -> Result<Plan, WhyNot> {
        let table = self.replaceable(LockMode::AccessExclusive).ok_or(WhyNot::Unsure)?;
        let (oid, facts) = table.oid.zip(self.facts.table(&table.name)).ok_or(WhyNot::Unsure)?;
        let known = self.work.iter().all(|work| DONE_OTHERWISE.contains(&work.cause));
        let refused_anyway = facts.column(&column.name).is_some()
            || column.constraints.iter().any(|it| self.is_refused_anyway(&table.name, it));
        let apart = column
            .constraints
            .iter()
            .all(|it| !is_key(it.kind) || (self.can_be_built_apart(it) && !it.not_enforced));
        let unsure = !known || refused_anyway || !apart || self.has_kin(&table.name);
        if unsure || steps.proved.iter().any(|it| it.locks.is_empty()) {
            return Err(WhyNot::Unsure);
        }
        if let Some(why) = self.why_not_filled(&table.name, column, facts) {
            return Err(WhyNot::NoWay(why));
        }
        let key = backfill::key_of(facts).ok_or_else(|| WhyNot::NoWay(no_key(&table.name)))?;
        let name = written(&column.name);
        let ranges = Ranges {
            table: table.name.clone(),
            key,
            verb: format!("UPDATE {} SET {name} = DEFAULT", spelled(&table.name)),
            condition: format!("{name} IS NULL"),
            left: Left::LookedFor,
            rows: facts.rows,
        };
        let unique =
            steps.unique.as_ref().map(|(index, hand)| (self.beside(&table.name, index), hand.as_slice()));
        Ok(column::filled(
            hazard,
            Filled {
                table: &table,
                oid,
                column: &column.name,
                add: &steps.add,
                ranges,
                proved: &steps.proved,
                not_null: &steps.not_null,
                unique,
                last: &steps.last,
            },
        ))
    }

    /// What an UPDATE of every row would do that the plain statement does not.
    fn why_not_filled(&self, table: &RelationName, column: &Column, facts: &TableFacts) -> Option<String> {
        if self.facts.ty(&column.ty).is_some_and(|ty| ty.kind == TypeKind::ConstrainedDomain) {
            return Some(format!(
                "Its type {} is a domain with constraints, for which the table is written again whatever its default.",
                column.ty
            ));
        }
        if let Some(trigger) = facts.update_triggers.first() {
            return Some(format!(
                "It could be filled in batches, but each UPDATE would fire the trigger {} of {table}, which the statement itself \
                 does not. A superuser can fill it with session_replication_role set to replica, which fires none.",
                written(trigger)
            ));
        }
        if let Some(rule) = facts.update_rules.first() {
            let rule = written(rule);
            return Some(format!(
                "It could be filled in batches, but the rule {rule} of {table} stands in for each UPDATE."
            ));
        }
        if facts.row_security {
            return Some(format!(
                "It could be filled in batches, but the row security of {table} hides rows from this role."
            ));
        }
        let readable = self.script.dialect.encoding == Encoding::Utf8;
        (!readable).then(|| {
            "It could be filled in batches by key, but only where client_encoding is UTF8.".to_owned()
        })
    }

    fn filling_steps(&self, target: &RelationName, part: &Part, column: &Column) -> Option<Steps> {
        let span = part.span.as_ref()?;
        let numbers = self.numbers(target, column)?;
        let not_null: Vec<&Constraint> = of_kind(column, |kind| kind == ConstraintKind::NotNull).collect();
        let keys: Vec<&Constraint> = of_kind(column, is_key).collect();
        if not_null.len() > 1 || keys.len() > 1 || column.generated.is_some() {
            return None;
        }
        let mut away = vec![self.values_span(column, span)?];
        let (mut names, mut proved, mut unique) = (Vec::new(), Vec::new(), None);
        for constraint in &column.constraints {
            let stays = constraint.not_enforced;
            if !stays {
                away.push(constraint.span.clone()?);
            }
            if constraint.kind == ConstraintKind::NotNull {
                continue;
            }
            let name = self.name_of(target, column, constraint, &names);
            match constraint.kind {
                _ if stays => {}
                kind if is_key(kind) => {
                    unique = Some((name.clone(), unique_using_index(target, &name, constraint)));
                }
                _ => proved.push(self.proved(target, column, constraint, &name)?),
            }
            names.push(name);
        }
        let bare = self.bare(span, &away, numbers.ty)?;
        let (name, default) = (written(&column.name), numbers.default);
        let mut add = numbers.before;
        add.push(alter(target, &format!("ADD COLUMN {bare}, ALTER COLUMN {name} SET DEFAULT {default}")));
        add.extend(numbers.behind);
        let primary = keys.iter().any(|it| it.kind == ConstraintKind::PrimaryKey);
        let implied = column.identity.is_some() || column.ty.is_serial() || primary;
        let not_null = match not_null.first() {
            None if !implied => Vec::new(),
            given => self.made_not_null(target, column, given.and_then(|it| it.name.as_deref()), &names),
        };
        Some(Steps { add, proved, not_null, unique, last: numbers.last })
    }

    fn made_not_null(
        &self,
        target: &RelationName,
        column: &Column,
        name: Option<&str>,
        also: &[String],
    ) -> Vec<HandStep> {
        let version = self.facts.server_version;
        if let Some(name) = name {
            return by_hand::set_not_null_called(target, &column.name, name, version);
        }
        let mut taken = self.naming().constraints_taken(target);
        taken.extend(also.iter().map(String::as_str));
        by_hand::set_not_null(target, &column.name, &taken, version)
    }

    /// A constraint that is added to the table once the column is filled.
    fn proved(
        &self,
        target: &RelationName,
        column: &Column,
        constraint: &Constraint,
        name: &str,
    ) -> Option<Proved> {
        let words = self.as_of_table(column, constraint)?;
        let add = alter(target, &format!("ADD CONSTRAINT {} {words} NOT VALID", written(name)));
        let own = |mode| self.replaceable(mode).into_iter();
        let locks = match &constraint.references {
            None => own(LockMode::AccessExclusive).collect(),
            Some(key) => {
                let other = self.facts.relation(&key.table).map(|it| it.oid);
                let mode = LockMode::ShareRowExclusive;
                let other = Target { name: key.table.clone(), oid: other, mode };
                own(mode).chain([other].into_iter().filter(|it| it.name != *target)).collect()
            }
        };
        Some(Proved { name: name.to_owned(), locks, add, validate: validate(target, name) })
    }

    /// The words of a column's definition that say where its values come from.
    fn values_span(&self, column: &Column, part: &Range<usize>) -> Option<Range<usize>> {
        if column.identity.is_some() {
            return column.identity_span.clone();
        }
        let Some(default) = &column.default else { return Some(part.end..part.end) };
        let text = self.text(&(part.start..default.span.start));
        let word = self.tokens(&text).last().copied().filter(|token| token.is_word(&text, "default"))?;
        Some(part.start + word.start..default.span.end)
    }

    /// The definition without what is taken out, with another word for the type.
    fn bare(&self, part: &Range<usize>, away: &[Range<usize>], ty: Option<&str>) -> Option<String> {
        // A collation is the column's, wherever it stands, and NULL contradicts what is taken out.
        let hides = |span: &Range<usize>| {
            let text = self.text(span);
            self.top_words(&text).iter().any(|word| matches!(word.as_str(), "collate" | "inherit"))
        };
        let (text, kept) = self.definition_tokens(part, away)?;
        let contradicts = |token: &Token| token.is_word(&text, "null");
        if away.iter().any(hides) || kept.iter().any(contradicts) {
            return None;
        }
        match (ty, kept.split_at_checked(2)?) {
            (None, _) if kept.is_empty() => None,
            (None, _) => Some(joined(&text, &kept)),
            (Some(ty), (head, rest)) => {
                let name = head.first()?.text(&text);
                Some(format!("{name} {ty}{}", space_before(&joined(&text, rest))))
            }
        }
    }
}

impl Steps {
    fn by_hand(&self, target: &RelationName, column: &Column) -> Vec<HandStep> {
        let fill = by_hand::backfill(&spelled(target), &written(&column.name), "DEFAULT");
        let proved = self.proved.iter().flat_map(|it| [it.add.clone(), it.validate.clone()]);
        let unique = self.unique.iter().flat_map(|(_, hand)| hand.clone());
        let mut steps: Vec<HandStep> = self.add.iter().cloned().chain(fill).chain(proved).collect();
        steps.extend(self.not_null.iter().cloned().chain(unique));
        if !self.last.is_empty() {
            // The new sequence begins anew until it is set: nobody may write a row before.
            let all: Vec<&str> = self.last.iter().map(|step| step.sql.as_str()).collect();
            steps.push(HandStep::anywhere(format!("BEGIN; {}; COMMIT", all.join("; "))));
        }
        steps
    }
}

fn of_kind(column: &Column, is: impl Fn(ConstraintKind) -> bool) -> impl Iterator<Item = &Constraint> {
    column.constraints.iter().filter(move |it| is(it.kind))
}

const fn is_key(kind: ConstraintKind) -> bool {
    matches!(kind, ConstraintKind::Unique | ConstraintKind::PrimaryKey)
}

fn no_key(table: &RelationName) -> String {
    format!(
        "It could be filled in batches, but {table} has no unique index on columns that are NOT NULL to tell them apart by. Add a \
         primary key first."
    )
}

pub(super) fn space_before(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!(" {words}") }
}
