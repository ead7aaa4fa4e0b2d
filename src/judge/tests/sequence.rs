//! What the statements before it make of a statement: in its message, its transaction, its file.

use std::fmt::Write as _;

use super::catalogue::{facts, offline};
use crate::effects::Past;
use crate::hazard::HazardSetting;
use crate::judge::{Decision, Moment, Policy, Standing, decide, gravity, review};
use crate::sql::{Encoding, parse};

/// What is told of the last statement of a file whose messages these are, when nobody can be asked.
fn last_of_file(messages: &[&str]) -> Vec<&'static str> {
    let (known, mut past, mut last) = (offline(150_018), Past::nothing(), Vec::new());
    for text in messages {
        let script = parse(text.as_bytes(), Encoding::Utf8);
        past = review(&script, &known, past, &Policy::default(), &mut |_, findings| {
            let told = findings.iter().filter(|finding| gravity(finding) > HazardSetting::Pass);
            last = told.map(|finding| finding.hazard).collect();
        });
    }
    last
}

#[test]
fn only_what_was_made_for_sure_is_new() {
    const INDEX: &str = "CREATE INDEX ON t (a)";
    let built = vec!["create-index-blocking"];
    for (messages, expected) in [
        (vec!["BEGIN", "CREATE TABLE t (a int)", INDEX], vec![]),
        (vec!["CREATE TABLE t (a int); CREATE INDEX ON t (a)"], vec![]),
        (vec!["BEGIN", "CREATE TABLE IF NOT EXISTS t (a int)", INDEX], built.clone()),
        (vec!["BEGIN", "CREATE TABLE IF NOT EXISTS t AS SELECT 1", INDEX], built.clone()),
        (vec!["BEGIN", "CREATE TABLE s.t (a int)", INDEX], built.clone()),
        (vec!["BEGIN", "CREATE TABLE t (a int)", "CREATE INDEX ON s.t (a)"], built.clone()),
        (vec!["BEGIN", "CREATE TABLE s.t (a int)", "CREATE INDEX ON s.t (a)"], vec![]),
        (vec!["BEGIN", "SAVEPOINT a", "CREATE TABLE t (a int)", "ROLLBACK TO a", INDEX], built.clone()),
        (vec!["BEGIN", "CREATE TABLE t (a int)", "ROLLBACK", INDEX], built.clone()),
        (vec!["BEGIN", "CREATE TABLE t (a int)", "ROLLBACK AND CHAIN", INDEX], built.clone()),
        (vec!["BEGIN", "CREATE TABLE t (a int)", "SAVEPOINT a", "RELEASE a", INDEX], vec![]),
        (vec!["DO $$ BEGIN CREATE TABLE t (a int); CREATE INDEX ON t (a); END $$"], vec![]),
        (vec!["DO $$ BEGIN CREATE TABLE t (a int); END $$", "BEGIN", INDEX], vec![]),
        (
            vec!["DO $$ BEGIN IF x THEN CREATE TABLE t (a int); ELSE CREATE INDEX ON t (a); END IF; END $$"],
            built.clone(),
        ),
        (vec!["DO $$ BEGIN IF x THEN CREATE TABLE t (a int); END IF; END $$", INDEX], built.clone()),
        (
            vec![
                "DO $$ BEGIN CREATE TABLE t (a int); EXCEPTION WHEN duplicate_table THEN NULL; END $$",
                INDEX,
            ],
            built.clone(),
        ),
        (vec!["DO $$ BEGIN IF x THEN RETURN; END IF; CREATE TABLE t (a int); END $$", INDEX], built),
        (
            vec![
                "DO $$ BEGIN FOR r IN SELECT 1 LOOP IF x THEN NULL; END IF; END LOOP; CREATE TABLE t (a int); END $$",
                INDEX,
            ],
            vec![],
        ),
    ] {
        assert_eq!(last_of_file(&messages), expected, "{messages:?}");
    }
}

