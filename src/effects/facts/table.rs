//! What a table consists of: columns, constraints, indexes, partitions, and who refers to it.

use super::{FillFacts, Oid};
use crate::base::RelationName;
use crate::sql::form::ConstraintKind;
use crate::sql::lex::{Lexer, Token, TokenKind};

/// The parts of one table.
#[expect(clippy::struct_excessive_bools, reason = "facts as the catalogue has them, one column each")]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableFacts {
    /// Its name with its schema.
    pub name: Option<RelationName>,
    /// `pg_class.reltuples`; `None` where nobody has counted.
    pub rows: Option<u64>,
    /// Those that are not dropped.
    pub columns: Vec<ColumnFacts>,
    /// Its own.
    pub constraints: Vec<ConstraintFacts>,
    /// Its own.
    pub indexes: Vec<TableIndex>,
    /// Foreign keys of other tables that refer to it.
    pub referenced_by: Vec<Reference>,
    /// Tables that `TRUNCATE .. CASCADE` empties too: those that refer to it, and those that refer to these.
    pub truncated_with: Vec<(RelationName, Oid)>,
    /// Views that read it, and those that read these.
    pub views: Vec<ViewFacts>,
    /// Who sees its rows under another name: what it inherits from and what inherits from it, partitions among them, and views on these.
    pub seen_by: Vec<(RelationName, Oid)>,
    /// For a view or materialized view: what it reads, and what the views among that read.
    pub reads: Vec<(RelationName, Oid)>,
    /// The whole tree below it, parents before children.
    pub partitions: Vec<PartitionFacts>,
    /// A materialized view that holds data, whose owner may make the temporary table that a concurrent refresh needs.
    pub refreshable: bool,
    /// A materialized view that holds no data, so that nobody can read it.
    pub unpopulated: bool,
    /// Tables that inherit from it, and those that inherit from these: not its partitions.
    pub heirs: Vec<Heir>,
    /// It inherits from another table, or another one from it: not as a partition.
    pub has_kin: bool,
    /// How its rows can be written one range after the other, where it has some itself.
    pub fill: FillFacts,
    /// Who owns it, where that is not the session's own role.
    pub owner: Option<String>,
    /// For a partitioned table: how rows find their partitions, where one column says it as its type does by itself.
    pub partition_key: Option<PartitionKey>,
    /// For a partitioned table: the columns by which rows find their partitions, at every level; `None` for an expression.
    pub partition_columns: Vec<Option<String>>,
    /// The table that it is a partition of.
    pub parent: Option<RelationName>,
    /// That table's default partition, if it is another one.
    pub default_beside: Option<RelationName>,
    /// The session's role may do with it what its owner may.
    pub owned: bool,
    /// What `DROP` of it, or of one of its columns, would stumble over without `CASCADE`.
    pub needed: Vec<NeededBy>,
    /// For a partition: what it holds, `FOR VALUES ..`.
    pub bound: Option<String>,
    /// For a partition: that as a condition, with what the parents of its parent ask for.
    pub bound_condition: Option<String>,
    /// For a partitioned table: the session's role may make partitions of it, and they get nothing from it that a table like it
    /// would not get: neither tablespace nor access method.
    pub partitionable: bool,
    /// For a partition: the oid of its parent.
    pub parent_oid: Option<Oid>,
    /// For a partition: `DETACH .. CONCURRENTLY` locks nothing else, and nothing stands in its way (but an old version).
    pub detachable: bool,
    /// For a partitioned table: the partition that is half detached (`pg_inherits.inhdetachpending`).
    pub pending: Option<RelationName>,
}

impl TableFacts {
    /// One of its columns.
    pub fn column(&self, name: &str) -> Option<&ColumnFacts> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// One of its constraints.
    pub fn constraint(&self, name: &str) -> Option<&ConstraintFacts> {
        self.constraints.iter().find(|constraint| constraint.name == name)
    }

    /// The NOT NULL of one of its columns, where that is a constraint (18).
    pub fn not_null(&self, column: &str) -> Option<&ConstraintFacts> {
        self.constraints.iter().find(|constraint| {
            constraint.kind == ConstraintKind::NotNull && constraint.columns.iter().any(|it| it == column)
        })
    }

    /// Its indexes on a column, or with expressions that may read it.
    pub fn indexes_on<'a>(&'a self, column: &'a str) -> impl Iterator<Item = &'a TableIndex> {
        let on = move |index: &&TableIndex| {
            index.reads_in_expressions(column) || index.columns.iter().any(|it| it == column)
        };
        self.indexes.iter().filter(on)
    }

