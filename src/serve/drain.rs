//! Stopping: told once, sessions end by themselves; what is left at the deadline is ended.

use std::time::Duration;

use crate::event::clock::{self, Moment};
use crate::live::{Live, Stop};

use super::worker::Workers;

/// After the deadline, so long sessions may take to say goodbye to their clients.
const FAREWELL: Duration = Duration::from_secs(5);

/// Ends idle sessions now and the others as they finish, at the latest at the deadline.
pub async fn gracefully(live: &Live, workers: &Workers, time: Duration) {
    live.tell(Stop::Draining { deadline: Moment::now().plus(time) });
    if clock::within(time, workers.empty()).await.is_none() {
        at_once(live, workers).await;
    }
}

/// Ends every session now.
pub async fn at_once(live: &Live, workers: &Workers) {
    live.tell(Stop::Now);
    // Whoever is left after this does not read; closing the socket is all that can be done.
    let _ = clock::within(FAREWELL, workers.empty()).await;
}
