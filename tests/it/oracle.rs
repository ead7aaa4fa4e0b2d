//! What a statement is said to lock, read, rewrite and build is what Postgres locks, reads, rewrites and builds.
//!
//! Each is run in a transaction of its own on every version at hand; `pg_locks`, the file of each table and the counters of
//! the transaction are the oracle.

use std::collections::{BTreeMap, BTreeSet};

use lockkeeper::base::LockMode;
use lockkeeper::cluster::{Cluster, Installation, Options};
use lockkeeper::effects::facts::{Facts, Texts, answer};
use lockkeeper::effects::{self, Effects, Past, Task};
use lockkeeper::sql::{Calls, Encoding, Script, parse};

use crate::oracle_forms::{LATER, OUTSIDE, SETUP, STATEMENTS};
use crate::support::raw::{self, Raw};
use crate::support::twins::STATE;
use crate::support::{cluster_with, each_major, eventually};

#[test]
fn declared_effects_are_those_that_postgres_has() {
    for installation in each_major() {
        let major = installation.major;
        let (_cluster, mut session, forms) = prepared(installation);
        let relations = relations(&mut session);
        let wrong: Vec<String> =
            forms.into_iter().flat_map(|text| differences(&mut session, &relations, text)).collect();
        assert!(wrong.is_empty(), "Postgres {major}:\n{}", wrong.join("\n"));
    }
}

/// What may not run in a transaction is made to wait, and shows what it waits for.
#[test]
fn what_runs_outside_transactions_asks_for_the_locks_that_are_declared() {
    for installation in each_major() {
        let major = installation.major;
        let cluster = cluster_with(&Options::new().installation(installation));
        let (mut holder, mut session) = (Raw::session(cluster.addr()), Raw::session(cluster.addr()));
        assert!(holder.query(SETUP).iter().all(|frame| frame.tag != b'E'));
        let relations = relations(&mut session);
        let pid = session.rows("SELECT pg_backend_pid()")[0][0].clone().unwrap();
        for (_, text, table) in OUTSIDE.iter().filter(|(since, ..)| *since <= major) {
            let script = parse(text.as_bytes(), Encoding::Utf8);
            let effects = effects::of(&script.statements[0], &facts(&mut holder, &script), &Past::nothing());
            let declared = declared(&effects, &relations);
            let locked = declared.get(*table).copied();
            holder.rows(&format!("BEGIN; LOCK TABLE {table} IN SHARE UPDATE EXCLUSIVE MODE"));
            session.send(&raw::query(text));
            let waits = format!(
                "SELECT mode FROM pg_locks WHERE pid = {pid} AND NOT granted AND relation = '{table}'::regclass"
            );
            let mode = eventually("the statement waits", || holder.rows(&waits).pop()?.pop()?);
            assert_eq!(LockMode::from_name(&mode), locked, "Postgres {major}: {text}");
            holder.rows(&format!("SELECT pg_cancel_backend({pid})"));
            session.until_ready();
            holder.rows("ROLLBACK");
        }
    }
}

/// The inverse that is told leads back to the schema that was there before.
#[test]
fn inverses_take_back_what_was_done() {
    for installation in each_major() {
        let major = installation.major;
        let (_cluster, mut session, forms) = prepared(installation);
        let taken_back: Vec<Result<(), String>> =
            forms.into_iter().filter_map(|text| taken_back(&mut session, text)).collect();
        assert!(taken_back.len() > 100, "{}", taken_back.len());
        let wrong: Vec<String> = taken_back.into_iter().filter_map(Result::err).collect();
        assert!(wrong.is_empty(), "Postgres {major}:\n{}", wrong.join("\n"));
    }
}

/// A server where all stands that the forms are about, and the forms that it knows.
fn prepared(installation: Installation) -> (Cluster, Raw, Vec<&'static str>) {
    let major = installation.major;
    let cluster = cluster_with(&Options::new().installation(installation));
    let mut session = Raw::session(cluster.addr());
    let later: Vec<_> = LATER.iter().filter(|(since, ..)| *since <= major).collect();
    for sql in [SETUP].into_iter().chain(later.iter().map(|(_, setup, _)| *setup)) {
        let failed = session.query(sql).into_iter().find(|frame| frame.tag == b'E');
        assert!(failed.is_none(), "Postgres {major}: {failed:?}");
    }
    let forms = STATEMENTS.iter().chain(later.iter().flat_map(|(.., forms)| forms.iter()));
    (cluster, session, forms.copied().collect())
}

