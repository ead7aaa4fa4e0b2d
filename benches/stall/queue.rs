//! Who of the application stands in a lock queue, as Postgres says, asked again and again on a connection of its own.
//!
//! That tells waiting for a lock from waiting for a processor.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use lockkeeper::traffic::connection::{closed, connect};
use tokio::sync::watch;

/// What the application calls itself.
pub(crate) const APPLICATION: &str = "application";

/// Between two looks.
const EVERY: Duration = Duration::from_millis(4);

/// Locks of relations only: rows are what the application's own clients wait for among themselves. The server knows since
/// when (`pg_locks.waitstart`) from version 14 on.
const WAITING: &str = "SELECT l.pid, l.relation, \
     extract(epoch FROM clock_timestamp() - (to_jsonb(l) ->> 'waitstart')::timestamptz)::float8 \
     FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid \
     WHERE l.locktype = 'relation' AND NOT l.granted AND a.application_name = $1";

/// The longest time that anybody of the application was seen in a queue, until `over` says that it is enough.
pub(crate) async fn longest(url: &str, mut over: watch::Receiver<bool>) -> anyhow::Result<Duration> {
    let (client, connection) = connect(url).await?;
    let look = async {
        let statement = client.prepare(WAITING).await?;
        let mut seen: HashMap<(i32, u32), Instant> = HashMap::new();
        let mut longest = Duration::ZERO;
        while !*over.borrow_and_update() {
            let rows = client.query(&statement, &[&APPLICATION]).await?;
            let now = Instant::now();
            let mut still = HashMap::new();
            for row in &rows {
                let who = (row.try_get(0)?, row.try_get(1)?);
                let since = seen.get(&who).copied().unwrap_or(now);
                let told = row.try_get::<_, Option<f64>>(2)?.map(Duration::try_from_secs_f64);
                longest = longest.max(told.and_then(Result::ok).unwrap_or(now - since));
                still.insert(who, since);
            }
            seen = still;
            tokio::time::sleep(EVERY).await;
        }
        anyhow::Ok(longest)
    };
    tokio::select! {
        longest = look => longest,
        ended = connection => Err(closed(ended)),
    }
}
