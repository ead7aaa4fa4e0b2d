//! Whatever is sent, the analysis comes to an end, stays within the text, and says the same twice.

use proptest::prelude::*;

use super::catalogue::{facts, offline};
use crate::effects::{Past, need};
use crate::judge::{Moment, Policy, Standing, decide, review};
use crate::sql::{Encoding, parse};

/// Words from which statements are put together, right ones and wrong ones.
const WORDS: &[&str] = &[
    "ALTER TABLE orders",
    "ALTER TABLE IF EXISTS ONLY public.orders",
    "ALTER TABLE events",
    "ALTER TABLE nowhere",
    "ADD COLUMN c int",
    "ADD COLUMN IF NOT EXISTS c timestamptz DEFAULT clock_timestamp()",
    "ADD COLUMN c serial PRIMARY KEY",
    "ADD CONSTRAINT k FOREIGN KEY (customer_id) REFERENCES customers",
    "ADD CHECK (price > 0)",
    "ADD UNIQUE USING INDEX orders_no_idx",
    "ADD PRIMARY KEY (no, status)",
    "VALIDATE CONSTRAINT orders_note_check",
    "NOT VALID",
    "DROP COLUMN note",
    "DROP CONSTRAINT orders_pkey CASCADE",
    "ALTER COLUMN no SET NOT NULL",
    "ALTER COLUMN status TYPE varchar(30) USING (status || 'x')",
    "ALTER COLUMN created TYPE timestamptz",
    "SET TABLESPACE fast",
    "ATTACH PARTITION orders DEFAULT",
    "DETACH PARTITION events_2025 CONCURRENTLY",
    "RENAME TO other",
    "CREATE UNIQUE INDEX IF NOT EXISTS orders_no_idx ON orders (no)",
    "CREATE INDEX CONCURRENTLY ON ONLY events (no) WHERE no > 1",
    "DROP INDEX orders_no_idx, orders_pkey",
    "REINDEX (CONCURRENTLY) TABLE orders",
    "DROP TABLE orders, customers CASCADE",
    "TRUNCATE orders",
    "CREATE TABLE fresh (LIKE orders)",
    "CREATE TABLE p PARTITION OF events FOR VALUES IN (1)",
    "REFRESH MATERIALIZED VIEW totals",
    "ALTER DOMAIN positive ADD CHECK (value > 1)",
    "ALTER TYPE mood ADD VALUE 'x'",
    "UPDATE orders SET no = 1, no = 2",
    "DELETE FROM orders WHERE id = 1",
    "DO $$ BEGIN",
    "END $$",
    "EXECUTE 'x'",
    "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$",
    "$$",
    "BEGIN",
    "COMMIT",
    "SAVEPOINT a",
    "LOCK TABLE orders",
    "VACUUM FULL orders",
    "SET lockkeeper.mode = 'observe'",
    "/* lockkeeper: allow drop-column because */",
    "-- lockkeeper: nonsense\n",
    ",",
    ", ",
    ";",
    ";",
    "; ",
    "(",
    ")",
    "é",
    "'",
];

fn text() -> impl Strategy<Value = String> {
    let word = prop::sample::select(WORDS.to_vec());
    let gap = prop::sample::select(vec![" ", "\n", "", " /* ; */ ", " -- x\n"]);
    prop::collection::vec((word, gap), 0..10)
        .prop_map(|words| words.into_iter().flat_map(|(word, gap)| [word, gap]).collect())
}

fn standing() -> impl Strategy<Value = Standing> {
    prop::sample::select(vec![
        Standing::Outside,
        Standing::Implicit,
        Standing::Explicit { holds_strong: false },
        Standing::Explicit { holds_strong: true },
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn every_text_is_judged(text in text(), standing in standing(), version in 130_000_u32..190_000, live: bool) {
        let known = if live { facts(version) } else { offline(version) };
        let script = parse(text.as_bytes(), Encoding::Utf8);
        let _ = need(&script);
        let moment = Moment::new(standing);
        let judgement = decide(&script, &known, &moment, &Policy::default());
        prop_assert_eq!(&judgement, &decide(&script, &known, &moment, &Policy::default()));
        let past = judgement.past;
        let mut spans = Vec::new();
        let _ = review(&script, &known, past, &Policy::default(), &mut |scene, findings| {
            spans.push(scene.in_message(&scene.statement.span));
            let own = findings.into_iter().filter_map(|finding| finding.span);
            spans.extend(own.map(|span| scene.in_message(&span)));
        });
        for span in spans {
            prop_assert!(text.get(span.clone()).is_some(), "{span:?}");
        }
    }

    /// What stands before it in a file makes a statement no more dangerous than the unknown does, and never panics.
    #[test]
    fn files_are_folded(texts in prop::collection::vec(text(), 0..6)) {
        let known = offline(180_000);
        let mut past = Past::nothing();
        for text in texts {
            let script = parse(text.as_bytes(), Encoding::Utf8);
            past = review(&script, &known, past, &Policy::default(), &mut |_, _| ());
        }
        let script = parse(b"ALTER TABLE elsewhere DROP COLUMN a", Encoding::Utf8);
        let mut found = Vec::new();
        let _ = review(&script, &known, past, &Policy::default(), &mut |_, findings| found.extend(findings));
        prop_assert!(found.iter().any(|it| it.hazard == "drop-column"));
    }
}
