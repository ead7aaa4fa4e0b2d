//! A transaction that holds strong locks and has to wait for one more is rolled back, and sent once more.

use crate::stall::under_traffic;
use crate::support::each_major;
use crate::support::raw::{bind, copy_data, copy_done, execute, flush, parse, query, sync};
use crate::support::stage::{Answer, Person, Stage, Way};

const ADDED: &str = "SELECT string_agg(attrelid::regclass || '.' || attname, ' ' ORDER BY attrelid, attnum) FROM pg_attribute \
     WHERE attrelid IN ('orders'::regclass, 'other'::regclass) AND attname LIKE 'added%'";
const SET_ASIDE: &str = "NOTICE: the transaction is rolled back for now, so that nobody waits for its locks";

/// Somebody who reads the second table in a transaction.
fn reader(stage: &Stage) -> Person {
    let mut reader = stage.straight();
    reader.all(&["BEGIN", "SELECT count(*) FROM other"]);
    reader
}

/// Waits until a transaction is not open upstream, but waits outside.
fn until_aside(stage: &Stage, client: &Person) {
    let pid = client.pid();
    stage.until(&format!(
        "SELECT count(*) = 1 FROM pg_stat_activity WHERE pid = {pid} AND wait_event = 'PgSleep' AND NOT EXISTS \
         (SELECT FROM pg_locks l WHERE l.pid = {pid} AND relation >= 16384)"
    ));
}

/// What a statement brings that a reader keeps waiting.
fn behind_reader(
    stage: &Stage,
    client: &mut Person,
    (way, sql): (Way, &str),
    meanwhile: impl FnOnce(),
) -> Answer {
    let mut reader = reader(stage);
    client.send(way, sql);
    until_aside(stage, client);
    meanwhile();
    reader.all(&["COMMIT"]);
    client.answer()
}

fn stage() -> Stage {
    let stage = Stage::new();
    stage.straight().all(&["CREATE TABLE other (a int)", "INSERT INTO other VALUES (1)"]);
    stage
}

#[track_caller]
fn ask_all(client: &mut Person, way: Way, statements: &[&str]) {
    for sql in statements {
        let answer = client.ask(way, sql);
        assert!(answer.error().is_none(), "{sql}: {answer:?}");
    }
}

/// As Alembic has it: all in one transaction. The first table can be used all the time, though the second is not to be had.
#[test]
fn two_tables_are_altered_while_a_reader_holds_the_second() {
    let mut versions: Vec<_> = each_major().into_iter().collect();
    let (oldest, newest) = (versions.remove(0), versions.pop());
    for installation in [Some(oldest), newest].into_iter().flatten() {
        let stage = Stage::on(installation);
        stage.straight().all(&["CREATE TABLE other (a int)", "CREATE TABLE version (num text)"]);
        for (way, name) in [(Way::Simple, "added_simply"), (Way::Extended, "added_by_steps")] {
            let mut client = stage.through();
            let first = format!("ALTER TABLE orders ADD {name} int");
            ask_all(
                &mut client,
                way,
                &["BEGIN", "SELECT num FROM version", &first, "INSERT INTO version VALUES ('1')"],
            );
            let mut reader = reader(&stage);
            client.send(way, &format!("ALTER TABLE other ADD {name} int"));
            let answer = under_traffic(&stage, || {
                until_aside(&stage, &client);
                reader.all(&["COMMIT"]);
                let answer = client.answer();
                assert_eq!(client.ask(way, "COMMIT").tag(), "COMMIT");
                answer
            });
            assert_eq!((answer.tag().as_str(), answer.status()), ("ALTER TABLE", 'T'), "{answer:?}");
            assert_eq!(answer.told().first().map(String::as_str), Some(SET_ASIDE));
            assert_eq!(client.table("SHOW lock_timeout"), "0");
            assert_eq!(stage.now("DELETE FROM version RETURNING num"), "1");
        }
        let all = "orders.added_simply orders.added_by_steps other.added_simply other.added_by_steps";
        assert_eq!(stage.now(ADDED), all);
    }
}

