//! Indexes that are invalid and that nobody is building: what a build that has failed leaves behind.

use crate::effects::facts::Oid;
use crate::plan::Scope;
use crate::upstream::call::{Call, Failed, Item, Row};
use crate::upstream::{Link, Lost};

/// Invalid indexes of a table (oid 0: of any) that nobody is building at this moment. Of the builds of roles that the client may not
/// look at the server tells no more than the process: those are known by their lock on the table.
const INVALID_INDEXES: &str = "SELECT i.indexrelid, pg_catalog.quote_ident(s.nspname) OPERATOR(pg_catalog.||) '.' \
     OPERATOR(pg_catalog.||) pg_catalog.quote_ident(c.relname) \
     FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) i.indexrelid \
     JOIN pg_catalog.pg_namespace s ON s.oid OPERATOR(pg_catalog.=) c.relnamespace \
     WHERE NOT i.indisvalid AND c.relkind OPERATOR(pg_catalog.=) 'i' \
     AND ($1::pg_catalog.oid OPERATOR(pg_catalog.=) 0::pg_catalog.oid OR i.indrelid OPERATOR(pg_catalog.=) $1::pg_catalog.oid \
        OR i.indrelid OPERATOR(pg_catalog.=) (SELECT t.reltoastrelid FROM pg_catalog.pg_class t \
            WHERE t.oid OPERATOR(pg_catalog.=) $1::pg_catalog.oid)) \
     AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_stat_progress_create_index p \
        WHERE p.index_relid OPERATOR(pg_catalog.=) i.indexrelid OR EXISTS (SELECT 1 FROM pg_catalog.pg_locks l \
            WHERE l.pid OPERATOR(pg_catalog.=) p.pid AND l.database OPERATOR(pg_catalog.=) p.datid \
            AND l.relation OPERATOR(pg_catalog.=) i.indrelid \
            AND l.mode OPERATOR(pg_catalog.=) 'ShareUpdateExclusiveLock'))";

/// An index that is invalid and that nobody is building.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InvalidIndex {
    /// Its oid.
    pub(super) oid: Oid,
    /// Its name, quoted and with its schema.
    pub(super) name: String,
}

/// The invalid indexes of a table or of the whole database; an error of the server is given as it came.
pub(super) async fn invalid_indexes(
    link: &mut Link,
    scope: Scope,
) -> Result<Result<Vec<InvalidIndex>, Failed>, Lost> {
    let table = match scope {
        Scope::Table(oid) => oid.to_string(),
        Scope::Database => "0".to_owned(),
    };
    let answer = Call::run(link, &[Item::ours(INVALID_INDEXES).with(vec![&table])]).await?;
    if let Some(failed) = answer.failed {
        return Ok(Err(failed));
    }
    let index = |row: &Row| match row.as_slice() {
        [Some(oid), Some(name)] => Some(InvalidIndex { oid: oid.parse().ok()?, name: name.clone() }),
        _ => None,
    };
    Ok(Ok(answer.rows_of(0).filter_map(index).collect()))
}
