//! The client's own time-outs while its statement is under the ladder: honoured, and found again as they were.

use lockkeeper::cluster::Options;

use crate::support::each_major;
use crate::support::raw::Frame;
use crate::support::stage::{Person, Stage, Way};

const ADD: &str = "ALTER TABLE orders ADD COLUMN added int";

fn reader(stage: &Stage) -> Person {
    let mut person = stage.straight();
    person.all(&["BEGIN", "SELECT count(*) FROM orders"]);
    person
}

fn timeouts(person: &mut Person) -> String {
    person.table("SELECT current_setting('lock_timeout'), current_setting('statement_timeout')")
}

/// Every way that a statement may be run and may end.
#[test]
fn settings_are_found_again_after_every_ending() {
    let stage = Stage::new();
    for way in Way::BOTH {
        let mut client = stage.through();
        client.all(&["SET lock_timeout = '90s'", "SET statement_timeout = '91000ms'"]);
        for (sql, ending) in [
            (ADD, ""),
            (ADD, "42701"),
            ("ALTER TABLE nowhere ADD a int", "42P01"),
            ("ALTER TABLE orders DROP COLUMN added", ""),
            ("VACUUM FULL orders", ""),
            ("VACUUM FULL nowhere", "42P01"),
            ("TRUNCATE orders", ""),
            ("CREATE INDEX by_note ON orders (note)", ""),
            ("CREATE INDEX by_note ON orders (note)", "42P07"),
            ("REINDEX INDEX by_note", ""),
            ("DROP INDEX by_note", ""),
            ("DROP INDEX by_note", "42704"),
            ("DO $$ BEGIN PERFORM 1; END $$", ""),
            ("DO $$ BEGIN RAISE 'no'; END $$", "P0001"),
        ] {
            let answer = client.ask(way, sql);
            let found = answer.error().map(Frame::sqlstate).unwrap_or_default();
            assert_eq!(found, ending, "{way:?} {sql}: {answer:?}");
            assert_eq!(timeouts(&mut client), "90s|91s", "{way:?} {sql}");
        }
    }
}

#[test]
fn settings_of_the_transaction_end_with_it() {
    let stage = Stage::new();
    for way in Way::BOTH {
        let mut client = stage.through();
        client.all(&["SET lock_timeout = '90s'", "BEGIN", "SET LOCAL lock_timeout = '80s'"]);
        client.ask(way, ADD).tag();
        assert_eq!(client.table("SHOW lock_timeout"), "80s");
        client.all(&["SAVEPOINT s", "SET LOCAL lock_timeout = '70s'"]);
        client.ask(way, "ALTER TABLE orders DROP COLUMN added").tag();
        assert_eq!(client.table("SHOW lock_timeout"), "70s");
        client.all(&["ROLLBACK TO s"]);
        assert_eq!(client.table("SHOW lock_timeout"), "80s");
        client.all(&["SAVEPOINT t"]);
        assert_eq!(client.ask(way, "ALTER TABLE orders ADD COLUMN note int").failure(), "42701");
        client.all(&["ROLLBACK TO t"]);
        assert_eq!(client.table("SHOW lock_timeout"), "80s");
        client.all(&["ROLLBACK"]);
        assert_eq!(client.table("SHOW lock_timeout"), "90s");
    }
}

/// `SET` in a transaction lasts beyond its COMMIT, whatever was put back after it.
#[test]
fn a_session_setting_made_in_a_transaction_survives_its_commit() {
    let stage = Stage::new();
    for way in Way::BOTH {
        let mut client = stage.through();
        client.all(&["BEGIN", "SET lock_timeout = '60s'"]);
        client.ask(way, ADD).tag();
        client.ask(way, "ALTER TABLE orders DROP COLUMN added").tag();
        client.all(&["COMMIT"]);
        assert_eq!(client.table("SHOW lock_timeout"), "1min");
        client.all(&["BEGIN"]);
        client.ask(way, ADD).tag();
        client.all(&["ROLLBACK"]);
        assert_eq!(client.table("SHOW lock_timeout"), "1min");
    }
}

/// A migration script says `SET lock_timeout` because it means it: the whole wait, not each of our tries.
#[test]
fn the_clients_own_timeouts_bound_the_whole_wait() {
    let stage = Stage::new();
    let _other = reader(&stage);
    for way in Way::BOTH {
        for (setting, code, message) in [
            ("lock_timeout", "55P03", "canceling statement due to lock timeout"),
            ("statement_timeout", "57014", "canceling statement due to statement timeout"),
        ] {
            for begin in [false, true] {
                let mut client = stage.through();
                client.all(&[&format!("SET {setting} = '400ms'")]);
                if begin {
                    client.all(&["BEGIN"]);
                }
                let answer = client.ask(way, ADD);
                let error = answer.error().expect("an error");
                assert_eq!(
                    (error.sqlstate().as_str(), error.message().as_str()),
                    (code, message),
                    "{answer:?}"
                );
                assert_eq!(answer.status(), if begin { 'E' } else { 'I' });
                if begin {
                    client.all(&["ROLLBACK"]);
                }
                assert_eq!(client.table(&format!("SHOW {setting}")), "400ms");
            }
        }
    }
}

/// Whoever says NOWAIT gets the answer at once, in the server's own words.
#[test]
fn nowait_is_the_clients_own_business() {
    let stage = Stage::new();
    let _other = reader(&stage);
    for way in Way::BOTH {
        let mut client = stage.through();
        client.all(&["BEGIN"]);
        let answer = client.ask(way, "LOCK TABLE orders IN ACCESS EXCLUSIVE MODE NOWAIT");
        assert_eq!((answer.failure().as_str(), answer.status()), ("55P03", 'E'));
        let error = answer.error().expect("an error");
        assert_eq!(error.message(), "could not obtain lock on relation \"orders\"");
        assert_eq!((answer.detail().as_str(), answer.notices().len()), ("", 0));
        client.all(&["ROLLBACK"]);
    }
}

