//! Functions that could tell that rows are only queued.

use std::collections::BTreeSet;

use super::depend::WAY_OUT;
use crate::base::{Notice, SqlState};
use crate::plan::{Pending, Sight};
use crate::sql::called::called;
use crate::sql::statement::Script;

/// The functions that an ordinary statement calls and that could tell that rows are only queued, in lower case; what they are the
/// catalogue has to say.
pub fn calls_behind(queued: &[Pending], script: &Script) -> BTreeSet<String> {
    if queued.iter().all(|pending| pending.sight != Sight::Rows) {
        return BTreeSet::new();
    }
    called(script.text.as_bytes()).collect()
}

/// It calls one that people have written, which may look at whatever it likes.
pub fn calls_blindly(script: &Script, function: &str) -> Notice {
    let tag = script.statements.first().map_or("the statement", |statement| statement.tag);
    let message = format!("{tag} calls {function}(), while rows are only queued that it may look at");
    Notice::error(SqlState::FEATURE_NOT_SUPPORTED, message)
        .detail("What this transaction has queued is done behind the COMMIT, and nobody knows what the function reads.")
        .hint(WAY_OUT)
}
