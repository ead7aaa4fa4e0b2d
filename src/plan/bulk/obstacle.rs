//! What stands in the way of cutting a statement: where its batches together would not do the same, a sentence that says why.

use crate::base::RelationName;
use crate::base::name::written;
use crate::effects::facts::{
    ConstraintFacts, Facts, FillFacts, Oid, Relation, RelationKind, TableFacts, Volatility, WriteTrigger,
};
use crate::sql::Pieces;
use crate::sql::form::{ConstraintKind, FunctionName, WriteVerb};
use crate::sql::pieces::Odd;

/// What the rules, triggers and policies of a partitioned table, which those of its leaves are not, say against it; and what its rows are
/// like when they are handed out.
pub(super) fn of_the_whole(pieces: &Pieces, table: &RelationName, facts: &TableFacts) -> Option<String> {
    let all_columns = || {
        let whole = pieces.whole_row && !facts.columns.iter().any(|column| column.name == pieces.called);
        (whole || pieces.hands_out_all).then(|| {
            format!("it names all columns of {table} together, which may stand in another order in a partition. Name them.")
        })
    };
    let with_schema = || {
        pieces.with_schema.then(|| {
            format!("it names columns with the schema of {table}, which is not that of each partition. Leave it out.")
        })
    };
    barred(pieces, table, &facts.fill).or_else(all_columns).or_else(with_schema)
}

/// What stands in for a statement about a table, or sees more than its rows one by one.
pub(super) fn barred(pieces: &Pieces, table: &RelationName, fill: &FillFacts) -> Option<String> {
    let rules = if pieces.verb == WriteVerb::Delete { &fill.delete_rules } else { &fill.rules };
    let rule = rules.first().map(|rule| {
        format!("the rule {} of {table} stands in for each {}.", written(rule), pieces.verb.name())
    });
    rule.or_else(|| statement_triggers(pieces, table, fill))
        .or_else(|| row_triggers(pieces, table, fill))
        .or_else(|| {
            fill.row_security.then(|| format!("the row security of {table} hides rows from this role."))
        })
}

pub(super) fn not_a_table(relation: &Relation, pieces: &Pieces) -> Option<String> {
    let name = &pieces.table;
    let kin = relation.table.as_deref().is_some_and(|table| !table.heirs.is_empty() || table.has_kin);
    match relation.kind {
        RelationKind::View | RelationKind::MaterializedView => {
            Some(format!("{name} is a view, whose rows have no key of their own."))
        }
        RelationKind::ForeignTable => Some(format!("{name} is a foreign table.")),
        RelationKind::Table if kin => {
            Some(format!("{name} inherits or is inherited from, so that no key tells its rows apart."))
        }
        RelationKind::PartitionedTable if pieces.only => {
            Some(format!("{name} is partitioned, and with ONLY there is nothing in it."))
        }
        RelationKind::Table | RelationKind::PartitionedTable => None,
        _ => Some(format!("{name} is no table.")),
    }
}

pub(super) fn isolated(level: &str) -> String {
    format!(
        "it is asked for at isolation level {}, where all rows are seen as of one moment, which those of batches are not.",
        level.to_uppercase()
    )
}

pub(super) fn odd(odd: &Odd) -> String {
    match odd {
        Odd::WritesInWith => "a query in its WITH writes, too, and would do so with each batch.".to_owned(),
        Odd::Cursor => "it is for the row of a cursor.".to_owned(),
        Odd::SystemColumn(column) => {
            format!("it looks at {column}, which changes while rows are written.")
        }
        Odd::Moment => {
            "it names a moment as 'now' or 'today', which would be another one with each batch.".to_owned()
        }
        Odd::InNoOrder => "a query in it takes or numbers rows in no order (LIMIT without ORDER BY, TABLESAMPLE, DISTINCT ON, a window \
                           function), which may be others with each batch. Say an order."
            .to_owned(),
        Odd::Default => "it sets a column to its DEFAULT, which may differ from batch to batch.".to_owned(),
    }
}

