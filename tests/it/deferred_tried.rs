//! What the server would refuse whatever the rows is refused where it is written, in the server's words, and not behind the COMMIT.

use lockkeeper::cluster::Options;

use crate::support::raw::Frame;
use crate::support::stage::{Answer, Person, Stage, Way};
use crate::support::{each_major, eventually};

/// An expression that depends on a setting.
const NOT_IMMUTABLE: &str = "CREATE INDEX ix ON orders (to_char(made, 'YYYY'))";

/// The same on a table of somebody else's.
const BAD: &str = "CREATE INDEX ix ON theirs (to_char(made, 'YYYY'))";

/// Statements that are queued, and that no server takes.
const REFUSED: [&str; 29] = [
    NOT_IMMUTABLE,
    "CREATE INDEX größe ON public.orders (nothing)",
    "/* ä */ create unique index if not exists ix on only \"orders\" (id, customer, nothing)",
    "CREATE INDEX ON a_long_name.\"Some Table\" (id, nothing)",
    "CREATE INDEX ON orders (nothing(customer))",
    "CREATE INDEX ON orders (note nothing)",
    "CREATE INDEX ON orders (note COLLATE \"nothing\")",
    "CREATE INDEX ON orders (note) TABLESPACE nothing",
    "CREATE INDEX ON orders USING nothing (note)",
    "CREATE INDEX ON orders (doc)",
    "CREATE INDEX ON orders USING gin (customer)",
    "CREATE INDEX ON orders (customer) WITH (nothing = 1)",
    "CREATE INDEX ON orders (customer) WITH (fillfactor = 1)",
    "CREATE INDEX ON orders (customer) WHERE made > now()",
    "CREATE INDEX ON orders (customer) WHERE nothing > 1",
    "CREATE INDEX ON orders USING hash (id, customer)",
    "CREATE INDEX ON orders (count(*))",
    "CREATE INDEX ON orders ((1 / 0))",
    "ALTER TABLE orders ADD CONSTRAINT u UNIQUE (doc)",
    "ALTER TABLE orders ADD CONSTRAINT u UNIQUE (note) WITH (nothing = 1)",
    "ALTER TABLE orders ADD COLUMN u nothing DEFAULT gen_random_uuid()",
    "ALTER TABLE orders ADD COLUMN u uuid DEFAULT nothing()",
    "ALTER TABLE orders ADD COLUMN u int DEFAULT gen_random_uuid()",
    "ALTER TABLE orders ADD COLUMN u uuid DEFAULT gen_random_uuid() CHECK (nothing > 1)",
    "ALTER TABLE whole ADD PRIMARY KEY (note)",
    "ALTER TABLE whole ADD CONSTRAINT u UNIQUE (note)",
    "CREATE UNIQUE INDEX ix ON whole (note)",
    "CREATE INDEX ON whole (note, nothing)",
    "CREATE UNIQUE INDEX ix ON by_words (note)",
];

/// The columns and tables that they are about.
const TABLES: [&str; 8] = [
    "ALTER TABLE orders ADD doc json, ADD made timestamptz",
    "CREATE SCHEMA a_long_name",
    "CREATE TABLE a_long_name.\"Some Table\" (id int)",
    "CREATE TABLE whole (id int, note text) PARTITION BY RANGE (id)",
    "CREATE TABLE part PARTITION OF whole DEFAULT",
    "CREATE TABLE by_words (id int, note text) PARTITION BY LIST (lower(note))",
    "CREATE TABLE by_word PARTITION OF by_words DEFAULT",
    "CREATE FUNCTION full_name(orders) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1.note'",
];

/// What of an error concerns whoever has sent the statement.
fn words(answer: &Answer) -> Vec<Option<String>> {
    let error = answer.error().unwrap_or_else(|| panic!("no error: {answer:?}"));
    b"SVCMDHPpqWcdn".iter().map(|field| error.field(*field)).collect()
}

#[test]
fn an_error_comes_where_it_belongs_and_as_the_server_words_it() {
    let majors = each_major();
    for installation in [majors.first(), majors.last()].into_iter().flatten() {
        let stage = Stage::on(installation.clone());
        let (mut straight, mut client) = (stage.straight(), stage.through());
        straight.all(&TABLES);
        for sql in REFUSED {
            straight.all(&["BEGIN"]);
            let expected = words(&straight.query(sql));
            straight.all(&["ROLLBACK"]);
            for way in Way::BOTH {
                client.each(way, &["BEGIN", "INSERT INTO orders VALUES (1000)"]);
                let refused = client.ask(way, sql);
                assert_eq!(words(&refused), expected, "{sql}");
                assert_eq!(refused.status(), 'E', "{sql}");
                assert_eq!(client.ask(way, "SELECT 1").failure(), "25P02", "{sql}");
                assert_eq!(client.ask(way, "COMMIT").tag(), "ROLLBACK", "{sql}");
            }
        }
        assert_eq!(stage.now("SELECT count(*) FROM orders"), "100");
        assert_eq!(stage.now("SELECT count(*) FROM lockkeeper.task"), "0", "nothing was queued");
        // It can be gone back, as behind any error.
        for way in Way::BOTH {
            client.each(way, &["BEGIN", "SAVEPOINT lockkeeper", "CREATE INDEX ok ON orders (customer)"]);
            assert_eq!(client.ask(way, NOT_IMMUTABLE).failure(), "42P17");
            client.each(way, &["ROLLBACK TO lockkeeper", "CREATE INDEX ok ON orders (note)", "COMMIT"]);
            assert_eq!(stage.indexes(), "ok+");
            client.each(way, &["DROP INDEX ok"]);
        }
    }
}

