//! A statement over many rows, carried out range after range of a key: what is asked of the server for each range.
//!
//! Every row lies in one range, wherever a range ends, so that each is met once. A range is told by the values of the key
//! alone: a row that is written anew stays where it is.

use super::by_hand::{HandStep, spelled};
use super::constraint::long;
use super::{Pace, Step, Target};
use crate::base::name::written;
use crate::base::relation::quote_identifier;
use crate::base::{LockMode, RelationName};
use crate::effects::facts::{FillFacts, Leaf, Oid, TableFacts, TableIndex};
use crate::sql::form::ConstraintKind;

/// A statement that is carried out in ranges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranges {
    /// The table.
    pub table: RelationName,
    /// Columns that are unique together and never null, in the order of their index.
    pub key: Vec<String>,
    /// What stands before its WHERE: `UPDATE t SET c = DEFAULT`.
    pub verb: String,
    /// Which rows it is for: `c IS NULL`.
    pub condition: String,
    /// Whether rows may be left that somebody has moved to another place of the key meanwhile.
    pub left: Left,
    /// The server's own estimate of how many rows there are.
    pub rows: Option<u64>,
}

/// A statement that is carried out in ranges of each leaf of a partitioned table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaves {
    /// The partitioned table.
    pub table: RelationName,
    /// Its oid, by which its leaves are found.
    pub oid: Oid,
    /// What stands behind the name of the table: `SET c = DEFAULT`.
    pub set: String,
    /// Which rows it is for.
    pub condition: String,
    /// Whether rows may be left that somebody has moved to another place meanwhile.
    pub left: Left,
    /// The server's own estimate of how many rows there are.
    pub rows: Option<u64>,
}

impl Leaves {
    /// The statement for one leaf; where it cannot be carried out there, a sentence that says why.
    pub fn of(&self, leaf: &Leaf) -> Result<Ranges, String> {
        if let Some(why) = in_the_way(&leaf.name, leaf.foreign, &leaf.fill) {
            return Err(why);
        }
        Ok(Ranges {
            table: leaf.name.clone(),
            key: leaf.fill.key.clone(),
            verb: format!("UPDATE {} {}", spelled(&leaf.name), self.set),
            condition: self.condition.clone(),
            left: self.left,
            rows: None,
        })
    }

    /// The whole statement, as people would write it.
    pub fn as_one(&self) -> String {
        format!("UPDATE {} {} WHERE {}", spelled(&self.table), self.set, self.condition)
    }
}

/// Why the rows of a table cannot be written in ranges, or not without doing more than that; a sentence.
pub fn in_the_way(table: &RelationName, foreign: bool, fill: &FillFacts) -> Option<String> {
    let could = "It could be filled in batches, but";
    if foreign {
        return Some(format!("{could} {table} is a foreign table."));
    }
    if let Some(trigger) = fill.triggers.first() {
        return Some(format!(
            "{could} each UPDATE would fire the trigger {} of {table}, which the statement itself does not. A superuser can fill \
             it with session_replication_role set to replica, which fires none.",
            written(trigger)
        ));
    }
    if let Some(rule) = fill.rules.first() {
        return Some(format!("{could} the rule {} of {table} stands in for each UPDATE.", written(rule)));
    }
    if fill.row_security {
        return Some(format!("{could} the row security of {table} hides rows from this role."));
    }
    fill.key.is_empty().then(|| {
        format!(
            "{could} {table} has no unique index on columns that are NOT NULL to tell them apart by. Add a primary key first."
        )
    })
}

/// How the rows of a table can be written in ranges.
pub fn of_table(table: &TableFacts) -> FillFacts {
    FillFacts {
        key: key_of(table).unwrap_or_default(),
        triggers: table.update_triggers.clone(),
        rules: table.update_rules.clone(),
        row_security: table.row_security,
    }
}

/// What becomes of rows that are passed by since somebody changes their key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// They are looked for, as long as the statement leaves no row for which its condition holds still.
    LookedFor,
    /// They stay as they are.
    Stay,
}

impl Ranges {
    /// The key of the last row: rows that come behind it later are none of the statement's.
    pub fn last_key(&self) -> String {
        format!(
            "SELECT {} FROM {} ORDER BY {} LIMIT 1",
            self.key_list(""),
            self.name(),
            self.key_list(" DESC")
        )
    }

    /// The key of the row at which a range of `rows` ends, if there are so many. Parameters: as of [`Self::within`].
    pub fn end_of_range(&self, begun: Begun, rows: u64) -> String {
        let (list, within) = (self.key_list(""), self.within(begun));
        format!(
            "SELECT {list} FROM (SELECT {list} FROM {} WHERE {within} ORDER BY {list} LIMIT {rows}) AS ahead ORDER BY {} LIMIT 1",
            self.name(),
            self.key_list(" DESC")
        )
    }

