//! A second migration that waits for the advisory lock of the first. It waits in a statement, with a snapshot, and a concurrent
//! build of the first waits for that: however often it is tried, neither gets on.

use super::outcome::Outcome;
use crate::upstream::call::{Call, Item};
use crate::upstream::link::{Link, Lost};

const WAITING: &str = "SELECT w.pid::pg_catalog.text FROM pg_catalog.pg_locks h JOIN pg_catalog.pg_locks w \
     USING (locktype, database, classid, objid, objsubid) WHERE h.locktype = 'advisory' AND h.granted \
     AND h.pid = pg_catalog.pg_backend_pid() AND NOT w.granted ORDER BY w.pid LIMIT 1";

/// The server process of somebody who waits for an advisory lock of this session.
pub(super) async fn waiter(link: &mut Link) -> Result<Option<String>, Lost> {
    let answer = Call::run(link, &[Item::ours(WAITING)]).await?;
    Ok(answer.row(0).and_then(|row| row.first().cloned().flatten()))
}

/// The failure of a build for which `waiter` waits, explained.
pub(super) fn explained(failure: Outcome, waiter: &str) -> Outcome {
    // The server's own HINT stays, so that what to do stands here.
    let detail = format!(
        "Process {waiter} waits for an advisory lock that this session holds, in a statement that keeps a snapshot, for which \
         a concurrent build has to wait: it was not tried again, since it would end in the same way. Run one migration at a \
         time: end the other one and run this again, or let it ask by pg_try_advisory_lock()."
    );
    failure.amended(Some(&detail), None)
}