/// Whether it reads its own table, or may: what an earlier batch has written would be seen by a later one.
pub(super) fn reads_itself(pieces: &Pieces, facts: &Facts, relation: &Relation) -> Option<String> {
    let mut family = vec![relation.oid];
    if let Some(table) = relation.table.as_deref() {
        family.extend(table.partitions.iter().map(|partition| partition.oid));
        family.extend(table.parent_oid);
        family.extend(table.seen_by.iter().map(|(_, oid)| *oid));
    }
    pieces.reads.iter().find_map(|read| match facts.relation(read) {
        Some(other) if other.kind == RelationKind::View => Some(format!(
            "it reads the view {read}, in which a later batch may see what an earlier one has done."
        )),
        Some(other) if family.contains(&other.oid) => Some(format!(
            "it reads {read} besides, so that a later batch would see what an earlier one has done."
        )),
        Some(_) => None,
        None if read.schema.is_none() && pieces.queries.contains(&read.name) => None,
        None => Some(format!("it reads {read}, of which nothing is known.")),
    })
}

/// Functions that give something else from batch to batch.
pub(super) fn differs(functions: &[FunctionName], facts: &Facts) -> Option<String> {
    functions.iter().find_map(|function| match facts.volatility(function) {
        Volatility::Immutable => None,
        Volatility::Stable if is_of_settings(function) => None,
        Volatility::Stable => Some(format!(
            "it calls {function}, which is STABLE: it may read what an earlier batch has written, or the time."
        )),
        Volatility::Volatile => Some(format!(
            "it calls {function}, which is VOLATILE or not known: how often and when it is called makes a difference."
        )),
    })
}

/// Functions of Postgres' own that are `STABLE` since they depend on the session's settings, which are the same for all batches.
fn is_of_settings(function: &FunctionName) -> bool {
    const NAMES: [&str; 21] = [
        "array_to_string",
        "concat",
        "concat_ws",
        "current_setting",
        "date_part",
        "date_trunc",
        "extract",
        "format",
        "json_build_array",
        "json_build_object",
        "jsonb_build_array",
        "jsonb_build_object",
        "row_to_json",
        "timezone",
        "to_char",
        "to_date",
        "to_json",
        "to_jsonb",
        "to_number",
        "to_timestamp",
        "to_tsvector",
    ];
    let of_postgres = function.schema.as_deref().is_none_or(|schema| schema == "pg_catalog");
    of_postgres && NAMES.contains(&function.name.as_str())
}

/// Columns whose change means more than the row itself.
pub(super) fn moves(pieces: &Pieces, table: &TableFacts) -> Option<String> {
    let set = |column: &String| pieces.columns.contains(column);
    if pieces.columns.is_empty() {
        return None;
    }
    let parted = table.partition_columns.iter().find_map(|column| match column {
        Some(column) if set(column) => Some(format!(
            "it changes {}, by which rows find their partitions, so that a row could be met twice.",
            written(column)
        )),
        None => Some("rows find their partitions by an expression, whose columns it may change.".to_owned()),
        Some(_) => None,
    });
    let referenced = || {
        let key = table.referenced_by.iter().find(|key| key.columns.iter().any(set))?;
        Some(format!("it changes a column to which {} refers ({}).", key.table, written(&key.constraint)))
    };
    let own = || {
        let refers = |it: &&ConstraintFacts| {
            let itself = it.kind == ConstraintKind::Foreign && it.references.as_ref() == table.name.as_ref();
            itself && pieces.columns.iter().any(|column| refers_to(&it.definition, column))
        };
        let constraint = table.constraints.iter().find(refers)?;
        Some(format!(
            "it changes a column to which its own rows refer ({}), so that a batch may leave what refers to nothing.",
            written(&constraint.name)
        ))
    };
    let later = || {
        let waits = |it: &&ConstraintFacts| {
            let unique = matches!(
                it.kind,
                ConstraintKind::Unique | ConstraintKind::PrimaryKey | ConstraintKind::Exclusion
            );
            let computed = |name: &String| table.columns.iter().any(|it| it.name == *name && it.stored);
            let touched = it.columns.iter().any(|name| set(name) || computed(name));
            // What an expression reads is not told.
            let touched = touched || it.kind == ConstraintKind::Exclusion;
            unique && it.definition.contains(" DEFERRABLE") && touched
        };
        let constraint = table.constraints.iter().find(waits)?;
        Some(format!(
            "it changes a column of {}, which is DEFERRABLE: what one statement may do, its batches may not.",
            written(&constraint.name)
        ))
    };
    parted.or_else(referenced).or_else(own).or_else(later)
}