/// Runs a statement and its inverse; `None` where it has none.
fn taken_back(session: &mut Raw, text: &str) -> Option<Result<(), String>> {
    let script = parse(text.as_bytes(), Encoding::Utf8);
    let effects = effects::of(&script.statements[0], &facts(session, &script), &Past::nothing());
    // In a transaction, where the server does nothing concurrently.
    let inverse = effects.inverse?.replace("INDEX CONCURRENTLY", "INDEX");
    session.query("BEGIN");
    let before = schema(session);
    let mut told = session.query(text);
    told.extend(session.query(&inverse));
    let failed = told.into_iter().find(|frame| frame.tag == b'E').map(|frame| frame.message());
    let after = if failed.is_none() { schema(session) } else { BTreeSet::new() };
    session.query("ROLLBACK");
    Some(match failed {
        Some(failed) => Err(format!("{text}: {inverse}: {failed}")),
        None if after == before => Ok(()),
        None => Err(format!(
            "{text}: {inverse}: more {:?}, missing {:?}",
            after.difference(&before).collect::<Vec<_>>(),
            before.difference(&after).collect::<Vec<_>>()
        )),
    })
}

/// What the catalogue says, without what a dropped column leaves behind.
fn schema(session: &mut Raw) -> BTreeSet<String> {
    let line = |row: Vec<Option<String>>| row.into_iter().flatten().collect::<Vec<_>>().join(" ");
    let lines = session.rows(STATE).into_iter().map(line);
    lines.filter(|line| !line.starts_with("depends") && !line.contains("........pg.dropped")).collect()
}

/// Every relation that stands there before, by oid.
fn relations(session: &mut Raw) -> BTreeMap<String, String> {
    let sql =
        "SELECT oid::text, relname FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'i', 'I', 'c')
               AND relnamespace IN ('public'::regnamespace, 's'::regnamespace)";
    session.rows(sql).into_iter().map(|row| (row[0].clone().unwrap(), row[1].clone().unwrap())).collect()
}

/// What the proxy would know, asked in its own words.
fn facts(session: &mut Raw, script: &Script) -> Facts {
    let need = effects::need_in_full(script);
    let literal = |text: String| format!("'{}'", text.replace('\'', "''"));
    let mut ask = |text: &str, arrays: &[String]| -> Vec<String> {
        let sql = arrays.iter().enumerate().fold(text.to_owned(), |sql, (at, array)| {
            sql.replace(&format!("${}", at + 1), &literal(array.clone()))
        });
        session.rows(&sql).into_iter().map(|row| row[0].clone().unwrap()).collect()
    };
    let relations = ask(&answer::RELATIONS, &[answer::relation_names(&need)]);
    let types = ask(&answer::TYPES, &[answer::type_names(&need)]);
    let functions = ask(&answer::FUNCTIONS, &answer::function_names(&need));
    let taken = ask(&answer::NAMES, &[answer::names_beside(&need)]);
    let version = session.rows("SHOW server_version_num")[0][0].clone().unwrap();
    Facts {
        isolation: None,
        estimates: Vec::new(),
        calls: Calls::Nothing,
        server_version: version.parse().unwrap(),
        utc: Some(session.rows("SHOW timezone")[0][0].as_deref() == Some("UTC")),
        offline: false,
        texts: Texts::Faithful,
        relations: relations.iter().map(|it| answer::relation(it, &need).unwrap()).collect(),
        types: types.iter().map(|it| answer::ty(it, &need).unwrap()).collect(),
        functions: functions.iter().map(|it| answer::function(it, &need).unwrap()).collect(),
        taken: taken.iter().map(|it| answer::names(it, &need).unwrap()).collect(),
    }
}

/// Where the effects declared and the effects had differ.
fn differences(session: &mut Raw, relations: &BTreeMap<String, String>, text: &str) -> Vec<String> {
    let script = parse(text.as_bytes(), Encoding::Utf8);
    let [statement] = script.statements.as_slice() else { return vec![format!("{text}: not one statement")] };
    let effects = effects::of(statement, &facts(session, &script), &Past::nothing());
    let had = match had(session, relations, text) {
        Ok(had) => had,
        Err(error) => return vec![format!("{text}: {error}")],
    };
    let declared = declared(&effects, relations);
    let mut differences = Vec::new();
    for (name, mode) in declared.iter().filter(|(name, _)| relations.values().any(|it| it == *name)) {
        if had.locks.get(name) != Some(mode) {
            differences.push(format!("{text}: {name} declared {mode}, taken {:?}", had.locks.get(name)));
        }
    }
    for (name, mode) in &had.locks {
        let known = declared.get(name) == Some(mode)
            || effects.beyond
            // The sequence that a default reads is nobody's matter.
            || name == "q"
            // Indexes and sequences, told by the underscore in their names here, follow their tables.
            || name.contains('_');
        if !known {
            differences.push(format!("{text}: {name} taken {mode}, declared {:?}", declared.get(name)));
        }
    }
    differences.extend(work_differences(text, &effects, &had));
    differences
}

