//! What is told at the end of a plan, and to whom.

use crate::support::stage::{Stage, Way};

#[test]
fn the_end_is_told_unless_the_client_wants_none_of_it() {
    let stage = Stage::new();
    for way in Way::BOTH {
        let mut client = stage.through();
        let answer = client.ask(way, "CREATE INDEX by_note ON orders (note)");
        let last = answer.notices().pop().expect("a notice");
        assert!(
            last.starts_with("NOTICE: CREATE INDEX took ")
                && last.ends_with(": it stopped neither reads nor writes"),
            "{last}"
        );
        let answer = client.ask(way, "ALTER TABLE orders ADD CHECK (id > 0)");
        let last = answer.notices().pop().expect("a notice");
        assert!(
            last.starts_with("NOTICE: ALTER TABLE took ")
                && last.contains(" in 2 steps: nobody waited for it longer than "),
            "{last}"
        );
        client.all(&["SET client_min_messages = warning"]);
        for sql in ["DROP INDEX by_note", "ALTER TABLE orders ADD CHECK (id > 1)"] {
            assert_eq!(client.ask(way, sql).notices(), [""; 0], "{sql}");
        }
        client.all(&["BEGIN", "SET LOCAL lockkeeper.in_transaction = 'warn'"]);
        let answer = client.ask(way, "ALTER TABLE orders ADD CHECK (id > 2)");
        assert!(
            answer.notices().iter().all(|told| told.starts_with("WARNING: ")) && !answer.notices().is_empty()
        );
        client.all(&["ROLLBACK"]);
    }
}
