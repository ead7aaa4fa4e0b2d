//! What is known of types, and of the functions that defaults call.

use super::Oid;
use crate::base::RelationName;
use crate::sql::form::FunctionName;

/// What is known about a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeFacts {
    /// What it is.
    pub kind: TypeKind,
    /// For a domain: the type under it.
    pub base: String,
    /// The domain restricts that with a modifier, `varchar(5)`.
    pub modified: bool,
    /// Columns of that type, as relations with their size in bytes.
    pub users: Vec<(RelationName, u64)>,
    /// Columns of that type and of its arrays.
    pub columns: Vec<TypedColumn>,
}

/// A column that goes with its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypedColumn {
    /// Its table.
    pub table: RelationName,
    /// The table's oid.
    pub oid: Oid,
    /// Its name.
    pub column: String,
}

/// `pg_type.typtype`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TypeKind {
    /// A domain with a CHECK or NOT NULL, its own or of a domain under it.
    ConstrainedDomain,
    /// A domain without.
    Domain,
    /// An enum.
    Enum,
    /// Anything else.
    Base,
}

/// `pg_proc.provolatile`, tamest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Volatility {
    /// Same arguments, same result, for ever.
    Immutable,
    /// .. within one statement: `now()`.
    Stable,
    /// Another result for each row: `random()`.
    Volatile,
}

/// Functions of `pg_catalog` that give one result within a statement (`pg_proc.dat`), as far as defaults call them.
const STABLE: [&str; 28] = [
    "age",
    "current_catalog",
    "current_date",
    "current_database",
    "current_role",
    "current_schema",
    "current_setting",
    "current_time",
    "current_timestamp",
    "current_user",
    "date_part",
    "date_trunc",
    "format",
    "localtime",
    "localtimestamp",
    "make_timestamptz",
    "now",
    "session_user",
    "statement_timestamp",
    "to_char",
    "to_date",
    "to_timestamp",
    "transaction_timestamp",
    "timezone",
    "txid_current",
    "pg_current_xact_id",
    "inet_client_addr",
    "concat",
];

/// Those that give the same result for ever.
const IMMUTABLE: [&str; 18] = [
    "abs",
    "array_fill",
    "btrim",
    "ceil",
    "chr",
    "decode",
    "encode",
    "floor",
    "length",
    "lower",
    "lpad",
    "make_interval",
    "md5",
    "repeat",
    "round",
    "substring",
    "upper",
    "int4range",
];

/// Those that give another result for each row.
const VOLATILE: [&str; 7] =
    ["clock_timestamp", "gen_random_uuid", "nextval", "random", "timeofday", "uuidv4", "uuidv7"];

/// Functions of `pg_catalog` that defaults call, so that they are known without asking anybody (`pg_proc.dat`).
pub(super) fn built_in(function: &FunctionName) -> Option<Volatility> {
    if function.schema.as_deref().is_some_and(|schema| schema != "pg_catalog") {
        return None;
    }
    let is_among = |names: &[&str]| names.contains(&function.name.as_str());
    if is_among(&STABLE) {
        Some(Volatility::Stable)
    } else if is_among(&IMMUTABLE) {
        Some(Volatility::Immutable)
    } else {
        is_among(&VOLATILE).then_some(Volatility::Volatile)
    }
}
