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
    let (from, old_modifier) = (resolve(&old.base.0, facts), old.base.1);
    let Some(to) = target(new, facts) else { return TypeChange::Rewrite };
    let free = |holds: bool| if holds { TypeChange::Free } else { TypeChange::Rewrite };
    match (from.as_str(), to.as_str()) {
        ("timestamp", "timestamptz") | ("timestamptz", "timestamp") => {
            if facts.utc == Some(true) && fits_precision(old_modifier, new) {
                TypeChange::Reindex
            } else {
                TypeChange::Rewrite
            }
        }
        ("varchar", "text") | ("text", "varchar") if new.modifiers.is_empty() => TypeChange::Free,
        ("varchar", "varchar") | ("varbit", "varbit") => {
            let header = if from == "varchar" { HEADER } else { 0 };
            free(fits_length(old_modifier - header, old_modifier < 0, new))
        }
        ("numeric", "numeric") => free(fits_numeric(old_modifier, new)),
        ("time", "time")
        | ("timetz", "timetz")
        | ("timestamp", "timestamp")
        | ("timestamptz", "timestamptz") => free(fits_precision(old_modifier, new)),
        ("interval", "interval") => free(new.modifiers.is_empty()),
        ("cidr", "inet") => TypeChange::Free,
        (from, to) => free(from == to && modifier_stays(old_modifier, new)),
    }
}

/// The catalogue's name of the new type; that under a domain without constraints; `None` for domains with some.
fn target(new: &TypeName, facts: &Facts) -> Option<String> {
    match facts.ty(new) {
        Some(ty) if ty.kind == TypeKind::ConstrainedDomain => None,
        Some(ty) if ty.kind == TypeKind::Domain => Some(ty.base.clone()),
        _ => Some(new.name.clone()),
    }
}

/// The type under a domain.
fn resolve(name: &str, facts: &Facts) -> String {
    let domain = facts.types.iter().find(|(known, _)| known.name == name).map(|(_, ty)| ty);
    match domain {
        Some(ty) if matches!(ty.kind, TypeKind::Domain | TypeKind::ConstrainedDomain) => ty.base.clone(),
        _ => name.to_owned(),
    }
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

/// For types of which no more is known: the same name, with nothing in parentheses on either side, or the same.
fn modifier_stays(old: i32, new: &TypeName) -> bool {
    match new.modifiers.as_slice() {
        [] => old < 0 || new.name != "bpchar",
        [length] => *length == old - HEADER || *length == old,
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