    /// The views that need the table, or one column of it.
    pub fn views_of<'a>(&'a self, column: Option<&'a str>) -> impl Iterator<Item = &'a ViewFacts> {
        self.views.iter().filter(move |view| column.is_none_or(|it| view.columns.iter().any(|own| own == it)))
    }

    /// Whether columns of which each is compared with a value tell one row from all others.
    pub fn is_pinned(&self, columns: &[String]) -> bool {
        self.indexes.iter().any(|index| {
            let whole = index.unique && index.valid && !index.expressions && !index.columns.is_empty();
            whole && index.columns.iter().all(|column| columns.contains(column))
        })
    }

    /// Whether `DROP TABLE`, or `DROP COLUMN` of that column, is refused without `CASCADE`.
    pub fn is_needed(&self, column: Option<&str>) -> bool {
        self.needed.iter().any(|it| match column {
            Some(column) => it.column.as_deref() == Some(column),
            None => !it.inside,
        })
    }

    /// Its partition for whatever fits nowhere else.
    pub fn default_partition(&self) -> Option<&PartitionFacts> {
        let own = |partition: &&PartitionFacts| {
            partition.default && self.name.as_ref().is_none_or(|name| *name == partition.parent)
        };
        self.partitions.iter().find(own)
    }

    /// A partition and what is below it, parents before children.
    pub fn tree<'a>(&'a self, top: &'a PartitionFacts) -> Vec<&'a PartitionFacts> {
        let mut tree = vec![top];
        for partition in &self.partitions {
            if tree.iter().any(|above| above.name == partition.parent) {
                tree.push(partition);
            }
        }
        tree
    }

    /// The size of a partition with what is below it, in bytes.
    pub fn tree_bytes(&self, top: &PartitionFacts) -> Option<u64> {
        self.tree(top).iter().map(|partition| partition.bytes).sum()
    }
}

/// Something that needs a table, or a column of it, and does not go with it by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeededBy {
    /// The column.
    pub column: Option<String>,
    /// It goes with the table as a whole.
    pub inside: bool,
}

/// `PARTITION BY` one column, whose operators and collation are those that `=` and `<` mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionKey {
    /// `RANGE` (true) or `LIST`.
    pub range: bool,
    /// The column.
    pub column: String,
}

/// A column.
#[expect(clippy::struct_excessive_bools, reason = "facts as the catalogue has them, one column each")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnFacts {
    /// Its name.
    pub name: String,
    /// As `format_type` writes it, `character varying(20)`.
    pub ty: String,
    /// Its type's own name in the catalogue, `varchar`, that under a domain, and its modifier (`atttypmod`, -1 for none).
    pub base: (String, i32),
    /// `NOT NULL`
    pub not_null: bool,
    /// Its default as SQL; that of a generated column is its expression.
    pub default: Option<String>,
    /// `GENERATED .. AS IDENTITY`
    pub identity: bool,
    /// `GENERATED ALWAYS AS (..) STORED`
    pub stored: bool,
}

/// A constraint.
#[expect(clippy::struct_excessive_bools, reason = "facts as the catalogue has them, one column each")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConstraintFacts {
    /// Its name.
    pub name: String,
    /// What it demands.
    pub kind: ConstraintKind,
    /// Its columns, in its order.
    pub columns: Vec<String>,
    /// False while it is NOT VALID.
    pub validated: bool,
    /// It has a comment, which goes with it.
    pub commented: bool,
    /// It is that part of another foreign key of its table that refers to a partition.
    pub part: bool,
    /// For a foreign key: the table that it refers to.
    pub references: Option<RelationName>,
    /// Its oid.
    pub references_oid: Option<Oid>,
    /// That table's partitions, the whole tree.
    pub reference_partitions: Vec<(RelationName, Oid)>,
    /// Its definition says all of it, and it is not part of its parent's.
    pub restorable: bool,
    /// As `pg_get_constraintdef` writes it; empty where that is unknown.
    pub definition: String,
}