    /// Locks the rows of a range, one after the other in the order of the key, so that nobody who does likewise can
    /// deadlock with it.
    pub fn lock(&self, begun: Begun) -> String {
        format!(
            "SELECT pg_catalog.count(*) FROM (SELECT 1 FROM {} WHERE {} AND ({}) ORDER BY {} FOR NO KEY UPDATE) AS locked",
            self.name(),
            self.within(begun),
            self.condition,
            self.key_list("")
        )
    }

    /// Carries the statement out in a range; gives how many rows that were, and for how many its condition holds still.
    pub fn write(&self, begun: Begun) -> String {
        format!(
            "WITH written AS ({} WHERE {} AND ({condition}) RETURNING ({condition}) AS still) \
             SELECT pg_catalog.count(*), pg_catalog.count(*) FILTER (WHERE still) FROM written",
            self.verb,
            self.within(begun),
            condition = self.condition
        )
    }

    /// Whether there is a row yet for which the condition holds.
    pub fn any_left(&self) -> String {
        format!("SELECT EXISTS (SELECT 1 FROM {} WHERE {})", self.name(), self.condition)
    }

    /// The whole statement, as people would write it.
    pub fn as_one(&self) -> String {
        format!("{} WHERE {}", self.verb, self.condition)
    }

    /// What is in a range. The parameters are the key at which the range ends, then the key behind which it begins, if
    /// another came before.
    fn within(&self, begun: Begun) -> String {
        let count = self.key.len();
        let parameters = |from: usize| {
            let all: Vec<String> = (from..from + count).map(|number| format!("${number}")).collect();
            row(&all)
        };
        let names: Vec<String> = self.key.iter().map(|column| written(column)).collect();
        let key = row(&names);
        match begun {
            Begun::AtTheFirst => format!("{key} <= {}", parameters(1)),
            Begun::Behind => format!("{key} <= {} AND {key} > {}", parameters(1), parameters(count + 1)),
        }
    }

    fn name(&self) -> String {
        spelled(&self.table)
    }

    fn key_list(&self, order: &str) -> String {
        let columns: Vec<String> = self.key.iter().map(|column| written(column) + order).collect();
        columns.join(", ")
    }
}

/// Where a range begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// With the first row.
    AtTheFirst,
    /// Behind the range before.
    Behind,
}

/// The comparison of one column is the same as that of a row, and every planner knows what to do with it.
fn row(columns: &[String]) -> String {
    match columns {
        [one] => one.clone(),
        several => format!("({})", several.join(", ")),
    }
}

/// The key by which a table is gone through; `None` where it has none. The primary key goes before others, a short one before
/// a long one.
fn key_of(table: &TableFacts) -> Option<Vec<String>> {
    let fits = |index: &&TableIndex| {
        index.unique
            && index.valid
            && !index.partial
            && !index.expressions
            && index.method == "btree"
            && !index.columns.is_empty()
            && index.columns.iter().all(|column| is_walkable(table, column))
            && is_in_plain_order(index)
    };
    let primary = |index: &TableIndex| {
        let constraint = index.constraint.as_deref().and_then(|name| table.constraint(name));
        constraint.is_some_and(|it| it.kind == ConstraintKind::PrimaryKey)
    };
    let best =
        table.indexes.iter().filter(fits).min_by_key(|index| (!primary(index), index.columns.len()))?;
    Some(best.columns.clone())
}

/// Whether a column never holds a null, and each of its values has a text that means just that value.
fn is_walkable(table: &TableFacts, column: &str) -> bool {
    /// Their texts depend on settings that may round them, or that may mean something else when they are read.
    const ROUNDED: [&str; 3] = ["float4", "float8", "interval"];
    let proved = table.not_null(column).is_none_or(|constraint| constraint.validated);
    table.column(column).is_some_and(|it| it.not_null && proved && !ROUNDED.contains(&it.base.0.as_str()))
}

/// Whether the index is in the order that ORDER BY means; where nobody could ask for its definition, that of a constraint is
/// most likely so.
fn is_in_plain_order(index: &TableIndex) -> bool {
    let Some((_, mut rest)) = index.definition.split_once(" USING btree (") else {
        return index.definition.is_empty() && index.constraint.is_some();
    };
    for (at, column) in index.columns.iter().enumerate() {
        rest = if at > 0 { rest.strip_prefix(", ").unwrap_or_default() } else { rest };
        let quoted = rest.strip_prefix(quote_identifier(column).as_str());
        rest = quoted.or_else(|| rest.strip_prefix(column.as_str())).unwrap_or_default();
    }
    rest.starts_with(')')
}

/// Where a statement is carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filled {
    /// In a table.
    Table(Ranges),
    /// In each leaf of a partitioned one.
    Leaves(Leaves),
}

