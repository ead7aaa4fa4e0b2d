//! A partition's bounds as a condition that Postgres takes as their proof: exactly what it would test itself
//! (`get_qual_for_list`, `get_qual_for_range` in `partbounds.c`).

use crate::base::name::written;
use crate::base::relation::quote_literal;
use crate::effects::facts::{ColumnFacts, PartitionKey};
use crate::sql::form::Bound;

/// The condition; `None` where it cannot be written beyond doubt.
pub(super) fn condition(key: &PartitionKey, column: &ColumnFacts, bound: &Bound) -> Option<String> {
    let name = written(&key.column);
    let literal = |value: &String| literal(column, value);
    match bound {
        Bound::Range(from, to) if key.range => {
            let ([from], [to]) = (from.as_slice(), to.as_slice()) else { return None };
            let mut parts = vec![format!("{name} IS NOT NULL")];
            if let Some(from) = from {
                parts.push(format!("{name} >= {}", literal(from)?));
            }
            if let Some(to) = to {
                parts.push(format!("{name} < {}", literal(to)?));
            }
            Some(parts.join(" AND "))
        }
        Bound::Values(values) if !key.range => {
            let known: Vec<String> = values.iter().flatten().map(literal).collect::<Option<_>>()?;
            let among = match known.as_slice() {
                [] => return Some(format!("{name} IS NULL")),
                [one] => format!("{name} = {one}"),
                more => format!("{name} = ANY (ARRAY[{}])", more.join(", ")),
            };
            Some(if values.contains(&None) {
                format!("{name} IS NULL OR {among}")
            } else {
                format!("{name} IS NOT NULL AND {among}")
            })
        }
        _ => None,
    }
}

/// A constant of the column's own type; `None` where the server might read it otherwise, round it or cut it.
fn literal(column: &ColumnFacts, value: &str) -> Option<String> {
    let (ty, modifier) = (column.base.0.as_str(), column.base.1);
    let of = |allowed: &str| {
        !value.is_empty() && value.chars().all(|it| it.is_ascii_digit() || allowed.contains(it))
    };
    let digits = value.strip_prefix('-').unwrap_or(value);
    let whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let sure = match ty {
        "int2" | "int4" | "int8" => whole,
        "numeric" => whole && modifier == -1,
        "date" => of("-"),
        "timestamp" | "timestamptz" => of("-: .+TZ") && modifier == -1,
        "text" | "varchar" => true,
        "uuid" => value.chars().all(|it| it.is_ascii_hexdigit() || it == '-'),
        _ => false,
    };
    sure.then(|| format!("{}::{ty}", quote_literal(value).trim_start()))
}
