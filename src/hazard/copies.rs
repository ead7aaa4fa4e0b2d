//! What a table lacks of its parent when it is attached: copies of indexes and foreign keys, under the names that the server
//! gives them.

use super::Subject;
use crate::base::{LockMode, RelationName};
use crate::effects::facts::{ConstraintFacts, Lacking, TableFacts, TableIndex};
use crate::plan::Target;
use crate::plan::attach::IndexCopy;
use crate::sql::form::ConstraintKind;
use crate::sql::lex::Lexer;

/// What is copied.
#[derive(Debug, Default)]
pub(super) struct Copies<'a> {
    /// In the order in which the server makes them.
    pub indexes: Vec<IndexCopy>,
    /// Likewise.
    pub keys: Vec<KeyCopy<'a>>,
    /// The tables that the foreign keys refer to, those that are there already too: their triggers there become one with those of
    /// the parent's (`tryAttachPartitionForeignKey` in `tablecmds.c`).
    pub locks: Vec<Target>,
}

/// A copy of a foreign key.
#[derive(Debug)]
pub(super) struct KeyCopy<'a> {
    /// Its name.
    pub name: &'a str,
    /// As `pg_get_constraintdef` writes it.
    pub definition: &'a str,
    /// The table that it refers to, and that one's partitions.
    pub others: Vec<Target>,
}

/// The copies; `None` where they cannot be told beyond doubt.
pub(super) fn of<'a>(
    subject: &Subject<'_>,
    (child, parent): (&RelationName, &'a TableFacts),
    lacking: &Lacking<'a>,
) -> Option<Copies<'a>> {
    if lacking.doubtful || (!lacking.indexes.is_empty() && subject.facts.corrupts_concurrent_builds()) {
        return None;
    }
    let mut names = Vec::new();
    let mut copies = Copies::default();
    for index in &lacking.indexes {
        let copy = index_copy(subject, (child, parent), index, &names)?;
        names.push(copy.index.name.clone());
        copies.indexes.push(copy);
    }
    for key in &lacking.keys {
        // Servers differ in the name that they pick where that of the parent's is taken.
        if subject.naming().taken(child).contains(&key.name.as_str()) || names.contains(&key.name) {
            return None;
        }
        let others = others(key, LockMode::ShareRowExclusive)?;
        copies.keys.push(KeyCopy { name: &key.name, definition: &key.definition, others });
    }
    for key in lacking.merged.iter().chain(&lacking.keys) {
        for other in others(key, LockMode::AccessExclusive)? {
            if !copies.locks.iter().any(|known| known.oid == other.oid) {
                copies.locks.push(other);
            }
        }
    }
    let oid = |name: &RelationName| subject.facts.relation(name).map(|it| it.oid);
    let tree = parent.partitions.iter().map(|it| Some(it.oid));
    let own: Vec<_> = tree.chain([oid(child), subject.target().and_then(oid)]).collect();
    // A key within the tree goes both ways.
    (!copies.locks.iter().any(|other| own.contains(&other.oid))).then_some(copies)
}

fn index_copy(
    subject: &Subject<'_>,
    (child, parent): (&RelationName, &TableFacts),
    index: &TableIndex,
    names: &[String],
) -> Option<IndexCopy> {
    let backed = parent.backed(index);
    let constraint = match backed {
        None if index.constraint.is_some() => return None,
        None => None,
        Some(constraint) => Some((kind(constraint.kind, index)?, deferring(&constraint.definition)?)),
    };
    if index.placed || index.labels.is_empty() || index.definition.contains(".*") {
        return None;
    }
    let name = subject.naming().copy_name(child, index, backed.map(|it| it.kind), names);
    Some(IndexCopy {
        index: subject.beside(child, &name),
        unique: index.unique,
        definition: behind_table(&index.definition)?.to_owned(),
        constraint,
    })
}

/// The words for a constraint that can be made of an index.
fn kind(kind: ConstraintKind, index: &TableIndex) -> Option<&'static str> {
    match kind {
        _ if index.method != "btree" => None,
        ConstraintKind::PrimaryKey => Some("PRIMARY KEY"),
        ConstraintKind::Unique => Some("UNIQUE"),
        ConstraintKind::Check
        | ConstraintKind::Foreign
        | ConstraintKind::Exclusion
        | ConstraintKind::NotNull => None,
    }
}

/// When a constraint is checked, as its definition ends.
fn deferring(definition: &str) -> Option<&'static str> {
    const ALL: [&str; 2] = [" DEFERRABLE INITIALLY DEFERRED", " DEFERRABLE"];
    let found = ALL.into_iter().find(|words| definition.ends_with(words));
    (!definition.is_empty()).then(|| found.unwrap_or_default())
}

/// What stands behind the table's name in the definition of an index.
fn behind_table(definition: &str) -> Option<&str> {
    let using = Lexer::new(definition, true).find(|token| token.is_word(definition, "using"))?;
    definition.get(using.start..)
}

/// The table that a foreign key refers to, and that one's partitions.
fn others(key: &ConstraintFacts, mode: LockMode) -> Option<Vec<Target>> {
    let first = Target { name: key.references.clone()?, oid: Some(key.references_oid?), mode };
    let below = key.reference_partitions.iter();
    let below = below.map(|(name, oid)| Target { name: name.clone(), oid: Some(*oid), mode });
    Some([first].into_iter().chain(below).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_is_cut_behind_its_table() {
        for (definition, expected) in [
            (
                "CREATE INDEX i ON ONLY public.p USING btree (a) WITH (fillfactor='70')",
                "USING btree (a) WITH (fillfactor='70')",
            ),
            ("CREATE INDEX \"using\" ON ONLY public.\" using x\" USING gin (b)", "USING gin (b)"),
        ] {
            assert_eq!(behind_table(definition), Some(expected));
        }
        assert_eq!(behind_table(""), None);
    }

    #[test]
    fn a_definition_says_when_it_is_checked() {
        for (definition, expected) in [
            ("UNIQUE (a)", Some("")),
            ("UNIQUE (a) DEFERRABLE", Some(" DEFERRABLE")),
            ("PRIMARY KEY (a) DEFERRABLE INITIALLY DEFERRED", Some(" DEFERRABLE INITIALLY DEFERRED")),
            ("", None),
        ] {
            assert_eq!(deferring(definition), expected);
        }
    }
}
