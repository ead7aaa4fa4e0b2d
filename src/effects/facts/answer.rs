//! What is asked of a catalogue, and how its answers are read: one JSON object for each thing.
//!
//! Whoever has a connection sends the texts; nothing here does.

mod fill;

use std::sync::LazyLock;

use serde_json::Value;

use self::fill::fill;
pub use self::fill::leaf;
use super::{
    ColumnFacts, ConstraintFacts, Heir, IndexFacts, NeededBy, Oid, OwnKey, PartitionFacts, PartitionKey,
    Reference, Relation, RelationKind, Storage, TableFacts, TableIndex, TakenNames, TypeFacts, TypeKind,
    TypedColumn, ViewFacts, Volatility,
};
use crate::base::RelationName;
use crate::effects::Need;
use crate::sql::form::{ConstraintKind, FunctionName, TypeName};

/// Asks for relations; `$1` is an array of quoted names.
pub static RELATIONS: LazyLock<String> = LazyLock::new(|| with_fill(include_str!("relations.sql")));

/// Asks of relations what tells whether a write of their rows can be a big one; `$1` is an array of quoted names.
pub static TARGETS: LazyLock<String> =
    LazyLock::new(|| qualified(include_str!("targets.sql")).replace("{new}", &new()));

/// Asks for the leaves of a partitioned table; `$1` is its oid.
pub static LEAVES: LazyLock<String> = LazyLock::new(|| with_fill(include_str!("leaves.sql")));

/// Asks for types; `$1` is an array of quoted names.
pub static TYPES: LazyLock<String> = LazyLock::new(|| qualified(include_str!("types.sql")));

/// Asks for functions; `$1` is an array of schemas, empty where none is named, `$2` one of names.
pub static FUNCTIONS: LazyLock<String> = LazyLock::new(|| qualified(include_str!("functions.sql")));

/// Asks for the names that one picked could meet; `$1` is an array of quoted names of tables.
pub static NAMES: LazyLock<String> = LazyLock::new(|| qualified(include_str!("names.sql")));

fn with_fill(text: &str) -> String {
    qualified(text)
        .replace("{fill}", &qualified(include_str!("fill.sql")))
        .replace("{publications}", &qualified(include_str!("publications.sql")))
        .replace("{new}", &new())
}

fn new() -> String {
    qualified(include_str!("new.sql"))
}

/// The text without comments, its operators out of reach of a hostile search path.
fn qualified(text: &str) -> String {
    const OPERATORS: [&str; 11] = ["=", "<>", ">=", "<=", ">", "<", ">>", "<<", "+", "-", "*"];
    let mut words = Vec::new();
    for word in
        text.lines().filter(|line| !line.trim_start().starts_with("--")).flat_map(str::split_whitespace)
    {
        if OPERATORS.contains(&word) {
            words.push(format!("OPERATOR(pg_catalog.{word})"));
        } else {
            words.push(word.to_owned());
        }
    }
    words.join(" ")
}

/// The array that asks for relations.
pub fn relation_names(need: &Need) -> String {
    array(need.relations.iter().map(ToString::to_string))
}

/// The array that asks for the names beside tables.
pub fn names_beside(need: &Need) -> String {
    array(need.names_beside.iter().map(ToString::to_string))
}

/// The array that asks for types.
pub fn type_names(need: &Need) -> String {
    array(
        need.types
            .iter()
            .map(|ty| RelationName { schema: ty.schema.clone(), name: ty.name.clone() }.to_string()),
    )
}

/// The two arrays that ask for functions.
pub fn function_names(need: &Need) -> [String; 2] {
    let schema = |function: &FunctionName| function.schema.clone().unwrap_or_default();
    [
        array(need.functions.iter().map(schema)),
        array(need.functions.iter().map(|function| function.name.clone())),
    ]
}

/// An array literal: a backslash makes the next character itself.
fn array(items: impl Iterator<Item = String>) -> String {
    let quoted: Vec<String> =
        items.map(|item| format!("\"{}\"", item.replace('\\', "\\\\").replace('"', "\\\""))).collect();
    format!("{{{}}}", quoted.join(","))
}

