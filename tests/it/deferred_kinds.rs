//! Deferred work in transactions of every kind, by every protocol.

use std::process::Command;

use crate::support::programs::{run, without_variables};
use crate::support::raw;
use crate::support::stage::{Person, Stage, Way};

/// What is open or has failed, as `lockkeeper tasks` would tell.
const OPEN: &str =
    "SELECT state || ' ' || title FROM lockkeeper.task WHERE state NOT IN ('done', 'dropped') ORDER BY id";

/// A message of several statements is one transaction, whoever has begun it: nothing of it is committed early.
#[test]
fn a_message_of_several_statements_stays_one_transaction() {
    let stage = Stage::new();
    let mut client = stage.through();
    let failed = client.query(
        "INSERT INTO orders VALUES (1000); CREATE INDEX ix ON orders (customer); SELECT 1 / 0; SELECT 2",
    );
    assert_eq!(
        (failed.tags(), failed.status()),
        (vec!["INSERT 0 1".to_owned(), "CREATE INDEX".to_owned()], 'I')
    );
    assert_eq!(failed.error().map(raw::Frame::sqlstate).as_deref(), Some("22012"));
    assert_eq!(stage.now("SELECT count(*) FROM orders"), "100");
    assert_eq!(stage.indexes(), "");
    let done =
        client.query("INSERT INTO orders VALUES (1000); CREATE INDEX ix ON orders (customer); SELECT 1");
    assert_eq!(
        (done.tags(), done.status()),
        (["INSERT 0 1", "CREATE INDEX", "SELECT 1"].map(str::to_owned).to_vec(), 'I'),
        "{done:?}"
    );
    assert_eq!(stage.indexes(), "ix+");
    let file =
        "BEGIN; DROP INDEX ix; INSERT INTO orders VALUES (1001); COMMIT; CREATE INDEX iy ON orders (note)";
    let tags = ["BEGIN", "DROP INDEX", "INSERT 0 1", "COMMIT", "CREATE INDEX"].map(str::to_owned);
    assert_eq!(client.query(file).tags(), tags);
    assert_eq!(stage.indexes(), "iy+");
    let open = client.query("BEGIN; CREATE INDEX iz ON orders (note, id)");
    assert_eq!((open.tags().len(), open.status()), (2, 'T'));
    assert_eq!(client.query("SELECT 1; COMMIT; SELECT 2").tags(), ["SELECT 1", "COMMIT", "SELECT 1"]);
    assert_eq!(stage.indexes(), "iy+\niz+");
    client.all(&["BEGIN", "DROP INDEX iy"]);
    assert_eq!(client.query("SELECT 1; ROLLBACK; SELECT 2").tags(), ["SELECT 1", "ROLLBACK", "SELECT 1"]);
    assert_eq!(stage.indexes(), "iy+\niz+");
}

