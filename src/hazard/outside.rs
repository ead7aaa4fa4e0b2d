//! That a default partition has no rows of a new one.

use crate::base::LockMode;
use crate::base::name::choose;
use crate::effects::facts::{PartitionFacts, TableFacts};
use crate::plan::Target;
use crate::plan::attach::Proof;

/// The locks on a default partition of a parent and on all below it.
pub(super) fn locks(parent: &TableFacts, default: &PartitionFacts) -> Vec<Target> {
    let mode = LockMode::AccessExclusive;
    let tree = parent.tree(default).into_iter();
    tree.map(|it| Target { name: it.name.clone(), oid: Some(it.oid), mode }).collect()
}

/// The CHECK on a default partition of a parent, and on all below it, that says the opposite of a new one's bounds.
pub(super) fn proof(parent: &TableFacts, default: &PartitionFacts, bounds: &str) -> Proof {
    let tree = parent.tree(default);
    let taken: Vec<&str> =
        tree.iter().flat_map(|partition| &partition.constraints).map(String::as_str).collect();
    let name = choose(&[&default.name.name, "bounds", "check"], &taken);
    Proof::outside(locks(parent, default), name, bounds)
}

/// Whether such a CHECK can be had: a foreign table's rows are not proved by one.
pub(super) fn is_provable(parent: &TableFacts, default: &PartitionFacts) -> bool {
    !parent.tree(default).iter().any(|partition| partition.foreign)
}
