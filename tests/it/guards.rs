//! Index work outside a transaction: done concurrently, told, verified, and cleaned up when it fails.

use crate::support::each_major;
use crate::support::raw::{Frame, tags};
use crate::support::stage::{Stage, Way};

/// What a person sends, what Postgres is asked for instead, the tag.
const ONLINE: [(&str, &str, &str); 6] = [
    (
        "create  /* by hand */ INDEX ON orders (customer) -- new",
        "create  /* by hand */ INDEX CONCURRENTLY ON orders (customer) -- new",
        "CREATE INDEX",
    ),
    (
        "CREATE UNIQUE INDEX \"Once\" ON orders(id)\n WHERE id > 5",
        "CREATE UNIQUE INDEX CONCURRENTLY \"Once\" ON orders(id)\n WHERE id > 5",
        "CREATE INDEX",
    ),
    ("REINDEX TABLE orders", "REINDEX TABLE CONCURRENTLY orders", "REINDEX"),
    ("REINDEX (VERBOSE) INDEX \"Once\"", "REINDEX (VERBOSE) INDEX CONCURRENTLY \"Once\"", "REINDEX"),
    ("DROP INDEX \"Once\"", "DROP INDEX CONCURRENTLY \"Once\"", "DROP INDEX"),
    (
        "DROP INDEX IF EXISTS orders_customer_idx;",
        "DROP INDEX CONCURRENTLY IF EXISTS orders_customer_idx;",
        "DROP INDEX",
    ),
];

#[test]
fn index_work_is_done_concurrently_and_to_the_letter() {
    for installation in each_major() {
        let stage = Stage::on(installation);
        for way in Way::BOTH {
            let mut client = stage.through();
            for (sent, run, tag) in ONLINE {
                let answer = client.ask(way, sent);
                assert_eq!(answer.tag(), tag, "{way:?} {sent}");
                let said = answer.notices();
                let hazard = format!("{}-blocking", tag.to_ascii_lowercase().replace(' ', "-"));
                let form = format!("NOTICE: {tag} runs as {tag} CONCURRENTLY ({hazard})");
                assert_eq!(said.first(), Some(&form), "{way:?} {sent}: {said:?}");
                assert!(stage.was_run(run), "{way:?} {run}");
                if tag == "REINDEX" {
                    assert_eq!(stage.indexes(), "\"Once\"+\norders_customer_idx+", "{way:?} {sent}");
                }
            }
            assert_eq!(stage.indexes(), "");
        }
    }
}

/// The same frames in the same order as from Postgres, but for the notice.
#[test]
fn the_answer_has_the_shape_of_postgres_own() {
    let stage = Stage::new();
    for (way, straight, through) in [(Way::Simple, "CZ", "NNCZ"), (Way::Extended, "12nCZ", "12nNNCZ")] {
        let sql = |name: &str| format!("CREATE INDEX {name} ON orders (note)");
        let one = stage.straight().ask(way, &sql("one"));
        stage.straight().all(&["DROP INDEX one"]);
        let two = stage.through().ask(way, &sql("two"));
        assert_eq!((tags(&one.0).as_str(), tags(&two.0).as_str()), (straight, through));
        stage.straight().all(&["DROP INDEX two"]);
    }
}

#[test]
fn the_name_is_the_one_that_postgres_picks() {
    let stage = Stage::new();
    let mut client = stage.through();
    for _ in 0..2 {
        client.query("CREATE INDEX ON orders (customer, lower(note))").tag();
    }
    assert_eq!(stage.indexes(), "orders_customer_lower_idx+\norders_customer_lower_idx1+");
}

#[test]
fn a_unique_violation_leaves_nothing_behind() {
    for installation in each_major() {
        let stage = Stage::on(installation);
        for way in Way::BOTH {
            let mut client = stage.through();
            for sql in [
                "CREATE UNIQUE INDEX ON orders (customer)",
                "CREATE UNIQUE INDEX CONCURRENTLY ON orders (customer)",
            ] {
                let answer = client.ask(way, sql);
                assert_eq!(answer.failure(), "23505");
                assert!(answer.detail().starts_with("Key (customer)=("), "{answer:?}");
                assert!(answer.detail().ends_with("the unfinished index was removed."), "{answer:?}");
                assert_eq!(stage.indexes(), "", "{way:?} {sql}");
            }
            assert_eq!(client.table("SELECT 'still here'"), "still here");
        }
    }
}

#[test]
fn a_failed_rebuild_leaves_the_old_index_alone() {
    for installation in each_major() {
        let stage = Stage::on(installation);
        let mut admin = stage.straight();
        let function = |body: &str| {
            format!(
                "CREATE OR REPLACE FUNCTION twice(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN {body} END $$"
            )
        };
        admin.all(&[&function("RETURN $1 * 2;"), "CREATE INDEX doubled ON orders (twice(id))"]);
        admin.all(&[&function("RETURN 1 / ($1 - 50);")]);
        for sql in ["REINDEX INDEX doubled", "REINDEX TABLE orders", "REINDEX INDEX CONCURRENTLY doubled"] {
            assert_eq!(stage.through().query(sql).failure(), "22012", "{sql}");
            assert_eq!(stage.indexes(), "doubled+", "{sql}");
        }
    }
}

