//! Deferred work whose names and settings are not ASCII, in databases and sessions of other encodings than UTF8: what is run behind the
//! COMMIT is what was sent, or it is refused where it is written.

use std::process::Command;

use crate::support::programs::{run, without_variables};
use crate::support::raw::Frame;
use crate::support::stage::{Answer, Person, Stage, Way};

/// A stage with a database in LATIN1, and what is in there.
fn stage() -> Stage {
    let stage = Stage::new();
    stage.straight().all(&["CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'"]);
    person(stage.cluster.addr(), "UTF8").all(&[
        "CREATE SCHEMA schön",
        "CREATE TABLE schön.größe (ü int, text text)",
        "INSERT INTO schön.größe SELECT n, 'é' FROM generate_series(1, 100) n",
        "CREATE TABLE plain (a int, ä int)",
        "INSERT INTO plain SELECT n, n FROM generate_series(1, 100) n",
    ]);
    stage
}

fn person(addr: std::net::SocketAddr, encoding: &str) -> Person {
    Person::called(addr, &[("database", "latin"), ("client_encoding", encoding)])
}

/// A simple query whose characters are a byte each.
fn latin(client: &mut Person, sql: &str) -> Answer {
    let bytes = sql.chars().map(|character| u8::try_from(u32::from(character)).expect("LATIN1"));
    let body: Vec<u8> = bytes.chain([0]).collect();
    let length = u32::try_from(body.len() + 4).expect("short").to_be_bytes();
    client.raw.send(&[b"Q", length.as_slice(), body.as_slice()].concat());
    client.answer()
}

/// The indexes of that database, each with `+` when it is valid.
fn indexes(stage: &Stage) -> String {
    person(stage.cluster.addr(), "UTF8").table(
        "SELECT indexrelid::regclass || CASE WHEN indisvalid THEN '+' ELSE '-' END FROM pg_index \
         WHERE indrelid IN ('schön.größe'::regclass, 'plain'::regclass) ORDER BY 1",
    )
}

fn tasks(stage: &Stage, columns: &str) -> String {
    person(stage.cluster.addr(), "UTF8").table(&format!("SELECT {columns} FROM lockkeeper.task ORDER BY id"))
}

#[test]
fn names_and_settings_reach_the_work_in_a_database_of_single_bytes() {
    let stage = stage();
    for way in Way::BOTH {
        let mut client = person(stage.proxy.addr(), "UTF8");
        client.each(way, &["BEGIN", "SET LOCAL search_path = schön"]);
        client.each(way, &["CREATE INDEX ix_ü ON größe (lower(text)) WHERE text <> 'ä'"]);
        client.each(way, &["ALTER TABLE größe ADD CONSTRAINT schlüssel UNIQUE (ü)"]);
        client.each(way, &["SAVEPOINT a"]);
        let refused = client.ask(way, "CREATE INDEX größer ON größe (text öps)");
        let message = refused.error().map(Frame::message).unwrap_or_default();
        assert_eq!(message, "operator class \"öps\" does not exist for access method \"btree\"");
        client.each(way, &["ROLLBACK TO a", "COMMIT"]);
        assert_eq!(indexes(&stage), "\"schön\".\"ix_ü\"+\n\"schön\".\"schlüssel\"+");
        assert_eq!(client.table("SHOW search_path"), "\"$user\", public");
        client.all(&["DROP INDEX schön.ix_ü", "ALTER TABLE schön.größe DROP CONSTRAINT schlüssel"]);
    }
    assert!(
        tasks(&stage, "title || ' ' || about")
            .contains("CREATE INDEX \"ix_ü\" ON \"größe\" {\"\\\"größe\\\"\"")
    );
}