/// The relation that one answer is about; `None` where it is not of the form that is asked for.
pub fn relation(answer: &str, need: &Need) -> Option<(RelationName, Relation)> {
    let value: Value = serde_json::from_str(answer).ok()?;
    let name = need.relations.get(place(&value)?)?.clone();
    let kind = kind(text(&value, "kind")?);
    let mut relation = Relation::new(oid(&value, "oid")?, kind);
    relation.temporary = truth(&value, "temporary");
    relation.storage = Storage {
        tablespace: text(&value, "tablespace").map(str::to_owned),
        method: text(&value, "method").map(str::to_owned),
        unlogged: truth(&value, "unlogged"),
    };
    relation.new_in_transaction = truth(&value, "new");
    relation.system = truth(&value, "system");
    relation.plain_reindex_only = truth(&value, "plain_reindex_only");
    relation.bytes = value.get("bytes").and_then(Value::as_u64);
    relation.index = value.get("index").and_then(index);
    let has_columns =
        !matches!(kind, RelationKind::Index | RelationKind::PartitionedIndex | RelationKind::Sequence);
    relation.table = has_columns.then(|| Box::new(table(&value)));
    Some((name, relation))
}

/// The type that one answer is about.
pub fn ty(answer: &str, need: &Need) -> Option<(TypeName, TypeFacts)> {
    let value: Value = serde_json::from_str(answer).ok()?;
    let name = need.types.get(place(&value)?)?.clone();
    let kind = match (text(&value, "kind")?, truth(&value, "constrained")) {
        ("d", true) => TypeKind::ConstrainedDomain,
        ("d", false) => TypeKind::Domain,
        ("e", _) => TypeKind::Enum,
        _ => TypeKind::Base,
    };
    let base = text(&value, "base").unwrap_or_default().to_owned();
    let users = list(&value, "users", |user| {
        Some((named(user, "name")?, user.get("bytes").and_then(Value::as_u64).unwrap_or(0)))
    });
    let modified = value.get("modifier").and_then(Value::as_i64).is_some_and(|modifier| modifier >= 0);
    let columns = list(&value, "columns", |column| {
        let (table, oid) = (named(column, "table")?, oid(column, "oid")?);
        Some(TypedColumn { table, oid, column: text(column, "column")?.to_owned() })
    });
    Some((name, TypeFacts { kind, base, modified, users, columns }))
}

/// The functions that one answer is about.
pub fn function(answer: &str, need: &Need) -> Option<(FunctionName, Volatility)> {
    let value: Value = serde_json::from_str(answer).ok()?;
    let name = need.functions.get(place(&value)?)?.clone();
    let volatility = match text(&value, "volatility")? {
        "i" => Volatility::Immutable,
        "s" => Volatility::Stable,
        _ => Volatility::Volatile,
    };
    Some((name, volatility))
}

/// The names beside the table that one answer is about.
pub fn names(answer: &str, need: &Need) -> Option<(RelationName, TakenNames)> {
    let value: Value = serde_json::from_str(answer).ok()?;
    let table = need.names_beside.get(place(&value)?)?.clone();
    let (relations, constraints) = (texts(&value, "relations"), texts(&value, "constraints"));
    Some((table, TakenNames { relations, constraints }))
}

/// Whether a `TimeZone` is one in which `timestamp` and `timestamptz` are the same (`TimestampTimestampTzRequiresRewrite` in `timestamp.c`).
pub fn is_utc(zone: &str) -> bool {
    const NAMES: [&str; 8] =
        ["UTC", "Etc/UTC", "GMT", "Etc/GMT", "UCT", "Zulu", "Universal", "Etc/Universal"];
    NAMES.iter().any(|name| name.eq_ignore_ascii_case(zone))
}

fn index(value: &Value) -> Option<IndexFacts> {
    Some(IndexFacts {
        table: oid(value, "table")?,
        table_name: named(value, "table_name"),
        below: list(value, "below", relation_with_oid),
        valid: truth(value, "valid"),
        in_the_making: truth(value, "in_the_making"),
        backs_constraint: truth(value, "backs_constraint"),
        partitioned: truth(value, "partitioned"),
        definition: text(value, "definition").unwrap_or_default().to_owned(),
    })
}

