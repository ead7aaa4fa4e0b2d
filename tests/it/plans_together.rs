//! Foreign keys come and go with both tables locked up front: who writes the referenced table first never deadlocks with them.

use crate::support::each_major;
use crate::support::stage::{Person, Stage, Way};

/// So patient that an attempt stands in the queue for as long as a deadlock takes to be found, and longer.
const PATIENT: &str = "[guard]\nmax_stall = \"30s\"\npatience = [\"25s\"]";
const CUSTOMERS: &str = "CREATE TABLE customers (id int PRIMARY KEY, name text)";
const ROWS: &str = "INSERT INTO customers SELECT n, n FROM generate_series(0, 9) n";
const ADD: &str = "ALTER TABLE orders ADD CONSTRAINT k FOREIGN KEY (customer) REFERENCES customers";
const ADD_AS_SENT: &str =
    "ALTER TABLE orders ADD CONSTRAINT k FOREIGN KEY (customer) REFERENCES customers NOT VALID";
const DROP: &str = "ALTER TABLE orders DROP CONSTRAINT k";
const QUEUES_FOR: &str = "SELECT count(*) = 1 FROM pg_locks WHERE NOT granted AND relation = ";

#[test]
fn who_writes_the_referenced_table_first_goes_on() {
    for installation in each_major() {
        let major = installation.major;
        let stage = Stage::on_with(installation, PATIENT);
        stage.straight().all(&[CUSTOMERS, ROWS]);
        for sql in [ADD, DROP, ADD_AS_SENT, DROP] {
            for in_block in [false, true] {
                let mut application = stage.straight();
                application.all(&["BEGIN", "UPDATE customers SET name = 'x' WHERE id = 1"]);
                let mut client = stage.through();
                if in_block {
                    client.all(&["BEGIN"]);
                }
                client.send(Way::Extended, sql);
                stage.until(&format!("{QUEUES_FOR}'customers'::regclass"));
                // It holds nothing yet.
                application.all(&[
                    "SET lock_timeout = '1ms'",
                    "INSERT INTO orders VALUES (1000, 1)",
                    "ROLLBACK",
                ]);
                assert_eq!(client.answer().tag(), "ALTER TABLE", "{major}: {sql}");
                if in_block {
                    client.all(&["COMMIT"]);
                }
                // Once more, in the transaction.
                if !in_block {
                    stage.straight().all(&[if sql == DROP { ADD } else { DROP }]);
                }
            }
        }
        assert!(!stage.cluster.log().contains("deadlock detected"), "{major}");
    }
}

#[test]
fn who_writes_it_last_goes_on_and_the_statement_is_tried_again() {
    let stage = Stage::on_with(each_major().remove(0), PATIENT);
    stage.straight().all(&[CUSTOMERS, ROWS]);
    for (at, sql) in [ADD, DROP].into_iter().enumerate() {
        let mut application = stage.straight();
        // Whoever waits so long looks whether it is a deadlock, and dies of it.
        application.all(&[
            "SET deadlock_timeout = '1h'",
            "BEGIN",
            "UPDATE orders SET note = 'x' WHERE id = 1",
        ]);
        let mut client = stage.through();
        client.send(Way::Simple, sql);
        stage.until(&format!("{QUEUES_FOR}'orders'::regclass"));
        application.all(&["UPDATE customers SET name = 'x' WHERE id = 1", "COMMIT"]);
        assert_eq!(client.answer().tag(), "ALTER TABLE", "{sql}");
        assert_eq!(stage.cluster.log().matches("ERROR:  deadlock detected").count(), at + 1, "{sql}");
    }
}

/// `LOCK TABLE` wants more rights than a foreign key does.
#[test]
fn who_may_only_refer_to_a_table_does_so_all_the_same() {
    let stage = Stage::new();
    let rights = [
        "CREATE ROLE clerk LOGIN",
        "ALTER TABLE orders OWNER TO clerk",
        "GRANT REFERENCES ON customers TO clerk",
    ];
    stage.straight().all(&[[CUSTOMERS, ROWS].as_slice(), &rights].concat());
    let mut clerk = Person::called(stage.proxy.addr(), &[("user", "clerk")]);
    for sql in [ADD, DROP, ADD_AS_SENT] {
        for way in Way::BOTH {
            assert_eq!(clerk.ask(way, sql).tag(), "ALTER TABLE", "{sql}");
            if way == Way::Simple {
                let back = if sql == DROP { ADD } else { DROP };
                stage.straight().all(&[back]);
            }
        }
        if sql == ADD_AS_SENT {
            clerk.all(&["BEGIN", DROP, "COMMIT"]);
        }
    }
    assert!(stage.cluster.log().contains("permission denied for table customers"));
    assert_eq!(clerk.table("SHOW lock_timeout"), "0");
}
