//! Workflow commands of GitHub Actions, one line a finding.

use crate::hazard::HazardSetting;
use crate::review::report::Report;

/// `::warning file=..,line=..,title=..::..`
pub fn github(report: &Report) -> String {
    let line = |(file, found): (&crate::review::report::FileReport, &crate::review::report::Found)| {
        let level = if found.level == HazardSetting::Refuse { "error" } else { "warning" };
        let hand: Vec<&str> = found.by_hand.iter().map(|step| step.sql.as_str()).collect();
        let hand = if hand.is_empty() { String::new() } else { format!("\nBy hand:\n{}", hand.join("\n")) };
        format!(
            "::{level} file={},line={},endLine={},col={},title={}::{}\n",
            property(&file.name),
            found.at.start.line,
            found.at.end.line,
            found.at.start.column,
            property(found.id),
            data(&format!("{}. {}{hand}", found.what, found.why)),
        )
    };
    report.shown().map(line).collect()
}

/// As `@actions/core` escapes the text of a command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// .. and its properties.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