/// A whole file as one message: its statements are looked after one by one, and sent once more so.
#[test]
fn both_are_altered_in_one_message() {
    let stage = stage();
    let text = "ALTER TABLE orders ADD added int; INSERT INTO other VALUES (2) RETURNING a; \
                CREATE INDEX later ON orders (customer); ALTER TABLE other ADD added int; DELETE FROM other WHERE a = 2";
    let whole = format!("BEGIN; {text}; COMMIT");
    let none: &[&str] = &[];
    for (before, sql, behind) in
        [(none, text, none), (&["BEGIN", "SELECT 1"], text, &["COMMIT"]), (none, &whole, none)]
    {
        let mut client = stage.through();
        client.all(before);
        let answer = under_traffic(&stage, || behind_reader(&stage, &mut client, (Way::Simple, sql), || {}));
        assert!(answer.error().is_none(), "{answer:?}");
        let mut tags = answer.tags();
        tags.retain(|tag| !matches!(tag.as_str(), "BEGIN" | "COMMIT"));
        assert_eq!(tags, ["ALTER TABLE", "INSERT 0 1", "CREATE INDEX", "ALTER TABLE", "DELETE 1"]);
        assert!(answer.told().iter().any(|it| it == SET_ASIDE), "{answer:?}");
        client.all(behind);
        assert_eq!(stage.now(ADDED), "orders.added other.added");
        assert_eq!(stage.indexes(), "later+");
        client.all(&["DROP INDEX later", "ALTER TABLE orders DROP added", "ALTER TABLE other DROP added"]);
    }
}

#[test]
fn what_was_answered_otherwise_is_told_and_nothing_stays() {
    let stage = stage();
    stage.straight().all(&["CREATE TABLE numbered (id serial, note text)"]);
    let mut others = stage.straight();
    for (before, meanwhile, told) in [
        (
            "SELECT a FROM other",
            "UPDATE other SET a = a + 1",
            "Then message 3 of the transaction (SELECT) was answered differently.",
        ),
        (
            "CREATE TABLE fresh (a int)",
            "CREATE TABLE fresh (b int)",
            "Then message 3 of the transaction (CREATE) failed: relation \"fresh\" already exists.",
        ),
        (
            "INSERT INTO numbered (note) VALUES ('x') RETURNING id",
            "SELECT 1",
            "Then message 3 of the transaction (INSERT) was answered differently.",
        ),
        // The transaction that is sent once more has begun later.
        ("SELECT now()", "SELECT 1", "Then message 3 of the transaction (SELECT) was answered differently."),
        (
            "SELECT clock_timestamp()",
            "SELECT 1",
            "Then message 3 of the transaction (SELECT) was answered differently.",
        ),
        (
            "SELECT txid_current()",
            "SELECT 1",
            "Then message 3 of the transaction (SELECT) was answered differently.",
        ),
    ] {
        for way in Way::BOTH {
            let mut client = stage.through();
            ask_all(&mut client, way, &["BEGIN", "ALTER TABLE orders ADD added int", before]);
            let answer = behind_reader(&stage, &mut client, (way, "ALTER TABLE other ADD added int"), || {
                others.all(&[meanwhile]);
            });
            assert_eq!((answer.failure().as_str(), answer.status()), ("40001", 'E'), "{before}: {answer:?}");
            assert!(answer.detail().ends_with(told), "{}", answer.detail());
            assert_eq!(client.ask(way, "SELECT 1").failure(), "25P02");
            assert_eq!(client.ask(way, "COMMIT").tag(), "ROLLBACK");
            assert_eq!(stage.now(ADDED), "");
            others.all(&["DROP TABLE IF EXISTS fresh"]);
        }
    }
}

#[test]
fn what_may_not_be_done_twice_is_not() {
    let stage = stage();
    stage.straight().all(&[
        "CREATE SEQUENCE numbers",
        "CREATE FUNCTION anything() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1'",
        "CREATE FUNCTION nothing() RETURNS int LANGUAGE sql STABLE AS 'SELECT 1'",
    ]);
    let mut reader = reader(&stage);
    let long = format!("SELECT length('{}')", "x".repeat(300 << 10));
    for (before, why) in [
        (long.as_str(), "it has become too long"),
        ("LISTEN somebody", "LISTEN in it may not be done twice"),
        ("FETCH 1 FROM held", "FETCH in it may not be done twice"),
        ("SELECT lo_create(0)", "what lo_* does in it is not rolled back"),
        ("SELECT nextval('numbers')", "what nextval does in it is not rolled back"),
        ("SELECT pg_advisory_xact_lock(7)", "what pg_advisory_* does in it is not rolled back"),
        ("NOTIFY somebody", "NOTIFY in it may not be done twice"),
        ("DECLARE c CURSOR FOR SELECT 1", "DECLARE in it may not be done twice"),
        ("PREPARE later AS SELECT 1", "PREPARE in it may not be done twice"),
        ("COPY orders TO STDOUT", "it has copied rows"),
        ("SET TimeZone = 'Asia/Tokyo'", "it has changed a setting that its client was told of"),
        ("SELECT anything()", "it calls anything(), which may do what is not rolled back"),
    ] {
        let mut client = stage.through();
        client.all(&[
            "DECLARE held CURSOR WITH HOLD FOR SELECT 1",
            "BEGIN",
            before,
            "ALTER TABLE orders ADD added int",
        ]);
        let answer = client.query("ALTER TABLE other ADD added int");
        assert_eq!((answer.failure().as_str(), answer.status()), ("55P03", 'E'), "{why}: {answer:?}");
        assert!(
            answer.detail().ends_with(&format!("The transaction cannot be repeated, since {why}.")),
            "{answer:?}"
        );
        client.all(&["ROLLBACK"]);
        assert_eq!(client.table("SHOW lock_timeout"), "0");
    }
    reader.all(&["COMMIT"]);
    assert_eq!(stage.now(ADDED), "");
}