#[test]
fn nothing_stays_of_what_was_tried() {
    let stage = Stage::new();
    for way in Way::BOTH {
        let mut client = stage.through();
        client.each(
            way,
            &[
                "BEGIN",
                "SET LOCAL lock_timeout = '7s'",
                "SAVEPOINT a",
                "CREATE INDEX ix ON orders (customer)",
            ],
        );
        assert!(stage.was_run("CREATE INDEX    ON pg_temp.orders (customer)"), "it was tried");
        assert_eq!(client.table("SHOW lock_timeout"), "7s");
        assert_eq!(client.table("SELECT relname FROM pg_class WHERE relnamespace = pg_my_temp_schema()"), "");
        assert_eq!(client.table("SELECT typname FROM pg_type WHERE typnamespace = pg_my_temp_schema()"), "");
        let held = format!(
            "SELECT count(*) FROM pg_locks WHERE pid = {} AND locktype = 'relation' \
             AND (relation = 'orders'::regclass OR mode = 'AccessExclusiveLock')",
            client.pid()
        );
        assert_eq!(stage.now(&held), "0");
        client.each(way, &["ROLLBACK TO a", "CREATE TEMP TABLE orders (customer int)", "COMMIT"]);
        assert_eq!(stage.indexes(), "");
        assert_eq!(client.table("SELECT count(*) FROM orders"), "0", "its own table");
    }
}

/// Where a copy would tell otherwise than the table, nothing is tried.
#[test]
fn what_a_copy_cannot_tell_is_not_asked() {
    let stage = Stage::new();
    stage.straight().all(&TABLES);
    stage.straight().all(&[
        "CREATE TYPE shade AS ENUM ('a')",
        "REVOKE USAGE ON TYPE shade FROM PUBLIC",
        "CREATE ROLE app LOGIN",
        "GRANT CREATE ON SCHEMA public TO app",
        "CREATE TABLE theirs (id int, made timestamptz, s shade)",
        "ALTER TABLE theirs OWNER TO app",
    ]);
    let behind = |client: &mut Person, way: Way, sql: &str| {
        assert_eq!(client.ask(way, sql).tag(), "CREATE INDEX", "{sql}");
        client.each(way, &["ROLLBACK"]);
    };
    for way in Way::BOTH {
        let mut client = stage.through();
        let fitting = [
            // What is called takes the row of the table, not of a copy.
            "CREATE INDEX ix ON orders (full_name(orders))",
            // The column comes with what is queued before it.
            "CREATE INDEX iy ON orders (u)",
        ];
        client.each(way, &["BEGIN", fitting[0], "ALTER TABLE orders ADD u uuid DEFAULT gen_random_uuid()"]);
        client.each(way, &[fitting[1], "ROLLBACK"]);
        // A table of that name is there already.
        client.each(way, &["CREATE TEMP TABLE theirs (id int)", "BEGIN"]);
        behind(&mut client, way, "CREATE INDEX ix ON public.theirs (to_char(made, 'YYYY'))");
        let mut app = Person::called(stage.proxy.addr(), &[("user", "app")]);
        app.each(way, &["BEGIN"]);
        behind(&mut app, way, BAD);
        stage
            .straight()
            .all(&["GRANT USAGE ON TYPE shade TO app", "REVOKE TEMP ON DATABASE postgres FROM PUBLIC"]);
        app.each(way, &["BEGIN"]);
        behind(&mut app, way, BAD);
        stage.straight().all(&["GRANT TEMP ON DATABASE postgres TO PUBLIC"]);
        app.each(way, &["BEGIN"]);
        assert_eq!(app.ask(way, BAD).failure(), "42P17");
        app.each(way, &["ROLLBACK"]);
        // An event trigger would be asked for what nobody has sent.
        stage.straight().all(&[
            "CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION $$no$$ USING ERRCODE = 42501; END'",
            "CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION refuse()",
        ]);
        app.each(way, &["BEGIN"]);
        behind(&mut app, way, BAD);
        stage.straight().all(&[
            "DROP EVENT TRIGGER refuse",
            "DROP FUNCTION refuse()",
            "REVOKE USAGE ON TYPE shade FROM app",
        ]);
    }
}