/// Whether the definition of a foreign key names the column behind REFERENCES.
fn refers_to(definition: &str, column: &str) -> bool {
    let behind = definition.split(" REFERENCES ").nth(1).and_then(|it| it.split_once('('));
    let named = behind.and_then(|(_, columns)| columns.split(')').next()).unwrap_or_default();
    named.split(", ").any(|it| it == written(column) || it == column)
}

/// What a DELETE does to other tables, or to other rows of its own.
pub(super) fn cascades(
    pieces: &Pieces,
    facts: &Facts,
    (name, table): (&RelationName, &TableFacts),
) -> Option<String> {
    const IN_NO_TIME_BYTES: u64 = 1 << 20;
    if pieces.verb != WriteVerb::Delete {
        return None;
    }
    let own = |it: &&ConstraintFacts| {
        it.kind == ConstraintKind::Foreign && it.references.as_ref().is_some_and(|of| of == name)
    };
    if let Some(constraint) = table.constraints.iter().find(own) {
        return Some(format!(
            "its rows refer to each other ({}): what may be deleted together may not be deleted one batch after the other.",
            written(&constraint.name)
        ));
    }
    let refers = |other: &RelationName| {
        table
            .constraints
            .iter()
            .any(|it| it.kind == ConstraintKind::Foreign && it.references.as_ref() == Some(other))
    };
    table.referenced_by.iter().find_map(|key| {
        // Of another that refers to it, too, nobody says whether it refers to that one as well: only a big one is minded.
        let bigger = |oid: Oid| table.referenced_by.iter().all(|it| it.oid != oid || it.bytes.is_none_or(|it| it > IN_NO_TIME_BYTES));
        let further = refers(&key.table) || table.truncated_with.iter().any(|(_, oid)| *oid != key.oid && bigger(*oid));
        let acts = ["ON DELETE CASCADE", "ON DELETE SET NULL", "ON DELETE SET DEFAULT"]
            .into_iter()
            .find(|action| key.definition.contains(action));
        let constraint = written(&key.constraint);
        let reached = |oid: Oid| oid == key.oid || table.truncated_with.iter().any(|(_, other)| *other == oid);
        let read = pieces.reads.iter().find(|read| facts.relation(read).is_some_and(|it| reached(it.oid)));
        if let (Some(read), Some(acts)) = (read, acts) {
            return Some(format!(
                "it reads {read}, whose rows go or change with its own ({constraint}, {acts}), so that a later batch would see what an \
                 earlier one has done."
            ));
        }
        let small = key.bytes.is_some_and(|bytes| bytes <= IN_NO_TIME_BYTES);
        let acts = acts.filter(|_| !small || further)?;
        Some(format!(
            "with each row go those of {} that refer to it ({constraint}, {acts}){}, of which nobody knows how many there are. Delete \
             those first.",
            key.table,
            if small { ", and perhaps those of other tables behind them" } else { "" }
        ))
    })
}

/// A trigger that the statement fires.
fn fired<'a>(pieces: &Pieces, triggers: &'a [WriteTrigger]) -> Option<&'a WriteTrigger> {
    triggers.iter().find(|trigger| match pieces.verb {
        WriteVerb::Delete => trigger.delete,
        _ => trigger.update,
    })
}

/// What a trigger writes for the rows of one batch the next one may read.
fn row_triggers(pieces: &Pieces, table: &RelationName, fill: &FillFacts) -> Option<String> {
    let read =
        pieces.reads.iter().find(|read| read.schema.is_some() || !pieces.queries.contains(&read.name))?;
    let trigger = fired(pieces, &fill.row_triggers)?;
    Some(format!(
        "it reads {read}, which the trigger {} of {table} may change, so that a later batch would see what an earlier one has done.",
        written(&trigger.name)
    ))
}

fn statement_triggers(pieces: &Pieces, table: &RelationName, fill: &FillFacts) -> Option<String> {
    let trigger = fired(pieces, &fill.statement_triggers)?;
    Some(format!(
        "the trigger {} of {table} fires once for a statement, or sees all its rows together.",
        written(&trigger.name)
    ))
}
