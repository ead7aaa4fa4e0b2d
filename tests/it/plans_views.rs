//! Materialized views are made anew while others read them.

use crate::support::each_major;
use crate::support::stage::Way;
use crate::support::twins::Twins;

const SETUP: [&str; 4] = [
    "CREATE TABLE t (a int, b text); INSERT INTO t SELECT n, n FROM generate_series(1, 50) n",
    "CREATE MATERIALIZED VIEW v AS SELECT a, b, '{}'::json AS c FROM t",
    "CREATE UNIQUE INDEX ON v (a)",
    "UPDATE t SET b = 'new' WHERE a > 25; DELETE FROM t WHERE a = 3; INSERT INTO t VALUES (99, NULL), (NULL, 'x'), (NULL, 'x')",
];
const ROWS: &str = "SELECT a, b, c FROM v ORDER BY 1, 2";

#[test]
fn the_view_holds_the_same_rows() {
    for installation in each_major() {
        let mut twins = Twins::on(installation);
        for sql in
            ["REFRESH MATERIALIZED VIEW v", "refresh materialized view /* all */ public.v with data -- of it"]
        {
            twins.begin(&SETUP);
            twins.alike(&[], sql);
            assert!(twins.stage.was_run(" CONCURRENTLY"));
            assert_eq!(twins.beside.table(ROWS), twins.plain.table(ROWS));
        }
    }
}

#[test]
fn who_reads_it_does_not_wait_nor_keep_it_waiting() {
    let mut twins = Twins::on(each_major().remove(0));
    twins.begin(&SETUP);
    twins.beside.all(&["BEGIN", "SELECT count(*) FROM v"]);
    let mut client = twins.through(&[]);
    client.all(&["SET lock_timeout = '5s'"]);
    assert_eq!(client.ask(Way::Extended, "REFRESH MATERIALIZED VIEW v").tag(), "REFRESH MATERIALIZED VIEW");
    assert_eq!(client.table("SELECT count(*) FROM v WHERE b = 'new'"), "25");
    assert_eq!(client.table("SHOW lock_timeout"), "5s");
}

#[test]
fn where_it_cannot_be_compared_it_is_refused() {
    for installation in each_major() {
        let mut twins = Twins::on(installation);
        for change in [
            "DROP INDEX v_a_idx",
            "DROP INDEX v_a_idx; CREATE UNIQUE INDEX ON v (a) WHERE a > 0",
            "DROP INDEX v_a_idx; CREATE UNIQUE INDEX ON v ((a + 1))",
            "DROP INDEX v_a_idx; CREATE INDEX ON v (a)",
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'v_a_idx'::regclass",
            "ALTER MATERIALIZED VIEW v OWNER TO someone; GRANT SELECT ON t TO someone; REVOKE TEMP ON DATABASE plain, online FROM PUBLIC",
        ] {
            twins.stage.straight().all(&["DROP ROLE IF EXISTS someone", "CREATE ROLE someone"]);
            twins.begin(&[SETUP.as_slice(), &["GRANT ALL ON SCHEMA public TO someone", change]].concat());
            twins.alike_once_allowed(&[], "REFRESH MATERIALIZED VIEW v");
            assert_eq!(twins.beside.table(ROWS), twins.plain.table(ROWS));
            twins.begin(&[]);
            twins
                .stage
                .straight()
                .all(&["GRANT TEMP ON DATABASE plain, online TO PUBLIC", "DROP ROLE someone"]);
        }
        // Nobody reads one that holds no data.
        let empty = "REFRESH MATERIALIZED VIEW v WITH NO DATA";
        twins.begin(&[SETUP.as_slice(), &[empty]].concat());
        twins.plain.all(&["REFRESH MATERIALIZED VIEW v"]);
        assert_eq!(twins.through(&[]).query("REFRESH MATERIALIZED VIEW v").told(), [""; 0]);
        twins.compare(empty);
    }
}

#[test]
fn what_the_index_refuses_leaves_the_view_as_it_was() {
    for installation in each_major() {
        let mut twins = Twins::on(installation);
        for (double, code) in
            [("INSERT INTO t VALUES (1, '1')", "21000"), ("INSERT INTO t VALUES (1, 'other')", "23505")]
        {
            twins.begin(&[SETUP.as_slice(), &[double]].concat());
            let before = twins.beside.table(ROWS);
            let mut client = twins.through(&[]);
            assert_eq!(client.query("REFRESH MATERIALIZED VIEW v").failure(), code);
            assert_eq!(twins.plain.query("REFRESH MATERIALIZED VIEW v").failure(), "23505");
            assert_eq!(twins.beside.table(ROWS), before);
            twins.compare(double);
        }
    }
}