/// Characters of a transaction: each does what people expect of it.
#[test]
fn transactions_of_every_kind() {
    let stage = Stage::new();
    for way in Way::BOTH {
        let mut client = stage.through();
        // The next transaction is open when the work of the last is done, and is of its kind.
        client.each(way, &["BEGIN ISOLATION LEVEL SERIALIZABLE", "CREATE INDEX ix ON orders (customer)"]);
        let chained = client.ask(way, "COMMIT AND CHAIN");
        assert_eq!((chained.tag().as_str(), chained.status()), ("COMMIT", 'T'));
        assert_eq!(stage.indexes(), "ix+");
        assert_eq!(client.table("SHOW transaction_isolation"), "serializable");
        client.each(way, &["DROP INDEX ix", "ROLLBACK AND CHAIN", "COMMIT"]);
        assert_eq!(stage.indexes(), "ix+");
        // What is prepared may be committed by anybody.
        client.each(way, &["BEGIN", "DROP INDEX ix"]);
        let prepared = client.ask(way, "PREPARE TRANSACTION 'x'");
        assert_eq!((prepared.failure().as_str(), prepared.status()), ("0A000", 'I'));
        assert!(prepared.hint().contains("COMMIT"), "{prepared:?}");
        assert_eq!(stage.indexes(), "ix+");
        // The server refuses it in its own words.
        client.each(way, &["BEGIN READ ONLY"]);
        assert_eq!(client.ask(way, "DROP INDEX ix").failure(), "25006");
        client.each(way, &["ROLLBACK"]);
        // A deferred constraint fails the COMMIT, and nothing was there.
        stage.straight().all(&[
            "CREATE TABLE IF NOT EXISTS later (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)",
            "TRUNCATE later",
        ]);
        client.each(way, &["BEGIN", "INSERT INTO later VALUES (1), (1)", "DROP INDEX ix"]);
        let failed = client.ask(way, "COMMIT");
        assert_eq!((failed.failure().as_str(), failed.status()), ("23505", 'I'));
        assert_eq!((stage.indexes().as_str(), stage.now(OPEN).as_str()), ("ix+", ""));
        // Cursors and temporary tables live as long as they should.
        let statements = [
            "BEGIN",
            "CREATE TEMP TABLE mine ON COMMIT DROP AS SELECT 1 AS a",
            "DECLARE c CURSOR WITH HOLD FOR SELECT id FROM orders ORDER BY id",
            "DROP INDEX ix",
            "CREATE INDEX ON mine (a)",
        ];
        client.each(way, &statements);
        assert_eq!(client.table("FETCH 1 FROM c"), "1");
        client.each(way, &["COMMIT"]);
        assert_eq!(client.table("FETCH 1 FROM c"), "2");
        assert_eq!(
            (stage.indexes().as_str(), stage.now("SELECT to_regclass('mine') IS NULL").as_str()),
            ("", "t")
        );
    }
}

/// What was set when a statement was sent counts when it is run, and nothing of that stays.
#[test]
fn work_is_done_under_the_settings_it_was_queued_under() {
    let stage = Stage::new();
    stage.straight().all(&[
        "CREATE ROLE builder LOGIN",
        "CREATE ROLE owners",
        "GRANT owners TO builder",
        "CREATE SCHEMA shop",
        "CREATE TABLE shop.items (id int PRIMARY KEY)",
        "GRANT ALL ON SCHEMA shop TO owners",
        "ALTER TABLE shop.items OWNER TO owners",
    ]);
    for way in Way::BOTH {
        let mut client = Person::called(stage.proxy.addr(), &[("user", "builder")]);
        client.each(Way::Simple, &["SELECT pg_catalog.set_config('search_path', 'public', false)"]);
        let statements = [
            "BEGIN",
            "SET LOCAL search_path = shop",
            "SET LOCAL ROLE owners",
            "CREATE INDEX ix ON items (id)",
            "COMMIT",
        ];
        client.each(way, &statements);
        assert_eq!(stage.now("SELECT indisvalid FROM pg_index WHERE indexrelid = 'shop.ix'::regclass"), "t");
        assert_eq!(
            client.table("SELECT current_user || ' ' || current_setting('search_path')"),
            "builder public"
        );
        stage.straight().all(&["DROP INDEX shop.ix"]);
    }
}

/// A table of many rows, and a trigger's function that reads a setting.
fn many_rows() -> Stage {
    let stage = Stage::new();
    stage.straight().all(&[
        "CREATE TABLE many (id int PRIMARY KEY, words text DEFAULT 'the houses', found tsvector, moment timestamptz DEFAULT '2026-01-01 \
         12:00 UTC', fired text)",
        "INSERT INTO many SELECT i FROM generate_series(1, 300) i",
        "ANALYZE many",
        "CREATE FUNCTION tenant() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         new.fired := coalesce(current_setting('app.tenant', true), '') || '!'; RETURN new; END $$",
    ]);
    stage
}

const MANY: &str = "SET lockkeeper.bulk_rows = 50";

/// The values in all rows, each once, and how many rows there are.
fn each_once(stage: &Stage, what: &str) -> String {
    stage.now(&format!("SELECT string_agg(DISTINCT {what}, ' ') || count(*) FROM many"))
}

