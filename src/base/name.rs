//! Names that Postgres would choose, and names as people write them.

use super::relation::quote_identifier;

/// `NAMEDATALEN` - 1: longer identifiers are cut.
pub const IDENTIFIER_BYTES_MAX: usize = 63;

/// The name that Postgres gives an object without one: its parts joined by `_`, cut to 63 bytes, with a number where
/// it is taken (`makeObjectName`, `ChooseRelationName` in `src/backend/commands/indexcmds.c`).
///
/// The last part is the label (`key`, `check`, `fkey`, `idx`), which is never cut.
pub fn choose(parts: &[&str], taken: &[&str]) -> String {
    let Some((label, rest)) = parts.split_last() else { return String::new() };
    (0..=taken.len())
        .map(|number| {
            let label = if number == 0 { (*label).to_owned() } else { format!("{label}{number}") };
            joined(rest, &label)
        })
        .find(|name| !taken.contains(&name.as_str()))
        .unwrap_or_default()
}

/// The longer of the first two parts is cut until all fit.
fn joined(parts: &[&str], label: &str) -> String {
    let (first, others) =
        parts.split_first().map_or(("", String::new()), |(first, rest)| (*first, rest.join("_")));
    let room = IDENTIFIER_BYTES_MAX.saturating_sub(label.len() + 1 + usize::from(!others.is_empty()));
    let (mut left, mut right) = (first.len(), others.len());
    while left + right > room {
        if left > right { left -= 1 } else { right -= 1 }
    }
    let kept = [clipped(first, left), clipped(&others, right), label];
    kept.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("_")
}

/// At most that many bytes, without cutting a character.
pub fn clipped(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

/// A name as people write it: quoted only where it must be.
pub fn written(name: &str) -> String {
    let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
        && !RESERVED.contains(&name);
    if plain { name.to_owned() } else { quote_identifier(name) }
}

/// Words that cannot be a name without quotes (reserved in `src/include/parser/kwlist.h`).
const RESERVED: [&str; 77] = [
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "both",
    "case",
    "cast",
    "check",
    "collate",
    "column",
    "constraint",
    "create",
    "current_catalog",
    "current_date",
    "current_role",
    "current_time",
    "current_timestamp",
    "current_user",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "false",
    "fetch",
    "for",
    "foreign",
    "from",
    "grant",
    "group",
    "having",
    "in",
    "initially",
    "intersect",
    "into",
    "lateral",
    "leading",
    "limit",
    "localtime",
    "localtimestamp",
    "not",
    "null",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "placing",
    "primary",
    "references",
    "returning",
    "select",
    "session_user",
    "some",
    "symmetric",
    "system_user",
    "table",
    "then",
    "to",
    "trailing",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "variadic",
    "when",
    "where",
    "window",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_postgres_chooses() {
        assert_eq!(choose(&["orders", "no", "key"], &[]), "orders_no_key");
        assert_eq!(choose(&["orders", "pkey"], &[]), "orders_pkey");
        assert_eq!(choose(&["t", "a_b", "idx"], &["t_a_b_idx", "t_a_b_idx1"]), "t_a_b_idx2");
        let (long, other) = ("t".repeat(60), "c".repeat(20));
        let name = choose(&[&long, &other, "fkey"], &[]);
        assert_eq!(name.len(), IDENTIFIER_BYTES_MAX);
        assert_eq!(name, format!("{}_{}_fkey", "t".repeat(37), "c".repeat(20)));
    }

    #[test]
    fn names_are_quoted_only_where_they_must_be() {
        for (name, expected) in [
            ("orders", "orders"),
            ("user", "\"user\""),
            ("Orders", "\"Orders\""),
            ("a b", "\"a b\""),
            ("1a", "\"1a\""),
        ] {
            assert_eq!(written(name), expected);
        }
    }
}