#[test]
fn what_exists_already_is_skipped() {
    let stage = Stage::new();
    let mut client = stage.through();
    for expected in [0, 1] {
        let answer = client.query("CREATE INDEX IF NOT EXISTS by_note ON orders (note)");
        assert_eq!(answer.tag(), "CREATE INDEX");
        let skipped =
            answer.notices().iter().filter(|said| said.contains("already exists, skipping")).count();
        assert_eq!(skipped, expected, "{answer:?}");
    }
    assert_eq!(stage.indexes(), "by_note+");
    let again = client.query("CREATE INDEX by_note ON orders (note)");
    assert_eq!(again.failure(), "42P07");
    assert_eq!(stage.indexes(), "by_note+");
}

#[test]
fn what_exists_already_is_answered_without_a_lock() {
    let stage = Stage::new();
    let (mut other, mut client) = (stage.straight(), stage.through());
    other.all(&["CREATE INDEX by_note ON orders (note)", "BEGIN", "LOCK TABLE orders"]);
    for sql in [
        "CREATE INDEX IF NOT EXISTS by_note ON orders (note)",
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS by_note ON public.orders (note)",
    ] {
        for way in Way::BOTH {
            let answer = client.ask(way, sql);
            assert_eq!(answer.tag(), "CREATE INDEX");
            assert_eq!(
                answer.notice("relation \"by_note\" already exists, skipping", b'C').as_deref(),
                Some("42P07")
            );
        }
    }
}

#[test]
fn an_invalid_index_that_exists_is_built_again() {
    for installation in each_major() {
        let stage = Stage::on(installation);
        let mut admin = stage.straight();
        let mut client = stage.through();
        for sql in [
            "CREATE INDEX IF NOT EXISTS \"By Note\" ON orders (note)",
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS \"By Note\" ON public.orders (note)",
        ] {
            admin.all(&["DROP INDEX IF EXISTS \"By Note\""]);
            assert_eq!(
                admin.query("CREATE UNIQUE INDEX CONCURRENTLY \"By Note\" ON orders (note)").failure(),
                "23505"
            );
            assert_eq!(stage.indexes(), "\"By Note\"-");
            let answer = client.query(sql);
            assert_eq!(answer.tag(), "CREATE INDEX");
            assert_eq!(
                answer.notices()[..1],
                ["NOTICE: index \"By Note\" exists but is invalid: it is dropped and built again"]
            );
            assert_eq!(stage.indexes(), "\"By Note\"+");
        }
        // One that cannot be built leaves nothing behind.
        admin.all(&["DROP INDEX \"By Note\""]);
        let unique = "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS \"By Note\" ON orders (note)";
        assert_eq!(admin.query(unique).failure(), "23505");
        assert_eq!(client.query(unique).error().map(Frame::sqlstate).as_deref(), Some("23505"));
        assert_eq!(stage.indexes(), "");
    }
}

/// An index is invalid also while somebody builds it.
#[test]
fn an_index_that_is_being_built_is_left_to_its_builder() {
    let stage = Stage::new();
    let (mut other, mut builder) = (stage.straight(), stage.straight());
    other.all(&["BEGIN", "INSERT INTO orders VALUES (1000)"]);
    builder.send(Way::Simple, "CREATE INDEX CONCURRENTLY by_note ON orders (note)");
    stage.until("SELECT EXISTS (SELECT 1 FROM pg_index WHERE NOT indisvalid)");
    let mut client = stage.through();
    client.send(Way::Simple, "CREATE INDEX CONCURRENTLY IF NOT EXISTS by_note ON orders (note)");
    stage.until(
        "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE mode = 'ShareUpdateExclusiveLock' AND NOT granted)",
    );
    let oid = stage.now("SELECT 'by_note'::regclass::oid");
    other.all(&["COMMIT"]);
    assert_eq!(builder.answer().tag(), "CREATE INDEX");
    assert_eq!(client.answer().tag(), "CREATE INDEX");
    assert_eq!(stage.now("SELECT 'by_note'::regclass::oid"), oid);
    assert_eq!(stage.indexes(), "by_note+");
}

#[test]
fn a_drop_in_a_transaction_is_warned_of() {
    let stage = Stage::new();
    let mut client = stage.through();
    for way in Way::BOTH {
        client.all(&[
            "CREATE INDEX by_note ON orders (note)",
            "BEGIN",
            "SET LOCAL lockkeeper.in_transaction = 'warn'",
        ]);
        let answer = client.ask(way, "DROP INDEX by_note");
        assert_eq!(answer.tag(), "DROP INDEX");
        assert_eq!(
            answer.notices(),
            ["WARNING: DROP INDEX inside a transaction stops reads and writes until the transaction ends"]
        );
        client.all(&["COMMIT"]);
    }
}

