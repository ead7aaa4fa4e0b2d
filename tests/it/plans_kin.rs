//! Tables that inherit: what is taken back on a parent would reach its heirs, so that only what stays on the parent runs in steps.

use crate::support::each_major;
use crate::support::twins::Twins;

const FAMILY: [&str; 4] = [
    "CREATE TABLE p (a int, b int)",
    "CREATE TABLE c (b int NOT NULL, CHECK (b > 0)) INHERITS (p)",
    "INSERT INTO p SELECT n, nullif(n, 7) FROM generate_series(1, 50) n",
    "INSERT INTO c SELECT n, n FROM generate_series(1, 50) n",
];

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
            twins.alike_once_allowed(&[], sql);
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

#[test]
fn only_leaves_out_nothing_where_nothing_inherits() {
    for installation in each_major() {
        let mut twins = Twins::on(installation);
        for sql in [
            "ALTER TABLE ONLY t ADD PRIMARY KEY (a)",
            "ALTER TABLE ONLY t ADD CHECK (a > 0)",
            "ALTER TABLE ONLY t ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES r",
            "ALTER TABLE ONLY t ALTER a SET NOT NULL",
            "ALTER TABLE ONLY t ADD c int CHECK (c > 0), ADD UNIQUE (a)",
        ] {
            twins.begin(&[
                "CREATE TABLE r (id int PRIMARY KEY)",
                "INSERT INTO r SELECT generate_series(1, 50)",
                "CREATE TABLE t (a int)",
                "INSERT INTO t SELECT generate_series(1, 50)",
            ]);
            twins.alike(&[], sql);
        }
    }
}
