//! NOT NULL in several steps, in all the ways of saying it.

use crate::support::each_major;
use crate::support::twins::Twins;

const TABLE: &str =
    "CREATE TABLE t (a int, b int); INSERT INTO t SELECT n, nullif(n, 7) FROM generate_series(1, 50) n";
const NOT_VALID: &str = "ALTER TABLE t ADD CONSTRAINT \"my own\" NOT NULL a NOT VALID";

#[test]
fn a_constraint_of_that_kind_is_added_in_two_steps() {
    for installation in each_major().into_iter().filter(|one| one.major >= 18) {
        let mut twins = Twins::on(installation);
        for sql in [
            "ALTER TABLE t ADD CONSTRAINT \"my own\" NOT NULL a",
            "ALTER TABLE t ADD NOT NULL a",
            "ALTER TABLE t ADD CONSTRAINT x NOT NULL a NO INHERIT",
        ] {
            twins.begin(&[TABLE]);
            let answer = twins.alike(&[], sql);
            assert!(answer.notices().concat().contains("steps that read the table while others work"));
            assert!(twins.stage.was_run(" NOT VALID"));
        }
        twins.begin(&[TABLE]);
        twins.alike_in_failure(&[], "ALTER TABLE t ADD CONSTRAINT x NOT NULL b");
        twins.alike_in_failure(&[], "ALTER TABLE t ADD NOT NULL b");
    }
}

#[test]
fn one_that_is_not_valid_is_validated() {
    for installation in each_major().into_iter().filter(|one| one.major >= 18) {
        let mut twins = Twins::on(installation);
        twins.begin(&[TABLE, NOT_VALID]);
        twins.alike(&[], "ALTER TABLE t ALTER a SET NOT NULL");
        assert!(twins.stage.was_run("ALTER TABLE t VALIDATE CONSTRAINT \"my own\""));
        twins.begin(&[TABLE, "ALTER TABLE t ADD CONSTRAINT x NOT NULL b NOT VALID"]);
        twins.alike_in_failure(&[], "ALTER TABLE t ALTER b SET NOT NULL");
        // What the server refuses at once is left to it.
        twins.begin(&[TABLE, NOT_VALID]);
        for sql in [
            "ALTER TABLE t ADD CONSTRAINT other NOT NULL a",
            "ALTER TABLE t ADD NOT NULL a",
            "ALTER TABLE t ADD PRIMARY KEY (a)",
        ] {
            twins.alike_in_failure(&[], sql);
        }
        twins.begin(&[TABLE, "ALTER TABLE t ADD CONSTRAINT x NOT NULL a NO INHERIT NOT VALID"]);
        twins.alike_in_failure(&[], "ALTER TABLE t ALTER a SET NOT NULL");
    }
}

#[test]
fn a_key_of_an_index_that_is_there_reads_nothing_under_its_lock() {
    for installation in each_major() {
        let mut twins = Twins::on(installation);
        for (index, sql) in [
            ("i ON t (a)", "ALTER TABLE t ADD PRIMARY KEY USING INDEX i"),
            (
                "i ON t (a)",
                "ALTER TABLE IF EXISTS t ADD CONSTRAINT \"K\" PRIMARY KEY USING INDEX i DEFERRABLE",
            ),
            ("\"I\" ON t (c, a)", "ALTER TABLE t ADD CONSTRAINT i PRIMARY KEY USING INDEX \"I\""),
        ] {
            twins.begin(&[
                TABLE,
                "ALTER TABLE t ADD c int NOT NULL DEFAULT 3",
                &format!("CREATE UNIQUE INDEX {index}"),
            ]);
            let answer = twins.alike(&[], sql);
            assert!(
                answer.notices().concat().contains("steps that make the columns NOT NULL while others work")
            );
            assert!(twins.stage.was_run(" NOT VALID"));
        }
        twins.begin(&[
            TABLE,
            "CREATE UNIQUE INDEX i ON t (b)",
            "CREATE UNIQUE INDEX part ON t (a) WHERE a > 3",
        ]);
        twins.alike_in_failure(&[], "ALTER TABLE t ADD PRIMARY KEY USING INDEX i");
        twins.alike_in_failure(&[], "ALTER TABLE t ADD PRIMARY KEY USING INDEX nothing");
        twins.alike_in_failure(&[], "ALTER TABLE t ADD PRIMARY KEY USING INDEX part");
        twins.begin(&[TABLE, "CREATE UNIQUE INDEX i ON t (a)"]);
        twins.alike_once_allowed(&[], "ALTER TABLE t ADD PRIMARY KEY USING INDEX i, ADD c int");
    }
}
