//! Partitions are detached concurrently, and end as if detached at once.

use lockkeeper::cluster::Installation;

use crate::support::raw::Frame;
use crate::support::stage::{Person, Way};
use crate::support::twins::{STATE, Twins};
use crate::support::{each_major, eventually};

/// What stands before, and the statement; the first statement of each makes the parent.
const LEAVE: &[(&[&str], &str)] = &[
    (
        &[
            "CREATE TABLE p (a int, b int) PARTITION BY RANGE (a)",
            "CREATE TABLE c PARTITION OF p FOR VALUES FROM (0) TO (10)",
        ],
        SQL,
    ),
    (
        &[
            "CREATE TABLE p (a int NOT NULL, b text DEFAULT 'x', PRIMARY KEY (a, b)) PARTITION BY RANGE (a, b)",
            "CREATE TABLE c PARTITION OF p FOR VALUES FROM (0, 'a') TO (10, MAXVALUE)",
            "CREATE INDEX ON p (b)",
            "ALTER TABLE p ADD CHECK (a > -1)",
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
            "CREATE TRIGGER g AFTER INSERT ON p FOR EACH ROW EXECUTE FUNCTION f()",
        ],
        "alter table public.p detach partition public.c",
    ),
    (
        &[
            "CREATE TABLE p (a text) PARTITION BY LIST (a)",
            "CREATE TABLE c PARTITION OF p FOR VALUES IN ('x', NULL, 'y''z')",
        ],
        SQL,
    ),
    (
        &[
            "CREATE TABLE p (a int, b int) PARTITION BY HASH (a, b)",
            "CREATE TABLE c PARTITION OF p FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
        ],
        SQL,
    ),
    (
        &[
            "CREATE TABLE p (a int) PARTITION BY RANGE ((a % 10))",
            "CREATE TABLE c PARTITION OF p FOR VALUES FROM (0) TO (5)",
        ],
        SQL,
    ),
    (
        &[
            "CREATE TABLE top (a int, b int) PARTITION BY RANGE (b)",
            "CREATE TABLE p PARTITION OF top FOR VALUES FROM (0) TO (100) PARTITION BY RANGE (a)",
            "CREATE TABLE c PARTITION OF p FOR VALUES FROM (0) TO (10)",
        ],
        SQL,
    ),
    // Its own CHECKs are its own, also one that says the same.
    (
        &[
            "CREATE TABLE p (a int) PARTITION BY RANGE (a)",
            "CREATE TABLE c PARTITION OF p FOR VALUES FROM (0) TO (10)",
            "ALTER TABLE c ADD CHECK (a > 0), ADD CONSTRAINT own CHECK ((a IS NOT NULL) AND (a >= 0) AND (a < 10))",
        ],
        SQL,
    ),
    (
        &[
            "CREATE TABLE \"P p\" (\"A\" int) PARTITION BY RANGE (\"A\")",
            "CREATE TABLE \"C c\" PARTITION OF \"P p\" (CHECK (\"A\" > 1)) FOR VALUES FROM (0) TO (10)",
        ],
        "ALTER TABLE \"P p\" DETACH PARTITION \"C c\"",
    ),
    (
        &[
            "CREATE TABLE p (a int) PARTITION BY RANGE (a)",
            "CREATE TABLE c PARTITION OF p FOR VALUES FROM (0) TO (10)",
        ],
        "DROP TABLE c /* lockkeeper: allow drop-table because it is archived */",
    ),
];

const SQL: &str = "ALTER TABLE p DETACH PARTITION c";

fn since_14() -> Vec<Installation> {
    each_major().into_iter().filter(|it| it.major >= 14).collect()
}

#[test]
fn what_leaves_is_as_if_it_had_left_at_once() {
    for installation in since_14() {
        let mut twins = Twins::on(installation);
        for (setup, sql) in LEAVE {
            twins.begin(setup);
            twins.alike(&[], sql);
        }
        assert!(twins.stage.was_run("DETACH PARTITION c CONCURRENTLY"));
    }
}