fn table(value: &Value) -> TableFacts {
    TableFacts {
        name: named(value, "name"),
        rows: value.get("rows").and_then(Value::as_u64),
        columns: list(value, "columns", column),
        constraints: list(value, "constraints", constraint),
        indexes: list(value, "indexes", table_index),
        referenced_by: list(value, "referenced_by", reference),
        truncated_with: list(value, "truncated_with", relation_with_oid),
        views: list(value, "views", |view| {
            Some(ViewFacts {
                name: named(view, "name")?,
                oid: oid(view, "oid")?,
                columns: texts(view, "columns"),
            })
        }),
        seen_by: list(value, "seen_by", relation_with_oid),
        reads: list(value, "reads", relation_with_oid),
        heirs: list(value, "heirs", |heir| {
            let bytes = heir.get("bytes").and_then(Value::as_u64);
            Some(Heir { name: named(heir, "name")?, oid: oid(heir, "oid")?, bytes })
        }),
        partitions: list(value, "partitions", partition),
        refreshable: truth(value, "refreshable"),
        unpopulated: truth(value, "unpopulated"),
        has_kin: truth(value, "has_kin"),
        fill: value.get("fill").map(fill).unwrap_or_default(),
        owner: text(value, "owner").map(str::to_owned),
        partition_key: value.get("partition_key").and_then(|key| {
            Some(PartitionKey { range: truth(key, "range"), column: text(key, "column")?.to_owned() })
        }),
        partition_columns: list(value, "partition_columns", |name| Some(name.as_str().map(str::to_owned))),
        parent: named(value, "parent"),
        default_beside: named(value, "default_beside"),
        owned: truth(value, "owned"),
        needed: list(value, "needed", |it| {
            let column = text(it, "column").map(str::to_owned);
            Some(NeededBy { column, inside: truth(it, "inside") })
        }),
        bound: text(value, "bound").map(str::to_owned),
        bound_condition: text(value, "bound_condition").map(str::to_owned),
        partitionable: truth(value, "partitionable"),
        parent_oid: oid(value, "parent_oid"),
        detachable: truth(value, "detachable"),
        pending: named(value, "pending"),
    }
}

fn own_key(key: &Value) -> Option<OwnKey> {
    Some(OwnKey {
        columns: texts(key, "columns"),
        references: oid(key, "references")?,
        reference_columns: texts(key, "reference_columns"),
        rules: text(key, "rules").unwrap_or_default().to_owned(),
        validated: truth(key, "validated"),
    })
}

