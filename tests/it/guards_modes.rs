//! Who decides how far the proxy goes: the file, the session, the statement; and what becomes of slips of the pen.

use crate::support::stage::{Person, Stage, Way};

const CREATE: &str = "CREATE INDEX by_note ON orders (note)";
const ENFORCED: &str = "NOTICE: CREATE INDEX runs as CREATE INDEX CONCURRENTLY (create-index-blocking)";
const OBSERVED: &str = "NOTICE: CREATE INDEX would run as CREATE INDEX CONCURRENTLY";

/// What is said about an index, which is then dropped again.
fn said(stage: &Stage, client: &mut Person, way: Way) -> String {
    let answer = client.ask(way, CREATE);
    assert_eq!(answer.tag(), "CREATE INDEX");
    stage.straight().all(&["DROP INDEX by_note"]);
    answer.told().join("\n")
}

#[test]
fn the_file_says_the_mode() {
    for (mode, expected) in [("enforce", ENFORCED), ("observe", OBSERVED), ("off", "")] {
        let stage = Stage::with(&format!("[guard]\nmode = \"{mode}\""));
        for way in Way::BOTH {
            assert_eq!(said(&stage, &mut stage.through(), way), expected, "{mode} {way:?}");
        }
        assert_eq!(stage.was_run("INDEX CONCURRENTLY by_note"), mode == "enforce");
    }
}

