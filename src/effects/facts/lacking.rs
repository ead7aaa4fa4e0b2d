//! What a table has not yet that a partition has from its parent: it gets that while it is attached, which reads it.

use super::{ColumnFacts, ConstraintFacts, TableFacts, TableIndex};
use crate::sql::form::ConstraintKind;

/// What a table lacks of a parent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lacking<'a> {
    /// Indexes of the parent, with those of its keys, in the order in which they are copied.
    pub indexes: Vec<&'a TableIndex>,
    /// Its foreign keys, in that order.
    pub keys: Vec<&'a ConstraintFacts>,
    /// Foreign keys of the parent that the table has already, and that become one with those.
    pub merged: Vec<&'a ConstraintFacts>,
    /// Not all of it can be told for sure.
    pub doubtful: bool,
}

impl TableFacts {
    /// What the table lacks of a parent (`AttachPartitionEnsureIndexes`, `CloneFkReferencing` in `tablecmds.c`).
    pub fn lacking<'a>(&self, parent: &'a Self) -> Lacking<'a> {
        let mut lacking = Lacking::default();
        let mut own: Vec<&TableIndex> = self.indexes.iter().collect();
        for index in &parent.indexes {
            lacking.doubtful |= index.shape.is_empty() || own.iter().any(|it| it.shape.is_empty());
            if let Some(at) = own.iter().position(|it| it.is_copy(index, (self, parent))) {
                own.remove(at);
                continue;
            }
            // Older servers look neither whether it is valid, nor what kind of a constraint it backs.
            let near = |it: &&TableIndex| it.shape == index.shape && (!it.valid || it.constraint.is_some());
            lacking.doubtful |= own.iter().any(near);
            lacking.indexes.push(index);
        }
        let mut own: Vec<&ConstraintFacts> = self.foreign_keys().collect();
        // One that is not valid is not proved for the partition either.
        for key in parent.foreign_keys().filter(|key| key.validated) {
            lacking.doubtful |= key.definition.is_empty();
            let same = |it: &&ConstraintFacts| {
                it.validated && it.references_oid == key.references_oid && it.definition == key.definition
            };
            if let Some(at) = own.iter().position(same) {
                own.remove(at);
                lacking.merged.push(key);
                continue;
            }
            lacking.doubtful |= own.iter().any(|it| it.is_near(key));
            lacking.keys.push(key);
        }
        lacking
    }

    /// Whether the server refuses to make the table a partition of a parent with a column that may not be null
    /// (`MergeAttributesIntoExisting` in `tablecmds.c`).
    pub fn is_laxer(&self, parent: &Self) -> bool {
        let proved = |column: &ColumnFacts| {
            column.not_null && self.not_null(&column.name).is_none_or(|known| known.validated)
        };
        let strict = parent.columns.iter().filter(|column| column.not_null);
        strict.into_iter().any(|strict| self.column(&strict.name).is_some_and(|own| !proved(own)))
    }

    fn foreign_keys(&self) -> impl Iterator<Item = &ConstraintFacts> {
        self.constraints.iter().filter(|it| it.kind == ConstraintKind::Foreign && !it.part)
    }

    /// The constraint that an index backs.
    pub fn backed(&self, index: &TableIndex) -> Option<&ConstraintFacts> {
        index.constraint.as_ref().and_then(|name| self.constraint(name))
    }
}

impl Lacking<'_> {
    /// Whether it has all.
    pub const fn is_nothing(&self) -> bool {
        self.indexes.is_empty() && self.keys.is_empty()
    }
}

impl ConstraintFacts {
    /// Whether a foreign key that is not the same may be taken for it: one that is not valid is by 18, and the columns of
    /// `ON DELETE SET NULL` are not compared (`tryAttachPartitionForeignKey` in `tablecmds.c`).
    fn is_near(&self, key: &Self) -> bool {
        let sets =
            |it: &Self| ["SET NULL (", "SET DEFAULT ("].iter().any(|words| it.definition.contains(words));
        self.references_oid == key.references_oid
            && self.columns == key.columns
            && (!self.validated || sets(self) || sets(key))
    }
}

