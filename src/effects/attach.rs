//! Whether the rows of a table are known to fit a partition, so that Postgres attaches it without reading them.
//!
//! Source: `PartConstraintImpliedByRelConstraint` in `tablecmds.c` and `predicate_implied_by` in `predtest.c`, of which the
//! forms are known here that `pg_get_constraintdef` writes for plain comparisons with constants.

use super::alter::is_proved_not_null;
use super::facts::TableFacts;
use crate::sql::form::{Bound, ConstraintKind};

/// Whether valid constraints of the table prove what the partition's bound asks of its rows.
pub(super) fn is_proved(parent: &TableFacts, child: &TableFacts, bound: &Bound) -> bool {
    let Some(key) = &parent.partition_key else { return false };
    // Above a parent that is a partition itself there is more to prove.
    if parent.parent.is_some() || !is_proved_not_null(child, &key.column) {
        return false;
    }
    let column = crate::base::name::written(&key.column);
    let known: Vec<Comparison> =
        conditions(child).filter_map(|condition| comparison(&condition, &column)).collect();
    match bound {
        Bound::Range(from, to) if key.range => {
            let ([from], [to]) = (from.as_slice(), to.as_slice()) else { return false };
            let above = |from: &String| known.iter().any(|it| it.is_from(from));
            let below = |to: &String| known.iter().any(|it| it.is_below(to));
            from.as_ref().is_none_or(above) && to.as_ref().is_none_or(below)
        }
        Bound::Values(values) if !key.range => {
            let wanted: Vec<&String> = values.iter().flatten().collect();
            known.iter().any(|it| it.is_among(&wanted))
        }
        _ => false,
    }
}

/// What valid CHECKs say, joined by AND.
fn conditions(table: &TableFacts) -> impl Iterator<Item = String> {
    let checks = table.constraints.iter().filter(|it| it.kind == ConstraintKind::Check && it.validated);
    checks.flat_map(|check| {
        let definition = check.definition.strip_prefix("CHECK ").unwrap_or_default().trim();
        let whole = inner(inner(definition));
        // `(a) AND (b)`; with another word between them all of it is one condition that is not known.
        let joined = whole.contains(") AND (");
        let whole = if joined { whole.strip_prefix('(').unwrap_or(whole) } else { whole };
        let whole = if joined { whole.strip_suffix(')').unwrap_or(whole) } else { whole };
        whole.split(") AND (").map(str::to_owned).collect::<Vec<_>>()
    })
}

/// Without parentheses around all of it, if there are.
fn inner(text: &str) -> &str {
    let text = text.trim();
    let closes_itself = |text: &str| {
        let mut depth = 0_i32;
        text.chars().all(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            depth >= 0
        })
    };
    let within = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    within.filter(|within| closes_itself(within)).unwrap_or(text)
}

/// A comparison of the column with constants.
struct Comparison {
    operator: String,
    values: Vec<String>,
}

impl Comparison {
    fn is_from(&self, from: &str) -> bool {
        let [value] = self.values.as_slice() else { return false };
        match self.operator.as_str() {
            ">=" => value == from || number(value).zip(number(from)).is_some_and(|(own, from)| own >= from),
            ">" => number(value).zip(number(from)).is_some_and(|(own, from)| own >= from),
            "=" => number(value).zip(number(from)).is_some_and(|(own, from)| own >= from),
            _ => false,
        }
    }

    fn is_below(&self, to: &str) -> bool {
        let [value] = self.values.as_slice() else { return false };
        match self.operator.as_str() {
            "<" => value == to || number(value).zip(number(to)).is_some_and(|(own, to)| own <= to),
            "<=" | "=" => number(value).zip(number(to)).is_some_and(|(own, to)| own < to),
            _ => false,
        }
    }

    fn is_among(&self, wanted: &[&String]) -> bool {
        matches!(self.operator.as_str(), "=" | "= ANY") && self.values.iter().all(|it| wanted.contains(&it))
    }
}

fn number(text: &str) -> Option<i128> {
    text.parse().ok()
}

