//! The calls into the parser, each made safe.
//!
//! Known limits of `pg_query` 18.1, each met here and tested: its tree is refused by the decoder when too deep
//! (`Error::Decode`); it points the process' standard error elsewhere while it works, so that two threads must not
//! call it at the same time; its Rust side walks the tree with assertions, so that a panic is caught.

use std::ops::Range;
use std::panic::catch_unwind;
use std::sync::{Mutex, PoisonError};

use pg_query::protobuf::{self, Node};
use pg_query::{NodeEnum, ParserOptions};

use super::outline::Outline;
use crate::sql::encoding::Dialect;

/// One call at a time: the parser redirects file descriptor 2 during each (`pg_query_parse.c`), and two at once
/// would leave it redirected for ever. Parsing is rare and takes microseconds.
static PARSER: Mutex<()> = Mutex::new(());

/// Why there is no tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    /// The grammar refuses the text.
    Rejected,
    /// The text is valid as far as is known, but its tree cannot be had.
    TooDeep,
}

/// The tree of a text.
pub(super) fn read(text: &str, dialect: Dialect) -> Result<protobuf::ParseResult, Unread> {
    match guarded(|| pg_query::parse(text, options(dialect))) {
        Some(Ok(result)) => Ok(result.protobuf),
        Some(Err(pg_query::Error::Parse(message))) if !is_about_depth(&message) => Err(Unread::Rejected),
        Some(Err(_)) | None => Err(Unread::TooDeep),
    }
}

/// Why the grammar refuses a text, in its own words.
pub(super) fn refusal(text: &str, dialect: Dialect) -> Option<String> {
    match guarded(|| pg_query::parse(text, options(dialect)))? {
        Err(pg_query::Error::Parse(message)) => Some(message),
        _ => None,
    }
}

/// Where the statements of a text lie; `None` when that cannot be told.
pub(super) fn split(text: &str) -> Option<Vec<Range<usize>>> {
    let parts = guarded(|| pg_query::split_with_parser(text))?.ok()?;
    let base = text.as_ptr().addr();
    Some(
        parts
            .into_iter()
            .map(|part| {
                let start = part.as_ptr().addr() - base;
                start..start + part.len()
            })
            .collect(),
    )
}

/// Whether every statement of a text is one that triage would pass, told without the tree.
pub(super) fn summary_is_ordinary(text: &str, dialect: Dialect) -> bool {
    const ORDINARY: [&str; 9] = [
        "SelectStmt",
        "InsertStmt",
        "UpdateStmt",
        "DeleteStmt",
        "MergeStmt",
        "DeclareCursorStmt",
        "PrepareStmt",
        "ExplainStmt",
        "CopyStmt",
    ];
    guarded(|| pg_query::summary(text, options(dialect), -1)).and_then(Result::ok).is_some_and(|summary| {
        !summary.statement_types.is_empty()
            && summary.statement_types.iter().all(|kind| ORDINARY.contains(&kind.as_str()))
    })
}

/// Whether two texts of one length, one statement each, say the same but for `CONCURRENTLY` in the second.
///
/// Of one length, so that every position in the two trees is equal and the trees can be compared as they are.
pub(in crate::sql) fn differs_only_by_concurrently(old: &str, new: &str, dialect: Dialect) -> bool {
    let (Ok(mut old), Ok(mut new)) = (read(old, dialect), read(new, dialect)) else { return false };
    let (Some(old_node), Some(new_node)) = (only_node(&mut old), only_node(&mut new)) else { return false };
    let switched = match (old_node, new_node) {
        (NodeEnum::IndexStmt(old), NodeEnum::IndexStmt(new)) => {
            switched_on(&mut old.concurrent, new.concurrent)
        }
        (NodeEnum::DropStmt(old), NodeEnum::DropStmt(new)) => {
            switched_on(&mut old.concurrent, new.concurrent)
        }
        (NodeEnum::RefreshMatViewStmt(old), NodeEnum::RefreshMatViewStmt(new)) => {
            switched_on(&mut old.concurrent, new.concurrent)
        }
        (NodeEnum::ReindexStmt(old), NodeEnum::ReindexStmt(new)) => {
            let before = new.params.len();
            new.params.retain(|param| !is_concurrently(param));
            !old.params.iter().any(is_concurrently) && new.params.len() + 1 == before
        }
        _ => false,
    };
    switched && old == new
}

