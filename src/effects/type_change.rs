//! Whether a column's new type has the same bytes as its old one.
//!
//! Source: `ATColumnChangeRequiresRewrite` in `tablecmds.c` and the length coercion functions' support functions
//! (`varchar_support`, `numeric_support`, ..), measured by `tests/it/oracle.rs`.

use super::facts::{ColumnFacts, Facts, TypeKind};
use crate::sql::form::TypeName;

/// What a change of type costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TypeChange {
    /// The catalogue alone changes.
    Free,
    /// The rows stay, indexes on the column are built again.
    Reindex,
    /// Every row is written again.
    Rewrite,
}

/// `VARHDRSZ`: what `atttypmod` of the string types and `numeric` counts on top.
const HEADER: i32 = 4;

/// What it costs to give a column that type; for what is not known, the worst.
pub fn of(old: &ColumnFacts, new: &TypeName, facts: &Facts) -> TypeChange {
    if new.array || old.ty.ends_with("[]") {
        let same = new.array && old.base.0.trim_start_matches('_') == new.name && new.modifiers.is_empty();
        return if same { TypeChange::Free } else { TypeChange::Rewrite };
    }
    let (from, old_modifier) = (old.base.0.as_str(), old.base.1);
    let Some(to) = target(new, facts) else { return TypeChange::Rewrite };
    let free = |holds: bool| if holds { TypeChange::Free } else { TypeChange::Rewrite };
    match (from, to.as_str()) {
        ("timestamp", "timestamptz") | ("timestamptz", "timestamp") => {
            if facts.utc == Some(true) && fits_precision(old_modifier, new) {
                TypeChange::Reindex
            } else {
                TypeChange::Rewrite
            }
        }
        ("varchar" | "xml", "text") | ("text" | "xml", "varchar") if new.modifiers.is_empty() => {
            TypeChange::Free
        }
        // Comparing them is another matter, and so are their indexes.
        ("text" | "varchar", "bpchar") if new.modifiers.is_empty() => TypeChange::Reindex,
        (from, to) if from != to && is_number_of_object(from) && is_number_of_object(to) => {
            if from == "int4" || to == "int4" { TypeChange::Reindex } else { TypeChange::Free }
        }
        ("bpchar", "bpchar") => {
            free(new.modifiers.first().is_none_or(|length| length + HEADER == old_modifier))
        }
        ("varchar", "varchar") | ("varbit", "varbit") => {
            let header = if from == "varchar" { HEADER } else { 0 };
            free(fits_length(old_modifier - header, old_modifier < 0, new))
        }
        ("numeric", "numeric") => free(fits_numeric(old_modifier, new)),
        ("time", "time")
        | ("timetz", "timetz")
        | ("timestamp", "timestamp")
        | ("timestamptz", "timestamptz") => free(fits_precision(old_modifier, new)),
        ("interval", "interval") => free(fits_interval(old_modifier, new)),
        ("cidr", "inet") => TypeChange::Free,
        (from, to) => free(from == to && modifier_stays(old_modifier, new)),
    }
}

/// The catalogue's name of the new type; that under a domain without constraints; `None` for domains with some.
fn target(new: &TypeName, facts: &Facts) -> Option<String> {
    match facts.ty(new) {
        Some(ty) if ty.kind == TypeKind::ConstrainedDomain || ty.modified => None,
        Some(ty) if ty.kind == TypeKind::Domain => Some(ty.base.clone()),
        _ => Some(new.name.clone()),
    }
}

/// `oid` and what is one by another name: the same bytes as `int4` (`pg_cast.dat`, method `b`).
fn is_number_of_object(name: &str) -> bool {
    const NAMES: [&str; 13] = [
        "int4",
        "oid",
        "regclass",
        "regcollation",
        "regconfig",
        "regdictionary",
        "regnamespace",
        "regoper",
        "regoperator",
        "regproc",
        "regprocedure",
        "regrole",
        "regtype",
    ];
    NAMES.contains(&name)
}

/// Whether strings of the old length have room in the new one.
fn fits_length(old: i32, old_is_free: bool, new: &TypeName) -> bool {
    match new.modifiers.first() {
        None => true,
        Some(_) if old_is_free => false,
        Some(length) => *length >= old,
    }
}

