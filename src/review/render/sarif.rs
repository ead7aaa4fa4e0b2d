//! SARIF 2.1.0, which code hosts show beside the lines.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::hazard::HazardSetting;
use crate::review::lint;
use crate::review::report::{FileReport, Found, Report};

/// The findings that people are told of.
pub fn sarif(report: &Report) -> Value {
    let ids: BTreeSet<&str> = report.shown().map(|(_, found)| found.id).collect();
    let rule = |id: &&str| {
        let page = lint::page(id).unwrap_or_default();
        // The cases are tests; who reads findings needs none.
        let page = page.split("\n## Cases\n").next().unwrap_or(page);
        json!({
            "id": id,
            "shortDescription": { "text": lint::summary(page) },
            "help": { "text": page, "markdown": page },
        })
    };
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "lockkeeper",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": ids.iter().map(rule).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": report.shown().map(|(file, found)| result(file, found)).collect::<Vec<_>>(),
        }],
    })
}

fn result(file: &FileReport, found: &Found) -> Value {
    json!({
        "ruleId": found.id,
        "level": if found.level == HazardSetting::Refuse { "error" } else { "warning" },
        "message": { "text": format!("{}. {}", found.what, found.why) },
        "locations": [{ "physicalLocation": {
            "artifactLocation": { "uri": file.name.replace('\\', "/").replace(' ', "%20") },
            "region": {
                "startLine": found.at.start.line,
                "startColumn": found.at.start.column,
                "endLine": found.at.end.line,
                "endColumn": found.at.end.column,
            },
        }}],
    })
}
