//! The judge's rules, one table each.

use super::catalogue::facts;
use super::show::show;
use crate::effects::Past;
use crate::effects::facts::Facts;
use crate::judge::{Decision, Mode, Moment, Policy, Standing, Waits, decide, policy_for};
use crate::sql::{Calls, Encoding, parse};

const IN_TRANSACTION: Standing = Standing::Explicit { holds_strong: false };
const HOLDS_STRONG: Standing = Standing::Explicit { holds_strong: true };

fn judged(text: &str, transaction: Standing, mode: Mode) -> String {
    let policy = Policy { mode, ..Policy::default() };
    let script = parse(text.as_bytes(), Encoding::Utf8);
    show(&decide(&script, &facts(150_018), &Moment::new(transaction), &policy))
}

/// The first word of the decision, and how it may be repeated.
fn course(text: &str, transaction: Standing) -> String {
    let script = parse(text.as_bytes(), Encoding::Utf8);
    let judgement = decide(&script, &facts(150_018), &Moment::new(transaction), &Policy::default());
    match judgement.decision {
        Decision::Forward => "forward".into(),
        Decision::Guard(guard) if guard.waits == Waits::AsSent => format!("watch {:?}", guard.retry),
        Decision::Guard(guard) => format!("{:?}", guard.retry),
        Decision::Run(_) => "run".into(),
        Decision::Defer(_) => "defer".into(),
        Decision::Apart => "apart".into(),
        Decision::Hold(_) => "hold".into(),
        Decision::Refuse(notice) => format!("refuse {}", notice.code),
    }
}

#[test]
fn one_statement_outside_a_transaction() {
    for (text, expected) in [
        ("CREATE INDEX ON orders (no)", "run"),
        ("CREATE INDEX CONCURRENTLY ON orders (no)", "run"),
        ("CREATE INDEX ON totals (no)", "run"),
        ("CREATE INDEX ON events (no)", "run"),
        ("CREATE INDEX ON scratch (no)", "forward"),
        ("CREATE INDEX ON nowhere (no)", "forward"),
        ("CREATE INDEX ON pg_class (relname)", "forward"),
        ("CREATE INDEX ON a_view (no)", "forward"),
        ("CREATE INDEX IF NOT EXISTS orders_no ON orders (no)", "run"),
        ("DROP INDEX orders_no_idx", "run"),
        ("DROP INDEX CONCURRENTLY orders_no_idx", "run"),
        ("DROP INDEX CONCURRENTLY nowhere", "forward"),
        ("DROP INDEX orders_no_idx CASCADE", "Transaction"),
        ("DROP INDEX orders_pkey", "Transaction"),
        ("DROP INDEX events_idx", "Transaction"),
        ("REINDEX TABLE orders", "run"),
        ("REINDEX INDEX orders_no_idx", "run"),
        ("REINDEX TABLE events", "run"),
        ("REINDEX TABLE bookings", "refuse 0A000"),
        ("REINDEX TABLE pg_class", "Transaction"),
        ("REINDEX DATABASE shop", "run"),
        ("REINDEX SYSTEM shop", "Whole"),
        ("REINDEX SCHEMA pg_catalog", "Whole"),
        ("REINDEX SCHEMA CONCURRENTLY public", "run"),
        ("ALTER TABLE orders ADD c int", "Transaction"),
        ("ALTER TABLE orders VALIDATE CONSTRAINT c", "forward"),
        ("ALTER TABLE scratch ADD c int", "forward"),
        ("DROP SCHEMA old CASCADE", "refuse 0A000"),
        ("VACUUM FULL orders", "refuse 0A000"),
        ("VACUUM FULL", "refuse 0A000"),
        ("VACUUM orders", "forward"),
        ("LOCK TABLE orders", "forward"),
        ("DO $$ BEGIN ALTER TABLE orders ADD c int; END $$", "Transaction"),
        ("DO $$ BEGIN ALTER TABLE orders ADD c int; COMMIT; END $$", "Never"),
        ("DO $$ BEGIN PERFORM 1; END $$", "forward"),
        ("CALL p()", "watch Never"),
        ("CREATE EXTENSION hstore", "Transaction"),
        ("ALTER TABLE orders FROBNICATE", "Whole"),
        ("frobnicate the orders", "forward"),
        ("SELECT 1", "forward"),
        ("", "forward"),
        ("SET lockkeeper.mode = 'off'", "forward"),
        ("SET lockkeeper.mode = 'of'", "refuse 22023"),
        ("SET lockkeeper.mood = 'off'", "refuse 42704"),
        ("RESET lockkeeper.mode", "forward"),
        ("RESET lockkeeper.mood", "refuse 42704"),
    ] {
        assert_eq!(course(text, Standing::Outside), expected, "{text}");
    }
}

