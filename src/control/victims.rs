//! Who waits behind a session, from `pg_locks` and `pg_blocking_pids`.

use std::sync::LazyLock;
use std::time::Duration;

use tokio_postgres::Row;

use crate::base::{LockMode, RelationName};
use crate::plan::Target;
use crate::sql::bookkeeping;

/// Behind which locks of a session somebody is seen to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blocking {
    /// Any.
    Whatever,
    /// Those that stop readers or writers of a relation, behind which such a one waits: what ordinary work locks does not count, nor
    /// does who wants a strong lock himself.
    StrongOnRelations,
}

/// A session that stands in a lock queue, and whose turn depends on another session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Victim {
    /// Its process.
    pub pid: i32,
    /// How long it can have been waiting by now; servers before 14 do not say.
    pub waited: Option<Duration>,
}

/// What is seen behind a session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Behind {
    /// Clients that wait for it, be it for one who waits for it himself.
    pub victims: Vec<Victim>,
    /// It stands in a queue itself.
    pub queues: bool,
    /// The relation that it queues for.
    pub queues_for: Option<Target>,
}

/// Clients that wait behind process $1 (behind its strong locks on relations but $3 where $2), and the process itself if it waits.
pub(super) const SQL: &str = "WITH RECURSIVE waiting AS MATERIALIZED ( \
        SELECT l.pid, pg_catalog.pg_blocking_pids(l.pid) AS behind, extract(epoch FROM pg_catalog.clock_timestamp() \
            - (pg_catalog.to_jsonb(l) ->> 'waitstart')::pg_catalog.timestamptz)::pg_catalog.float8 AS waited, \
            CASE WHEN l.locktype = 'relation' THEN l.relation END AS relation, l.database, l.mode \
        FROM pg_catalog.pg_locks l WHERE NOT l.granted AND l.pid IS NOT NULL), \
     victims AS ( \
        SELECT w.pid FROM waiting w WHERE $1 = ANY (w.behind) AND w.pid <> $1 AND (NOT $2 OR EXISTS ( \
            SELECT FROM pg_catalog.pg_locks o WHERE o.pid = $1 AND o.locktype = 'relation' \
            AND o.database = w.database AND o.relation = w.relation \
            AND w.mode IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock') \
            AND o.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock') \
            AND NOT EXISTS (SELECT FROM pg_catalog.pg_class b JOIN pg_catalog.pg_namespace s ON s.oid = b.relnamespace \
                WHERE b.oid = o.relation AND (b.relname = ANY ($3) OR s.nspname || '.' || b.relname = ANY ($3))))) \
        UNION SELECT w.pid FROM waiting w JOIN victims v ON v.pid = ANY (w.behind) WHERE w.pid <> $1) \
     SELECT w.pid, w.waited, c.oid, n.nspname::text, c.relname::text, w.mode FROM waiting w \
     LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = w.pid \
     LEFT JOIN pg_catalog.pg_class c ON w.pid = $1 AND c.oid = w.relation \
     LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     WHERE w.pid = $1 OR (w.pid IN (SELECT pid FROM victims) \
        AND coalesce(a.backend_type, 'client backend') IN ('client backend', 'parallel worker'))";

/// The tables of migration tools, for which who waits is to wait.
pub(super) static BOOKS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let called = |(schema, table): (Option<&str>, &str)| match schema {
        Some(schema) => format!("{schema}.{table}"),
        None => table.to_owned(),
    };
    bookkeeping::tables().map(called).collect()
});

/// Reads the rows of the question about `pid`, which has taken so long: whoever waits may have done so all that time.
pub(super) fn behind(rows: &[Row], pid: i32, took: Duration) -> Behind {
    let mut behind = Behind::default();
    for row in rows {
        let (Ok(other), Ok(waited)) = (row.try_get::<_, i32>(0), row.try_get::<_, Option<f64>>(1)) else {
            continue;
        };
        if other == pid {
            behind.queues = true;
            behind.queues_for = queued_for(row);
        } else {
            let waited = waited
                .map(|waited| Duration::try_from_secs_f64(waited).unwrap_or_default().saturating_add(took));
            behind.victims.push(Victim { pid: other, waited });
        }
    }
    behind
}

fn queued_for(row: &Row) -> Option<Target> {
    let name = RelationName::qualified(row.try_get::<_, &str>(3).ok()?, row.try_get::<_, &str>(4).ok()?);
    let mode = LockMode::from_name(row.try_get(5).ok()?)?;
    Some(Target { name, oid: row.try_get(2).ok()?, mode })
}
