//! Where a hazard has an online way but not for this statement: it does not run as sent, since it would do what the hazard says.

use super::attach_partition_scan::READ_IN_NO_TIME_BYTES;
use super::{Finding, HazardSetting, Remedy, Subject, by_id};
use crate::base::RelationName;
use crate::effects::facts::{Relation, RelationKind, Seen, TableFacts};
use crate::effects::{Cause, Work};
use crate::sql::form::{Action, Constraint, ConstraintKind, Form, Part};

/// The finding, refused where no plan takes the place of the statement though it would work under its lock; what the server
/// refuses itself is left to it.
pub(super) fn or_refused(subject: &Subject<'_>, finding: Finding) -> Finding {
    let planned = by_id(finding.hazard).is_some_and(|hazard| hazard.default == HazardSetting::Plan);
    let as_sent = matches!(&finding.remedy, Remedy::Ladder { warning: Some(_) });
    if !planned
        || !as_sent
        || is_filled(subject, &finding)
        || !works(subject, &finding)
        || is_the_servers(subject, &finding)
    {
        return finding;
    }
    finding.refused_since(why(subject))
}

/// Whether it is about a new column that is filled: whoever looks for that knows himself what has no way.
fn is_filled(subject: &Subject<'_>, finding: &Finding) -> bool {
    let fills = [Cause::VolatileDefault, Cause::Serial, Cause::Identity];
    let of_part = |at| part_of(subject, at).is_some_and(|part| part.span == finding.span);
    subject.effects.work.iter().any(|work| fills.contains(&work.cause) && of_part(work.part))
}

/// Whether what the finding is about works on something that others use.
fn works(subject: &Subject<'_>, finding: &Finding) -> bool {
    let concerns =
        |at| finding.span.is_none() || part_of(subject, at).is_some_and(|it| it.span == finding.span);
    subject.effects.work.iter().any(|work| work.exposed && concerns(work.part) && !is_read_in_no_time(work))
}

/// A default partition is often empty, and its parent big.
fn is_read_in_no_time(work: &Work) -> bool {
    work.cause == Cause::DefaultPartition && work.bytes.is_some_and(|bytes| bytes <= READ_IN_NO_TIME_BYTES)
}

fn part_of<'a>(subject: &Subject<'a>, at: usize) -> Option<&'a Part> {
    subject.all_parts().get(at)
}

/// Why no plan takes its place, as far as there is more to say than that.
fn why(subject: &Subject<'_>) -> &'static str {
    let kin = subject.target().is_some_and(|table| subject.has_kin(table));
    match subject.script.statements.len() {
        _ if kin => {
            "It could be done in steps, but not unseen on a table that inherits or is inherited from: what is taken back there \
             would take from the other tables what they had before."
        }
        1 if !subject.is_readable_alone() => {
            "It could be done in steps, but its text or the names that it concerns cannot be read beyond doubt in this \
             client_encoding; SET client_encoding = 'UTF8' helps."
        }
        1 if subject.all_parts().len() > 1 => {
            "Each part could be done by itself, but these depend on each other, or one of them has no online way."
        }
        _ => "It could be done in steps, but not beyond doubt in this form.",
    }
}

/// Whether the server has an error of its own for it, most likely, or its relation is not known.
fn is_the_servers(subject: &Subject<'_>, finding: &Finding) -> bool {
    let about = finding.about.as_ref().is_some_and(|about| !is_others_table(subject, about));
    let touched = subject.effects.strong().all(|touched| !is_others_table(subject, &touched.name));
    let part = subject.parts().iter().filter(|part| finding.span.is_none() || part.span == finding.span);
    let table = subject.target().and_then(|table| subject.facts.table(table));
    let lacks = subject.lacks_what_it_changes();
    about
        || touched
        || lacks
        || part.into_iter().any(|part| table.is_none_or(|table| fails(subject, table, part)))
}

/// Whether a name means something that is there and no part of the server's own catalogue.
fn is_others_table(subject: &Subject<'_>, name: &RelationName) -> bool {
    matches!(subject.facts.see(name), Seen::Known(Relation { system: false, .. }))
}

fn fails(subject: &Subject<'_>, table: &TableFacts, part: &Part) -> bool {
    let Some(target) = subject.target() else { return false };
    let unknown = |constraint: &Constraint| {
        constraint.references.as_ref().is_some_and(|key| !is_others_table(subject, &key.table))
    };
    let lacks = |column: &String| subject.has_not(table, column);
    // What the same statement drops goes first, and leaves its name.
    let drops = subject.all_parts().iter().any(|part| matches!(part.action, Action::DropConstraint { .. }));
    let refused = |constraint: &Constraint| !drops && subject.is_refused_anyway(target, constraint);
    let only = matches!(&subject.statement.form, Form::AlterTable(alter) if alter.only);
    // Whatever others inherit is added to all of them (`ATPrepAddColumn`, `ATAddCheckNNConstraint` in `tablecmds.c`).
    let parted = only && !(table.heirs.is_empty() && table.partitions.is_empty());
    match &part.action {
        Action::AddColumn { .. } if parted => true,
        Action::AddConstraint(constraint) if parted && constraint.kind == ConstraintKind::Check => true,
        Action::AddConstraint(constraint) if only && constraint.kind == ConstraintKind::Foreign => {
            !table.partitions.is_empty()
        }
        Action::AddConstraint(constraint) => {
            let unproved = |column: &String| table.not_null(column).is_some_and(|known| !known.validated);
            let primary = constraint.kind == ConstraintKind::PrimaryKey;
            let columns = &constraint.columns;
            let hopeless = columns.iter().any(lacks) || (primary && columns.iter().any(unproved));
            hopeless || refused(constraint) || unknown(constraint)
        }
        Action::AddColumn { column, .. } => {
            !lacks(&column.name) || column.constraints.iter().any(|it| refused(it) || unknown(it))
        }
        Action::SetNotNull(column) => {
            // `SET NOT NULL` refuses what `VALIDATE` does not mind (`ATExecSetNotNull` in `tablecmds.c`).
            lacks(column)
                || table.not_null(column).is_some_and(|known| known.definition.contains(" NO INHERIT"))
        }
        Action::Attach { child, .. } => match subject.facts.see(child) {
            Seen::Known(relation) => {
                !matches!(relation.kind, RelationKind::Table | RelationKind::PartitionedTable)
                    || relation
                        .table
                        .as_ref()
                        .is_some_and(|child| child.parent.is_some() || child.is_laxer(table))
            }
            _ => true,
        },
        _ => false,
    }
}
