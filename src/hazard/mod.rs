//! Named reasons why a statement hurts, each with its page and its remedy.
//!
//! Invariants: a hazard never looks at another one, reads only effects and facts, and never walks a tree. The list
//! below is the one place where ids are known; a hazard's id is its file's name, and reads well after "allow".

use crate::base::{Notice, SqlState};
use crate::effects::Effects;
use crate::effects::facts::Facts;
use crate::plan::Plan;
use crate::sql::statement::{Script, Statement};

/// A hazard: its name, its page, and how it is found.
#[derive(Debug, Clone, Copy)]
pub struct Hazard {
    /// Kebab-case, what `allow` takes.
    pub id: &'static str,
    /// The release that brought it.
    pub since: &'static str,
    /// Its page, as `explain` prints it.
    pub page: &'static str,
    /// Looks for it in one statement.
    pub find: fn(&Subject<'_>) -> Option<Finding>,
}

/// What a hazard is looked for in.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The message.
    pub script: &'a Script,
    /// The statement of it that is looked at.
    pub statement: &'a Statement,
    /// What it would do.
    pub effects: &'a Effects,
    /// What is known.
    pub facts: &'a Facts,
}

/// A hazard found in a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The hazard's id.
    pub hazard: &'static str,
    /// Why it hurts: sentences for DETAIL.
    pub why: String,
    /// What helps when the statement stands alone, outside a transaction.
    pub remedy: Remedy,
    /// The warning where the remedy cannot be had: in a transaction, or among other statements.
    pub elsewhere: Option<Notice>,
}

/// What helps against a hazard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// The online plan.
    Plan {
        /// Its steps.
        plan: Plan,
        /// What runs instead, `CREATE INDEX CONCURRENTLY`.
        form: &'static str,
    },
    /// The statement as sent, under the ladder of patience.
    Ladder {
        /// What the ladder does not help against.
        warning: Option<Notice>,
    },
    /// Nothing: an error with the way out.
    Refuse(Notice),
    /// Nothing can be done; it is recorded.
    Record,
}

/// The one list of hazards: file name, in the order in which they are looked for.
macro_rules! hazards {
    ($($module:ident),+ $(,)?) => {
        $(pub mod $module;)+

        /// Every hazard, in the order in which they are looked for.
        pub const ALL: &[Hazard] = &[$(Hazard {
            id: $module::ID,
            since: $module::SINCE,
            page: include_str!(concat!(stringify!($module), ".md")),
            find: $module::find,
        }),+];

        #[cfg(test)]
        const FILES: &[&str] = &[$(stringify!($module)),+];
    };
}

hazards![
    concurrent_index_corruption,
    create_index_blocking,
    drop_index_blocking,
    reindex_blocking,
    lock_queue,
    opaque_ddl,
];

/// Every hazard in a statement.
pub fn find(subject: &Subject<'_>) -> Vec<Finding> {
    ALL.iter().filter_map(|hazard| (hazard.find)(subject)).collect()
}

/// The hazard of that id.
pub fn by_id(id: &str) -> Option<&'static Hazard> {
    ALL.iter().find(|hazard| hazard.id == id)
}

/// The refusal of a plain build that may not be made concurrent on this server.
fn not_on_this_server(tag: &str, hazard: &str) -> Notice {
    let message = format!("{tag} cannot be made concurrent on this server");
    Notice::error(SqlState::FEATURE_NOT_SUPPORTED, message)
        .detail("Postgres 14.0 to 14.3 may leave rows out of an index that is built concurrently, without any error.")
        .hint(format!(
            "Upgrade to Postgres 14.4 or later, or build it as sent in a quiet hour: \"/* lockkeeper: allow {hazard} \
             because <reason> */\"."
        ))
}

#[cfg(test)]
mod tests;
