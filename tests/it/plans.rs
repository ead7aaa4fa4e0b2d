//! Plans of several steps: they reach what the plain statement reaches, stop nobody, and leave nothing when they fail.

use crate::support::each_major;
use crate::support::raw::Frame;
use crate::support::stage::{Person, Stage, Way};

/// Everything that the catalogue says of a table and that a constraint may change; numbers of objects left out.
const STATE: &str = "
    SELECT 'column', attname, attnotnull::text, atttypid::regtype::text, attinhcount::text
    FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attnum > 0
    UNION ALL
    SELECT 'constraint', conname, pg_get_constraintdef(oid), concat_ws(' ', contype, convalidated, condeferrable, condeferred,
        conislocal, coninhcount, connoinherit, conkey, confkey, (SELECT relname FROM pg_class WHERE oid = conindid)),
        (SELECT count(*) FROM pg_depend d WHERE d.objid = k.oid OR d.refobjid = k.oid)::text
    FROM pg_constraint k WHERE conrelid IN ('orders'::regclass, 'customers'::regclass)
    UNION ALL
    SELECT 'index', relname, pg_get_indexdef(indexrelid), concat_ws(' ', indisunique, indisprimary, indisvalid, indisready,
        indislive, indimmediate, indisreplident, indnkeyatts), reloptions::text
    FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE indrelid = 'orders'::regclass
    UNION ALL
    SELECT 'trigger', tgfoid::regproc::text, tgenabled::text, tgtype::text, concat_ws(' ', tgdeferrable, tginitdeferred)
    FROM pg_trigger WHERE tgrelid IN ('orders'::regclass, 'customers'::regclass)
    ORDER BY 1, 2, 3, 4, 5";

/// Each with the version that brought it.
const STATEMENTS: &[(u32, &str)] = &[
    (13, "ALTER TABLE orders ADD CHECK (customer >= 0)"),
    (13, "ALTER TABLE orders ADD CHECK (id > 0 AND customer >= 0)"),
    (13, "ALTER TABLE orders ADD CHECK (true)"),
    (13, "ALTER TABLE orders ADD CONSTRAINT \"a, b\" CHECK (note <> '(') /* ; */ NO INHERIT"),
    (
        13,
        "alter table public.orders add constraint known foreign key (customer) references customers on delete cascade deferrable initially deferred",
    ),
    (13, "ALTER TABLE orders ADD FOREIGN KEY (customer) REFERENCES customers (id) MATCH FULL"),
    (13, "ALTER TABLE orders ADD FOREIGN KEY (id) REFERENCES orders"),
    (13, "ALTER TABLE orders ALTER note SET NOT NULL"),
    (13, "ALTER TABLE IF EXISTS orders ALTER COLUMN customer SET NOT NULL"),
    (13, "ALTER TABLE orders ADD UNIQUE (id, note)"),
    (13, "ALTER TABLE orders ADD CONSTRAINT once UNIQUE (note, id) INCLUDE (customer) DEFERRABLE"),
    (15, "ALTER TABLE orders ADD UNIQUE NULLS NOT DISTINCT (customer, id)"),
];

/// A table to refer to, and one without a key.
const SETUP: [&str; 4] = [
    "CREATE TABLE customers (id int UNIQUE, name text)",
    "INSERT INTO customers SELECT n, n FROM generate_series(0, 200) n",
    "ALTER TABLE customers ALTER id SET NOT NULL",
    "ALTER TABLE customers ADD CONSTRAINT customers_id_pkey PRIMARY KEY (id)",
];

/// What stands there, as a person who began a transaction sees it.
fn state(person: &mut Person) -> String {
    person.table(STATE)
}

