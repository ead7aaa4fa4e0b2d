//! Who has an advisory lock.

/// The processes that have the one with this key in this database.
pub(super) const SQL: &str = "SELECT l.pid FROM pg_catalog.pg_locks l \
     WHERE l.locktype = 'advisory' AND l.granted AND l.pid IS NOT NULL \
     AND l.classid = $1 AND l.objid = $2 AND l.objsubid = $3 \
     AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) ORDER BY l.pid";
