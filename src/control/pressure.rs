//! How much the server and its standbys have to do, in one question.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Row};

use super::TRY_AGAIN_AFTER;
use crate::effects::facts::Oid;
use crate::event::clock::Moment;
use crate::pace::bulk::{Keeper, Kind, Pressure, Sight, Standby};

/// Requested checkpoints are counted by the checkpointer's own statistics from this version on.
const CHECKPOINTER: i32 = 170_000;

/// `server_version_num`
const VERSION: &str = "SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4";

/// The figures, beside each that receives WAL and says how far it is. Who takes a base backup or only keeps WAL has replayed nothing;
/// nor is anything but its process shown of anyone to roles that are no members of `pg_read_all_stats`. Sessions that wait for a lock,
/// for their client or for time to pass need no core.
///
/// Dead rows of a table are kept by the snapshots and open transactions of its database, and by those of standbys and slots wherever
/// they are (`ComputeXidHorizons` in `procarray.c`).
const SQL: &str = "SELECT f.wal, f.sees, f.active, f.requested, s.name, s.replayed, s.lag, s.logical, s.pid, \
     f.dead, k.who, k.xmin::pg_catalog.text, k.age FROM ( \
     SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN 0 \
        ELSE pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_flush_lsn(), '0/0') END::pg_catalog.int8 AS wal, \
     pg_catalog.pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS sees, \
     (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity a WHERE a.state = 'active' \
        AND a.backend_type IN ('client backend', 'parallel worker') AND a.pid <> $1 AND a.pid <> pg_catalog.pg_backend_pid() \
        AND coalesce(a.wait_event_type, '') NOT IN ('Lock', 'Client', 'Timeout')) AS active, \
     /*requested*/ AS requested, pg_catalog.pg_stat_get_dead_tuples($2) AS dead) f \
     LEFT JOIN (SELECT * FROM ( \
        SELECT pg_catalog.format('process %s of user \"%s\"', a.pid, a.usename) AS who, \
            CASE WHEN coalesce(pg_catalog.age(a.backend_xmin), -1) >= coalesce(pg_catalog.age(a.backend_xid), -1) \
                THEN a.backend_xmin ELSE a.backend_xid END AS xmin, \
            extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start)::pg_catalog.float8 AS age \
        FROM pg_catalog.pg_stat_activity a WHERE a.datname = pg_catalog.current_database() \
        AND a.backend_type = 'client backend' AND a.pid <> $1 AND a.pid <> pg_catalog.pg_backend_pid() \
        UNION ALL SELECT pg_catalog.format('prepared transaction \"%s\"', p.gid), p.transaction, \
            extract(epoch FROM pg_catalog.clock_timestamp() - p.prepared)::pg_catalog.float8 \
        FROM pg_catalog.pg_prepared_xacts p WHERE p.database = pg_catalog.current_database() \
        UNION ALL SELECT pg_catalog.format('replication slot \"%s\"', o.slot_name), o.xmin, NULL \
        FROM pg_catalog.pg_replication_slots o \
        UNION ALL SELECT pg_catalog.format('standby \"%s\"', r.application_name), r.backend_xmin, NULL \
        FROM pg_catalog.pg_stat_replication r) k \
        WHERE k.xmin IS NOT NULL ORDER BY pg_catalog.age(k.xmin) DESC LIMIT 1) k ON true \
     LEFT JOIN (SELECT r.pid, r.application_name::pg_catalog.text AS name, \
        pg_catalog.pg_wal_lsn_diff(r.replay_lsn, '0/0')::pg_catalog.int8 AS replayed, \
        extract(epoch FROM r.replay_lag)::pg_catalog.float8 AS lag, \
        EXISTS (SELECT FROM pg_catalog.pg_replication_slots o WHERE o.active_pid = r.pid AND o.slot_type = 'logical') AS logical \
        FROM pg_catalog.pg_stat_replication r WHERE r.replay_lsn IS NOT NULL) s ON true";

/// The question to servers of a version.
fn sql(version: i32) -> String {
    let requested = if version >= CHECKPOINTER {
        "pg_catalog.pg_stat_get_checkpointer_num_requested()"
    } else {
        "pg_catalog.pg_stat_get_bgwriter_requested_checkpoints()"
    };
    SQL.replace("/*requested*/", requested)
}

/// What is known of each database's server.
#[derive(Debug, Default)]
pub(super) struct Known(RefCell<HashMap<String, Server>>);

#[derive(Debug, Clone, Copy)]
enum Server {
    Version(i32),
    /// It could not answer, as one may that speaks the protocol and is another product.
    Refused(Moment),
}

impl Known {
    /// Whether it has just refused to answer.
    pub(super) fn refuses(&self, database: &str) -> bool {
        matches!(self.0.borrow().get(database), Some(Server::Refused(at)) if at.elapsed() < TRY_AGAIN_AFTER)
    }

    pub(super) fn refused(&self, database: &str) {
        self.0.borrow_mut().insert(database.to_owned(), Server::Refused(Moment::now()));
    }

    /// What is seen, but for the session of this process that writes this table; which version it is is asked once.
    pub(super) async fn ask(
        &self,
        client: &Client,
        database: &str,
        (pid, table): (i32, Oid),
    ) -> Result<Pressure, Error> {
        let known = self.0.borrow().get(database).copied();
        let version = match known {
            Some(Server::Version(version)) => version,
            _ => client.query_one(VERSION, &[]).await?.try_get(0)?,
        };
        let values: [(&(dyn ToSql + Sync), Type); 2] = [(&pid, Type::INT4), (&table, Type::OID)];
        let rows = client.query_typed(&sql(version), &values).await?;
        self.0.borrow_mut().insert(database.to_owned(), Server::Version(version));
        pressure(&rows)
    }
}

fn pressure(rows: &[Row]) -> Result<Pressure, Error> {
    let Some(first) = rows.first() else { return Ok(Pressure::default()) };
    Ok(Pressure {
        wal: count(first, 0)?,
        sight: if first.try_get(1)? { Sight::Clear } else { Sight::Dim },
        active: count(first, 2)?,
        checkpoints_requested: count(first, 3)?,
        dead_rows: count(first, 9)?,
        keeper: keeper(first)?,
        standbys: rows.iter().filter_map(|row| standby(row).transpose()).collect::<Result<_, _>>()?,
    })
}

fn count(row: &Row, at: usize) -> Result<u64, Error> {
    row.try_get::<_, i64>(at).map(|count| u64::try_from(count).unwrap_or(0))
}

fn keeper(row: &Row) -> Result<Option<Keeper>, Error> {
    let Some(who) = row.try_get(10)? else { return Ok(None) };
    let age: Option<f64> = row.try_get(12)?;
    Ok(Some(Keeper { who, xmin: row.try_get(11)?, age: age.map(seconds) }))
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// None stands in the only row of a server that sends no WAL.
fn standby(row: &Row) -> Result<Option<Standby>, Error> {
    let Some(name) = row.try_get(4)? else { return Ok(None) };
    let lag: Option<f64> = row.try_get(6)?;
    Ok(Some(Standby {
        pid: row.try_get(8)?,
        name,
        replayed: count(row, 5)?,
        lag: lag.map(seconds),
        kind: if row.try_get(7)? { Kind::Logical } else { Kind::Physical },
    }))
}
