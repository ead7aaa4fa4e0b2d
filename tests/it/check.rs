//! The review of SQL files, as a person or a pipeline runs it.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use lockkeeper::cluster::Options;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::cluster_with;
use crate::support::programs::without_variables;
use crate::support::raw::Raw;

/// A migration with something of everything; the data of COPY and psql's own commands are nobody's statements.
const MIGRATION: &str = "-- a migration
BEGIN;
ALTER TABLE orders ADD COLUMN region text;
ALTER TABLE orders ADD CONSTRAINT positive CHECK (amount > 0);
COMMIT;
-- lockkeeper: allow truncate-table because it is a cache
TRUNCATE cache;
\\echo DROP TABLE nothing;
COPY t FROM stdin;
DROP TABLE data;
\\.
DROP TABLE old_orders;
";

/// Runs the program with that standard input.
pub(crate) fn lockkeeper(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockkeeper"));
    without_variables(&mut command);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("start");
    // It may end without reading.
    let _ = child.stdin.take().expect("stdin").write_all(input.as_bytes());
    child.wait_with_output().expect("end")
}

/// Its standard output.
pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The same as JSON.
pub(crate) fn json(output: &Output) -> Value {
    serde_json::from_str(&said(output)).unwrap_or_else(|error| panic!("{error}: {}", said(output)))
}

/// `line id level` of every finding that is told.
fn found(report: &Value) -> Vec<String> {
    let findings = report["files"].as_array().expect("files").iter().flat_map(|file| {
        file["findings"].as_array().expect("findings").iter().filter(|found| found["denied"] == true)
    });
    findings
        .map(|found| {
            format!("{} {} {}", found["start"]["line"], found["id"], found["level"]).replace('"', "")
        })
        .collect()
}

#[test]
fn a_migration_is_reviewed_statement_by_statement() {
    let output = lockkeeper(&["check", "--format", "json", "-"], MIGRATION);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        found(&json(&output)),
        ["4 add-check-scan warn", "4 work-under-strong-lock warn", "12 drop-table refuse"]
    );
    let text = said(&lockkeeper(&["check", "-"], MIGRATION));
    for part in [
        "error[drop-table]: dropping old_orders destroys data",
        "12 | DROP TABLE old_orders;",
        "AccessExclusiveLock on orders: reads and writes wait",
        "ALTER TABLE orders VALIDATE CONSTRAINT positive;  -- ShareUpdateExclusiveLock",
        "op.execute(\"ALTER TABLE orders VALIDATE CONSTRAINT positive\")",
        "3 findings, 3 denied, 1 allowed",
    ] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "no colour but on a terminal");
}

#[test]
fn the_exit_status_says_what_was_found() {
    for (arguments, input, expected) in [
        (vec!["check", "-"], "ALTER TABLE t ADD COLUMN a text;", 0),
        (vec!["check", "--deny", "refuse", "-"], "ALTER TABLE t ALTER a SET NOT NULL;", 0),
        (vec!["check", "--deny", "set-not-null-scan", "-"], "ALTER TABLE t ALTER a SET NOT NULL;", 1),
        (vec!["check", "--allow", "drop-table", "-"], "DROP TABLE t;", 0),
        (vec!["check", "--assume-in-transaction", "-"], "COMMIT;", 1),
        (vec!["check", "-"], "BEGIN; SELECT 1;", 1),
        (vec!["check", "/nowhere.sql"], "", 2),
        (vec!["check", "--allow", "drop-tabel", "-"], "", 2),
    ] {
        let output = lockkeeper(&arguments, input);
        assert_eq!(output.status.code(), Some(expected), "{arguments:?}: {}", said(&output));
    }
}

#[test]
fn a_file_that_cannot_be_read_hides_no_other() {
    let folder = TempDir::new().expect("folder");
    let file = folder.path().join("a.sql");
    std::fs::write(&file, "DROP TABLE a;").expect("write");
    let output = lockkeeper(&["check", "/nowhere.sql", file.to_str().expect("path")], "");
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("error[drop-table]"), "{}", said(&output));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot read /nowhere.sql"));
    let nothing = lockkeeper(&["check", "/nowhere.sql"], "");
    assert_eq!(said(&nothing), "", "of nothing there is no review");
}