/// In a session of single bytes, what is not ASCII is refused where it is written; the rest is done.
#[test]
fn a_session_of_single_bytes_defers_what_is_ascii() {
    let stage = stage();
    let mut client = person(stage.proxy.addr(), "LATIN1");
    client.all(&["BEGIN", "CREATE INDEX ix ON plain (a)", "SAVEPOINT a"]);
    for sql in ["CREATE INDEX ON plain (ä)", "ALTER TABLE plain ADD UNIQUE (ä)"] {
        let refused = latin(&mut client, sql);
        assert_eq!(refused.failure_if_any(), "0A000", "{sql}: {refused:?}");
        let words = format!("{} {}", refused.detail(), refused.hint());
        assert!(words.contains("SET client_encoding = 'UTF8'"), "{refused:?}");
        client.all(&["ROLLBACK TO a"]);
    }
    // What a table is that cannot be named in the catalogue's letters is not known: it runs as sent, and that is said.
    let built = latin(&mut client, "CREATE INDEX ON schön.größe (ü)");
    assert_eq!(built.tag(), "CREATE INDEX");
    assert!(
        built.told()[0].starts_with("WARNING: CREATE INDEX inside a transaction stops writes"),
        "{built:?}"
    );
    client.all(&["ROLLBACK TO a"]);
    latin(&mut client, "SET LOCAL search_path = schön, public").tag();
    let refused = client.query("CREATE INDEX ON plain (a)");
    assert_eq!(refused.failure(), "0A000");
    let message = refused.error().map(Frame::message).unwrap_or_default();
    assert!(message.contains("setting search_path cannot be read in this client encoding"), "{message}");
    client.all(&["ROLLBACK TO a", "COMMIT"]);
    assert_eq!(indexes(&stage), "ix+");
    // Outside a transaction its bytes are those of the client.
    latin(&mut client, "CREATE INDEX iy ON plain (ä)").tag();
    assert!(stage.cluster.log().contains("CREATE INDEX CONCURRENTLY iy ON plain ("));
    assert_eq!(indexes(&stage), "ix+\niy+");
}

/// What was queued in one encoding is written down as it was sent, whatever the session speaks by then.
#[test]
fn the_client_encoding_may_change_before_the_commit() {
    let stage = stage();
    for way in Way::BOTH {
        let mut client = person(stage.proxy.addr(), "UTF8");
        client.each(
            way,
            &["BEGIN", "CREATE INDEX ix ON plain (a)", "SET client_encoding = 'LATIN1'", "COMMIT"],
        );
        assert_eq!(indexes(&stage), "ix+", "it is ASCII");
        client.each(way, &["SET client_encoding = 'UTF8'", "DROP INDEX ix", "BEGIN"]);
        client.each(way, &["SET LOCAL search_path = schön", "CREATE INDEX ix_ü ON größe (ü)"]);
        client.each(way, &["SET LOCAL client_encoding = 'SQL_ASCII'"]);
        client.each(way, &["RESET search_path", "SET client_encoding = 'LATIN1'"]);
        let failed = client.ask(way, "COMMIT");
        assert_eq!((failed.failure().as_str(), failed.status()), ("58000", 'I'));
        let message = failed.error().map(Frame::message).unwrap_or_default();
        assert!(message.ends_with("the client encoding is another one by now"), "{message}");
        assert!(failed.hint().contains("lockkeeper resume"), "{failed:?}");
        assert_eq!(
            tasks(&stage, "sql || '|' || (settings->>'search_path') || '|' || title")
                .lines()
                .last()
                .unwrap_or_default(),
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_ü ON größe (ü)|\"schön\"|CREATE INDEX \"ix_ü\" ON \"größe\""
        );
        let mut resume = Command::new(env!("CARGO_BIN_EXE_lockkeeper"));
        without_variables(&mut resume);
        resume.env("LOCKKEEPER_GUARD_SMALL_TABLE", "0B").args([
            "resume",
            "--url",
            &stage.cluster.url("latin"),
        ]);
        run(resume).ok();
        assert_eq!(indexes(&stage), "\"schön\".\"ix_ü\"+");
        client.all(&["SET client_encoding = 'UTF8'", "DROP INDEX schön.ix_ü"]);
    }
}

/// People are shown the beginning of what is long, without half a letter.
#[test]
fn long_titles_are_cut_between_letters() {
    let stage = Stage::new();
    let mut client = stage.through();
    for shift in ["", "x"] {
        let column = |at: usize| {
            format!("ADD COLUMN \"{shift}{at}{}\" uuid DEFAULT gen_random_uuid()", "ß".repeat(30))
        };
        let columns: Vec<String> = (0..8).map(column).collect();
        client.all(&["BEGIN", &format!("ALTER TABLE orders {}", columns.join(", "))]);
        let committed = client.query("COMMIT");
        let task = stage
            .now("SELECT octet_length(title) || ' ' || title FROM lockkeeper.task ORDER BY id DESC LIMIT 1");
        let (bytes, title) = task.split_once(' ').expect("two columns");
        assert!((295..=303).contains(&bytes.parse::<usize>().expect("a number")), "{task}");
        assert!(
            title.starts_with(&format!("ALTER TABLE orders ADD COLUMN \"{shift}0ßß"))
                && title.ends_with(" .."),
            "{task}"
        );
        assert!(!title.contains(char::REPLACEMENT_CHARACTER), "{task}");
        assert!(committed.error().is_none(), "{committed:?}");
    }
    assert_eq!(
        stage.now(
            "SELECT count(*) FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname LIKE '%ß'"
        ),
        "16"
    );
}
