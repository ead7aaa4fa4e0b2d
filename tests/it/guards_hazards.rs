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
fn small_tables_are_excused_unless_they_are_hot() {
    for (more, expected) in [
        ("small_table = \"64MB\"", ""),
        (
            "small_table = \"64MB\"\nhot_tables = [\"orders\"]",
            "NOTICE: CREATE INDEX runs as CREATE INDEX CONCURRENTLY",
        ),
    ] {
        let stage =
            Stage::with_variables(&format!("[guard]\n{more}"), &[("LOCKKEEPER_GUARD_SMALL_TABLE", "64MB")]);
        let mut client = stage.through();
        let answer = client.query("CREATE INDEX by_note ON orders (note)");
        assert_eq!(answer.tag(), "CREATE INDEX");
        assert_eq!(answer.notices().join("\n"), expected, "{more}");
    }
}

#[test]
fn the_configuration_says_what_becomes_of_a_hazard() {
    for (setting, told) in [
        ("pass", ""),
        ("warn", "WARNING: CREATE INDEX inside a transaction stops writes until the transaction ends"),
        ("plan", "NOTICE: CREATE INDEX runs as CREATE INDEX CONCURRENTLY"),
        ("refuse", "ERROR: CREATE INDEX is refused here: create-index-blocking"),
    ] {
        let stage =
            stage(&format!("[[rule]]\nuser = \"*\"\nhazards = {{ create-index-blocking = \"{setting}\" }}"));
        let answer = stage.through().query("CREATE INDEX by_note ON orders (note)");
        let said = match setting {
            "refuse" => format!("ERROR: {}", answer.error().map(Frame::message).unwrap_or_default()),
            _ => answer.notices().join("\n"),
        };
        assert_eq!(said, told, "{setting}");
    }
}
