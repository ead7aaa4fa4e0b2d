//! The names of what a statement makes.

use super::Subject;
use crate::base::RelationName;
use crate::effects::Naming;
use crate::sql::form::Constraint;

impl<'a> Subject<'a> {
    /// The names that Postgres picks where none is given.
    pub fn naming(&self) -> Naming<'a> {
        Naming { facts: self.facts, parts: self.all_parts() }
    }

    /// The name that the constraint of the part that is looked at has or gets: Postgres picks one after the other.
    pub fn name_for(&self, table: &RelationName, constraint: &Constraint) -> String {
        let picked = || self.names.get(self.first).filter(|name| !name.is_empty()).cloned();
        let given = constraint.name.clone().or_else(picked);
        given.unwrap_or_else(|| self.naming().pick(table, constraint, &[]))
    }

    /// Whether a table has heirs or is one: what is taken back there would take from its heirs what they had before.
    pub fn has_kin(&self, table: &RelationName) -> bool {
        self.facts.table(table).is_some_and(|facts| facts.has_kin)
    }
}
