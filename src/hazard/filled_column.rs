//! A new column whose rows each get a value of their own: added without, filled while others work.

use std::ops::Range;

use super::new_column::joined;
use super::{Finding, Subject};
use crate::base::name::written;
use crate::base::{LockMode, RelationName};
use crate::effects::Cause;
use crate::plan::by_hand::{self, alter, spelled, unique_using_index, validate};
use crate::plan::column::{self, Filled, Proved};
use crate::plan::{HandStep, Plan, Target};
use crate::sql::form::{Action, Column, Constraint, ConstraintKind, Part};
use crate::sql::lex::Token;

/// The hazards of columns that are filled.
pub(super) const HAZARDS: [&str; 3] =
    [super::add_volatile_default::ID, super::add_serial_column::ID, super::add_identity_column::ID];

/// The way to a column that is filled, and whether lockkeeper may go it.
pub(super) struct Filling {
    hand: Vec<HandStep>,
    plan: Result<Plan, WhyNot>,
}

/// Why there is no plan.
pub(super) enum WhyNot {
    /// Nobody knows the table, the server refuses the statement itself, or it stands where no plan can: it runs as sent.
    AsSent,
    /// There is no way for lockkeeper to fill the column unnoticed; a sentence.
    NoWay(String),
}

impl WhyNot {
    /// The words of the statement could mean something else than is understood of them.
    fn unsure() -> Self {
        Self::NoWay(
            "It could be filled in batches, but lockkeeper cannot take its definition apart beyond doubt."
                .to_owned(),
        )
    }
}

