//! A new type with the same bytes under a CHECK: the CHECK is there at every moment, and proved while others work.

use crate::support::each_major;
use crate::support::stage::Way;
use crate::support::twins::Twins;

const SETUP: [&str; 1] = ["
    CREATE FUNCTION slow(text) RETURNS bool LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.02); RETURN true; END';
    CREATE TABLE r (code varchar(20) PRIMARY KEY);
    INSERT INTO r SELECT n::text FROM generate_series(1, 50) n;
    CREATE TABLE t (a int, code varchar(20), price numeric(10, 2), \"the Note\" text, ref varchar(20) REFERENCES r,
        CONSTRAINT filled CHECK (code <> ''), CONSTRAINT \"Short, too\" CHECK (length(code) < a + 100),
        CHECK (price > 0) NO INHERIT, CONSTRAINT referring CHECK (ref <> 'x'));
    INSERT INTO t SELECT n, n::text, n, n::text, n::text FROM generate_series(1, 50) n;
    ALTER TABLE t ADD CONSTRAINT later CHECK (code <> 'later') NOT VALID;
    CREATE INDEX t_code ON t (code)"];

const CHANGE: &str = "ALTER TABLE t ALTER code TYPE text";

#[test]
fn the_state_is_the_one_that_was_asked_for() {
    for installation in each_major() {
        let mut twins = Twins::on(installation);
        for sql in [
            CHANGE,
            "alter table if exists public.t alter column code set data type varchar(40) /* wider */ using code",
            "ALTER TABLE t ALTER price TYPE numeric(12, 2)",
            "ALTER TABLE t ALTER ref TYPE varchar(30)",
        ] {
            twins.begin(&SETUP);
            twins.alike(&[], sql);
        }
        // What a user said of a CHECK would be lost with it, and an index that is built again takes its time anyway.
        for before in [
            "COMMENT ON CONSTRAINT filled ON t IS 'why'",
            "CREATE INDEX ON t (lower(code))",
            "CREATE TABLE h () INHERITS (t)",
        ] {
            twins.begin(&[SETUP[0], before]);
            twins.alike_once_allowed(&[], CHANGE);
        }
    }
}

const VALIDATING: &str = "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '%VALIDATE%' AND state = 'active' AND pid <> pg_backend_pid()";

#[test]
fn the_check_holds_while_it_is_proved_and_what_is_left_is_said() {
    for installation in each_major() {
        // It takes its time, so that the protocols take turns.
        let way = if installation.major.is_multiple_of(2) { Way::Simple } else { Way::Extended };
        let mut twins = Twins::on(installation);
        twins.begin(&[SETUP[0], "ALTER TABLE t ADD CHECK (slow(code))"]);
        twins.plain.all(&[CHANGE]);
        let mut client = twins.through(&[]);
        client.send(way, CHANGE);
        twins.stage.until(VALIDATING);
        twins.beside.all(&["SET lock_timeout = '2s'", "UPDATE t SET code = 'y' WHERE a = 1"]);
        assert_eq!(twins.beside.query("INSERT INTO t (a, code) VALUES (1, '')").failure(), "23514");
        client.cancel();
        let answer = client.answer();
        assert_eq!(answer.failure(), "57014", "{answer:?}");
        assert!(answer.detail().contains("new rows are checked"), "{}", answer.detail());
        let by_hand = answer.hint();
        let rest = by_hand.trim_start_matches("Finish it by hand: ").trim_end_matches('.');
        assert!(rest.contains("VALIDATE CONSTRAINT filled"), "{by_hand}");
        twins.beside.all(&[rest]);
        twins.compare(CHANGE);
        assert_eq!(client.table("SHOW lock_timeout"), "0");
    }
}

#[test]
fn what_fails_before_leaves_everything() {
    for installation in each_major() {
        let mut twins = Twins::on(installation);
        twins.begin(&[SETUP[0], "CREATE VIEW v AS SELECT code FROM t"]);
        twins.alike_in_failure(&[], CHANGE);
    }
}