/// What the file makes is known beside what the catalogue tells.
#[test]
fn indexes_of_the_file_are_known() {
    let text =
        "CREATE UNIQUE INDEX CONCURRENTLY k ON orders (no); ALTER TABLE orders ADD PRIMARY KEY USING INDEX k";
    let (known, mut past, mut last) = (facts(150_018), Past::nothing(), Vec::new());
    for text in text.split("; ") {
        let script = parse(text.as_bytes(), Encoding::Utf8);
        past = review(&script, &known, past, &Policy::default(), &mut |_, findings| {
            last = findings.iter().map(|finding| finding.hazard).collect();
        });
    }
    assert!(last.contains(&"nullable-primary-key"), "{last:?}");
}

/// The way by hand, written down as a migration, is clean.
#[test]
fn proofs_of_the_file_are_known() {
    const ADD: &str = "ALTER TABLE t ADD CONSTRAINT c CHECK (b > 0 AND a IS NOT NULL) NOT VALID";
    const VALIDATE: &str = "ALTER TABLE t VALIDATE CONSTRAINT c";
    const SET: &str = "ALTER TABLE t ALTER COLUMN a SET NOT NULL";
    let scans = vec!["set-not-null-scan"];
    for (messages, expected) in [
        (vec![ADD, VALIDATE, SET], vec![]),
        (vec![ADD, VALIDATE, SET, "ALTER TABLE t DROP CONSTRAINT c"], vec![]),
        (vec![ADD, SET], scans.clone()),
        (vec![ADD, VALIDATE, "ALTER TABLE t ALTER COLUMN b SET NOT NULL"], scans.clone()),
        (vec![ADD, VALIDATE, "ALTER TABLE t DROP CONSTRAINT c", SET], scans.clone()),
        (vec![ADD, VALIDATE, "ALTER TABLE u ALTER COLUMN a SET NOT NULL"], scans.clone()),
        (vec!["ALTER TABLE t ADD CONSTRAINT c CHECK (a IS NOT NULL OR b > 0)", SET], scans),
        (vec![SET, SET], vec![]),
        (vec!["ALTER TABLE t DROP CONSTRAINT c"], vec!["drop-constraint"]),
    ] {
        assert_eq!(last_of_file(&messages), expected, "{messages:?}");
    }
}

/// Offline a type may be anything that the file does not say.
#[test]
fn types_that_nobody_knows_may_be_domains() {
    let told = vec!["add-constrained-domain"];
    for (messages, expected) in [
        (vec!["ALTER TABLE t ADD c email_address"], told.clone()),
        (vec!["ALTER TABLE t ADD c shop.email_address"], told.clone()),
        (vec!["CREATE TYPE mood AS ENUM ('glad')", "ALTER TABLE t ADD c mood"], vec![]),
        (vec!["CREATE TABLE t (a int)", "ALTER TABLE t ADD c email_address"], vec![]),
        (vec!["ALTER TABLE t ADD c text"], vec![]),
        (vec!["ALTER TABLE t ADD c double precision, ADD d uuid, ADD e pg_catalog.int4"], vec![]),
        (vec!["ALTER TABLE t ADD c int, ADD d email_address"], told),
    ] {
        assert_eq!(last_of_file(&messages), expected, "{messages:?}");
    }
}

#[test]
fn temporary_relations_are_nobodys_business() {
    let refused = vec!["drop-table"];
    for (messages, expected) in [
        (vec!["CREATE TEMP TABLE t (a int)", "CREATE INDEX ON t (a)"], vec![]),
        (vec!["CREATE TEMP TABLE t (a int)", "DROP TABLE t"], vec![]),
        (vec!["CREATE TEMP TABLE t AS SELECT 1", "UPDATE t SET a = 1"], vec![]),
        (vec!["SELECT 1 INTO TEMP t", "DROP TABLE t"], vec![]),
        (vec!["DROP TABLE pg_temp.t"], vec![]),
        (vec!["BEGIN", "CREATE TEMP TABLE t (a int)", "COMMIT", "DROP TABLE t"], vec![]),
        (vec!["BEGIN", "CREATE TEMP TABLE t (a int)", "ROLLBACK", "DROP TABLE t"], refused.clone()),
        (vec!["BEGIN", "CREATE TEMP TABLE t (a int) ON COMMIT DROP", "DROP TABLE t"], vec![]),
        (vec!["CREATE TEMP TABLE t (a int)", "DROP TABLE public.t"], refused.clone()),
        (vec!["CREATE TEMP TABLE IF NOT EXISTS t (a int)", "DROP TABLE t"], vec![]),
    ] {
        assert_eq!(last_of_file(&messages), expected, "{messages:?}");
    }
}

