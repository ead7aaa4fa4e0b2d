//! How far a build is, as `pg_stat_progress_create_index` shows it.

use tokio_postgres::Row;

/// One row of `pg_stat_progress_create_index`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// `CREATE INDEX CONCURRENTLY` and its like.
    pub command: String,
    /// `building index: scanning table`, `waiting for old snapshots`, ..
    pub phase: String,
    /// Units done in this phase and units in all; 0 in all when the phase does not count.
    pub done: u64,
    /// Units in all.
    pub total: u64,
    /// The session that it waits for, in words.
    pub waits_for: Option<String>,
}

/// Blocks count while the table is scanned, tuples while they are sorted and loaded, lockers while it waits.
pub(super) const SQL: &str = "SELECT p.command, p.phase, \
     CASE WHEN p.tuples_total > 0 THEN p.tuples_done WHEN p.blocks_total > 0 THEN p.blocks_done ELSE p.lockers_done END, \
     CASE WHEN p.tuples_total > 0 THEN p.tuples_total WHEN p.blocks_total > 0 THEN p.blocks_total ELSE p.lockers_total END, \
     CASE WHEN p.current_locker_pid > 0 THEN pg_catalog.format('process %s (user %s, application %s, transaction open for %s s)', \
        p.current_locker_pid, coalesce(a.usename, '?'), coalesce(nullif(a.application_name, ''), '?'), \
        coalesce(extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start)::bigint::text, '?')) END \
     FROM pg_catalog.pg_stat_progress_create_index p LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = p.current_locker_pid \
     WHERE p.pid = $1";

/// Reads one row.
pub(super) fn build(row: &Row) -> Option<Build> {
    let count = |at| row.try_get::<_, i64>(at).ok().and_then(|count| u64::try_from(count).ok());
    Some(Build {
        command: row.try_get(0).ok()?,
        phase: row.try_get(1).ok()?,
        done: count(2)?,
        total: count(3)?,
        waits_for: row.try_get(4).ok()?,
    })
}

impl Build {
    /// How much of this phase is done, when the phase counts.
    pub fn percent(&self) -> Option<u64> {
        (self.done * 100).checked_div(self.total).map(|percent| percent.min(100))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_of_what_counts() {
        let build = |done, total| Build {
            command: String::new(),
            phase: String::new(),
            done,
            total,
            waits_for: None,
        };
        assert_eq!(build(1, 4).percent(), Some(25));
        assert_eq!(build(0, 0).percent(), None);
        assert_eq!(build(9, 4).percent(), Some(100));
    }
}
