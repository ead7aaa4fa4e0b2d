//! The views that stand in the way of a change, in words.

use super::Subject;
use crate::base::RelationName;
use crate::plan::by_hand::spelled;

impl Subject<'_> {
    /// The views that need a table or one of its columns, as the end of a sentence; `None` where none is known.
    fn views_of(&self, table: &RelationName, column: Option<&str>) -> Option<String> {
        const SHOWN: usize = 5;
        let views: Vec<String> =
            self.facts.table(table)?.views_of(column).map(|view| spelled(&view.name)).collect();
        let (shown, more) = views.split_at(views.len().min(SHOWN));
        match (shown, more.len()) {
            ([], _) => None,
            (shown, 0) => Some(shown.join(", ")),
            (shown, more) => Some(format!("{} and {more} more", shown.join(", "))),
        }
    }

    /// What becomes of the views that need what is dropped, as a sentence with a blank before it.
    pub fn fate_of_views(&self, table: &RelationName, column: Option<&str>, cascade: bool) -> String {
        match self.views_of(table, column) {
            None => String::new(),
            Some(views) if cascade => format!(" CASCADE drops the views that need it, too: {views}."),
            Some(views) => {
                format!(" Without CASCADE Postgres refuses it (2BP01), since views need it: {views}.")
            }
        }
    }

    /// What Postgres says to a change of a column's type while views need it, as a sentence with a blank before it.
    pub fn type_of_views(&self, table: &RelationName, column: &str) -> String {
        let refused = |views| {
            format!(
                " Postgres refuses it (0A000) while views need the column: {views}. They are dropped before and made again after it."
            )
        };
        self.views_of(table, Some(column)).map_or_else(String::new, refused)
    }
}