#[test]
fn transactions_end_where_postgres_ends_them() {
    const VALIDATE: &str = "ALTER TABLE t VALIDATE CONSTRAINT c";
    let under_lock = vec!["validate-under-lock"];
    for (messages, expected) in [
        (vec!["BEGIN", "LOCK TABLE t", VALIDATE], under_lock.clone()),
        (vec!["BEGIN", "LOCK TABLE t", "COMMIT AND CHAIN", VALIDATE], vec![]),
        (vec!["BEGIN", "LOCK TABLE t", "ROLLBACK AND CHAIN", VALIDATE], vec![]),
        (vec!["BEGIN", "COMMIT AND CHAIN", "LOCK TABLE t", VALIDATE], under_lock.clone()),
        // One message: implicit until BEGIN, and again behind COMMIT.
        (vec!["ALTER TABLE t ADD a int; ALTER TABLE t VALIDATE CONSTRAINT c"], under_lock.clone()),
        (vec!["BEGIN; LOCK TABLE t; COMMIT; ALTER TABLE t VALIDATE CONSTRAINT c"], vec![]),
        (vec!["SELECT 1; BEGIN; LOCK TABLE t", VALIDATE], under_lock.clone()),
        (vec!["ALTER TABLE t ADD a int; SELECT 1", VALIDATE], vec![]),
        (vec!["BEGIN; COMMIT; ALTER TABLE t ADD a int; ALTER TABLE t VALIDATE CONSTRAINT c"], under_lock),
    ] {
        assert_eq!(last_of_file(&messages), expected, "{messages:?}");
    }
}

#[test]
fn what_came_before_is_kept_where_a_message_leaves_its_transaction_open() {
    for (text, (open, strong)) in [
        ("BEGIN; ALTER TABLE orders ADD a int", (true, true)),
        ("BEGIN; ALTER TABLE orders ADD a int; COMMIT", (false, false)),
        ("BEGIN; ALTER TABLE orders ADD a int; COMMIT AND CHAIN", (true, false)),
        ("ALTER TABLE orders ADD a int; SELECT 1", (false, false)),
        ("ALTER TABLE orders ADD a int", (false, false)),
    ] {
        let script = parse(text.as_bytes(), Encoding::Utf8);
        let moment = Moment::new(Standing::Outside);
        let past = decide(&script, &facts(150_018), &moment, &Policy::default()).past;
        assert_eq!((past.in_transaction, past.may_hold_strong()), (open, strong), "{text}");
    }
}

/// What came before grows with every statement: keeping it for each of them once took 16 GB for a message of 100 kB.
#[test]
fn a_message_of_many_statements_takes_no_more_than_they_do() {
    let mut text = String::new();
    for number in 0..10_000 {
        writeln!(text, "DELETE FROM t{number}; ALTER TABLE u{number} ADD CHECK (a > 0);").unwrap();
    }
    text.push_str("CREATE INDEX ON t1 (a)");
    let script = parse(text.as_bytes(), Encoding::Utf8);
    let judgement = decide(&script, &offline(150_018), &Moment::new(Standing::Outside), &Policy::default());
    let Decision::Guard(guard) = judgement.decision else { panic!("it is not guarded") };
    assert_eq!(guard.targets.len(), 10_001);
}

#[test]
fn another_index_of_that_name_can_be_allowed() {
    const TEXT: &str = "CREATE INDEX IF NOT EXISTS orders_no_idx ON orders (customer_id)";
    for (comment, expected) in [
        ("", "orders_no_idx exists, and is not what the statement asks for"),
        ("/* lockkeeper: allow different-index because it is known */ ", "different-index is allowed"),
    ] {
        let script = parse(format!("{comment}{TEXT}").as_bytes(), Encoding::Utf8);
        let judgement = decide(&script, &facts(150_018), &Moment::new(Standing::Outside), &Policy::default());
        let said: Vec<_> = judgement.notices.iter().map(|notice| notice.message.as_str()).collect();
        assert!(matches!(judgement.decision, Decision::Run(_)));
        assert!(said.iter().any(|it| it.contains(expected)) && said.len() == 2, "{said:?}");
    }
}