/// The step that carries it out.
pub(super) fn step(filled: Filled, table: &Target) -> Step {
    let (whole, pace) = match filled {
        Filled::Table(ranges) => (ranges.as_one(), Pace::Ranges(Box::new(ranges))),
        Filled::Leaves(leaves) => (leaves.as_one(), Pace::Leaves(Box::new(leaves))),
    };
    let whole = HandStep::anywhere(whole);
    Step { pace, lock: LockMode::RowExclusive, ..long(&whole, Some(table)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effects::facts::ColumnFacts;

    fn ranges(key: &[&str]) -> Ranges {
        Ranges {
            table: RelationName::qualified("public", "Orders"),
            key: key.iter().map(|column| (*column).to_owned()).collect(),
            verb: "UPDATE public.\"Orders\" SET c = DEFAULT".to_owned(),
            condition: "c IS NULL".to_owned(),
            left: Left::Stay,
            rows: None,
        }
    }

    #[test]
    fn a_range_is_told_by_its_ends() {
        let one = ranges(&["id"]);
        assert_eq!(one.last_key(), "SELECT id FROM public.\"Orders\" ORDER BY id DESC LIMIT 1");
        assert_eq!(
            one.end_of_range(Begun::AtTheFirst, 100),
            "SELECT id FROM (SELECT id FROM public.\"Orders\" WHERE id <= $1 ORDER BY id LIMIT 100) AS ahead ORDER BY id DESC LIMIT 1"
        );
        let two = ranges(&["a", "B"]);
        assert_eq!(
            two.last_key(),
            "SELECT a, \"B\" FROM public.\"Orders\" ORDER BY a DESC, \"B\" DESC LIMIT 1"
        );
        assert_eq!(
            two.lock(Begun::Behind),
            "SELECT pg_catalog.count(*) FROM (SELECT 1 FROM public.\"Orders\" WHERE (a, \"B\") <= ($1, $2) AND (a, \"B\") > \
             ($3, $4) AND (c IS NULL) ORDER BY a, \"B\" FOR NO KEY UPDATE) AS locked"
        );
        assert_eq!(
            two.write(Begun::AtTheFirst),
            "WITH written AS (UPDATE public.\"Orders\" SET c = DEFAULT WHERE (a, \"B\") <= ($1, $2) AND (c IS NULL) RETURNING \
             (c IS NULL) AS still) SELECT pg_catalog.count(*), pg_catalog.count(*) FILTER (WHERE still) FROM written"
        );
        assert_eq!(two.any_left(), "SELECT EXISTS (SELECT 1 FROM public.\"Orders\" WHERE c IS NULL)");
        assert_eq!(two.as_one(), "UPDATE public.\"Orders\" SET c = DEFAULT WHERE c IS NULL");
    }

    #[test]
    fn the_key_is_one_that_a_walk_can_follow() {
        let column = |name: &str, ty: &str, not_null| ColumnFacts {
            name: name.to_owned(),
            ty: ty.to_owned(),
            base: (ty.to_owned(), -1),
            not_null,
            default: None,
            identity: false,
            stored: false,
        };
        let index = |columns: &[&str], order: &str| TableIndex {
            name: RelationName::bare("i"),
            oid: 7,
            needs: Vec::new(),
            restorable: true,
            columns: columns.iter().map(|it| (*it).to_owned()).collect(),
            expressions: false,
            partial: false,
            method: "btree".to_owned(),
            unique: true,
            valid: true,
            placed: false,
            labels: Vec::new(),
            shape: String::new(),
            constraint: None,
            definition: format!("CREATE UNIQUE INDEX i ON public.t USING btree ({order}) INCLUDE (d)"),
        };
        let table = |indexes: &[TableIndex]| TableFacts {
            columns: vec![
                column("a", "int4", true),
                column("B b", "text", true),
                column("f", "float8", true),
                column("n", "int4", false),
            ],
            indexes: indexes.to_vec(),
            ..TableFacts::default()
        };
        let pair = index(&["a", "B b"], "a, \"B b\"");
        assert_eq!(key_of(&table(std::slice::from_ref(&pair))), Some(pair.columns.clone()));
        let short = index(&["B b"], "\"B b\"");
        assert_eq!(key_of(&table(&[pair.clone(), short.clone()])), Some(short.columns));
        for other in [
            index(&["a"], "a DESC"),
            index(&["B b"], "\"B b\" COLLATE \"C\""),
            index(&["f"], "f"),
            index(&["n"], "n"),
            TableIndex { unique: false, ..pair.clone() },
            TableIndex { valid: false, ..pair.clone() },
            TableIndex { partial: true, ..pair.clone() },
            TableIndex { definition: String::new(), ..pair.clone() },
        ] {
            assert_eq!(key_of(&table(std::slice::from_ref(&other))), None, "{other:?}");
        }
        let busy = TableIndex { definition: String::new(), constraint: Some("k".to_owned()), ..pair.clone() };
        assert_eq!(key_of(&table(&[busy])), Some(pair.columns));
    }
}