/// Rows that are written behind the COMMIT are the ones that would have been written before it, or it is said that they cannot be.
#[test]
fn rows_are_written_under_the_settings_of_the_transaction() {
    let stage = many_rows();
    for way in Way::BOTH {
        let mut client = stage.through();
        client.all(&[MANY]);
        client.each(
            way,
            &[
                "BEGIN",
                "SET LOCAL default_text_search_config = 'english'",
                "SET LOCAL TimeZone = 'Asia/Tokyo'",
            ],
        );
        client.each(
            way,
            &["UPDATE many SET found = to_tsvector(words), words = to_char(moment, 'HH24')", "COMMIT"],
        );
        assert_eq!(
            (each_once(&stage, "found::text"), each_once(&stage, "words")),
            ("'hous':2300".to_owned(), "21300".to_owned())
        );
        client.each(way, &["UPDATE many SET words = 'the houses', found = NULL"]);

        // What nobody can list is looked for in what reads it.
        for reads in ["current_setting('app.tenant')", "pg_catalog.\"current_setting\" ('app' || '.tenant')"]
        {
            client.each(way, &["BEGIN", "SET LOCAL app.tenant = 'x'"]);
            let refused = client.ask(way, &format!("UPDATE many SET words = {reads}"));
            assert_eq!(refused.failure(), "0A000", "{refused:?}");
            assert!(refused.detail().contains("SET LOCAL"), "{refused:?}");
            assert!(refused.hint().contains("noTransaction"), "{refused:?}");
            client.each(way, &["ROLLBACK"]);
        }
    }
}

/// So are those that triggers write.
#[test]
fn triggers_fire_under_the_settings_of_the_transaction() {
    let stage = many_rows();
    for way in Way::BOTH {
        let mut client = stage.through();
        client.all(&[MANY]);
        let fires = "CREATE TRIGGER fires BEFORE UPDATE ON many FOR EACH ROW EXECUTE FUNCTION tenant()";
        stage.straight().all(&[fires]);
        client.each(way, &["BEGIN", "SET LOCAL app.tenant = 'x'"]);
        let refused = client.ask(way, "UPDATE many SET words = 'a'");
        assert!(format!("{refused:?}").contains("the function tenant of its trigger"), "{refused:?}");
        client.each(way, &["ROLLBACK", "BEGIN", "UPDATE many SET words = 'a'", "COMMIT"]);
        assert_eq!(each_once(&stage, "words || fired"), "a!300");
        client.each(way, &["BEGIN", "SET LOCAL session_replication_role = replica"]);
        client.each(way, &["UPDATE many SET fired = NULL", "COMMIT"]);
        assert_eq!(stage.now("SELECT count(fired) FROM many"), "0");
        assert_eq!(client.table("SHOW session_replication_role"), "origin");
        // The same the other way round, and where a backslash is one.
        client
            .each(way, &["SET session_replication_role = replica", "SET standard_conforming_strings = off"]);
        client.each(way, &["BEGIN", "SET LOCAL session_replication_role = origin"]);
        client.each(way, &["UPDATE many SET words = 'b'", "COMMIT"]);
        assert_eq!(each_once(&stage, "words || fired"), "b!300");
        assert_eq!(client.table("SHOW session_replication_role"), "replica");
        client.each(way, &["RESET session_replication_role", "RESET standard_conforming_strings"]);
        stage.straight().all(&["DROP TRIGGER fires ON many"]);
    }
}

