//! What a client hears whose session the proxy ends, or the server without a word.

use crate::base::{Notice, SqlState};
use crate::upstream::IfLost;

/// The proxy stops.
pub(super) fn shutdown() -> Notice {
    Notice::fatal(SqlState::ADMIN_SHUTDOWN, "terminating connection due to administrator command")
        .detail("The lockkeeper proxy is shutting down.")
        .hint("Connect again; another instance may be serving already.")
}

/// The session has idled for too long.
pub(super) fn idle_too_long() -> Notice {
    Notice::fatal(SqlState::IDLE_SESSION_TIMEOUT, "terminating connection due to idle-session timeout")
        .detail("The proxy's limits.idle_timeout has passed without a statement.")
}

/// What the server had no time to say, and what stays.
pub(super) fn without_a_word(left: Option<&IfLost>) -> Notice {
    let lost = Notice::fatal(SqlState::CONNECTION_FAILURE, "connection to the Postgres server was lost");
    let detail = "The server ended the connection without a word, or the network did.";
    match left {
        Some(left) => lost.detail(format!("{detail}\n{}", left.detail)).hint(left.hint.clone()),
        None => lost.detail(detail).hint(
            "What was not committed is rolled back. Connect again and look whether the last statement was done.",
        ),
    }
}