/// `a >= 10`, `a < '2025-01-01'::date`, `a = ANY (ARRAY[1, 2])`
fn comparison(text: &str, column: &str) -> Option<Comparison> {
    let rest = text.strip_prefix(column)?.strip_prefix(' ')?;
    if let Some(list) = rest.strip_prefix("= ANY (ARRAY[") {
        let values = list.strip_suffix("])")?.split(", ").map(constant).collect::<Option<_>>()?;
        return Some(Comparison { operator: "= ANY".to_owned(), values });
    }
    let (operator, value) = rest.split_once(' ')?;
    Some(Comparison { operator: operator.to_owned(), values: vec![constant(value)?] })
}

/// A constant without its quotes and its type; `None` for anything else.
fn constant(text: &str) -> Option<String> {
    if let Some(quoted) = text.strip_prefix('\'') {
        let (value, ty) = quoted.split_once('\'')?;
        return (ty.is_empty() || ty.starts_with("::")).then(|| value.to_owned());
    }
    let digits = text.split_once("::").map_or(text, |(digits, _)| digits);
    number(digits).map(|_| digits.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effects::facts::{ConstraintFacts, PartitionKey};

    fn proved(range: bool, checks: &[&str], bound: &Bound) -> bool {
        let key = PartitionKey { range, column: "a".to_owned() };
        let parent = TableFacts { partition_key: Some(key), ..TableFacts::default() };
        let constraints = checks.iter().map(|check| ConstraintFacts {
            name: String::new(),
            kind: ConstraintKind::Check,
            columns: vec!["a".to_owned()],
            validated: true,
            references: None,
            commented: false,
            part: false,
            references_oid: None,
            reference_partitions: Vec::new(),
            restorable: true,
            definition: format!("CHECK ({check})"),
        });
        let child = TableFacts { constraints: constraints.collect(), ..TableFacts::default() };
        is_proved(&parent, &child, bound)
    }

    const ALL: &str = "((a IS NOT NULL) AND (a >= 10) AND (a < 20))";

    #[test]
    fn ranges_are_proved_by_ranges_within() {
        let bound = |from: &str, to: &str| Bound::Range(vec![Some(from.into())], vec![Some(to.into())]);
        for (checks, bound, expected) in [
            (vec![ALL], bound("10", "20"), true),
            (vec![ALL], bound("0", "100"), true),
            (vec![ALL], bound("11", "20"), false),
            (vec![ALL], bound("10", "19"), false),
            (vec!["(a IS NOT NULL)", "((a > 9) AND (a <= 19))"], bound("10", "20"), false),
            (vec!["(a IS NOT NULL)", "((a > 10) AND (a <= 19))"], bound("10", "20"), true),
            (vec!["((a >= 10) AND (a < 20))"], bound("10", "20"), false),
            (vec!["((a IS NOT NULL) AND ((a >= 10) OR (b > 1)) AND (a < 20))"], bound("10", "20"), false),
            (
                vec!["((a IS NOT NULL) AND (a >= '2025-01-01'::date) AND (a < '2026-01-01'::date))"],
                bound("2025-01-01", "2026-01-01"),
                true,
            ),
        ] {
            assert_eq!(proved(true, &checks, &bound), expected, "{checks:?} {bound:?}");
        }
    }

    #[test]
    fn lists_are_proved_by_lists_within() {
        let bound = |values: &[&str]| Bound::Values(values.iter().map(|it| Some((*it).to_owned())).collect());
        for (check, values, expected) in [
            ("((a IS NOT NULL) AND (a = 'x'::text))", bound(&["x"]), true),
            ("((a IS NOT NULL) AND (a = 'x'::text))", bound(&["x", "y"]), true),
            ("((a IS NOT NULL) AND (a = ANY (ARRAY['x'::text, 'y'::text])))", bound(&["y", "x"]), true),
            ("((a IS NOT NULL) AND (a = ANY (ARRAY['x'::text, 'z'::text])))", bound(&["y", "x"]), false),
            ("((a IS NOT NULL) AND (a <> 'x'::text))", bound(&["x"]), false),
            ("(a = 'x'::text)", bound(&["x"]), false),
        ] {
            assert_eq!(proved(false, &[check], &values), expected, "{check}");
        }
    }
}
