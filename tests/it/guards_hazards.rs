//! What becomes of statements that are hazards for other reasons than their locks, and who may say otherwise.

use crate::support::raw::Frame;
use crate::support::stage::{Stage, Way};

/// Where the program's own defaults hold, though the tables are small.
fn stage(config: &str) -> Stage {
    Stage::with_variables(config, &[("LOCKKEEPER_GUARD_HAZARDS", "")])
}

#[test]
fn what_destroys_data_is_refused_until_somebody_says_why() {
    let stage = stage("");
    for way in Way::BOTH {
        let mut client = stage.through();
        let drop = "ALTER TABLE orders DROP COLUMN note";
        let answer = client.ask(way, drop);
        assert_eq!(answer.failure(), "0A000");
        assert_eq!(answer.error().map(Frame::message).as_deref(), Some("dropping column note destroys data"));
        assert!(
            answer.hint().contains("lockkeeper: allow drop-column because <reason>"),
            "{}",
            answer.hint()
        );
        client.ask(way, "BEGIN").tag();
        assert_eq!(client.ask(way, drop).failure(), "0A000");
        assert_eq!(
            client.ask(way, "SELECT 1").failure(),
            "25P02",
            "the transaction has failed, as with any error"
        );
        client.ask(way, "ROLLBACK").tag();
        let answer =
            client.ask(way, &format!("{drop} /* lockkeeper: allow drop-column because nothing reads it */"));
        assert_eq!(answer.tag(), "ALTER TABLE");
        stage.straight().all(&["ALTER TABLE orders ADD COLUMN note text"]);
    }
}

#[test]
fn a_small_table_with_big_heirs_is_not_small() {
    let stage = Stage::with_variables(
        "",
        &[("LOCKKEEPER_GUARD_HAZARDS", ""), ("LOCKKEEPER_GUARD_SMALL_TABLE", "64kB")],
    );
    stage.straight().all(&[
        "CREATE TABLE parent (a int)",
        "CREATE TABLE child () INHERITS (parent)",
        "INSERT INTO child SELECT generate_series(1, 20000)",
    ]);
    let mut client = stage.through();
    for statement in [
        "TRUNCATE parent",
        "DROP TABLE parent CASCADE",
        "ALTER TABLE parent ALTER a TYPE bigint",
        "ALTER TABLE parent DROP COLUMN a",
    ] {
        assert_eq!(client.query(statement).failure(), "0A000", "{statement}");
    }
    let answer = client.query("DROP TABLE parent CASCADE");
    assert!(answer.hint().contains("allow drop-table"), "{}", answer.hint());
    assert!(answer.detail().contains("go with it: public.child"), "{}", answer.detail());
    stage.straight().all(&["DROP TABLE child"]);
    assert_eq!(client.query("DROP TABLE parent CASCADE").tag(), "DROP TABLE", "now it is small");
}

#[test]
fn a_type_takes_no_columns_with_it_unasked() {
    let stage = stage("");
    stage.straight().all(&["CREATE TYPE mood AS ENUM ('good')", "ALTER TABLE orders ADD COLUMN mood mood"]);
    let mut client = stage.through();
    let answer = client.query("DROP TYPE mood CASCADE");
    assert_eq!(answer.failure(), "0A000");
    assert_eq!(answer.error().map(Frame::message).as_deref(), Some("CASCADE drops column mood of orders"));
    assert_eq!(client.query("DROP TYPE mood").failure(), "2BP01", "the server's own word");
    assert_eq!(client.query("DROP TYPE nothing CASCADE").failure(), "42704", "likewise");
    let allowed = "DROP TYPE mood CASCADE /* lockkeeper: allow drop-type because nobody reads it */";
    assert_eq!(client.query(allowed).tag(), "DROP TYPE");
}

#[test]
fn small_tables_are_excused_unless_they_are_hot() {
    for (more, expected) in [
        ("small_table = \"64MB\"", ""),
        (
            "small_table = \"64MB\"\nhot_tables = [\"orders\"]",
            "NOTICE: CREATE INDEX runs as CREATE INDEX CONCURRENTLY (create-index-blocking)",
        ),
    ] {
        let stage =
            Stage::with_variables(&format!("[guard]\n{more}"), &[("LOCKKEEPER_GUARD_SMALL_TABLE", "64MB")]);
        let mut client = stage.through();
        let answer = client.query("CREATE INDEX by_note ON orders (note)");
        assert_eq!(answer.tag(), "CREATE INDEX");
        assert_eq!(answer.told().join("\n"), expected, "{more}");
    }
}

