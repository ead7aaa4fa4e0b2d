//! What the server refuses at once, since it speaks of what is not there, or makes what is there already: it is sent as it is, so that
//! the server's own words come at once, and not when half of it is done.

use super::Subject;
use crate::base::RelationName;
use crate::effects::facts::{TableFacts, Texts};
use crate::sql::form::{Action, Constraint, ConstraintKind, Part};

impl Subject<'_> {
    /// Whether the server will refuse a constraint at once: for its name, because there is one of the kind, or since a column of its
    /// is not there. Of a key it says that in other words than of an index.
    pub fn is_refused_anyway(&self, table: &RelationName, constraint: &Constraint) -> bool {
        let primary = |facts: &TableFacts| {
            facts.constraints.iter().any(|known| known.kind == ConstraintKind::PrimaryKey)
        };
        let named = constraint.name.as_deref().is_some_and(|name| self.naming().taken(table).contains(&name));
        let key = matches!(constraint.kind, ConstraintKind::PrimaryKey | ConstraintKind::Unique);
        let lacks = |facts: &TableFacts| {
            constraint.columns.iter().any(|it| self.has_not(facts, it) && !self.adds(it))
        };
        named
            || (constraint.kind == ConstraintKind::PrimaryKey && self.facts.table(table).is_some_and(primary))
            || (key && self.facts.table(table).is_some_and(lacks))
    }

    /// Whether a table has no column of that name for sure: some names may not have been readable.
    pub(super) fn has_not(&self, table: &TableFacts, column: &str) -> bool {
        self.facts.texts == Texts::Faithful && table.column(column).is_none()
    }

    /// Whether the statement itself adds a column of that name.
    pub(super) fn adds(&self, name: &str) -> bool {
        let adds =
            |part: &Part| matches!(&part.action, Action::AddColumn { column, .. } if column.name == name);
        self.all_parts().iter().any(adds)
    }

    /// Whether a part of an `ALTER TABLE` drops or changes what is not there.
    pub(super) fn lacks_what_it_changes(&self) -> bool {
        let Some(table) = self.target().and_then(|target| self.facts.table(target)) else { return false };
        let lacks = |name: &str| self.has_not(table, name) && !self.adds(name);
        self.all_parts().iter().any(|part| match &part.action {
            Action::DropConstraint { name, if_exists: false, .. } => {
                self.facts.texts == Texts::Faithful && table.constraint(name).is_none()
            }
            Action::DropColumn { column, if_exists: false, .. } => self.has_not(table, column),
            Action::SetType { column, .. }
            | Action::SetNotNull(column)
            | Action::DropNotNull(column)
            | Action::SetDefault(column)
            | Action::DropDefault(column) => lacks(column),
            _ => false,
        })
    }
}