#[test]
fn what_was_not_answered_or_sent_as_usual_is_not_either() {
    let stage = stage();
    let mut reader = reader(&stage);
    // What we have answered in place of the server cannot be compared.
    let mut client = stage.through();
    client.all(&["BEGIN", "SAVEPOINT one", "SET LOCAL lockkeeper.in_transaction = 'refuse'"]);
    assert_eq!(client.query("CREATE INDEX ON orders (note)").failure(), "0A000");
    client.all(&["ROLLBACK TO one", "ALTER TABLE orders ADD added int"]);
    let answer = client.query("ALTER TABLE other ADD added int");
    assert!(answer.detail().ends_with("since an error in it was not the server's."), "{answer:?}");
    client.all(&["ROLLBACK"]);
    let mut client = stage.through();
    client.all(&["SELECT 1; BEGIN", "ALTER TABLE orders ADD added int"]);
    let answer = client.query("ALTER TABLE other ADD added int");
    assert!(answer.detail().ends_with("since its beginning was not a plain BEGIN."), "{answer:?}");
    // Rows that have come in.
    let mut client = stage.through();
    client.all(&["BEGIN"]);
    client.raw.send(&[query("COPY orders (id) FROM STDIN"), copy_data(b"9001\n"), copy_done()].concat());
    assert_eq!(client.answer().tag(), "COPY 1");
    client.all(&["ALTER TABLE orders ADD added int"]);
    let answer = client.query("ALTER TABLE other ADD added int");
    assert!(answer.detail().ends_with("since it has copied rows."), "{answer:?}");
    client.all(&["ROLLBACK"]);
    // A portal that is read piece by piece.
    let mut client = stage.through();
    client.all(&["BEGIN", "ALTER TABLE orders ADD added int"]);
    client
        .raw
        .send(&[parse("", "SELECT id FROM orders"), bind("p", "", &[]), execute("p", 1), sync()].concat());
    client.answer();
    let answer = client.query("ALTER TABLE other ADD added int");
    assert!(answer.detail().ends_with("since it reads rows piece by piece."), "{answer:?}");
    reader.all(&["COMMIT"]);
    assert_eq!(stage.now(ADDED), "");
}

#[test]
fn savepoints_errors_levels_and_settings_come_back_too() {
    let stage = stage();
    stage.straight().all(&[
        "CREATE TABLE numbered (id serial, note text)",
        "CREATE FUNCTION calm() RETURNS int LANGUAGE sql STABLE AS 'SELECT 1'",
    ]);
    let mut client = stage.through();
    client.all(&["BEGIN ISOLATION LEVEL SERIALIZABLE", "SAVEPOINT one"]);
    assert_eq!(client.query("SELECT 1 / 0").failure(), "22012");
    client.all(&[
        "ROLLBACK TO one",
        "SET LOCAL lock_timeout = '7s'",
        "SET LOCAL search_path = public",
        "SELECT calm(), count(*) FROM orders",
        "INSERT INTO numbered (note) VALUES ('x')",
        "ALTER TABLE orders ADD added int; SET CONSTRAINTS ALL IMMEDIATE",
    ]);
    let answer = behind_reader(&stage, &mut client, (Way::Simple, "ALTER TABLE other ADD added int"), || ());
    assert_eq!(answer.tag(), "ALTER TABLE");
    assert_eq!(client.table("SHOW transaction_isolation"), "serializable");
    assert_eq!(client.table("SHOW lock_timeout"), "7s");
    assert_eq!(client.table("SHOW search_path"), "public");
    client.all(&["ROLLBACK TO one", "ALTER TABLE orders ADD added int", "COMMIT"]);
    assert_eq!(
        (stage.now(ADDED), stage.now("SELECT count(*) FROM numbered")),
        ("orders.added".to_owned(), "0".to_owned())
    );
}

