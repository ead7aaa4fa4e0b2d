//! What a review looks like in every format, and that other programs can read it.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::check::{json, lockkeeper, said};
use crate::support::programs::{python, run};

/// Something of everything: a refusal, a warning, what is allowed, several lines, a flaw of the file, a body of code.
const MIGRATION: &str = "-- orders get an owner: größer
ALTER TABLE orders
    ADD COLUMN owner bigint,
    ADD CONSTRAINT \"owner & <co>\" CHECK (owner > 0);
ALTER TABLE orders ALTER COLUMN owner SET NOT NULL;
BEGIN;
CREATE INDEX orders_owner_idx ON orders (owner);
COMMIT;
-- lockkeeper: allow truncate-table because it is a cache
TRUNCATE cache;
DO $$ BEGIN ALTER TABLE customers DROP COLUMN note; END $$;
DROP TABLE old_orders;
BEGIN;
SELECT 1;
";

fn reviewed(format: &str) -> String {
    let told = said(&lockkeeper(&["check", "--pg-version", "18", "--format", format, "-"], MIGRATION));
    let told = told.replace(concat!("\"", env!("CARGO_PKG_VERSION"), "\""), "\"VERSION\"");
    if format != "sarif" {
        return told;
    }
    // The pages of the hazards have tests of their own.
    let mut sarif: Value = serde_json::from_str(&told).expect("JSON");
    for rule in sarif["runs"][0]["tool"]["driver"]["rules"].as_array_mut().expect("rules") {
        for kind in ["text", "markdown"] {
            let page = rule["help"][kind].as_str().expect("help");
            assert!(page.contains("## Why it hurts") && !page.contains("## Cases"), "{page}");
            rule["help"][kind] = "the page".into();
        }
    }
    serde_json::to_string_pretty(&sarif).expect("JSON")
}

#[test]
fn every_format_as_it_is() {
    for format in ["text", "json", "sarif", "github", "junit"] {
        insta::assert_snapshot!(format!("check_{format}"), reviewed(format));
    }
}

/// The required properties of the objects that are written, and what ties them together (SARIF 2.1.0, section 3).
#[test]
fn sarif_is_what_its_standard_asks_for() {
    let sarif: Value = serde_json::from_str(&reviewed("sarif")).expect("JSON");
    assert_eq!(sarif["version"], "2.1.0");
    let run = &sarif["runs"][0];
    assert_eq!(run["tool"]["driver"]["name"], "lockkeeper");
    let rules = run["tool"]["driver"]["rules"].as_array().expect("rules");
    let ids: BTreeSet<&str> = rules.iter().map(|rule| rule["id"].as_str().expect("id")).collect();
    assert_eq!(ids.len(), rules.len(), "each rule once");
    for rule in rules {
        for property in ["shortDescription", "help"] {
            assert!(rule[property]["text"].as_str().is_some_and(|text| !text.is_empty()), "{rule}");
        }
    }
    let results = run["results"].as_array().expect("results");
    assert!(results.len() > 5);
    for result in results {
        assert!(ids.contains(result["ruleId"].as_str().expect("ruleId")), "{result}");
        assert!(["error", "warning", "note", "none"].contains(&result["level"].as_str().expect("level")));
        assert!(result["message"]["text"].as_str().is_some_and(|text| !text.is_empty()));
        let place = &result["locations"][0]["physicalLocation"];
        assert!(place["artifactLocation"]["uri"].is_string());
        let region = |property: &str| place["region"][property].as_u64().expect("a number from 1 on");
        let (start, end) =
            ((region("startLine"), region("startColumn")), (region("endLine"), region("endColumn")));
        assert!(start.0 >= 1 && start.1 >= 1 && start < end, "{place}");
    }
}

#[test]
fn junit_is_xml_with_one_failure_a_finding() {
    const COUNT: &str = "
import sys, xml.etree.ElementTree as tree
root = tree.fromstring(sys.argv[1].encode())
suites = [root] if root.tag == 'testsuite' else list(root)
assert root.tag in ('testsuite', 'testsuites') and all(suite.tag == 'testsuite' for suite in suites), root.tag
cases = list(root.iter('testcase'))
assert all(case.get('name') and case.get('classname') for case in cases)
failures = list(root.iter('failure'))
assert sum(int(suite.get('failures')) for suite in suites) == len(failures)
assert sum(int(suite.get('tests')) for suite in suites) == len(cases)
print(len(failures))
";
    let report = json(&lockkeeper(&["check", "--format", "json", "-"], MIGRATION));
    let findings = report["files"][0]["findings"].as_array().expect("findings");
    let denied = findings.iter().filter(|found| found["denied"] == true).count();
    let mut program = python();
    program.args(["-c", COUNT, &reviewed("junit")]);
    assert_eq!(run(program).ok(), denied.to_string());
}

#[test]
fn what_alembic_prints_is_reviewed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/alembic");
    let mut alembic = python();
    alembic.current_dir(folder).args(["-m", "alembic", "upgrade", "head", "--sql"]);
    alembic.env("DATABASE_URL", "postgresql+psycopg://").env("PYTHONDONTWRITEBYTECODE", "1");
    let sql = run(alembic).ok();
    let output = lockkeeper(&["check", "--format", "json", "-"], &sql);
    let file = &json(&output)["files"][0];
    let found: BTreeSet<&str> = file["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .filter_map(|found| found["id"].as_str())
        .collect();
    assert!(file["statements"].as_u64() > Some(5), "{file}");
    for flaw in ["unreadable-statement", "commit-in-wrapped-file", "unfinished-transaction", "bulk-write"] {
        assert!(!found.contains(flaw), "{flaw} in:\n{sql}");
    }
    let without = said(&lockkeeper(&["check", "-"], &sql));
    assert!(!without.contains("alembic_version"), "its bookkeeping is nobody's concern:\n{without}");
}

#[test]
fn the_hook_names_a_program_and_the_files_that_it_is_for() {
    let hooks = include_str!("../../.pre-commit-hooks.yaml");
    let value = |key: &str| {
        hooks.lines().find_map(|line| line.trim_start_matches("- ").trim().strip_prefix(key)).map(str::trim)
    };
    assert_eq!(
        (value("entry:"), value("language:"), value("files:")),
        (Some("lockkeeper check"), Some("rust"), Some("\\.sql$"))
    );
    let mut version = Command::new(env!("CARGO_BIN_EXE_lockkeeper"));
    version.arg("--version");
    assert!(run(version).ok().starts_with("lockkeeper "));
}