#[test]
fn the_state_is_the_one_that_was_asked_for() {
    for installation in each_major() {
        let major = installation.major;
        let stage = Stage::on(installation);
        let mut straight = stage.straight();
        straight.all(&SETUP);
        let before = state(&mut straight);
        for (_, sql) in STATEMENTS.iter().filter(|(since, _)| *since <= major) {
            straight.all(&["BEGIN", sql]);
            let plain = state(&mut straight);
            straight.all(&["ROLLBACK"]);
            assert_ne!(plain, before, "{major}: {sql}");
            for way in Way::BOTH {
                let mut client = stage.through();
                let answer = client.ask(way, sql);
                assert_eq!(answer.tag(), "ALTER TABLE", "{major} {way:?}: {sql}");
                assert!(
                    answer.notices().join("\n").contains("ALTER TABLE runs as"),
                    "{major} {way:?}: {sql}"
                );
                assert_eq!(state(&mut straight), plain, "{major} {way:?}: {sql}");
                assert_eq!(client.table("SHOW lock_timeout"), "0");
                straight.all(&[&back(&plain, &before)]);
                assert_eq!(state(&mut straight), before, "{major}: {sql} is taken back");
            }
        }
    }
}

/// The statement that takes back what is in one state and not in the other.
fn back(after: &str, before: &str) -> String {
    let fresh: Vec<&str> = after.lines().filter(|line| !before.lines().any(|old| old == *line)).collect();
    let mut parts: Vec<String> = Vec::new();
    for line in fresh {
        let words: Vec<&str> = line.split('|').collect();
        match words.as_slice() {
            ["column", name, ..] => parts.push(format!("ALTER COLUMN {name} DROP NOT NULL")),
            ["constraint", name, definition, ..] if !definition.starts_with("NOT NULL") => {
                parts.push(format!("DROP CONSTRAINT \"{name}\""));
            }
            _ => {}
        }
    }
    format!("ALTER TABLE orders {}", parts.join(", "))
}

#[test]
fn a_primary_key_makes_its_columns_not_null() {
    for installation in each_major() {
        let major = installation.major;
        let stage = Stage::on(installation);
        let mut straight = stage.straight();
        straight.all(&[
            "ALTER TABLE orders DROP CONSTRAINT orders_pkey",
            "ALTER TABLE orders ALTER id DROP NOT NULL",
        ]);
        straight.all(&["CREATE TABLE customers (id int)"]);
        for sql in [
            "ALTER TABLE orders ADD PRIMARY KEY (id, note)",
            "ALTER TABLE orders ADD CONSTRAINT key PRIMARY KEY (id)",
        ] {
            straight.all(&["BEGIN", sql]);
            let plain = state(&mut straight);
            straight.all(&["ROLLBACK"]);
            let answer = stage.through().query(sql);
            assert_eq!(answer.tag(), "ALTER TABLE", "{major}: {sql}");
            assert_eq!(state(&mut straight), plain, "{major}: {sql}");
            let name = if sql.contains("key PRIMARY") { "key" } else { "orders_pkey" };
            straight.all(&[
                &format!("ALTER TABLE orders DROP CONSTRAINT {name}"),
                "ALTER TABLE orders ALTER id DROP NOT NULL, ALTER note DROP NOT NULL",
            ]);
        }
    }
}

#[test]
fn what_fails_leaves_nothing_and_says_what_the_server_says() {
    let stage = Stage::new();
    let mut straight = stage.straight();
    straight
        .all(&["CREATE TABLE customers (id int PRIMARY KEY)", "UPDATE orders SET note = NULL WHERE id = 7"]);
    let before = state(&mut straight);
    for (sql, code, message) in [
        (
            "ALTER TABLE orders ADD CONSTRAINT few CHECK (id < 50)",
            "23514",
            "check constraint \"few\" of relation \"orders\" is violated by some row",
        ),
        (
            "ALTER TABLE orders ADD CONSTRAINT k FOREIGN KEY (customer) REFERENCES customers",
            "23503",
            "insert or update on table \"orders\" violates foreign key constraint \"k\"",
        ),
        (
            "ALTER TABLE orders ADD UNIQUE (customer)",
            "23505",
            "could not create unique index \"orders_customer_key\"",
        ),
        (
            "ALTER TABLE orders ALTER note SET NOT NULL",
            "23502",
            "column \"note\" of relation \"orders\" contains null values",
        ),
        (
            "ALTER TABLE orders ADD CONSTRAINT orders_pkey CHECK (true)",
            "42710",
            "constraint \"orders_pkey\" for relation \"orders\" already exists",
        ),
        ("ALTER TABLE orders ADD CHECK (nothing > 0)", "42703", "column \"nothing\" does not exist"),
        (
            "ALTER TABLE orders ADD PRIMARY KEY (note)",
            "42P16",
            "multiple primary keys for table \"orders\" are not allowed",
        ),
    ] {
        for way in Way::BOTH {
            let mut client = stage.through();
            let answer = client.ask(way, sql);
            assert_eq!(answer.failure(), code, "{way:?}: {sql}");
            assert_eq!(answer.error().map(Frame::message).as_deref(), Some(message), "{way:?}: {sql}");
            assert_eq!(state(&mut straight), before, "{way:?}: {sql}");
            assert_eq!(client.table("SELECT 1"), "1");
        }
    }
}

