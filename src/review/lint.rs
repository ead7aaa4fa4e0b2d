//! What is wrong with a file rather than with one statement of it.
//!
//! No hazards: the proxy sees messages and no files, so that it can neither find them nor do anything about them.

use crate::hazard;

/// A flaw of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lint {
    /// What `--allow` and `--deny` take.
    pub id: &'static str,
    /// Its page.
    pub page: &'static str,
    /// A matter of taste: told only where it is asked for.
    pub quiet: bool,
}

impl Lint {
    /// What becomes of it where nothing else is asked for: `pass` or `warn`.
    pub const fn default(&self) -> &'static str {
        if self.quiet { "pass" } else { "warn" }
    }
}

/// A statement that the grammar refuses.
pub(super) const UNREADABLE: Lint =
    Lint { id: "unreadable-statement", page: include_str!("lint/unreadable_statement.md"), quiet: false };

/// A comment or a SET that asks lockkeeper for something that it does not know.
pub(super) const WRONG_DIRECTIVE: Lint =
    Lint { id: "wrong-directive", page: include_str!("lint/wrong_directive.md"), quiet: false };

/// A transaction that the file begins and does not end.
pub(super) const UNFINISHED: Lint =
    Lint { id: "unfinished-transaction", page: include_str!("lint/unfinished_transaction.md"), quiet: false };

/// A transaction that the file ends and did not begin.
pub(super) const COMMIT_IN_WRAPPED: Lint =
    Lint { id: "commit-in-wrapped-file", page: include_str!("lint/commit_in_wrapped_file.md"), quiet: false };

/// A transaction that is begun twice.
pub(super) const NESTED: Lint =
    Lint { id: "nested-transaction", page: include_str!("lint/nested_transaction.md"), quiet: false };

/// A name that Postgres cuts.
pub(super) const LONG_IDENTIFIER: Lint =
    Lint { id: "long-identifier", page: include_str!("lint/long_identifier.md"), quiet: false };

/// A column that is set twice.
pub(super) const DUPLICATE_SET: Lint =
    Lint { id: "duplicate-set-column", page: include_str!("lint/duplicate_set_column.md"), quiet: false };

/// What cannot be run a second time.
pub(super) const MISSING_IF_EXISTS: Lint =
    Lint { id: "missing-if-exists", page: include_str!("lint/missing_if_exists.md"), quiet: true };

/// A name without a schema.
pub(super) const UNQUALIFIED: Lint =
    Lint { id: "unqualified-name", page: include_str!("lint/unqualified_name.md"), quiet: true };

/// Every flaw.
pub const LINTS: [Lint; 9] = [
    UNREADABLE,
    WRONG_DIRECTIVE,
    UNFINISHED,
    COMMIT_IN_WRAPPED,
    NESTED,
    LONG_IDENTIFIER,
    DUPLICATE_SET,
    MISSING_IF_EXISTS,
    UNQUALIFIED,
];

/// The page of a hazard or of a flaw.
pub fn page(id: &str) -> Option<&'static str> {
    let lint = || LINTS.iter().find(|lint| lint.id == id).map(|lint| lint.page);
    hazard::by_id(id).map(|hazard| hazard.page).or_else(lint)
}

/// Every id that `--allow` and `--deny` take.
pub fn ids() -> impl Iterator<Item = &'static str> {
    hazard::ALL.iter().map(|hazard| hazard.id).chain(LINTS.iter().map(|lint| lint.id))
}

/// The first sentence of a page: what the thing is.
pub fn summary(page: &str) -> String {
    let text = page.lines().skip_while(|line| !line.starts_with("## What it does")).skip(1);
    let text: Vec<&str> =
        text.skip_while(|line| line.is_empty()).take_while(|line| !line.is_empty()).collect();
    let text = text.join(" ");
    // `..` stands for what is left out of a statement.
    let ends = text.match_indices(". ").map(|(at, _)| at);
    let end = ends.into_iter().find(|at| text.get(..*at).is_some_and(|before| !before.ends_with('.')));
    let end = end.map_or(text.len(), |end| end + 1);
    text.get(..end).unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_begins_with_its_id_and_says_what_it_is() {
        for id in ids() {
            let page = page(id).expect("a page");
            assert!(page.starts_with(&format!("# {id}\n")), "{id}");
            assert!(summary(page).ends_with('.'), "{id}: {}", summary(page));
        }
        assert_eq!(page("nothing"), None);
    }
}