/// Whoever makes a temporary table cannot prepare the transaction any more, not even when it is gone again.
#[test]
fn a_transaction_that_may_be_prepared_is_left_as_it_is() {
    let stage = Stage::with_options(&Options::new().conf("max_prepared_transactions = 2"));
    let mut client = stage.through();
    client.all(&["ALTER TABLE orders ADD made timestamptz"]);
    client.all(&["BEGIN", "INSERT INTO orders VALUES (1000)", "SAVEPOINT a", NOT_IMMUTABLE, "ROLLBACK TO a"]);
    client.all(&["PREPARE TRANSACTION 'x'", "COMMIT PREPARED 'x'"]);
    assert_eq!(stage.now("SELECT count(*) FROM orders"), "101");
    // What fails behind the COMMIT all the same is told there.
    client.all(&["BEGIN", NOT_IMMUTABLE]);
    let failed = client.query("COMMIT");
    assert_eq!(failed.failure(), "58000");
    assert!(failed.error().map(Frame::message).is_some_and(|it| it.contains("must be marked IMMUTABLE")));
}

/// Whoever changes the table keeps it locked; who only queues work for it does not wait for that.
#[test]
fn a_table_that_others_keep_locked_is_not_waited_for() {
    let stage = Stage::new();
    let (mut holder, mut client) = (stage.straight(), stage.through());
    client.all(&["BEGIN", "CREATE INDEX ix ON orders (customer)"]);
    holder.all(&["BEGIN", "LOCK TABLE orders"]);
    let made = client.query("CREATE INDEX iy ON orders (note)");
    assert_eq!((made.tag().as_str(), made.status()), ("CREATE INDEX", 'T'));
    assert_eq!(client.table("SELECT current_setting('lock_timeout')"), "0");
    holder.all(&["COMMIT"]);
    client.all(&["COMMIT"]);
    assert_eq!(stage.indexes(), "ix+\niy+");
}

/// An index belongs into the schema of its table, where its owner may not make any; the server would lock the table to say so.
#[test]
fn who_may_not_make_an_index_hears_it_at_once() {
    let stage = Stage::new();
    stage.straight().all(&[
        "CREATE ROLE app LOGIN",
        "CREATE SCHEMA shop",
        "CREATE TABLE shop.items (id int)",
        "GRANT USAGE ON SCHEMA shop TO app",
        "ALTER TABLE shop.items OWNER TO app",
    ]);
    let (mut straight, mut client) = (
        Person::called(stage.cluster.addr(), &[("user", "app")]),
        Person::called(stage.proxy.addr(), &[("user", "app")]),
    );
    for sql in ["CREATE INDEX ON shop.items (id)", "ALTER TABLE shop.items ADD UNIQUE (id)"] {
        straight.all(&["BEGIN"]);
        let expected = words(&straight.query(sql));
        straight.all(&["ROLLBACK"]);
        for way in Way::BOTH {
            client.each(way, &["BEGIN"]);
            let refused = client.ask(way, sql);
            assert_eq!((words(&refused), refused.status()), (expected.clone(), 'E'), "{sql}");
            client.each(way, &["ROLLBACK"]);
        }
    }
}

/// The schema of what is tried stays as long as the transaction: with each that comes or goes the server would plan anew what is asked
/// of the catalogue, while others wait.
#[test]
fn what_is_tried_costs_no_plans() {
    let stage = Stage::new();
    stage.straight().all(&["CREATE TABLE customers (id int)"]);
    // The schema of the queue comes once.
    stage.through().all(&["BEGIN", "CREATE INDEX ON orders (note)", "COMMIT"]);
    let planned = || stage.cluster.log().matches("STATEMENT:  WITH named AS ( SELECT n.place, c.*").count();
    for (way, column) in Way::BOTH.into_iter().zip(["a", "b"]) {
        let before = planned();
        let mut client = stage.through();
        let alter = |n: u8| format!("ALTER TABLE orders ADD {column}{n} int");
        let index = |n: u8| format!("CREATE INDEX ON orders ({column}{n})");
        client
            .each(way, &["SET log_planner_stats = on", "BEGIN", &alter(1), &index(1), &alter(2), &index(2)]);
        // Once, and once more behind the first that was tried.
        assert_eq!(planned(), before + 2, "{way:?}");
        client.each(way, &[&alter(3)]);
        assert_eq!(planned(), before + 2, "{way:?}");
        // Sent once more, since somebody reads what it is to change.
        let mut report = stage.straight();
        report.all(&["BEGIN", "SELECT count(*) FROM customers"]);
        client.send(way, &format!("ALTER TABLE customers ADD {column} int"));
        eventually("it waits outside", || stage.now(LOCKED).eq("0").then_some(()));
        report.all(&["COMMIT"]);
        assert!(client.answer().failure_if_any().is_empty(), "{way:?}");
        let back = planned();
        assert!(back <= before + 3, "{way:?}");
        client.each(way, &[&index(3), &alter(4)]);
        assert_eq!(planned(), back, "{way:?}");
        client.each(way, &["COMMIT"]);
        let made = format!("SELECT count(*) FROM pg_class WHERE relname ~ '^orders_{column}[123]_idx$'");
        assert_eq!(stage.now(&made), "3");
    }
}

/// Sessions that have locked the table for their changes.
const LOCKED: &str =
    "SELECT count(*) FROM pg_locks WHERE relation = 'orders'::regclass AND mode = 'AccessExclusiveLock'";