#[test]
fn folders_and_every_format() {
    let folder = TempDir::new().expect("folder");
    std::fs::create_dir(folder.path().join("later")).expect("folder");
    std::fs::write(folder.path().join("later/b.sql"), "DROP TABLE b;").expect("write");
    std::fs::write(folder.path().join("a.sql"), "DROP TABLE \"a<&\";").expect("write");
    std::fs::write(folder.path().join("c.txt"), "DROP TABLE c;").expect("write");
    let path = folder.path().to_str().expect("path");
    let run = |format| lockkeeper(&["check", "--format", format, path], "");
    let sarif = json(&run("sarif"));
    let results = sarif["runs"][0]["results"].as_array().expect("results");
    assert_eq!(results.len(), 2);
    assert_eq!(results[1]["ruleId"], "drop-table");
    assert_eq!(results[1]["locations"][0]["physicalLocation"]["region"]["startLine"], 1);
    let github = said(&run("github"));
    assert_eq!(github.lines().count(), 2);
    assert!(
        github.lines().all(|line| line.starts_with("::error file=") && line.contains("title=drop-table::"))
    );
    let junit = said(&run("junit"));
    assert_eq!(junit.matches("<failure type=\"drop-table\"").count(), 2);
    assert!(junit.contains("a&lt;&amp;") && !junit.contains("a<&"));
}

#[test]
fn a_server_tells_sizes() {
    let cluster = cluster_with(&Options::new());
    let mut admin = Raw::session(cluster.addr());
    admin.rows("CREATE TABLE orders (id int PRIMARY KEY, amount int)");
    admin.rows("INSERT INTO orders SELECT n, n FROM generate_series(1, 300000) n");
    admin.rows("CREATE TABLE few (id int PRIMARY KEY, amount int)");
    let url = cluster.url("postgres");
    let sql = "ALTER TABLE orders ADD CHECK (amount > 0); ALTER TABLE few ADD CHECK (amount > 0); \
               ALTER TABLE nowhere ADD CHECK (amount > 0); ALTER TABLE orders ALTER id SET NOT NULL;";
    let report = json(&lockkeeper(&["check", "--url", &url, "--format", "json", "-"], sql));
    assert_eq!(found(&report), ["1 add-check-scan plan"]);
    assert_eq!(report["basis"]["live"], true);
    let work = &report["files"][0]["findings"][0]["work"][0];
    assert!(work["bytes"].as_u64() > Some(8 << 20), "{work}");
    let inside = "BEGIN; CREATE INDEX ON orders (amount); COMMIT;";
    let text = said(&lockkeeper(&["check", "--url", &url, "-"], inside));
    for part in ["outside a transaction lockkeeper runs it online:", "autocommit_block", "and on until"] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
    let explained = said(&lockkeeper(&["explain", "--url", &url, "CREATE INDEX ON orders (amount)"], ""));
    for part in [
        "hazard: create-index-blocking (plan)",
        "1. CREATE INDEX CONCURRENTLY ON orders (amount)  -- ShareUpdateExclusiveLock",
    ] {
        assert!(explained.contains(part), "{part} is missing in:\n{explained}");
    }
}

#[test]
fn ten_thousand_statements_are_reviewed() {
    let file = (0..10_000).fold(String::new(), |file, n| {
        file + &format!("CREATE TABLE t{n} (id bigint);\nALTER TABLE t{n} ADD a text;\n")
    });
    let report = json(&lockkeeper(&["check", "--format", "json", "-"], &file));
    assert_eq!(report["files"][0]["statements"], 20_000);
    assert_eq!(found(&report), Vec::<String>::new());
}

/// Postgres picks the names one after the other.
#[test]
fn constraints_of_one_statement_get_names_of_their_own() {
    let file = "ALTER TABLE t ADD CHECK (a > 0 AND b > 0), ADD CHECK (b > 0 AND a > 1), ADD UNIQUE (a), ADD UNIQUE (a), \
                ADD FOREIGN KEY (a) REFERENCES u, ADD FOREIGN KEY (a) REFERENCES v;";
    let text = said(&lockkeeper(&["check", "-"], file));
    for name in ["t_check ", "t_check1 ", "t_a_key ", "t_a_key1 ", "t_a_fkey ", "t_a_fkey1 "] {
        assert!(text.contains(&format!("ADD CONSTRAINT {name}")), "{name}: {text}");
    }
}

