//! An `UPDATE` or `DELETE` taken to pieces, so that it can be put together again for some of its rows.

use crate::base::RelationName;
use crate::base::name::written;

use super::form::{FunctionName, WriteVerb};

/// The pieces of one statement, each in the user's own words.
#[expect(clippy::struct_excessive_bools, reason = "what is said of a statement, independent of each other")]
#[derive(Clone, PartialEq, Eq)]
pub struct Pieces {
    /// `UPDATE` or `DELETE`.
    pub verb: WriteVerb,
    /// The table whose rows are written.
    pub table: RelationName,
    /// `ONLY`: its partitions and heirs are left alone.
    pub only: bool,
    /// The name by which the statement calls the table's columns: its alias, or its own name.
    pub called: String,
    /// `WITH ..`
    pub with: Option<String>,
    /// The table with its alias, as it stands there.
    pub target: String,
    /// `SET ..`
    pub set: Option<String>,
    /// What stands behind the FROM of an `UPDATE` or the USING of a `DELETE`.
    pub others: Option<String>,
    /// What stands behind WHERE.
    pub condition: Option<String>,
    /// `RETURNING ..`
    pub returning: Option<String>,
    /// The columns that are set.
    pub columns: Vec<String>,
    /// The functions that are called.
    pub functions: Vec<FunctionName>,
    /// The other relations that are read, as far as their names are not those of its queries only.
    pub reads: Vec<RelationName>,
    /// The names of the queries in its `WITH`: each may stand for a relation of that name, where it is not in sight.
    pub queries: Vec<String>,
    /// The table has an alias.
    pub aliased: bool,
    /// It names its columns with the schema of its table, which has no alias then.
    pub with_schema: bool,
    /// It hands out all columns, as `*`, `t.*` or `old`.
    pub hands_out_all: bool,
    /// It names what is a row of the table as a whole, as `t` or `t.*`, unless there is a column of that name.
    pub whole_row: bool,
    /// What makes it another statement when it is carried out for some rows at a time.
    pub odd: Vec<Odd>,
}

impl std::fmt::Debug for Pieces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The words may hold what is nobody's business.
        f.debug_struct("Pieces").field("verb", &self.verb).field("table", &self.table).finish_non_exhaustive()
    }
}

/// What makes a statement another one when it is carried out for some rows at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Odd {
    /// A query in its `WITH` writes.
    WritesInWith,
    /// `WHERE CURRENT OF`
    Cursor,
    /// It names `ctid`, `xmin` or their like.
    SystemColumn(String),
    /// `'now'`, `'today'` and their like, which the server turns into a moment each time it reads them.
    Moment,
    /// `SET column = DEFAULT`
    Default,
    /// A query in it takes or numbers some of its rows in no order: `LIMIT` without `ORDER BY`, `TABLESAMPLE`, `row_number()` and such.
    InNoOrder,
}

impl Pieces {
    /// The statement about that table, written so (`ONLY s.t AS x`), for the rows for which `within` holds too.
    pub fn put_together(&self, table: &str, within: Option<&str>) -> String {
        self.with_target(table, within)
    }

    /// The statement for no rows at all.
    pub fn nothing(&self) -> String {
        self.with_target(&self.target, Some("false"))
    }

    /// The statement as it was.
    pub(super) fn whole(&self) -> String {
        self.with_target(&self.target, None)
    }

    fn with_target(&self, target: &str, within: Option<&str>) -> String {
        let verb = match self.verb {
            WriteVerb::Delete => "DELETE FROM",
            _ => "UPDATE",
        };
        let others = self.others.as_ref().map(|others| match self.verb {
            WriteVerb::Delete => format!("USING {others}"),
            _ => format!("FROM {others}"),
        });
        let words = [
            self.with.clone(),
            Some(format!("{verb} {target}")),
            self.set.clone(),
            others,
            self.filter(within).map(|filter| format!("WHERE {filter}")),
            self.returning.clone(),
        ];
        joined(words)
    }

    /// A query that locks the rows of that table which the statement would write, in the order of `key`, and as strongly as it would: a
    /// row that goes conflicts with whoever refers to it, too (the manual's "Row-Level Locks").
    pub fn lock(&self, table: &str, within: &str, key: &str) -> String {
        let called = written(&self.called);
        let others = self.others.as_ref().map(|others| format!(", {others}")).unwrap_or_default();
        let filter = self.filter(Some(within)).unwrap_or_default();
        let strength = if self.verb == WriteVerb::Delete { "UPDATE" } else { "NO KEY UPDATE" };
        let query = format!(
            "SELECT pg_catalog.count(*) FROM (SELECT 1 FROM {table}{others}\nWHERE {filter}\nORDER BY {key} \
             FOR {strength} OF {called}) AS locked"
        );
        joined([self.with.clone(), Some(query)])
    }

    /// A query for the key of the row of that table which is the last of so many that the statement would write.
    pub fn ahead(
        &self,
        (table, called): (&str, &str),
        within: &str,
        (key, rows): (&[String], u64),
    ) -> String {
        let list = |prefix: &str, order: &str| {
            key.iter()
                .map(|column| format!("{prefix}{}{order}", written(column)))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let filter = self.filter(Some(within)).unwrap_or_default();
        let own = list(&format!("{called}."), "");
        let query = format!(
            "SELECT {} FROM (SELECT {own} FROM {table}\nWHERE {filter}\nORDER BY {own} LIMIT {rows}) AS ahead \
             ORDER BY {} LIMIT 1",
            list("", ""),
            list("", " DESC")
        );
        joined([self.with.clone(), Some(query)])
    }

    fn filter(&self, within: Option<&str>) -> Option<String> {
        match (within, &self.condition) {
            (Some(within), Some(condition)) => Some(format!("{within} AND ({condition}\n)")),
            (Some(within), None) => Some(within.to_owned()),
            (None, Some(condition)) => Some(condition.clone()),
            (None, None) => None,
        }
    }
}

/// Words line by line, so that a comment at the end of one ends with it.
fn joined<const N: usize>(words: [Option<String>; N]) -> String {
    words.into_iter().flatten().collect::<Vec<_>>().join("\n")
}
