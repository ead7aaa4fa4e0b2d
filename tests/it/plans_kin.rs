//! Tables that inherit: what is taken back on a parent would reach its heirs, so that only what stays on the parent runs in steps.

use crate::support::each_major;
use crate::support::raw::Frame;
use crate::support::stage::{Person, Way};
use crate::support::twins::Twins;

const FAMILY: [&str; 4] = [
    "CREATE TABLE p (a int, b int)",
    "CREATE TABLE c (b int NOT NULL, CHECK (b > 0)) INHERITS (p)",
    "INSERT INTO p SELECT n, nullif(n, 7) FROM generate_series(1, 50) n",
    "INSERT INTO c SELECT n, n FROM generate_series(1, 50) n",
];

/// Runs as sent with a warning, and ends as it does without a proxy.
fn as_sent(twins: &mut Twins, sql: &str) {
    let ask = |person: &mut Person| person.ask(Way::Simple, sql);
    let (plain, online) = (ask(&mut twins.plain), ask(&mut twins.through(&[])));
    assert_eq!(online.tags(), plain.tags(), "{sql}");
    assert_eq!(online.error().map(Frame::sqlstate), plain.error().map(Frame::sqlstate), "{sql}");
    let notices = online.notices().join("\n");
    assert!(notices.contains("WARNING") && !notices.contains("runs as"), "{sql}: {notices}");
    twins.compare(sql);
}

#[test]
fn what_heirs_had_before_they_keep() {
    for installation in each_major() {
        let mut twins = Twins::on(installation);
        for (succeeds, sql) in [
            (true, "ALTER TABLE p ALTER a SET NOT NULL"),
            (false, "ALTER TABLE p ALTER b SET NOT NULL"),
            (true, "ALTER TABLE p ADD CONSTRAINT k CHECK (a > 0)"),
            (false, "ALTER TABLE p ADD CONSTRAINT k CHECK (b > 7)"),
            (false, "ALTER TABLE p ADD PRIMARY KEY (b)"),
            (true, "ALTER TABLE c ALTER a SET NOT NULL"),
            (false, "ALTER TABLE c ADD CONSTRAINT k CHECK (b > 7)"),
        ] {
            twins.begin(&FAMILY);
            as_sent(&mut twins, sql);
            let kept = "SELECT attnotnull FROM pg_attribute WHERE attrelid = 'c'::regclass AND attname = 'b'";
            assert_eq!(twins.beside.table(kept), "t", "{sql}, {succeeds}");
        }
        // These stay on the table itself.
        twins.begin(&FAMILY);
        twins.alike(&[], "ALTER TABLE p ADD UNIQUE (a)");
        twins.alike(&[], "ALTER TABLE c ADD FOREIGN KEY (b) REFERENCES p (a)");
        twins.alike_in_failure(&[], "ALTER TABLE c ADD CONSTRAINT k FOREIGN KEY (b) REFERENCES c (b)");
        twins.begin(&[FAMILY.as_slice(), &["INSERT INTO p VALUES (1)"]].concat());
        twins.alike_in_failure(&[], "ALTER TABLE p ADD UNIQUE (a)");
    }
}