/// What a block of PL/pgSQL asks for with NOWAIT, and does not get, is its own affair too.
#[test]
fn nowait_inside_a_block_is_not_tried_again() {
    let stage = Stage::new();
    let _other = reader(&stage);
    let mut client = stage.through();
    let block = "DO $$ BEGIN RAISE NOTICE 'once'; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE NOWAIT; END $$";
    for way in Way::BOTH {
        let answer = client.ask(way, block);
        assert_eq!(answer.failure(), "55P03");
        assert_eq!(answer.notices(), ["NOTICE: once"]);
    }
}

/// A setting that the session has not set follows the configuration as before, whatever was run meanwhile.
#[test]
fn settings_come_from_where_they_came_before() {
    const SOURCES: &str = "SELECT string_agg(source || ' ' || setting, ', ' ORDER BY name) FROM pg_settings \
         WHERE name IN ('lock_timeout', 'statement_timeout')";
    let stage = Stage::new();
    stage.straight().all(&["ALTER ROLE postgres SET statement_timeout = '77s'"]);
    let mut client = stage.through();
    for way in Way::BOTH {
        for sql in
            ["CREATE INDEX by_note ON orders (note)", "VACUUM FULL orders", ADD, "REINDEX TABLE orders"]
        {
            client.ask(way, sql).tag();
            assert_eq!(client.table(SOURCES), "default 0, user 77000", "{way:?} {sql}");
        }
        client.all(&["DROP INDEX by_note", "ALTER TABLE orders DROP added"]);
        assert_eq!(client.table(SOURCES), "default 0, user 77000");
    }
    client.all(&["SET lock_timeout = 0", "CREATE INDEX by_note ON orders (note)"]);
    assert_eq!(client.table(SOURCES), "session 0, user 77000");
}

/// Nobody hears of the settings that change and change back: they are not among those that are reported.
#[test]
fn no_parameter_is_reported_that_did_not_change() {
    let stage = Stage::new();
    for way in Way::BOTH {
        let mut client = stage.through();
        for sql in [
            "CREATE INDEX by_note ON orders (note)",
            "ALTER TABLE orders ADD CHECK (id > 0)",
            "DROP INDEX by_note",
        ] {
            let answer = client.ask(way, sql);
            answer.tag();
            assert!(answer.0.iter().all(|frame| frame.tag != b'S'), "{way:?} {sql}: {answer:?}");
        }
    }
}

/// A transaction's time-out (17) would end the session in the midst of a plan.
#[test]
fn the_time_out_of_a_transaction_ends_no_plan() {
    for installation in each_major().into_iter().filter(|one| one.major >= 17) {
        let stage = Stage::on(installation);
        let mut client = stage.through();
        // Questions to the catalogue are asked under it, and take their time where the session has asked nothing yet.
        client.all(&["CREATE INDEX by_customer ON orders (customer)", "SET transaction_timeout = '800ms'"]);
        let mut holder = stage.straight();
        holder.all(&["BEGIN", "UPDATE orders SET note = note WHERE id = 1"]);
        client.send(Way::Simple, "CREATE INDEX by_note ON orders (note)");
        stage.until(&format!(
            "SELECT clock_timestamp() - query_start > '1000ms' FROM pg_stat_activity WHERE pid = {} AND query LIKE '%CONCURRENTLY%'",
            client.pid()
        ));
        holder.all(&["ROLLBACK"]);
        assert_eq!(client.answer().tag(), "CREATE INDEX");
        assert_eq!(client.table("SHOW transaction_timeout"), "800ms");
    }
}

/// Questions to the catalogue are long and have few answers: compiled, each would take seconds. The client's own statements are
/// compiled as ever.
#[test]
fn questions_of_ours_are_not_compiled() {
    for installation in each_major() {
        let options = Options::new().installation(installation).conf("jit = on\njit_above_cost = 5000");
        let stage = Stage::with_options(&options);
        let mut admin = stage.straight();
        if admin.table("SELECT pg_jit_available()") != "t" {
            continue;
        }
        admin.all(&[
            "CREATE ROLE heard SUPERUSER LOGIN",
            "ALTER ROLE heard SET session_preload_libraries = 'auto_explain'",
            "LOAD 'auto_explain'",
            "ALTER ROLE heard SET auto_explain.log_min_duration = 0",
            "ALTER ROLE heard SET auto_explain.log_analyze = on",
        ]);
        let compiled = || stage.cluster.log().matches("JIT:").count();
        let mut client = Person::called(stage.proxy.addr(), &[("user", "heard"), ("database", "postgres")]);
        let statements =
            ["CREATE INDEX ON orders (customer)", "ALTER TABLE orders ADD x float DEFAULT random()"];
        for way in Way::BOTH {
            for sql in statements {
                assert!(client.ask(way, sql).error().is_none(), "{sql}");
            }
            client.all(&["BEGIN", "SET LOCAL jit = on"]);
            client
                .ask(way, "ALTER TABLE orders DROP COLUMN x /* lockkeeper: allow drop-column because test */")
                .tag();
            assert_eq!(client.table("SHOW jit"), "on");
            client.all(&["COMMIT"]);
            assert_eq!(client.table("SHOW jit"), "on");
        }
        assert!(stage.cluster.log().contains("plan:"), "plans are logged");
        assert_eq!(compiled(), 0, "{}", stage.cluster.log());
        client.all(&["SELECT count(*) FROM generate_series(1, 1000000)"]);
        assert_eq!(compiled(), 1, "the client's own");
    }
}