/// Whether a precision of seconds stays or grows; six digits are all that is stored.
fn fits_precision(old: i32, new: &TypeName) -> bool {
    const DIGITS: i32 = 6;
    match new.modifiers.first() {
        None => true,
        Some(digits) => *digits >= DIGITS || (old >= 0 && *digits >= old),
    }
}

/// Whether the scale stays and the precision does not shrink (`numeric_support` in `numeric.c`).
fn fits_numeric(old: i32, new: &TypeName) -> bool {
    let (precision, scale) = match new.modifiers.as_slice() {
        [] => return true,
        [precision] => (*precision, 0),
        [precision, scale, ..] => (*precision, *scale),
    };
    if old < HEADER {
        return false;
    }
    let old = old - HEADER;
    let (old_precision, old_scale) = ((old >> 16) & 0xffff, old & 0x7ff);
    scale == old_scale && precision >= old_precision
}

/// Whether neither fields nor digits of an interval are lost (`interval_support` in `timestamp.c`).
fn fits_interval(old: i32, new: &TypeName) -> bool {
    const FULL_RANGE: i32 = 0x7fff;
    const FULL_PRECISION: i32 = 0xffff;
    const DIGITS: i32 = 6;
    let (range, precision) = match new.modifiers.as_slice() {
        [] => return true,
        [range] => (*range, FULL_PRECISION),
        [range, precision, ..] => (*range, *precision),
    };
    let (old_range, old_precision) =
        if old < 0 { (FULL_RANGE, FULL_PRECISION) } else { ((old >> 16) & FULL_RANGE, old & FULL_PRECISION) };
    let (least, old_least) = (least_field(range), least_field(old_range));
    least <= old_least && (old_least > 0 || precision >= DIGITS || precision >= old_precision)
}

/// The smallest field of a range of interval fields, seconds being 0 (the bits are those of `datetime.h`).
fn least_field(range: i32) -> i32 {
    const BITS: [i32; 6] = [12, 11, 10, 3, 1, 2];
    (0..).zip(BITS).find(|(_, bit)| range & (1 << bit) != 0).map_or(0, |(field, _)| field)
}

/// For types of which no more is known: the same name, with nothing in parentheses, or the same as before.
fn modifier_stays(old: i32, new: &TypeName) -> bool {
    match new.modifiers.as_slice() {
        [] => true,
        [length] => *length == old,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of_types(from: (&str, i32), to: (&str, &[i32])) -> TypeChange {
        let old = ColumnFacts {
            name: "a".to_owned(),
            ty: from.0.to_owned(),
            base: (from.0.to_owned(), from.1),
            not_null: false,
            default: None,
            identity: false,
            stored: false,
        };
        let new = TypeName { name: to.0.to_owned(), modifiers: to.1.to_vec(), ..TypeName::default() };
        of(&old, &new, &Facts::default())
    }

    proptest! {
        /// The same type costs nothing, a longer string neither, a shorter one everything.
        #[test]
        fn strings_may_only_grow(old in 1..10_000_i32, new in 1..10_000_i32) {
            let change = of_types(("varchar", old + HEADER), ("varchar", &[new]));
            prop_assert_eq!(change, if new >= old { TypeChange::Free } else { TypeChange::Rewrite });
            prop_assert_eq!(of_types(("varchar", old + HEADER), ("text", &[])), TypeChange::Free);
            prop_assert_eq!(of_types(("varchar", old + HEADER), ("varchar", &[])), TypeChange::Free);
        }

        /// A numeric may grow before the point only.
        #[test]
        fn numbers_keep_their_scale(precision in 1..1000_i32, scale in 0..10_i32, more in -5..5_i32, other in 0..10_i32) {
            let modifier = (precision << 16 | scale) + HEADER;
            let change = of_types(("numeric", modifier), ("numeric", &[precision + more, other]));
            let free = more >= 0 && other == scale;
            prop_assert_eq!(change, if free { TypeChange::Free } else { TypeChange::Rewrite });
        }

        /// Whatever the names and modifiers, there is an answer, and to itself a type changes for nothing.
        #[test]
        fn every_pair_has_an_answer(name in "[a-z_]{0,12}", other in "[a-z_]{0,12}", modifier: i32, list in prop::collection::vec(any::<i32>(), 0..4)) {
            let _ = of_types((&name, modifier), (&other, &list));
            prop_assert_eq!(of_types((&name, -1), (&name, &[])), TypeChange::Free);
        }
    }
}