#[test]
fn rules_hold_for_databases_users_and_applications() {
    let rules = "
        [[rule]]
        application_name = \"pgroll\"
        mode = \"off\"
        [[rule]]
        user = \"report*\"
        mode = \"observe\"
        [[rule]]
        database = \"shop\"
        allow = { create-index-blocking = \"the shop is closed\" }";
    let stage = Stage::with(rules);
    stage
        .straight()
        .all(&["CREATE ROLE reporting SUPERUSER LOGIN", "CREATE DATABASE shop TEMPLATE postgres"]);
    let through = |more: &[(&str, &str)]| Person::called(stage.proxy.addr(), more);
    for (more, expected) in [
        (vec![], ENFORCED),
        (vec![("application_name", "pgroll")], ""),
        (vec![("user", "reporting")], OBSERVED),
        (vec![("user", "reporting"), ("application_name", "pgroll")], ""),
        (vec![("database", "shop")], "NOTICE: CREATE INDEX runs as sent: create-index-blocking is allowed"),
    ] {
        let mut client = through(&more);
        let answer = client.query(CREATE);
        assert_eq!(answer.told().join("\n"), expected, "{more:?}");
        client.all(&["DROP INDEX by_note"]);
    }
}

#[test]
fn the_session_says_otherwise() {
    let stage = Stage::new();
    for way in Way::BOTH {
        let mut client = stage.through();
        for (set, expected) in [
            ("SET lockkeeper.mode = 'observe'", OBSERVED),
            ("SET lockkeeper.mode TO off", ""),
            ("SET SESSION lockkeeper.mode = enforce", ENFORCED),
            ("RESET lockkeeper.mode", ENFORCED),
            (
                "SET lockkeeper.allow = 'create-index-blocking because it is night'",
                "NOTICE: CREATE INDEX runs as sent: create-index-blocking is allowed",
            ),
            ("RESET ALL", ENFORCED),
        ] {
            client.ask(way, set).tag();
            assert_eq!(said(&stage, &mut client, way), expected, "{set}");
        }
    }
}

#[test]
fn a_setting_of_a_transaction_ends_with_it() {
    let stage = Stage::new();
    for way in Way::BOTH {
        for end in ["ROLLBACK", "COMMIT"] {
            let mut client = stage.through();
            client.all(&["BEGIN"]);
            client.ask(way, "SET LOCAL lockkeeper.mode = 'off'").tag();
            assert_eq!(client.ask(way, "ALTER TABLE orders ADD x int").notices(), [""; 0]);
            client.all(&["SAVEPOINT s"]);
            let answer = client.ask(way, CREATE);
            assert_eq!((answer.tag().as_str(), answer.notices().len()), ("CREATE INDEX", 0));
            client.all(&["ROLLBACK TO s", "ALTER TABLE orders DROP x", end]);
            assert_eq!(said(&stage, &mut client, way), ENFORCED, "{end}");
        }
        let mut client = stage.through();
        client.all(&["BEGIN", "SET lockkeeper.mode = 'off'", "ROLLBACK"]);
        assert_eq!(said(&stage, &mut client, way), ENFORCED);
    }
}

#[test]
fn start_up_options_and_roles_say_it_too() {
    let stage = Stage::new();
    stage
        .straight()
        .all(&["CREATE ROLE watcher SUPERUSER LOGIN", "ALTER ROLE watcher SET lockkeeper.mode = 'observe'"]);
    for more in [[("options", "-c lockkeeper.mode=observe")], [("user", "watcher")]] {
        let mut client = Person::called(stage.proxy.addr(), &more);
        assert_eq!(said(&stage, &mut client, Way::Extended), OBSERVED);
    }
    let mut client = Person::called(stage.proxy.addr(), &[("options", "-c lockkeeper.mode=quiet")]);
    let answer = client.query(CREATE);
    assert_eq!(answer.failure(), "22023");
    assert_eq!(client.table("SELECT 'reads on'"), "reads on");
}

#[test]
fn a_comment_allows_one_statement() {
    let stage = Stage::new();
    for way in Way::BOTH {
        let mut client = stage.through();
        for sql in [
            "/* lockkeeper: allow create-index-blocking because the table is tiny */ CREATE INDEX by_note ON orders (note)",
            "CREATE INDEX by_note ON orders (note) -- lockkeeper: allow create-index-blocking because the table is tiny",
        ] {
            let answer = client.ask(way, sql);
            answer.tag();
            let message = "CREATE INDEX runs as sent: create-index-blocking is allowed";
            assert_eq!(answer.notices(), [format!("NOTICE: {message}")]);
            assert_eq!(answer.notice(message, b'D').as_deref(), Some("The reason given: the table is tiny."));
            assert!(stage.was_run(sql));
            stage.straight().all(&["DROP INDEX by_note"]);
        }
        assert_eq!(said(&stage, &mut client, way), ENFORCED);
        let misspelt = "/* lockkeeper: allow create-index because x */ CREATE INDEX by_note ON orders (note)";
        let answer = client.ask(way, misspelt);
        answer.tag();
        let notices = answer.told();
        assert_eq!(notices.len(), 2, "{notices:?}");
        assert!(notices[0].starts_with("WARNING: directive ignored:"), "{notices:?}");
        assert_eq!(notices[1], ENFORCED);
        stage.straight().all(&["DROP INDEX by_note"]);
    }
}

#[test]
fn slips_of_the_pen_are_errors() {
    let stage = Stage::new();
    for way in Way::BOTH {
        for begin in [false, true] {
            for (sql, code) in [
                ("SET lockkeeper.mod = 'off'", "42704"),
                ("SET lockkeeper.mode = 'of'", "22023"),
                ("SET lockkeeper.max_stall = '2 weeks'", "22023"),
                ("SET lockkeeper.retry_for = 'never'", "22023"),
                ("SET lockkeeper.allow = 'create-index-blocking'", "22023"),
                ("SET lockkeeper.allow = 'everything because I can'", "42704"),
            ] {
                let mut client = stage.through();
                if begin {
                    client.all(&["BEGIN"]);
                }
                let answer = client.ask(way, sql);
                assert_eq!(
                    (answer.failure().as_str(), answer.status()),
                    (code, if begin { 'E' } else { 'I' }),
                    "{sql}"
                );
                assert_ne!(answer.hint(), "", "{sql}");
                if begin {
                    assert_eq!(client.query("SELECT 1").failure(), "25P02", "{sql}");
                    client.all(&["ROLLBACK"]);
                }
                assert_eq!(client.table("SELECT 'goes on'"), "goes on");
            }
        }
    }
}

/// What runs in no transaction block runs when only observed, too, by both protocols.
#[test]
fn observing_changes_nothing() {
    let stage = Stage::with("[guard]\nmode = \"observe\"");
    for way in Way::BOTH {
        let mut client = stage.through();
        for sql in [
            "CREATE INDEX CONCURRENTLY by_note ON orders (note)",
            "REINDEX INDEX CONCURRENTLY by_note",
            "VACUUM FULL orders",
            "DROP INDEX CONCURRENTLY by_note",
            "ALTER TABLE orders ADD COLUMN a int",
            "ALTER TABLE orders DROP COLUMN a",
        ] {
            client.ask(way, sql).tag();
            assert!(stage.was_run(sql), "{sql}");
        }
    }
    assert!(!stage.was_run("SET SESSION lock_timeout"));
}
