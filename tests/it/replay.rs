//! A transaction that holds strong locks and has to wait for one more is rolled back and sent once more.

use crate::stall::under_traffic;
use crate::support::each_major;
use crate::support::stage::{Answer, Person, Stage, Way};

const ADDED: &str = "SELECT string_agg(attrelid::regclass || '.' || attname, ' ' ORDER BY attrelid, attnum) FROM pg_attribute \
                     WHERE attrelid IN ('orders'::regclass, 'other'::regclass) AND attname LIKE 'added%'";

/// Somebody reads the table in a transaction until he is told to end it.
fn reader(stage: &Stage, table: &str) -> Person {
    let mut reader = stage.straight();
    reader.all(&["BEGIN", &format!("SELECT count(*) FROM {table}")]);
    reader
}

/// Waits until the server has rolled a transaction back so many times.
fn until_rolled_back(stage: &Stage, client: &Person) {
    let state = format!("SELECT state <> 'idle in transaction' AND query ~ 'pg_sleep' FROM pg_stat_activity WHERE pid = {}", client.pid());
    stage.until(&state);
}

/// What a statement brings that a reader keeps waiting, while the application reads the table that it has locked before.
fn behind_reader(stage: &Stage, client: &mut Person, (way, sql): (Way, &str), meanwhile: impl FnOnce(&Stage)) -> Answer {
    let mut reader = reader(stage, "other");
    client.send(way, sql);
    under_traffic(stage, || {
        until_rolled_back(stage, client);
        meanwhile(stage);
        reader.all(&["COMMIT"]);
        client.answer()
    })
}

#[test]
fn two_tables_are_altered_while_a_reader_holds_the_second() {
    for installation in each_major() {
        let stage = Stage::on(installation);
        stage.straight().all(&["CREATE TABLE other (a int)", "CREATE TABLE alembic_version (version_num text)"]);
        for (way, name) in [(Way::Simple, "added_simply"), (Way::Extended, "added_by_steps")] {
            let mut client = stage.through();
            for sql in [
                "BEGIN".to_owned(),
                "SELECT version_num FROM alembic_version".to_owned(),
                format!("ALTER TABLE orders ADD {name} int"),
                "INSERT INTO alembic_version VALUES ('1')".to_owned(),
            ] {
                assert!(client.ask(way, &sql).error().is_none());
            }
            let statement = format!("ALTER TABLE other ADD {name} int");
            let answer = behind_reader(&stage, &mut client, (way, &statement), |_| ());
            assert_eq!((answer.tag().as_str(), answer.status()), ("ALTER TABLE", 'T'), "{answer:?}");
            assert_eq!(answer.told().first().map(String::as_str), Some("NOTICE: the transaction is rolled back for now, so that nobody waits for its locks"));
            assert_eq!(client.table("SHOW lock_timeout"), "0");
            assert_eq!(client.ask(way, "COMMIT").tag(), "COMMIT");
            assert_eq!(stage.now("DELETE FROM alembic_version RETURNING version_num"), "1");
        }
        assert_eq!(stage.now(ADDED), "orders.added_simply orders.added_by_steps other.added_simply other.added_by_steps");
    }
}