/// Where nothing may be queued, the statement is refused, and it is said why; nobody has to defer.
#[test]
fn deferring_needs_the_schema_and_can_be_declined() {
    let stage = Stage::with("[ledger]\ninstall = \"off\"");
    for way in Way::BOTH {
        let mut client = stage.through();
        client.each(way, &["BEGIN"]);
        let refused = client.ask(way, "CREATE INDEX ix ON orders (customer)");
        assert_eq!(refused.failure(), "55000");
        assert!(refused.hint().contains("lockkeeper init"), "{refused:?}");
        client.each(way, &["ROLLBACK", "BEGIN", "SET LOCAL lockkeeper.in_transaction = 'refuse'"]);
        let refused = client.ask(way, "CREATE INDEX ix ON orders (customer)");
        assert_eq!(refused.failure(), "0A000");
        assert!(refused.hint().contains("autocommit_block"), "{refused:?}");
        client.each(way, &["ROLLBACK", "BEGIN"]);
        client.each(way,
            &[
                "/* lockkeeper: allow create-index-blocking because it is small */ CREATE INDEX ix ON orders (customer)",
            ],
        );
        assert_eq!(
            client.table("SELECT count(*) FROM pg_class WHERE relname = 'ix'"),
            "1",
            "it is built as sent"
        );
        client.each(way, &["ROLLBACK"]);
    }
}

/// BEGIN and what follows in one flight, as drivers of Java send it; errors before and behind; statements that were prepared
/// before anything was queued.
#[test]
fn pipelines_and_statements_prepared_before() {
    let stage = Stage::new();
    let mut client = stage.through();
    client.raw.send(&[raw::parse("old", "SELECT u FROM later_on"), raw::sync()].concat());
    assert!(client.answer().error().is_some(), "there is no such table yet");
    client.all(&["CREATE TABLE later_on (id int PRIMARY KEY)", "INSERT INTO later_on VALUES (1)"]);
    client.raw.send(
        &[raw::parse("old", "SELECT id FROM later_on"), raw::parse("end", "COMMIT"), raw::sync()].concat(),
    );
    client.answer();
    let run = |name: &str, sql: &str| {
        [raw::parse(name, sql), raw::bind("", name, &[]), raw::execute("", 0)].concat()
    };
    let flight =
        [run("", "BEGIN"), run("", "CREATE INDEX ix ON orders (customer)"), run("", "SELECT 7"), raw::sync()];
    client.raw.send(&flight.concat());
    let answer = client.answer();
    assert_eq!(
        (answer.tags(), answer.status()),
        (["BEGIN", "CREATE INDEX", "SELECT 1"].map(str::to_owned).to_vec(), 'T'),
        "{answer:?}"
    );
    client.raw.send(&[run("", "COMMIT"), run("", "SELECT 8"), raw::sync()].concat());
    assert_eq!(client.answer().tags(), ["COMMIT", "SELECT 1"]);
    assert_eq!(stage.indexes(), "ix+");
    // An error in front: the rest of the flight is not run.
    client.all(&["BEGIN"]);
    client.raw.send(&[run("", "SELECT 1 / 0"), run("", "DROP INDEX ix"), raw::sync()].concat());
    assert_eq!(client.answer().status(), 'E');
    client.all(&["ROLLBACK", "BEGIN"]);
    // An error behind takes what was queued with it.
    client.raw.send(&[run("", "DROP INDEX ix"), run("", "SELECT 1 / 0"), raw::sync()].concat());
    assert_eq!(client.answer().status(), 'E');
    assert_eq!(client.query("COMMIT").tag(), "ROLLBACK");
    assert_eq!(stage.indexes(), "ix+");
    // What was prepared before is looked at, too: here one that hangs on what is queued, and the COMMIT itself.
    client.all(&["BEGIN", "ALTER TABLE later_on ADD u uuid DEFAULT gen_random_uuid()", "SAVEPOINT a"]);
    client.raw.send(&[raw::bind("", "old", &[]), raw::execute("", 0), raw::sync()].concat());
    assert_eq!(client.answer().error().map(raw::Frame::sqlstate).as_deref(), Some("0A000"));
    client.all(&["ROLLBACK TO a"]);
    client.raw.send(&[raw::bind("", "end", &[]), raw::execute("", 0), raw::sync()].concat());
    assert_eq!(client.answer().tags(), ["COMMIT"]);
    assert_eq!(stage.now("SELECT count(u) FROM later_on"), "1");
    client.raw.send(&[raw::bind("", "old", &[]), raw::execute("", 0), raw::sync()].concat());
    assert_eq!(client.answer().tags(), ["SELECT 1"]);
}