/// What its client has not seen may be another the second time: the row has the time of the transaction that is committed.
#[test]
fn a_time_that_nobody_was_told_is_that_of_the_second_time() {
    let stage = stage();
    stage.straight().all(&["CREATE TABLE logged (note text, at timestamptz DEFAULT now())"]);
    for way in Way::BOTH {
        let mut client = stage.through();
        ask_all(
            &mut client,
            way,
            &["BEGIN", "ALTER TABLE orders ADD added int", "INSERT INTO logged VALUES ('x')"],
        );
        let answer = behind_reader(&stage, &mut client, (way, "ALTER TABLE other ADD added int"), || {
            stage.straight().all(&["INSERT INTO logged VALUES ('meanwhile')"]);
        });
        assert_eq!(answer.tag(), "ALTER TABLE", "{answer:?}");
        assert_eq!(client.table("SELECT at = now() FROM logged WHERE note = 'x'"), "t");
        client.all(&["COMMIT"]);
        assert_eq!(stage.now("SELECT string_agg(note, ' ' ORDER BY at) FROM logged"), "meanwhile x");
        client.all(&["ALTER TABLE orders DROP added", "ALTER TABLE other DROP added"]);
        stage.straight().all(&["DELETE FROM logged WHERE true"]);
    }
}

/// Named statements outlive a rollback, and an open batch goes on where it stood.
#[test]
fn prepared_statements_and_open_batches_come_back_too() {
    let stage = stage();
    let mut client = stage.through();
    // As JDBC has it: BEGIN and the first statement in one batch.
    let begin = [parse("", "BEGIN"), bind("", "", &[]), execute("", 0)].concat();
    let first = [parse("s", "SELECT $1::int"), bind("", "s", &[Some("1")]), execute("", 0)].concat();
    client.raw.send(&[begin, first, sync()].concat());
    assert_eq!(client.answer().tags(), ["BEGIN", "SELECT 1"]);
    client.all(&["ALTER TABLE orders ADD added int"]);
    let mut reader = reader(&stage);
    let again = [bind("", "s", &[Some("2")]), execute("", 0)].concat();
    let alter =
        [parse("d", "ALTER TABLE other ADD added int"), bind("d", "d", &[]), execute("d", 0)].concat();
    client.raw.send(&[again.clone(), alter, flush()].concat());
    until_aside(&stage, &client);
    reader.all(&["COMMIT"]);
    client.raw.send(&[again, sync()].concat());
    assert_eq!(client.answer().tags(), ["SELECT 1", "ALTER TABLE", "SELECT 1"]);
    client.all(&["COMMIT"]);
    assert_eq!(stage.now(ADDED), "orders.added other.added");
    // The next transaction runs it, and has not made it.
    client.all(&["BEGIN", "ALTER TABLE orders ADD added_later int"]);
    client.raw.send(&[bind("", "s", &[Some("3")]), execute("", 0), sync()].concat());
    assert_eq!(client.answer().tag(), "SELECT 1");
    let answer =
        behind_reader(&stage, &mut client, (Way::Extended, "ALTER TABLE other ADD added_later int"), || ());
    assert_eq!(answer.tag(), "ALTER TABLE");
    client.all(&["COMMIT"]);
    assert_eq!(stage.now(ADDED), "orders.added orders.added_later other.added other.added_later");
}

#[test]
fn it_ends_with_its_time_a_cancel_or_its_client() {
    let stage = stage();
    for way in Way::BOTH {
        let mut client = stage.through();
        client.all(&["SET lockkeeper.retry_for = '300ms'", "BEGIN", "ALTER TABLE orders ADD added int"]);
        let mut reader = reader(&stage);
        let answer = client.ask(way, "ALTER TABLE other ADD added int");
        assert_eq!((answer.failure().as_str(), answer.status()), ("55P03", 'E'), "{answer:?}");
        assert!(answer.detail().starts_with("Waited for "), "{answer:?}");
        client.all(&["ROLLBACK", "RESET lockkeeper.retry_for", "BEGIN", "ALTER TABLE orders ADD added int"]);
        client.send(way, "ALTER TABLE other ADD added int");
        until_aside(&stage, &client);
        client.cancel();
        let answer = client.answer();
        assert_eq!((answer.failure().as_str(), answer.status()), ("57014", 'E'), "{answer:?}");
        client.all(&["ROLLBACK", "BEGIN", "ALTER TABLE orders ADD added int"]);
        client.send(way, "ALTER TABLE other ADD added int");
        until_aside(&stage, &client);
        let pid = client.pid();
        drop(client);
        reader.all(&["COMMIT"]);
        stage.until(&format!("SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = {pid}"));
        assert_eq!(stage.now(ADDED), "");
    }
}