impl TableIndex {
    /// Whether it becomes the partition of an index of a parent.
    fn is_copy(&self, of: &Self, (own, parent): (&TableFacts, &TableFacts)) -> bool {
        let kind = |table: &TableFacts, index: &Self| table.backed(index).map(|it| it.kind);
        let wanted = kind(parent, of);
        self.valid && self.shape == of.shape && (wanted.is_none() || kind(own, self) == wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::RelationName;

    fn index(name: &str, shape: &str, constraint: Option<&str>) -> TableIndex {
        TableIndex {
            name: RelationName::bare(name),
            oid: 7,
            needs: Vec::new(),
            restorable: true,
            columns: vec!["a".to_owned()],
            expressions: false,
            partial: false,
            method: "btree".to_owned(),
            unique: false,
            valid: true,
            placed: false,
            labels: vec!["a".to_owned()],
            shape: shape.to_owned(),
            constraint: constraint.map(str::to_owned),
            definition: String::new(),
        }
    }

    fn constraint(name: &str, kind: ConstraintKind, definition: &str) -> ConstraintFacts {
        ConstraintFacts {
            name: name.to_owned(),
            kind,
            columns: vec!["a".to_owned()],
            validated: true,
            references: None,
            commented: false,
            part: false,
            references_oid: Some(3),
            reference_partitions: Vec::new(),
            restorable: true,
            definition: definition.to_owned(),
        }
    }

    fn table(indexes: &[TableIndex], constraints: &[ConstraintFacts]) -> TableFacts {
        TableFacts { indexes: indexes.to_vec(), constraints: constraints.to_vec(), ..TableFacts::default() }
    }

    #[test]
    fn each_index_serves_once() {
        let parent = table(&[index("p1", "x", None), index("p2", "x", None), index("p3", "y", None)], &[]);
        let names = |child: &TableFacts| {
            let lacking = child.lacking(&parent);
            let names = lacking.indexes.iter().map(|it| it.name.name.clone()).collect::<Vec<_>>();
            (names.join(" "), lacking.doubtful)
        };
        let invalid = TableIndex { valid: false, ..index("c", "y", None) };
        for (own, expected) in [
            (vec![], ("p1 p2 p3", false)),
            (vec![index("c", "x", None)], ("p2 p3", false)),
            (vec![index("c", "y", Some("c")), index("d", "x", None), index("e", "x", None)], ("", false)),
            (vec![invalid], ("p1 p2 p3", true)),
            (vec![index("c", "", None)], ("p1 p2 p3", true)),
        ] {
            let (found, doubtful) = names(&table(&own, &[]));
            assert_eq!((found.as_str(), doubtful), expected);
        }
    }

    #[test]
    fn a_key_needs_a_key_of_its_kind() {
        let primary = |name| constraint(name, ConstraintKind::PrimaryKey, "");
        let unique = constraint("c", ConstraintKind::Unique, "");
        let parent = table(&[index("p", "x", Some("p"))], &[primary("p")]);
        for (child, expected) in [
            (table(&[index("c", "x", Some("c"))], &[primary("c")]), (0, false)),
            (table(&[index("c", "x", Some("c"))], &[unique]), (1, true)),
            (table(&[index("c", "x", None)], &[]), (1, false)),
        ] {
            let lacking = child.lacking(&parent);
            assert_eq!((lacking.indexes.len(), lacking.doubtful), expected);
        }
    }

    #[test]
    fn foreign_keys_are_the_same_or_another_one() {
        let key = |words: &str| constraint("k", ConstraintKind::Foreign, words);
        let parent = table(&[], &[key("x")]);
        let late = ConstraintFacts { validated: false, ..key("x") };
        for (own, expected) in [
            (vec![], (1, 0, false)),
            (vec![key("x")], (0, 1, false)),
            (vec![key("x ON DELETE CASCADE")], (1, 0, false)),
            (vec![key("x ON DELETE SET NULL (a)")], (1, 0, true)),
            (vec![late.clone()], (1, 0, true)),
            (vec![ConstraintFacts { references_oid: Some(4), ..key("x") }], (1, 0, false)),
        ] {
            let child = table(&[], &own);
            let lacking = child.lacking(&parent);
            assert_eq!((lacking.keys.len(), lacking.merged.len(), lacking.doubtful), expected, "{own:?}");
        }
        assert!(table(&[], &[]).lacking(&table(&[], &[late])).is_nothing());
    }
}
