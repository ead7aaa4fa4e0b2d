//! What the client's own connection can tell about its settings and about the relations that a statement names.
//!
//! Asked on the client's connection on purpose: its role, search path, temporary tables and open transaction decide
//! what a name means. Every function and operator is schema-qualified, since that search path is not ours.

use crate::base::{RelationName, SqlState};
use crate::effects::facts::{Facts, IndexFacts, Oid, Relation, RelationKind};
use crate::plan::Scope;
use crate::upstream::call::{Call, Failed, Item, Row};
use crate::upstream::link::Batch;
use crate::upstream::{Link, Lost};
use crate::wire::fields;
use crate::wire::kind::server as kind;
use crate::wire::server::Status;

/// Settings of the session that bear on how its statements are treated.
const SETTINGS: &str = "SELECT pg_catalog.current_setting('server_version_num'), \
     pg_catalog.current_setting('lock_timeout'), pg_catalog.current_setting('statement_timeout'), \
     pg_catalog.current_setting('lockkeeper.mode', true), pg_catalog.current_setting('lockkeeper.max_stall', true), \
     pg_catalog.current_setting('lockkeeper.retry_for', true), pg_catalog.current_setting('lockkeeper.allow', true)";

/// One row per relation that exists. Builds of other roles are shown without their tables, so that any may be the one. A relation is new in this transaction when the oldest row of its columns was
/// written by a transaction that is visible here and still in progress: ALTER TABLE rewrites the `pg_class` row, but
/// never the rows of the system columns.
const RELATIONS: &str = "SELECT n.place, c.oid, c.relkind, c.relpersistence OPERATOR(pg_catalog.=) 't', \
     coalesce((SELECT pg_catalog.pg_xact_status(x.full_xid::text::pg_catalog.xid8) OPERATOR(pg_catalog.=) 'in progress' \
        FROM (SELECT CASE WHEN y.near OPERATOR(pg_catalog.>) (y.top OPERATOR(pg_catalog.+) 2147483648) \
                     THEN y.near OPERATOR(pg_catalog.-) 4294967296 ELSE y.near END AS full_xid \
              FROM (SELECT t.top, ((t.top OPERATOR(pg_catalog.>>) 32) OPERATOR(pg_catalog.<<) 32) \
                              OPERATOR(pg_catalog.+) a.xmin::text::bigint AS near \
                    FROM (SELECT pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::bigint AS top) t, \
                         (SELECT xmin FROM pg_catalog.pg_attribute \
                          WHERE attrelid OPERATOR(pg_catalog.=) c.oid ORDER BY attnum LIMIT 1) a) y) x \
        WHERE x.full_xid OPERATOR(pg_catalog.>=) 0), false), \
     s.nspname OPERATOR(pg_catalog.=) ANY ('{pg_catalog,information_schema,pg_toast}'::pg_catalog.name[]), \
     i.indrelid, i.indisvalid, \
     EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid \
        AND d.objid OPERATOR(pg_catalog.=) c.oid AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_constraint'::pg_catalog.regclass::pg_catalog.oid \
        AND d.deptype OPERATOR(pg_catalog.=) 'i'), \
     c.relispartition OR c.relkind OPERATOR(pg_catalog.=) 'I', \
     coalesce(i.indisexclusion, false) OR EXISTS (SELECT 1 FROM pg_catalog.pg_index t \
        WHERE t.indrelid OPERATOR(pg_catalog.=) c.oid AND (t.indisexclusion OR NOT t.indisvalid)), \
     NOT i.indisvalid AND EXISTS (SELECT 1 FROM pg_catalog.pg_stat_progress_create_index p \
        WHERE p.index_relid OPERATOR(pg_catalog.=) c.oid \
        OR (p.relid IS NULL AND p.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())) \
     FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[])) WITH ORDINALITY n(name, place) \
     JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(n.name)::pg_catalog.oid \
     JOIN pg_catalog.pg_namespace s ON s.oid OPERATOR(pg_catalog.=) c.relnamespace \
     LEFT JOIN pg_catalog.pg_index i ON i.indexrelid OPERATOR(pg_catalog.=) c.oid";