/// Where the work differs: what is rewritten is read as well.
fn work_differences(text: &str, effects: &Effects, had: &Had) -> Vec<String> {
    let of = |tasks: &[Task]| -> BTreeSet<String> {
        let work = effects.work.iter().filter(|work| tasks.contains(&work.task) && work.bytes != Some(0));
        work.map(|work| work.relation.name.clone()).collect()
    };
    let mut differences = Vec::new();
    let rewritten = of(&[Task::Rewrite]);
    // A partitioned table has no rows of its own; those of its partitions count.
    let whole = |names: &BTreeSet<String>| -> BTreeSet<String> {
        names
            .iter()
            .map(|name| if PARTITIONS.contains(&name.as_str()) { "ranges".to_owned() } else { name.clone() })
            .collect()
    };
    if whole(&rewritten) != whole(&had.rewritten) {
        differences.push(format!("{text}: rewritten {:?}, declared {rewritten:?}", had.rewritten));
    }
    if QUERIES.iter().any(|query| text.starts_with(query)) {
        return differences;
    }
    let read = of(&[Task::Scan, Task::BuildIndex, Task::Rewrite]);
    if whole(&read) != whole(&had.read) {
        differences.push(format!("{text}: read {:?}, declared {read:?}", had.read));
    }
    differences
}

/// What a query reads is not declared.
const QUERIES: [&str; 7] =
    ["SELECT", "INSERT", "COPY", "CREATE TABLE fresh AS", "REFRESH", "DELETE", "UPDATE"];

/// The partitions of `ranges`.
const PARTITIONS: [&str; 2] = ["ranges1", "rest"];

/// The strongest mode that is declared on each relation.
fn declared(effects: &Effects, relations: &BTreeMap<String, String>) -> BTreeMap<String, LockMode> {
    let mut declared: BTreeMap<String, LockMode> = BTreeMap::new();
    for touched in &effects.touched {
        let name = touched.oid.and_then(|oid| relations.get(&oid.to_string())).unwrap_or(&touched.name.name);
        let strongest = declared.entry(name.clone()).or_insert(touched.mode);
        *strongest = touched.mode.max(*strongest);
    }
    declared
}

/// What a statement did.
struct Had {
    /// The strongest mode on each relation.
    locks: BTreeMap<String, LockMode>,
    /// Relations with another file.
    rewritten: BTreeSet<String>,
    /// Relations of which rows were read one after the other.
    read: BTreeSet<String>,
}

/// Runs a statement and takes it back; or its error.
fn had(session: &mut Raw, relations: &BTreeMap<String, String>, text: &str) -> Result<Had, String> {
    const READ: &str = "SELECT relid::text, seq_tup_read FROM pg_stat_xact_user_tables";
    const FILES: &str =
        "SELECT oid::text, pg_relation_filenode(oid)::text FROM pg_class WHERE relkind IN ('r', 'm')";
    let files = |session: &mut Raw| -> BTreeMap<String, Option<String>> {
        session.rows(FILES).into_iter().map(|row| (row[0].clone().unwrap(), row[1].clone())).collect()
    };
    let before = files(session);
    session.query("BEGIN");
    // The counters are those of the session since it last told the server.
    let read_before = session.rows(READ);
    let answer = session.query(text);
    if let Some(error) = answer.iter().find(|frame| frame.tag == b'E') {
        let error = error.message();
        session.query("ROLLBACK");
        return Err(error);
    }
    let locks = session.rows(
        "SELECT relation::text, mode FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation' AND granted",
    );
    let after = files(session);
    let read: Vec<_> = session.rows(READ).into_iter().filter(|row| !read_before.contains(row)).collect();
    session.query("ROLLBACK");
    let mut taken: BTreeMap<String, LockMode> = BTreeMap::new();
    for row in locks {
        let [Some(oid), Some(mode)] = row.as_slice() else { continue };
        let (Some(name), Some(mode)) = (relations.get(oid), LockMode::from_name(mode)) else { continue };
        let strongest = taken.entry(name.clone()).or_insert(mode);
        *strongest = mode.max(*strongest);
    }
    let emptied = text.starts_with("TRUNCATE");
    let moved = before.iter().filter(|(oid, file)| after.get(*oid).is_some_and(|now| now != *file));
    Ok(Had {
        locks: taken,
        rewritten: moved.filter(|_| !emptied).filter_map(|(oid, _)| relations.get(oid).cloned()).collect(),
        read: read
            .into_iter()
            .filter(|row| row[1].as_deref() != Some("0"))
            .filter_map(|row| relations.get(row[0].as_deref()?).cloned())
            .collect(),
    })
}