#[test]
fn statements_that_cannot_be_read_end_with_2() {
    const ALLOWED: [&str; 2] = ["--allow", "unreadable-statement"];
    for (file, options, code) in [
        ("SELCT 1;", [].as_slice(), 2),
        ("DROP TABLE t; SELCT 1;", &[], 2),
        ("SELCT 1;", &["--deny", "refuse"], 2),
        ("SELCT 1;", &ALLOWED, 0),
        ("DROP TABLE t; SELCT 1;", &ALLOWED, 1),
        ("SELECT 1;", &[], 0),
    ] {
        let ran = lockkeeper(&[&["check"], options, &["-"]].concat(), file);
        assert_eq!(ran.status.code(), Some(code), "{file}");
    }
}

#[test]
fn every_hazard_is_listed_and_explained() {
    let list = json(&lockkeeper(&["check", "--list", "--format", "json"], ""));
    let list = list.as_array().expect("list");
    assert_eq!(list.len(), lockkeeper::review::lint::ids().count());
    let page = said(&lockkeeper(&["explain", "--hazard", "drop-table"], ""));
    assert!(page.starts_with("# drop-table\n"), "{page}");
    assert_eq!(lockkeeper(&["explain", "--hazard", "drop-tabel"], "").status.code(), Some(1));
}

#[test]
fn bodies_of_code_are_looked_into() {
    let file = "CREATE INDEX ON a (b);
DO $$
BEGIN
  IF true THEN
    ALTER TABLE a DROP COLUMN b, DROP COLUMN c;
  END IF;
  CREATE TABLE fresh (a int);
  ALTER TABLE fresh ADD CHECK (a > 0);
END $$;
ALTER TABLE fresh ADD CHECK (a > 0);
DO $$ BEGIN EXECUTE 'DROP TABLE t'; END $$;
DO $$ BEGIN CREATE INDEX CONCURRENTLY ON a (b); END $$;
DO $$ BEGIN /* lockkeeper: allow truncate-table because it is a cache */ TRUNCATE cache; END $$;
CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS '
BEGIN
  DELETE FROM t;
  DROP TABLE t;
END';
";
    let report = json(&lockkeeper(&["check", "--format", "json", "-"], file));
    assert_eq!(
        found(&report),
        [
            "1 create-index-blocking warn",
            "5 drop-column refuse",
            "5 drop-column refuse",
            "11 opaque-ddl warn",
            "12 misplaced-in-transaction refuse",
            "16 write-without-where warn",
            "17 drop-table warn",
        ]
    );
    let text = said(&lockkeeper(&["check", "-"], file));
    assert!(text.contains("when the function is called: dropping t destroys data"), "{text}");
}

#[test]
fn files_as_editors_leave_them() {
    let folder = TempDir::new().expect("folder");
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("write");
        path.to_str().expect("path").to_owned()
    };
    for (name, bytes) in [
        ("bom.sql", "\u{feff}DROP TABLE t;\n".as_bytes()),
        ("crlf.sql", b"DROP TABLE t;\r\n"),
        ("latin1.sql", b"DROP TABLE t; -- stra\xdfe\n"),
    ] {
        let path = write(name, bytes);
        let report = json(&lockkeeper(&["check", "--format", "json", &path], ""));
        let found = &report["files"][0]["findings"][0];
        assert_eq!((&found["id"], &found["start"]["column"]), (&"drop-table".into(), &1.into()), "{name}");
        let text = said(&lockkeeper(&["check", &path], ""));
        assert!(!text.contains('\u{240d}') && !text.contains('\u{feff}'), "{text}");
    }
    let wide = write("wide.sql", b"\xff\xfeD\0R\0");
    std::fs::create_dir(folder.path().join("none")).expect("folder");
    let none = folder.path().join("none");
    for (path, part) in [
        (wide.as_str(), "it is written in UTF-16; convert it"),
        (none.to_str().expect("path"), "there is no *.sql file below"),
    ] {
        let output = lockkeeper(&["check", path], "");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(part), "{told}");
    }
    assert_eq!(lockkeeper(&["check", &write("empty.sql", b"")], "").status.code(), Some(0));
}

#[test]
fn who_has_seen_enough_does_not_make_a_review_clean() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockkeeper"));
    command.args(["check", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("started");
    drop(child.stdout.take());
    let text = "ALTER TABLE t ADD COLUMN a int DEFAULT random();\n".repeat(500);
    child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("written");
    let output = child.wait_with_output().expect("waited");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