/// Invalid indexes of a table (oid 0: of any) that nobody is building at this moment.
const INVALID_INDEXES: &str = "SELECT i.indexrelid, pg_catalog.quote_ident(s.nspname) OPERATOR(pg_catalog.||) '.' \
     OPERATOR(pg_catalog.||) pg_catalog.quote_ident(c.relname) \
     FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) i.indexrelid \
     JOIN pg_catalog.pg_namespace s ON s.oid OPERATOR(pg_catalog.=) c.relnamespace \
     WHERE NOT i.indisvalid AND c.relkind OPERATOR(pg_catalog.=) 'i' \
     AND ($1::pg_catalog.oid OPERATOR(pg_catalog.=) 0::pg_catalog.oid OR i.indrelid OPERATOR(pg_catalog.=) $1::pg_catalog.oid) \
     AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_stat_progress_create_index p \
        WHERE p.index_relid OPERATOR(pg_catalog.=) i.indexrelid)";

/// The session's own settings, as the server spells them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionSettings {
    /// `lock_timeout`, to be put back as it was.
    pub lock_timeout: String,
    /// `statement_timeout`, likewise.
    pub statement_timeout: String,
    /// `SET lockkeeper.<name>`: those that are set.
    pub directives: Vec<(&'static str, String)>,
}

/// What a look at the catalogue brought.
#[derive(Debug)]
pub enum Looked {
    /// Everything.
    Known(SessionSettings, Facts),
    /// The client cancelled, or a time-out of its own struck: the server's words are the statement's outcome.
    Stopped(Failed),
}

/// Asks for settings and relations in one round trip; in a transaction block behind a savepoint, so that no error of ours can hurt it.
///
/// Where the names cannot be looked up (a schema without USAGE, say) the settings alone are known.
pub async fn look_up(link: &mut Link, names: &[RelationName]) -> Result<Looked, Lost> {
    let failed = match ask(link, names).await? {
        Ok((settings, facts)) => return Ok(Looked::Known(settings, facts)),
        Err(failed) => failed,
    };
    if fields::sqlstate(&failed.body) == SqlState::QUERY_CANCELED || link.tracker.expected.is_skipping() {
        return Ok(Looked::Stopped(failed));
    }
    tracing::debug!(error = fields::message(&failed.body), "relations could not be looked up");
    if link.tracker.status() == Status::Failed {
        let undo = ["ROLLBACK TO SAVEPOINT lockkeeper", "RELEASE SAVEPOINT lockkeeper"].map(Item::ours);
        Call::run(link, &undo).await?;
    }
    Ok(match ask(link, &[]).await? {
        Ok((settings, facts)) => Looked::Known(settings, facts),
        Err(failed) => Looked::Stopped(failed),
    })
}

async fn ask(
    link: &mut Link,
    names: &[RelationName],
) -> Result<Result<(SessionSettings, Facts), Failed>, Lost> {
    let list = array_literal(names);
    let mut items = vec![Item::ours(SETTINGS), Item::ours(RELATIONS).with(vec![&list])];
    let in_block = link.tracker.status() == Status::InTransaction;
    if in_block {
        items.insert(0, Item::ours("SAVEPOINT lockkeeper"));
        items.push(Item::ours("RELEASE SAVEPOINT lockkeeper"));
    }
    let first = usize::from(in_block);
    let answer = Call::run(link, &items).await?;
    if let Some(failed) = answer.failed {
        return Ok(Err(failed));
    }
    let (settings, server_version) = session_settings(answer.row(first));
    let relations = answer.rows_of(first + 1).filter_map(|row| relation(row, names)).collect();
    Ok(Ok((settings, Facts { server_version, relations })))
}

/// An index that is invalid and that nobody is building.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidIndex {
    /// Its oid.
    pub oid: Oid,
    /// Its name, quoted and with its schema.
    pub name: String,
}

/// The names of the prepared statements that the server has now; `None` when it would not say.
pub async fn prepared_statements(link: &mut Link) -> Result<Option<Vec<String>>, Lost> {
    let answer = Call::run(link, &[Item::ours("SELECT name FROM pg_catalog.pg_prepared_statements")]).await?;
    let names = answer.rows_of(0).filter_map(|row| text(row, 0).map(str::to_owned)).collect();
    Ok(answer.failed.is_none().then_some(names))
}

