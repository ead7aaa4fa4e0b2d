//! What a client hears whose session the proxy ends.

use crate::base::{Notice, SqlState};

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