/// A CHECK that takes its time on every row, so that there is time to interfere.
const SLOW: &str = "CREATE FUNCTION slow(int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.1); RETURN true; END'";
const CHECK: &str = "ALTER TABLE orders ADD CONSTRAINT s CHECK (slow(id))";
const VALIDATING: &str = "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '%VALIDATE%' AND state = 'active' AND pid <> pg_backend_pid()";
const GONE: &str = "SELECT count(*) = 0 FROM pg_constraint WHERE conname = 's'";

#[test]
fn a_cancel_or_a_client_that_leaves_takes_the_steps_back() {
    let stage = Stage::new();
    stage.straight().all(&[SLOW]);
    for way in Way::BOTH {
        let mut client = stage.through();
        client.send(way, CHECK);
        stage.until(VALIDATING);
        client.cancel();
        let answer = client.answer();
        assert_eq!(answer.failure(), "57014", "{way:?}");
        assert!(answer.detail().contains("nothing is left behind"), "{}", answer.detail());
        assert_eq!(stage.now(GONE), "t");
        assert_eq!(client.table("SELECT 1"), "1", "the cancel has struck nothing else");
        let mut leaver = stage.through();
        leaver.send(way, CHECK);
        stage.until(VALIDATING);
        drop(leaver);
        stage.until(GONE);
    }
}

/// Reads and writes go on while the table is read; what waits outside keeps nobody waiting.
#[test]
fn nobody_waits_for_the_steps() {
    let stage = Stage::new();
    stage.straight().all(&[SLOW]);
    let mut client = stage.through();
    let mut reader = stage.straight();
    reader.all(&["BEGIN", "SELECT count(*) FROM orders"]);
    client.send(Way::Simple, CHECK);
    let waiting = "SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE '%pg_sleep($1%' AND state = 'active' AND pid <> pg_backend_pid()";
    stage.until(waiting);
    let mut other = stage.straight();
    other.all(&[
        "SET lock_timeout = '2s'",
        "UPDATE orders SET note = 'x' WHERE id = 1",
        "INSERT INTO orders VALUES (1000, 1, 'n')",
    ]);
    reader.all(&["COMMIT"]);
    stage.until(VALIDATING);
    other.all(&["UPDATE orders SET note = 'y' WHERE id = 2", "DELETE FROM orders WHERE id = 1000"]);
    stage.until(VALIDATING);
    assert_eq!(client.answer().tag(), "ALTER TABLE");
}

#[test]
fn in_a_transaction_it_runs_as_sent_with_a_warning_where_that_is_wanted() {
    let stage = Stage::new();
    for way in Way::BOTH {
        let mut client = stage.through();
        client.all(&["BEGIN", "SET LOCAL lockkeeper.in_transaction = 'warn'"]);
        let answer = client.ask(way, "ALTER TABLE orders ADD CONSTRAINT c CHECK (id > 0)");
        assert_eq!(answer.tag(), "ALTER TABLE");
        assert_eq!(answer.notices(), ["WARNING: adding the CHECK reads the whole table under its lock"]);
        assert_eq!(client.table("SELECT convalidated FROM pg_constraint WHERE conname = 'c'"), "t");
        client.ask(way, "ROLLBACK").tag();
    }
}
