//! One session from its first byte to its last.

use std::rc::Rc;
use std::sync::Arc;

use super::listener::Accepted;
use super::settings::Serving;

/// What the sessions of one worker have in common.
#[derive(Debug)]
pub struct WorkerState {
    /// What all sessions have in common.
    pub serving: Arc<Serving>,
}

/// Serves one connection.
pub async fn session(accepted: Accepted, state: Rc<WorkerState>) {
    let _ = (accepted, state);
}
