#![doc = include_str!("concurrent_index_corruption.md")]

use super::{Finding, HazardSetting, Remedy, Subject};
use crate::base::{Notice, Severity, SqlState};
use crate::sql::statement::{Kind, Statement};

/// The hazard's id.
pub const ID: &str = "concurrent-index-corruption";

/// The release that brought it.
pub const SINCE: &str = "0.1.0";

/// What becomes of it where nothing else is configured.
pub const DEFAULT: HazardSetting = HazardSetting::Refuse;

/// Finds a concurrent build on a server that corrupts it.
pub fn find(subject: &Subject<'_>) -> Option<Finding> {
    if !subject.facts.corrupts_concurrent_builds() || !builds_concurrently(subject.statement) {
        return None;
    }
    // What does not exist, or is nobody else's, is for the server and loses nothing.
    let exposed = subject.effects.touched.iter().any(|touched| touched.exposed);
    if !exposed && !subject.statement.locks.is_empty() {
        return None;
    }
    let why =
        "Postgres 14.0 to 14.3 may leave rows out of an index that is built concurrently, without any error.";
    let refusal = Notice::new(
        Severity::Error,
        SqlState::FEATURE_NOT_SUPPORTED,
        format!("{} CONCURRENTLY is not safe on this server", subject.statement.tag),
    )
    .detail(why)
    .hint(
        "Upgrade to Postgres 14.4 or later, or build the index without CONCURRENTLY in a quiet hour, with the comment \
         \"/* lockkeeper: allow create-index-blocking because <reason> */\" (or reindex-blocking).",
    );
    Some(Finding::new(ID, why, Remedy::Refuse(refusal)))
}

fn builds_concurrently(statement: &Statement) -> bool {
    match &statement.kind {
        Kind::CreateIndex(index) => index.concurrently,
        Kind::Reindex(reindex) => reindex.concurrently == Some(true),
        _ => false,
    }
}
