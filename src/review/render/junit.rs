//! `JUnit`'s XML, as GitLab and Jenkins read it: a file is a suite, a finding a failed case.

use std::fmt::Write as _;

use crate::review::report::{FileReport, Found, Report};

/// The findings that people are told of; those that are not denied count as passed, with their words as output.
pub fn junit(report: &Report) -> String {
    let mut out =
        String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"lockkeeper\">\n");
    report.files.iter().for_each(|file| suite(file, &mut out));
    out.push_str("</testsuites>\n");
    out
}

fn suite(file: &FileReport, out: &mut String) {
    let shown: Vec<&Found> = file.findings.iter().filter(|found| found.is_shown()).collect();
    let failures = shown.iter().filter(|found| found.denied).count();
    let name = escaped(&file.name);
    // A suite without cases counts as an error in some readers.
    let tests = shown.len().max(1);
    let _ = writeln!(out, "  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\">");
    if shown.is_empty() {
        let _ = writeln!(out, "    <testcase classname=\"{name}\" name=\"no findings\"/>");
    }
    for found in shown {
        let (id, line) = (found.id, found.at.start.line);
        let _ =
            writeln!(out, "    <testcase classname=\"{name}\" name=\"{id} line {line}\" line=\"{line}\">");
        let what = escaped(&found.what);
        let steps = found.by_hand.iter().map(|step| format!("\n{}", step.sql));
        let why = escaped(&steps.fold(found.why.clone(), |text, step| text + &step));
        let _ = if found.denied {
            writeln!(out, "      <failure type=\"{id}\" message=\"{what}\">{why}</failure>")
        } else {
            writeln!(out, "      <system-out>{what}. {why}</system-out>")
        };
        out.push_str("    </testcase>\n");
    }
    out.push_str("  </testsuite>\n");
}

/// Text of XML 1.0, which has no way to write most control characters.
fn escaped(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
        .map(|c| match c {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            '"' => "&quot;".to_owned(),
            other => other.to_string(),
        })
        .collect()
}
