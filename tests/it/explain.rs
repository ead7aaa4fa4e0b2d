//! `lockkeeper explain`: what a person and a program are told of one statement.

use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Command, Output, Stdio};

use lockkeeper::cluster::Options;
use serde_json::Value;

use crate::support::cluster_with;
use crate::support::programs::without_variables;
use crate::support::raw::Raw;

fn explain<S: AsRef<OsStr>>(arguments: &[S], input: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockkeeper"));
    without_variables(&mut command);
    command.arg("explain").args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("start");
    // It may end without reading.
    let _ = child.stdin.take().expect("stdin").write_all(input);
    child.wait_with_output().expect("end")
}

fn told(arguments: &[&str]) -> String {
    let output = explain(arguments, b"");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn every_decision_is_told() {
    let cluster = cluster_with(&Options::new());
    let mut admin = Raw::session(cluster.addr());
    admin.rows("CREATE TABLE orders (id int PRIMARY KEY, amount int)");
    admin.rows("INSERT INTO orders SELECT n, n FROM generate_series(1, 300000) n");
    let url = cluster.url("postgres");
    for (sql, parts) in [
        ("SELECT 1", vec!["nothing in it that others would feel", "decision: forward"]),
        ("ALTER TABLE orders ADD region text", vec!["AccessExclusiveLock on orders", "decision: guard"]),
        (
            "CREATE INDEX ON orders (amount)",
            vec!["decision: run: an online plan answers CREATE INDEX", "  1. CREATE INDEX CONCURRENTLY"],
        ),
        (
            "ALTER TABLE orders ADD CHECK (amount > 0)",
            vec![
                "work: less than 1 s (scan of orders: ",
                "decision: run: an online plan answers ALTER TABLE",
                "  2. ALTER TABLE orders VALIDATE CONSTRAINT orders_amount_check  -- ShareUpdateExclusiveLock",
            ],
        ),
        (
            "ALTER TABLE orders ADD CHECK (amount > 0), ADD COLUMN note text",
            vec![
                "by hand, each in a transaction of its own:",
                "decision: run: an online plan answers ALTER TABLE",
                "  3. ALTER TABLE orders ADD COLUMN note text  -- AccessExclusiveLock",
            ],
        ),
        ("DROP TABLE orders", vec!["destroys: table orders", "decision: refuse: dropping orders"]),
        (
            "SELECT 1; DROP TABLE orders",
            vec!["all 2 statements, sent as one message\ndecision: refuse: dropping orders"],
        ),
    ] {
        let text = told(&["--url", &url, sql]);
        for part in parts {
            assert!(text.contains(part), "{part} is missing in:\n{text}");
        }
        assert_eq!(text.matches("decision: ").count(), 1, "{text}");
        assert!(!text.contains("basis: "), "{text}");
    }
    let inside = told(&["--url", &url, "--in-transaction", "CREATE INDEX ON orders (amount)"]);
    assert!(inside.contains("decision: defer"), "{inside}");
}

#[test]
fn programs_get_all_of_it() {
    let told = told(&["--format", "json", "ALTER TABLE orders ADD CHECK (amount > 0)"]);
    let told: Value = serde_json::from_str(&told).expect("JSON");
    let fields = told[0].as_object().expect("one statement").iter();
    let fields: Vec<String> = fields.map(|(key, value)| format!("{key}: {value}")).collect();
    insta::assert_snapshot!(fields.join("\n"), @r#"
    breaks_older_application: []
    decision: "guard: sent as it is, under the ladder of patience"
    destroys: []
    hazards: [{"by_hand":[{"locks":[{"blocks":"reads and writes wait","mode":"AccessExclusiveLock","relation":"orders"}],"outside_transaction":false,"sql":"ALTER TABLE orders ADD CONSTRAINT orders_check CHECK (amount > 0) NOT VALID"},{"locks":[{"blocks":"reads and writes go on, other DDL and VACUUM wait","mode":"ShareUpdateExclusiveLock","relation":"orders"}],"outside_transaction":false,"sql":"ALTER TABLE orders VALIDATE CONSTRAINT orders_check"}],"id":"add-check-scan","level":"warn","why":"Every row of \"orders\" is read under an AccessExclusiveLock, so that all reads and writes wait until it is done."},{"by_hand":[],"id":"lock-queue","level":"pass","why":"It takes an AccessExclusiveLock on \"orders\"; while it queues for it behind a running transaction, every later query that needs the table queues behind it."}]
    inverse: null
    locks: [{"blocks":"reads and writes wait","mode":"AccessExclusiveLock","relation":"orders"}]
    locks_beyond: false
    statement: "ALTER TABLE"
    steps: []
    transactional: true
    work: [{"basis":"scan of orders: size unknown; 5 s per GB at an assumed 200 MB/s","bytes":null,"relation":"orders","task":"scan","under":"AccessExclusiveLock"}]
    writes: []
    "#);
}

#[test]
fn what_cannot_be_explained_says_why() {
    let cases: [(&[u8], &[u8], &str); 8] = [
        (b"ALTR TABLE x", b"", "at line 1, column 1: syntax error at or near \"ALTR\""),
        (
            "ALTER TABLE t\n ADD é int x".as_bytes(),
            b"",
            "at line 2, column 12: syntax error at or near \"x\"",
        ),
        (b"ALTER TABLE t ADD", b"", "at line 1, column 18: syntax error at end of input"),
        (b"", b"", "there is no statement to explain"),
        (b" ;; ", b"", "there is no statement to explain"),
        (b"DROP TABLE \xe4", b"", "not UTF-8 from byte 12 on"),
        (b"-", b"DROP \0TABLE", "a NUL byte at line 1, column 6"),
        (b"-", b"\xff", "not UTF-8 from byte 1 on"),
    ];
    for (argument, input, part) in cases {
        let output = explain(&[OsStr::from_bytes(argument)], input);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(part), "{part} is missing in: {said}");
        assert!(output.stdout.is_empty());
    }
    let piped = explain(&["-"], "\u{feff}DROP TABLE t;\r\n".as_bytes());
    assert!(String::from_utf8_lossy(&piped.stdout).contains("decision: refuse"));
}