#[test]
fn what_calls_a_function_that_may_lock_is_watched() {
    let allowed = "/* lockkeeper: allow opaque-ddl because it is quick */ SELECT f()";
    for (text, mode, transaction, expected) in [
        ("SELECT f()", Mode::Enforce, Standing::Outside, "watch retry Whole\n"),
        ("INSERT INTO t SELECT f()", Mode::Enforce, Standing::Outside, "watch retry Whole\n"),
        ("CALL f()", Mode::Enforce, Standing::Outside, "watch retry Never\n"),
        ("SELECT 1; SELECT f()", Mode::Enforce, Standing::Outside, "watch retry Never\n"),
        ("SELECT f()", Mode::Enforce, IN_TRANSACTION, "watch retry Never\n"),
        ("SELECT f()", Mode::Enforce, Standing::Implicit, "watch retry Never\n"),
        ("SELECT f()", Mode::Observe, Standing::Outside, "forward\n"),
        ("SELECT f()", Mode::Off, Standing::Outside, "forward\n"),
        (allowed, Mode::Enforce, Standing::Outside, "forward\n"),
    ] {
        let policy = Policy { mode, ..Policy::default() };
        let facts = Facts { calls: Calls::MayLock, ..facts(150_018) };
        let script = parse(text.as_bytes(), Encoding::Utf8);
        let shown = show(&decide(&script, &facts, &Moment::new(transaction), &policy));
        assert_eq!(shown, expected, "{text} {transaction:?} {mode:?}");
    }
}

#[test]
fn several_statements_are_one_transaction() {
    for (text, expected) in [
        ("ALTER TABLE orders ADD c int; ALTER TABLE customers ADD c int", "Whole"),
        ("ALTER TABLE orders ADD c int; INSERT INTO orders VALUES (1)", "Whole"),
        ("BEGIN; ALTER TABLE orders ADD c int; COMMIT", "Never"),
        ("SET lock_timeout = '1s'; ALTER TABLE orders ADD c int", "Never"),
        ("ALTER TABLE orders ADD c int; COPY orders FROM STDIN", "Never"),
        ("RESET ALL; ALTER TABLE orders ADD c int", "Never"),
        ("CALL p(); ALTER TABLE orders ADD c int", "Never"),
        ("CREATE INDEX CONCURRENTLY ON orders (no); SELECT 1", "refuse 25001"),
        ("CREATE INDEX ON orders (no); SELECT 1", "apart"),
        ("CREATE INDEX ON orders (no); BEGIN; SELECT 1", "apart"),
        ("BEGIN; CREATE INDEX ON orders (no); COMMIT", "apart"),
        ("LOCK TABLE orders; SELECT 1", "Whole"),
        ("SELECT 1; SELECT 2", "forward"),
        ("CREATE TABLE new (a int); CREATE INDEX ON new (a)", "forward"),
        // A name that was made may be another relation's: the catalogue knows.
        ("CREATE TEMP TABLE orders (id int); DROP TABLE public.orders, orders", "refuse 0A000"),
        ("CREATE TABLE IF NOT EXISTS orders (id int); DROP TABLE orders", "refuse 0A000"),
        (
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS '/* lockkeeper: mode off */ SELECT 1'; DROP TABLE orders",
            "refuse 0A000",
        ),
    ] {
        assert_eq!(course(text, Standing::Outside), expected, "{text}");
    }
    assert_eq!(course("ALTER TABLE orders ADD c int", Standing::Implicit), "Never");
    assert_eq!(course("CREATE INDEX CONCURRENTLY ON orders (no)", Standing::Implicit), "forward");
}

#[test]
fn in_a_transaction() {
    for (text, standing, expected) in [
        ("ALTER TABLE orders ADD c int", IN_TRANSACTION, "Savepoint"),
        ("ALTER TABLE orders ADD c int", HOLDS_STRONG, "Replay"),
        ("ALTER TABLE fresh ADD c int", HOLDS_STRONG, "forward"),
        ("ALTER TABLE orders ADD c int; SET CONSTRAINTS ALL IMMEDIATE", IN_TRANSACTION, "Savepoint"),
        ("SAVEPOINT a; ALTER TABLE orders ADD c int", IN_TRANSACTION, "Never"),
        ("CREATE INDEX ON orders (no)", IN_TRANSACTION, "defer"),
        ("CREATE INDEX ON fresh (no)", IN_TRANSACTION, "forward"),
        ("CREATE INDEX CONCURRENTLY ON orders (no)", IN_TRANSACTION, "refuse 25001"),
        ("CREATE INDEX ON orders (no)", Standing::Implicit, "refuse 0A000"),
        ("DROP INDEX orders_no_idx", HOLDS_STRONG, "defer"),
        ("VACUUM FULL orders", IN_TRANSACTION, "refuse 25001"),
        ("LOCK TABLE orders", IN_TRANSACTION, "Savepoint"),
        ("LOCK TABLE orders NOWAIT", IN_TRANSACTION, "forward"),
        ("LOCK TABLE orders IN ROW EXCLUSIVE MODE", IN_TRANSACTION, "forward"),
        ("DO $$ BEGIN ALTER TABLE orders ADD c int; END $$", IN_TRANSACTION, "Savepoint"),
        ("DO $$ BEGIN DROP TABLE orders; END $$", IN_TRANSACTION, "refuse 0A000"),
        ("COMMIT", HOLDS_STRONG, "forward"),
    ] {
        assert_eq!(course(text, standing), expected, "{text}");
    }
}