/// Brings up to date how the client's texts are to be read, in an open batch: the server tells of a change at its end only.
pub async fn refresh_reading(link: &mut Link) -> Result<(), Lost> {
    if link.tracker.status() == Status::Idle {
        link.batch = Batch::Clients;
    }
    let names = ["client_encoding", "standard_conforming_strings"];
    let items = names.map(|name| Item::ours("SELECT pg_catalog.current_setting($1)").with(vec![name]));
    let answer = Call::run(link, &items).await?;
    for (at, name) in names.into_iter().enumerate() {
        if let Some(value) = answer.row(at).and_then(|row| text(row, 0)) {
            link.tracker.received(kind::PARAMETER_STATUS, format!("{name}\0{value}\0").as_bytes());
        }
    }
    link.batch = Batch::None;
    Ok(())
}

/// The invalid indexes of a table or of the whole database; an error of the server is given as it came.
pub async fn invalid_indexes(
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
    let index = |row: &Row| Some(InvalidIndex { oid: number(row, 0)?, name: text(row, 1)?.to_owned() });
    Ok(Ok(answer.rows_of(0).filter_map(index).collect()))
}

/// `{"\"public\".\"orders\""}`: an array of quoted names as `to_regclass` reads them.
fn array_literal(names: &[RelationName]) -> String {
    let quoted: Vec<String> = names
        .iter()
        .map(|name| format!("\"{}\"", name.to_string().replace('\\', "\\\\").replace('"', "\\\"")))
        .collect();
    format!("{{{}}}", quoted.join(","))
}

fn session_settings(row: Option<&Row>) -> (SessionSettings, u32) {
    let Some(row) = row else { return (SessionSettings::default(), 0) };
    let directives = ["mode", "max_stall", "retry_for", "allow"]
        .into_iter()
        .zip(3..)
        .filter_map(|(name, at)| {
            text(row, at).filter(|value| !value.is_empty()).map(|value| (name, value.to_owned()))
        })
        .collect();
    let own = |at| text(row, at).unwrap_or("0").to_owned();
    (
        SessionSettings { lock_timeout: own(1), statement_timeout: own(2), directives },
        number(row, 0).unwrap_or(0),
    )
}

fn relation(row: &Row, names: &[RelationName]) -> Option<(RelationName, Relation)> {
    let name = names.get(number(row, 0)?.checked_sub(1)? as usize)?.clone();
    let index = number(row, 6).map(|table| IndexFacts {
        table,
        valid: truth(row, 7),
        in_the_making: truth(row, 11),
        backs_constraint: truth(row, 8),
        partitioned: truth(row, 9),
    });
    let relation = Relation {
        oid: number(row, 1)?,
        kind: kind(text(row, 2)?),
        temporary: truth(row, 3),
        new_in_transaction: truth(row, 4),
        system: truth(row, 5),
        plain_reindex_only: truth(row, 10),
        index,
    };
    Some((name, relation))
}

fn kind(relkind: &str) -> RelationKind {
    match relkind {
        "r" => RelationKind::Table,
        "p" => RelationKind::PartitionedTable,
        "i" => RelationKind::Index,
        "I" => RelationKind::PartitionedIndex,
        "S" => RelationKind::Sequence,
        "v" => RelationKind::View,
        "m" => RelationKind::MaterializedView,
        "f" => RelationKind::ForeignTable,
        _ => RelationKind::Other,
    }
}

fn text(row: &Row, at: usize) -> Option<&str> {
    row.get(at)?.as_deref()
}

fn number(row: &Row, at: usize) -> Option<u32> {
    text(row, at)?.parse().ok()
}

fn truth(row: &Row, at: usize) -> bool {
    text(row, at) == Some("t")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_the_array() {
        let names = [RelationName::qualified("s", "we\"ird\\"), RelationName::bare("plain")];
        // As an array literal is read: a backslash makes the next character itself.
        assert_eq!(array_literal(&names), r#"{"\"s\".\"we\"\"ird\\\"","\"plain\""}"#);
    }
}