/// What is done, in the order in which it is done.
struct Steps {
    add: Vec<HandStep>,
    proved: Vec<Proved>,
    /// The way by hand to these.
    proofs: Vec<HandStep>,
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
            Err(WhyNot::AsSent) => finding.by_hand(self.hand),
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
        let (Action::AddColumn { column, .. }, Some(target)) = (&part.action, self.target()) else {
            return Filling { hand: Vec::new(), plan: Err(WhyNot::AsSent) };
        };
        let words = "add the column without a value for the rows that are there; set its default; fill it in batches by key; then \
                     add each constraint";
        let steps = self.filling_steps(target, part, column);
        let hand =
            steps.as_ref().map_or_else(|_| vec![HandStep::words(words)], |it| it.by_hand(target, column));
        Filling { hand, plan: self.filling_plan(hazard, column, steps) }
    }

    fn filling_plan(
        &self,
        hazard: &'static str,
        column: &Column,
        steps: Result<Steps, WhyNot>,
    ) -> Result<Plan, WhyNot> {
        let table = self.filled_table(column).ok_or(WhyNot::AsSent)?;
        if let Some(why) = self.why_not_filled(&table, column) {
            return Err(WhyNot::NoWay(why));
        }
        let steps = steps?;
        let names: Vec<&str> = steps.proved.iter().map(|it| it.name.as_str()).collect();
        if let Some(why) = table.why_not_named(&names) {
            return Err(WhyNot::NoWay(why));
        }
        let unique =
            steps.unique.as_ref().map(|(index, hand)| (self.beside(table.name, index), hand.as_slice()));
        Ok(column::filled(
            hazard,
            Filled {
                tables: &table.targets(LockMode::AccessExclusive),
                oid: table.relation.oid,
                column: &column.name,
                add: &steps.add,
                ranges: table.filled(&column.name),
                proved: &steps.proved,
                not_null: &steps.not_null,
                unique,
                last: &steps.last,
            },
        ))
    }

    fn filling_steps(&self, target: &RelationName, part: &Part, column: &Column) -> Result<Steps, WhyNot> {
        let unsure = WhyNot::unsure;
        let span = part.span.as_ref().ok_or_else(unsure)?;
        let numbers = self.numbers(target, column).ok_or_else(unsure)?;
        let not_null: Vec<&Constraint> = of_kind(column, |kind| kind == ConstraintKind::NotNull).collect();
        let keys: Vec<&Constraint> = of_kind(column, is_key).collect();
        if not_null.len() > 1 || keys.len() > 1 {
            return Err(unsure());
        }
        let mut away = vec![self.values_span(column, span).ok_or_else(unsure)?];
        let (mut names, mut proved, mut proofs, mut unique) = (Vec::new(), Vec::new(), Vec::new(), None);
        for constraint in &column.constraints {
            let stays = constraint.not_enforced;
            if !stays {
                away.push(constraint.span.clone().ok_or_else(unsure)?);
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
                _ => {
                    let (it, hand) = self.proved(target, column, constraint, &name).ok_or_else(unsure)?;
                    proved.push(it);
                    proofs.extend(hand);
                }
            }
            names.push(name);
        }
        let primary = keys.iter().any(|it| it.kind == ConstraintKind::PrimaryKey);
        let implied = column.identity.is_some() || column.ty.is_serial() || primary;
        let not_null = match not_null.first() {
            None if !implied => Vec::new(),
            given => self.made_not_null(target, column, given.and_then(|it| it.name.as_deref()), &names),
        };
        let kept = self.kept(span, &away).ok_or_else(unsure)?;
        // `NULL` contradicts what is taken out (`transformColumnDefinition` in `parse_utilcmd.c`).
        if !not_null.is_empty() && kept.1.iter().any(|token| token.is_word(&kept.0, "null")) {
            return Err(WhyNot::AsSent);
        }
        let bare = bare(&kept, numbers.ty).ok_or_else(unsure)?;
        let (name, default) = (written(&column.name), numbers.default);
        let mut add = numbers.before;
        add.push(alter(target, &format!("ADD COLUMN {bare}, ALTER COLUMN {name} SET DEFAULT {default}")));
        add.extend(numbers.behind);
        Ok(Steps { add, proved, proofs, not_null, unique, last: numbers.last })
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
    ) -> Option<(Proved, Vec<HandStep>)> {
        let definition = format!("CONSTRAINT {} {}", written(name), self.as_of_table(column, constraint)?);
        let (add, validate) = (alter(target, &format!("ADD {definition} NOT VALID")), validate(target, name));
        let own = |mode| self.filled_table(column).map(|table| table.targets(mode)).unwrap_or_default();
        let locks = match &constraint.references {
            None => own(LockMode::AccessExclusive),
            Some(key) => {
                let other = self.facts.relation(&key.table).map(|it| it.oid);
                let mode = LockMode::ShareRowExclusive;
                let other = Target { name: key.table.clone(), oid: other, mode };
                own(mode).into_iter().chain([other].into_iter().filter(|it| it.name != *target)).collect()
            }
        };
        let hand = match self.filled_table(column) {
            Some(_) if constraint.references.is_some() && self.takes_no_unproved_key(target) => {
                by_hand::key_on_leaves(self.leaves(target), target, name, &definition)
            }
            _ => vec![add.clone(), validate.clone()],
        };
        Some((Proved { name: name.to_owned(), locks, add, validate }, hand))
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

    /// The definition without what is taken out.
    fn kept(&self, part: &Range<usize>, away: &[Range<usize>]) -> Option<(String, Vec<Token>)> {
        // A collation is the column's, wherever it stands.
        let hides = |span: &Range<usize>| {
            let text = self.text(span);
            self.top_words(&text).iter().any(|word| matches!(word.as_str(), "collate" | "inherit"))
        };
        self.definition_tokens(part, away).filter(|_| !away.iter().any(hides))
    }
}

/// What is kept of a definition, with another word for the type.
fn bare((text, kept): &(String, Vec<Token>), ty: Option<&str>) -> Option<String> {
    match (ty, kept.split_at_checked(2)?) {
        (None, _) => Some(joined(text, kept)),
        (Some(ty), (head, rest)) => {
            let name = head.first()?.text(text);
            Some(format!("{name} {ty}{}", space_before(&joined(text, rest))))
        }
    }
}

impl Steps {
    fn by_hand(&self, target: &RelationName, column: &Column) -> Vec<HandStep> {
        let fill = by_hand::backfill(&spelled(target), &written(&column.name), "DEFAULT");
        let proved = self.proofs.iter().cloned();
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

pub(super) const fn is_key(kind: ConstraintKind) -> bool {
    matches!(kind, ConstraintKind::Unique | ConstraintKind::PrimaryKey)
}

pub(super) fn space_before(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!(" {words}") }
}