#[test]
fn where_it_cannot_go_concurrently_it_goes_as_sent() {
    for installation in each_major() {
        let major = installation.major;
        let mut twins = Twins::on(installation);
        for (since, more) in [
            (14, "CREATE TABLE rest PARTITION OF p DEFAULT"),
            (14, "CREATE TABLE r (id int PRIMARY KEY); ALTER TABLE p ADD FOREIGN KEY (a) REFERENCES r"),
            (14, "ALTER TABLE p ADD PRIMARY KEY (a); CREATE TABLE o (a int REFERENCES p)"),
            (13, "SELECT 1"),
        ] {
            if since > major || (since == 13 && major > 13) {
                continue;
            }
            let setup = LEAVE[0].0;
            twins.begin(&[setup[0], setup[1], more]);
            twins.plain.all(&[SQL]);
            let answer = twins.through(&[]).query(SQL);
            assert_eq!(answer.tag(), "ALTER TABLE", "{more}");
            let told = answer.notices().join("\n");
            assert!(told.contains("WARNING: detaching") && !told.contains("runs as"), "{more}: {told}");
            twins.compare(more);
        }
        // In a transaction there is no other way.
        twins.begin(LEAVE[0].0);
        twins.plain.all(&["BEGIN", SQL, "COMMIT"]);
        let mut client = twins.through(&["BEGIN"]);
        assert!(client.query(SQL).notices().join("\n").contains("WARNING: detaching"));
        client.all(&["COMMIT"]);
        twins.compare(SQL);
    }
}

/// What refers to the parent is read under the locks, in either form, whatever the server.
#[test]
fn what_others_refer_to_does_not_leave_unseen() {
    for installation in each_major() {
        let major = installation.major;
        let mut twins = Twins::on(installation);
        for refers in [
            "CREATE TABLE o (a int REFERENCES p); INSERT INTO o SELECT 15 FROM generate_series(1, 3000)",
            "CREATE TABLE o (a int, b int, FOREIGN KEY (a) REFERENCES p) PARTITION BY LIST (b);
             CREATE TABLE o1 PARTITION OF o DEFAULT; INSERT INTO o SELECT 15 FROM generate_series(1, 3000)",
        ] {
            for (sql, since) in [(SQL, 13), ("ALTER TABLE p DETACH PARTITION c CONCURRENTLY", 14)] {
                let more = "ALTER TABLE p ADD PRIMARY KEY (a); CREATE TABLE d PARTITION OF p FOR VALUES FROM (10) TO (20);
                    INSERT INTO p VALUES (5), (15)";
                twins.begin(&[LEAVE[0].0[0], LEAVE[0].0[1], more, refers]);
                if since > major {
                    continue;
                }
                twins.alike_once_allowed(&[], sql);
                // Nor would it leave if it could.
                twins.begin(&[LEAVE[0].0[0], LEAVE[0].0[1], more, refers, "INSERT INTO o VALUES (5)"]);
                twins.alike_once_allowed(&[], sql);
            }
        }
        // Of an empty partition, or by an empty table, nothing is read.
        for empty in ["SELECT 1", "INSERT INTO o SELECT 15 FROM generate_series(1, 3000)"] {
            let more = "ALTER TABLE p ADD PRIMARY KEY (a); CREATE TABLE d PARTITION OF p FOR VALUES FROM (10) TO (20);
                INSERT INTO p VALUES (15); CREATE TABLE o (a int REFERENCES p)";
            twins.begin(&[LEAVE[0].0[0], LEAVE[0].0[1], more, empty]);
            twins.plain.all(&[SQL]);
            assert_eq!(twins.through(&[]).query(SQL).tag(), "ALTER TABLE", "{major}: {empty}");
            twins.compare(empty);
        }
    }
}

#[test]
fn what_the_server_refuses_is_refused() {
    for installation in since_14() {
        let mut twins = Twins::on(installation);
        twins.begin(&[LEAVE[0].0[0], LEAVE[0].0[1], "CREATE TABLE stranger (a int)"]);
        for sql in ["ALTER TABLE p DETACH PARTITION stranger", "ALTER TABLE p DETACH PARTITION nothing"] {
            twins.alike_in_failure(&[], sql);
        }
    }
}