/// Nothing runs with more rights than it was sent with.
#[test]
fn nobody_defers_in_the_name_of_somebody_else() {
    let stage = Stage::new();
    stage.straight().all(&[
        "CREATE ROLE alice",
        "GRANT ALL ON orders TO alice",
        "ALTER TABLE orders OWNER TO alice",
    ]);
    for way in Way::BOTH {
        let mut client = stage.through();
        client.each(way, &["BEGIN", "SET LOCAL SESSION AUTHORIZATION alice"]);
        assert_eq!(client.ask(way, "CREATE INDEX ix ON orders (customer)").failure(), "0A000");
        client.each(
            way,
            &[
                "ROLLBACK",
                "BEGIN",
                "CREATE INDEX ix ON orders (customer)",
                "SET LOCAL SESSION AUTHORIZATION alice",
            ],
        );
        let refused = client.ask(way, "COMMIT");
        assert_eq!((refused.failure().as_str(), refused.status()), ("0A000", 'I'));
        assert_eq!(stage.indexes(), "");
    }
}

/// What was bound before anything was queued may be the COMMIT.
#[test]
fn portals_made_before_are_not_run() {
    let stage = Stage::new();
    let mut client = stage.through();
    let portal = |name: &str, sql: &str| [raw::parse("", sql), raw::bind(name, "", &[])].concat();
    client.all(&["BEGIN"]);
    client.raw.send(&[portal("end", "COMMIT"), portal("rows", "SELECT 7"), raw::sync()].concat());
    client.answer();
    client.all(&["SAVEPOINT a", "CREATE INDEX ix ON orders (customer)"]);
    client.raw.send(&[raw::execute("rows", 0), raw::sync()].concat());
    assert_eq!(client.answer().tags(), ["SELECT 1"]);
    client.raw.send(&[raw::execute("end", 0), raw::sync()].concat());
    let refused = client.answer();
    assert_eq!((refused.failure().as_str(), refused.status()), ("0A000", 'E'));
    assert_eq!(client.query("COMMIT").tag(), "ROLLBACK");
    assert_eq!(stage.indexes(), "");
}

/// The server ends the session while it does the work behind a COMMIT: the client hears that it is committed.
#[test]
fn the_last_words_behind_a_commit_say_that_it_is_committed() {
    let stage = Stage::new();
    let mut holder = stage.straight();
    holder.all(&["BEGIN", "UPDATE orders SET note = note WHERE id = 1"]);
    let mut client = stage.through();
    client.all(&["BEGIN", "CREATE INDEX ix ON orders (customer)"]);
    client.send(Way::Simple, "COMMIT");
    let pid = client.pid();
    stage.until(&format!("SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = {pid} AND query LIKE '%CONCURRENTLY%'"));
    stage.straight().all(&[&format!("SELECT pg_terminate_backend({pid})")]);
    let frames = client.raw.until_end();
    let error = frames.iter().rfind(|frame| frame.tag == b'E').expect("last words");
    let words = [b'D', b'H'].map(|code| error.field(code).unwrap_or_default()).join(" ");
    assert!(
        words.contains("The transaction is committed") && words.contains("lockkeeper resume"),
        "{error:?}"
    );
    holder.all(&["ROLLBACK"]);
}

/// The COMMIT is answered at once, and a proxy does the work.
#[test]
fn work_can_be_done_in_the_background() {
    let stage = Stage::new();
    let mut holder = stage.straight();
    holder.all(&["BEGIN", "UPDATE orders SET note = note WHERE id = 1"]);
    let mut client = stage.through();
    let statements =
        ["BEGIN", "SET LOCAL lockkeeper.deferred = 'background'", "CREATE INDEX ix ON orders (customer)"];
    client.each(Way::Simple, &statements);
    let answer = client.query("COMMIT");
    assert_eq!((answer.tag().as_str(), answer.status()), ("COMMIT", 'I'));
    let told = answer.notice("committed; the work that was deferred is done in the background", b'D');
    assert!(told.is_some_and(|queued| queued.contains("CREATE INDEX ix ON orders (task")), "{answer:?}");
    assert!(!stage.indexes().contains("ix+"), "somebody holds it up");
    holder.all(&["COMMIT"]);
    stage.until("SELECT count(*) = 1 FROM lockkeeper.task WHERE state = 'done'");
    assert_eq!(stage.indexes(), "ix+");
}

