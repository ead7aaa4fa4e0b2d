//! The pure half of the hazards' pages: their cases hold, and each step of a plan raises nothing when judged again.
//!
//! `UPDATE=1` rewrites the expected blocks; read the diff.

use std::path::PathBuf;

use super::catalogue::{facts, show};
use crate::hazard;
use crate::judge::{Decision, Moment, Policy, Standing, decide};
use crate::sql::{Encoding, parse};

const VERSION: u32 = 150_018;

#[test]
fn cases_hold() {
    let update = std::env::var_os("UPDATE").is_some();
    for hazard in hazard::ALL {
        let (page, cases) = rerun(hazard.page);
        if update {
            let file = format!("src/hazard/{}.md", hazard.id.replace('-', "_"));
            std::fs::write(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(file), page).unwrap();
        } else {
            assert_eq!(hazard.page, page, "{}: UPDATE=1 rewrites the page", hazard.id);
        }
        assert!(cases.iter().any(|case| case.hazards.contains(&hazard.id)), "{}: no case flagged", hazard.id);
        assert!(cases.iter().any(|case| case.left_alone), "{}: no case left alone", hazard.id);
    }
}

struct Case {
    hazards: Vec<&'static str>,
    left_alone: bool,
}

/// The page with its plan blocks as they are now.
fn rerun(page: &str) -> (String, Vec<Case>) {
    let (mut written, mut cases) = (String::new(), Vec::new());
    let (mut version, mut sql, mut transaction) = (VERSION, String::new(), Standing::Outside);
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        written.push_str(line);
        written.push('\n');
        let Some(kind) = line.strip_prefix("```") else { continue };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let mut block = block.join("\n") + "\n";
        match kind {
            "facts" => version = block.trim().strip_prefix("version ").unwrap().parse().unwrap(),
            "sql" => (sql, transaction) = (block.trim_end().to_owned(), Standing::Outside),
            "sql in-transaction" => {
                sql = block.trim_end().to_owned();
                transaction = Standing::Explicit { holds_strong: false };
            }
            "plan" => {
                let case;
                (block, case) = run(&sql, version, transaction);
                cases.push(case);
                version = VERSION;
            }
            other => panic!("unknown block {other}"),
        }
        written.push_str(&block);
        written.push_str("```\n");
    }
    (written, cases)
}

fn run(sql: &str, version: u32, transaction: Standing) -> (String, Case) {
    let judge = |sql: &[u8]| {
        let script = parse(sql, Encoding::Utf8);
        decide(&script, &facts(version), &Moment { transaction }, &Policy::default())
    };
    let judgement = judge(sql.as_bytes());
    if let Decision::Run(plan) = &judgement.decision {
        for step in &plan.steps {
            let again = judge(&step.sql);
            assert!(again.hazards.is_empty() && again.notices.is_empty(), "{sql}: {again:?}");
            assert_eq!(again.decision, Decision::Run(plan.clone()), "{sql}: a step is its own plan");
        }
    }
    let case = Case { hazards: judgement.hazards.clone(), left_alone: judgement.hazards.is_empty() };
    (show(&judgement), case)
}