/// Whether two texts of one length, one `CREATE INDEX` each, say the same but for `IF NOT EXISTS` in the second, and a name where the
/// first has none.
pub(in crate::sql) fn differs_only_by_unless_exists(old: &str, new: &str, dialect: Dialect) -> bool {
    let (Ok(mut old), Ok(mut new)) = (read(old, dialect), read(new, dialect)) else { return false };
    let (Some(NodeEnum::IndexStmt(old_index)), Some(NodeEnum::IndexStmt(new_index))) =
        (only_node(&mut old), only_node(&mut new))
    else {
        return false;
    };
    if old_index.idxname.is_empty() {
        old_index.idxname.clone_from(&new_index.idxname);
    }
    switched_on(&mut old_index.if_not_exists, new_index.if_not_exists) && old == new
}

/// Whether two texts of one statement each have the same tree but for the places of its words.
pub(super) fn same_but_for_places(old: &str, new: &str, dialect: Dialect) -> bool {
    let (Ok(mut old), Ok(mut new)) = (read(old, dialect), read(new, dialect)) else { return false };
    match (only_node(&mut old), only_node(&mut new)) {
        (Some(old), Some(new)) => Outline::of(old) == Outline::of(new),
        _ => false,
    }
}

/// Whether two texts of one length, one statement each, say the same, the first of a table and the second of that of the same name in
/// `schema`. The second may leave out what a `CREATE INDEX` says of its name and of how it is built; both say nothing that only an
/// extension would understand.
pub(in crate::sql) fn differs_only_by_table(old: &str, new: &str, schema: &str, dialect: Dialect) -> bool {
    let (Ok(mut old), Ok(mut new)) = (read(old, dialect), read(new, dialect)) else { return false };
    let (Some(old_node), Some(new_node)) = (only_node(&mut old), only_node(&mut new)) else { return false };
    let moved = match (old_node, new_node) {
        (NodeEnum::IndexStmt(old), NodeEnum::IndexStmt(new)) => {
            let bare = new.idxname.is_empty() && !new.concurrent && !new.if_not_exists;
            new.idxname.clone_from(&old.idxname);
            (new.concurrent, new.if_not_exists) = (old.concurrent, old.if_not_exists);
            bare && !new.options.iter().any(is_of_extension)
                && is_moved(old.relation.as_ref(), new.relation.as_mut(), schema)
        }
        (NodeEnum::AlterTableStmt(old), NodeEnum::AlterTableStmt(new)) => {
            is_moved(old.relation.as_ref(), new.relation.as_mut(), schema)
        }
        _ => false,
    };
    moved && old == new
}

/// Whether the second is the table of the same name in `schema`; it is given the schema of the first.
fn is_moved(old: Option<&protobuf::RangeVar>, new: Option<&mut protobuf::RangeVar>, schema: &str) -> bool {
    let (Some(old), Some(new)) = (old, new) else { return false };
    let moved = new.schemaname == schema && new.catalogname.is_empty();
    new.schemaname.clone_from(&old.schemaname);
    new.catalogname.clone_from(&old.catalogname);
    moved
}

/// `WITH (name.option = ..)`
fn is_of_extension(option: &Node) -> bool {
    matches!(&option.node, Some(NodeEnum::DefElem(option)) if !option.defnamespace.is_empty())
}

/// Sets the old flag where only the new one is set.
fn switched_on(old: &mut bool, new: bool) -> bool {
    let switched = !*old && new;
    *old = new;
    switched
}

fn is_concurrently(param: &Node) -> bool {
    matches!(&param.node, Some(NodeEnum::DefElem(option)) if option.defname == "concurrently")
}

fn only_node(tree: &mut protobuf::ParseResult) -> Option<&mut NodeEnum> {
    match tree.stmts.as_mut_slice() {
        [raw] => raw.stmt.as_mut()?.node.as_mut(),
        _ => None,
    }
}

fn options(dialect: Dialect) -> ParserOptions {
    if dialect.standard_conforming_strings {
        ParserOptions::DEFAULT
    } else {
        ParserOptions::DISABLE_STANDARD_CONFORMING_STRINGS
    }
}

/// `stack depth limit exceeded`, `memory exhausted`, `too many open file descriptors`: the text may be valid all the same.
fn is_about_depth(message: &str) -> bool {
    ["stack depth", "exhausted", "out of memory", "too many open"].iter().any(|sign| message.contains(sign))
}

/// Calls the parser alone and without letting a panic of its own out.
fn guarded<T>(call: impl FnOnce() -> T + std::panic::UnwindSafe) -> Option<T> {
    let _alone = PARSER.lock().unwrap_or_else(PoisonError::into_inner);
    catch_unwind(call).ok()
}