/// An index of a table.
#[expect(clippy::struct_excessive_bools, reason = "facts as the catalogue has them, one column each")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableIndex {
    /// Its name with its schema.
    pub name: RelationName,
    /// Its oid.
    pub oid: Oid,
    /// The columns that it goes with (`pg_depend`); none where it goes with its constraint.
    pub needs: Vec<String>,
    /// Its definition says all of it, and nothing else owns it.
    pub restorable: bool,
    /// Its key columns by name; expressions are left out.
    pub columns: Vec<String>,
    /// It has expressions or a predicate.
    pub expressions: bool,
    /// With `WHERE`.
    pub partial: bool,
    /// `btree`, `gin`, ..
    pub method: String,
    /// `UNIQUE`
    pub unique: bool,
    /// `pg_index.indisvalid`
    pub valid: bool,
    /// It has a tablespace of its own, which its definition does not say.
    pub placed: bool,
    /// The names of its own columns, of which Postgres makes those of its copies.
    pub labels: Vec<String>,
    /// What makes it the same as one of another table with these columns; empty where that is unknown.
    pub shape: String,
    /// The constraint that it backs.
    pub constraint: Option<String>,
    /// As `pg_get_indexdef` writes it; empty where that is unknown.
    pub definition: String,
}

impl TableIndex {
    /// Whether its expressions or its predicate may read a column: no index with such is kept when a type changes
    /// (`CheckIndexCompatible` in `indexcmds.c`).
    pub fn reads_in_expressions(&self, column: &str) -> bool {
        let definition = &self.definition;
        let names = |token: Token| {
            let word = token.text(definition).trim_matches('"');
            matches!(token.kind, TokenKind::Word | TokenKind::Quoted) && word.replace("\"\"", "\"") == column
        };
        self.expressions && (definition.is_empty() || Lexer::new(definition, true).any(names))
    }
}

/// A foreign key of another table.
#[expect(clippy::struct_excessive_bools, reason = "facts as the catalogue has them, one column each")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The table that refers.
    pub table: RelationName,
    /// Its oid.
    pub oid: Oid,
    /// The constraint.
    pub constraint: String,
    /// The columns referred to.
    pub columns: Vec<String>,
    /// False while it is NOT VALID.
    pub validated: bool,
    /// As `pg_get_constraintdef` writes it; empty where that is unknown.
    pub definition: String,
    /// Its definition says all of it, it is not part of another one, and the session's role may drop it and add it again.
    pub restorable: bool,
    /// It is not part of another foreign key.
    pub own: bool,
    /// `pg_table_size` of the table that refers, with what is below it, in bytes.
    pub bytes: Option<u64>,
}

/// A view that reads a table, itself or through others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewFacts {
    /// Its name with its schema.
    pub name: RelationName,
    /// Its oid.
    pub oid: Oid,
    /// The columns of the table that it needs.
    pub columns: Vec<String>,
}

/// A table that inherits from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heir {
    /// Its name with its schema.
    pub name: RelationName,
    /// Its oid.
    pub oid: Oid,
    /// `pg_table_size`, in bytes.
    pub bytes: Option<u64>,
}

/// A partition, or a partition of one.
#[expect(clippy::struct_excessive_bools, reason = "facts as the catalogue has them, one column each")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionFacts {
    /// Its name with its schema.
    pub name: RelationName,
    /// Its oid.
    pub oid: Oid,
    /// What it is a partition of, with its schema.
    pub parent: RelationName,
    /// It has rows of its own.
    pub leaf: bool,
    /// `DEFAULT`
    pub default: bool,
    /// A foreign table, which has no indexes.
    pub foreign: bool,
    /// The names of its constraints.
    pub constraints: Vec<String>,
    /// Its columns that are `NOT NULL`.
    pub not_null: Vec<String>,
    /// Those of them whose `NOT NULL` is `NOT VALID` or `NO INHERIT` (18).
    pub odd_not_null: Vec<String>,
    /// The session's role may do with it what its owner may.
    pub owned: bool,
    /// Its foreign keys that are not part of its parent's.
    pub own_keys: Vec<OwnKey>,
    /// The key columns of each of its indexes that is not part of its parent's; empty for an expression.
    pub indexes: Vec<Vec<String>>,
    /// `pg_table_size`
    pub bytes: Option<u64>,
    /// For a leaf: how its rows can be written one range after the other.
    pub fill: FillFacts,
}

/// A foreign key of a partition by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnKey {
    /// Its columns, in its order.
    pub columns: Vec<String>,
    /// The table that it refers to.
    pub references: Oid,
    /// The columns there, in the same order.
    pub reference_columns: Vec<String>,
    /// As `References::rules` has it, then whether it is deferrable and whether it is deferred, `t` or `f` each.
    pub rules: String,
    /// False while it is NOT VALID.
    pub validated: bool,
}

/// Names in a table's schema that one picked for an object of the table could meet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TakenNames {
    /// Of relations: a new index or key may have none of them.
    pub relations: Vec<String>,
    /// Of constraints, whichever table has them: Postgres picks none of them, though it would take one that is given.
    pub constraints: Vec<String>,
}
