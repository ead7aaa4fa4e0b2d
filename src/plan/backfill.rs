//! A statement over many rows, carried out range after range of a key: what is asked of the server for each range.
//!
//! Every row lies in one range, wherever a range ends, so that each is met once. A range is told by the values of the key
//! alone: a row that is written anew stays where it is.

use super::by_hand::{HandStep, spelled};
use super::constraint::long;
use super::{Pace, Step, Target};
use crate::base::name::written;
use crate::base::{LockMode, RelationName};
use crate::effects::facts::{FillFacts, Leaf, Oid, Unpublishable};

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

/// Why the rows of a table cannot be written in ranges, or not without doing more than that; a sentence, and how that is
/// changed.
pub fn in_the_way(table: &RelationName, foreign: bool, fill: &FillFacts) -> Option<String> {
    let why = if foreign {
        Some(format!("{table} is a foreign table."))
    } else {
        fires(table, fill).or_else(|| forbids(table, fill)).or_else(|| refuses(table, fill))
    };
    let why = why.or_else(|| {
        fill.key.is_empty().then(|| {
            format!(
                "{table} has no unique index on columns that are NOT NULL to tell them apart by, of types whose values are the same \
                 when they are read as they are written. Add a primary key first."
            )
        })
    });
    why.map(|why| format!("It could be filled in batches, but {why}"))
}

/// What an UPDATE would do besides.
fn fires(table: &RelationName, fill: &FillFacts) -> Option<String> {
    if let Some(trigger) = fill.triggers.first() {
        return Some(format!(
            "each UPDATE would fire the trigger {} of {table}, which the statement itself does not. A superuser can fill it with \
             session_replication_role set to replica, which fires none.",
            written(trigger)
        ));
    }
    let rule = fill.rules.first()?;
    Some(format!("the rule {} of {table} stands in for each UPDATE.", written(rule)))
}

/// What this role may not do.
fn forbids(table: &RelationName, fill: &FillFacts) -> Option<String> {
    if fill.row_security {
        return Some(format!("the row security of {table} hides rows from this role."));
    }
    let of_table: Vec<&str> =
        fill.rights_missing.iter().map(String::as_str).filter(|it| *it != "USAGE").collect();
    let grants = match (table.schema.as_ref(), of_table.as_slice()) {
        _ if fill.rights_missing.is_empty() => return None,
        (Some(schema), []) => format!("GRANT USAGE ON SCHEMA {}", written(schema)),
        (None, []) => "GRANT USAGE ON its schema".to_owned(),
        (_, rights) => format!("GRANT {} ON {}", rights.join(", "), spelled(table)),
    };
    Some(format!(
        "that asks for a right on {table} that this role has not, and that the statement itself does not ask for: {grants} TO \
         CURRENT_USER."
    ))
}

/// What the server does not take.
fn refuses(table: &RelationName, fill: &FillFacts) -> Option<String> {
    if let Some(constraint) = fill.not_valid.first() {
        let name = written(constraint);
        return Some(format!(
            "each UPDATE checks the constraint {name} of {table}, which is NOT VALID, so that a row may break it: ALTER TABLE {} \
             VALIDATE CONSTRAINT {name} first.",
            spelled(table)
        ));
    }
    let (publication, wrong) = fill.publications.first()?;
    let because = format!("the publication {} publishes the updates of {table}", written(publication));
    let alter = format!("ALTER TABLE {} REPLICA IDENTITY", spelled(table));
    Some(match wrong {
        Unpublishable::NoIdentity => format!(
            "{because}, which has no replica identity, so that the server refuses them. Give it a primary key, or an identity by {alter} USING \
             INDEX, first."
        ),
        Unpublishable::Filter => format!(
            "{because}, and its row filter reads a column that is not part of the replica identity, so that the server refuses them. \
             Change the filter, or the identity by {alter}, first."
        ),
        Unpublishable::List => format!(
            "{because}, and its list of columns leaves out a part of the replica identity, so that the server refuses them. Change the \
             list, or the identity by {alter}, first."
        ),
        Unpublishable::Generated => format!(
            "{because}, and a generated column that is not published is part of the replica identity, so that the server refuses them. \
             Change the identity by {alter} first."
        ),
    })
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

    /// The key of the row at which a range of `rows` ends, if there are so many. Parameters: as of `within`.
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
        self.within_called(begun, "")
    }

    /// The same where the table is called by that name.
    pub(super) fn within_of(&self, begun: Begun, called: &str) -> String {
        self.within_called(begun, &format!("{called}."))
    }

    /// The order of the key where the table is called by that name.
    pub(super) fn order_of(&self, called: &str) -> String {
        let columns: Vec<String> =
            self.key.iter().map(|column| format!("{called}.{}", written(column))).collect();
        columns.join(", ")
    }

    fn within_called(&self, begun: Begun, prefix: &str) -> String {
        let count = self.key.len();
        let parameters = |from: usize| {
            let all: Vec<String> = (from..from + count).map(|number| format!("${number}")).collect();
            row(&all)
        };
        let names: Vec<String> =
            self.key.iter().map(|column| format!("{prefix}{}", written(column))).collect();
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
}