/// The same where the configuration says so, for all or for some, by both protocols, and where the next transaction is open at once.
#[test]
fn the_configuration_may_put_work_into_the_background() {
    let configured = "[guard]\ndeferred = \"background\"";
    let ruled = "[[rule]]\nuser = \"postgres\"\ndeferred = \"background\"";
    for config in [configured, ruled] {
        let stage = Stage::with(config);
        let mut holder = stage.straight();
        holder.all(&["BEGIN", "UPDATE orders SET note = note WHERE id = 1"]);
        for (way, name, end) in [
            (Way::Simple, "a", "COMMIT"),
            (Way::Extended, "b", "COMMIT"),
            (Way::Simple, "c", "COMMIT AND CHAIN"),
            (Way::Extended, "d", "COMMIT AND CHAIN"),
        ] {
            let mut client = stage.through();
            client.each(way, &["BEGIN", &format!("CREATE INDEX {name} ON orders (customer, note)")]);
            let answer = client.ask(way, end);
            let status = if end == "COMMIT" { 'I' } else { 'T' };
            assert_eq!((answer.tag().as_str(), answer.status()), ("COMMIT", status), "{config}: {answer:?}");
        }
        assert!(!stage.indexes().contains('+'), "somebody holds them up");
        holder.all(&["COMMIT"]);
        stage.until("SELECT count(*) = 4 FROM lockkeeper.task WHERE state = 'done'");
        assert_eq!(stage.indexes(), "a+\nb+\nc+\nd+");
    }
}

/// What fails there is not lost: it says why, and is done when that is gone.
#[test]
fn what_fails_in_the_background_waits_for_somebody() {
    let stage = Stage::with("[guard]\ndeferred = \"background\"");
    for way in Way::BOTH {
        let mut client = stage.through();
        client.each(way, &["BEGIN", "CREATE UNIQUE INDEX ix ON orders (customer)"]);
        assert_eq!(client.ask(way, "COMMIT").tag(), "COMMIT");
        stage.until("SELECT count(*) = 1 FROM lockkeeper.task WHERE state = 'failed'");
        let failure = stage.now("SELECT failure FROM lockkeeper.task WHERE state = 'failed'");
        assert!(failure.contains("could not create unique index") && failure.contains("23505"), "{failure}");
        assert_eq!(stage.indexes(), "", "nothing invalid is left");
        stage.straight().all(&["UPDATE orders SET customer = id"]);
        let mut resume = Command::new(env!("CARGO_BIN_EXE_lockkeeper"));
        without_variables(&mut resume);
        resume.args(["resume", "--url", &stage.cluster.url("postgres")]);
        run(resume).ok();
        assert_eq!(stage.indexes(), "ix+");
        stage.straight().all(&[
            "DROP INDEX ix",
            "UPDATE orders SET customer = id % 10",
            "DELETE FROM lockkeeper.task",
        ]);
    }
}

/// What SQL itself has prepared may read or write what is not there yet.
#[test]
fn statements_prepared_in_sql() {
    let stage = Stage::new();
    for way in Way::BOTH {
        let mut client = stage.through();
        client.each(
            way,
            &["PREPARE one AS SELECT count(*) FROM orders", "BEGIN", "CREATE INDEX ix ON orders (customer)"],
        );
        assert_eq!(client.ask(way, "EXECUTE one").tag(), "SELECT 1", "an index is nothing to it");
        client.each(way, &["ALTER TABLE orders ADD COLUMN u uuid DEFAULT gen_random_uuid()"]);
        assert_eq!(client.ask(way, "EXECUTE one").failure(), "0A000");
        client.each(way, &["ROLLBACK"]);
        assert_eq!(client.ask(way, "EXECUTE one").tag(), "SELECT 1");
    }
}
