//! How far the standby falls behind, asked again and again on a connection of its own.

use std::time::Duration;

use lockkeeper::traffic::connection::{closed, connect};
use tokio::sync::watch;

/// Between two looks.
const EVERY: Duration = Duration::from_millis(50);

/// Bytes that were flushed and not replayed, and how long ago what was replayed last was written.
const LOOK: &str = "SELECT pg_wal_lsn_diff(pg_current_wal_flush_lsn(), replay_lsn)::int8, \
     coalesce(extract(epoch FROM replay_lag), 0)::float8 \
     FROM pg_stat_replication";

/// The furthest that it was behind.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Behind {
    pub(crate) bytes: u64,
    pub(crate) time: Duration,
}

/// Looks until `over` says that it is enough, and the standby has caught up with where the primary was then.
pub(crate) async fn furthest(url: &str, mut over: watch::Receiver<bool>) -> anyhow::Result<Behind> {
    let (client, connection) = connect(url).await?;
    let look = async {
        let statement = client.prepare(LOOK).await?;
        let mut most = Behind::default();
        loop {
            let row = client.query_one(&statement, &[]).await?;
            let bytes = u64::try_from(row.try_get::<_, i64>(0)?).unwrap_or(0);
            let told = Duration::try_from_secs_f64(row.try_get(1)?).unwrap_or_default();
            most.bytes = most.bytes.max(bytes);
            most.time = most.time.max(told);
            if *over.borrow_and_update() && bytes < 1 << 20 {
                return anyhow::Ok(most);
            }
            tokio::time::sleep(EVERY).await;
        }
    };
    tokio::select! {
        most = look => most,
        ended = connection => Err(closed(ended)),
    }
}
