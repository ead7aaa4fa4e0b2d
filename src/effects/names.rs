//! Relations by name, where a name without a schema may mean any of that name.

use std::collections::BTreeMap;

use crate::base::RelationName;

/// A set of relations, asked in logarithmic time however many there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Names(BTreeMap<String, Vec<Option<String>>>);

impl Names {
    /// Adds one.
    pub(super) fn add(&mut self, relation: &RelationName) {
        let schemas = self.0.entry(relation.name.clone()).or_default();
        if !schemas.contains(&relation.schema) {
            schemas.push(relation.schema.clone());
        }
    }

    /// Whether one of them is meant for sure: it is spelled with the same schema, or like it without.
    pub(super) fn hold(&self, relation: &RelationName) -> bool {
        self.0.get(&relation.name).is_some_and(|schemas| schemas.contains(&relation.schema))
    }

    /// Whether one of them may be meant.
    pub(super) fn may_hold(&self, relation: &RelationName) -> bool {
        self.0.get(&relation.name).is_some_and(|schemas| {
            relation.schema.is_none() || schemas.iter().any(|it| it.is_none() || *it == relation.schema)
        })
    }

    /// Moves those of another set here.
    pub(super) fn append(&mut self, other: &mut Self) {
        for (name, schemas) in std::mem::take(&mut other.0) {
            let known = self.0.entry(name).or_default();
            let fresh: Vec<_> = schemas.into_iter().filter(|schema| !known.contains(schema)).collect();
            known.extend(fresh);
        }
    }

    /// How many names there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Forgets all of them.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_a_schema_may_mean_any() {
        let mut names = Names::default();
        names.add(&RelationName::qualified("a", "t"));
        names.add(&RelationName::bare("u"));
        for (name, expected) in [
            (RelationName::bare("t"), (true, false)),
            (RelationName::qualified("a", "t"), (true, true)),
            (RelationName::qualified("b", "t"), (false, false)),
            (RelationName::qualified("b", "u"), (true, false)),
            (RelationName::bare("u"), (true, true)),
            (RelationName::bare("v"), (false, false)),
        ] {
            assert_eq!((names.may_hold(&name), names.hold(&name)), expected, "{name}");
        }
        let mut more = Names::default();
        more.append(&mut names);
        assert!(names.len() == 0 && more.len() == 2);
    }
}