#[test]
fn concurrent_work_as_sent_is_not_remarked_upon() {
    let stage = Stage::new();
    for way in Way::BOTH {
        let mut client = stage.through();
        for sql in [
            "CREATE INDEX CONCURRENTLY by_note ON orders (note)",
            "REINDEX INDEX CONCURRENTLY by_note",
            "DROP INDEX CONCURRENTLY by_note",
        ] {
            let answer = client.ask(way, sql);
            answer.tag();
            assert_eq!(answer.notices(), [""; 0], "{sql}");
        }
        client.all(&["BEGIN"]);
        let answer = client.ask(way, "CREATE INDEX CONCURRENTLY ON orders (note)");
        assert_eq!((answer.failure().as_str(), answer.status()), ("25001", 'E'));
        client.all(&["ROLLBACK"]);
    }
}

#[test]
fn what_nobody_else_can_see_passes_in_silence() {
    let stage = Stage::new();
    for way in Way::BOTH {
        let mut client = stage.through();
        for sql in [
            "CREATE TEMP TABLE mine (a int)",
            "CREATE INDEX ON mine (a)",
            "ALTER TABLE mine ADD b int",
            "REINDEX TABLE mine",
            "DROP INDEX mine_a_idx",
            "BEGIN",
            "CREATE TABLE fresh (a int, b int)",
            "CREATE INDEX ON fresh (a)",
            "ALTER TABLE fresh ADD c int",
            "DROP INDEX fresh_a_idx",
            "ROLLBACK",
        ] {
            let answer = client.ask(way, sql);
            answer.tag();
            assert_eq!(answer.notices(), [""; 0], "{way:?} {sql}");
        }
    }
    assert!(!stage.was_run("CONCURRENTLY"));
}

#[test]
fn in_a_transaction_the_plain_form_is_warned_about_where_that_is_wanted() {
    let stage = Stage::new();
    for way in Way::BOTH {
        let mut client = stage.through();
        client.all(&["BEGIN", "SET LOCAL lockkeeper.in_transaction = 'warn'"]);
        let answer = client.ask(way, "CREATE INDEX by_note ON orders (note)");
        assert_eq!((answer.tag().as_str(), answer.status()), ("CREATE INDEX", 'T'));
        let message = "CREATE INDEX inside a transaction stops writes until the transaction ends";
        assert_eq!(answer.notices(), [format!("WARNING: {message}")]);
        let hint = answer.notice(message, b'H').expect("a hint");
        assert!(hint.contains("autocommit_block()"), "{hint}");
        client.all(&["ROLLBACK"]);
        assert_eq!(stage.indexes(), "");
    }
    assert!(!stage.was_run("INDEX CONCURRENTLY"));
}

#[test]
fn partitioned_tables_get_their_index_leaf_by_leaf() {
    let stage = Stage::new();
    stage.straight().all(&[
        "CREATE TABLE events (at int) PARTITION BY RANGE (at)",
        "CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (10)",
    ]);
    for way in Way::BOTH {
        let answer = stage.through().ask(way, "CREATE INDEX ON events (at)");
        assert_eq!(answer.tag(), "CREATE INDEX");
        let said = answer.notices().join("\n");
        assert!(said.contains("CREATE INDEX CONCURRENTLY on each partition"), "{said}");
        assert!(stage.was_run("CREATE INDEX CONCURRENTLY events_1_at_idx"));
        assert_eq!(
            stage.now("SELECT indisvalid FROM pg_index WHERE indexrelid = 'events_at_idx'::regclass"),
            "t"
        );
        let answer = stage.through().ask(way, "DROP INDEX events_at_idx");
        assert_eq!((answer.tag().as_str(), answer.notices().len()), ("DROP INDEX", 0));
    }
}

/// What backs a constraint, several at once, CASCADE: Postgres has no concurrent form of these.
#[test]
fn drops_without_a_concurrent_form_run_as_sent() {
    let stage = Stage::new();
    let mut client = stage.through();
    assert_eq!(client.query("DROP INDEX orders_pkey").failure(), "2BP01");
    client.all(&["CREATE INDEX a ON orders (note)", "CREATE INDEX b ON orders (note)"]);
    assert_eq!(client.query("DROP INDEX a, b").tag(), "DROP INDEX");
    client.all(&["CREATE INDEX a ON orders (note)"]);
    assert_eq!(client.query("DROP INDEX a CASCADE").tag(), "DROP INDEX");
    assert_eq!(client.query("DROP INDEX a").failure(), "42704");
    assert_eq!(client.query("CREATE INDEX ON nowhere (a)").failure(), "42P01");
    assert!(!stage.was_run("DROP INDEX CONCURRENTLY"));
}
