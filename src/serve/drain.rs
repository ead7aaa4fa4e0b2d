//! Stopping: told once, sessions end by themselves; what is left at the deadline is ended.

use std::time::Duration;

use crate::event::PlanCutOff;
use crate::event::clock::{self, Moment};
use crate::live::Stop;
use crate::live::ledger::Whose;

use super::operate::cancel_running;
use super::settings::Serving;
use super::worker::Workers;

/// After the deadline, so long sessions may take to say goodbye to their clients.
const FAREWELL: Duration = Duration::from_secs(5);

/// Ends idle sessions now and the others as they finish, at the latest at the deadline.
pub async fn gracefully(serving: &Serving, workers: &Workers, time: Duration) {
    serving.live.tell(Stop::Draining { deadline: Moment::now().plus(time) });
    if clock::within(time, workers.empty()).await.is_none() {
        at_once(serving, workers).await;
    }
}

/// Ends every session now; what is being carried out is cancelled, and takes back what it has done as far as there is time.
pub async fn at_once(serving: &Serving, workers: &Workers) {
    serving.live.tell(Stop::Now);
    // Whoever cannot be reached to be cancelled ends with its socket.
    let _ = clock::within(FAREWELL, cancel_running(serving)).await;
    // Whoever is left after this does not read; closing the socket is all that can be done.
    if clock::within(FAREWELL, workers.empty()).await.is_none() {
        cut_off(serving);
    }
}

/// Says what the process leaves undone.
fn cut_off(serving: &Serving) {
    for entry in serving.live.ledger().open() {
        let (Some(step), Some(way_out)) = (entry.step, &entry.way_out) else { continue };
        let hazard = entry.hazards.first().copied().unwrap_or_default();
        let Whose { database, pid, .. } = &entry.whose;
        PlanCutOff { database, pid: *pid, hazard, step, way_out }.emit();
    }
}
