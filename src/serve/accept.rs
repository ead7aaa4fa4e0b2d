//! Accepting: one task for each listener, until it is told to stop.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::listener::Listener;
use super::worker::Workers;

/// The tasks that accept; dropping this closes the listeners.
#[derive(Debug)]
pub struct Accepting {
    tasks: JoinSet<()>,
}

impl Accepting {
    /// Hands every connection to the workers.
    pub fn start(listeners: Vec<Listener>, workers: &Arc<Workers>) -> Self {
        let mut tasks = JoinSet::new();
        for mut listener in listeners {
            let workers = Arc::clone(workers);
            tasks.spawn(async move {
                loop {
                    workers.hand(listener.accept().await);
                }
            });
        }
        Self { tasks }
    }

    /// Closes the listeners; whoever connects after this returns reaches somebody else.
    pub async fn close(mut self) {
        self.tasks.shutdown().await;
    }
}
