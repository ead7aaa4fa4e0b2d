//! Who holds a concurrent build up: a build waits for everybody who writes to its table, then for all older snapshots.

use std::time::Duration;

use tokio_postgres::Row;

/// Somebody for whom a build has to wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its process; `None` for a prepared transaction, which has none.
    pub pid: Option<i32>,
    /// What it is in the way with.
    pub with: With,
    /// The name of a prepared transaction, or of the replication slot that the process serves.
    pub name: Option<String>,
    /// Its role.
    pub user: String,
    /// `application_name`
    pub application: String,
    /// How long its transaction has been open.
    pub age: Duration,
    /// `active`, `idle in transaction`, ..
    pub state: String,
}

/// What a holder is in the way with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum With {
    /// A lock on the table, in a mode in conflict with `ShareLock`: it writes.
    Lock,
    /// A snapshot.
    Snapshot,
}

/// All who may hold up a build on table $1 by process $2, the oldest first; and whether that process waits for a transaction.
///
/// A prepared transaction has no snapshot (`WaitForOlderSnapshots` in `indexcmds.c`), and a replication slot's `xmin` is waited
/// for by nobody; the transaction of a walsender that makes a slot is, and VACUUM is not.
pub(super) const SQL: &str = "WITH writing AS ( \
        SELECT DISTINCT l.pid, l.virtualtransaction FROM pg_catalog.pg_locks l \
        WHERE l.locktype = 'relation' AND l.relation = $1 AND l.granted AND l.pid IS DISTINCT FROM $2 \
        AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) \
        AND l.mode IN ('RowExclusiveLock', 'ShareUpdateExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')) \
     SELECT a.pid, 0, s.slot_name::text, coalesce(a.usename, '')::text, coalesce(a.application_name, ''), \
        coalesce(extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start), 0)::pg_catalog.float8, CASE WHEN a.wait_event = 'advisory' AND $2 = ANY (pg_catalog.pg_blocking_pids(a.pid)) \
            THEN 'waiting for an advisory lock of this session' ELSE coalesce(a.state, '') END, \
        EXISTS (SELECT 1 FROM pg_catalog.pg_locks o WHERE o.pid = $2 AND NOT o.granted AND o.locktype = 'virtualxid') \
     FROM writing w JOIN pg_catalog.pg_stat_activity a ON a.pid = w.pid \
        LEFT JOIN pg_catalog.pg_replication_slots s ON s.active_pid = a.pid \
     UNION ALL SELECT NULL, 0, x.gid, x.owner::text, '', \
        extract(epoch FROM pg_catalog.clock_timestamp() - x.prepared)::pg_catalog.float8, 'prepared', \
        EXISTS (SELECT 1 FROM pg_catalog.pg_locks o WHERE o.pid = $2 AND NOT o.granted AND o.locktype = 'virtualxid') \
     FROM writing w JOIN pg_catalog.pg_locks t ON t.pid IS NULL AND t.locktype = 'transactionid' \
        AND t.virtualtransaction = w.virtualtransaction \
        JOIN pg_catalog.pg_prepared_xacts x ON x.transaction = t.transactionid WHERE w.pid IS NULL \
     UNION ALL SELECT a.pid, 1, s.slot_name::text, coalesce(a.usename, '')::text, coalesce(a.application_name, ''), \
        coalesce(extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start), 0)::pg_catalog.float8, CASE WHEN a.wait_event = 'advisory' AND $2 = ANY (pg_catalog.pg_blocking_pids(a.pid)) \
            THEN 'waiting for an advisory lock of this session' ELSE coalesce(a.state, '') END, \
        EXISTS (SELECT 1 FROM pg_catalog.pg_locks o WHERE o.pid = $2 AND NOT o.granted AND o.locktype = 'virtualxid') \
     FROM pg_catalog.pg_stat_activity a LEFT JOIN pg_catalog.pg_replication_slots s ON s.active_pid = a.pid \
     WHERE a.datname = pg_catalog.current_database() AND a.backend_xmin IS NOT NULL AND a.xact_start IS NOT NULL \
        AND a.pid NOT IN ($2, pg_catalog.pg_backend_pid()) AND coalesce(a.backend_type, '') <> 'autovacuum worker' \
        AND coalesce(a.query, '') !~* '^\\s*vacuum' \
     ORDER BY 6 DESC";

/// The state of one who waits for an advisory lock that the building session has, so that each waits for the other.
const WAITS_FOR_BUILDER: &str = "waiting for an advisory lock of this session";

/// What was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    /// The oldest first.
    pub holders: Vec<Holder>,
    /// The build waits for a transaction at this moment.
    pub waits: bool,
}

/// Reads all rows.
pub(super) fn held(rows: &[Row]) -> Held {
    let waits = rows.iter().any(|row| row.try_get(7).unwrap_or(false));
    Held { holders: rows.iter().filter_map(holder).collect(), waits }
}

fn holder(row: &Row) -> Option<Holder> {
    Some(Holder {
        pid: row.try_get(0).ok()?,
        with: if row.try_get::<_, i32>(1).ok()? == 0 { With::Lock } else { With::Snapshot },
        name: row.try_get(2).ok()?,
        user: row.try_get(3).ok()?,
        application: row.try_get(4).ok()?,
        age: Duration::try_from_secs_f64(row.try_get(5).ok()?).unwrap_or_default(),
        state: row.try_get(6).ok()?,
    })
}

impl Holder {
    /// Whether it idles in a transaction, so that its client alone can end it.
    pub fn idles(&self) -> bool {
        self.state == "idle in transaction"
    }

    /// Whether it waits for an advisory lock of the building session, and the build would wait for it.
    pub fn waits_for_builder(&self) -> bool {
        self.state == WAITS_FOR_BUILDER
    }
}