fn partition(value: &Value) -> Option<PartitionFacts> {
    Some(PartitionFacts {
        name: named(value, "name")?,
        oid: oid(value, "oid")?,
        parent: named(value, "parent")?,
        leaf: truth(value, "leaf"),
        default: truth(value, "default"),
        foreign: truth(value, "foreign"),
        constraints: texts(value, "constraints"),
        not_null: texts(value, "not_null"),
        odd_not_null: texts(value, "odd_not_null"),
        owned: truth(value, "owned"),
        own_keys: list(value, "own_keys", own_key),
        indexes: list(value, "indexes", |columns| {
            Some(columns.as_array()?.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        }),
        bytes: value.get("bytes").and_then(Value::as_u64),
        fill: value.get("fill").map(fill).unwrap_or_default(),
    })
}

fn reference(key: &Value) -> Option<Reference> {
    Some(Reference {
        table: named(key, "table")?,
        oid: oid(key, "oid")?,
        constraint: text(key, "constraint")?.to_owned(),
        columns: texts(key, "columns"),
        validated: truth(key, "validated"),
        definition: text(key, "definition").unwrap_or_default().to_owned(),
        restorable: truth(key, "restorable"),
        own: truth(key, "own"),
        bytes: key.get("bytes").and_then(Value::as_u64),
    })
}

fn column(value: &Value) -> Option<ColumnFacts> {
    let modifier = value
        .get("modifier")
        .and_then(Value::as_i64)
        .and_then(|number| i32::try_from(number).ok())
        .unwrap_or(-1);
    Some(ColumnFacts {
        name: text(value, "name")?.to_owned(),
        ty: text(value, "ty")?.to_owned(),
        base: (text(value, "base")?.to_owned(), modifier),
        not_null: truth(value, "not_null"),
        default: text(value, "default").map(str::to_owned),
        identity: truth(value, "identity"),
        stored: truth(value, "stored"),
    })
}

fn constraint(value: &Value) -> Option<ConstraintFacts> {
    let kind = match text(value, "kind")? {
        "c" => ConstraintKind::Check,
        "f" => ConstraintKind::Foreign,
        "u" => ConstraintKind::Unique,
        "p" => ConstraintKind::PrimaryKey,
        "x" => ConstraintKind::Exclusion,
        "n" => ConstraintKind::NotNull,
        _ => return None,
    };
    Some(ConstraintFacts {
        name: text(value, "name")?.to_owned(),
        kind,
        columns: texts(value, "columns"),
        validated: truth(value, "validated"),
        references: named(value, "references"),
        commented: truth(value, "commented"),
        part: truth(value, "part"),
        references_oid: oid(value, "references_oid"),
        restorable: truth(value, "restorable"),
        reference_partitions: list(value, "reference_partitions", relation_with_oid),
        definition: text(value, "definition").unwrap_or_default().to_owned(),
    })
}

fn table_index(value: &Value) -> Option<TableIndex> {
    Some(TableIndex {
        name: named(value, "name")?,
        oid: oid(value, "oid")?,
        needs: texts(value, "needs"),
        restorable: truth(value, "restorable"),
        columns: texts(value, "columns"),
        expressions: truth(value, "expressions"),
        partial: truth(value, "partial"),
        method: text(value, "method")?.to_owned(),
        unique: truth(value, "unique"),
        valid: truth(value, "valid"),
        placed: truth(value, "placed"),
        labels: texts(value, "labels"),
        shape: text(value, "shape").unwrap_or_default().to_owned(),
        constraint: text(value, "constraint").map(str::to_owned),
        definition: text(value, "definition").unwrap_or_default().to_owned(),
    })
}

fn kind(relkind: &str) -> RelationKind {
    match relkind {
        "r" => RelationKind::Table,
        "p" => RelationKind::PartitionedTable,
        "i" => RelationKind::Index,
        "I" => RelationKind::PartitionedIndex,
        "S" => RelationKind::Sequence,
        "v" => RelationKind::View,
        "m" => RelationKind::MaterializedView,
        "f" => RelationKind::ForeignTable,
        _ => RelationKind::Other,
    }
}

/// The place in the list that was asked for, counted from 0.
fn place(value: &Value) -> Option<usize> {
    usize::try_from(value.get("place").and_then(Value::as_u64)?).ok()?.checked_sub(1)
}

fn oid(value: &Value, key: &str) -> Option<Oid> {
    Oid::try_from(value.get(key)?.as_u64()?).ok()
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str()
}

fn truth(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool).unwrap_or(false)
}

/// `["schema", "name"]`
fn named(value: &Value, key: &str) -> Option<RelationName> {
    let value = value.get(key)?;
    Some(RelationName::qualified(value.get(0)?.as_str()?, value.get(1)?.as_str()?))
}

fn relation_with_oid(value: &Value) -> Option<(RelationName, Oid)> {
    Some((named(value, "name")?, oid(value, "oid")?))
}

fn texts(value: &Value, key: &str) -> Vec<String> {
    list(value, key, |item| item.as_str().map(str::to_owned))
}

fn list<T>(value: &Value, key: &str, read: impl Fn(&Value) -> Option<T>) -> Vec<T> {
    value
        .get(key)
        .and_then(Value::as_array)
        .map(|items| items.iter().filter_map(read).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_the_array() {
        let relations = vec![RelationName::qualified("s", "we\"ird\\"), RelationName::bare("plain")];
        let need = Need { relations, ..Need::default() };
        assert_eq!(relation_names(&need), r#"{"\"s\".\"we\"\"ird\\\"","\"plain\""}"#);
    }

    #[test]
    fn no_operator_is_left_to_the_search_path() {
        for text in [&RELATIONS, &TARGETS, &TYPES, &FUNCTIONS, &NAMES] {
            assert!(!text.contains(" = ") && !text.contains(" <> ") && !text.contains("--"), "{}", **text);
        }
    }
}