#[test]
fn an_index_that_exists_is_not_made_again_unless_it_is_invalid() {
    let all: Vec<String> = [
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_no_idx ON orders (no)",
        "CREATE INDEX IF NOT EXISTS orders_broken_idx ON orders (no)",
        "CREATE INDEX IF NOT EXISTS orders_broken_idx ON customers (id DESC)",
        "CREATE INDEX IF NOT EXISTS orders_broken_idx ON orders (no) -- lockkeeper: allow create-index-blocking because why",
        "CREATE INDEX orders_broken_idx ON orders (no)",
    ]
    .into_iter()
    .map(|text| judged(text, Standing::Outside, Mode::Enforce))
    .collect();
    insta::assert_snapshot!(all.join(""), @r#"
    tag CREATE INDEX
    NOTICE: relation "orders_no_idx" already exists, skipping
    WARNING: orders_no_idx exists, and is not what the statement asks for
    run DROP INDEX CONCURRENTLY IF EXISTS "orders_broken_idx"
      lock ShareUpdateExclusiveLock outside-transaction probe Gone undo FinishDrop
    run CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_broken_idx ON orders (no)
      lock ShareUpdateExclusiveLock outside-transaction probe NoNewInvalidIndex undo DropNewInvalidIndexes
    tag CREATE INDEX
    NOTICE: index "orders_broken_idx" exists but is invalid: it is dropped and built again
    run CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_broken_idx ON customers (id DESC)
      lock ShareUpdateExclusiveLock outside-transaction probe NoNewInvalidIndex undo DropNewInvalidIndexes
    tag CREATE INDEX
    NOTICE: CREATE INDEX runs as CREATE INDEX CONCURRENTLY (create-index-blocking)
    WARNING: orders_broken_idx exists, and is not what the statement asks for
    forward
    NOTICE: CREATE INDEX runs as sent: create-index-blocking is allowed
    run CREATE INDEX CONCURRENTLY orders_broken_idx ON orders (no)
      lock ShareUpdateExclusiveLock outside-transaction probe NoNewInvalidIndex undo DropNewInvalidIndexes
    tag CREATE INDEX
    NOTICE: CREATE INDEX runs as CREATE INDEX CONCURRENTLY (create-index-blocking)
    "#);
}

#[test]
fn observing_says_and_changes_nothing() {
    let all: Vec<String> = [
        ("CREATE INDEX ON orders (no)", Standing::Outside),
        ("CREATE INDEX ON orders (no)", IN_TRANSACTION),
        ("ALTER TABLE orders ADD c int", Standing::Outside),
        ("CALL p()", Standing::Outside),
        ("CREATE INDEX CONCURRENTLY ON orders (no)", Standing::Outside),
    ]
    .into_iter()
    .map(|(text, standing)| judged(text, standing, Mode::Observe))
    .collect();
    insta::assert_snapshot!(all.join(""), @r#"
    forward
    NOTICE: CREATE INDEX would run as CREATE INDEX CONCURRENTLY
    forward
    NOTICE: CREATE INDEX would wait for its locks under the ladder of patience
    forward
    NOTICE: ALTER TABLE would wait for its locks under the ladder of patience
    forward
    forward
    "#);
    assert_eq!(judged("CREATE INDEX ON orders (no)", Standing::Outside, Mode::Off), "forward\n");
}

#[test]
fn directives_are_obeyed_and_repeated() {
    let all: Vec<String> = [
        "CREATE INDEX ON orders (no) -- lockkeeper: allow create-index-blocking because it is empty.",
        "-- lockkeeper: allow create-index-blocking\nCREATE INDEX ON orders (no)",
        "ALTER TABLE orders ADD c int -- lockkeeper: allow lock-queue because nobody is awake",
        "ALTER TABLE orders ADD c int -- lockkeeper: mode off",
        "ALTER TABLE orders ADD c int /* lockkeeper: mode observed */",
    ]
    .into_iter()
    .map(|text| judged(text, Standing::Outside, Mode::Enforce))
    .collect();
    insta::assert_snapshot!(all.join(""), @r#"
    forward
    NOTICE: CREATE INDEX runs as sent: create-index-blocking is allowed
    run -- lockkeeper: allow create-index-blocking
    CREATE INDEX CONCURRENTLY ON orders (no)
      lock ShareUpdateExclusiveLock outside-transaction probe NoNewInvalidIndex undo DropNewInvalidIndexes
    tag CREATE INDEX
    WARNING: directive ignored: invalid value for parameter "lockkeeper.allow": "create-index-blocking"
    NOTICE: CREATE INDEX runs as CREATE INDEX CONCURRENTLY (create-index-blocking)
    forward
    NOTICE: ALTER TABLE runs as sent: lock-queue is allowed
    forward
    guard retry Transaction locks AccessExclusiveLock
    WARNING: directive ignored: invalid value for parameter "lockkeeper.mode": "observed"
    "#);
    let script = parse(b"/* lockkeeper: set max_stall 7ms */ DROP TABLE orders", Encoding::Utf8);
    assert_eq!(policy_for(&script, &Policy::default()).max_stall.as_millis(), 7);
}

#[test]
fn notices_tell_what_why_and_what_next() {
    let script = parse(b"CREATE INDEX ON orders (no)", Encoding::Utf8);
    let moment = Moment::new(Standing::Outside);
    let judgement = decide(&script, &facts(150_018), &moment, &Policy::default());
    let notice = &judgement.notices[0];
    let shown = [Some(notice.message.clone()), notice.detail.clone(), notice.hint.clone()];
    insta::assert_snapshot!(shown.map(Option::unwrap_or_default).join("\n"), @r#"
    CREATE INDEX runs as CREATE INDEX CONCURRENTLY (create-index-blocking)
    As sent, a plain build holds a ShareLock on "orders" and stops every write until it is done.
    To run it as sent, say why in a comment: "/* lockkeeper: allow create-index-blocking because <reason> */".
    "#);
}

#[test]
fn strong_locks_are_remembered() {
    for (text, expected) in [
        ("ALTER TABLE orders ADD c int", true),
        ("LOCK TABLE orders NOWAIT", true),
        ("CREATE INDEX ON fresh (no)", false),
        ("DO $$ BEGIN EXECUTE 'x'; END $$", true),
        ("ALTER TABLE orders VALIDATE CONSTRAINT c", false),
        ("SELECT 1", false),
    ] {
        let script = parse(text.as_bytes(), Encoding::Utf8);
        let moment = Moment::new(IN_TRANSACTION);
        let past = decide(&script, &facts(150_018), &moment, &Policy::default()).past;
        assert_eq!(past.may_hold_strong(), expected, "{text}");
    }
}

/// The hazards of the last of several messages of one transaction, those that every such statement has left out.
fn hazards_of_last(messages: &[&str]) -> Vec<&'static str> {
    let (known, mut past, mut hazards) = (facts(150_018), Past::nothing(), Vec::new());
    for text in messages {
        let script = parse(text.as_bytes(), Encoding::Utf8);
        let moment = Moment::after(IN_TRANSACTION, &past);
        let judgement = decide(&script, &known, &moment, &Policy::default());
        (past, hazards) = (judgement.past.of_session(), judgement.hazards);
    }
    hazards
        .retain(|hazard| !["lock-queue", "unindexed-foreign-key", "mismatched-foreign-key"].contains(hazard));
    hazards
}

#[test]
fn the_messages_of_a_transaction_are_seen_together() {
    const KEY: &str = "ALTER TABLE orders ADD CONSTRAINT a FOREIGN KEY (id) REFERENCES customers NOT VALID";
    for (messages, expected) in [
        (vec![KEY], vec![]),
        (
            vec![KEY, "ALTER TABLE orders ADD CONSTRAINT b FOREIGN KEY (id) REFERENCES customers NOT VALID"],
            vec!["several-foreign-keys"],
        ),
        (vec![KEY, "ALTER TABLE orders VALIDATE CONSTRAINT orders_note_check"], vec!["validate-under-lock"]),
        (
            vec!["LOCK TABLE customers", "ALTER TABLE orders VALIDATE CONSTRAINT orders_note_check"],
            vec!["validate-under-lock"],
        ),
        (vec![KEY, "SAVEPOINT a", "ALTER TABLE orders ADD COLUMN c int"], vec![]),
        // A name that the transaction has made may mean another table behind ROLLBACK TO.
        (vec!["CREATE TABLE orders (a int)", "ALTER TABLE orders DROP COLUMN note"], vec!["drop-column"]),
    ] {
        assert_eq!(hazards_of_last(&messages), expected, "{messages:?}");
    }
}