#[test]
fn the_configuration_says_what_becomes_of_a_hazard() {
    for (setting, told) in [
        ("pass", ""),
        ("warn", "WARNING: CREATE INDEX runs as sent: create-index-blocking"),
        ("plan", "NOTICE: CREATE INDEX runs as CREATE INDEX CONCURRENTLY (create-index-blocking)"),
        ("refuse", "ERROR: CREATE INDEX is refused here: create-index-blocking"),
    ] {
        let stage =
            stage(&format!("[[rule]]\nuser = \"*\"\nhazards = {{ create-index-blocking = \"{setting}\" }}"));
        let answer = stage.through().query("CREATE INDEX by_note ON orders (note)");
        let said = match setting {
            "refuse" => format!("ERROR: {}", answer.error().map(Frame::message).unwrap_or_default()),
            _ => answer.told().join("\n"),
        };
        assert_eq!(said, told, "{setting}");
    }
}

#[test]
fn the_messages_of_a_transaction_are_seen_together() {
    let stage = stage("");
    for way in Way::BOTH {
        let mut client = stage.through();
        client.ask(way, "BEGIN").tag();
        let added = client.ask(way, "ALTER TABLE orders ADD CONSTRAINT short CHECK (note <> '') NOT VALID");
        assert_eq!((added.tag(), added.notices()), ("ALTER TABLE".to_owned(), vec![]), "{way:?}");
        let said = client.ask(way, "ALTER TABLE orders VALIDATE CONSTRAINT short").notices();
        let expected = "WARNING: the constraint is validated while a strong lock is held";
        assert!(said.iter().any(|it| it == expected), "{way:?}: {said:?}");
        client.ask(way, "ROLLBACK").tag();
        stage.straight().all(&["ALTER TABLE orders ADD CONSTRAINT short CHECK (note <> '') NOT VALID"]);
        let alone = client.ask(way, "ALTER TABLE orders VALIDATE CONSTRAINT short").notices();
        assert!(alone.is_empty(), "{way:?}: nothing is left of the transaction before: {alone:?}");
        stage.straight().all(&["ALTER TABLE orders DROP CONSTRAINT short"]);
    }
}

/// A transaction that a message begins and leaves open, one that follows another without a gap, and one whose first
/// statement must not be asked about.
#[test]
fn transactions_are_followed_from_message_to_message() {
    const UNDER_LOCK: &str = "WARNING: the constraint is validated while a strong lock is held";
    let stage = stage("");
    let lock = "ALTER TABLE orders ADD CONSTRAINT short CHECK (note <> '') NOT VALID";
    let validate = "ALTER TABLE orders VALIDATE CONSTRAINT short";
    let allowed = "ALTER TABLE orders /* lockkeeper: allow lock-queue because test */ ADD CONSTRAINT short CHECK (note <> '') NOT VALID";
    for (messages, expected) in [
        (vec![format!("BEGIN; {lock}")], true),
        (vec![format!("BEGIN; {allowed}")], true),
        (vec!["BEGIN".into(), lock.into(), "COMMIT AND CHAIN".into()], false),
        (
            vec![
                "BEGIN; SAVEPOINT a".into(),
                lock.into(),
                "COMMIT".into(),
                "BEGIN ISOLATION LEVEL REPEATABLE READ".into(),
                "LOCK TABLE orders".into(),
            ],
            true,
        ),
    ] {
        let mut client = stage.through();
        for message in &messages {
            client.ask(Way::Simple, message);
        }
        let said = client.ask(Way::Simple, validate).notices();
        assert_eq!(said.iter().any(|it| it == UNDER_LOCK), expected, "{messages:?}: {said:?}");
        client.ask(Way::Simple, "ROLLBACK").tag();
        stage.straight().all(&["ALTER TABLE orders DROP CONSTRAINT IF EXISTS short"]);
    }
}

#[test]
fn blocks_of_code_are_looked_into() {
    let stage = stage("[guard.hazards]\ndrop-column = \"refuse\"");
    for way in Way::BOTH {
        let mut client = stage.through();
        let dropped = client.ask(way, "DO $$ BEGIN ALTER TABLE orders DROP COLUMN note; END $$");
        assert_eq!(dropped.failure(), "0A000", "{way:?}");
        let unseen = client.ask(way, "DO $$ BEGIN EXECUTE 'ALTER TABLE orders ADD COLUMN x int'; END $$");
        assert_eq!(unseen.notices(), ["WARNING: a part of the block has not been looked at"], "{way:?}");
        assert_eq!(client.ask(way, "DO $$ BEGIN ALTER TABLE orders DROP COLUMN /* lockkeeper: allow drop-column because it is empty */ x; END $$").tag(), "DO");
        let misplaced = client.ask(way, "DO $$ BEGIN CREATE INDEX CONCURRENTLY ON orders (note); END $$");
        assert_eq!(misplaced.failure(), "25001", "{way:?}");
    }
}
