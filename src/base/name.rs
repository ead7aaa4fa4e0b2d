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
        && !KEYWORDS.split_ascii_whitespace().any(|word| word == name);
    if plain { name.to_owned() } else { quote_identifier(name) }
}

/// Words that the server itself quotes (`quote_identifier` in `src/backend/utils/adt/ruleutils.c`): every keyword of any version that
/// is not unreserved (`src/include/parser/kwlist.h`).
const KEYWORDS: &str = "
    all analyse analyze and any array as asc asymmetric authorization between bigint binary bit boolean both case cast char
    character check coalesce collate collation column concurrently constraint create cross current_catalog current_date
    current_role current_schema current_time current_timestamp current_user dec decimal default deferrable desc distinct do
    else end except exists extract false fetch float for foreign freeze from full grant greatest group grouping having ilike
    in initially inner inout int integer intersect interval into is isnull join json json_array json_arrayagg json_exists
    json_object json_objectagg json_query json_scalar json_serialize json_table json_value lateral leading least left like
    limit localtime localtimestamp merge_action national natural nchar none normalize not notnull null nullif numeric offset
    on only or order out outer overlaps overlay placing position precision primary real references returning right row
    select session_user setof similar smallint some substring symmetric system_user table tablesample then time timestamp to
    trailing treat trim true union unique user using values varchar variadic verbose when where window with xmlattributes
    xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_grammar_are_quoted() {
        for word in ["select", "right", "freeze", "between", "system_user", "Select", "1a", "a b", ""] {
            assert_eq!(written(word), quote_identifier(word));
        }
        for word in ["orders", "_a1", "name", "value", "date", "year"] {
            assert_eq!(written(word), word);
        }
    }

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
