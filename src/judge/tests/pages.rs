//! The pure half of the hazards' pages: their cases hold, and each step of a plan raises nothing when judged again.
//!
//! `UPDATE=1` rewrites the expected blocks; read the diff.

use std::fmt::Write;
use std::path::PathBuf;

use super::catalogue::{facts, offline};
use super::show::show;
use crate::effects::Past;
use crate::effects::facts::Facts;
use crate::hazard;
use crate::hazard::{Finding, HazardSetting};
use crate::judge::{Decision, Judgement, Moment, Policy, Standing, decide, gravity, review};
use crate::plan::{Context, Pace, Plan, Step};
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
        assert!(
            cases.iter().any(|case| !case.told.contains(&hazard.id)),
            "{}: no case left alone",
            hazard.id
        );
    }
}

struct Case {
    /// Those found.
    hazards: Vec<&'static str>,
    /// Those that are more than a wait for locks.
    told: Vec<&'static str>,
}

/// The page with its plan blocks as they are now.
fn rerun(page: &str) -> (String, Vec<Case>) {
    let (mut written, mut cases) = (String::new(), Vec::new());
    let (mut version, mut sql, mut transaction) = (VERSION, String::new(), Standing::Outside);
    let mut known: fn(u32) -> Facts = facts;
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        written.push_str(line);
        written.push('\n');
        let Some(kind) = line.strip_prefix("```") else { continue };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let mut block = block.join("\n") + "\n";
        match kind {
            "facts" if block.trim() == "offline" => known = offline,
            "facts" => version = block.trim().strip_prefix("version ").unwrap().parse().unwrap(),
            "sql" => (sql, transaction) = (block.trim_end().to_owned(), Standing::Outside),
            "sql in-transaction" => {
                sql = block.trim_end().to_owned();
                transaction = Standing::Explicit { holds_strong: false };
            }
            "plan" => {
                let case;
                (block, case) = run(&sql, &known(version), transaction);
                cases.push(case);
                (version, known) = (VERSION, facts as fn(u32) -> Facts);
            }
            other => panic!("unknown block {other}"),
        }
        written.push_str(&block);
        written.push_str("```\n");
    }
    (written, cases)
}

fn run(sql: &str, facts: &Facts, transaction: Standing) -> (String, Case) {
    let judge = |sql: &[u8]| {
        let script = parse(sql, Encoding::Utf8);
        decide(&script, facts, &Moment::new(transaction), &Policy::default())
    };
    let judgement = judge(sql.as_bytes());
    if let Decision::Run(plan) = &judgement.decision {
        // By then a CHECK proves that there is no null, or that the rows are within the bounds; every leaf has its
        // foreign key; what is dropped has no keys any more.
        let is_made_ready = |step: &&Step| {
            let text = String::from_utf8_lossy(&step.sql);
            text.ends_with("SET NOT NULL")
                || text.contains("ATTACH PARTITION")
                || matches!(step.pace, Pace::Gathered(_))
                || text == sql
        };
        // Never run as one statement.
        let cut = |step: &&Step| matches!(step.pace, Pace::Ranges(_) | Pace::Leaves(_));
        for step in plan.steps.iter().filter(|step| !is_made_ready(step) && !cut(step)) {
            let again = judge(&step.sql);
            // A column's foreign key is told of as one of the table only.
            let beside = ["lock-queue", "drop-constraint", "unindexed-foreign-key"];
            let known = |hazard: &&str| judgement.hazards.contains(hazard) || beside.contains(hazard);
            assert!(again.hazards.iter().all(known), "{sql}: {again:?}");
            let is_its_own =
                |plan: &Plan| plan.steps.as_slice() == [Step { undo: Vec::new(), ..step.clone() }];
            match (&again.decision, step.context) {
                (Decision::Run(own), Context::OutsideTransaction) => assert!(is_its_own(own), "{sql}"),
                (Decision::Guard(_), Context::Anywhere) | (Decision::Forward, _) => {}
                (other, _) => panic!("{sql}: a step would become {other:?}"),
            }
        }
    }
    let found = findings(sql, facts, &past(transaction));
    let (hazards, told) = (
        judgement.hazards.clone(),
        found.iter().filter(|it| is_told(it, &judgement)).map(|it| it.hazard).collect(),
    );
    let case = Case { hazards, told };
    (show(&judgement) + &by_hand(&found, facts), case)
}

/// Whether a finding is more than a wait for locks, and not allowed by the statement itself.
fn is_told(finding: &Finding, judgement: &Judgement) -> bool {
    let allowed = judgement.notices.iter().any(|notice| notice.message.ends_with("is allowed"));
    (gravity(finding) > HazardSetting::Pass
        || finding.hazard == "lock-queue"
        || finding.hazard == "opaque-ddl")
        && !allowed
}

fn past(transaction: Standing) -> Past {
    if transaction == Standing::Outside { Past::nothing() } else { Past::in_transaction() }
}

fn findings(sql: &str, facts: &Facts, past: &Past) -> Vec<Finding> {
    let script = parse(sql.as_bytes(), Encoding::Utf8);
    let mut found = Vec::new();
    review(&script, facts, past.clone(), &Policy::default(), &mut |_, findings| found.extend(findings));
    found
}

/// The way by hand, each step judged again: it may raise hazards that the statement raises, but no other.
fn by_hand(found: &[Finding], facts: &Facts) -> String {
    let mut shown = String::new();
    for finding in found.iter().filter(|finding| gravity(finding) > HazardSetting::Pass) {
        let mut past = Past::nothing();
        for step in &finding.by_hand {
            // A CHECK proves by then what attaching reads otherwise.
            let proved = finding.by_hand.iter().any(|step| step.sql.contains("VALIDATE CONSTRAINT"));
            let place = if step.outside { " (outside a transaction)" } else { "" };
            writeln!(shown, "by hand: {}{place}", step.sql).unwrap();
            if step.sql.starts_with("--") {
                continue;
            }
            let script = parse(step.sql.as_bytes(), Encoding::Utf8);
            let mut found_again = Vec::new();
            past = review(&script, facts, past, &Policy::default(), &mut |_, it| found_again.extend(it));
            for again in found_again {
                // A column's foreign key is told of as one of the table only, and a type as that of a new column only.
                let same = found.iter().any(|finding| finding.hazard == again.hazard)
                    || ["unindexed-foreign-key", "questionable-type"].contains(&again.hazard)
                    || (proved && again.hazard == "attach-partition-scan")
                    || script.directives.iter().any(|it| it.value.starts_with(again.hazard));
                assert!(same || gravity(&again) == HazardSetting::Pass, "{}: {again:?}", step.sql);
            }
        }
    }
    shown
}
