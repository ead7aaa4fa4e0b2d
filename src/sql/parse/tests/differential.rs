//! An independent second reader: wherever sqlparser accepts a text too, it must see the same statements.

use proptest::prelude::*;
use sqlparser::ast::{self, ObjectName, ObjectType};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use super::corpus::{ALTER_TABLE, INDEX_WORK, OTHER_LOCKS, THE_REST};
use super::*;
use crate::base::RelationName;

/// What the second reader sees of one statement.
#[derive(Debug, PartialEq)]
enum Seen {
    Ordinary,
    Transaction,
    CreateIndex {
        concurrently: bool,
        table: RelationName,
    },
    /// The tag, and the first relation that is locked.
    Ddl(&'static str, RelationName),
    /// No opinion beyond there being a statement.
    Something,
}

fn second_reader(text: &str) -> Option<Vec<Seen>> {
    // It takes what follows COPY FROM STDIN for data, as in a psql script.
    if text.contains("FROM STDIN") {
        return None;
    }
    let statements = Parser::parse_sql(&PostgreSqlDialect {}, text).ok()?;
    Some(statements.iter().map(seen).collect())
}

fn seen(statement: &ast::Statement) -> Seen {
    use ast::Statement as S;
    match statement {
        S::Query(_) | S::Insert(_) | S::Update(_) | S::Delete(_) | S::Merge(_) | S::ShowVariable { .. } => {
            Seen::Ordinary
        }
        S::StartTransaction { .. }
        | S::Commit { .. }
        | S::Rollback { .. }
        | S::Savepoint { .. }
        | S::ReleaseSavepoint { .. } => Seen::Transaction,
        S::CreateIndex(index) => {
            Seen::CreateIndex { concurrently: index.concurrently, table: name(&index.table_name) }
        }
        S::AlterTable(alter) => Seen::Ddl("ALTER TABLE", name(&alter.name)),
        S::Truncate(truncate) => Seen::Ddl("TRUNCATE TABLE", name(&truncate.table_names[0].name)),
        S::CreateTrigger(trigger) => Seen::Ddl("CREATE TRIGGER", name(&trigger.table_name)),
        S::CreatePolicy(policy) => Seen::Ddl("CREATE POLICY", name(&policy.table_name)),
        S::Drop { object_type, names, .. } => match object_type {
            ObjectType::Table => Seen::Ddl("DROP TABLE", name(&names[0])),
            ObjectType::View => Seen::Ddl("DROP VIEW", name(&names[0])),
            ObjectType::Index => Seen::Ddl("DROP INDEX", name(&names[0])),
            _ => Seen::Something,
        },
        _ => Seen::Something,
    }
}

/// The name as Postgres folds it.
fn name(object: &ObjectName) -> RelationName {
    let mut parts: Vec<String> = object
        .0
        .iter()
        .filter_map(|part| part.as_ident())
        .map(|part| if part.quote_style.is_some() { part.value.clone() } else { part.value.to_lowercase() })
        .collect();
    let name = parts.pop().unwrap_or_default();
    RelationName { schema: parts.pop(), name }
}

/// Whether our reading is the same.
fn agrees(ours: &Statement, theirs: &Seen) -> bool {
    let first = ours.locks.first().map(|lock| &lock.name);
    match theirs {
        Seen::Ordinary => matches!(ours.kind, Kind::Ordinary),
        Seen::Transaction => matches!(ours.kind, Kind::Transaction(_)),
        Seen::CreateIndex { concurrently, table } => {
            matches!(&ours.kind, Kind::CreateIndex(index) if index.concurrently == *concurrently)
                && first == Some(table)
        }
        Seen::Ddl(tag, relation) => ours.tag == *tag && first == Some(relation),
        Seen::Something => true,
    }
}

/// Compares the two readings; whether there were two.
fn compare(text: &str) -> Result<bool, String> {
    let ours = script(text);
    let (Readable::Whole, Some(theirs)) = (ours.readable, second_reader(text)) else { return Ok(false) };
    let same = ours.statements.len() == theirs.len()
        && ours.statements.iter().zip(&theirs).all(|(ours, theirs)| agrees(ours, theirs));
    if same { Ok(true) } else { Err(format!("{text}\n{:?}\n{theirs:?}", ours.statements)) }
}

#[test]
fn both_readers_see_the_same_in_every_form() {
    let all = [INDEX_WORK, ALTER_TABLE, OTHER_LOCKS, THE_REST].concat();
    let compared: Vec<bool> = all.iter().map(|text| compare(text).unwrap()).collect();
    let both = compared.iter().filter(|both| **both).count();
    assert!(both > all.len() / 3, "only {both} of {} were read by both", all.len());
}

/// Statements that both read, so that what is generated from them is not refused for their sake.
fn statement() -> impl Strategy<Value = &'static str> {
    let statements = [
        "SELECT 1",
        "SELECT ';' AS \"a;b\"",
        "SELECT $$;$$, $a$ $$ ; $a$",
        "INSERT INTO t VALUES ('it''s; ')",
        "UPDATE t SET a = E'\\';' WHERE b",
        "DELETE FROM s.t",
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT a",
        "ALTER TABLE \"T;\" ADD COLUMN c int",
        "ALTER TABLE ONLY s.T DROP COLUMN c",
        "DROP TABLE IF EXISTS A, b",
        "DROP INDEX s.\"I\"",
        "CREATE UNIQUE INDEX i ON Ta (a)",
        "CREATE INDEX CONCURRENTLY i ON s.t (a)",
        "TRUNCATE t, u",
        "CREATE TABLE n (a int)",
        "DROP VIEW v CASCADE",
        "WITH a AS (SELECT 1) SELECT * FROM a",
    ];
    prop::sample::select(statements.to_vec())
}

fn between() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![";", " ; ", ";;", "; -- ;'\n", " /* ; /* ' */ $$ */;\n", ";\t--\"\n"])
}

proptest! {
    #[test]
    fn both_readers_see_the_same_statements(parts in prop::collection::vec((statement(), between()), 1..6)) {
        let text: String = parts.iter().flat_map(|(statement, between)| [*statement, *between]).collect();
        match compare(&text) {
            Ok(both) => prop_assert!(both, "one reader refused {text}"),
            Err(difference) => prop_assert!(false, "{difference}"),
        }
    }
}