const PENDING: &str = "SELECT inhdetachpending FROM pg_inherits WHERE inhrelid = 'c'::regclass";

/// A partition that is half detached, since somebody reads its parent.
fn half_detached(twins: &mut Twins, client: &mut Person) -> Person {
    let mut reader = Person::called(twins.stage.cluster.addr(), &[("database", "online")]);
    reader.all(&["BEGIN", "SELECT count(*) FROM p"]);
    client.send(Way::Simple, SQL);
    eventually("half detached", || (twins.beside.table(PENDING) == "t").then_some(()));
    // Meanwhile everybody goes on.
    let mut others = Person::called(twins.stage.cluster.addr(), &[("database", "online")]);
    others.all(&[
        "SET lock_timeout = '2s'",
        "SELECT count(*) FROM p",
        "INSERT INTO p VALUES (15, 1)",
        "DELETE FROM p",
    ]);
    reader
}

#[test]
fn a_cancel_in_the_midst_comes_too_late() {
    for installation in since_14() {
        let mut twins = Twins::on(installation);
        let other = "CREATE TABLE d PARTITION OF p FOR VALUES FROM (10) TO (20)";
        twins.begin(&[LEAVE[0].0[0], LEAVE[0].0[1], other]);
        twins.plain.all(&[SQL]);
        let mut client = twins.through(&[]);
        let mut reader = half_detached(&mut twins, &mut client);
        client.cancel();
        // It is being finished, which waits for the reader outside the queue.
        twins.stage.until("SELECT count(*) = 0 FROM pg_stat_activity WHERE query LIKE '%CONCURRENTLY%' AND state = 'active' AND pid <> pg_backend_pid()");
        reader.all(&["COMMIT"]);
        assert_eq!(client.answer().tag(), "ALTER TABLE");
        twins.compare(SQL);
        assert_eq!(client.table("SHOW lock_timeout"), "0");
    }
}

#[test]
fn what_is_left_half_done_is_told_and_finished_the_next_time() {
    for installation in since_14() {
        let mut twins = Twins::on(installation);
        let other = "CREATE TABLE d PARTITION OF p FOR VALUES FROM (10) TO (20)";
        twins.begin(&[LEAVE[0].0[0], LEAVE[0].0[1], other]);
        let mut client = twins.through(&["SET lockkeeper.retry_for = '1s'"]);
        let mut reader = half_detached(&mut twins, &mut client);
        client.cancel();
        let answer = client.answer();
        assert_eq!(answer.failure(), "57014");
        assert!(answer.hint().contains("ALTER TABLE p DETACH PARTITION c FINALIZE"), "{answer:?}");
        reader.all(&["COMMIT"]);
        let again = client.query(SQL);
        assert_eq!(again.tag(), "ALTER TABLE");
        assert!(again.notices().join("\n").contains("FINALIZE"), "{again:?}");
        let left = "SELECT count(*) FROM pg_inherits WHERE inhrelid = 'c'::regclass";
        assert_eq!(twins.beside.table(left), "0");
        let gone = client.query(SQL);
        assert_eq!(gone.failure(), "42P01", "{:?}", gone.error().map(Frame::message));
        assert_ne!(twins.beside.table(STATE), "");
    }
}

#[test]
fn whoever_leaves_leaves_nothing_half_done() {
    for installation in since_14() {
        let mut twins = Twins::on(installation);
        let other = "CREATE TABLE d PARTITION OF p FOR VALUES FROM (10) TO (20)";
        twins.begin(&[LEAVE[0].0[0], LEAVE[0].0[1], other]);
        let mut client = twins.through(&[]);
        let mut reader = half_detached(&mut twins, &mut client);
        drop(client);
        reader.all(&["COMMIT"]);
        let left = "SELECT count(*) FROM pg_inherits WHERE inhrelid = 'c'::regclass";
        eventually("detached", || (twins.beside.table(left) == "0").then_some(()));
    }
}
