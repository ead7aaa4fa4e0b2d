//! Who holds locks, from `pg_locks` and `pg_stat_activity`.

use std::time::Duration;

use tokio_postgres::Row;

use crate::base::LockMode;
use crate::effects::facts::Oid;
use crate::pace::blocker::{Blocker, Worker};

/// The head of a query ends at its first literal: whoever waits may not be entitled to read it.
/// Granted relation locks of others. A prepared transaction has no process; its age is not known.
pub(super) const SQL: &str = "SELECT l.relation, coalesce(l.pid, 0), l.mode, coalesce(a.usename, '')::text, \
     coalesce(a.application_name, ''), coalesce(extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start), 0)::float8, \
     coalesce(left(regexp_replace(split_part(a.query, '''', 1), '\\s+', ' ', 'g'), 60), ''), coalesce(a.state, ''), \
     CASE WHEN a.backend_type IS DISTINCT FROM 'autovacuum worker' THEN 0 \
          WHEN a.query LIKE '%(to prevent wraparound)' THEN 2 ELSE 1 END \
     FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid \
     WHERE l.locktype = 'relation' AND l.granted AND l.relation = ANY($1) AND l.pid IS DISTINCT FROM $2 \
     AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())";

/// Cancels an autovacuum worker that does not prevent wraparound: whether that was allowed; no row where there is none any more.
///
/// `pg_signal_backend` is not enough (`pg_signal_backend` in `signalfuncs.c`), since 18 `pg_signal_autovacuum_worker` is.
pub(super) const SEND_VACUUM_AWAY: &str = "SELECT CASE WHEN (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) OR EXISTS (         SELECT 1 FROM pg_catalog.pg_roles r         WHERE r.rolname = 'pg_signal_autovacuum_worker' AND pg_catalog.pg_has_role(r.oid, 'USAGE'))      THEN pg_catalog.pg_cancel_backend(a.pid) ELSE false END      FROM pg_catalog.pg_stat_activity a      WHERE a.pid = $1 AND a.backend_type = 'autovacuum worker' AND a.query NOT LIKE '%(to prevent wraparound)'";

/// Reads one row: the relation and who holds a lock on it; `None` for lock modes that are not table-level.
pub(super) fn blocker(row: &Row) -> Option<(Oid, Blocker)> {
    let worker = match row.try_get::<_, i32>(8).ok()? {
        0 => Worker::Client,
        1 => Worker::Autovacuum,
        _ => Worker::WraparoundVacuum,
    };
    let blocker = Blocker {
        pid: row.try_get(1).ok()?,
        mode: LockMode::from_name(row.try_get(2).ok()?)?,
        user: row.try_get(3).ok()?,
        application: row.try_get(4).ok()?,
        age: Duration::try_from_secs_f64(row.try_get(5).ok()?).unwrap_or_default(),
        query_head: row.try_get(6).ok()?,
        state: row.try_get(7).ok()?,
        worker,
    };
    Some((row.try_get(0).ok()?, blocker))
}
